"""Senders and events for tests of webhooks, on the real database and real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
from tests.call_events import ANSWERED
from tests.factories import joined
from tests.fakes.clock import FakeClock

from tongdai.adapters.httppost import HttpPoster
from tongdai.domain import webhooks
from tongdai.domain.webhooks import CallEvent, Delivery, Renderers, Sender, SenderConfig, SendingRules
from tongdai.kit.clock import Clock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

QUICK = SendingRules(delays_s=(0.05,), failures_to_pause=1000)
"""Tries again at once, and pauses nobody."""


def render(event: CallEvent, options: Mapping[str, Any]) -> bytes:
    """A body that says what a test wants to know."""
    return msgspec.json.encode({"call_id": event.call_id, "seq": event.seq, **options})


RENDERERS: Renderers = dict.fromkeys(webhooks.FORMATS, render)


@dataclass
class Outbox:
    """One account's webhooks."""

    db: Database
    keyring: Keyring
    account_id: int
    clock: Clock = field(default_factory=lambda: FakeClock(datetime.now(UTC)))

    async def endpoint(self, url: str, **more: Any) -> int:
        async with joined(self.db) as tx:
            issued = await webhooks.create_endpoint(
                tx, self.keyring, self.account_id, url=url, allow_private=True, **more
            )
        return issued.endpoint.id

    async def publish(self, *calls: tuple[int, int]) -> None:
        """Events by call and sequence number."""
        event = msgspec.structs.replace(ANSWERED, account_id=self.account_id)
        async with joined(self.db) as tx:
            await webhooks.publish(
                tx, [msgspec.structs.replace(event, call_id=call, seq=seq) for call, seq in calls]
            )

    async def deliveries(self, endpoint_id: int | None = None, **where: Any) -> list[Delivery]:
        """Oldest first."""
        async with joined(self.db) as tx:
            found = await webhooks.list_deliveries(
                tx,
                self.account_id,
                webhooks.DeliveryFilter(endpoint_id=endpoint_id, **where),
                limit=1000,
            )
        return found[::-1]

    async def states(self, endpoint_id: int | None = None) -> list[str]:
        return [one.state for one in await self.deliveries(endpoint_id)]

    async def get(self, endpoint_id: int) -> webhooks.Endpoint:
        async with joined(self.db) as tx:
            return await webhooks.get_endpoint(tx, self.account_id, endpoint_id)

    async def until_states_are(self, states: set[str]) -> None:
        """Wait until there are deliveries in these states and no others, however many."""

        async def are_so() -> bool:
            async with self.db.autocommit() as connection:
                query = "SELECT DISTINCT state FROM webhook_deliveries WHERE account_id = %s"
                rows = await (await connection.execute(query, (self.account_id,))).fetchall()
            return {state for (state,) in rows} == states

        await eventually(are_so)

    async def until_states(self, states: Sequence[str], endpoint_id: int | None = None) -> None:
        async def are_so() -> bool:
            return await self.states(endpoint_id) == list(states)

        await eventually(are_so)

    @asynccontextmanager
    async def sending(
        self,
        rules: SendingRules = QUICK,
        *,
        timeout_s: float = 5.0,
        renderers: Renderers = RENDERERS,
        **config: Any,
    ) -> AsyncIterator[Sender]:
        """A sender, until the end of the block."""
        sender = self.sender(rules, timeout_s=timeout_s, renderers=renderers, **config)
        stop = asyncio.Event()
        task = asyncio.create_task(sender.run(stop))
        try:
            yield sender
        finally:
            stop.set()
            await task

    def sender(
        self,
        rules: SendingRules = QUICK,
        *,
        timeout_s: float = 5.0,
        renderers: Renderers = RENDERERS,
        **config: Any,
    ) -> Sender:
        settings = replace(SenderConfig(rules=rules, poll_s=0.02, grace_s=1.0), **config)
        poster = HttpPoster(allow_private=True, timeout_s=timeout_s)
        return Sender(self.db, self.keyring, self.clock, poster, renderers, settings)


async def eventually(is_so: Callable[[], Awaitable[bool]], *, within: float = 30.0) -> None:
    """Ask until it is so. Raises TimeoutError."""
    async with asyncio.timeout(within):
        while True:
            if await is_so():
                return
            await asyncio.sleep(0.02)


def told(bodies: Sequence[bytes]) -> list[tuple[int, int]]:
    """(call, sequence number) of each body."""
    return [(one["call_id"], one["seq"]) for one in map(json.loads, bodies)]
