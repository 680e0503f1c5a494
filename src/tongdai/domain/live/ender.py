"""Writes ends in batches: those that come close together share one transaction.

An end stays here until the database has taken it, however long that lasts. Writing one twice changes nothing,
so after a commit whose answer was lost it is simply written again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from tongdai.kit.writing import write_all

log = logging.getLogger(__name__)

One = TypeVar("One")

LINGER_S = 0.3
"""Ends that come one by one are written so long after those before them, together: a transaction costs much
the same for one as for ten. The first after a pause is written at once."""
HURRIED_S = 0.02
"""The same while calls wait for the channels that come free with them."""
LOOK_S = 0.05
"""How soon it is noticed that calls wait."""
MANY = 60
"""So many are worth a transaction of their own at any time."""


class EndWriter(Generic[One]):
    """One writer.

    `write` writes some, all or none, and may be asked to write them again. `key_of` says what one is the end
    of: as long as it is here, another with its key is passed over. `on_written` is called after each commit,
    and `is_awaited` says whether calls wait for channels.
    """

    def __init__(
        self,
        write: Callable[[list[One]], Awaitable[None]],
        key_of: Callable[[One], Hashable],
        *,
        on_written: Callable[[], None] = lambda: None,
        is_awaited: Callable[[], bool] = lambda: True,
        batch: int,
    ) -> None:
        self._write_once = write
        self._key_of = key_of
        self._on_written = on_written
        self._is_awaited = is_awaited
        self._batch = batch
        self._waiting: list[One] = []
        self._pending: set[Hashable] = set()
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def put(self, one: One) -> None:
        key = self._key_of(one)
        if key in self._pending:
            return
        self._waiting.append(one)
        self._pending.add(key)
        self._empty.clear()
        self._arrived.set()

    def holds(self, key: Hashable) -> bool:
        """True while the end of this is here and not written."""
        return key in self._pending

    async def drained(self) -> None:
        """Returns once everything put so far is written."""
        await self._empty.wait()

    async def run(self) -> None:
        """Until cancelled. What is not written then is kept for the next run."""
        written_at = 0.0
        while True:
            await self._arrived.wait()
            await self._linger(written_at)
            written_at = asyncio.get_running_loop().time()
            batch, self._waiting = self._waiting[: self._batch], self._waiting[self._batch :]
            try:
                if batch:
                    await self._write(batch)
            except BaseException:
                self._put_back(batch)
                raise
            if not self._waiting:
                self._arrived.clear()
                self._empty.set()

    def _put_back(self, batch: list[One]) -> None:
        """Of a batch that was halved some may be written, and may have been put anew since."""
        done = {key for one in batch if not self.holds(key := self._key_of(one))}
        done.update(map(self._key_of, self._waiting))
        self._waiting = [one for one in batch if self._key_of(one) not in done] + self._waiting

    async def _linger(self, written_at: float) -> None:
        """Until there are many, or it is time for the few that there are."""
        loop = asyncio.get_running_loop()
        while len(self._waiting) < MANY:
            linger = HURRIED_S if self._is_awaited() else LINGER_S
            left = written_at + linger - loop.time()
            if left <= 0:
                return
            await asyncio.sleep(min(left, LOOK_S))

    async def _write(self, batch: list[One]) -> None:
        await write_all(batch, self._write_once, done=self._done, cannot=self._give_up)

    def _done(self, batch: list[One]) -> None:
        self._pending.difference_update(map(self._key_of, batch))
        self._on_written()

    def _give_up(self, one: One) -> None:
        key = self._key_of(one)
        log.exception("an end cannot be written", extra={"leg": key})
        self._pending.discard(key)
