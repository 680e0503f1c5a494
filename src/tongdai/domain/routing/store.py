"""SQL of trunks and hotlines, each with the row of `limits` that caps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from psycopg.errors import UniqueViolation
from psycopg.rows import class_row

from tongdai.domain.routing.errors import HotlineNumberTakenError, TrunkNameTakenError
from tongdai.domain.routing.model import (
    DEFAULT_COOL_SECONDS,
    Hotline,
    HotlineValues,
    Trunk,
    TrunkValues,
)
from tongdai.kit.db import Sql, Tx

# The cap of a new trunk or hotline.
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

ADD_TRUNK: Final[Sql] = """
INSERT INTO trunks (account_id, name, engine, dial_format, presented_format, networks, enabled, limit_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING id
"""

# One trunk of an account with its cap. Served by the primary key.
TRUNK: Final[Sql] = """
SELECT t.id, t.account_id, t.name, t.engine, t.dial_format, t.presented_format, t.networks, t.enabled,
       l.max_channels, l.max_cps, l.cool_after, l.cool_seconds, l.cooling_until, t.limit_id, t.created_at
FROM trunks t JOIN limits l ON l.id = t.limit_id
WHERE t.account_id = %s AND t.id = %s
"""

# The same, held against changes until the transaction ends: the cap's row too, or a second editor who waited
# here would write back the caps that it read before.
TRUNK_HELD: Final[Sql] = """
SELECT t.id, t.account_id, t.name, t.engine, t.dial_format, t.presented_format, t.networks, t.enabled,
       l.max_channels, l.max_cps, l.cool_after, l.cool_seconds, l.cooling_until, t.limit_id, t.created_at
FROM trunks t JOIN limits l ON l.id = t.limit_id
WHERE t.account_id = %s AND t.id = %s
FOR NO KEY UPDATE OF t, l
"""

# An account's trunks in pages. It has tens of them, found by the unique index on (account_id, name).
TRUNKS: Final[Sql] = """
SELECT t.id, t.account_id, t.name, t.engine, t.dial_format, t.presented_format, t.networks, t.enabled,
       l.max_channels, l.max_cps, l.cool_after, l.cool_seconds, l.cooling_until, t.limit_id, t.created_at
FROM trunks t JOIN limits l ON l.id = t.limit_id
WHERE t.account_id = %s AND t.id > %s
ORDER BY t.id LIMIT %s
"""

SET_TRUNK: Final[Sql] = """
UPDATE trunks
   SET name = %s, engine = %s, dial_format = %s, presented_format = %s, networks = %s, enabled = %s
 WHERE account_id = %s AND id = %s
"""

ADD_HOTLINE: Final[Sql] = """
INSERT INTO hotlines (account_id, number, trunk_id, network, brand_name, brand_until, valid_from, valid_until,
                      enabled, limit_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id
"""

# One hotline of an account with its cap. Served by the primary key.
HOTLINE: Final[Sql] = """
SELECT h.id, h.account_id, h.trunk_id, h.number, h.network, h.brand_name, h.brand_until, h.valid_from,
       h.valid_until, h.enabled, l.max_channels, l.max_cps, l.daily_cap, l.cooling_until,
       h.limit_id, h.created_at
FROM hotlines h JOIN limits l ON l.id = h.limit_id
WHERE h.account_id = %s AND h.id = %s
"""

# The same, held as TRUNK_HELD is.
HOTLINE_HELD: Final[Sql] = """
SELECT h.id, h.account_id, h.trunk_id, h.number, h.network, h.brand_name, h.brand_until, h.valid_from,
       h.valid_until, h.enabled, l.max_channels, l.max_cps, l.daily_cap, l.cooling_until,
       h.limit_id, h.created_at
FROM hotlines h JOIN limits l ON l.id = h.limit_id
WHERE h.account_id = %s AND h.id = %s
FOR NO KEY UPDATE OF h, l
"""

# An account's hotlines in pages, found by the unique index on (account_id, number).
HOTLINES: Final[Sql] = """
SELECT h.id, h.account_id, h.trunk_id, h.number, h.network, h.brand_name, h.brand_until, h.valid_from,
       h.valid_until, h.enabled, l.max_channels, l.max_cps, l.daily_cap, l.cooling_until,
       h.limit_id, h.created_at
FROM hotlines h JOIN limits l ON l.id = h.limit_id
WHERE h.account_id = %s AND h.id > %s
ORDER BY h.id LIMIT %s
"""

SET_HOTLINE: Final[Sql] = """
UPDATE hotlines
   SET number = %s, trunk_id = %s, network = %s, brand_name = %s, brand_until = %s, valid_from = %s,
       valid_until = %s, enabled = %s
 WHERE account_id = %s AND id = %s
"""


async def add_trunk(tx: Tx, account_id: int, trunk: TrunkValues) -> int:
    """With its cap. Raises TrunkNameTakenError; the transaction is then of no further use."""
    limit_id = await _add_limit(tx, account_id, "trunk", _trunk_caps(trunk))
    try:
        return await _new_id(tx, ADD_TRUNK, (account_id, *_trunk_columns(trunk), limit_id))
    except UniqueViolation as error:
        raise TrunkNameTakenError from error


async def trunk(tx: Tx, account_id: int, trunk_id: int, *, hold: bool = False) -> Trunk | None:
    """With `hold` nobody else changes it until the transaction ends."""
    async with tx.cursor(row_factory=class_row(Trunk)) as cursor:
        await cursor.execute(TRUNK_HELD if hold else TRUNK, (account_id, trunk_id))
        return await cursor.fetchone()


async def trunks(tx: Tx, account_id: int, after: int, limit: int) -> list[Trunk]:
    async with tx.cursor(row_factory=class_row(Trunk)) as cursor:
        await cursor.execute(TRUNKS, (account_id, after, limit))
        return await cursor.fetchall()


async def set_trunk(tx: Tx, trunk: Trunk) -> None:
    """With its cap. Raises TrunkNameTakenError; the transaction is then of no further use."""
    try:
        await tx.execute(SET_TRUNK, (*_trunk_columns(trunk), trunk.account_id, trunk.id))
    except UniqueViolation as error:
        raise TrunkNameTakenError from error
    caps = _trunk_caps(trunk) | {"limit_id": trunk.limit_id, "account_id": trunk.account_id}
    await tx.execute(SET_LIMIT, caps)


async def add_hotline(tx: Tx, account_id: int, hotline: HotlineValues) -> int:
    """With its cap. Raises HotlineNumberTakenError; the transaction is then of no further use."""
    limit_id = await _add_limit(tx, account_id, "hotline", _hotline_caps(hotline))
    try:
        return await _new_id(tx, ADD_HOTLINE, (account_id, *_hotline_columns(hotline), limit_id))
    except UniqueViolation as error:
        raise HotlineNumberTakenError from error


async def hotline(tx: Tx, account_id: int, hotline_id: int, *, hold: bool = False) -> Hotline | None:
    """With `hold` nobody else changes it until the transaction ends."""
    async with tx.cursor(row_factory=class_row(Hotline)) as cursor:
        await cursor.execute(HOTLINE_HELD if hold else HOTLINE, (account_id, hotline_id))
        return await cursor.fetchone()


async def hotlines(tx: Tx, account_id: int, after: int, limit: int) -> list[Hotline]:
    async with tx.cursor(row_factory=class_row(Hotline)) as cursor:
        await cursor.execute(HOTLINES, (account_id, after, limit))
        return await cursor.fetchall()


async def set_hotline(tx: Tx, hotline: Hotline) -> None:
    """With its cap. Raises HotlineNumberTakenError; the transaction is then of no further use."""
    try:
        await tx.execute(SET_HOTLINE, (*_hotline_columns(hotline), hotline.account_id, hotline.id))
    except UniqueViolation as error:
        raise HotlineNumberTakenError from error
    caps = _hotline_caps(hotline) | {"limit_id": hotline.limit_id, "account_id": hotline.account_id}
    await tx.execute(SET_LIMIT, caps)


async def _add_limit(
    tx: Tx, account_id: int, kind: Literal["trunk", "hotline"], caps: Mapping[str, object]
) -> int:
    return await _new_id(tx, ADD_LIMIT, {**caps, "account_id": account_id, "kind": kind})


def _trunk_caps(one: TrunkValues) -> dict[str, object]:
    return {
        "max_channels": one.max_channels,
        "max_cps": one.max_cps,
        "daily_cap": None,
        "cool_after": one.cool_after,
        "cool_seconds": one.cool_seconds,
        "cooling_until": one.cooling_until,
    }


def _hotline_caps(one: HotlineValues) -> dict[str, object]:
    """A hotline never cools down by itself."""
    return {
        "max_channels": one.max_channels,
        "max_cps": one.max_cps,
        "daily_cap": one.daily_cap,
        "cool_after": None,
        "cool_seconds": DEFAULT_COOL_SECONDS,
        "cooling_until": one.cooling_until,
    }


def _trunk_columns(one: TrunkValues) -> tuple[object, ...]:
    return one.name, one.engine, one.dial_format, one.presented_format, one.networks, one.enabled


def _hotline_columns(one: HotlineValues) -> tuple[object, ...]:
    registered = (one.brand_name, one.brand_until, one.valid_from, one.valid_until)
    return one.number, one.trunk_id, one.network, *registered, one.enabled


async def _new_id(tx: Tx, sql: Sql, values: Sequence[object] | Mapping[str, object]) -> int:
    row = await (await tx.execute(sql, values)).fetchone()
    assert row is not None
    return int(row[0])
