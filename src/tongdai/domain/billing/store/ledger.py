"""SQL of the ledger: reading it, and checking it against wallets and legs."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from psycopg.rows import args_row

from tongdai.domain.billing.model import BY_HAND, Audit, Kind, LedgerLine, LineFilter, Walked
from tongdai.kit.db import Sql, Tx

LINES: Final[Sql] = """
SELECT id, account_id, at, kind, amount, net, vat, vat_percent, balance_after,
       campaign_id, call_id, attempt_id, leg_id, rate_id, billable_s, made_by, reason,
       zalo_journey_id, zalo_message_id
FROM ledger
WHERE account_id = %(account_id)s AND id > %(after)s AND id < %(before)s
"""

# An account's lines in pages, in either direction: the primary key of one partition after the other, in
# order, so a page costs the same wherever it is.
_OF_KIND: Final[Sql] = "AND (%(kind)s::text IS NULL OR kind = %(kind)s) "
OLDEST: Final[Sql] = LINES + _OF_KIND + "ORDER BY id LIMIT %(limit)s"
NEWEST: Final[Sql] = LINES + _OF_KIND + "ORDER BY id DESC LIMIT %(limit)s"

# Those made by hand, however many of calls lie between (ledger_by_hand, whose condition is repeated here).
_BY_HAND: Final[Sql] = "AND kind IN ('top_up', 'adjustment') AND kind = %(kind)s "
OLDEST_BY_HAND: Final[Sql] = LINES + _BY_HAND + "ORDER BY id LIMIT %(limit)s"
NEWEST_BY_HAND: Final[Sql] = LINES + _BY_HAND + "ORDER BY id DESC LIMIT %(limit)s"

# The last of the ids that one request examines; none when they come to an end before. The primary key alone.
EXAMINED: Final[Sql] = """
SELECT id FROM ledger
WHERE account_id = %(account_id)s AND id > %(after)s AND id < %(before)s
"""
LAST_EXAMINED: Final[Sql] = EXAMINED + "ORDER BY id OFFSET %(examine)s::bigint - 1 LIMIT 1"
LAST_EXAMINED_BACK: Final[Sql] = EXAMINED + "ORDER BY id DESC OFFSET %(examine)s::bigint - 1 LIMIT 1"

# Where a time begins. Times grow with the ids of an account, so halving the ids that are left finds it with
# the primary key alone, in some forty probes of one row; an index on the time would cost every line that is
# written.
FIRST_SINCE: Final[Sql] = """
WITH RECURSIVE search (low, high) AS (
    SELECT 0::bigint, coalesce((SELECT max(id) FROM ledger WHERE account_id = %(account_id)s), 0) + 1
    UNION ALL
    SELECT CASE WHEN probe.at < %(since)s THEN probe.id + 1 ELSE search.low END,
           CASE WHEN probe.at < %(since)s THEN search.high ELSE middle.id END
    FROM search
    CROSS JOIN LATERAL (SELECT search.low + (search.high - search.low) / 2 AS id) middle
    LEFT JOIN LATERAL (
        SELECT l.id, l.at FROM ledger l
        WHERE l.account_id = %(account_id)s AND l.id >= middle.id AND l.id < search.high
        ORDER BY l.id LIMIT 1
    ) probe ON true
    WHERE search.low < search.high
)
SELECT low FROM search WHERE low >= high
"""

# The next lines of a ledger: how many, what they come to, and how many do not follow from the line before.
WALK: Final[Sql] = """
WITH next AS (
    SELECT id, amount, balance_after FROM ledger
    WHERE account_id = %(account_id)s AND id > %(after)s
    ORDER BY id LIMIT %(limit)s
), line AS (
    SELECT id, amount,
           balance_after - amount <> lag(balance_after, 1, %(total)s::numeric) OVER (ORDER BY id) AS breaks
    FROM next
)
SELECT coalesce(max(id), %(after)s), %(lines)s + count(*), %(total)s::numeric + coalesce(sum(amount), 0),
       %(breaks)s + count(*) FILTER (WHERE breaks)
FROM line
"""

# A wallet, what its ledger comes to, and what the open legs (legs_open), journeys (zalo_journeys_held) and
# messages (zalo_messages_held) of its account hold, at one moment.
# Starts where a walk left off, since lines never change.
AUDIT: Final[Sql] = """
WITH line AS (
    SELECT id, amount,
           balance_after - amount <> lag(balance_after, 1, %(total)s::numeric) OVER (ORDER BY id) AS breaks
    FROM ledger WHERE account_id = %(account_id)s AND id > %(after)s
)
SELECT w.account_id, w.balance, w.reserved,
       %(lines)s + (SELECT count(*) FROM line),
       %(total)s::numeric + (SELECT coalesce(sum(amount), 0) FROM line),
       %(breaks)s + (SELECT count(*) FROM line WHERE breaks),
       (SELECT coalesce(sum(l.reserved), 0) FROM legs l
        WHERE l.account_id = w.account_id AND l.state <> 'ended')
       + (SELECT coalesce(sum(j.held), 0) FROM zalo_journeys j
          WHERE j.account_id = w.account_id AND j.held > 0)
       + (SELECT coalesce(sum(m.held), 0) FROM zalo_messages m
          WHERE m.account_id = w.account_id AND m.held > 0)
FROM wallets w WHERE w.account_id = %(account_id)s
"""


async def lines(tx: Tx, wanted: LineFilter, through: int | None, limit: int) -> list[LedgerLine]:
    """`through`: the last id to look at, in the direction that is wanted; None: to the end."""
    after, before = wanted.after, wanted.before
    if through is not None:
        after, before = (through - 1, before) if wanted.newest_first else (after, through + 1)
    by_hand = wanted.kind in BY_HAND
    statement = {
        (False, False): OLDEST,
        (False, True): NEWEST,
        (True, False): OLDEST_BY_HAND,
        (True, True): NEWEST_BY_HAND,
    }[by_hand, wanted.newest_first]
    values = {"account_id": wanted.account_id, "after": after, "before": before}
    async with tx.cursor(row_factory=args_row(_line)) as cursor:
        await cursor.execute(statement, values | {"kind": wanted.kind, "limit": limit})
        return await cursor.fetchall()


async def last_examined(tx: Tx, wanted: LineFilter, examine: int) -> int | None:
    """The id of the last of so many lines, of whatever kind; None when there are fewer."""
    values = {"account_id": wanted.account_id, "after": wanted.after, "before": wanted.before}
    statement = LAST_EXAMINED_BACK if wanted.newest_first else LAST_EXAMINED
    row = await (await tx.execute(statement, values | {"examine": examine})).fetchone()
    return None if row is None else int(row[0])


async def first_since(tx: Tx, account_id: int, since: datetime) -> int:
    """An id at which the lines of `since` or later begin: all before it are earlier."""
    row = await (await tx.execute(FIRST_SINCE, {"account_id": account_id, "since": since})).fetchone()
    assert row is not None
    return int(row[0])


async def walk(tx: Tx, account_id: int, so_far: Walked, limit: int) -> Walked:
    async with tx.cursor(row_factory=args_row(Walked)) as cursor:
        await cursor.execute(WALK, _values(account_id, so_far) | {"limit": limit})
        walked = await cursor.fetchone()
    assert walked is not None
    return walked


async def audit(tx: Tx, account_id: int, so_far: Walked) -> Audit | None:
    """None: the account has no wallet."""
    async with tx.cursor(row_factory=args_row(Audit)) as cursor:
        await cursor.execute(AUDIT, _values(account_id, so_far))
        return await cursor.fetchone()


def _values(account_id: int, so_far: Walked) -> dict[str, object]:
    return {
        "account_id": account_id,
        "after": so_far.last_id,
        "lines": so_far.lines,
        "total": so_far.total,
        "breaks": so_far.breaks,
    }


def _line(id: int, account_id: int, at: datetime, kind: str, *rest: Any) -> LedgerLine:
    return LedgerLine(id, account_id, at, Kind(kind), *rest)
