"""Calls of the Asterisk engine on a real Asterisk, to far ends that are not ours."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.fakes.ear import PROMPT, hearing
from tests.fakes.one_trunk import UNSPEAKABLE, Tones, Trunks
from tests.fakes.real_calls import LATE_S, TRUNK, Lab, about, new_leg, real_lab, request

from tongdai.adapters.asterisk.stored import StoredRecordings
from tongdai.ports.speech import Sound
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    AudioClip,
    Command,
    Digit,
    EndCause,
    Ended,
    EngineRefusedError,
    HangUp,
    LegEvent,
    Play,
    PlaybackEnded,
    PromptItem,
    RecordCall,
    RecordingEnded,
    Ringing,
    Speech,
    StartRecording,
    StartTimer,
    StopRecording,
    TimerFired,
)

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk]

OUTCOMES = {
    "003": EndCause.BUSY,
    "004": EndCause.REJECTED,
    "005": EndCause.UNALLOCATED,
    "010": EndCause.CONGESTION,
    "012": EndCause.UNREACHABLE,
    "013": EndCause.FAILURE,
    "015": EndCause.UNALLOCATED,
    "403": EndCause.REJECTED,
    "408": EndCause.NO_ANSWER,
    "410": EndCause.UNALLOCATED,
    "484": EndCause.UNALLOCATED,
    "487": EndCause.NO_ANSWER,
    "488": EndCause.FAILURE,
    "500": EndCause.CONGESTION,
    "607": EndCause.REJECTED,
    "002": EndCause.NO_ANSWER,
    "020": EndCause.CONGESTION,
}
CLIP_S = 4.0


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with real_lab() as started:
        yield started


class _Misplaced(Tones):
    """Some of its files are not where it says."""

    async def sounds(self, items: Sequence[PromptItem]) -> Sequence[Sound]:
        found = await super().sounds(items)
        return [Sound("not-there", 1.0)] if "missing" in repr(items) else found


def _clip(seconds: float) -> Play:
    """So long, at the pace of these tests."""
    return Play(1, (AudioClip(f"clip {seconds}", seconds * 10),))


async def test_every_outcome_of_a_carrier_is_told(lab: Lab) -> None:
    legs = {kind: new_leg() for kind in OUTCOMES}
    async with hearing(lab.client()) as ear:
        await asyncio.gather(*(ear.engine.originate(request(k, leg, ring_s=2.0)) for k, leg in legs.items()))
        ends = {kind: await ear.until_ended(leg) for kind, leg in legs.items()}
        rang = {kind for kind, leg in legs.items() if "Ringing" in ear.kinds(leg)}
    assert {kind: end.cause for kind, end in ends.items()} == OUTCOMES
    assert all(end.answered_at is None for end in ends.values())
    assert {"002", "004"} <= rang
    assert not rang & {"003", "005", "010", "012", "020"}
    await lab.released()


async def test_an_operator_says_what_a_carriers_statuses_mean(lab: Lab) -> None:
    sip = lab.phone.sip_trunk(TRUNK)
    trunks = Trunks(replace(sip, causes={503: EndCause.UNREACHABLE}))
    leg = new_leg()
    async with hearing(lab.client(trunks=trunks)) as ear:
        await ear.engine.originate(request("010", leg))
        ended = await ear.until_ended(leg)
    assert ended.cause is EndCause.UNREACHABLE


async def test_what_is_pressed_before_during_and_after_a_prompt_is_told_in_order(lab: Lab) -> None:
    """The key comes a second after the answer: after a short prompt, and in the midst of a long one."""
    short, long, info = new_leg(), new_leg(), new_leg()

    def react(event: LegEvent) -> Sequence[Command]:
        match event:
            case Answered():
                return (_clip(0.3 if event.leg_id == short else CLIP_S), StartTimer(9, 1.8))
            case TimerFired():
                return (HangUp(),)
        return ()

    async with hearing(lab.client(), react) as ear:
        for kind, leg in (("007", short), ("008", long), ("021", info)):
            await ear.engine.originate(request(kind, leg))
        for leg in (short, long, info):
            await ear.until_ended(leg)
        pressed = {
            leg: [event.digit for event in ear.heard[leg] if isinstance(event, Digit)]
            for leg in (short, long, info)
        }
        assert ear.kinds(short)[-4:] == ["PlaybackEnded", "Digit", "TimerFired", "Ended"]
        assert ear.kinds(long)[-3:] == ["Digit", "TimerFired", "Ended"]
    assert pressed == {short: ["1"], long: ["2"], info: ["5"]}
    await lab.released()


async def test_a_long_prompt_keeps_nothing_else_waiting(lab: Lab) -> None:
    leg, other = new_leg(), new_leg()

    def react(event: LegEvent) -> Sequence[Command]:
        match event:
            case Answered(leg_id=each) if each == leg:
                return (_clip(CLIP_S), StartTimer(1, 0.2), StartTimer(2, 0.4))
            case Answered():
                return (HangUp(),)
        return ()

    async with hearing(lab.client(), react) as ear:
        await ear.engine.originate(request("001", leg))
        await ear.until_heard(leg, TimerFired)
        await ear.engine.originate(request("001", other))
        await ear.until_ended(other)
        await ear.command(leg, HangUp())
        ended = await ear.until_ended(leg)
        assert "PlaybackEnded" not in ear.kinds(leg)
    assert ended.answered_at is not None
    assert ended.at - ended.answered_at < CLIP_S
    await lab.released()


async def test_several_items_are_one_prompt(lab: Lab) -> None:
    leg = new_leg()
    items = (AudioClip("one", 3.0), Speech("x" * 40), AudioClip("two", 4.0))

    def react(event: LegEvent) -> Sequence[Command]:
        match event:
            case Answered():
                return (Play(1, items),)
            case PlaybackEnded():
                return (HangUp(),)
        return ()

    async with hearing(lab.client(), react) as ear:
        await ear.engine.originate(request("001", leg))
        await ear.until_ended(leg)
        _, answered, played, _ = ear.heard[leg]
    assert played.at - answered.at == about((3.0 + 40 / 14 + 0.3 + 4.0) / 10)


async def test_a_call_on_which_nothing_can_be_said_ends(lab: Lab) -> None:
    """Because the words cannot be spoken, or the node does not find the file."""
    unspeakable, missing = new_leg(), new_leg()

    def react(event: LegEvent) -> Sequence[Command]:
        if isinstance(event, Answered):
            return (Play(1, (Speech(UNSPEAKABLE if event.leg_id == unspeakable else "missing"),)),)
        return ()

    engine = lab.client()
    engine.sounds = _Misplaced(lab.asterisk.sounds)
    async with hearing(engine, react) as ear:
        await ear.engine.originate(request("001", unspeakable))
        await ear.engine.originate(request("001", missing))
        ends = [await ear.until_ended(unspeakable), await ear.until_ended(missing)]
        assert ear.kinds(unspeakable) == ear.kinds(missing) == ["Ringing", "Answered", "Ended"]
    assert [end.cause for end in ends] == [EndCause.FAILURE, EndCause.FAILURE]
    await lab.released()


async def test_a_person_is_told_from_a_machine_and_what_cannot_be_told_is_unknown(lab: Lab) -> None:
    legs = {"023": new_leg(), "006": new_leg(), "001": new_leg()}
    async with hearing(lab.client()) as ear:
        for kind, leg in legs.items():
            await ear.engine.originate(request(kind, leg, detect_machine=True))
        by = {}
        for kind, leg in legs.items():
            answered = await ear.until_heard(leg, Answered)
            assert isinstance(answered, Answered)
            by[kind] = answered.by
            await ear.command(leg, HangUp())
            await ear.until_ended(leg)
    assert by == {"023": AnsweredBy.HUMAN, "006": AnsweredBy.MACHINE, "001": AnsweredBy.UNKNOWN}
    await lab.released()


async def test_a_key_pressed_while_a_machine_is_listened_for_is_told_after_the_answer(lab: Lab) -> None:
    leg = new_leg()
    async with hearing(lab.client()) as ear:
        await ear.engine.originate(request("007", leg, detect_machine=True))
        pressed = await ear.until_heard(leg, Digit)
        await ear.command(leg, HangUp())
        await ear.until_ended(leg)
        assert ear.kinds(leg) == ["Ringing", "Answered", "Digit", "Ended"]
    assert isinstance(pressed, Digit)
    assert pressed.digit == "1"


async def test_sound_before_the_answer_counts_as_ringing(lab: Lab) -> None:
    leg = new_leg()
    async with hearing(lab.client(), lambda e: (HangUp(),) if isinstance(e, Answered) else ()) as ear:
        await ear.engine.originate(request("014", leg))
        ended = await ear.until_ended(leg)
        ringing = ear.heard[leg][0]
    assert isinstance(ringing, Ringing)
    assert ended.answered_at is not None
    assert ringing.at < ended.answered_at


async def test_recordings_are_whole_before_the_end_is_told_and_lie_on_the_node_until_forgotten(
    lab: Lab,
) -> None:
    leg = new_leg()

    def react(event: LegEvent) -> Sequence[Command]:
        match event:
            case Answered():
                return (RecordCall(7), StartRecording(8, 30.0, stop_on_digit=True), _clip(0.8))
            case Digit():
                return (StartRecording(9, 30.0, stop_on_digit=False), StartTimer(1, 0.5))
            case TimerFired():
                return (StopRecording(9), StartRecording(10, 30.0, stop_on_digit=False), StartTimer(2, 0.5))
            case RecordingEnded(id=9):
                return (HangUp(),)
        return ()

    engine = lab.client()
    async with hearing(engine, react) as ear:
        await ear.engine.originate(request("007", leg))
        await ear.until_ended(leg)
        told = {event.id: event for event in ear.heard[leg] if isinstance(event, RecordingEnded)}
        assert isinstance(ear.heard[leg][-1], Ended)
    # The last one is over as it begins: it kept no sound.
    assert 10 not in told or told[10].storage_key is None
    names = {f"td-{leg}-{each}" for each in (7, 8, 9)}
    assert names == {told[each].storage_key for each in (7, 8, 9)}
    assert told[8].seconds == pytest.approx(1.0, abs=LATE_S)
    assert told[9].seconds == about(0.5)
    assert told[7].seconds > told[8].seconds + told[9].seconds - 0.1
    async with StoredRecordings(lab.asterisk.node) as stored:
        assert names <= set(await stored.names())
        whole = b"".join([piece async for piece in await stored.fetch(f"td-{leg}-7")])
    with wave.open(io.BytesIO(whole)) as file:
        assert (file.getframerate(), file.getnchannels()) == (8000, 1)
        assert told[7].seconds == about(file.getnframes() / 8000)
    await lab.released()


async def test_a_trunk_that_nobody_knows_is_refused(lab: Lab) -> None:
    async with hearing(lab.client(trunks=Trunks())) as ear:
        with pytest.raises(EngineRefusedError):
            await ear.engine.originate(request("001", new_leg()))


async def test_no_journal_is_left_on_the_node_when_calls_have_ended(lab: Lab) -> None:
    legs = [new_leg() for _ in range(5)]
    async with hearing(lab.client(), lambda e: (PROMPT,) if isinstance(e, Answered) else ()) as ear:
        for leg in legs:
            await ear.engine.originate(request("009", leg))
        for leg in legs:
            await ear.until_ended(leg)
    await lab.released()
    left = [line for line in lab.asterisk.cli("dialplan show globals").splitlines() if "TDL" in line]
    assert left == []
    assert all(f"/td{datetime.now(UTC):%Y%m%d}/{leg}" in lab.asterisk.cli("database show") for leg in legs)
