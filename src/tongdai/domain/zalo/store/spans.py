"""SQL of looking through long lists piece by piece: which ids are of a time, and how far one request goes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from tongdai.domain.zalo.model import Paging
from tongdai.kit.db import Sql, Tx


@dataclass(frozen=True, slots=True)
class Span:
    """Ids to be looked at: above the first and below the second, from one end of them."""

    above: int
    below: int
    newest_first: bool

    @classmethod
    def of(cls, paging: Paging) -> Span:
        return cls(*paging.span())

    def within(self, first: int | None, beyond: int | None) -> Span:
        """From `first` on, and before `beyond`."""
        above = self.above if first is None else max(self.above, first - 1)
        below = self.below if beyond is None else min(self.below, beyond)
        return replace(self, above=above, below=below)

    def through(self, last: int | None) -> Span:
        """Not further than the last that is to be looked at; None: to the end."""
        if last is None:
            return self
        return replace(self, above=last - 1) if self.newest_first else replace(self, below=last + 1)


class Times(Protocol):
    """Between two moments, the second left out. None: any."""

    @property
    def since(self) -> datetime | None: ...
    @property
    def until(self) -> datetime | None: ...


def first_since_of(table: Sql) -> Sql:
    """Where a time begins, less or plus a slack by which `created_at` does not grow with an account's ids.
    Halving the ids that are left finds it by the primary key (account_id, id), in some forty probes of one
    row; an index on the time would cost every row that is written."""
    return f"""
WITH RECURSIVE moment AS MATERIALIZED (
    SELECT %(at)s::timestamptz + %(slack)s::interval AS at
), search (low, high) AS (
    SELECT 0::bigint, coalesce((SELECT max(id) FROM {table} WHERE account_id = %(account_id)s), 0) + 1
    UNION ALL
    SELECT CASE WHEN probe.created_at < moment.at THEN probe.id + 1 ELSE search.low END,
           CASE WHEN probe.created_at < moment.at THEN search.high ELSE middle.id END
    FROM search CROSS JOIN moment
    CROSS JOIN LATERAL (SELECT search.low + (search.high - search.low) / 2 AS id) middle
    LEFT JOIN LATERAL (
        SELECT t.id, t.created_at FROM {table} t
        WHERE t.account_id = %(account_id)s AND t.id >= middle.id AND t.id < search.high
        ORDER BY t.id LIMIT 1
    ) probe ON true
    WHERE search.low < search.high
)
SELECT low FROM search WHERE low >= high
"""  # noqa: S608


def last_examined_of(ids: Sql) -> tuple[Sql, Sql]:
    """The last of the ids that one request looks at, upwards and downwards; none when they end before.

    `ids`: a SELECT of them, which an index alone answers, in order.
    """
    up = ids + " ORDER BY id OFFSET %(examine)s::bigint - 1 LIMIT 1"
    return up, ids + " ORDER BY id DESC OFFSET %(examine)s::bigint - 1 LIMIT 1"


async def span_of_times(
    tx: Tx, statement: Sql, account_id: int, wanted: Times, before: timedelta, after: timedelta
) -> tuple[int | None, int | None]:
    """The first id, and the one beyond the last, outside of which nothing is of the times that are wanted.

    `before`: how much earlier than its time a row may have been made, and `after`, how much later.
    """

    async def first(at: datetime | None, slack: timedelta) -> int | None:
        if at is None:
            return None
        values = {"account_id": account_id, "at": at, "slack": slack}
        row = await (await tx.execute(statement, values)).fetchone()
        assert row is not None
        return int(row[0])

    return await first(wanted.since, -before), await first(wanted.until, after)


async def last_examined(
    tx: Tx, statements: tuple[Sql, Sql], values: dict[str, Any], span: Span, examine: int
) -> int | None:
    """`values`: what the statements name beside the span."""
    ends = {"above": span.above, "below": span.below, "examine": examine}
    row = await (await tx.execute(statements[span.newest_first], values | ends)).fetchone()
    return None if row is None else int(row[0])
