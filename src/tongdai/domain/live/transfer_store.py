"""All SQL of transfers: the legs that they ring, and what those hold."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tongdai.domain.billing import Price
from tongdai.domain.contacts import DialFormat
from tongdai.domain.live.store import LOCK_LIMITS
from tongdai.domain.live.transfer_room import Cap, Room
from tongdai.kit.db import Sql, Tx

# The leg that is to be transferred, with the line that its phones are rung over: its own.
PARENT: Sql = """
SELECT l.id, l.account_id, l.trunk_id, l.limit_ids, t.dial_format, t.presented_format, t.enabled, t.networks,
       h.number, h.network
FROM legs l JOIN trunks t ON t.id = l.trunk_id JOIN hotlines h ON h.id = l.hotline_id
WHERE l.id = %s AND l.state <> 'ended'
"""

# The caps that a phone needs room in: those of the leg itself, but for its hotline's and its campaign's.
# Locked in id order, as by everybody who counts channels. The clock is read once they are held.
LOCK_CAPS: Sql = """
SELECT id, max_channels, max_cps, live, next_slot_at, cooling_until
FROM limits WHERE id = ANY(%s) AND kind IN ('trunk', 'account', 'node') ORDER BY id FOR UPDATE
"""
DATABASE_CLOCK: Sql = "SELECT clock_timestamp()"

# Whose turn it is to ring phones for this command: the first who asks, as long as the leg is open. Whoever
# adopts the leg later and comes to the same command again rings nobody.
DECIDE: Sql = """
UPDATE legs SET transfer_id = %(transfer_id)s
WHERE id = %(leg_id)s AND state <> 'ended' AND coalesce(transfer_id, 0) < %(transfer_id)s
"""

# A leg for each phone, with all that it takes from the caps, before any engine is told.
TAKE: Sql = """
WITH input AS MATERIALIZED (
    SELECT nextval('leg_ids') AS id, t.*
    FROM unnest(%(number)s::text[], %(talk_s)s::int[], %(reserved)s::numeric[], %(price)s::text[])
         WITH ORDINALITY AS t(number, talk_s, reserved, price, place)
), leg AS (
    INSERT INTO legs (id, account_id, kind, trunk_id, hotline_id, engine, node, dialer_id, number, limit_ids,
                      dial_at, dial_before, gives_up_at, talk_s, reserved, price, parent_leg_id, transfer_id)
    SELECT input.id, p.account_id, 'transfer', p.trunk_id, p.hotline_id, p.engine, p.node, p.dialer_id,
           input.number, %(limit_ids)s::bigint[], %(dial_at)s, %(dial_before)s, p.gives_up_at, input.talk_s,
           input.reserved, input.price::jsonb, p.id, %(transfer_id)s
    FROM input JOIN legs p ON p.id = %(leg_id)s
), capacity AS (
    UPDATE limits SET live = live + %(phones)s WHERE id = ANY(%(limit_ids)s::bigint[])
)
SELECT id FROM input ORDER BY place
"""

# When the next call of each cap may begin. The caps are locked.
SET_SLOTS: Sql = """
UPDATE limits SET next_slot_at = t.next_slot_at
FROM unnest(%s::bigint[], %s::timestamptz[]) AS t(id, next_slot_at) WHERE limits.id = t.id
"""

# Another slot for phones that have not been rung.
MOVE: Sql = """
UPDATE legs SET dial_at = %(dial_at)s, dial_before = %(dial_before)s
WHERE id = ANY(%(ids)s) AND state <> 'ended'
"""

# Open legs of transfers of these legs (index legs_transfers), with what the ledger is to name.
OPEN: Sql = """
SELECT t.id, t.parent_leg_id, t.transfer_id, t.account_id, t.limit_ids, t.reserved, t.price::text,
       p.campaign_id, p.call_id, p.attempt_id
FROM legs t JOIN legs p ON p.id = t.parent_leg_id
WHERE t.parent_leg_id = ANY(%s) AND t.state <> 'ended'
ORDER BY t.id
"""

# Legs whose transfers outlived them (index legs_transfers): a defect, since they end together.
ORPHANS: Sql = """
SELECT DISTINCT t.parent_leg_id FROM legs t
WHERE t.parent_leg_id IS NOT NULL AND t.state <> 'ended'
  AND EXISTS (SELECT FROM legs p WHERE p.id = t.parent_leg_id AND p.state = 'ended')
LIMIT 100
"""

# Once each, whoever asks; what it held of the caps is free again.
END: Sql = """
WITH ended AS (
    UPDATE legs SET state = 'ended', ended_at = %(now)s, outcome = t.outcome
    FROM unnest(%(ids)s::bigint[], %(outcomes)s::text[]) AS t(id, outcome)
    WHERE legs.id = t.id AND legs.state <> 'ended'
    RETURNING legs.id, legs.limit_ids
), capacity AS (
    UPDATE limits SET live = live - freed.channels
    FROM (SELECT limit_id, count(*) AS channels FROM ended, unnest(limit_ids) AS limit_id GROUP BY limit_id)
         AS freed
    WHERE limits.id = freed.limit_id
)
SELECT id FROM ended
"""


@dataclass(frozen=True, slots=True)
class Parent:
    """A leg that is to be transferred, and its line."""

    leg_id: int
    account_id: int
    trunk_id: int
    limit_ids: list[int]
    dial_format: DialFormat
    presented_format: DialFormat
    enabled: bool
    trunk_networks: list[str] | None
    caller: str
    network: str | None


@dataclass(frozen=True, slots=True)
class Phone:
    """One that is rung: its number as we write it, and what was reserved for it."""

    number: str
    talk_s: int
    reserved: Decimal = Decimal(0)
    price: Price | None = None


@dataclass(frozen=True, slots=True)
class TransferredLeg:
    """An open leg of a transfer."""

    leg_id: int
    parent_leg_id: int
    transfer_id: int
    account_id: int
    limit_ids: list[int]
    reserved: Decimal
    price: Price | None
    campaign_id: int | None
    """This and the next two are its parent's; None: that came in."""
    call_id: int | None
    attempt_id: int | None


async def parent(tx: Tx, leg_id: int) -> Parent | None:
    row = await (await tx.execute(PARENT, [leg_id])).fetchone()
    return None if row is None else Parent(*row)


async def lock_caps(tx: Tx, limit_ids: Collection[int]) -> list[Cap]:
    return [Cap(*row) for row in await (await tx.execute(LOCK_CAPS, [list(limit_ids)])).fetchall()]


async def database_now(tx: Tx) -> datetime:
    row = await (await tx.execute(DATABASE_CLOCK)).fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment


async def decide(tx: Tx, leg_id: int, transfer_id: int) -> bool:
    """False: the leg has ended, or somebody has come to this command before."""
    return (await tx.execute(DECIDE, {"leg_id": leg_id, "transfer_id": transfer_id})).rowcount == 1


async def take(
    tx: Tx, leg_id: int, transfer_id: int, phones: Sequence[Phone], limit_ids: Collection[int], room: Room
) -> list[int]:
    """Ids of the new legs, in the order of the phones."""
    values: dict[str, Any] = {
        "leg_id": leg_id,
        "transfer_id": transfer_id,
        "phones": len(phones),
        "limit_ids": list(limit_ids),
        "dial_at": room.dial_at,
        "dial_before": room.dial_before,
        "number": [phone.number for phone in phones],
        "talk_s": [phone.talk_s for phone in phones],
        "reserved": [phone.reserved for phone in phones],
        "price": [_price_text(phone.price) for phone in phones],
    }
    ids = [id_ for (id_,) in await (await tx.execute(TAKE, values)).fetchall()]
    await _set_slots(tx, room)
    return ids


async def move(tx: Tx, leg_ids: Sequence[int], room: Room) -> int:
    """How many of these legs, which are open, have another slot now."""
    values = {"ids": list(leg_ids), "dial_at": room.dial_at, "dial_before": room.dial_before}
    moved = (await tx.execute(MOVE, values)).rowcount
    await _set_slots(tx, room)
    return moved


async def _set_slots(tx: Tx, room: Room) -> None:
    if room.next_slots:
        ids, moments = zip(*room.next_slots, strict=True)
        await tx.execute(SET_SLOTS, [list(ids), list(moments)])


def _price_text(price: Price | None) -> str | None:
    return None if price is None else msgspec.json.encode(price).decode()


async def open_legs(tx: Tx, parent_leg_ids: Collection[int]) -> list[TransferredLeg]:
    cursor = await tx.execute(OPEN, [list(parent_leg_ids)])
    return [_leg(*row) for row in await cursor.fetchall()]


def _leg(
    leg_id: int,
    parent_leg_id: int,
    transfer_id: int,
    account_id: int,
    limit_ids: list[int],
    reserved: Decimal,
    price: str | None,
    *of_parent: int | None,
) -> TransferredLeg:
    read = None if price is None else msgspec.json.decode(price, type=Price)
    return TransferredLeg(
        leg_id, parent_leg_id, transfer_id, account_id, limit_ids, reserved, read, *of_parent
    )


async def orphans(tx: Tx) -> list[int]:
    """Ids of legs that have ended and have open legs of transfers, 100 at most."""
    return [id_ for (id_,) in await (await tx.execute(ORPHANS)).fetchall()]


async def lock_limits(tx: Tx, limit_ids: Collection[int]) -> None:
    await tx.execute(LOCK_LIMITS, [sorted(limit_ids)])


async def end(tx: Tx, outcomes: Sequence[tuple[int, str]], now: datetime) -> set[int]:
    """Ids of the legs that this call ended."""
    values = {"ids": [id_ for id_, _ in outcomes], "outcomes": [said for _, said in outcomes], "now": now}
    return {id_ for (id_,) in await (await tx.execute(END, values)).fetchall()}
