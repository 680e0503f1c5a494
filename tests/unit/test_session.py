"""One leg's session: what is recorded of it, what it says before, and what is left of it at the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tongdai.domain.billing.pricing import Price
from tongdai.domain.calls import Outcome
from tongdai.domain.campaigns import CampaignConfig, RetryRule
from tongdai.domain.live import LegFacts, LegRecording, Session, Talk
from tongdai.domain.scripts import RECORD_ANNOUNCEMENT, Script, parse_script
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    Command,
    EndCause,
    Ended,
    HangUp,
    LegEvent,
    Play,
    RecordCall,
    RecordingEnded,
    Ringing,
    Speech,
    StartRecording,
    Transfer,
    TransferEnded,
)

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
RECORDED = CampaignConfig(record=True)

TALK = parse_script(
    {"start": "talk", "steps": {"talk": {"kind": "transfer", "target": "02473001234", "ring_s": 20}}}
)
PRICE = Price(1, Decimal(660), 6, 1, 0, Decimal(100), Decimal(0), Decimal(10), Decimal(10))
NOTE = parse_script({"start": "note", "steps": {"note": {"kind": "record", "max_s": 20}}})
CODE = parse_script(
    {"kind": "otp", "start": "code", "steps": {"code": {"kind": "read_code", "purpose": "Mã là"}}}
)


def facts(config: CampaignConfig, **more: Any) -> LegFacts:
    values: dict[str, Any] = {
        "leg_id": 1,
        "attempt_id": 2,
        "call_id": 3,
        "account_id": 4,
        "campaign_id": 5,
        "user_id": 6,
        "trunk_id": 7,
        "engine": "sandbox",
        "number": "84912345678",
        "dialled_number": "0912345678",
        "caller": "842473001234",
        "presented_caller": "02473001234",
        "dial_at": NOW,
        "dial_before": NOW + timedelta(seconds=5),
        "gives_up_at": NOW + timedelta(seconds=600),
        "limit_ids": (8, 9),
        "attempts": 1,
        "max_attempts": None,
        "outcome_counts": {},
        "called_before": None,
        "script_id": 10,
        "script_version": 1,
        "config": config,
        "fields": {},
    }
    return LegFacts(**(values | more))


def answered(
    script: Script, config: CampaignConfig, by: AnsweredBy = AnsweredBy.HUMAN, **more: Any
) -> tuple[Session, list[Command]]:
    """A session whose call was answered at second 5, and what it wants then."""
    session = Session(facts(config, **more), script, "493817" if script is CODE else None)
    session.on(Ringing(1, 1, 1.0))
    commands, _ = session.on(Answered(1, 2, 5.0, 5.0, by))
    assert [one.ordinal for one in commands] == list(range(1, len(commands) + 1))
    return session, [one.command for one in commands]


def announcement(text: str, id: int = 1) -> Play:
    return Play(id, (Speech(text),))


def test_a_recorded_call_is_recorded_before_anything_is_said_and_says_so_first() -> None:
    _, commands = answered(TALK, RECORDED)
    assert commands == [RecordCall(0), announcement(RECORD_ANNOUNCEMENT)]


@pytest.mark.parametrize(
    ("said", "first"), [("Được ghi âm", announcement("Được ghi âm")), ("", Transfer(1, "842473001234", 20))]
)
def test_a_campaign_has_its_own_announcement_or_none(said: str, first: Command) -> None:
    _, commands = answered(TALK, CampaignConfig(record=True, record_announcement=said))
    assert commands == [RecordCall(0), first]


def test_a_machine_is_not_recorded() -> None:
    assert answered(TALK, RECORDED, AnsweredBy.MACHINE)[1] == [HangUp()]
    message = CampaignConfig(record=True, voicemail_action="leave_message")
    assert answered(TALK, message, AnsweredBy.MACHINE)[1] == [HangUp()]


@pytest.mark.parametrize("more", [{"purpose": "otp"}, {"secret": b"sealed"}])
def test_a_call_with_a_code_is_never_recorded_whatever_its_campaign_says(more: dict[str, Any]) -> None:
    for script in (CODE, TALK):
        _, commands = answered(script, RECORDED, **more)
        assert not any(isinstance(command, RecordCall) for command in commands)
    assert not any(isinstance(command, RecordCall) for command in answered(CODE, RECORDED)[1])


def test_a_campaign_that_does_not_record_announces_a_step_that_does() -> None:
    session, commands = answered(NOTE, CampaignConfig())
    assert commands == [announcement(RECORD_ANNOUNCEMENT)]
    assert session.talk_left_s() == 300


def test_what_was_recorded_is_part_of_the_result() -> None:
    session, commands = answered(NOTE, CampaignConfig(record=True, record_announcement=""))
    assert commands == [RecordCall(0), StartRecording(1, 20, True)]
    ends: list[LegEvent] = [
        RecordingEnded(1, 3, 12.0, 1, 6.5, "td-1-1"),
        RecordingEnded(1, 4, 14.0, 0, 9.0, "td-1-0"),
        Ended(1, 5, 14.0, EndCause.NORMAL, 5.0),
    ]
    result = [session.on(event)[1] for event in ends][-1]
    assert result is not None
    assert result.recordings == (
        LegRecording("call", "td-1-0", 9.0),
        LegRecording("step", "td-1-1", 6.5, "note"),
    )


def test_a_recording_of_which_the_engine_kept_no_sound_is_none() -> None:
    session, _ = answered(TALK, RECORDED)
    session.on(RecordingEnded(1, 3, 14.0, 0, 9.0, None))
    _, result = session.on(Ended(1, 4, 14.0, EndCause.NORMAL, 5.0))
    assert result is not None
    assert result.recordings == ()


def test_the_talks_of_a_transferred_call_are_part_of_the_result() -> None:
    session, commands = answered(TALK, CampaignConfig())
    assert commands == [Transfer(1, "842473001234", 20)]
    session.on(TransferEnded(1, 3, 25.0, 1, True, 12.25, 77))
    _, result = session.on(Ended(1, 4, 25.5, EndCause.NORMAL, 5.0))
    assert result is not None
    assert (result.transferred, result.talks) == (True, (Talk(1, 12.25, 77),))


@pytest.mark.parametrize("paid", [None, 40])
def test_a_talk_may_last_as_long_as_the_call(paid: int | None) -> None:
    session, _ = answered(TALK, CampaignConfig(max_call_seconds=100), talk_s=paid)
    session.on(TransferEnded(1, 3, 25.0, 1, False, 0.0))
    assert session.talk_left_s() == (100 if paid is None else 40) - 20


def test_a_call_that_was_never_transferred_says_so_unless_nothing_was_heard_of_it() -> None:
    session, _ = answered(NOTE, CampaignConfig())
    assert not session.lost().transferred
    silent = Session(facts(CampaignConfig()), NOTE, None)
    lost = silent.lost()
    assert (lost.outcome, lost.transferred) == (Outcome.LOST, True)


def test_an_answered_call_that_could_not_be_spoken_on_is_failed_and_free_and_not_made_again() -> None:
    retried = CampaignConfig(retries={"failed": RetryRule(times=3, after_seconds=60)})
    session, _ = answered(TALK, retried, price=PRICE)
    _, result = session.on(Ended(1, 3, 9.0, EndCause.FAILURE, 5.0))
    assert result is not None
    assert (result.outcome, result.answered, result.duration_s) == (Outcome.FAILED, True, 4)
    assert result.final
    assert result.charge() is None
