"""Writes ends in batches: those that come close together share one transaction.

A result stays here until the database has taken it, however long that lasts; writing one twice changes
nothing, so an unknown commit is simply written again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from tongdai.domain import calls, live
from tongdai.domain.live import LegResult
from tongdai.kit.db import TRANSIENT_ERRORS, Database

log = logging.getLogger(__name__)


class Ender:
    """One writer. `on_ended` is called with the leg ids after each commit."""

    def __init__(
        self,
        db: Database,
        now: Callable[[], datetime],
        *,
        on_ended: Callable[[set[int]], None],
        batch: int = 200,
    ) -> None:
        self._db = db
        self._now = now
        self._on_ended = on_ended
        self._batch = batch
        self._waiting: list[LegResult] = []
        self._pending: set[int] = set()
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def put(self, result: LegResult) -> None:
        if result.facts.leg_id in self._pending:
            return
        self._waiting.append(result)
        self._pending.add(result.facts.leg_id)
        self._empty.clear()
        self._arrived.set()

    def holds(self, leg_id: int) -> bool:
        """True while the leg's end is here and not written."""
        return leg_id in self._pending

    async def drained(self) -> None:
        """Returns once everything put so far is written."""
        await self._empty.wait()

    async def run(self) -> None:
        while True:
            await self._arrived.wait()
            batch, self._waiting = self._waiting[: self._batch], self._waiting[self._batch :]
            if batch:
                await self._write(batch)
            if not self._waiting:
                self._arrived.clear()
                self._empty.set()

    async def _write(self, batch: list[LegResult]) -> None:
        pause = 0.05
        while True:
            try:
                async with self._db.transaction() as tx:
                    await live.end_legs(tx, batch, self._now())
                await self._end_queued_of_opted_out(batch)
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
                written = {result.facts.leg_id for result in batch}
                self._pending -= written
                self._on_ended(written)
                return

    async def _end_queued_of_opted_out(self, batch: list[LegResult]) -> None:
        """At once, so that nobody reads of a queued call to somebody who wants none."""
        for facts in (result.facts for result in batch if result.opted_out):
            async with self._db.transaction() as tx:
                await calls.refuse_opted_out(
                    tx, facts.account_id, [facts.number], facts.advertiser, self._now()
                )

    async def _write_apart(self, batch: list[LegResult]) -> None:
        """Something in the batch can never be written: it must not hold up the others."""
        if len(batch) == 1:
            leg_id = batch[0].facts.leg_id
            log.exception("an end cannot be written", extra={"leg": leg_id})
            self._pending.discard(leg_id)
            return
        half = len(batch) // 2
        await self._write(batch[:half])
        await self._write(batch[half:])
