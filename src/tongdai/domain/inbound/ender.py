"""Writes what happens to calls that came in: that they were picked up, and how they ended, in batches.

What is put here stays until the database has taken it, however long that lasts. Writing it twice changes
nothing, so an unknown commit is simply written again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from tongdai.domain import calls
from tongdai.domain.inbound.model import InboundResult
from tongdai.domain.inbound.service import end_calls
from tongdai.domain.inbound.store import keeping as store
from tongdai.kit.db import TRANSIENT_ERRORS, Database

log = logging.getLogger(__name__)

BATCH = 100


class Ender:
    """One writer."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._picked_up: list[int] = []
        self._waiting: list[InboundResult] = []
        self._pending: set[int] = set()
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def picked_up(self, leg_id: int) -> None:
        self._picked_up.append(leg_id)
        self._begin()

    def put(self, result: InboundResult) -> None:
        if result.facts.leg_id not in self._pending:
            self._pending.add(result.facts.leg_id)
            self._waiting.append(result)
            self._begin()

    def holds(self, leg_id: int) -> bool:
        """True while the leg's end is here and not written."""
        return leg_id in self._pending

    async def drained(self) -> None:
        """Returns once everything put so far is written."""
        await self._empty.wait()

    async def run(self) -> None:
        while True:
            await self._arrived.wait()
            picked_up, self._picked_up = self._picked_up, []
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            try:
                await self._write(picked_up, batch)
            except asyncio.CancelledError:
                self._picked_up, self._waiting = picked_up + self._picked_up, batch + self._waiting
                raise
            if not self._waiting and not self._picked_up:
                self._arrived.clear()
                self._empty.set()

    def _begin(self) -> None:
        self._empty.clear()
        self._arrived.set()

    async def _write(self, picked_up: Sequence[int], batch: Sequence[InboundResult]) -> None:
        pause = 0.05
        while True:
            try:
                await self._write_once(picked_up, batch)
            except TRANSIENT_ERRORS:
                log.warning(
                    "ends could not be written and are kept", extra={"ends": len(batch)}, exc_info=True
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)
            except Exception:
                await self._write_apart(batch)
                return
            else:
                self._pending -= {one.facts.leg_id for one in batch}
                return

    async def _write_once(self, picked_up: Sequence[int], batch: Sequence[InboundResult]) -> None:
        async with self._db.transaction() as tx:
            now = await store.database_now(tx)
            if batch:
                await end_calls(tx, batch, now)
            if picked_up:  # after the caps are locked, as everybody locks
                await store.picked_up(tx, picked_up)
        for facts in (one.facts for one in batch if one.opted_out and one.facts.caller):
            async with self._db.transaction() as tx:
                await calls.refuse_opted_out(tx, facts.account_id, [facts.caller], facts.advertiser, now)

    async def _write_apart(self, batch: Sequence[InboundResult]) -> None:
        """Something in the batch can never be written: it must not hold up the others."""
        if len(batch) <= 1:
            log.exception(
                "the end of a call that came in cannot be written",
                extra={"legs": [one.facts.leg_id for one in batch]},
            )
            self._pending -= {one.facts.leg_id for one in batch}
            return
        half = len(batch) // 2
        await self._write((), batch[:half])
        await self._write((), batch[half:])
