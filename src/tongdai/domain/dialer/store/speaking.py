"""All SQL of looking ahead at what calls will say."""

from __future__ import annotations

from typing import Any

from tongdai.kit.db import Sql, Tx

# The next calls of a campaign in the order in which a claim takes them, and a little beyond what is due
# (index calls_due, from the floor on). Locks nothing.
UPCOMING: Sql = """
SELECT q.id, q.fields
FROM campaigns c
CROSS JOIN LATERAL (
    SELECT id, fields, due_at FROM calls
    WHERE campaign_id = c.id AND state = 'queued' AND (due_at, id) >= (c.floor_at, c.floor_id)
      AND due_at <= clock_timestamp() + interval '10 minutes'
    ORDER BY due_at, id
    LIMIT %(limit)s
) q
WHERE c.id = %(campaign)s
ORDER BY q.due_at, q.id
"""


async def upcoming(tx: Tx, campaign_id: int, limit: int) -> list[tuple[int, dict[str, Any]]]:
    """(call id, fields)."""
    cursor = await tx.execute(UPCOMING, {"campaign": campaign_id, "limit": limit})
    return [(id_, fields) for id_, fields in await cursor.fetchall()]
