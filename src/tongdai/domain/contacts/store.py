"""SQL of prefixes and overrides."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

from psycopg.rows import class_row

from tongdai.domain.contacts.model import Network, Prefix
from tongdai.kit.db import Sql, Tx

# Ships a row once: one that an administrator changed or that is already there stays as it is.
ADD_PREFIXES: Final[Sql] = """
INSERT INTO number_prefixes (prefix, valid_from, operator, routing_group, source)
SELECT * FROM unnest(%s::text[], %s::date[], %s::text[], %s::text[], %s::text[])
ON CONFLICT (prefix, valid_from) DO NOTHING
"""

# All rows in force on a day, by default today in Vietnam. A table of some fifty rows, read whole.
PREFIXES: Final[Sql] = """
SELECT prefix, valid_from, operator, routing_group, source
FROM number_prefixes
WHERE valid_from <= coalesce(%s::date, (now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date)
"""

# The routing groups of all rows. A table of some fifty rows, read whole.
ROUTING_GROUPS: Final[Sql] = """
SELECT DISTINCT routing_group FROM number_prefixes
"""

# What is known of these numbers better than their prefix tells. Served by the primary key.
OVERRIDES: Final[Sql] = """
SELECT number, operator, routing_group
FROM number_overrides
WHERE account_id = %s AND number = ANY(%s::text[])
"""

# One number's network, as set by its account; the latest word counts.
SET_OVERRIDE: Final[Sql] = """
INSERT INTO number_overrides (account_id, number, operator, routing_group, source)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (account_id, number) DO UPDATE
SET operator = excluded.operator, routing_group = excluded.routing_group,
    source = excluded.source, checked_at = now()
"""


async def add_prefixes(tx: Tx, rows: Sequence[Prefix]) -> int:
    """Insert the rows that are not there yet; returns how many that were."""
    cursor = await tx.execute(
        ADD_PREFIXES,
        (
            [row.prefix for row in rows],
            [row.valid_from for row in rows],
            [row.operator for row in rows],
            [row.routing_group for row in rows],
            [row.source for row in rows],
        ),
    )
    return cursor.rowcount


async def prefixes(tx: Tx, on: date | None) -> list[Prefix]:
    async with tx.cursor(row_factory=class_row(Prefix)) as cursor:
        await cursor.execute(PREFIXES, (on,))
        return await cursor.fetchall()


async def routing_groups(tx: Tx) -> list[str]:
    return [row[0] for row in await (await tx.execute(ROUTING_GROUPS)).fetchall()]


async def overrides(tx: Tx, account_id: int, numbers: Sequence[str]) -> dict[str, Network]:
    cursor = await tx.execute(OVERRIDES, (account_id, list(numbers)))
    return {
        number: Network(operator, routing_group, "override")
        for number, operator, routing_group in await cursor.fetchall()
    }


async def set_override(
    tx: Tx, account_id: int, number: str, operator: str, routing_group: str, source: str
) -> None:
    await tx.execute(SET_OVERRIDE, (account_id, number, operator, routing_group, source))
