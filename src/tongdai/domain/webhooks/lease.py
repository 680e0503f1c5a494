"""That this process may send: a time that it renews, and after which others may take its endpoints over.

It stops by its own clock before the database's time is up, so that an endpoint never has two senders. A
process that was away for longer, or that could not reach the database, comes back as a new sender that holds
nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from datetime import timedelta

from tongdai.domain.webhooks.store import sending
from tongdai.kit.db import Database

log = logging.getLogger(__name__)


class Lease:
    """`on_lost` is called when the time is up: nothing may be sent from then on."""

    def __init__(self, db: Database, lasts_s: float, on_lost: Callable[[], None]) -> None:
        self._db = db
        self._lasts_s = lasts_s
        self._on_lost = on_lost
        self._until = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self.sender_id = 0
        """0: none."""
        self.senders = 1
        """How many there are, this one among them."""

    @property
    def is_held(self) -> bool:
        return self.sender_id != 0 and asyncio.get_running_loop().time() < self._until

    @property
    def is_due(self) -> bool:
        """True: it is time to renew it."""
        return asyncio.get_running_loop().time() > self._until - 0.75 * self._lasts_s

    async def keep(self) -> None:
        """Begin or renew it."""
        asked = asyncio.get_running_loop().time()
        lasts = timedelta(seconds=self._lasts_s)
        async with self._db.transaction() as tx:
            renewed = self.is_held and await sending.renew(tx, self.sender_id, lasts)
            sender_id = self.sender_id if renewed else 0
            if not renewed:
                self.lose()
                sender_id = await sending.register(tx, socket.gethostname(), os.getpid(), lasts)
            senders = await sending.count_senders(tx)
        if renewed and not self.is_held:
            return  # its time was up while it was being renewed; the next turn begins anew
        self.sender_id, self.senders = sender_id, max(senders, 1)
        # A tenth is kept back for clocks that run at different speeds.
        self._until = asked + 0.9 * self._lasts_s
        self._rewatch()

    async def leave(self) -> None:
        """Give everything back."""
        sender_id = self.sender_id
        self.lose()
        if sender_id:
            async with self._db.transaction() as tx:
                await sending.leave(tx, sender_id)

    def lose(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self.sender_id:
            self.sender_id = 0
            self._on_lost()

    def _rewatch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = asyncio.get_running_loop().call_at(self._until, self._expired)

    def _expired(self) -> None:
        log.warning("the time to send webhooks ran out before it was renewed")
        self.lose()
