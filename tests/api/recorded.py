"""A recording of a call, as it is when its leg has ended and, if wanted, when it was fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tests.api.world import World
from tests.fakes.shelf import Shelf, sound

from tongdai.domain import recordings
from tongdai.domain.recordings import Fetcher, NewRecording
from tongdai.ports.services import Services
from tongdai.ports.telephony import RecordingStore

NODE = "asterisk/1"


async def with_recording(services: Services, account_id: int, world: World, *, stored: bool = True) -> World:
    """The world with a second of recording of its call."""
    new = NewRecording(
        account_id=account_id,
        leg_id=7,
        engine=NODE,
        name="td-7-0",
        kind="call",
        seconds=1.0,
        at=services.clock.now(),
        call_id=world.call_id,
        campaign_id=world.campaign_id,
    )
    async with services.db.transaction() as tx:
        [recording_id] = await recordings.note(tx, [new])
    assert recording_id is not None
    if stored:
        assert await fetcher(services, {NODE: Shelf({"td-7-0": sound()})}).do_due() == 1
    return replace(world, recording_id=recording_id)


def fetcher(services: Services, stores: Mapping[str, RecordingStore]) -> Fetcher:
    async def now() -> Mapping[str, RecordingStore]:
        return stores

    return Fetcher(services.db, now, services.recorded, services.clock)
