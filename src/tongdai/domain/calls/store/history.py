"""SQL that shows an account's ended attempts, newest first."""

from __future__ import annotations

from datetime import datetime

from psycopg.rows import class_row

from tongdai.domain.calls.model import HistoryRow
from tongdai.kit.db import Sql, Tx

_COLUMNS: Sql = """
    a.id AS attempt_id, a.call_id, a.campaign_id, c.number, h.number AS hotline, a.dialled_at, a.ended_at,
    coalesce(a.outcome, 'failed') AS outcome, coalesce(a.ring_s, 0)::float8 AS ring_s,
    coalesce(a.duration_s, 0) AS duration_s, coalesce(a.postage, 0) AS postage"""

# A page of an account's attempts. Index attempts_by_account_time, as deep as the page is.
PAGE_OF_ACCOUNT: Sql = f"""
    WITH page AS MATERIALIZED (
        SELECT * FROM attempts
         WHERE account_id = %(account_id)s AND dialled_at BETWEEN %(since)s AND %(until)s
           AND ended_at IS NOT NULL
         ORDER BY dialled_at DESC, id DESC OFFSET %(offset)s LIMIT %(limit)s
    )
    SELECT {_COLUMNS} FROM page AS a
      JOIN calls AS c ON c.id = a.call_id
      JOIN hotlines AS h ON h.id = a.hotline_id AND h.account_id = %(account_id)s
     ORDER BY a.dialled_at DESC, a.id DESC"""  # noqa: S608

# A page of the attempts to reach one number, of its newest calls. Indexes calls_by_number, attempts_call.
PAGE_OF_NUMBER: Sql = f"""
    WITH c AS MATERIALIZED (
        SELECT id, number FROM calls WHERE account_id = %(account_id)s AND number = %(number)s
         ORDER BY id DESC LIMIT %(examine)s
    )
    SELECT {_COLUMNS} FROM c
      JOIN attempts AS a ON a.call_id = c.id AND a.account_id = %(account_id)s
      JOIN hotlines AS h ON h.id = a.hotline_id AND h.account_id = %(account_id)s
     WHERE a.dialled_at BETWEEN %(since)s AND %(until)s AND a.ended_at IS NOT NULL
     ORDER BY a.dialled_at DESC, a.id DESC OFFSET %(offset)s LIMIT %(limit)s"""  # noqa: S608


async def page(
    tx: Tx,
    account_id: int,
    *,
    number: str | None,
    since: datetime,
    until: datetime,
    offset: int,
    limit: int,
    examine: int,
) -> list[HistoryRow]:
    """Of one number: of its `examine` newest calls."""
    query = PAGE_OF_ACCOUNT if number is None else PAGE_OF_NUMBER
    values = {
        "account_id": account_id,
        "number": number,
        "since": since,
        "until": until,
        "offset": offset,
        "limit": limit,
        "examine": examine,
    }
    async with tx.cursor(row_factory=class_row(HistoryRow)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()
