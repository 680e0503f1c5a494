"""SQL of the trunks that engines are told of, of every account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from psycopg.rows import class_row

from tongdai.kit.db import Sql, Tx

# Every trunk that SIP serves, with its revision. Revisions are given out before they are committed, so that a
# smaller one may appear after a larger: all are compared. A platform has hundreds of trunks, read in about a
# millisecond.
REVISIONS: Final[Sql] = "SELECT id, revision FROM trunks WHERE engine = 'asterisk' AND sip IS NOT NULL"

# Some of them, whole. By primary key.
TRUNKS: Final[Sql] = """
SELECT id, account_id, revision, enabled, sip::text AS sip, sip_password AS password, node_ids
FROM trunks
WHERE id = ANY(%s) AND engine = 'asterisk' AND sip IS NOT NULL
"""

# The nodes that take calls, and whether somebody hears those that come in there: a keeper holds the lock
# (7342, node) for as long as it reaches the node.
NODES: Final[Sql] = """
SELECT n.id, EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND classid = 7342 AND objid::bigint = n.id AND objsubid = 2 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
FROM asterisk_nodes n WHERE n.enabled ORDER BY n.id
"""


@dataclass(frozen=True, slots=True)
class SealedTrunk:
    id: int
    account_id: int
    revision: int
    enabled: bool
    sip: str
    """JSON."""
    password: bytes | None = field(repr=False)
    node_ids: list[int] | None


async def revisions(tx: Tx) -> dict[int, int]:
    """By trunk."""
    return dict(await (await tx.execute(REVISIONS)).fetchall())


async def trunks(tx: Tx, trunk_ids: list[int]) -> list[SealedTrunk]:
    async with tx.cursor(row_factory=class_row(SealedTrunk)) as cursor:
        await cursor.execute(TRUNKS, (trunk_ids,))
        return await cursor.fetchall()


async def nodes(tx: Tx) -> Mapping[int, bool]:
    """Whether each enabled node has a keeper, in id order."""
    return dict(await (await tx.execute(NODES)).fetchall())
