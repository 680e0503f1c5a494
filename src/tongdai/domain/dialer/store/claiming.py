"""All SQL of claiming: plans, locks, due calls, persons and committed legs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from psycopg.rows import class_row

from tongdai.domain.campaigns import CampaignConfig
from tongdai.domain.contacts import DialFormat
from tongdai.domain.dialer.model import DueCall, Limit, Line, Plan, Slot
from tongdai.kit.db import Sql, Tx

# Every running campaign with the moment of its next due call. The probe starts at the campaign's floor and
# reads one entry of calls_due, so a campaign costs some microseconds however many calls it holds.
RUNNING_CAMPAIGNS: Sql = """
SELECT c.id, c.account_id, c.user_id, c.kind, c.script_id, c.script_version, c.config::text AS config,
       c.limit_id, a.limit_id AS account_limit_id, c.hotline_ids, due.due_at AS next_due_at
FROM campaigns c
JOIN accounts a ON a.id = c.account_id
LEFT JOIN LATERAL (
    SELECT due_at FROM calls
    WHERE campaign_id = c.id AND state = 'queued' AND (due_at, id) >= (c.floor_at, c.floor_id)
    ORDER BY due_at, id LIMIT 1
) due ON true
WHERE c.state = 'running'
ORDER BY c.id
"""

# The lines of all hotlines that running campaigns name, whether enabled or not.
LINES: Sql = """
SELECT h.id AS hotline_id, h.trunk_id, t.engine, h.number, h.network, t.dial_format, t.presented_format,
       h.limit_id AS hotline_limit, t.limit_id AS trunk_limit, h.enabled AND t.enabled AS enabled
FROM hotlines h JOIN trunks t ON t.id = h.trunk_id AND t.account_id = h.account_id
WHERE h.id = ANY(%s)
"""

# The caps of a claim, locked in id order by everybody who counts channels; with the database's clock, read
# once the locks are held.
LOCK_LIMITS: Sql = """
SELECT l.id, l.max_channels, l.max_cps, l.live, l.next_slot_at
FROM (SELECT * FROM limits WHERE id = ANY(%s) ORDER BY id FOR UPDATE) l
"""
DATABASE_CLOCK: Sql = "SELECT clock_timestamp()"

# The campaigns themselves. Who pauses one waits for this claim, and nothing is claimed after a pause has
# committed. A statement of its own: CLAIM must begin after the lock is held, or it would not see what a bulk
# import has committed meanwhile, and move the floor past it.
LOCK_CAMPAIGNS: Sql = """
SELECT id FROM campaigns WHERE id = ANY(%s) AND state = 'running' ORDER BY id FOR NO KEY UPDATE
"""

# The next due calls of each campaign, from its floor on (index calls_due).
CLAIM: Sql = """
SELECT q.*, o.routing_group AS override
FROM (
    SELECT c.id, c.floor_at, c.floor_id, want.n, want.ord
    FROM unnest(%(campaigns)s::bigint[], %(wanted)s::int[]) WITH ORDINALITY AS want(campaign_id, n, ord)
    JOIN campaigns c ON c.id = want.campaign_id AND c.state = 'running'
) c
CROSS JOIN LATERAL (
    SELECT id, account_id, campaign_id, user_id, number, fields, secret, due_at, attempts, max_attempts,
           outcome_counts, called_at AS called_before, expires_at, c.ord
    FROM calls
    WHERE campaign_id = c.id AND state = 'queued' AND (due_at, id) >= (c.floor_at, c.floor_id)
      AND due_at <= %(now)s AND (expires_at IS NULL OR expires_at > %(now)s)
    ORDER BY due_at, id
    LIMIT c.n
    FOR UPDATE SKIP LOCKED
) q
LEFT JOIN number_overrides o ON o.account_id = q.account_id AND o.number = q.number
ORDER BY q.ord, q.due_at, q.id
"""

# Persons are made when they are first claimed, and locked in key order.
ENSURE_PERSONS: Sql = """
INSERT INTO persons (account_id, number)
SELECT DISTINCT * FROM unnest(%s::bigint[], %s::text[]) AS t(account_id, number) ORDER BY 1, 2
ON CONFLICT DO NOTHING
"""
LOCK_PERSONS: Sql = """
SELECT account_id, number, live_call_id, opted_out_at IS NOT NULL AS opted_out
FROM persons
WHERE (account_id, advertiser, number) IN (SELECT a, '', n FROM unnest(%s::bigint[], %s::text[]) AS t(a, n))
ORDER BY account_id, advertiser, number FOR UPDATE
"""

# A person who is on another call of ours is tried again later; nothing is counted.
DEFER: Sql = """
UPDATE calls SET due_at = %(until)s, deferred_reason = %(reason)s
WHERE id = ANY(%(ids)s) AND state = 'queued'
"""

# Attempt and leg of each call that got a slot, with all that it takes from the caps, before any engine is
# told. The input is materialised, so each row draws one leg id and one attempt id.
# The calls are locked by the claim, so that they are queued is known: asking for it again would offer the
# planner all queued calls of the index calls_due, which it reads whole when its statistics are older than an
# import. For the same reason the advertiser is a column of the input and no constant.
COMMIT_SLOTS: Sql = """
WITH input AS MATERIALIZED (
    SELECT nextval('leg_ids') AS leg_id, nextval('attempt_ids') AS attempt_id, '' AS advertiser, t.*
    FROM unnest(
        %(call_id)s::bigint[], %(account_id)s::bigint[], %(campaign_id)s::bigint[], %(number)s::text[],
        %(ordinal)s::smallint[], %(trunk_id)s::bigint[], %(hotline_id)s::bigint[], %(engine)s::text[],
        %(dial_at)s::timestamptz[], %(dial_before)s::timestamptz[], %(gives_up_at)s::timestamptz[],
        %(limit_1)s::bigint[], %(limit_2)s::bigint[], %(limit_3)s::bigint[], %(limit_4)s::bigint[]
    ) AS t(call_id, account_id, campaign_id, number, ordinal, trunk_id, hotline_id, engine, dial_at,
           dial_before, gives_up_at, limit_1, limit_2, limit_3, limit_4)
), attempt AS (
    INSERT INTO attempts (id, account_id, call_id, campaign_id, ordinal, hotline_id, dialled_at)
    SELECT attempt_id, account_id, call_id, campaign_id, ordinal, hotline_id, dial_at FROM input
), leg AS (
    INSERT INTO legs (id, account_id, attempt_id, call_id, campaign_id, trunk_id, hotline_id, engine,
                      dialer_id, number, limit_ids, dial_at, dial_before, gives_up_at)
    SELECT leg_id, account_id, attempt_id, call_id, campaign_id, trunk_id, hotline_id, engine,
           %(dialer_id)s, number, ARRAY[limit_1, limit_2, limit_3, limit_4], dial_at, dial_before, gives_up_at
    FROM input
), call AS (
    UPDATE calls SET state = 'dialing', attempts = input.ordinal, deferred_reason = NULL
    FROM input WHERE calls.id = input.call_id AND calls.attempts = input.ordinal - 1
), person AS (
    UPDATE persons SET live_call_id = input.call_id
    FROM input
    WHERE persons.account_id = input.account_id AND persons.advertiser = input.advertiser
      AND persons.number = input.number
), capacity AS (
    UPDATE limits SET live = taken.live, next_slot_at = taken.next_slot_at
    FROM unnest(%(limit_ids)s::bigint[], %(live)s::int[], %(next_slot_at)s::timestamptz[])
         AS taken(id, live, next_slot_at)
    WHERE limits.id = taken.id
)
SELECT call_id, leg_id, attempt_id FROM input
"""

# The floor follows the claims, but stays behind the clock by more than a transaction may live: an import that
# has begun and not committed yet carries an older `due_at`. The caller sees to that.
MOVE_FLOORS: Sql = """
UPDATE campaigns c SET floor_at = f.due_at, floor_id = f.id
FROM unnest(%(campaign_id)s::bigint[], %(due_at)s::timestamptz[], %(id)s::bigint[])
     AS f(campaign_id, due_at, id)
WHERE c.id = f.campaign_id AND (c.floor_at, c.floor_id) < (f.due_at, f.id)
"""

# Why a campaign dials nothing, written only where it changed. Locked in id order, as claims lock campaigns.
SAY_WAITING: Sql = """
UPDATE campaigns c SET waiting_reason = w.reason, waiting_until = w.until,
       waiting_since = CASE WHEN w.reason IS NULL THEN NULL
                            WHEN w.reason IS DISTINCT FROM c.waiting_reason THEN %(now)s
                            ELSE c.waiting_since END
FROM (
    SELECT held.id, told.reason, told.until
    FROM unnest(%(campaign_id)s::bigint[], %(reason)s::text[], %(until)s::timestamptz[])
         AS told(campaign_id, reason, until)
    JOIN campaigns held ON held.id = told.campaign_id AND held.state = 'running'
     AND (held.waiting_reason, held.waiting_until) IS DISTINCT FROM (told.reason, told.until)
    ORDER BY held.id FOR NO KEY UPDATE OF held
) w
WHERE c.id = w.id
"""


@dataclass(frozen=True, slots=True)
class CampaignRow:
    id: int
    account_id: int
    user_id: int
    kind: str
    script_id: int
    script_version: int
    config: str
    limit_id: int
    account_limit_id: int
    hotline_ids: list[int]
    next_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class LineRow:
    hotline_id: int
    trunk_id: int
    engine: str
    number: str
    network: str | None
    dial_format: DialFormat
    presented_format: DialFormat
    hotline_limit: int
    trunk_limit: int
    enabled: bool

    def line(self) -> Line:
        return Line(
            self.hotline_id,
            self.trunk_id,
            self.engine,
            self.number,
            self.network,
            self.dial_format,
            self.presented_format,
            self.hotline_limit,
            self.trunk_limit,
        )


@dataclass(frozen=True, slots=True)
class PersonRow:
    account_id: int
    number: str
    live_call_id: int | None
    opted_out: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    call: DueCall
    override: str | None


async def running_campaigns(tx: Tx) -> list[CampaignRow]:
    async with tx.cursor(row_factory=class_row(CampaignRow)) as cursor:
        await cursor.execute(RUNNING_CAMPAIGNS)
        return await cursor.fetchall()


async def lines(tx: Tx, hotline_ids: Iterable[int]) -> dict[int, LineRow]:
    async with tx.cursor(row_factory=class_row(LineRow)) as cursor:
        await cursor.execute(LINES, [sorted(set(hotline_ids))])
        return {row.hotline_id: row for row in await cursor.fetchall()}


async def lock_limits(tx: Tx, limit_ids: Iterable[int]) -> tuple[dict[int, Limit], datetime]:
    """The locked caps, and the database's time once they are held."""
    async with tx.pipeline(), tx.cursor(row_factory=class_row(Limit)) as cursor, tx.cursor() as clock:
        await cursor.execute(LOCK_LIMITS, [sorted(limit_ids)])
        await clock.execute(DATABASE_CLOCK)
        limits = {limit.id: limit for limit in await cursor.fetchall()}
        row = await clock.fetchone()
    assert row is not None
    return limits, row[0]


async def database_now(tx: Tx) -> datetime:
    row = await (await tx.execute(DATABASE_CLOCK)).fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment


async def claim(tx: Tx, wanted: Sequence[tuple[Plan, int]], now: datetime) -> list[Claimed]:
    campaigns = [plan.campaign_id for plan, _ in wanted]
    numbers = [number for _, number in wanted]
    async with tx.pipeline(), tx.cursor() as cursor:
        await tx.execute(LOCK_CAMPAIGNS, [campaigns])
        await cursor.execute(CLAIM, {"campaigns": campaigns, "wanted": numbers, "now": now})
        return [_claimed(row) for row in await cursor.fetchall()]


def _claimed(row: tuple[Any, ...]) -> Claimed:
    (
        id_,
        account,
        campaign,
        user,
        number,
        fields,
        secret,
        due_at,
        attempts,
        most,
        counts,
        before,
        expires_at,
        _,
        override,
    ) = row
    call = DueCall(
        id=id_,
        account_id=account,
        campaign_id=campaign,
        user_id=user,
        number=number,
        fields={key: spoken(value) for key, value in fields.items()},
        secret=secret,
        due_at=due_at,
        attempts=attempts,
        max_attempts=most,
        outcome_counts=counts,
        called_before=before,
        expires_at=expires_at,
    )
    return Claimed(call, override)


def spoken(value: Any) -> str:
    """A field as the script says it: text as it is, anything else as it would be written in JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


async def lock_persons(tx: Tx, calls: Sequence[DueCall]) -> dict[tuple[int, str], PersonRow]:
    keys = [[call.account_id for call in calls], [call.number for call in calls]]
    async with tx.pipeline(), tx.cursor(row_factory=class_row(PersonRow)) as cursor:
        await tx.execute(ENSURE_PERSONS, keys)
        await cursor.execute(LOCK_PERSONS, keys)
        return {(row.account_id, row.number): row for row in await cursor.fetchall()}


async def defer(tx: Tx, call_ids: Sequence[int], until: datetime, reason: str) -> None:
    await tx.execute(DEFER, {"ids": list(call_ids), "until": until, "reason": reason})


async def commit_slots(
    tx: Tx,
    slots: Sequence[Slot],
    limits: Mapping[int, Limit],
    dialer_id: int,
    gives_up_at: Sequence[datetime],
) -> dict[int, tuple[int, int]]:
    """Leg and attempt id of each call."""
    columns: dict[str, Any] = {
        "dialer_id": dialer_id,
        "call_id": [slot.call.id for slot in slots],
        "account_id": [slot.call.account_id for slot in slots],
        "campaign_id": [slot.call.campaign_id for slot in slots],
        "number": [slot.call.number for slot in slots],
        "ordinal": [slot.call.attempts + 1 for slot in slots],
        "trunk_id": [slot.line.trunk_id for slot in slots],
        "hotline_id": [slot.line.hotline_id for slot in slots],
        "engine": [slot.line.engine for slot in slots],
        "dial_at": [slot.dial_at for slot in slots],
        "dial_before": [slot.dial_before for slot in slots],
        "gives_up_at": list(gives_up_at),
        "limit_ids": list(limits),
        "live": [limit.live for limit in limits.values()],
        "next_slot_at": [limit.next_slot_at for limit in limits.values()],
    }
    for place in range(4):
        columns[f"limit_{place + 1}"] = [slot.limit_ids[place] for slot in slots]
    cursor = await tx.execute(COMMIT_SLOTS, columns)
    return {call_id: (leg_id, attempt_id) for call_id, leg_id, attempt_id in await cursor.fetchall()}


async def move_floors(tx: Tx, floors: Mapping[int, tuple[datetime, int]]) -> None:
    await tx.execute(
        MOVE_FLOORS,
        {
            "campaign_id": list(floors),
            "due_at": [due_at for due_at, _ in floors.values()],
            "id": [id_ for _, id_ in floors.values()],
        },
    )


async def say_waiting(
    tx: Tx, reasons: Mapping[int, tuple[str | None, datetime | None]], now: datetime
) -> None:
    await tx.execute(
        SAY_WAITING,
        {
            "campaign_id": list(reasons),
            "reason": [reason for reason, _ in reasons.values()],
            "until": [until for _, until in reasons.values()],
            "now": now,
        },
    )


@lru_cache(maxsize=4096)
def decode_config(stored: str) -> CampaignConfig:
    """Memorised by its text: every running campaign's is needed every second.

    Raises msgspec.MsgspecError: a campaign that cannot be understood is not dialled.
    """
    return msgspec.json.decode(stored, type=CampaignConfig)
