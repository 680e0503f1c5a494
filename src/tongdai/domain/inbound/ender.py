"""Writes what happens to calls that came in: that they were picked up, and how they ended."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from tongdai.domain import calls
from tongdai.domain.inbound.model import InboundResult
from tongdai.domain.inbound.service import end_calls
from tongdai.domain.inbound.store import keeping as store
from tongdai.domain.live import EndWriter
from tongdai.kit.db import Database

BATCH = 100


@dataclass(frozen=True, slots=True)
class PickedUp:
    """It has stopped ringing: an end of another sort."""

    leg_id: int


class Ender(EndWriter[InboundResult | PickedUp]):
    def __init__(self, db: Database) -> None:
        super().__init__(self._write_down, _key, batch=BATCH)
        self._db = db

    async def _write_down(self, batch: list[InboundResult | PickedUp]) -> None:
        ends = [one for one in batch if isinstance(one, InboundResult)]
        picked_up = [one.leg_id for one in batch if isinstance(one, PickedUp)]
        async with self._db.transaction() as tx:
            now = await store.database_now(tx)
            if ends:
                await end_calls(tx, ends, now)
            if picked_up:  # after the caps are locked, as everybody locks
                await store.picked_up(tx, picked_up)
        for facts in (one.facts for one in ends if one.opted_out and one.facts.caller):
            async with self._db.transaction() as tx:
                await calls.refuse_opted_out(tx, facts.account_id, [facts.caller], facts.advertiser, now)


def _key(one: InboundResult | PickedUp) -> Hashable:
    """A leg's id is that of its end."""
    return one if isinstance(one, PickedUp) else one.facts.leg_id
