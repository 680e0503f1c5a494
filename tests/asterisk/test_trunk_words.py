"""What a carrier's answers mean is the trunk's to say, also to a dialer that did not place the call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.fakes.asterisk import AsteriskInstance
from tests.fakes.one_trunk import Tones, Trunks
from tests.fakes.sippeer import WAIT_S, Peer, sip_peer

from tongdai.adapters.asterisk.engine import AsteriskEngine
from tongdai.ports.sip import SipTrunk
from tongdai.ports.telephony import (
    DialRequest,
    EndCause,
    Ended,
    EngineBack,
    EngineEvent,
    LegKnowledge,
    LegRef,
)

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk]

TRUNK = 40


class Dialer:
    def __init__(self, engine: AsteriskEngine) -> None:
        self.engine = engine
        self._events = engine.events()

    async def until(self, kind: type[EngineEvent]) -> Any:
        async with asyncio.timeout(WAIT_S):
            while not isinstance(event := await anext(self._events), kind):
                pass
        return event

    async def dial(self, leg_id: int, *, ring_s: float = 30.0) -> None:
        request = DialRequest(
            leg_id=leg_id,
            trunk_id=TRUNK,
            number="0912345678",
            caller="0241234567",
            ring_s=ring_s,
            max_s=30.0,
            detect_machine=False,
            dial_before=datetime.now(UTC) + timedelta(seconds=10),
        )
        await self.engine.originate(request)


@asynccontextmanager
async def dialer(asterisk: AsteriskInstance, trunk: SipTrunk) -> AsyncIterator[Dialer]:
    engine = AsteriskEngine(asterisk.node, Trunks(trunk), Tones(asterisk.sounds))
    one = Dialer(engine)
    await engine.start()
    try:
        await one.until(EngineBack)
        yield one
    finally:
        await engine.stop()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with sip_peer() as made:
        yield made


def trunk_to(peer: Peer, **more: Any) -> SipTrunk:
    return SipTrunk(trunk_id=TRUNK, revision=1, host=peer.host, port=peer.port, **more)


@pytest.mark.parametrize(
    ("causes", "cause"), [({}, EndCause.UNREACHABLE), ({480: EndCause.NO_ANSWER}, EndCause.NO_ANSWER)]
)
async def test_a_status_means_what_the_trunk_says(
    asterisk: AsteriskInstance, peer: Peer, causes: dict[int, EndCause], cause: EndCause
) -> None:
    peer.answers_with = 480
    async with dialer(asterisk, trunk_to(peer, causes=causes)) as one:
        await one.dial(4_000_001)

        assert (await one.until(Ended)).cause is cause


async def test_and_means_the_same_to_who_adopts_the_call(asterisk: AsteriskInstance, peer: Peer) -> None:
    peer.answers_with = 180
    trunk = trunk_to(peer, causes={480: EndCause.NO_ANSWER})
    async with dialer(asterisk, trunk) as first, dialer(asterisk, trunk) as second:
        began = datetime.now(UTC)
        await first.dial(4_000_002)
        await peer.until(lambda: peer.requests("INVITE"))

        known = await second.engine.adopt([LegRef(4_000_002, began)])
        peer.finish(peer.requests("INVITE")[0], ("127.0.0.1", asterisk.sip_port), 480)

        assert known == {4_000_002: LegKnowledge.REPLAYED}
        assert (await second.until(Ended)).cause is EndCause.NO_ANSWER


async def test_and_to_who_adopts_it_when_it_has_ended(asterisk: AsteriskInstance, peer: Peer) -> None:
    peer.answers_with = 480
    trunk = trunk_to(peer, causes={480: EndCause.NO_ANSWER})
    async with dialer(asterisk, trunk) as first:
        began = datetime.now(UTC)
        await first.dial(4_000_003)
        await first.until(Ended)
    async with dialer(asterisk, trunk) as second:
        await second.engine.adopt([LegRef(4_000_003, began)])

        assert (await second.until(Ended)).cause is EndCause.NO_ANSWER


@pytest.mark.parametrize(("early_media", "cause"), [(True, EndCause.NO_ANSWER), (False, EndCause.CONGESTION)])
async def test_what_a_carrier_plays_rings_unless_the_trunk_says_that_it_does_not(
    asterisk: AsteriskInstance, peer: Peer, early_media: bool, cause: EndCause
) -> None:
    peer.answers_with = 183
    async with dialer(asterisk, trunk_to(peer, early_media=early_media)) as one:
        await one.dial(4_000_004 + early_media, ring_s=2.0)

        assert (await one.until(Ended)).cause is cause
