"""All SQL of dialers and of recovery: who lives, who drives which leg, and what keeps the counts right."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from tongdai.domain import contacts
from tongdai.domain.billing import Price
from tongdai.domain.campaigns import CampaignConfig
from tongdai.domain.dialer.store.claiming import spoken
from tongdai.domain.dialer.store.planning import decode_config
from tongdai.domain.live import LegFacts
from tongdai.kit.db import Sql, Tx

# The lock is held for as long as the connection lives; the server frees it however that ends. Nobody judges
# the dialer between the two: it has no legs yet.
REGISTER: Sql = "INSERT INTO dialers (host, pid) VALUES (%s, %s) RETURNING id"
HOLD_LOCK: Sql = "SELECT pg_advisory_lock(7341, %s)"

# Whether anybody holds the lock of a living dialer.
ANY_ALIVE: Sql = """
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND classid = 7341 AND objsubid = 2 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
"""

# Legs that came in and those of transfers have keepers of their own.

# What a dialer that comes back under a new id was driving under the old one, where nobody else took it over.
INHERIT: Sql = """
UPDATE legs SET dialer_id = %s WHERE dialer_id = %s AND state <> 'ended' AND kind = 'outbound'
"""

# Dialers that have open legs and whose lock is free: the process is gone, or has lost its connection and no
# longer claims. Read from the legs (index legs_open), because it is a leg that must not be forgotten: one
# that was committed after its dialer was found dead is found at the next look.
DEAD_DIALERS: Sql = """
SELECT dialer_id FROM legs
WHERE state <> 'ended' AND kind = 'outbound' AND dialer_id <> %s AND NOT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND classid = 7341 AND objid::bigint = dialer_id AND objsubid = 2
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
GROUP BY dialer_id
"""

# Takes over what dead dialers were driving. Capacity does not move: the calls may be up.
ADOPT: Sql = """
UPDATE legs SET dialer_id = %(me)s
WHERE id IN (SELECT id FROM legs
             WHERE dialer_id = ANY(%(dead)s) AND state <> 'ended' AND kind = 'outbound'
             ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED)
RETURNING id
"""

# Legs of ours that are open; the caller knows which of them it holds.
MY_OPEN_LEGS: Sql = """
SELECT id, dial_before FROM legs WHERE dialer_id = %s AND state <> 'ended' AND kind = 'outbound'
"""

# All that a session needs of legs that this process did not send itself.
LEG_FACTS: Sql = """
SELECT l.id, l.attempt_id, l.call_id, l.account_id, l.campaign_id, l.trunk_id, l.engine, l.number, l.dial_at,
       l.dial_before, l.gives_up_at, l.limit_ids, h.number, t.dial_format, t.presented_format,
       c.user_id, c.fields, c.secret, c.attempts, c.max_attempts, c.outcome_counts, c.called_at, c.expires_at,
       p.script_id, p.script_version, p.config::text, p.advertiser, p.purpose, l.person_key, l.talk_s,
       l.reserved, l.price::text, l.more_trunks, c.tried_trunk_ids
FROM legs l
JOIN calls c ON c.id = l.call_id
JOIN campaigns p ON p.id = l.campaign_id
JOIN hotlines h ON h.id = l.hotline_id
JOIN trunks t ON t.id = l.trunk_id
WHERE l.id = ANY(%s) AND l.state <> 'ended'
"""

# The floor as it ought to be: at or before the first queued call. Only ever lowers one, so that a call that
# slipped below (its row was locked by a transaction that rolled back) is found again. Locks campaigns in id
# order, as claims do.
LOWER_FLOORS: Sql = """
UPDATE campaigns c SET floor_at = low.due_at, floor_id = low.id
FROM (
    SELECT r.id AS campaign_id, first.due_at, first.id
    FROM campaigns r CROSS JOIN LATERAL (
        SELECT due_at, id FROM calls WHERE campaign_id = r.id AND state = 'queued' ORDER BY due_at, id LIMIT 1
    ) first
    WHERE r.state = 'running' AND (first.due_at, first.id) < (r.floor_at, r.floor_id)
    ORDER BY r.id FOR NO KEY UPDATE OF r
) low
WHERE c.id = low.campaign_id AND (low.due_at, low.id) < (c.floor_at, c.floor_id)
"""

# What the caps say is in use beside what the open legs use. Both are changed in the same transactions, so a
# difference is a defect; it is mended under the lock, and told. The legs are counted by a statement that
# begins after the locks are held, or it would count what was there before them.
LOCK_SOME_LIMITS: Sql = "SELECT id, live FROM limits WHERE id > %s ORDER BY id LIMIT %s FOR UPDATE"
OPEN_LEGS_PER_LIMIT: Sql = """
SELECT limit_id, count(*)::int FROM legs, unnest(limit_ids) AS limit_id
WHERE state <> 'ended' AND limit_ids && %(ids)s::bigint[] AND limit_id = ANY(%(ids)s)
GROUP BY limit_id
"""
SET_LIVE: Sql = "UPDATE limits SET live = %s WHERE id = %s"


async def register(tx: Tx, host: str, pid: int) -> int:
    """A new id, with its lock held by this connection."""
    row = await (await tx.execute(REGISTER, [host, pid])).fetchone()
    assert row is not None
    await tx.execute(HOLD_LOCK, [row[0]])
    return int(row[0])


async def is_any_alive(tx: Tx) -> bool:
    row = await (await tx.execute(ANY_ALIVE)).fetchone()
    assert row is not None
    return bool(row[0])


async def inherit(tx: Tx, before: int, now: int) -> int:
    return (await tx.execute(INHERIT, [now, before])).rowcount


async def listen(tx: Tx) -> None:
    await tx.execute("LISTEN tongdai_dial")


async def adopt_dead(tx: Tx, dialer_id: int) -> int:
    """Number of legs taken over from dialers that are gone, 1,000 at most; there may be more."""
    dead = [id_ for (id_,) in await (await tx.execute(DEAD_DIALERS, [dialer_id])).fetchall()]
    if not dead:
        return 0
    return len(await (await tx.execute(ADOPT, {"me": dialer_id, "dead": dead})).fetchall())


async def my_open_legs(tx: Tx, dialer_id: int) -> dict[int, datetime]:
    return dict(await (await tx.execute(MY_OPEN_LEGS, [dialer_id])).fetchall())


async def leg_facts(tx: Tx, leg_ids: Sequence[int]) -> list[LegFacts]:
    cursor = await tx.execute(LEG_FACTS, [list(leg_ids)])
    return [_facts(row) for row in await cursor.fetchall()]


def _facts(row: tuple[Any, ...]) -> LegFacts:
    (
        leg,
        attempt,
        call,
        account,
        campaign,
        trunk,
        engine,
        number,
        dial_at,
        before,
        gives_up,
        limits,
        caller,
        dial_format,
        shown_format,
        user,
        fields,
        secret,
        attempts,
        most,
        counts,
        called,
        expires,
        script,
        version,
        config,
        advertiser,
        purpose,
        person_key,
        talk_s,
        reserved,
        price,
        more_trunks,
        tried,
    ) = row
    return LegFacts(
        leg_id=leg,
        attempt_id=attempt,
        call_id=call,
        account_id=account,
        campaign_id=campaign,
        user_id=user,
        trunk_id=trunk,
        engine=engine,
        number=number,
        dialled_number=contacts.dial_form(number, dial_format),
        caller=caller,
        presented_caller=contacts.dial_form(caller, shown_format),
        dial_at=dial_at,
        dial_before=before,
        gives_up_at=gives_up,
        limit_ids=tuple(limits),
        attempts=attempts,
        max_attempts=most,
        outcome_counts=counts,
        called_before=called,
        script_id=script,
        script_version=version,
        config=_config(config),
        expires_at=expires,
        fields={key: spoken(value) for key, value in fields.items()},
        secret=secret,
        advertiser=advertiser,
        purpose=purpose,
        person_key=person_key,
        talk_s=talk_s,
        reserved=reserved,
        price=None if price is None else msgspec.json.decode(price, type=Price),
        more_trunks=more_trunks,
        tried_trunk_ids=tuple(tried or ()),
    )


def _config(stored: str) -> CampaignConfig:
    """A leg that is up must be driven to its end: what cannot be read gives way to defaults."""
    try:
        return decode_config(stored)
    except msgspec.MsgspecError:
        return CampaignConfig()


async def lower_floors(tx: Tx) -> int:
    return (await tx.execute(LOWER_FLOORS)).rowcount


async def recount_limits(tx: Tx, after: int, most: int) -> tuple[list[tuple[int, int, int]], int | None]:
    """(limit, what it said, what its open legs say) of each that was wrong; they are right afterwards.

    Looks at `most` limits after the id `after`; the second value is where to go on, None at the end.
    """
    said: dict[int, int] = dict(await (await tx.execute(LOCK_SOME_LIMITS, [after, most])).fetchall())
    counted: dict[int, int] = dict(
        await (await tx.execute(OPEN_LEGS_PER_LIMIT, {"ids": list(said)})).fetchall()
    )
    wrong = [(id_, live, counted.get(id_, 0)) for id_, live in said.items() if live != counted.get(id_, 0)]
    for limit_id, _, legs in wrong:
        await tx.execute(SET_LIVE, [legs, limit_id])
    return wrong, max(said) if len(said) == most else None
