"""SQL that shows ended attempts."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.rows import class_row

from tongdai.domain.calls.model import HistoryRow
from tongdai.kit.db import Sql, Tx

# Attempts by their ids. By primary keys.
OF_IDS: Sql = """
    SELECT a.id AS attempt_id, a.call_id, a.campaign_id, c.number, h.number AS hotline, a.dialled_at,
           a.ended_at, coalesce(a.outcome, 'failed') AS outcome, coalesce(a.ring_s, 0)::float8 AS ring_s,
           coalesce(a.duration_s, 0) AS duration_s, coalesce(a.postage, 0) AS postage
      FROM attempts AS a
      JOIN calls AS c ON c.id = a.call_id
      JOIN hotlines AS h ON h.id = a.hotline_id AND h.account_id = %(account_id)s
     WHERE a.id = ANY(%(ids)s) AND a.account_id = %(account_id)s"""


async def of_ids(tx: Tx, account_id: int, attempt_ids: Sequence[int]) -> list[HistoryRow]:
    async with tx.cursor(row_factory=class_row(HistoryRow)) as cursor:
        await cursor.execute(OF_IDS, {"account_id": account_id, "ids": list(attempt_ids)})
        return await cursor.fetchall()
