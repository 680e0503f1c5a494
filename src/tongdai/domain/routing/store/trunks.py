"""SQL of trunks, each with the row of `limits` that caps it."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from psycopg.errors import UniqueViolation
from psycopg.rows import dict_row

from tongdai.domain.routing.errors import TrunkNameTakenError
from tongdai.domain.routing.model import Trunk, TrunkValues
from tongdai.domain.routing.sip import SipSettings
from tongdai.domain.routing.store.caps import add_limit, new_id, set_limit
from tongdai.kit.db import Sql, Tx

ADD_TRUNK: Final[Sql] = """
INSERT INTO trunks (account_id, name, engine, dial_format, presented_format, networks, enabled, sip,
                    sip_password, node_ids, limit_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s, %s) RETURNING id
"""

# One trunk of an account with its cap. Served by the primary key.
TRUNK: Final[Sql] = """
SELECT t.id, t.account_id, t.name, t.engine, t.dial_format, t.presented_format, t.networks, t.enabled,
       l.max_channels, l.max_cps, l.cool_after, l.cool_seconds, l.cooling_until, t.limit_id, t.created_at,
       t.sip::text AS sip, t.sip_password, t.node_ids
FROM trunks t JOIN limits l ON l.id = t.limit_id
WHERE t.account_id = %s AND t.id = %s
"""

# The same, held against changes until the transaction ends: the cap's row too, or a second editor who waited
# here would write back the caps that it read before.
TRUNK_HELD: Final[Sql] = """
SELECT t.id, t.account_id, t.name, t.engine, t.dial_format, t.presented_format, t.networks, t.enabled,
       l.max_channels, l.max_cps, l.cool_after, l.cool_seconds, l.cooling_until, t.limit_id, t.created_at,
       t.sip::text AS sip, t.sip_password, t.node_ids
FROM trunks t JOIN limits l ON l.id = t.limit_id
WHERE t.account_id = %s AND t.id = %s
FOR NO KEY UPDATE OF t, l
"""

# An account's trunks in pages. It has tens of them, found by the unique index on (account_id, name).
TRUNKS: Final[Sql] = """
SELECT t.id, t.account_id, t.name, t.engine, t.dial_format, t.presented_format, t.networks, t.enabled,
       l.max_channels, l.max_cps, l.cool_after, l.cool_seconds, l.cooling_until, t.limit_id, t.created_at,
       t.sip::text AS sip, t.sip_password, t.node_ids
FROM trunks t JOIN limits l ON l.id = t.limit_id
WHERE t.account_id = %s AND t.id > %s
ORDER BY t.id LIMIT %s
"""

SET_TRUNK: Final[Sql] = """
UPDATE trunks
   SET name = %s, engine = %s, dial_format = %s, presented_format = %s, networks = %s, enabled = %s,
       sip = %s::jsonb, sip_password = %s, node_ids = %s, revision = nextval('trunk_revisions')
 WHERE account_id = %s AND id = %s
"""

# A node that is gone is named no more. It looks at every trunk; nodes go rarely.
FORGET_NODE: Final[Sql] = """
UPDATE trunks SET node_ids = array_remove(node_ids, %(node_id)s), revision = nextval('trunk_revisions')
 WHERE node_ids @> ARRAY[%(node_id)s::bigint]
"""


async def add_trunk(tx: Tx, account_id: int, trunk: TrunkValues) -> int:
    """With its cap. Raises TrunkNameTakenError; the transaction is then of no further use."""
    limit_id = await add_limit(tx, account_id, "trunk", _trunk_caps(trunk))
    try:
        return await new_id(tx, ADD_TRUNK, (account_id, *_trunk_columns(trunk), limit_id))
    except UniqueViolation as error:
        raise TrunkNameTakenError from error


async def trunk(tx: Tx, account_id: int, trunk_id: int, *, hold: bool = False) -> Trunk | None:
    """With `hold` nobody else changes it until the transaction ends."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(TRUNK_HELD if hold else TRUNK, (account_id, trunk_id))
        row = await cursor.fetchone()
    return None if row is None else _trunk(row)


async def trunks(tx: Tx, account_id: int, after: int, limit: int) -> list[Trunk]:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(TRUNKS, (account_id, after, limit))
        return [_trunk(row) for row in await cursor.fetchall()]


async def set_trunk(tx: Tx, trunk: Trunk) -> None:
    """With its cap. Raises TrunkNameTakenError; the transaction is then of no further use."""
    try:
        await tx.execute(SET_TRUNK, (*_trunk_columns(trunk), trunk.account_id, trunk.id))
    except UniqueViolation as error:
        raise TrunkNameTakenError from error
    await set_limit(tx, trunk.account_id, trunk.limit_id, _trunk_caps(trunk))


async def forget_node(tx: Tx, node_id: int) -> None:
    await tx.execute(FORGET_NODE, {"node_id": node_id})


def _trunk(row: dict[str, Any]) -> Trunk:
    sip = row.pop("sip")
    return Trunk(**row, sip=None if sip is None else msgspec.json.decode(sip, type=SipSettings))


def _trunk_caps(one: TrunkValues) -> dict[str, object]:
    return {
        "max_channels": one.max_channels,
        "max_cps": one.max_cps,
        "daily_cap": None,
        "cool_after": one.cool_after,
        "cool_seconds": one.cool_seconds,
        "cooling_until": one.cooling_until,
    }


def _trunk_columns(one: TrunkValues) -> tuple[object, ...]:
    sip = None if one.sip is None else msgspec.json.encode(one.sip).decode()
    called = (one.name, one.engine, one.dial_format, one.presented_format, one.networks, one.enabled)
    return *called, sip, one.sip_password, one.node_ids
