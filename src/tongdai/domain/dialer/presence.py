"""That this dialer lives: a lock that the database frees when its process ends, and the hints it listens to.

Every presence has an id of its own. After a lost connection the server may hold the old lock for a while, so
the dialer comes back under a new id and takes its own legs along; until then it claims nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from datetime import datetime

from tongdai.domain.dialer.driver import DatabaseClock
from tongdai.domain.dialer.store import claiming, recovering
from tongdai.kit.db import Database, Tx
from tongdai.kit.hints import campaigns_of

log = logging.getLogger(__name__)

FIRST_READINGS = 5
"""Of the database's clock, before the first claim."""


class Presence:
    """Run `hold` again whenever it ends. `on_hint` is told campaign ids; None: look at all of them."""

    def __init__(
        self, db: Database, clock: DatabaseClock, on_hint: Callable[[frozenset[int] | None], None]
    ) -> None:
        self._db = db
        self._clock = clock
        self._on_hint = on_hint
        self._here = asyncio.Event()
        self.dialer_id = 0
        """0 until it has registered once."""

    @property
    def is_here(self) -> bool:
        return self._here.is_set()

    def is_under(self, dialer_id: int) -> bool:
        """True while claims are made under this id."""
        return self._here.is_set() and self.dialer_id == dialer_id

    async def wait(self) -> int:
        """The id under which claims may be made now."""
        await self._here.wait()
        return self.dialer_id

    def leave(self) -> None:
        """Claim nothing any more."""
        self._here.clear()

    async def hold(self) -> None:
        connection = await self._db.dedicated()
        try:
            before = self.dialer_id
            self.dialer_id = await recovering.register(connection, socket.gethostname(), os.getpid())
            if before:
                kept = await recovering.inherit(connection, before, self.dialer_id)
                log.info("a dialer is back under a new id", extra={"dialer": self.dialer_id, "legs": kept})
            await recovering.listen(connection)
            for _ in range(FIRST_READINGS):
                await self.read_clock(connection)
            self._here.set()
            self._on_hint(None)
            async for hint in connection.notifies():
                self._on_hint(campaigns_of(hint.payload))
        finally:
            self._here.clear()
            await connection.close()

    async def read_clock(self, tx: Tx) -> datetime:
        """The database's time, which the clock learns from too."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        database_now = await claiming.database_now(tx)
        self._clock.read(asked, database_now, loop.time())
        return database_now
