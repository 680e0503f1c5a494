"""All SQL of claiming: locks, due calls, deferrals and committed legs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from psycopg import AsyncCursor
from psycopg.rows import TupleRow, class_row

from tongdai.domain.billing import Price
from tongdai.domain.dialer.model import DueCall, Limit, Plan, Slot
from tongdai.kit.db import Later, Sql, Tx, sent_at_once

MOST_LIMITS = 5
"""Caps that one call holds: campaign, account, hotline, trunk and node."""

# The caps of a claim, locked in id order by everybody who counts channels; with the database's clock, read
# once the locks are held.
LOCK_LIMITS: Sql = """
SELECT l.id, l.max_channels, l.max_cps, l.live, l.next_slot_at, l.daily_cap,
       CASE WHEN l.used_on = (clock_timestamp() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date THEN l.used ELSE 0 END
           AS used,
       l.cooling_until
FROM (SELECT * FROM limits WHERE id = ANY(%s) ORDER BY id FOR UPDATE) l
"""
DATABASE_CLOCK: Sql = "SELECT clock_timestamp()"

# The campaigns themselves. Who pauses one waits for this claim, and nothing is claimed after a pause has
# committed. A statement of its own: CLAIM must begin after the lock is held, or it would not see what a bulk
# import has committed meanwhile, and move the floor past it.
LOCK_CAMPAIGNS: Sql = """
SELECT id FROM campaigns WHERE id = ANY(%s) AND state = 'running' ORDER BY id FOR NO KEY UPDATE
"""

# The next due calls of each campaign, from its floor on (index calls_due), but for some that are to wait.
# Without a time it goes by when the statement began, which is after the caps were locked.
CLAIM: Sql = """
SELECT q.*, o.routing_group AS override
FROM (
    SELECT c.id, c.floor_at, c.floor_id, want.n, want.ord
    FROM unnest(%(campaigns)s::bigint[], %(wanted)s::int[]) WITH ORDINALITY AS want(campaign_id, n, ord)
    JOIN campaigns c ON c.id = want.campaign_id AND c.state = 'running'
) c
CROSS JOIN LATERAL (
    SELECT id, account_id, campaign_id, user_id, number, fields, secret, due_at, attempts, max_attempts,
           outcome_counts, called_at AS called_before, expires_at, call_after, call_before, person_ref,
           open_attempt_id, tried_trunk_ids, c.ord
    FROM calls
    WHERE campaign_id = c.id AND state = 'queued' AND (due_at, id) >= (c.floor_at, c.floor_id)
      AND due_at <= coalesce(%(now)s, statement_timestamp())
      AND (expires_at IS NULL OR expires_at > coalesce(%(now)s, statement_timestamp()))
      AND id <> ALL(%(past)s::bigint[])
    ORDER BY due_at, id
    LIMIT c.n
    FOR UPDATE SKIP LOCKED
) q
LEFT JOIN number_overrides o ON o.account_id = q.account_id AND o.number = q.number
ORDER BY q.ord, q.due_at, q.id
"""

# Calls that may not go out now are looked at again later; nothing is counted.
DEFER: Sql = """
UPDATE calls SET due_at = d.until, deferred_reason = d.reason
FROM unnest(%(ids)s::bigint[], %(untils)s::timestamptz[], %(reasons)s::text[]) AS d(id, until, reason)
WHERE calls.id = d.id AND calls.state = 'queued'
"""

# Attempt and leg of each call that got a slot, with all that it takes from the caps, before any engine is
# told. The input is materialised, so each row draws one leg id and one attempt id; a call that was queued for
# another trunk goes on with the attempt that it has.
# The calls are locked by the claim, so that they are queued is known: asking for it again would offer the
# planner all queued calls of the index calls_due, which it reads whole when its statistics are older than an
# import. For the same reason the advertiser is a column of the input and no constant.
COMMIT_SLOTS: Sql = """
WITH input AS MATERIALIZED (
    SELECT nextval('leg_ids') AS leg_id, coalesce(t.open_attempt_id, nextval('attempt_ids')) AS attempt_id,
           '' AS advertiser, t.*
    FROM unnest(
        %(call_id)b::bigint[], %(account_id)b::bigint[], %(campaign_id)b::bigint[], %(number)b::text[],
        %(ordinal)b::smallint[], %(open_attempt_id)b::bigint[], %(trunk_id)b::bigint[],
        %(hotline_id)b::bigint[], %(engine)b::text[], %(network)b::text[],
        %(dial_at)b::timestamptz[], %(dial_before)b::timestamptz[], %(gives_up_at)b::timestamptz[],
        %(talk_s)b::int[], %(reserved)b::numeric[], %(price_at)b::int[], %(person_key)b::text[],
        %(more_trunks)b::boolean[],
        %(limit_1)b::bigint[], %(limit_2)b::bigint[], %(limit_3)b::bigint[], %(limit_4)b::bigint[],
        %(limit_5)b::bigint[]
    ) AS t(call_id, account_id, campaign_id, number, ordinal, open_attempt_id, trunk_id, hotline_id, engine,
           network, dial_at, dial_before, gives_up_at, talk_s, reserved, price_at, person_key,
           more_trunks, limit_1, limit_2, limit_3, limit_4, limit_5)
), attempt AS (
    INSERT INTO attempts (id, account_id, call_id, campaign_id, ordinal, hotline_id, network, dialled_at)
    SELECT attempt_id, account_id, call_id, campaign_id, ordinal, hotline_id, network, dial_at FROM input
    WHERE open_attempt_id IS NULL
), attempt_again AS (
    UPDATE attempts SET hotline_id = input.hotline_id
    FROM input WHERE attempts.id = input.open_attempt_id
), leg AS (
    INSERT INTO legs (id, account_id, attempt_id, call_id, campaign_id, trunk_id, hotline_id, engine,
                      dialer_id, number, limit_ids, dial_at, dial_before, gives_up_at, talk_s, reserved,
                      price, person_key, more_trunks)
    SELECT leg_id, account_id, attempt_id, call_id, campaign_id, trunk_id, hotline_id, engine,
           %(dialer_id)s, number, array_remove(ARRAY[limit_1, limit_2, limit_3, limit_4, limit_5], NULL),
           dial_at, dial_before, gives_up_at, talk_s, reserved,
           (%(prices)s::jsonb[])[price_at], person_key, more_trunks
    FROM input
), call AS (
    UPDATE calls SET state = 'dialing', attempts = input.ordinal, deferred_reason = NULL,
           open_attempt_id = NULL
    FROM input
    WHERE calls.id = input.call_id
      AND calls.attempts = input.ordinal - (input.open_attempt_id IS NULL)::int
), person AS (
    UPDATE persons SET live_call_id = input.call_id
    FROM input
    WHERE persons.account_id = input.account_id AND persons.advertiser = input.advertiser
      AND persons.number = input.number
), capacity AS (
    UPDATE limits SET live = taken.live, next_slot_at = taken.next_slot_at, used = taken.used,
           used_on = (%(now)s AT TIME ZONE 'Asia/Ho_Chi_Minh')::date
    FROM unnest(%(limit_ids)b::bigint[], %(live)b::int[], %(next_slot_at)b::timestamptz[], %(used)b::int[])
         AS taken(id, live, next_slot_at, used)
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


@dataclass(frozen=True, slots=True)
class Claimed:
    call: DueCall
    override: str | None


async def lock_limits(tx: Tx, limit_ids: Iterable[int]) -> tuple[dict[int, Limit], datetime]:
    """The locked caps, and the database's time once they are held."""
    async with sent_at_once(tx), tx.cursor(row_factory=class_row(Limit)) as cursor, tx.cursor() as clock:
        await cursor.execute(LOCK_LIMITS, [sorted(limit_ids)])
        await clock.execute(DATABASE_CLOCK)
        return await _by_id(cursor), await _moment(clock)


async def lock_and_claim(
    tx: Tx, limit_ids: Iterable[int], wanted: Sequence[tuple[Plan, int]]
) -> tuple[dict[int, Limit], datetime, list[Claimed]]:
    """`lock_limits` and `claim` at once: the database is waited for one time instead of two, and calls are
    locked before it is known whether there is room for them."""
    async with (
        sent_at_once(tx),
        tx.cursor(row_factory=class_row(Limit)) as limits,
        tx.cursor() as due,
        tx.cursor() as clock,
    ):
        await limits.execute(LOCK_LIMITS, [sorted(limit_ids)])
        await _send_claim(due, wanted, None, ())
        await clock.execute(DATABASE_CLOCK)
        return await _by_id(limits), await _moment(clock), [_claimed(row) for row in await due.fetchall()]


async def _by_id(limits: AsyncCursor[Limit]) -> dict[int, Limit]:
    return {limit.id: limit for limit in await limits.fetchall()}


async def _moment(clock: AsyncCursor[TupleRow]) -> datetime:
    row = await clock.fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment


async def database_now(tx: Tx) -> datetime:
    return await _moment(await tx.execute(DATABASE_CLOCK))


async def claim(
    tx: Tx, wanted: Sequence[tuple[Plan, int]], now: datetime, past: Sequence[int] = ()
) -> list[Claimed]:
    """The first due calls of each campaign, so many at most, but for those of `past`."""
    async with sent_at_once(tx), tx.cursor() as cursor:
        await _send_claim(cursor, wanted, now, past)
        return [_claimed(row) for row in await cursor.fetchall()]


async def _send_claim(
    cursor: AsyncCursor[TupleRow],
    wanted: Sequence[tuple[Plan, int]],
    now: datetime | None,
    past: Sequence[int],
) -> None:
    """`now`: None where the caps' clock is not read yet."""
    campaigns = [plan.campaign_id for plan, _ in wanted]
    await cursor.connection.execute(LOCK_CAMPAIGNS, [campaigns])
    values = {"campaigns": campaigns, "wanted": [n for _, n in wanted], "past": list(past), "now": now}
    await cursor.execute(CLAIM, values)


def _claimed(row: tuple[Any, ...]) -> Claimed:
    call = DueCall(
        id=row[0],
        account_id=row[1],
        campaign_id=row[2],
        user_id=row[3],
        number=row[4],
        fields={key: spoken(value) for key, value in row[5].items()},
        secret=row[6],
        due_at=row[7],
        attempts=row[8],
        max_attempts=row[9],
        outcome_counts=row[10],
        called_before=row[11],
        expires_at=row[12],
        call_after=row[13],
        call_before=row[14],
        person_ref=row[15],
        open_attempt_id=row[16],
        tried_trunk_ids=tuple(row[17] or ()),
    )
    return Claimed(call, row[19])


def spoken(value: Any) -> str:
    """A field as the script says it: text as it is, anything else as it would be written in JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


async def defer(tx: Tx, deferrals: Sequence[tuple[int, datetime, str]]) -> None:
    """(call, until, reason) of each."""
    await tx.execute(
        DEFER,
        {
            "ids": [call_id for call_id, _, _ in deferrals],
            "untils": [until for _, until, _ in deferrals],
            "reasons": [reason for _, _, reason in deferrals],
        },
    )


async def commit_slots(
    tx: Tx,
    slots: Sequence[Slot],
    limits: Mapping[int, Limit],
    dialer_id: int,
    gives_up_at: Sequence[datetime],
    person_keys: Mapping[int, str],
    now: datetime,
) -> Later[dict[int, tuple[int, int]]]:
    """What it returns reads leg and attempt id of each call."""
    prices: dict[Price | None, int] = {None: 0}
    columns: dict[str, Any] = {
        "dialer_id": dialer_id,
        "now": now,
        "call_id": [slot.call.id for slot in slots],
        "account_id": [slot.call.account_id for slot in slots],
        "campaign_id": [slot.call.campaign_id for slot in slots],
        "number": [slot.call.number for slot in slots],
        "ordinal": [slot.call.ordinal for slot in slots],
        "open_attempt_id": [slot.call.open_attempt_id for slot in slots],
        "network": [slot.network for slot in slots],
        "talk_s": [slot.terms.talk_s for slot in slots],
        "reserved": [slot.terms.reserved for slot in slots],
        "price_at": [prices.setdefault(slot.terms.price, len(prices)) for slot in slots],
        "prices": [_price_text(price) for price in prices if price is not None],
        "more_trunks": [slot.more_trunks for slot in slots],
        "person_key": [person_keys.get(slot.call.id) for slot in slots],
        "trunk_id": [slot.line.trunk_id for slot in slots],
        "hotline_id": [slot.line.hotline_id for slot in slots],
        "engine": [slot.line.engine for slot in slots],
        "dial_at": [slot.dial_at for slot in slots],
        "dial_before": [slot.dial_before for slot in slots],
        "gives_up_at": list(gives_up_at),
        "limit_ids": list(limits),
        "live": [limit.live for limit in limits.values()],
        "next_slot_at": [limit.next_slot_at for limit in limits.values()],
        "used": [limit.used for limit in limits.values()],
    }
    for place in range(MOST_LIMITS):
        columns[f"limit_{place + 1}"] = [
            slot.limit_ids[place] if place < len(slot.limit_ids) else None for slot in slots
        ]
    cursor = await tx.execute(COMMIT_SLOTS, columns)

    async def read() -> dict[int, tuple[int, int]]:
        return {call_id: (leg_id, attempt_id) for call_id, leg_id, attempt_id in await cursor.fetchall()}

    return read


@lru_cache(maxsize=4096)
def _price_text(price: Price) -> str:
    """As stored. A campaign's calls share a few prices, so each is sent once: number 0 is none."""
    return msgspec.json.encode(price).decode()


async def move_floors(tx: Tx, floors: Mapping[int, tuple[datetime, int]]) -> None:
    await tx.execute(
        MOVE_FLOORS,
        {
            "campaign_id": list(floors),
            "due_at": [due_at for due_at, _ in floors.values()],
            "id": [id_ for _, id_ in floors.values()],
        },
    )
