"""What every telephony engine promises of calls that come in, as the port says it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import ClassVar, Protocol

import pytest
from tests.engines.conftest import CarrierAndPhone
from tests.fakes.carrier import CarrierProcess
from tests.fakes.ear import Ear, hearing
from tests.fakes.handset import Handset, Plan, Press
from tests.fakes.one_trunk import Tones, Trunks
from tests.fakes.real_calls import about

from tongdai.adapters.asterisk.engine import AsteriskEngine
from tongdai.adapters.sandbox.engine import SandboxEngine
from tongdai.ports.telephony import (
    Answered,
    Command,
    Digit,
    EndCause,
    Ended,
    EngineRefusedError,
    HangUp,
    IncomingCall,
    IncomingEngine,
    IncomingGone,
    LegEvent,
    LegKnowledge,
    LegRef,
    PickUp,
    Play,
    PlaybackEnded,
    Speech,
    Transfer,
    TransferEnded,
    TransferLeg,
)

pytestmark = pytest.mark.anyio

TRUNK = 3
HOTLINE = "02473001234"
CALLER = "0912345001"
_legs = count(9_100_000_001)
PROMPT = Play(1, (Speech("x" * 60),))


class Outside(Protocol):
    """Somebody with a telephone, and the engine that their calls come in on."""

    def client(self) -> IncomingEngine: ...

    async def calls(self, *, presses: str = "", waits_s: float | None = None) -> None:
        """Returns when it rings, or begins to. `waits_s` None: until somebody does something."""
        ...

    async def refused_as(self) -> int:
        """The SIP status that the caller heard at the end."""
        ...


class SandboxOutside:
    STATUS: ClassVar = {"busy": 486, "unallocated": 404, "congestion": 503, "normal": 603}

    def __init__(self, carrier: CarrierProcess) -> None:
        self._carrier = carrier

    def client(self) -> IncomingEngine:
        return SandboxEngine(self._carrier.address)

    async def calls(self, *, presses: str = "", waits_s: float | None = None) -> None:
        engine = SandboxEngine(self._carrier.address)
        async with hearing(engine):
            patience = 600.0 if waits_s is None else waits_s
            await engine.place(TRUNK, CALLER, HOTLINE, waits_s=patience, presses=presses)

    async def refused_as(self) -> int:
        async with asyncio.timeout(20):
            while True:
                for line in self._carrier.lines():
                    if line.event == "REJECT":
                        return self.STATUS[line.cause]
                await asyncio.sleep(0.02)


class AsteriskOutside:
    def __init__(self, lab: CarrierAndPhone, handset: Handset) -> None:
        self._asterisk, phone = lab
        self._handset = handset
        self._trunk = replace(phone.sip_trunk(TRUNK), match=(handset.host,))
        self._call = 0

    def client(self) -> IncomingEngine:
        sounds = Tones(self._asterisk.sounds, pace=4.0)
        return AsteriskEngine(self._asterisk.node, Trunks(self._trunk), sounds)

    async def calls(self, *, presses: str = "", waits_s: float | None = None) -> None:
        plan = Plan(presses=tuple(Press(0.4 + place, key) for place, key in enumerate(presses)))
        address = f"sip:{HOTLINE}@127.0.0.1:{self._asterisk.sip_port}"
        async with asyncio.timeout(20):
            # Until whoever hears them has told the node of its trunks, calls over these are strangers'.
            while not await self._rings(address, plan):
                pass
        if waits_s is not None:
            asyncio.get_running_loop().call_later(waits_s, self._handset.hang_up, self._call)

    async def _rings(self, address: str, plan: Plan) -> bool:
        self._call = self._handset.call(address, caller=CALLER, plan=plan)
        while not self._handset.seen("ended", call=self._call):
            if self._handset.seen("ringing", call=self._call):
                return True
            await asyncio.sleep(0.02)
        return False

    async def refused_as(self) -> int:
        return (await self._handset.until("ended", call=self._call)).status


@pytest.fixture(params=["sandbox", pytest.param("asterisk", marks=pytest.mark.asterisk)])
def outside(
    request: pytest.FixtureRequest, tmp_path: Path, lab: Callable[[], CarrierAndPhone]
) -> Iterator[Outside]:
    """The sandbox's clock runs four times as fast as the world's."""
    with ExitStack() as stack:
        if request.param == "sandbox":
            yield SandboxOutside(stack.enter_context(CarrierProcess(tmp_path, speed=4.0)))
        else:
            yield AsteriskOutside(lab(), stack.enter_context(Handset()))


def nothing(event: LegEvent) -> Sequence[Command]:
    return ()


def speaks_once(event: LegEvent) -> Sequence[Command]:
    match event:
        case Answered():
            return (PROMPT,)
        case PlaybackEnded():
            return (HangUp(),)
    return ()


async def came(ear: Ear, engine: IncomingEngine, outside: Outside, **how: object) -> IncomingCall:
    """Somebody calls, and this client hears of it."""
    await engine.hear_incoming(True)
    await outside.calls(**how)  # type: ignore[arg-type]
    await ear.until(lambda: bool(ear.incoming))
    call = ear.incoming[0]
    assert isinstance(call, IncomingCall)
    return call


async def test_a_call_is_heard_with_its_trunk_and_both_numbers_as_the_carrier_wrote_them(
    outside: Outside,
) -> None:
    engine = outside.client()
    async with hearing(engine) as ear:
        call = await came(ear, engine, outside)
        await engine.refuse(call.channel, EndCause.NORMAL)
    assert (call.trunk_id, call.caller, call.called) == (TRUNK, CALLER, HOTLINE)
    assert call.came_at.tzinfo is not None


async def test_an_accepted_call_is_a_leg_whose_events_are_numbered_from_one(outside: Outside) -> None:
    engine, leg = outside.client(), next(_legs)
    async with hearing(engine, speaks_once) as ear:
        call = await came(ear, engine, outside)
        await engine.accept(call.channel, leg, 60.0)
        await ear.command(leg, PickUp())
        ended = await ear.until_ended(leg)
        kinds = [kind for kind in ear.kinds(leg) if kind != "Ringing"]
        assert [event.seq for event in ear.heard[leg]] == list(range(1, len(ear.heard[leg]) + 1))
    assert kinds == ["Answered", "PlaybackEnded", "Ended"]
    assert ended.cause is EndCause.NORMAL
    assert ended.answered_at is not None


async def test_accepting_does_not_answer(outside: Outside) -> None:
    engine, leg = outside.client(), next(_legs)
    async with hearing(engine) as ear:
        call = await came(ear, engine, outside, waits_s=1.5)
        await engine.accept(call.channel, leg, 60.0)
        ended = await ear.until_ended(leg)
        assert "Answered" not in ear.kinds(leg)
    assert ended.answered_at is None


@pytest.mark.parametrize(
    ("cause", "status"), [(EndCause.BUSY, 486), (EndCause.UNALLOCATED, 404), (EndCause.CONGESTION, 503)]
)
async def test_a_refused_caller_hears_why(outside: Outside, cause: EndCause, status: int) -> None:
    engine = outside.client()
    async with hearing(engine) as ear:
        call = await came(ear, engine, outside)
        await engine.refuse(call.channel, cause)
        assert await outside.refused_as() == status
        await engine.refuse(call.channel, cause)  # harmless


async def test_a_caller_who_gives_up_is_told_of_and_can_be_accepted_no_more(outside: Outside) -> None:
    engine = outside.client()
    async with hearing(engine) as ear:
        call = await came(ear, engine, outside, waits_s=1.5)
        await ear.until(lambda: IncomingGone(call.channel) in ear.incoming)
        with pytest.raises(EngineRefusedError):
            await engine.accept(call.channel, next(_legs), 60.0)


async def test_whoever_asks_last_hears_those_that_ring_too(outside: Outside) -> None:
    first, second = outside.client(), outside.client()
    async with hearing(first) as ear, hearing(second) as other:
        call = await came(ear, first, outside)
        await second.hear_incoming(True)
        await other.until(lambda: bool(other.incoming))
        told = other.incoming[0]
        assert isinstance(told, IncomingCall)
        assert told.channel == call.channel
        leg = next(_legs)
        await second.accept(call.channel, leg, 60.0)
        await other.command(leg, PickUp())
        await other.until_heard(leg, Answered)
        await other.command(leg, HangUp())
        await other.until_ended(leg)
        assert ear.heard[leg] == []


async def test_who_does_not_want_to_hear_hears_nothing(outside: Outside) -> None:
    deaf, engine = outside.client(), outside.client()
    async with hearing(deaf) as silent, hearing(engine) as ear:
        await deaf.hear_incoming(True)
        await deaf.hear_incoming(False)
        call = await came(ear, engine, outside)
        await engine.refuse(call.channel, EndCause.BUSY)
        assert silent.incoming == []


async def test_keys_that_the_caller_presses_are_told(outside: Outside) -> None:
    engine, leg = outside.client(), next(_legs)
    async with hearing(engine, lambda event: (PROMPT,) if isinstance(event, Answered) else ()) as ear:
        call = await came(ear, engine, outside, presses="7")
        await engine.accept(call.channel, leg, 60.0)
        await ear.command(leg, PickUp())
        digit = await ear.until_heard(leg, Digit)
        await ear.command(leg, HangUp())
        await ear.until_ended(leg)
    assert isinstance(digit, Digit)
    assert digit.digit == "7"


async def test_a_call_ends_at_its_limit_by_itself(outside: Outside) -> None:
    engine, leg = outside.client(), next(_legs)
    async with hearing(engine) as ear:
        call = await came(ear, engine, outside)
        await engine.accept(call.channel, leg, 2.0)
        await ear.command(leg, PickUp())
        ended = await ear.until_ended(leg)
    assert ended.at == about(2.0)


async def test_a_call_that_nobody_picks_up_ends_at_its_limit_by_itself(outside: Outside) -> None:
    engine, leg = outside.client(), next(_legs)
    async with hearing(engine) as ear:
        call = await came(ear, engine, outside)
        await engine.accept(call.channel, leg, 2.0)
        ended = await ear.until_ended(leg)
    assert ended.answered_at is None
    assert ended.at == about(2.0)


async def test_another_client_adopts_an_accepted_call_and_hears_it_from_its_first_event(
    outside: Outside,
) -> None:
    first, second, leg = outside.client(), outside.client(), next(_legs)
    async with hearing(second) as other:
        async with hearing(first) as ear:
            call = await came(ear, first, outside)
            await first.accept(call.channel, leg, 60.0)
            await ear.command(leg, PickUp())
            await ear.until_heard(leg, Answered)
            before = list(ear.heard[leg])
        known = await second.adopt([LegRef(leg, call.came_at, call.channel)])
        assert known == {leg: LegKnowledge.REPLAYED}
        await other.command(leg, PickUp())  # an adopter repeats what it comes to
        await other.until_heard(leg, Answered)
        assert [type(event) for event in other.heard[leg][: len(before)]] == [type(event) for event in before]
        await other.command(leg, HangUp())
        ended = await other.until_ended(leg)
        assert [event.seq for event in other.heard[leg]] == list(range(1, ended.seq + 1))
    assert ended.answered_at is not None


async def test_a_transfer_picks_the_caller_up_when_a_phone_answers(outside: Outside) -> None:
    engine, leg, phone = outside.client(), next(_legs), next(_legs)
    target = TransferLeg(phone, TRUNK, CALLER, HOTLINE, 1.0)
    async with hearing(engine) as ear:
        call = await came(ear, engine, outside)
        await engine.accept(call.channel, leg, 120.0)
        await ear.command(leg, Transfer(1, "84912345001", 30.0, legs=(target,)))
        over = await ear.until_heard(leg, TransferEnded)
        kinds = [kind for kind in ear.kinds(leg) if kind != "Ringing"]
        await ear.command(leg, HangUp())
        await ear.until_heard(leg, Ended)
    assert kinds == ["Answered", "TransferEnded"]
    assert isinstance(over, TransferEnded)
    assert (over.connected, over.leg_id_connected) == (True, phone)
