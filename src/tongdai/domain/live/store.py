"""All SQL of a leg's end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from tongdai.domain.live.model import LegResult
from tongdai.kit.db import Sql, Tx

# Everybody who counts channels locks these rows first and in this order, so claims and ends never deadlock.
LOCK_LIMITS: Sql = "SELECT id FROM limits WHERE id = ANY(%s) ORDER BY id FOR UPDATE"

# Claims lock persons in key order, so an end must too.
LOCK_PERSONS: Sql = """
SELECT FROM persons
WHERE (account_id, advertiser, number) IN (SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[]))
ORDER BY account_id, advertiser, number FOR UPDATE
"""

# Ends a batch of legs with all that hangs on them. Only legs that had not ended count: the id of each is
# returned, and what is not returned was ended by somebody else before. Served by the primary keys.
END_LEGS: Sql = """
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(
        %(leg_id)s::bigint[], %(attempt_id)s::bigint[], %(call_id)s::bigint[], %(account_id)s::bigint[],
        %(outcome)s::text[], %(ring_s)s::real[], %(duration_s)s::int[], %(key_press)s::text[],
        %(timeline)s::jsonb[], %(state)s::text[], %(due_at)s::timestamptz[], %(dial_at)s::timestamptz[],
        %(caller)s::text[], %(outcome_counts)s::jsonb[], %(rang)s::boolean[],
        %(advertiser)s::text[], %(number)s::text[]
    ) AS t(leg_id, attempt_id, call_id, account_id, outcome, ring_s, duration_s, key_press,
           timeline, state, due_at, dial_at, caller, outcome_counts, rang, advertiser, number)
), ended AS (
    UPDATE legs SET state = 'ended', ended_at = %(now)s, outcome = input.outcome
    FROM input WHERE legs.id = input.leg_id AND legs.state <> 'ended'
    RETURNING legs.limit_ids, input.*
), attempt AS (
    UPDATE attempts SET ended_at = %(now)s, outcome = input.outcome, ring_s = input.ring_s,
           duration_s = input.duration_s, key_press = input.key_press, timeline = input.timeline
    FROM ended AS input WHERE attempts.id = input.attempt_id AND input.outcome IS NOT NULL
), never_made AS (
    DELETE FROM attempts USING ended AS input
    WHERE attempts.id = input.attempt_id AND input.outcome IS NULL
), call AS (
    UPDATE calls SET
        state = input.state,
        due_at = coalesce(input.due_at, calls.due_at),
        attempts = calls.attempts - (input.outcome IS NULL)::int,
        outcome_counts = coalesce(input.outcome_counts, calls.outcome_counts),
        outcome = coalesce(input.outcome, calls.outcome),
        called_at = CASE WHEN input.outcome IS NULL THEN calls.called_at ELSE input.dial_at END,
        duration_s = CASE WHEN input.outcome IS NULL THEN calls.duration_s ELSE input.duration_s END,
        key_press = CASE WHEN input.outcome IS NULL THEN calls.key_press ELSE input.key_press END,
        caller = CASE WHEN input.outcome IS NULL THEN calls.caller ELSE input.caller END,
        note = CASE WHEN input.outcome IS NULL THEN calls.note END,
        deferred_reason = NULL,
        secret = CASE WHEN input.state = 'done' THEN NULL ELSE calls.secret END,
        done_at = CASE WHEN input.state = 'done' THEN %(now)s END
    FROM ended AS input
    WHERE calls.id = input.call_id AND calls.state = 'dialing'
), person AS (
    UPDATE persons SET live_call_id = NULL,
           last_rang_at = CASE WHEN input.rang THEN input.dial_at ELSE persons.last_rang_at END
    FROM ended AS input
    WHERE persons.account_id = input.account_id AND persons.advertiser = input.advertiser
      AND persons.number = input.number AND persons.live_call_id = input.call_id
), freed AS (
    SELECT limit_id, count(*) AS channels FROM ended, unnest(ended.limit_ids) AS limit_id GROUP BY limit_id
), capacity AS (
    UPDATE limits SET live = live - freed.channels FROM freed WHERE limits.id = freed.limit_id
)
SELECT leg_id FROM ended
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


def _columns(rows: Sequence[EndRow]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        "leg_id": [row.result.facts.leg_id for row in rows],
        "attempt_id": [row.result.facts.attempt_id for row in rows],
        "call_id": [row.result.facts.call_id for row in rows],
        "account_id": [row.result.facts.account_id for row in rows],
        "outcome": [row.result.outcome for row in rows],
        "ring_s": [row.result.ring_s for row in rows],
        "duration_s": [row.result.duration_s for row in rows],
        "key_press": [row.result.key_press for row in rows],
        "timeline": [msgspec.json.encode(row.result.timeline).decode() for row in rows],
        "state": [row.state for row in rows],
        "due_at": [row.due_at for row in rows],
        "dial_at": [row.result.facts.dial_at for row in rows],
        "caller": [row.result.facts.caller for row in rows],
        "rang": [row.result.rang for row in rows],
        "advertiser": [row.result.facts.advertiser for row in rows],
        "number": [row.result.facts.number for row in rows],
    }
    columns["outcome_counts"] = [
        None if row.outcome_counts is None else msgspec.json.encode(row.outcome_counts).decode()
        for row in rows
    ]
    return columns


async def lock(tx: Tx, results: Sequence[LegResult]) -> None:
    """Lock what a claim may hold, in the order in which a claim locks it: limits, then persons."""
    facts = [result.facts for result in results]
    await tx.execute(LOCK_LIMITS, [sorted({id_ for leg in facts for id_ in leg.limit_ids})])
    await tx.execute(
        LOCK_PERSONS,
        [[leg.account_id for leg in facts], [leg.advertiser for leg in facts], [leg.number for leg in facts]],
    )


async def end_legs(tx: Tx, rows: Sequence[EndRow], now: datetime) -> set[int]:
    """Ids of the legs that this call ended."""
    cursor = await tx.execute(END_LEGS, {**_columns(rows), "now": now})
    return {leg_id for (leg_id,) in await cursor.fetchall()}


async def mark_unknown(tx: Tx, leg_ids: Sequence[int]) -> None:
    await tx.execute(MARK_UNKNOWN, [list(leg_ids)])
