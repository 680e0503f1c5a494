"""SQL of Asterisk nodes, each with the row of `limits` that caps it. They belong to no account."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from psycopg.errors import UniqueViolation
from psycopg.rows import class_row

from tongdai.domain.routing.errors import NodeNameTakenError
from tongdai.domain.routing.model import DEFAULT_COOL_SECONDS, Node, NodeStatus, NodeValues
from tongdai.domain.routing.store.caps import add_limit, new_id, set_limit
from tongdai.kit.db import Sql, Tx

NOBODY: Final = 0
"""The account of what belongs to the platform itself; no account has this id."""

ADD: Final[Sql] = """
INSERT INTO asterisk_nodes (name, url, username, sounds_path, enabled, password, limit_id)
VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id
"""

# One node with its cap. Served by the primary key.
GET: Final[Sql] = """
SELECT n.id, n.name, n.url, n.username, n.sounds_path, n.enabled, l.max_channels, l.max_cps, n.limit_id,
       n.created_at
FROM asterisk_nodes n JOIN limits l ON l.id = n.limit_id
WHERE n.id = %s
"""

# The same, held with its cap against changes until the transaction ends.
HELD: Final[Sql] = """
SELECT n.id, n.name, n.url, n.username, n.sounds_path, n.enabled, l.max_channels, l.max_cps, n.limit_id,
       n.created_at
FROM asterisk_nodes n JOIN limits l ON l.id = n.limit_id
WHERE n.id = %s
FOR NO KEY UPDATE OF n, l
"""

# Nodes in pages. Served by the primary key.
PAGE: Final[Sql] = """
SELECT n.id, n.name, n.url, n.username, n.sounds_path, n.enabled, l.max_channels, l.max_cps, n.limit_id,
       n.created_at
FROM asterisk_nodes n JOIN limits l ON l.id = n.limit_id
WHERE n.id > %s
ORDER BY n.id LIMIT %s
"""

# The channels that a node has in use, and whether a keeper holds its lock (`inbound`): one that reaches it.
STATUS: Final[Sql] = """
SELECT l.live, EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND classid = 7342 AND objid::bigint = n.id AND objsubid = 2 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
) AS kept
FROM asterisk_nodes n JOIN limits l ON l.id = n.limit_id
WHERE n.id = %s
"""

# All of them with their passwords, for those who connect to them. There are a few.
ALL_SEALED: Final[Sql] = """
SELECT n.id, n.name, n.url, n.username, n.password, n.sounds_path, n.enabled, n.limit_id, l.max_channels
FROM asterisk_nodes n JOIN limits l ON l.id = n.limit_id
ORDER BY n.id
"""

# Without a new password the old one stays.
SET: Final[Sql] = """
UPDATE asterisk_nodes
   SET name = %s, url = %s, username = %s, sounds_path = %s, enabled = %s, password = coalesce(%s, password)
 WHERE id = %s
"""

# From here on no claim finds a channel on it. Waits for one that is taking channels, and counts what it took.
CLOSE: Final[Sql] = "UPDATE limits SET max_channels = 0 WHERE id = %s RETURNING live"

# Its cap stays, closed: a claim may still be planning with it, and legs that have ended name it.
REMOVE: Final[Sql] = "DELETE FROM asterisk_nodes WHERE id = %s"

# Which of these ids are no node's.
MISSING: Final[Sql] = """
SELECT wanted.id FROM unnest(%s::bigint[]) AS wanted(id)
WHERE NOT EXISTS (SELECT FROM asterisk_nodes n WHERE n.id = wanted.id)
ORDER BY wanted.id
"""


@dataclass(frozen=True, slots=True)
class SealedNode:
    """What it takes to connect to a node."""

    id: int
    name: str
    url: str
    username: str
    password: bytes = field(repr=False)
    sounds_path: str
    enabled: bool
    limit_id: int
    max_channels: int | None


async def add(tx: Tx, node: NodeValues, password: bytes) -> int:
    """With its cap. Raises NodeNameTakenError; the transaction is then of no further use."""
    limit_id = await add_limit(tx, NOBODY, "node", _caps(node))
    try:
        return await new_id(tx, ADD, (*_columns(node), password, limit_id))
    except UniqueViolation as error:
        raise NodeNameTakenError from error


async def get(tx: Tx, node_id: int, *, hold: bool = False) -> Node | None:
    """With `hold` nobody else changes it until the transaction ends."""
    async with tx.cursor(row_factory=class_row(Node)) as cursor:
        await cursor.execute(HELD if hold else GET, (node_id,))
        return await cursor.fetchone()


async def page(tx: Tx, after: int, limit: int) -> list[Node]:
    async with tx.cursor(row_factory=class_row(Node)) as cursor:
        await cursor.execute(PAGE, (after, limit))
        return await cursor.fetchall()


async def status(tx: Tx, node_id: int) -> NodeStatus | None:
    async with tx.cursor(row_factory=class_row(NodeStatus)) as cursor:
        return await (await cursor.execute(STATUS, (node_id,))).fetchone()


async def all_sealed(tx: Tx) -> list[SealedNode]:
    async with tx.cursor(row_factory=class_row(SealedNode)) as cursor:
        return await (await cursor.execute(ALL_SEALED)).fetchall()


async def set_(tx: Tx, node: Node, password: bytes | None) -> None:
    """With its cap. Raises NodeNameTakenError; the transaction is then of no further use."""
    try:
        await tx.execute(SET, (*_columns(node), password, node.id))
    except UniqueViolation as error:
        raise NodeNameTakenError from error
    await set_limit(tx, NOBODY, node.limit_id, {**_caps(node), "cooling_until": None})


async def close(tx: Tx, node: Node) -> int:
    """Take its channels away. Gives how many calls are up on it."""
    row = await (await tx.execute(CLOSE, (node.limit_id,))).fetchone()
    assert row is not None
    return int(row[0])


async def remove(tx: Tx, node_id: int) -> None:
    await tx.execute(REMOVE, (node_id,))


async def missing(tx: Tx, node_ids: list[int]) -> list[int]:
    return [id_ for (id_,) in await (await tx.execute(MISSING, (node_ids,))).fetchall()]


def _columns(node: NodeValues) -> tuple[object, ...]:
    return node.name, node.url, node.username, node.sounds_path, node.enabled


def _caps(node: NodeValues) -> dict[str, object]:
    """A node never cools down by itself."""
    return {
        "max_channels": node.max_channels,
        "max_cps": node.max_cps,
        "daily_cap": None,
        "cool_after": None,
        "cool_seconds": DEFAULT_COOL_SECONDS,
    }
