"""Nodes that die, freeze and are cut off in the midst of calls, and clients that take over from others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from tests.fakes.dialling import eventually, until
from tests.fakes.ear import Ear, hearing
from tests.fakes.real_calls import LATE_S, Lab, about, new_leg, real_lab, ref, request

from tongdai.adapters.asterisk.engine import AsteriskEngine
from tongdai.adapters.asterisk.journal import variable
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    AudioClip,
    EndCause,
    Ended,
    EngineBack,
    EngineGone,
    EngineUnreachableError,
    HangUp,
    LegKnowledge,
    Play,
    PlaybackEnded,
    RecordCall,
    RecordingEnded,
    Ringing,
    StartTimer,
    TimerFired,
)

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk]

NOTICED_S = 3.5


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with real_lab() as started:
        yield started


@pytest.fixture(autouse=True)
def healthy(lab: Lab) -> Iterator[None]:
    yield
    lab.asterisk.heal()
    lab.asterisk.cli("channel request hangup all")


def _prompt(seconds: float) -> Play:
    return Play(1, (AudioClip(f"clip {seconds}", seconds * 10),))


async def _done(ear: Ear) -> None:
    """Returns once the node has done all that it was asked for: it does one request after another.

    A prompt that was being prepared and a journal that was to be written leave behind the first ping, and so
    before the second.
    """
    assert isinstance(ear.engine, AsteriskEngine)
    for _ in range(2):
        await ear.engine.ask("GET", "asterisk/ping")


async def _ringing_is_noted(ear: Ear, leg: int) -> None:
    """Returns once the node has it in the leg's journal, a little after it was told."""
    engine = ear.engine
    assert isinstance(engine, AsteriskEngine)

    async def look() -> bool:
        return "!R" in (await engine.ask("GET", f"asterisk/variable?variable={variable(leg, 0)}")).body

    await eventually(look)


async def _is_played_to(ear: Ear, leg: int) -> None:
    """Returns once the node has heard that the carrier plays something."""
    engine = ear.engine
    assert isinstance(engine, AsteriskEngine)
    name = (await engine.ask("GET", f"channels/td-{leg}")).json()["name"]
    said = quote(f"HANGUPCAUSE({name},tech)")

    async def look() -> bool:
        return "SIP 183" in (await engine.ask("GET", f"channels/td-{leg}/variable?variable={said}")).body

    await eventually(look)


async def _until_gone(ear: Ear) -> float:
    """Seconds until the engine said that it is gone."""
    begun = time.monotonic()
    await ear.until(lambda: ear.news[-1] == EngineGone(), within=10.0)
    return time.monotonic() - begun


async def test_a_node_that_is_cut_off_is_noticed_and_its_calls_go_on_where_they_were(lab: Lab) -> None:
    leg = new_leg()
    async with hearing(lab.client()) as ear:
        await ear.engine.originate(request("001", leg))
        await ear.until_heard(leg, Answered)
        await ear.command(leg, RecordCall(5))
        await ear.command(leg, _prompt(1.5))
        await ear.command(leg, StartTimer(2, 1.0))
        await ear.command(leg, StartTimer(3, 60.0))
        await _done(ear)
        told = list(ear.heard[leg])
        lab.asterisk.cut()
        noticed = await _until_gone(ear)
        with pytest.raises(EngineUnreachableError):
            await ear.engine.originate(request("001", new_leg()))
        ear.heard.clear()
        lab.asterisk.heal()
        await ear.until(lambda: ear.news[-1] == EngineBack())
        assert await ear.engine.adopt([ref(leg)]) == {leg: LegKnowledge.REPLAYED}
        await ear.until_heard(leg, PlaybackEnded)
        fired = await ear.until_heard(leg, TimerFired)
        await ear.command(leg, HangUp())
        await ear.until_ended(leg)
        assert ear.heard[leg][: len(told)] == told
        assert [event.seq for event in ear.heard[leg]] == list(range(1, len(ear.heard[leg]) + 1))
        assert ear.kinds(leg)[-2:] == ["RecordingEnded", "Ended"]
    assert noticed < NOTICED_S
    assert isinstance(fired, TimerFired)
    assert fired.id == 2


async def test_a_frozen_node_is_noticed_and_an_answer_that_does_not_come_is_no_refusal(lab: Lab) -> None:
    async with hearing(lab.client()) as ear:
        lab.asterisk.freeze()
        try:
            with pytest.raises(EngineUnreachableError):
                await ear.engine.originate(request("001", new_leg()))
            assert await _until_gone(ear) < NOTICED_S
        finally:
            lab.asterisk.thaw()
        await ear.until(lambda: ear.news[-1] == EngineBack())


async def test_a_call_that_rang_when_its_client_was_cut_off_is_answered_to_the_next(lab: Lab) -> None:
    leg, detected = new_leg(), new_leg()
    async with hearing(lab.client()) as one, hearing(lab.client(direct=True)) as other:
        await one.engine.originate(request("011", leg))
        await one.engine.originate(request("011", detected, detect_machine=True))
        await one.until_heard(leg, Ringing)
        await one.until_heard(detected, Ringing)
        lab.asterisk.cut()
        known = await other.engine.adopt([ref(leg), ref(detected)])
        answered = await other.until_heard(leg, Answered)
        by = await other.until_heard(detected, Answered)
        for each in (leg, detected):
            await other.command(each, HangUp())
            ended = await other.until_ended(each)
            assert ended.cause is EndCause.NORMAL
            assert other.kinds(each) == ["Ringing", "Answered", "Ended"]
        assert one.kinds(leg) == ["Ringing"]
    assert set(known.values()) == {LegKnowledge.REPLAYED}
    assert isinstance(answered, Answered)
    assert isinstance(by, Answered)
    assert 4.0 < answered.answered_at < 8.0
    assert by.by is AnsweredBy.UNKNOWN


async def test_how_calls_ended_while_nobody_listened_is_found_out(lab: Lab) -> None:
    """Talked to its end, refused, rung out, and answered when there was nobody to speak."""
    legs = {kind: new_leg() for kind in ("022", "012", "002", "011")}
    async with hearing(lab.client()) as one, hearing(lab.client(direct=True)) as other:
        await one.engine.originate(request("022", legs["022"]))
        await one.until_heard(legs["022"], Answered)
        await one.command(legs["022"], RecordCall(4))
        await one.engine.originate(request("011", legs["011"], ring_s=8.0))
        await one.engine.originate(request("002", legs["002"], ring_s=4.0))
        await one.until_heard(legs["002"], Ringing)
        await _ringing_is_noted(one, legs["002"])
        await one.engine.originate(request("012", legs["012"]))
        lab.asterisk.cut(refuse=True)
        await _until_gone(one)
        await until(lambda: not lab.asterisk.channels())
        known = await other.engine.adopt([ref(leg, ago_s=10) for leg in legs.values()])
        ends = {kind: await other.until_ended(leg) for kind, leg in legs.items()}
        recorded = await other.until_heard(legs["022"], RecordingEnded)
    assert set(known.values()) == {LegKnowledge.REPLAYED}
    assert {kind: end.cause for kind, end in ends.items()} == {
        "022": EndCause.NORMAL,
        "012": EndCause.UNREACHABLE,
        "002": EndCause.NO_ANSWER,
        "011": EndCause.NORMAL,
    }
    talk = ends["022"].at - (ends["022"].answered_at or 0.0)
    assert talk == pytest.approx(2.0, abs=LATE_S)
    assert isinstance(recorded, RecordingEnded)
    assert talk == about(recorded.seconds)
    assert ends["011"].answered_at == ends["011"].at


async def test_a_phone_that_rang_after_its_client_was_cut_off_is_known_to_have_rung(lab: Lab) -> None:
    """Rung out, declined, played to and never heard of; the node has no journal in which it rings."""
    ring_s = {"002": 2.0, "004": 4.0, "025": 2.0, "020": 2.0}
    legs = {kind: new_leg() for kind in ring_s}
    async with hearing(lab.client()) as one, hearing(lab.client(direct=True)) as other:
        await asyncio.gather(
            *(one.engine.originate(request(kind, leg, ring_s=ring_s[kind])) for kind, leg in legs.items())
        )
        lab.asterisk.cut(refuse=True)
        await _until_gone(one)
        await until(lambda: not lab.asterisk.channels())
        await other.engine.adopt([ref(leg, ago_s=10) for leg in legs.values()])
        ends = {kind: await other.until_ended(leg) for kind, leg in legs.items()}
    assert {kind: end.cause for kind, end in ends.items()} == {
        "002": EndCause.NO_ANSWER,
        "004": EndCause.REJECTED,
        "025": EndCause.NO_ANSWER,
        "020": EndCause.CONGESTION,
    }
    assert {kind: other.kinds(leg)[0] == "Ringing" for kind, leg in legs.items()} == {
        "002": True,
        "004": True,
        "025": True,
        "020": False,
    }


async def test_a_phone_that_rings_out_with_another_client_has_rung_also_where_its_carrier_only_played(
    lab: Lab,
) -> None:
    legs = {kind: new_leg() for kind in ("002", "025", "020")}
    async with hearing(lab.client()) as one, hearing(lab.client(direct=True)) as other:
        await asyncio.gather(
            *(one.engine.originate(request(kind, leg, ring_s=5.0)) for kind, leg in legs.items())
        )
        await one.until_heard(legs["002"], Ringing)
        await _is_played_to(one, legs["025"])
        lab.asterisk.cut(refuse=True)
        await other.engine.adopt([ref(leg) for leg in legs.values()])
        ends = {kind: await other.until_ended(leg) for kind, leg in legs.items()}
    assert {kind: (other.kinds(leg)[0] == "Ringing", ends[kind].cause) for kind, leg in legs.items()} == {
        "002": (True, EndCause.NO_ANSWER),
        "025": (True, EndCause.NO_ANSWER),
        "020": (False, EndCause.CONGESTION),
    }


async def test_a_restarted_node_has_forgotten_calls_that_were_up_and_lost_none_that_had_ended(
    lab: Lab,
) -> None:
    up, over = new_leg(), new_leg()
    async with hearing(lab.client()) as ear:
        await ear.engine.originate(request("001", up))
        await ear.engine.originate(request("003", over))
        await ear.until_heard(up, Answered)
        await ear.until_ended(over)
        # AstDB is written to disk once a second.
        await ear.command(up, StartTimer(1, 1.5))
        await ear.until_heard(up, TimerFired)
        lab.asterisk.kill()
        lab.asterisk.start()
        await ear.until(lambda: ear.news == [EngineBack(), EngineGone(), EngineBack()])
        ear.heard.clear()
        known = await ear.engine.adopt([ref(up, ago_s=2), ref(over, ago_s=2)])
        ended = await ear.until_ended(over)
        leg = new_leg()
        await ear.engine.originate(request("003", leg))
        await ear.until_ended(leg)
    assert known == {up: LegKnowledge.FORGOTTEN, over: LegKnowledge.REPLAYED}
    assert ended.cause is EndCause.BUSY


async def test_of_many_calls_none_is_told_twice_or_lost_when_another_client_takes_over(lab: Lab) -> None:
    legs = [new_leg() for _ in range(40)]
    async with hearing(lab.client()) as one, hearing(lab.client(direct=True)) as other:
        await asyncio.gather(*(one.engine.originate(request("001", leg)) for leg in legs))
        await one.until(lambda: all("Answered" in one.kinds(leg) for leg in legs))
        await _done(one)
        lab.asterisk.cut()
        known = await other.engine.adopt([ref(leg) for leg in legs])
        assert set(known.values()) == {LegKnowledge.REPLAYED}
        await other.until(lambda: all("Answered" in other.kinds(leg) for leg in legs))
        for leg in legs:
            await other.command(leg, HangUp())
        await other.until(lambda: all("Ended" in other.kinds(leg) for leg in legs))
        assert all(other.heard[leg][:-1] == one.heard[leg] for leg in legs)
        assert all(isinstance(other.heard[leg][-1], Ended) for leg in legs)
    await lab.released()
