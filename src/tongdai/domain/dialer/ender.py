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


LINGER_S = 0.2
"""Ends that come one by one are written so long after those before them, together: a transaction costs much
the same for one as for ten. The first after a pause is written at once."""
HURRIED_S = 0.02
"""The same while calls wait for the channels that come free with them."""
MANY = 20
"""So many are worth a transaction of their own at any time."""


class Ender:
    """One writer. `on_ended` is called with the leg ids after each commit; `is_awaited` says whether calls
    wait for channels."""

    def __init__(
        self,
        db: Database,
        now: Callable[[], datetime],
        *,
        on_ended: Callable[[set[int]], None],
        is_awaited: Callable[[], bool] = lambda: False,
        batch: int = 200,
    ) -> None:
        self._db = db
        self._now = now
        self._on_ended = on_ended
        self._is_awaited = is_awaited
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
        written_at = 0.0
        while True:
            await self._arrived.wait()
            await self._linger(written_at)
            written_at = asyncio.get_running_loop().time()
            batch, self._waiting = self._waiting[: self._batch], self._waiting[self._batch :]
            if batch:
                await self._write(batch)
            if not self._waiting:
                self._arrived.clear()
                self._empty.set()

    async def _linger(self, written_at: float) -> None:
        """Until there are many, or it is time for the few that there are."""
        loop = asyncio.get_running_loop()
        while len(self._waiting) < MANY:
            linger = HURRIED_S if self._is_awaited() else LINGER_S
            left = written_at + linger - loop.time()
            if left <= 0:
                return
            await asyncio.sleep(min(left, HURRIED_S))

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
