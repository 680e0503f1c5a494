"""SQL of the caps of trunks, hotlines and nodes: a row of `limits` each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from tongdai.kit.db import Sql, Tx

# The cap of a new trunk, hotline or node.
ADD_LIMIT: Final[Sql] = """
INSERT INTO limits (account_id, kind, max_channels, max_cps, daily_cap, cool_after, cool_seconds)
VALUES (%(account_id)s, %(kind)s, %(max_channels)s, %(max_cps)s, %(daily_cap)s, %(cool_after)s,
        %(cool_seconds)s)
RETURNING id
"""

# Changing a cap. Waits for a claim that holds the row, and the next claim sees it. The last slot that was
# given stays, and the next one comes after it by the new spacing: neither the long wait of a slow cap nor a
# burst is left over. Who ends a cooling down starts its count of failures anew. Served by the primary key.
SET_LIMIT: Final[Sql] = """
UPDATE limits
   SET max_channels = %(max_channels)s, max_cps = %(max_cps)s,
       daily_cap = %(daily_cap)s, cool_after = %(cool_after)s, cool_seconds = %(cool_seconds)s,
       failures = CASE WHEN cooling_until IS NOT NULL AND %(cooling_until)s::timestamptz IS NULL
                       THEN 0 ELSE failures END,
       cooling_until = %(cooling_until)s,
       next_slot_at = least(next_slot_at,
                            greatest(clock_timestamp(), next_slot_at - make_interval(secs => 1 / max_cps))
                            + coalesce(make_interval(secs => 1 / %(max_cps)s::float8), interval '0'))
 WHERE id = %(limit_id)s AND account_id = %(account_id)s
"""


async def add_limit(
    tx: Tx, account_id: int, kind: Literal["trunk", "hotline", "node"], caps: Mapping[str, object]
) -> int:
    return await new_id(tx, ADD_LIMIT, {**caps, "account_id": account_id, "kind": kind})


async def set_limit(tx: Tx, account_id: int, limit_id: int, caps: Mapping[str, object]) -> None:
    await tx.execute(SET_LIMIT, {**caps, "limit_id": limit_id, "account_id": account_id})


async def new_id(tx: Tx, sql: Sql, values: Sequence[object] | Mapping[str, object]) -> int:
    row = await (await tx.execute(sql, values)).fetchone()
    assert row is not None
    return int(row[0])
