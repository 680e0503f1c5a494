"""Writes the ends of legs that were dialled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from tongdai.domain import calls, live
from tongdai.domain.live import EndWriter, LegResult
from tongdai.kit.db import Database


class Ender(EndWriter[LegResult]):
    """`on_ended` is called after each commit; `is_awaited` says whether calls wait for channels."""

    def __init__(
        self,
        db: Database,
        now: Callable[[], datetime],
        *,
        on_ended: Callable[[], None],
        is_awaited: Callable[[], bool],
        batch: int = 200,
    ) -> None:
        super().__init__(
            self._end, lambda one: one.facts.leg_id, on_written=on_ended, is_awaited=is_awaited, batch=batch
        )
        self._db = db
        self._now = now

    async def _end(self, batch: list[LegResult]) -> None:
        async with self._db.transaction() as tx:
            await live.end_legs(tx, batch, self._now())
        for facts in (result.facts for result in batch if result.opted_out):
            # At once, so that nobody reads of a queued call to somebody who wants none.
            async with self._db.transaction() as tx:
                await calls.refuse_opted_out(
                    tx, facts.account_id, [facts.number], facts.advertiser, self._now()
                )
