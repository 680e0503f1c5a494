"""Forgetting what is too old: events, deliveries and tries, and endpoints that were deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from tongdai.domain.webhooks.store import deliveries
from tongdai.kit.db import Database, Tx

AT_ONCE = 2000
"""Rows that are deleted by one transaction."""

Forget = Callable[[Tx, datetime, int, int], Awaitable[tuple[int, int | None]]]


async def forget_old(db: Database, before: datetime) -> int:
    """Deletes what was made before that moment, and returns how many deliveries went.

    What still waits to be sent stays, and so does an event for as long as a delivery tells of it. Many short
    transactions, each of which begins where the one before ended.
    """
    gone = await _all(db, deliveries.forget_deliveries, before)
    await _all(db, deliveries.forget_events, before)
    async with db.transaction() as tx:
        await deliveries.forget_endpoints(tx, before)
    return gone


async def _all(db: Database, forget: Forget, before: datetime) -> int:
    gone, after = 0, 0
    while True:
        async with db.transaction() as tx:
            some, last = await forget(tx, before, after, AT_ONCE)
        gone += some
        if last is None or last <= after:
            return gone
        after = last
