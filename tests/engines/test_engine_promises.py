"""What every telephony engine promises to the dialer, as the port says it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from tests.engines.conftest import FarEnd, FarEnds
from tests.fakes.ear import PROMPT, Ear, hearing
from tests.fakes.real_calls import EARLY_S, about

from tongdai.adapters.sandbox.log import invited_more_than_once, most_channels
from tongdai.domain.scripts import Runner, parse_script
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    CancelTimer,
    Command,
    DialRequest,
    Digit,
    EndCause,
    Ended,
    EngineBack,
    EngineGone,
    EngineRefusedError,
    EngineUnreachableError,
    HangUp,
    LegEvent,
    LegKnowledge,
    LegRef,
    Play,
    PlaybackEnded,
    RecordingEnded,
    Ringing,
    Speech,
    SpokenCode,
    StartRecording,
    StartTimer,
    StopPlay,
    TimerFired,
    Transfer,
    TransferEnded,
    TransferLeg,
)

pytestmark = pytest.mark.anyio

LEG = 7_000_000_001
NOT_DIALLED = (EngineRefusedError, EngineUnreachableError)
"""What an engine says of a leg that it dials no second time. One that cannot tell why answers the latter."""
PHONE = 7_500_000_001
"""The leg of the first phone that a transfer rings."""
_more_legs = count(8_000_000_001)


SHORT_RINGS = {12373: "presses_1", 13582: "presses_2"}
"""Legs whose people, on the evening of these tests, answer in less than five seconds."""

SHORT_MENU = {
    "start": "hello",
    "steps": {
        "hello": {"kind": "say", "text": "Xin chào", "next": "menu"},
        "menu": {"kind": "gather", "prompt": "bấm 1", "on": {"1": "one", "2": "two"}},
        "one": {"kind": "hang_up", "end_code": "one"},
        "two": {"kind": "hang_up", "end_code": "two"},
    },
}


def _request(number: str, leg_id: int = LEG, **changes: Any) -> DialRequest:
    fields: dict[str, Any] = {
        "leg_id": leg_id,
        "trunk_id": 3,
        "number": number,
        "caller": "02873001234",
        "ring_s": 30.0,
        "max_s": 300.0,
        "detect_machine": False,
        "dial_before": datetime.now(UTC) + timedelta(seconds=20),
    }
    return DialRequest(**(fields | changes))


def _one_prompt(event: LegEvent) -> Sequence[Command]:
    """Speaks five seconds and hangs up."""
    match event:
        case Answered():
            return (PROMPT,)
        case PlaybackEnded():
            return (HangUp(),)
    return ()


def _transfers(far_end: FarEnd, *kinds: str, max_s: float = 300.0) -> Callable[[LegEvent], Sequence[Command]]:
    """Transfers the call to phones of these kinds, and hangs up afterwards."""
    numbers = [far_end.number("talks" if kind == "listens" else kind) for kind in kinds]
    legs = tuple(
        TransferLeg(PHONE + index, 3, number, "02873001234", max_s) for index, number in enumerate(numbers)
    )

    def play(event: LegEvent) -> Sequence[Command]:
        match event:
            case Answered():
                return (Transfer(1, "84912345678", 30.0, legs=legs),)
            case TransferEnded():
                return (HangUp(),)
        return ()

    return play


def _transferred(ear: Ear) -> TransferEnded:
    return next(event for event in ear.heard[LEG] if isinstance(event, TransferEnded))


def _s(far_end: FarEnd, seconds: float, real: float) -> float:
    """Seconds of a simulated call, or fewer on a real one, whose seconds are ours."""
    return real if far_end.real else seconds


def _prompt_s(far_end: FarEnd, characters: int) -> float:
    return (characters / 14 + 0.3) / far_end.pace


def _about(far_end: FarEnd, seconds: float, abs: float = 0.01) -> Any:
    """A moment of a simulated call is exact, one of a real call is not."""
    return about(seconds) if far_end.real else pytest.approx(seconds, abs=abs)


def _still_speaking(far_end: FarEnd) -> Play:
    """A prompt that is not over when a key is pressed, which on a real call may be told late."""
    return Play(1, (Speech("x" * 160),)) if far_end.real else PROMPT


def _soon() -> datetime:
    """A slot of which a node that has just started can say that it was up before."""
    return _now() + timedelta(seconds=5)


def _now() -> datetime:
    return datetime.now(UTC)


# ------------------------------------------------------------------ how a call begins


async def test_an_answered_call_rings_is_answered_speaks_and_ends(far_end: FarEnd) -> None:
    async with hearing(far_end.client(), _one_prompt) as ear:
        await ear.engine.originate(_request(far_end.number("listens")))
        ended = await ear.until_ended(LEG)
        ringing, answered, played, _ = ear.heard[LEG]
    assert isinstance(ringing, Ringing)
    assert isinstance(answered, Answered)
    assert isinstance(played, PlaybackEnded)
    assert answered.by is AnsweredBy.UNKNOWN
    assert answered.answered_at == answered.at
    assert (played.id, played.completed) == (1, True)
    assert played.at - answered.at == _about(far_end, _prompt_s(far_end, 66))
    assert (ended.cause, ended.answered_at) == (EndCause.NORMAL, answered.at)
    assert far_end.events_of(LEG) == ["INVITE", "RINGING", "ANSWER", "BYE"]


async def test_events_are_numbered_from_one_without_gaps(far_end: FarEnd) -> None:
    async with hearing(far_end.client(), _one_prompt) as ear:
        await ear.engine.originate(_request(far_end.number("presses_1")))
        await ear.until_ended(LEG)
        assert [event.seq for event in ear.heard[LEG]] == list(range(1, len(ear.heard[LEG]) + 1))


async def test_a_phone_that_nobody_picks_up_is_given_up_after_the_ring_time(far_end: FarEnd) -> None:
    async with hearing(far_end.client()) as ear:
        ring_s = _s(far_end, 25.0, 2.0)
        await ear.engine.originate(_request(far_end.number("rings_out"), ring_s=ring_s))
        ended = await ear.until_ended(LEG)
    assert (ended.cause, ended.answered_at) == (EndCause.NO_ANSWER, None)
    assert ended.at == _about(far_end, ring_s)


async def test_a_long_ring_is_waited_for(far_end: FarEnd) -> None:
    async with hearing(far_end.client()) as ear:
        await ear.engine.originate(_request(far_end.number("rings_long")))
        answered = await ear.until_heard(LEG, Answered)
    assert _s(far_end, 20.0, 4.5) < answered.at < 30.0


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("busy", EndCause.BUSY),
        ("declines", EndCause.REJECTED),
        ("unallocated", EndCause.UNALLOCATED),
        ("congestion", EndCause.CONGESTION),
        ("unreachable", EndCause.UNREACHABLE),
    ],
)
async def test_a_call_that_is_refused_says_why(far_end: FarEnd, kind: str, cause: EndCause) -> None:
    async with hearing(far_end.client()) as ear:
        await ear.engine.originate(_request(far_end.number(kind)))
        ended = await ear.until_ended(LEG)
    assert (ended.cause, ended.answered_at) == (cause, None)


# ------------------------------------------------------------------ who answers


@pytest.mark.parametrize(("kind", "by"), [("says_hello", AnsweredBy.HUMAN), ("machine", AnsweredBy.MACHINE)])
async def test_the_answer_is_told_once_it_is_known_who_answered(
    far_end: FarEnd, kind: str, by: AnsweredBy
) -> None:
    async with hearing(far_end.client(), _one_prompt) as ear:
        await ear.engine.originate(_request(far_end.number(kind), detect_machine=True))
        answered = await ear.until_heard(LEG, Answered)
    assert isinstance(answered, Answered)
    assert answered.by is by
    assert 0.5 < answered.at - answered.answered_at < 3.0


async def test_a_person_who_hangs_up_during_detection_has_answered_all_the_same(far_end: FarEnd) -> None:
    async with hearing(far_end.client()) as ear:
        await ear.engine.originate(_request(far_end.number("hangs_up"), detect_machine=True))
        ended = await ear.until_ended(LEG)
        assert ear.kinds(LEG) == ["Ringing", "Ended"]
    assert ended.cause is EndCause.NORMAL
    assert ended.answered_at is not None
    assert ended.answered_at < ended.at


# ------------------------------------------------------------------ what is heard and said


@pytest.mark.parametrize(("kind", "digit"), [("presses_1", "1"), ("presses_2", "2")])
async def test_a_digit_is_told_with_its_second(far_end: FarEnd, kind: str, digit: str) -> None:
    def speaks(event: LegEvent) -> Sequence[Command]:
        return (_still_speaking(far_end),) if isinstance(event, Answered) else _one_prompt(event)

    async with hearing(far_end.client(), speaks) as ear:
        await ear.engine.originate(_request(far_end.number(kind)))
        await ear.until_ended(LEG)
        _, answered, pressed, played, _ = ear.heard[LEG]
    assert isinstance(pressed, Digit)
    assert pressed.digit == digit
    assert 1.0 - _s(far_end, 0.0, EARLY_S) <= pressed.at - answered.at <= 3.0
    assert pressed.at < played.at


@pytest.mark.parametrize("speed", [1.0, 20.0, 500.0, 10_000.0])
async def test_a_key_pressed_as_a_short_prompt_ends_reaches_the_menu_after_it(
    far_end_at: FarEnds, speed: float
) -> None:
    far_end = far_end_at(speed)
    if speed > 1.0 and far_end.real:
        pytest.skip("a real Asterisk has one speed")
    script = parse_script(SHORT_MENU)
    runners = {leg: Runner(script, {}) for leg in SHORT_RINGS}
    async with hearing(far_end.client(), lambda event: runners[event.leg_id].on(event)) as ear:
        for leg, kind in SHORT_RINGS.items():
            await ear.engine.originate(_request(far_end.number(kind), leg))
        for leg in SHORT_RINGS:
            await ear.until_ended(leg)
    assert [runner.result for runner in runners.values()] == ["one", "two"]
    assert [far_end.events_of(leg)[-1] for leg in SHORT_RINGS] == ["BYE", "BYE"]


@pytest.mark.parametrize("speed", [20.0, 10_000.0])
async def test_the_absolute_limit_ends_a_call_whatever_happens_on_it(
    far_end_at: FarEnds, speed: float
) -> None:
    far_end = far_end_at(speed)
    if speed > 20.0 and far_end.real:
        pytest.skip("a real Asterisk has one speed")
    max_s = _s(far_end, 20.0, 2.0)

    def never_let_go(event: LegEvent) -> Sequence[Command]:
        """Short prompts, and timers that are due when they end."""
        match event:
            case Answered() | TimerFired():
                return (Play(event.seq, (Speech("x" * 7),)), StartTimer(event.seq, 0.8))
        return ()

    kinds = ["listens", "presses_1", "presses_2"]
    async with hearing(far_end.client(), never_let_go) as ear:
        for leg, kind in enumerate(kinds, LEG):
            await ear.engine.originate(_request(far_end.number(kind), leg, max_s=max_s))
        ends = [await ear.until_ended(leg) for leg, _ in enumerate(kinds, LEG)]
    assert [end.at - (end.answered_at or 0.0) for end in ends] == [_about(far_end, max_s, 0.001)] * 3
    by = "caller" if far_end.real else "limit"
    assert {line.by for line in far_end.lines() if line.event == "BYE"} == {by}


async def test_a_prompt_that_is_stopped_ends_there_and_then(far_end: FarEnd) -> None:
    def barge_in(event: LegEvent) -> Sequence[Command]:
        match event:
            case Digit():
                return (StopPlay(1), Play(2, (Speech("Cảm ơn quý khách"),)))
            case PlaybackEnded(id=2):
                return (HangUp(),)
            case Answered():
                return (_still_speaking(far_end),)
        return ()

    async with hearing(far_end.client(), barge_in) as ear:
        await ear.engine.originate(_request(far_end.number("presses_1")))
        await ear.until_ended(LEG)
        pressed = next(event for event in ear.heard[LEG] if isinstance(event, Digit))
        stopped, completed = (event for event in ear.heard[LEG] if isinstance(event, PlaybackEnded))
    assert (stopped.id, stopped.completed) == (1, False)
    assert stopped.at == _about(far_end, pressed.at, 0.0)
    assert (completed.id, completed.completed) == (2, True)
    assert completed.at - pressed.at == _about(far_end, _prompt_s(far_end, 16))


async def test_prompts_wait_for_each_other(far_end: FarEnd) -> None:
    def two_prompts(event: LegEvent) -> Sequence[Command]:
        return (PROMPT, Play(2, PROMPT.items)) if isinstance(event, Answered) else ()

    async with hearing(far_end.client(), two_prompts) as ear:
        await ear.engine.originate(_request(far_end.number("listens")))
        await ear.until(lambda: len(ear.heard[LEG]) == 4)
        _, answered, first, second = ear.heard[LEG]
    assert first.at - answered.at == _about(far_end, _prompt_s(far_end, 66))
    assert second.at - answered.at == _about(far_end, 2 * _prompt_s(far_end, 66))


async def test_a_timer_fires_at_its_second_and_a_cancelled_one_never(far_end: FarEnd) -> None:
    def two_timers(event: LegEvent) -> Sequence[Command]:
        match event:
            case Answered():
                return (StartTimer(1, 2.0), StartTimer(2, 3.5), CancelTimer(1))
            case TimerFired():
                return (HangUp(),)
        return ()

    async with hearing(far_end.client(), two_timers) as ear:
        await ear.engine.originate(_request(far_end.number("listens")))
        await ear.until_ended(LEG)
        _, answered, fired, ended = ear.heard[LEG]
    assert isinstance(fired, TimerFired)
    assert fired.id == 2
    assert fired.at - answered.at == _about(far_end, 3.5)
    assert ended.at == _about(far_end, fired.at, 0.0)


async def test_a_recording_tells_how_long_it_was(far_end: FarEnd) -> None:
    def record(event: LegEvent) -> Sequence[Command]:
        match event:
            case Answered():
                return (StartRecording(1, 2.5, stop_on_digit=False),)
            case RecordingEnded():
                return (HangUp(),)
        return ()

    async with hearing(far_end.client(), record) as ear:
        await ear.engine.originate(_request(far_end.number("listens")))
        await ear.until_ended(LEG)
        recorded = next(event for event in ear.heard[LEG] if isinstance(event, RecordingEnded))
    assert recorded.seconds == _about(far_end, 2.5)


@pytest.mark.parametrize(("kind", "connected"), [("listens", True), ("busy", False)])
async def test_a_transfer_tells_whether_it_was_connected(far_end: FarEnd, kind: str, connected: bool) -> None:
    async with hearing(far_end.client(), _transfers(far_end, kind)) as ear:
        await ear.engine.originate(_request(far_end.number("listens")))
        await ear.until_ended(LEG)
        transferred = _transferred(ear)
    assert transferred.connected is connected
    assert (transferred.seconds > 0) is connected
    assert transferred.leg_id_connected == (PHONE if connected else None)


async def test_of_several_phones_the_first_to_answer_has_the_call_and_the_others_stop_ringing(
    far_end: FarEnd,
) -> None:
    async with hearing(far_end.client(), _transfers(far_end, "rings_out", "rings_long", "listens")) as ear:
        await ear.engine.originate(_request(far_end.number("listens")))
        await ear.until_ended(LEG)
        transferred = _transferred(ear)
    assert (transferred.connected, transferred.leg_id_connected) == (True, PHONE + 2)
    assert [far_end.events_of(PHONE + number)[-1] for number in range(3)] == ["CANCEL", "CANCEL", "BYE"]


async def test_a_transfer_without_phones_says_at_once_that_nobody_answered(far_end: FarEnd) -> None:
    async with hearing(far_end.client(), _transfers(far_end)) as ear:
        await ear.engine.originate(_request(far_end.number("listens")))
        await ear.until_ended(LEG)
        _, answered, transferred, _ = ear.heard[LEG]
    assert isinstance(transferred, TransferEnded)
    assert (transferred.connected, transferred.leg_id_connected) == (False, None)
    assert transferred.at == _about(far_end, answered.at, 0.5)


async def test_a_talk_ends_at_its_limit_and_the_call_goes_on(far_end: FarEnd) -> None:
    max_s = _s(far_end, 5.0, 1.0)
    async with hearing(far_end.client(), _transfers(far_end, "listens", max_s=max_s)) as ear:
        await ear.engine.originate(_request(far_end.number("listens")))
        await ear.until_ended(LEG)
        transferred = _transferred(ear)
    assert transferred.seconds == _about(far_end, max_s, 0.5)


async def test_a_transfer_is_told_of_before_the_end_of_a_call_that_ends_meanwhile(far_end: FarEnd) -> None:
    async with hearing(far_end.client(), _transfers(far_end, "rings_out")) as ear:
        await ear.engine.originate(_request(far_end.number("listens"), max_s=_s(far_end, 10.0, 2.0)))
        await ear.until_ended(LEG)
        assert ear.kinds(LEG)[-2:] == ["TransferEnded", "Ended"]
        assert not _transferred(ear).connected
    assert far_end.events_of(PHONE)[-1] == "CANCEL"


async def test_a_spoken_code_stays_in_this_process(far_end: FarEnd) -> None:
    def read_code(event: LegEvent) -> Sequence[Command]:
        match event:
            case Answered():
                return (Play(1, (SpokenCode("739154"), SpokenCode("739154"))),)
            case PlaybackEnded():
                return (HangUp(),)
        return ()

    async with hearing(far_end.client(), read_code) as ear:
        await ear.engine.originate(_request(far_end.number("listens")))
        await ear.until_ended(LEG)
        _, answered, played, _ = ear.heard[LEG]
    assert played.at - answered.at == _about(far_end, 12 * 0.9 / far_end.pace)
    assert far_end.real or "CODE" in far_end.events_of(LEG)
    assert not any("739154" in str(line) for line in far_end.lines())


# ------------------------------------------------------------------ how a call ends


async def test_a_call_that_still_rings_can_be_cancelled(slow_far_end: FarEnd) -> None:
    async with hearing(slow_far_end.client()) as ear:
        await ear.engine.originate(_request(slow_far_end.number("rings_out")))
        await ear.until_heard(LEG, Ringing)
        await ear.command(LEG, HangUp())
        ended = await ear.until_ended(LEG)
    assert (ended.cause, ended.answered_at) == (EndCause.CANCELLED, None)
    assert slow_far_end.events_of(LEG) == ["INVITE", "RINGING", "CANCEL"]


async def test_the_absolute_limit_ends_a_call_that_nobody_ends(far_end: FarEnd) -> None:
    def speak_for_ever(event: LegEvent) -> Sequence[Command]:
        return (Play(event.seq, PROMPT.items),) if isinstance(event, Answered | PlaybackEnded) else ()

    async with hearing(far_end.client(), speak_for_ever) as ear:
        max_s = _s(far_end, 60.0, 3.0)
        await ear.engine.originate(_request(far_end.number("listens"), max_s=max_s))
        ended = await ear.until_ended(LEG)
    assert ended.cause is EndCause.NORMAL
    assert ended.answered_at is not None
    assert ended.at - ended.answered_at == _about(far_end, max_s)


async def test_a_leg_that_has_ended_ignores_everything(far_end: FarEnd) -> None:
    async with hearing(far_end.client(), _one_prompt) as ear:
        await ear.engine.originate(_request(far_end.number("listens")))
        await ear.until_ended(LEG)
        for command in (PROMPT, StopPlay(1), StartTimer(1, 1.0), HangUp()):
            await ear.command(LEG, command)
        await ear.engine.originate(_request(far_end.number("busy"), LEG + 1))
        await ear.until_ended(LEG + 1)
        assert ear.kinds(LEG)[-1] == "Ended"
        assert ear.kinds(LEG).count("Ended") == 1


async def test_a_repeated_command_is_done_once(far_end: FarEnd) -> None:
    async with hearing(far_end.client()) as ear:
        await ear.engine.originate(_request(far_end.number("listens")))
        await ear.until_heard(LEG, Answered)
        for _ in range(3):
            await ear.engine.command(LEG, 1, PROMPT)
        await ear.engine.command(LEG, 2, StartTimer(1, _s(far_end, 60.0, 3.0)))
        await ear.until_heard(LEG, TimerFired)
        assert ear.kinds(LEG).count("PlaybackEnded") == 1


# ------------------------------------------------------------------ what is refused


async def test_a_request_after_its_last_moment_does_not_ring(far_end: FarEnd) -> None:
    async with hearing(far_end.client()) as ear:
        late = _request(far_end.number("listens"), dial_before=_now() - timedelta(milliseconds=1))
        with pytest.raises(EngineRefusedError):
            await ear.engine.originate(late)
    assert "INVITE" not in far_end.events_of(LEG)


async def test_a_leg_that_is_up_is_not_dialled_again(slow_far_end: FarEnd) -> None:
    async with hearing(slow_far_end.client()) as ear:
        await ear.engine.originate(_request(slow_far_end.number("rings_out")))
        with pytest.raises(NOT_DIALLED):
            await ear.engine.originate(_request(slow_far_end.number("rings_out")))
    assert slow_far_end.events_of(LEG).count("INVITE") == 1


async def test_an_engine_is_no_guard_against_dialling_an_ended_leg_again(far_end: FarEnd) -> None:
    """Which is why our own record of the leg must be one."""
    async with hearing(far_end.client()) as ear:
        await ear.engine.originate(_request(far_end.number("busy")))
        await ear.until_ended(LEG)
        await ear.engine.originate(_request(far_end.number("busy")))
        await ear.until(lambda: ear.kinds(LEG).count("Ended") == 2)
    assert invited_more_than_once(far_end.lines()) == {LEG: 2}


# ------------------------------------------------------------------ several clients, and their deaths


async def test_each_client_hears_of_its_own_calls_only(far_end: FarEnd) -> None:
    async with (
        hearing(far_end.client(), _one_prompt) as one,
        hearing(far_end.client(), _one_prompt) as other,
    ):
        await one.engine.originate(_request(far_end.number("listens"), LEG))
        await other.engine.originate(_request(far_end.number("listens"), LEG + 1))
        await asyncio.gather(one.until_ended(LEG), other.until_ended(LEG + 1))
        assert (set(one.heard), set(other.heard)) == ({LEG}, {LEG + 1})


async def test_a_client_cannot_command_the_calls_of_another(far_end: FarEnd) -> None:
    async with hearing(far_end.client()) as one, hearing(far_end.client()) as other:
        await one.engine.originate(_request(far_end.number("listens")))
        await one.until_heard(LEG, Answered)
        await other.engine.command(LEG, 1, HangUp())
        await other.engine.originate(_request(far_end.number("busy"), LEG + 1))
        await other.until_ended(LEG + 1)
    assert "BYE" not in far_end.events_of(LEG)


async def test_an_adopted_call_is_told_again_from_the_first_event_and_goes_on(slow_far_end: FarEnd) -> None:
    async with hearing(slow_far_end.client()) as one, hearing(slow_far_end.client()) as other:
        await one.engine.originate(_request(slow_far_end.number("listens")))
        await one.until_heard(LEG, Answered)
        known = await other.engine.adopt([LegRef(LEG, _now())])
        await other.until_heard(LEG, Answered)
        assert known == {LEG: LegKnowledge.REPLAYED}
        assert other.heard[LEG] == one.heard[LEG]
        before = len(one.heard[LEG])
        await other.command(LEG, PROMPT)
        await other.until_heard(LEG, PlaybackEnded)
        await other.command(LEG, HangUp())
        await other.until_ended(LEG)
        assert len(one.heard[LEG]) == before
        assert [event.seq for event in other.heard[LEG]] == [1, 2, 3, 4]


async def test_a_call_that_ended_meanwhile_is_told_again_whole(far_end: FarEnd) -> None:
    async with hearing(far_end.client(), _one_prompt) as one:
        await one.engine.originate(_request(far_end.number("presses_1")))
        await one.until_ended(LEG)
        async with hearing(far_end.client()) as other:
            assert await other.engine.adopt([LegRef(LEG, _now())]) == {LEG: LegKnowledge.REPLAYED}
            ended = await other.until_ended(LEG)
            assert other.heard[LEG][:-1] == one.heard[LEG][:-1]
            last = one.heard[LEG][-1]
            assert replace(ended, at=last.at) == last
            # By Asterisk's own clock, where one of ours has told it late.
            assert last.at == _about(far_end, ended.at, 0.0)


async def test_a_leg_that_was_never_seen_will_not_be_dialled_later(far_end: FarEnd) -> None:
    async with hearing(far_end.client()) as one, hearing(far_end.client()) as other:
        assert await one.engine.adopt([LegRef(LEG, _soon())]) == {LEG: LegKnowledge.NEVER_SEEN}
        with pytest.raises(NOT_DIALLED):
            await other.engine.originate(_request(far_end.number("listens")))
    assert "INVITE" not in far_end.events_of(LEG)


async def test_an_engine_that_restarted_does_not_claim_to_know(far_end: FarEnd) -> None:
    slot, leg = _now(), next(_more_legs)
    async with hearing(far_end.client()) as ear:
        far_end.kill()
        far_end.start()
        await ear.until(lambda: ear.news == [EngineBack(), EngineGone(), EngineBack()])
        assert await ear.engine.adopt([LegRef(leg, slot)]) == {leg: LegKnowledge.FORGOTTEN}
        next_leg = next(_more_legs)
        assert await ear.engine.adopt([LegRef(next_leg, _soon())]) == {next_leg: LegKnowledge.NEVER_SEEN}
    assert {line.event for line in far_end.lines()} <= {"BOOT"}


async def test_calls_stay_up_when_their_client_goes(slow_far_end: FarEnd) -> None:
    async with hearing(slow_far_end.client()) as first:
        await first.engine.originate(_request(slow_far_end.number("listens")))
        await first.until_heard(LEG, Answered)
        await first.command(LEG, PROMPT)
    async with hearing(slow_far_end.client()) as second:
        assert await second.engine.adopt([LegRef(LEG, _now())]) == {LEG: LegKnowledge.REPLAYED}
        await second.until_heard(LEG, PlaybackEnded)
        assert slow_far_end.events_of(LEG) == ["INVITE", "RINGING", "ANSWER"]
        await second.engine.command(LEG, 2, HangUp())
        ended = await second.until_ended(LEG)
    assert ended.cause is EndCause.NORMAL


async def test_a_call_that_nobody_adopts_ends_at_its_limit(slow_far_end: FarEnd) -> None:
    async with hearing(slow_far_end.client()) as first:
        await first.engine.originate(
            _request(slow_far_end.number("listens"), max_s=_s(slow_far_end, 20.0, 2.0))
        )
        await first.until_heard(LEG, Answered)
    async with hearing(slow_far_end.client()) as second:
        await second.engine.adopt([LegRef(LEG, _now())])
        await second.until_ended(LEG)
    by = "caller" if slow_far_end.real else "limit"
    assert [line.by for line in slow_far_end.lines() if line.event == "BYE"] == [by]


async def test_nothing_is_handed_over_while_the_engine_is_away(far_end: FarEnd) -> None:
    async with hearing(far_end.client()) as ear:
        far_end.kill()
        await ear.until(lambda: ear.news == [EngineBack(), EngineGone()])
        assert not ear.engine.reachable
        with pytest.raises(EngineUnreachableError):
            await ear.engine.originate(_request(far_end.number("listens")))
        with pytest.raises(EngineUnreachableError):
            await ear.engine.adopt([LegRef(LEG, _now())])
        await ear.command(LEG, HangUp())
        far_end.start()
        await ear.until(lambda: ear.news[-1] == EngineBack())
        assert ear.engine.reachable


async def test_an_answer_that_never_comes_is_unreachable_not_refused(far_end: FarEnd) -> None:
    async with hearing(far_end.client()) as ear:
        far_end.freeze()
        asked = asyncio.ensure_future(ear.engine.originate(_request(far_end.number("listens"))))
        await asyncio.sleep(0)
        far_end.kill()
        with pytest.raises(EngineUnreachableError):
            await asked


# ------------------------------------------------------------------ many at once


async def test_nothing_is_lost_with_five_hundred_calls_at_once(far_end: FarEnd) -> None:
    legs = [next(_more_legs) for _ in range(60 if far_end.real else 500)]
    async with hearing(far_end.client(), _one_prompt) as ear:
        requests = [_request(_some_number(far_end, leg), leg, ring_s=_s(far_end, 30.0, 6.0)) for leg in legs]
        begun = time.monotonic()
        await asyncio.gather(*(ear.engine.originate(request) for request in requests))
        await _until_all_ended(ear, legs)
        assert time.monotonic() - begun < 20.0
        for leg in legs:
            assert [event.seq for event in ear.heard[leg]] == list(range(1, len(ear.heard[leg]) + 1))
            assert ear.kinds(leg).count("Ended") == 1
    lines = far_end.lines()
    assert sorted(line.leg for line in lines if line.event == "INVITE") == legs
    assert sorted(line.leg for line in lines if line.event in {"BYE", "CANCEL", "REJECT"}) == legs
    assert 0 < most_channels(lines)[3] <= 500


def _some_number(far_end: FarEnd, leg_id: int) -> str:
    if far_end.real:
        kinds = ("listens", "busy", "declines", "unreachable", "hangs_up", "presses_1", "rings_out", "talks")
        return far_end.number(kinds[leg_id % len(kinds)])
    return f"09{leg_id % 89 + 10}{leg_id % 1_000_003:06d}"[:10]


async def _until_all_ended(ear: Ear, legs: list[int]) -> None:
    await ear.until(lambda: all(leg in ear.heard and isinstance(ear.heard[leg][-1], Ended) for leg in legs))
