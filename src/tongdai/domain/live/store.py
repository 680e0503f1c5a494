"""All SQL of a leg's end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from tongdai.domain.billing import Charge
from tongdai.domain.live.model import LegResult
from tongdai.kit.db import Sql, Tx

# Everybody who counts channels locks these rows first and in this order, so claims and ends never deadlock.
LOCK_LIMITS: Sql = "SELECT id FROM limits WHERE id = ANY(%s) ORDER BY id FOR UPDATE"

# Campaigns that calls come back to: their floors may have to go down, and claims hold them before persons.
LOCK_CAMPAIGNS: Sql = "SELECT id FROM campaigns WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"

# Claims lock persons in key order, so an end must too.
LOCK_PERSONS: Sql = """
SELECT FROM persons
WHERE (account_id, advertiser, number) IN (SELECT * FROM unnest(%b::bigint[], %b::text[], %b::text[]))
ORDER BY account_id, advertiser, number FOR UPDATE
"""

# Ends a batch of legs with all that hangs on them. Only legs that had not ended count: the id of each is
# returned, and what is not returned was ended by somebody else before. Served by the primary keys.
# A call that returns keeps its old place in the queue: `due_at` stays. Where it was not sent at all, its
# attempt is as if it had never been; where its trunk failed, the attempt stays open for the next one.
# A trunk with too many failures in a row, and nothing else in between, cools down; when it is tried again,
# one more sends it back.
# What was not sent does not count for the day of its slot; another day's count never had it.
END_LEGS: Sql = """
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(
        %(leg_id)b::bigint[], %(attempt_id)b::bigint[], %(call_id)b::bigint[], %(account_id)b::bigint[],
        %(outcome)b::text[], %(ring_s)b::real[], %(duration_s)b::int[], %(key_press)b::text[],
        %(timeline)b::text[], %(state)b::text[], %(due_at)b::timestamptz[], %(dial_at)b::timestamptz[],
        %(caller)b::text[], %(outcome_counts)b::text[], %(rang)b::boolean[],
        %(person_of)b::text[], %(number)b::text[], %(returns)b::boolean[], %(goes_on)b::boolean[],
        %(trunk_id)b::bigint[], %(end_code)b::text[], %(billable_s)b::int[], %(postage)b::numeric[],
        %(service_charge)b::numeric[]
    ) AS t(leg_id, attempt_id, call_id, account_id, outcome, ring_s, duration_s, key_press,
           timeline, state, due_at, dial_at, caller, outcome_counts, rang, person_of, number, returns,
           goes_on, trunk_id, end_code, billable_s, postage, service_charge)
), ended AS (
    UPDATE legs SET state = 'ended', ended_at = %(now)s, outcome = input.outcome
    FROM input WHERE legs.id = input.leg_id AND legs.state <> 'ended'
    RETURNING legs.limit_ids, (input.dial_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date
                              = (%(now)s AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS of_today, input.*
), attempt AS (
    UPDATE attempts SET ended_at = %(now)s, outcome = input.outcome, ring_s = input.ring_s,
           duration_s = input.duration_s, key_press = input.key_press, timeline = input.timeline::jsonb,
           end_code = input.end_code, billable_s = input.billable_s, postage = input.postage,
           service_charge = input.service_charge
    FROM ended AS input WHERE attempts.id = input.attempt_id AND NOT input.returns
), never_made AS (
    DELETE FROM attempts USING ended AS input
    WHERE attempts.id = input.attempt_id AND input.returns AND NOT input.goes_on
), call AS (
    UPDATE calls SET
        state = input.state,
        due_at = coalesce(input.due_at, calls.due_at),
        attempts = calls.attempts - (input.returns AND NOT input.goes_on)::int,
        outcome_counts = coalesce(input.outcome_counts::jsonb, calls.outcome_counts),
        outcome = CASE WHEN input.returns THEN calls.outcome ELSE input.outcome END,
        called_at = CASE WHEN input.returns THEN calls.called_at ELSE input.dial_at END,
        duration_s = CASE WHEN input.returns THEN calls.duration_s ELSE input.duration_s END,
        key_press = CASE WHEN input.returns THEN calls.key_press ELSE input.key_press END,
        caller = CASE WHEN input.returns THEN calls.caller ELSE input.caller END,
        note = CASE WHEN input.returns THEN calls.note END,
        events = calls.events + (NOT input.returns)::int,
        open_attempt_id = CASE WHEN input.goes_on THEN input.attempt_id END,
        tried_trunk_ids = CASE WHEN NOT input.goes_on THEN NULL
                               WHEN input.outcome IS NULL THEN calls.tried_trunk_ids
                               ELSE array_append(calls.tried_trunk_ids, input.trunk_id) END,
        deferred_reason = NULL,
        secret = CASE WHEN input.state = 'done' THEN NULL ELSE calls.secret END,
        done_at = CASE WHEN input.state = 'done' THEN %(now)s END
    FROM ended AS input
    WHERE calls.id = input.call_id AND calls.state = 'dialing'
), person AS (
    UPDATE persons SET live_call_id = NULL,
           last_rang_at = CASE WHEN input.rang THEN input.dial_at ELSE persons.last_rang_at END
    FROM ended AS input
    WHERE persons.account_id = input.account_id AND persons.advertiser = input.person_of
      AND persons.number = input.number AND persons.live_call_id = input.call_id
), freed AS (
    SELECT limit_id, count(*) AS channels,
           count(*) FILTER (WHERE ended.outcome IS NULL AND ended.of_today) AS unsent,
           count(*) FILTER (WHERE ended.outcome = 'congestion' AND NOT ended.rang) AS failed,
           count(*) FILTER (WHERE ended.outcome <> 'congestion' OR ended.rang) AS carried
    FROM ended, unnest(ended.limit_ids) AS limit_id GROUP BY limit_id
), capacity AS (
    UPDATE limits SET live = live - freed.channels,
           used = greatest(0, used - freed.unsent),
           failures = CASE WHEN freed.carried > 0 OR cool_after IS NULL THEN 0
                           ELSE failures + freed.failed END,
           cooling_until = CASE WHEN freed.carried = 0 AND failures + freed.failed >= cool_after
                                THEN %(now)s + make_interval(secs => cool_seconds) ELSE cooling_until END
    FROM freed WHERE limits.id = freed.limit_id
)
SELECT leg_id FROM ended
"""

# A call that came back to its old place may lie below its campaign's floor: that goes down to it. The
# campaigns are locked. By primary keys.
LOWER_FLOORS: Sql = """
UPDATE campaigns c SET floor_at = low.due_at, floor_id = low.id
FROM (
    SELECT DISTINCT ON (campaign_id) campaign_id, due_at, id FROM calls
    WHERE id = ANY(%s) AND state = 'queued' ORDER BY campaign_id, due_at, id
) low
WHERE c.id = low.campaign_id AND (low.due_at, low.id) < (c.floor_at, c.floor_id)
"""

# A leg whose engine cannot be asked: it keeps its channel and its person until it is reconciled or given up.
MARK_UNKNOWN: Sql = "UPDATE legs SET state = 'unknown' WHERE id = ANY(%s) AND state = 'committed'"


@dataclass(frozen=True, slots=True)
class EndRow:
    """A result together with what becomes of its call."""

    result: LegResult
    state: str
    due_at: datetime | None
    outcome_counts: dict[str, int] | None
    charge: Charge | None = None


def _columns(rows: Sequence[EndRow]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        "leg_id": [row.result.facts.leg_id for row in rows],
        "attempt_id": [row.result.facts.attempt_id for row in rows],
        "call_id": [row.result.facts.call_id for row in rows],
        "account_id": [row.result.facts.account_id for row in rows],
        "outcome": [None if row.result.outcome is None else row.result.outcome.value for row in rows],
        "ring_s": [row.result.ring_s for row in rows],
        "duration_s": [row.result.duration_s for row in rows],
        "key_press": [row.result.key_press for row in rows],
        "timeline": [msgspec.json.encode(row.result.timeline).decode() for row in rows],
        "state": [row.state for row in rows],
        "due_at": [row.due_at for row in rows],
        "dial_at": [row.result.facts.dial_at for row in rows],
        "caller": [row.result.facts.caller for row in rows],
        "rang": [row.result.rang for row in rows],
        "person_of": [""] * len(rows),
        "number": [row.result.facts.number for row in rows],
    }
    columns["returns"] = [row.result.returns for row in rows]
    columns["goes_on"] = [
        row.result.returns and bool(row.result.fails_over or row.result.facts.tried_trunk_ids) for row in rows
    ]
    columns["trunk_id"] = [row.result.facts.trunk_id for row in rows]
    columns["end_code"] = [row.result.end_code for row in rows]
    charges = [row.charge for row in rows]
    columns["billable_s"] = [None if one is None else one.billable_s for one in charges]
    columns["postage"] = [None if one is None else one.postage.amount for one in charges]
    columns["service_charge"] = [None if one is None else one.service.amount for one in charges]
    columns["outcome_counts"] = [
        None if row.outcome_counts is None else msgspec.json.encode(row.outcome_counts).decode()
        for row in rows
    ]
    return columns


async def lock(tx: Tx, results: Sequence[LegResult]) -> None:
    """Lock what a claim may hold, in the order in which a claim locks it: limits, campaigns, persons."""
    facts = [result.facts for result in results]
    returning = {result.facts.campaign_id for result in results if result.returns}
    await tx.execute(LOCK_LIMITS, [sorted({id_ for leg in facts for id_ in leg.limit_ids})])
    if returning:
        await tx.execute(LOCK_CAMPAIGNS, [sorted(returning)])
    persons = {(leg.account_id, "", leg.number) for leg in facts}
    persons |= {
        (leg.account_id, leg.advertiser, leg.number)
        for leg in (result.facts for result in results if result.opted_out)
    }
    await tx.execute(LOCK_PERSONS, [list(column) for column in zip(*persons, strict=True)])


async def lower_floors(tx: Tx, call_ids: Sequence[int]) -> None:
    await tx.execute(LOWER_FLOORS, [list(call_ids)])


async def end_legs(tx: Tx, rows: Sequence[EndRow], now: datetime) -> set[int]:
    """Ids of the legs that this call ended."""
    cursor = await tx.execute(END_LEGS, {**_columns(rows), "now": now})
    return {leg_id for (leg_id,) in await cursor.fetchall()}


async def mark_unknown(tx: Tx, leg_ids: Sequence[int]) -> None:
    await tx.execute(MARK_UNKNOWN, [list(leg_ids)])
