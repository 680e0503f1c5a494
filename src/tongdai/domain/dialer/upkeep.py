"""Invariants that periodic jobs hold the database to."""

from __future__ import annotations

import logging

from tongdai.domain.dialer.store import recovering as store
from tongdai.kit.db import Database, Tx

log = logging.getLogger(__name__)

LIMITS_AT_ONCE = 50
"""Locked together, and claims wait for them meanwhile."""


async def is_any_alive(tx: Tx) -> bool:
    """Whether any dialer lives: without one no campaign dials, and none says why."""
    return await store.is_any_alive(tx)


async def recount_limits(db: Database) -> int:
    """Hold every cap's count of channels against the open legs; what differs is mended and logged.

    Returns how many differed: anything but 0 is a defect. Locks some caps at a time, each in a transaction of
    its own.
    """
    differing, after = 0, 0
    while True:
        async with db.transaction() as tx:
            wrong, last = await store.recount_limits(tx, after, LIMITS_AT_ONCE)
        for limit_id, said, counted in wrong:
            log.error(
                "a cap miscounted its channels", extra={"limit": limit_id, "said": said, "counted": counted}
            )
        differing += len(wrong)
        if last is None:
            return differing
        after = last
