"""SQL of the figures that an operator watches."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from tongdai.domain.webhooks.store import sending
from tongdai.kit.db import Sql, Tx

MOST_COUNTED: Final = 100_000

# By result, since the beginning.
TOTALS: Sql = "SELECT result, tries FROM webhook_totals"

# How much is on its way, up to a number that is counted at no great cost. Index webhook_deliveries_due.
COUNT_PENDING: Sql = """
    SELECT count(*) FROM (SELECT FROM webhook_deliveries WHERE state = 'pending' LIMIT %s) AS counted"""


async def totals(tx: Tx) -> dict[str, int]:
    return dict(await (await tx.execute(TOTALS)).fetchall())


async def count_pending(tx: Tx) -> int:
    """No more than `MOST_COUNTED`."""
    row = await (await tx.execute(COUNT_PENDING, (MOST_COUNTED,))).fetchone()
    assert row is not None
    return int(row[0])


async def waiting(tx: Tx, now: datetime) -> tuple[int, int, datetime | None]:
    """(open endpoints that something waits for, closed ones, when the first is due at an open one)."""
    found = await sending.look(tx)
    due = [one.due_at for one in found if one.is_open(now)]
    return len(due), len(found) - len(due), min(due, default=None)
