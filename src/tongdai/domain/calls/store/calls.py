"""SQL that ends calls, counts what came of them, and pages through the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg.rows import class_row

from tongdai.domain.calls.model import (
    CampaignScope,
    Refusal,
    ResultMove,
    ResultRow,
    Scope,
)
from tongdai.kit.db import Sql, Tx

_ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)
"""All spans of the counters begin at a multiple of their length from here."""

# --------------------------------------------------------------------------- ending without a dial


@dataclass(frozen=True, slots=True)
class EndedCall:
    """A queued call that ended; `before` is the time of the result that it had until then."""

    id: int
    account_id: int
    campaign_id: int
    user_id: int
    outcome: str
    note: str
    before: datetime | None


# Ends queued calls without dialling them; the state in the WHERE decides a race. By primary key. A call that
# was queued for another trunk ends with its attempt.
REFUSE_CALLS: Sql = """
    WITH refused AS (
        UPDATE calls AS c
           SET state = 'done', outcome = r.outcome, note = r.note, called_at = %(now)s, done_at = %(now)s,
               duration_s = 0, key_press = NULL, caller = NULL, secret = NULL, deferred_reason = NULL,
               events = c.events + 1, open_attempt_id = NULL, tried_trunk_ids = NULL
          FROM unnest(%(ids)s::bigint[], %(outcomes)s::text[], %(notes)s::text[]) AS r (id, outcome, note)
         WHERE c.id = r.id AND c.state = 'queued'
     RETURNING c.id, c.account_id, c.campaign_id, c.user_id, c.outcome, coalesce(c.note, '') AS note,
               old.called_at AS before, old.open_attempt_id
    ), attempt AS (
        UPDATE attempts SET ended_at = %(now)s, outcome = refused.outcome, duration_s = 0
          FROM refused WHERE attempts.id = refused.open_attempt_id
    )
    SELECT id, account_id, campaign_id, user_id, outcome, note, before FROM refused"""

# Ends those of some queued calls that were dialled before: each keeps the result that it has. By primary key.
CONCLUDE_CALLS: Sql = """
    WITH concluded AS (
        UPDATE calls AS c
           SET state = 'done', done_at = %(now)s, secret = NULL, deferred_reason = NULL,
               events = c.events + 1, open_attempt_id = NULL, tried_trunk_ids = NULL
         WHERE c.id = ANY(%(ids)s) AND c.state = 'queued' AND c.attempts > 0 AND c.outcome IS NOT NULL
     RETURNING c.id, c.account_id, c.campaign_id, c.user_id, c.outcome, '' AS note, c.called_at AS before,
               old.open_attempt_id
    ), attempt AS (
        UPDATE attempts SET ended_at = %(now)s, outcome = 'congestion', duration_s = 0
          FROM concluded WHERE attempts.id = concluded.open_attempt_id
    )
    SELECT id, account_id, campaign_id, user_id, outcome, note, before FROM concluded"""

# Queued calls by id, locked in id order. Waits for a claim that holds one. By primary key.
LOCK_QUEUED_BY_ID: Sql = """
    SELECT id FROM calls
     WHERE id = ANY(%(ids)s) AND account_id = %(account_id)s AND state = 'queued'
     ORDER BY id LIMIT %(limit)s FOR UPDATE"""

# Queued calls of one number. Skips what is being claimed: the claim may wait for our person lock, and what
# it finds there ends its call. Index calls_by_number.
LOCK_QUEUED_BY_NUMBER: Sql = """
    SELECT id FROM calls
     WHERE account_id = %(account_id)s AND number = %(number)s AND state = 'queued'
       AND (%(campaign_id)s::bigint IS NULL OR campaign_id = %(campaign_id)s)
     LIMIT %(limit)s FOR UPDATE SKIP LOCKED"""

# Queued calls of one campaign, the soonest due first. Index calls_due.
LOCK_QUEUED_BY_CAMPAIGN: Sql = """
    SELECT id FROM calls
     WHERE campaign_id = %(campaign_id)s AND account_id = %(account_id)s AND state = 'queued'
     ORDER BY due_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED"""

# OTPs that could not be dialled in time, of every account: a loop of the platform. Index calls_expiring.
LOCK_EXPIRED: Sql = """
    SELECT id FROM calls
     WHERE state = 'queued' AND expires_at IS NOT NULL AND expires_at <= %(now)s
     ORDER BY expires_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED"""


async def refuse(tx: Tx, refusals: Sequence[Refusal], now: datetime) -> list[EndedCall]:
    arrays = {
        "ids": [refusal.call_id for refusal in refusals],
        "outcomes": [str(refusal.outcome) for refusal in refusals],
        "notes": [refusal.note for refusal in refusals],
        "now": now,
    }
    async with tx.cursor(row_factory=class_row(EndedCall)) as cursor:
        await cursor.execute(REFUSE_CALLS, arrays)
        return await cursor.fetchall()


async def conclude(tx: Tx, ids: Sequence[int], now: datetime) -> list[EndedCall]:
    async with tx.cursor(row_factory=class_row(EndedCall)) as cursor:
        await cursor.execute(CONCLUDE_CALLS, {"ids": list(ids), "now": now})
        return await cursor.fetchall()


async def lock_queued_by_id(tx: Tx, account_id: int, ids: Sequence[int], limit: int) -> list[int]:
    return await _ids(tx, LOCK_QUEUED_BY_ID, account_id=account_id, ids=list(ids), limit=limit)


async def lock_queued_by_number(
    tx: Tx, account_id: int, number: str, campaign_id: int | None, limit: int
) -> list[int]:
    return await _ids(
        tx,
        LOCK_QUEUED_BY_NUMBER,
        account_id=account_id,
        number=number,
        campaign_id=campaign_id,
        limit=limit,
    )


async def lock_queued_by_campaign(tx: Tx, account_id: int, campaign_id: int, limit: int) -> list[int]:
    return await _ids(
        tx, LOCK_QUEUED_BY_CAMPAIGN, account_id=account_id, campaign_id=campaign_id, limit=limit
    )


async def lock_expired(tx: Tx, now: datetime, limit: int) -> list[int]:
    return await _ids(tx, LOCK_EXPIRED, now=now, limit=limit)


async def _ids(tx: Tx, query: Sql, **parameters: object) -> list[int]:
    cursor = await tx.execute(query, parameters)
    return [row[0] for row in await cursor.fetchall()]


# --------------------------------------------------------------------------- counters

# Moves results between the counters of every span, for the campaign and for the user. Written in key order,
# so that two batches never wait for each other in a circle. By primary key of result_counts.
COUNT_RESULTS: Sql = """
    INSERT INTO result_counts AS kept (scope, scope_id, span_s, bucket, account_id, calls)
    SELECT s.scope, s.scope_id, n.span_s, date_bin(n.span, d.at, timestamptz '2000-01-01 00:00+00') AS bucket,
           m.account_id, sum(d.calls) AS calls
      FROM unnest(%(accounts)b::bigint[], %(campaigns)b::bigint[], %(users)b::bigint[],
                  %(befores)b::timestamptz[], %(afters)b::timestamptz[])
           AS m (account_id, campaign_id, user_id, before, after)
     CROSS JOIN LATERAL (VALUES (m.before, -1), (m.after, 1)) AS d (at, calls)
     CROSS JOIN LATERAL (VALUES ('campaign', m.campaign_id), ('user', m.user_id)) AS s (scope, scope_id)
     CROSS JOIN (VALUES (10, interval '10 s'), (600, interval '600 s'), (86400, interval '86400 s'))
           AS n (span_s, span)
     WHERE d.at IS NOT NULL
     GROUP BY 1, 2, 3, 4, 5 HAVING sum(d.calls) <> 0
     ORDER BY 1, 2, 3, 4
        ON CONFLICT (scope, scope_id, span_s, bucket) DO UPDATE SET calls = kept.calls + excluded.calls"""

# Adds finished calls to a campaign's outcomes, in key order. By primary key of outcome_counts.
COUNT_FINALS: Sql = """
    INSERT INTO outcome_counts AS kept (account_id, campaign_id, outcome, rule, calls)
    SELECT account_id, campaign_id, outcome, rule, sum(calls)
      FROM unnest(%(accounts)s::bigint[], %(campaigns)s::bigint[], %(outcomes)s::text[], %(rules)s::text[],
                  %(calls)s::bigint[])
           AS m (account_id, campaign_id, outcome, rule, calls)
     GROUP BY 1, 2, 3, 4 ORDER BY 2, 3, 4
        ON CONFLICT (campaign_id, outcome, rule) DO UPDATE SET calls = kept.calls + excluded.calls"""


async def count_results(tx: Tx, moves: Sequence[ResultMove]) -> None:
    arrays = {
        "accounts": [move.account_id for move in moves],
        "campaigns": [move.campaign_id for move in moves],
        "users": [move.user_id for move in moves],
        "befores": [move.before for move in moves],
        "afters": [move.after for move in moves],
    }
    await tx.execute(COUNT_RESULTS, arrays)


async def count_finals(tx: Tx, finals: Sequence[tuple[int, int, str, str, int]]) -> None:
    accounts, campaigns, outcomes, rules, calls = zip(*finals, strict=True)
    arrays = {
        "accounts": list(accounts),
        "campaigns": list(campaigns),
        "outcomes": [str(outcome) for outcome in outcomes],
        "rules": list(rules),
        "calls": list(calls),
    }
    await tx.execute(COUNT_FINALS, arrays)


# --------------------------------------------------------------------------- pages of results


@dataclass(frozen=True, slots=True)
class Located:
    """Where a page begins: so many results into the fine span that starts at `bucket`. None: past the end."""

    total: int
    bucket: datetime | None
    skip: int | None


def _counted(scope: Sql, span_s: Sql, since: Sql, until: Sql) -> Sql:
    return f"""
        SELECT bucket, calls FROM result_counts
         WHERE scope = '{scope}' AND scope_id = %(scope_id)s AND span_s = {span_s}
           AND bucket >= {since} AND bucket < {until}"""  # noqa: S608


def _below(scope: Sql, edge: Sql, through: Sql) -> Sql:
    """How many results lie below an edge: whole spans from the counters, the rest counted."""
    return f"""(
        SELECT coalesce(sum(calls), 0)::bigint FROM (
               {_counted(scope, "86400", "'-infinity'", f"%({edge}_coarse)s")}
         UNION ALL {_counted(scope, "600", f"%({edge}_coarse)s", f"%({edge}_middle)s")}
         UNION ALL {_counted(scope, "10", f"%({edge}_middle)s", f"%({edge}_fine)s")}
         UNION ALL SELECT NULL, count(*) FROM calls
                    WHERE {scope}_id = %(scope_id)s AND called_at >= %({edge}_fine)s
                      AND called_at {through} %({edge})s) AS below)"""  # noqa: S608


def _walked(scope: Sql, span_s: Sql, parent: Sql, since: Sql, until: Sql) -> Sql:
    """The span that holds a position, and how far into it the position lies."""
    return f"""
        SELECT bucket, {parent} - (reached - calls) AS left_over
          FROM (SELECT bucket, calls, sum(calls) OVER (ORDER BY bucket ROWS UNBOUNDED PRECEDING) AS reached
                  FROM ({_counted(scope, span_s, since, until)}) AS spans) AS spans
         WHERE reached > {parent} ORDER BY bucket LIMIT 1"""  # noqa: S608


def _locate(scope: Sql) -> Sql:
    return f"""
    WITH edges AS MATERIALIZED (
        SELECT {_below(scope, "since", "<")} AS skipped, {_below(scope, "until", "<=")} AS through
         WHERE EXISTS (SELECT FROM {scope}s WHERE id = %(scope_id)s AND account_id = %(account_id)s)
    ), page AS MATERIALIZED (
        SELECT skipped + %(offset)s::bigint AS place, greatest(through - skipped, 0) AS total FROM edges
    )
    SELECT page.total, fine.bucket, fine.left_over::bigint AS skip
      FROM page
      LEFT JOIN LATERAL ({_walked(scope, "86400", "page.place", "'-infinity'", "'infinity'")}) AS coarse
             ON %(offset)s < page.total
      LEFT JOIN LATERAL ({
        _walked(scope, "600", "coarse.left_over", "coarse.bucket", "coarse.bucket + interval '86400 s'")
    }) AS middle ON true
      LEFT JOIN LATERAL ({
        _walked(scope, "10", "middle.left_over", "middle.bucket", "middle.bucket + interval '600 s'")
    }) AS fine ON true"""  # noqa: S608


def _page(scope: Sql) -> Sql:
    return f"""
    WITH page AS MATERIALIZED (
        SELECT id FROM calls
         WHERE {scope}_id = %(scope_id)s AND called_at >= %(bucket)s AND called_at <= %(until)s
         ORDER BY called_at, id OFFSET %(skip)s LIMIT %(limit)s
    )
    SELECT c.id, c.campaign_id, c.number, c.number_given, c.outcome, c.called_at,
           coalesce(c.duration_s, 0) AS duration_s, coalesce(c.key_press, '') AS key_press,
           coalesce(c.caller, '') AS caller, c.note
      FROM calls AS c
     WHERE c.id = ANY(ARRAY(SELECT id FROM page)) AND c.account_id = %(account_id)s
     ORDER BY c.called_at, c.id"""  # noqa: S608


# Where a page begins, and how many results lie between the two moments. One statement, so one snapshot.
# Reads result_counts by its primary key, and at most three fine spans of the index of PAGE_OF_….
LOCATE_IN_CAMPAIGN: Sql = _locate("campaign")
LOCATE_IN_USER: Sql = _locate("user")

# One page: the ids out of the index alone, skipping less than a fine span, then their rows by primary key.
# Indexes calls_by_campaign_time and calls_by_user_time.
PAGE_OF_CAMPAIGN: Sql = _page("campaign")
PAGE_OF_USER: Sql = _page("user")


async def locate(tx: Tx, scope: Scope, *, since: datetime, until: datetime, offset: int) -> Located | None:
    """None: the account has no such campaign or user."""
    query = LOCATE_IN_CAMPAIGN if isinstance(scope, CampaignScope) else LOCATE_IN_USER
    parameters = _scoped(scope) | {"offset": offset} | _edge("since", since) | _edge("until", until)
    async with tx.cursor(row_factory=class_row(Located)) as cursor:
        await cursor.execute(query, parameters)
        return await cursor.fetchone()


async def read_page(
    tx: Tx, scope: Scope, *, bucket: datetime, until: datetime, skip: int, limit: int
) -> list[ResultRow]:
    query = PAGE_OF_CAMPAIGN if isinstance(scope, CampaignScope) else PAGE_OF_USER
    parameters = _scoped(scope) | {"bucket": bucket, "until": until, "skip": skip, "limit": limit}
    async with tx.cursor(row_factory=class_row(ResultRow)) as cursor:
        await cursor.execute(query, parameters)
        return await cursor.fetchall()


def _scoped(scope: Scope) -> dict[str, object]:
    scope_id = scope.campaign_id if isinstance(scope, CampaignScope) else scope.user_id
    return {"account_id": scope.account_id, "scope_id": scope_id}


def _edge(name: str, at: datetime) -> dict[str, object]:
    """A moment with the start of each span that holds it."""
    since_origin = at - _ORIGIN
    return {
        name: at,
        f"{name}_fine": at - since_origin % timedelta(seconds=10),
        f"{name}_middle": at - since_origin % timedelta(seconds=600),
        f"{name}_coarse": at - since_origin % timedelta(seconds=86400),
    }
