"""One call that came in, event by event: what it wants done, and what is left of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.fakes.answering import GREETING, MENU, transfer

from tongdai.domain.inbound import FIELDS, InboundFacts, InboundResult, InboundSession
from tongdai.domain.inbound.model import canonical, kept_text, node_of, user_part
from tongdai.domain.scripts import parse_script
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    Command,
    Digit,
    EndCause,
    Ended,
    HangUp,
    LegEvent,
    PickUp,
    Play,
    Transfer,
    TransferEnded,
    TransferLeg,
)

NOW = datetime(2026, 12, 24, 2, 0, tzinfo=UTC)
FACTS = InboundFacts(
    leg_id=7,
    call_id=3,
    account_id=1,
    hotline_id=2,
    hotline="842473001234",
    trunk_id=5,
    engine="sandbox",
    channel="in-1",
    caller="84912345678",
    script_id=1,
    script_version=1,
    came_at=NOW,
    dial_before=NOW,
    gives_up_at=NOW,
    max_s=60.0,
    limit_ids=(1, 2),
)


def session(script: dict[str, Any] | None) -> InboundSession:
    return InboundSession(FACTS, None if script is None else parse_script(script))


def told(one: InboundSession, *events: LegEvent) -> tuple[list[Command], InboundResult | None]:
    """Every command since the beginning, in order, and the result."""
    commands: list[Command] = [numbered.command for numbered in one.begin()]
    result = None
    for event in events:
        more, result = one.on(event)
        commands += [numbered.command for numbered in more]
    return commands, result


def answered(seq: int, at: float) -> Answered:
    return Answered(7, seq, at, at, AnsweredBy.UNKNOWN)


def ended(seq: int, at: float, since: float | None, cause: EndCause = EndCause.NORMAL) -> Ended:
    return Ended(7, seq, at, cause, since)


def after(one: InboundSession, *events: LegEvent) -> InboundResult:
    _, result = told(one, *events)
    assert result is not None
    return result


def kinds(commands: Sequence[Command]) -> list[str]:
    return [type(command).__name__ for command in commands]


def test_what_is_to_be_heard_waits_until_the_call_is_picked_up() -> None:
    one = session(MENU)
    assert kinds(told(one)[0]) == ["PickUp"]
    commands, _ = one.on(answered(1, 0.4))
    assert [(numbered.ordinal, type(numbered.command)) for numbered in commands] == [(2, Play)]


def test_a_transfer_is_told_before_anything_is_picked_up() -> None:
    commands, _ = told(session(transfer("0987654321", "0987654322", ring_s=25)))
    assert commands == [Transfer(1, "84987654321", 25, ("84987654322",))]


def test_a_script_that_hangs_up_at_once_never_picks_up() -> None:
    script = {"start": "no", "steps": {"no": {"kind": "hang_up", "end_code": "blocked"}}}
    one = session(script)
    assert told(one)[0] == [HangUp()]
    result = after(one, ended(1, 0.1, None, EndCause.CANCELLED))
    assert (result.kind, result.disposition, result.answered) == ("MISSCALL", "NOANSWER", False)


def test_whoever_begins_anew_comes_to_the_same_commands_with_the_same_numbers() -> None:
    events: list[LegEvent] = [answered(1, 0.4), Digit(7, 2, 3.0, "2"), ended(3, 3.1, 0.4)]
    first, again = session(MENU), session(MENU)
    begun = [*first.begin(), *(one for event in events for one in first.on(event)[0])]
    # Nobody asks the second one to begin: its first event does.
    assert [one for event in events for one in again.on(event)[0]] == begun
    assert [numbered.ordinal for numbered in begun] == list(range(1, len(begun) + 1))


def test_an_event_that_comes_twice_counts_once() -> None:
    one = session(MENU)
    one.begin()
    one.on(answered(1, 0.4))
    one.on(Digit(7, 2, 3.4, "2"))
    assert one.on(Digit(7, 2, 3.4, "2")) == ((), None)
    assert after(one, ended(3, 5.0, 0.4)).key_press == "2 (3)"


def test_seconds_of_keys_and_of_the_call_count_from_the_pick_up() -> None:
    result = after(
        session(MENU), answered(1, 10.0), Digit(7, 2, 12.9, "9"), Digit(7, 3, 15.0, "2"), ended(4, 15.2, 10.0)
    )
    assert (result.key_press, result.ring_s, result.duration_s) == ("9 (2), 2 (5)", 10.0, 5)
    assert (result.answers, result.end_code) == ({"menu": "2"}, "booked")


@pytest.mark.parametrize(
    ("at", "cause", "disposition"),
    [
        (9.0, EndCause.CANCELLED, "CANCEL"),
        (9.0, EndCause.NORMAL, "CANCEL"),
        (60.0, EndCause.CANCELLED, "NOANSWER"),
        (30.0, EndCause.NO_ANSWER, "NOANSWER"),
    ],
)
def test_where_nobody_answers_it_is_missed(at: float, cause: EndCause, disposition: str) -> None:
    one = session(None)
    assert told(one)[0] == []
    result = after(one, ended(1, at, None, cause))
    assert (result.kind, result.disposition, result.ring_s) == ("MISSCALL", disposition, at)


LEGS = (TransferLeg(71, 5, "0987654321", "", 60), TransferLeg(72, 5, "0987654322", "", 60))


def ring_group() -> InboundSession:
    one = session(transfer("0987654321", "0987654322"))
    one.begin()
    one.rings(1, LEGS)
    return one


def test_the_phone_that_answered_is_told_from_the_others() -> None:
    result = after(
        ring_group(), answered(1, 6.0), TransferEnded(7, 2, 54.0, 1, True, 48.0, 72), ended(3, 54.1, 6.0)
    )
    assert [(phone.target, phone.disposition, phone.seconds) for phone in result.rung] == [
        ("84987654321", "SOMEONEANSWERED", 0),
        ("84987654322", "ANSWER", 48),
    ]
    assert (result.kind, result.disposition) == ("CALLIN", "ANSWER")
    assert [(talk.transfer_id, talk.leg_id, talk.seconds) for talk in result.talks] == [(1, 72, 48.0)]


def test_a_caller_who_gives_up_while_it_rings_is_missed_as_cancelled() -> None:
    result = after(ring_group(), ended(1, 8.0, None, EndCause.CANCELLED))
    assert (result.kind, result.disposition) == ("MISSCALL", "CANCEL")
    assert {phone.disposition for phone in result.rung} == {"CANCEL"}
    assert result.talks == ()


def test_without_a_line_to_any_phone_it_is_missed_for_that_reason() -> None:
    one = session(transfer("0987654321"))
    one.begin()
    one.rings(1, ())
    result = after(one, TransferEnded(7, 1, 0.1, 1, False, 0.0), ended(2, 0.2, None, EndCause.CANCELLED))
    assert (result.kind, result.disposition) == ("MISSCALL", "CHANUNAVAIL")


def test_a_caller_who_heard_a_greeting_and_reached_nobody_is_missed() -> None:
    script = {
        "start": "hello",
        "steps": {
            "hello": {"kind": "gather", "prompt": "Bấm 1", "on": {"1": "ring"}},
            "ring": {"kind": "transfer", "target": "0987654321"},
        },
    }
    result = after(
        session(script),
        answered(1, 0.2),
        Digit(7, 2, 3.2, "1"),
        TransferEnded(7, 3, 33.2, 1 + 1, False, 0.0),
        ended(4, 33.4, 0.2),
    )
    assert (result.kind, result.disposition, result.answered) == ("MISSCALL", "NOANSWER", True)


def test_a_later_transfer_that_is_answered_makes_it_a_callin() -> None:
    script = transfer("0987654321", on_failed="again", again={"kind": "transfer", "target": "0987654322"})
    result = after(
        session(script),
        TransferEnded(7, 1, 20.0, 1, False, 0.0),
        answered(2, 25.0),
        TransferEnded(7, 3, 55.0, 2, True, 30.0),
        ended(4, 55.1, 25.0),
    )
    assert (result.kind, result.disposition) == ("CALLIN", "ANSWER")
    assert [phone.disposition for phone in result.rung] == ["NOANSWER", "ANSWER"]


def test_of_a_call_whose_end_is_unknown_what_was_heard_is_kept() -> None:
    one = session(GREETING)
    told(one, answered(1, 0.5))
    lost = one.lost()
    assert (lost.kind, lost.disposition, lost.answered) == ("CALLIN", "MORE", True)
    assert session(GREETING).lost().kind == "MISSCALL"


def test_a_script_knows_who_calls_and_which_hotline() -> None:
    assert dict(FACTS.fields()) == {"caller": "0912345678", "hotline": "02473001234", "campaign_id": ""}
    assert tuple(FACTS.fields()) == FIELDS


def test_pick_up_is_told_once() -> None:
    one = session(MENU)
    commands, _ = told(one, answered(1, 0.4), Digit(7, 2, 3.0, "1"), ended(3, 9.0, 0.4))
    assert commands.count(PickUp()) == 1


@pytest.mark.parametrize(
    ("written", "user", "number"),
    [
        ("0247 300 1234", "0247 300 1234", "842473001234"),
        ("sip:+842473001234@10.0.0.1:5060;user=phone", "+842473001234", "842473001234"),
        ("SIPS:0912345678@host", "0912345678", "84912345678"),
        ("tel:+84912345678;phone-context=vn", "+84912345678", "84912345678"),
        ("19001234@host", "19001234", "19001234"),
        ("anonymous", "anonymous", ""),
        ("sip:anonymous@anonymous.invalid", "anonymous", ""),
        ("s", "s", ""),
        ("", "", ""),
    ],
)
def test_a_number_is_read_however_a_carrier_writes_it(written: str, user: str, number: str) -> None:
    assert (user_part(written), canonical(written)) == (user, number)


def test_what_a_carrier_writes_can_be_stored_whatever_it_is() -> None:
    assert kept_text("a\x00b\ud800c\n") == "abc"
    assert len(kept_text("9" * 1000)) == 100


@pytest.mark.parametrize(
    ("engine", "node"), [("sandbox", 0), ("asterisk/12", 12), ("asterisk/x", 0), ("", 0)]
)
def test_an_engine_names_its_node(engine: str, node: int) -> None:
    assert node_of(engine) == node
