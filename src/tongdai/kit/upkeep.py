"""What has to be done now and then whatever the business does: partitions, and sums that must agree."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.rows import class_row

from tongdai.kit.db import Tx

# Makes the partitions under the next ids of the big tables. The function takes its own lock.
ENSURE_PARTITIONS = "SELECT ensure_partitions()"

# Attaching a partition waits for whoever changes the same table's shape, and who comes later waits behind it.
BE_BRIEF = "SET LOCAL lock_timeout = '1s'"

# Campaigns and users whose results of yesterday and today come to different sums by different spans. The
# primary key serves it: it is skipped through by span, since the spans are the business of whoever counts.
COUNTER_DRIFT = """
SELECT s.scope, s.scope_id, min(t.total)::bigint AS least, max(t.total)::bigint AS most
FROM (SELECT 'campaign' AS scope, id AS scope_id FROM campaigns UNION ALL SELECT 'user', id FROM users) AS s
CROSS JOIN LATERAL (
    SELECT sum(r.calls) AS total FROM result_counts AS r
    WHERE r.scope = s.scope AND r.scope_id = s.scope_id
      AND r.bucket >= date_bin('1 day', now() - interval '1 day', timestamptz '2000-01-01 00:00+00')
    GROUP BY r.span_s
) AS t
GROUP BY 1, 2 HAVING min(t.total) <> max(t.total)
ORDER BY 1, 2 LIMIT 100
"""


@dataclass(frozen=True, slots=True)
class CounterDrift:
    """A campaign or user whose counters disagree: the least and the greatest sum that one finds."""

    scope: str
    scope_id: int
    least: int
    most: int


async def ensure_partitions(tx: Tx) -> int:
    """How many partitions were made.

    Raises a LockNotAvailable, one of `TRANSIENT_ERRORS`, when a table's lock is not to be had in a second:
    there is time, the next ids are millions away.
    """
    await tx.execute(BE_BRIEF)
    row = await (await tx.execute(ENSURE_PARTITIONS)).fetchone()
    return int(row[0]) if row else 0


async def counter_drift(tx: Tx) -> list[CounterDrift]:
    async with tx.cursor(row_factory=class_row(CounterDrift)) as cursor:
        return await (await cursor.execute(COUNTER_DRIFT)).fetchall()
