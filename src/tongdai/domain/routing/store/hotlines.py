"""SQL of hotlines, each with the row of `limits` that caps it."""

from __future__ import annotations

from typing import Final

from psycopg.errors import UniqueViolation
from psycopg.rows import class_row

from tongdai.domain.routing.errors import HotlineNumberTakenError
from tongdai.domain.routing.model import DEFAULT_COOL_SECONDS, Hotline, HotlineValues
from tongdai.domain.routing.store.caps import add_limit, new_id, set_limit
from tongdai.kit.db import Sql, Tx

ADD_HOTLINE: Final[Sql] = """
INSERT INTO hotlines (account_id, number, trunk_id, network, brand_name, brand_until, valid_from, valid_until,
                      inbound_script_id, inbound_script_version, unanswered, enabled, limit_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id
"""

# One hotline of an account with its cap. Served by the primary key.
HOTLINE: Final[Sql] = """
SELECT h.id, h.account_id, h.trunk_id, h.number, h.network, h.brand_name, h.brand_until, h.valid_from,
       h.valid_until, h.enabled, l.max_channels, l.max_cps, l.daily_cap, l.cooling_until,
       h.inbound_script_id, h.inbound_script_version, h.unanswered, h.limit_id, h.created_at
FROM hotlines h JOIN limits l ON l.id = h.limit_id
WHERE h.account_id = %s AND h.id = %s
"""

# The same, held as TRUNK_HELD is (`trunks`).
HOTLINE_HELD: Final[Sql] = """
SELECT h.id, h.account_id, h.trunk_id, h.number, h.network, h.brand_name, h.brand_until, h.valid_from,
       h.valid_until, h.enabled, l.max_channels, l.max_cps, l.daily_cap, l.cooling_until,
       h.inbound_script_id, h.inbound_script_version, h.unanswered, h.limit_id, h.created_at
FROM hotlines h JOIN limits l ON l.id = h.limit_id
WHERE h.account_id = %s AND h.id = %s
FOR NO KEY UPDATE OF h, l
"""

# An account's hotlines in pages, found by the unique index on (account_id, number).
HOTLINES: Final[Sql] = """
SELECT h.id, h.account_id, h.trunk_id, h.number, h.network, h.brand_name, h.brand_until, h.valid_from,
       h.valid_until, h.enabled, l.max_channels, l.max_cps, l.daily_cap, l.cooling_until,
       h.inbound_script_id, h.inbound_script_version, h.unanswered, h.limit_id, h.created_at
FROM hotlines h JOIN limits l ON l.id = h.limit_id
WHERE h.account_id = %s AND h.id > %s
ORDER BY h.id LIMIT %s
"""

SET_HOTLINE: Final[Sql] = """
UPDATE hotlines
   SET number = %s, trunk_id = %s, network = %s, brand_name = %s, brand_until = %s, valid_from = %s,
       valid_until = %s, inbound_script_id = %s, inbound_script_version = %s, unanswered = %s, enabled = %s
 WHERE account_id = %s AND id = %s
"""


async def add_hotline(tx: Tx, account_id: int, hotline: HotlineValues) -> int:
    """With its cap. Raises HotlineNumberTakenError; the transaction is then of no further use."""
    limit_id = await add_limit(tx, account_id, "hotline", _hotline_caps(hotline))
    try:
        return await new_id(tx, ADD_HOTLINE, (account_id, *_hotline_columns(hotline), limit_id))
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
    await set_limit(tx, hotline.account_id, hotline.limit_id, _hotline_caps(hotline))


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


def _hotline_columns(one: HotlineValues) -> tuple[object, ...]:
    registered = (one.brand_name, one.brand_until, one.valid_from, one.valid_until)
    answered = (one.inbound_script_id, one.inbound_script_version, one.unanswered)
    return one.number, one.trunk_id, one.network, *registered, *answered, one.enabled
