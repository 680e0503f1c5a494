"""Writes what came of tries, in batches: those that end close together share one transaction.

A result stays here until the database has taken it, however long that lasts. Writing one twice changes
nothing, so where it is not known whether a commit went through, the batch is simply written again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import msgspec

from tongdai.domain.webhooks.lane import Lane
from tongdai.domain.webhooks.store import sending
from tongdai.domain.webhooks.store.sending import HealthNews, Result
from tongdai.kit.db import Database
from tongdai.kit.writing import write_all

log = logging.getLogger(__name__)

BATCH = 500
LINGER_S = 0.03
"""How long the first result of a batch waits for others."""
MOST_UNWRITTEN = 1000
"""With so many nothing more is sent: what a dying process did not write is sent again by the next one."""
APART = timedelta(milliseconds=1)


class Outcome(msgspec.Struct, frozen=True):
    """What is to be written after a try, or instead of one."""

    lane: Lane
    result: Result | None
    put_off: tuple[int, ...] = ()
    """Deliveries that are due after `until`, in their order."""
    until: datetime | None = None
    health_changed: bool = False

    @property
    def delivery_ids(self) -> Iterable[int]:
        return self.put_off if self.result is None else (self.result.delivery_id, *self.put_off)


class Writer:
    """`on_written` is called after each commit."""

    def __init__(self, db: Database, on_written: Callable[[], None]) -> None:
        self._db = db
        self._on_written = on_written
        self._waiting: list[Outcome] = []
        self._unwritten = 0
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def is_full(self) -> bool:
        return self._unwritten >= MOST_UNWRITTEN

    def put(self, outcome: Outcome) -> None:
        self._waiting.append(outcome)
        self._unwritten += 1
        self._empty.clear()
        self._arrived.set()

    async def drained(self) -> None:
        """Returns once everything put so far is written."""
        await self._empty.wait()

    async def run(self) -> None:
        while True:
            await self._arrived.wait()
            if len(self._waiting) < BATCH:
                await asyncio.sleep(LINGER_S)
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            await write_all(batch, self._write_once, done=self._done, cannot=self._give_up)
            if not self._waiting:
                self._arrived.clear()
                self._empty.set()

    async def _write_once(self, batch: list[Outcome]) -> None:
        results = [one.result for one in batch if one.result is not None]
        put_off = {
            delivery_id: one.until + APART * (place + 1)
            for one in batch
            if one.until is not None
            for place, delivery_id in enumerate(one.put_off)
        }
        news = [
            _news(lane)
            for lane in {one.lane.target.id: one.lane for one in batch if one.health_changed}.values()
        ]
        if results and not put_off and not news:  # as a rule: one statement, which needs no transaction
            async with self._db.autocommit() as connection:
                await sending.write(connection, results)
            return
        async with self._db.transaction() as tx:
            if results:
                await sending.write(tx, results)
            if put_off:
                await sending.put_off(tx, put_off)
            if news:
                await sending.set_health(tx, news)

    def _done(self, batch: list[Outcome]) -> None:
        for one in batch:
            one.lane.written(one.delivery_ids)
        self._unwritten -= len(batch)
        self._on_written()

    def _give_up(self, one: Outcome) -> None:
        log.exception("a result cannot be written", extra={"endpoint": one.lane.target.id})
        self._done([one])


def _news(lane: Lane) -> HealthNews:
    return HealthNews(
        endpoint_id=lane.target.id,
        version=lane.target.version,
        health=lane.health,
        last_error=lane.last_error,
        last_error_at=lane.last_error_at,
        last_delivered_at=lane.last_delivered_at,
    )
