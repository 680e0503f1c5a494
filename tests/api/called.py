"""A call that came in to a world's hotline, as the API shows it."""

from __future__ import annotations

from dataclasses import replace

from tests.api.world import HOTLINE, World

from tongdai.domain import inbound
from tongdai.domain.inbound import Arrival, Rules
from tongdai.ports.services import Services


async def with_incoming_call(services: Services, account_id: int, world: World) -> World:
    """Somebody called, and nobody answers there: it is a missed call."""
    arrival = Arrival("sandbox", "in-1", world.trunk_id, "+84 912 345 678", HOTLINE)
    async with services.db.transaction() as tx:
        await inbound.take(tx, arrival, 1, Rules())
        found = await inbound.list_incoming_calls(tx, account_id)
    return replace(world, incoming_call_id=found.calls[0].id)
