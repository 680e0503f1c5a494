"""SQL that finds and shows calls that came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row, dict_row

from tongdai.domain.inbound.model import IncomingCall, IncomingFilter
from tongdai.kit.db import Sql, Tx

# By way of numeric: as a double, the real 3.51 is 3.509999990463257.
_COLUMNS: Sql = """
    i.id, i.account_id, i.hotline_id, h.number AS hotline, i.trunk_id, i.leg_id, i.caller, i.caller_given,
    i.called_given, i.state, i.came_at, i.answered_at, i.ended_at, i.kind, i.disposition,
    i.ring_s::numeric::float8 AS ring_s, i.duration_s, i.billable_s, i.key_press, i.timeline, i.answers,
    i.end_code, i.transfers, i.campaign_call_id, i.campaign_id"""

# One call. By primary key.
GET: Final[Sql] = f"""
    SELECT {_COLUMNS} FROM inbound_calls AS i JOIN hotlines AS h ON h.id = i.hotline_id
     WHERE i.account_id = %(account_id)s AND i.id = %(id)s"""  # noqa: S608

_LISTED: Sql = f"""
    SELECT {_COLUMNS}
      FROM looked AS i JOIN hotlines AS h ON h.id = i.hotline_id
     WHERE (%(kind)s::text IS NULL OR i.kind = %(kind)s)
       AND (%(state)s::text IS NULL OR i.state = %(state)s)
       AND (%(hotline_id)s::bigint IS NULL OR i.hotline_id = %(hotline_id)s)
       AND (%(caller)s::text IS NULL OR i.caller = %(caller)s)
     ORDER BY i.id DESC LIMIT %(limit)s"""  # noqa: S608

_NEWEST: Sql = """i.account_id = %(account_id)s AND i.id < %(before)s
         ORDER BY i.id DESC LIMIT %(examine)s"""

# An account's calls, newest first: what the filters leave of the newest so many.
# Index inbound_calls_by_account.
LIST: Final[Sql] = f"""
    WITH looked AS MATERIALIZED (
        SELECT * FROM inbound_calls AS i WHERE {_NEWEST}
    ) {_LISTED}"""  # noqa: S608
# The same of one hotline. Index inbound_calls_by_hotline.
LIST_OF_HOTLINE: Final[Sql] = f"""
    WITH looked AS MATERIALIZED (
        SELECT * FROM inbound_calls AS i WHERE i.hotline_id = %(hotline_id)s AND {_NEWEST}
    ) {_LISTED}"""  # noqa: S608
# The same from one number. Index inbound_calls_by_caller.
LIST_OF_CALLER: Final[Sql] = f"""
    WITH looked AS MATERIALIZED (
        SELECT * FROM inbound_calls AS i WHERE i.caller = %(caller)s AND {_NEWEST}
    ) {_LISTED}"""  # noqa: S608
# The call-backs to one call of a campaign. Index inbound_calls_by_campaign_call.
LIST_OF_CALL: Final[Sql] = f"""
    WITH looked AS MATERIALIZED (
        SELECT * FROM inbound_calls AS i WHERE i.campaign_call_id = %(campaign_call_id)s AND {_NEWEST}
    ) {_LISTED}"""  # noqa: S608

# The last of the ids that one request looks at; no row when they come to an end before. At most one of the
# three is given, the one that the listing went by. Indexes as above.
LAST_LOOKED_AT: Final[Sql] = """
    SELECT id FROM inbound_calls
     WHERE account_id = %(account_id)s AND id < %(before)s
       AND (%(caller)s::text IS NULL OR caller = %(caller)s)
       AND (%(hotline_id)s::bigint IS NULL OR hotline_id = %(hotline_id)s)
       AND (%(campaign_call_id)s::bigint IS NULL OR campaign_call_id = %(campaign_call_id)s)
     ORDER BY id DESC OFFSET %(examine)s::bigint - 1 LIMIT 1"""

# What ended in this transaction, as it is told. By primary keys.
ENDED: Final[Sql] = f"""
    SELECT {_COLUMNS}, p.name AS campaign_name
      FROM inbound_calls AS i
      JOIN hotlines AS h ON h.id = i.hotline_id
      LEFT JOIN campaigns AS p ON p.id = i.campaign_id
     WHERE i.id = ANY(%s) ORDER BY i.id"""  # noqa: S608

# A page of an account's call history: what was dialled and what came in, newest first, by the time of the
# dial or the arrival. The newest of each kind are merged, as deep as the page lies. Indexes
# attempts_by_account_time, inbound_calls_by_time.
HISTORY: Final[Sql] = """
    SELECT came_in, id FROM (
        (SELECT false AS came_in, id, dialled_at AS at FROM attempts
          WHERE account_id = %(account_id)s AND dialled_at BETWEEN %(since)s AND %(until)s
            AND ended_at IS NOT NULL
          ORDER BY dialled_at DESC, id DESC LIMIT %(deep)s)
        UNION ALL
        (SELECT true, id, came_at FROM inbound_calls
          WHERE account_id = %(account_id)s AND came_at BETWEEN %(since)s AND %(until)s AND state = 'ended'
          ORDER BY came_at DESC, id DESC LIMIT %(deep)s)
    ) AS both_ways
    ORDER BY at DESC, came_in, id DESC OFFSET %(offset)s LIMIT %(limit)s"""

# The same with one number: attempts of the newest calls to it, and the newest calls from it. Indexes
# calls_by_number, attempts_call, inbound_calls_by_caller.
HISTORY_OF_NUMBER: Final[Sql] = """
    SELECT came_in, id FROM (
        (SELECT false AS came_in, a.id, a.dialled_at AS at
           FROM (SELECT id FROM calls WHERE account_id = %(account_id)s AND number = %(number)s
                  ORDER BY id DESC LIMIT %(examine)s) AS c
           JOIN attempts AS a ON a.call_id = c.id AND a.account_id = %(account_id)s
          WHERE a.dialled_at BETWEEN %(since)s AND %(until)s AND a.ended_at IS NOT NULL)
        UNION ALL
        (SELECT true, id, came_at FROM (
            SELECT id, came_at, state FROM inbound_calls
             WHERE account_id = %(account_id)s AND caller = %(number)s
             ORDER BY id DESC LIMIT %(examine)s) AS i
          WHERE came_at BETWEEN %(since)s AND %(until)s AND state = 'ended')
    ) AS both_ways
    ORDER BY at DESC, came_in, id DESC OFFSET %(offset)s LIMIT %(limit)s"""

OF_IDS: Final[Sql] = f"""
    SELECT {_COLUMNS} FROM inbound_calls AS i JOIN hotlines AS h ON h.id = i.hotline_id
     WHERE i.account_id = %s AND i.id = ANY(%s)"""  # noqa: S608


async def get(tx: Tx, account_id: int, call_id: int) -> IncomingCall | None:
    async with tx.cursor(row_factory=class_row(IncomingCall)) as cursor:
        await cursor.execute(GET, {"account_id": account_id, "id": call_id})
        return await cursor.fetchone()


async def list_(
    tx: Tx, account_id: int, wanted: IncomingFilter, *, before: int, limit: int, examine: int
) -> list[IncomingCall]:
    by = _goes_by(wanted)
    query = LIST if by is None else _LISTS[by]
    async with tx.cursor(row_factory=class_row(IncomingCall)) as cursor:
        await cursor.execute(query, _values(account_id, wanted, before, examine) | {"limit": limit})
        return await cursor.fetchall()


async def last_looked_at(
    tx: Tx, account_id: int, wanted: IncomingFilter, before: int, examine: int
) -> int | None:
    by = _goes_by(wanted)
    alone = IncomingFilter() if by is None else IncomingFilter(**{by: getattr(wanted, by)})
    cursor = await tx.execute(LAST_LOOKED_AT, _values(account_id, alone, before, examine))
    row = await cursor.fetchone()
    return None if row is None else int(row[0])


_LISTS: Final[Mapping[str, Sql]] = {
    "campaign_call_id": LIST_OF_CALL,
    "caller": LIST_OF_CALLER,
    "hotline_id": LIST_OF_HOTLINE,
}


def _goes_by(wanted: IncomingFilter) -> str | None:
    """The narrowest thing that is given and has an index; the others are compared."""
    return next((name for name in _LISTS if getattr(wanted, name) is not None), None)


def _values(account_id: int, wanted: IncomingFilter, before: int, examine: int) -> dict[str, Any]:
    return {
        "account_id": account_id,
        "hotline_id": wanted.hotline_id,
        "caller": wanted.caller,
        "kind": None if wanted.kind is None else wanted.kind.value,
        "state": wanted.state,
        "campaign_call_id": wanted.campaign_call_id,
        "before": before,
        "examine": examine,
    }


async def ended(tx: Tx, call_ids: Sequence[int]) -> list[dict[str, Any]]:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(ENDED, [list(call_ids)])
        return await cursor.fetchall()


async def history(
    tx: Tx,
    account_id: int,
    *,
    number: str | None,
    since: datetime,
    until: datetime,
    offset: int,
    limit: int,
    examine: int,
) -> list[tuple[bool, int]]:
    """(whether it came in, the id of the call or the attempt), newest first."""
    values = {
        "account_id": account_id,
        "number": number,
        "since": since,
        "until": until,
        "offset": offset,
        "limit": limit,
        "deep": offset + limit,
        "examine": examine,
    }
    cursor = await tx.execute(HISTORY if number is None else HISTORY_OF_NUMBER, values)
    return [(came_in, id_) for came_in, id_ in await cursor.fetchall()]


async def of_ids(tx: Tx, account_id: int, ids: Sequence[int]) -> list[IncomingCall]:
    async with tx.cursor(row_factory=class_row(IncomingCall)) as cursor:
        await cursor.execute(OF_IDS, (account_id, list(ids)))
        return await cursor.fetchall()
