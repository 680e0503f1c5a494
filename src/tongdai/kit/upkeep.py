"""What has to be done now and then whatever the business does: partitions, and sums that must agree."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.rows import class_row

from tongdai.kit.db import Tx

# Makes the partitions under the next ids of the big tables. The function takes its own lock.
ENSURE_PARTITIONS = "SELECT ensure_partitions()"

# Campaigns whose results per day are not the sum of those per minute. Reads counters alone, a thousand rows
# for the day of a campaign; the primary key serves it.
COUNTER_DRIFT = """
SELECT c.id AS campaign_id, coalesce(r.calls, 0)::bigint AS by_day, coalesce(m.calls, 0)::bigint AS by_minute
FROM campaigns c
LEFT JOIN (SELECT scope_id, sum(calls) AS calls FROM result_counts
           WHERE scope = 'campaign' AND span_s = 86400 GROUP BY 1) r ON r.scope_id = c.id
LEFT JOIN (SELECT scope_id, sum(calls) AS calls FROM result_counts
           WHERE scope = 'campaign' AND span_s = 60 GROUP BY 1) m ON m.scope_id = c.id
WHERE coalesce(r.calls, 0) <> coalesce(m.calls, 0)
ORDER BY c.id LIMIT 100
"""


@dataclass(frozen=True, slots=True)
class CounterDrift:
    """A campaign whose counters per minute and per day disagree."""

    campaign_id: int
    by_day: int
    by_minute: int


async def ensure_partitions(tx: Tx) -> int:
    """How many partitions were made."""
    row = await (await tx.execute(ENSURE_PARTITIONS)).fetchone()
    return int(row[0]) if row else 0


async def counter_drift(tx: Tx) -> list[CounterDrift]:
    async with tx.cursor(row_factory=class_row(CounterDrift)) as cursor:
        return await (await cursor.execute(COUNTER_DRIFT)).fetchall()
