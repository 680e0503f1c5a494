"""SQL of keepers: who hears a node's calls, which legs are theirs, and how they end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg.rows import class_row

from tongdai.domain.inbound.model import InboundFacts, InboundResult
from tongdai.kit.db import Sql, Tx

# Held for as long as the connection lives; the server frees it however that ends.
TRY_LOCK: Final[Sql] = "SELECT pg_try_advisory_lock(7342, %s)"
UNLOCK: Final[Sql] = "SELECT pg_advisory_unlock(7342, %s)"
NEW_KEEPER: Final[Sql] = "SELECT nextval('keeper_ids')"

STILL_THERE: Final[Sql] = "SELECT 1"
NOW: Final[Sql] = "SELECT clock_timestamp()"

# What keepers before left on a node, with whose it was. Capacity does not move: the calls may be up.
# Index legs_came_in.
TAKE_OVER: Final[Sql] = """
    WITH left_over AS (
        SELECT id, dialer_id FROM legs
         WHERE engine = %(engine)s AND kind = 'inbound' AND state <> 'ended' AND dialer_id <> %(me)s
         ORDER BY id FOR UPDATE
    )
    UPDATE legs SET dialer_id = %(me)s FROM left_over WHERE legs.id = left_over.id
    RETURNING legs.id, left_over.dialer_id"""

# The open legs of a node. Index legs_came_in.
OPEN: Final[Sql] = "SELECT id FROM legs WHERE engine = %s AND kind = 'inbound' AND state <> 'ended'"

_FACTS: Sql = """
    SELECT l.id AS leg_id, i.id AS call_id, l.account_id, l.hotline_id, h.number AS hotline, l.trunk_id,
           l.engine, coalesce(l.channel, '') AS channel, i.caller, i.script_id, i.script_version,
           l.dial_at AS came_at, l.dial_before, l.gives_up_at, l.talk_s::float8 AS max_s, l.limit_ids,
           i.campaign_id, coalesce(p.advertiser, '') AS advertiser
      FROM legs AS l
      JOIN inbound_calls AS i ON i.leg_id = l.id AND i.state <> 'ended'
      JOIN hotlines AS h ON h.id = l.hotline_id
      LEFT JOIN campaigns AS p ON p.id = i.campaign_id
     WHERE l.kind = 'inbound' AND l.state <> 'ended'"""

# All that a session needs of legs. By primary key and index inbound_calls_by_leg.
FACTS: Final[Sql] = _FACTS + " AND l.id = ANY(%s)"

# Legs whose absolute limit has passed, of whatever node: nobody may be there to keep it. Index legs_came_in.
OVERDUE: Final[Sql] = _FACTS + " AND l.gives_up_at <= clock_timestamp() LIMIT 500"

MARK_UNKNOWN: Final[Sql] = "UPDATE legs SET state = 'unknown' WHERE id = ANY(%s) AND state = 'committed'"

# It was picked up. Index inbound_calls_by_leg.
PICKED_UP: Final[Sql] = """
    UPDATE inbound_calls SET state = 'talking', answered_at = clock_timestamp()
     WHERE leg_id = ANY(%s) AND state = 'ringing'"""

# Everybody who counts channels locks these rows first and in this order.
LOCK_LIMITS: Final[Sql] = "SELECT FROM limits WHERE id = ANY(%s) ORDER BY id FOR UPDATE"

# Ends legs with their calls and frees their channels, once, whoever asks and however often: the ids of those
# that ended now are returned. Of one whose end is unknown we may know that it was picked up.
# By primary key of legs and index inbound_calls_by_leg.
END: Final[Sql] = """
    WITH input AS MATERIALIZED (
        SELECT * FROM unnest(
            %(leg)s::bigint[], %(kind)s::text[], %(disposition)s::text[], %(answered)s::boolean[],
            %(ring_s)s::real[], %(duration_s)s::int[], %(key_press)s::text[], %(timeline)s::text[],
            %(answers)s::text[], %(end_code)s::text[], %(transfers)s::text[])
            AS t (leg_id, kind, disposition, answered, ring_s, duration_s, key_press, timeline, answers,
                  end_code, transfers)
    ), ended AS (
        UPDATE legs SET state = 'ended', ended_at = %(now)s,
               outcome = CASE WHEN input.disposition = 'MORE' THEN 'lost'
                              WHEN input.answered THEN 'answered' ELSE 'no_answer' END
          FROM input
         WHERE legs.id = input.leg_id AND legs.kind = 'inbound' AND legs.state <> 'ended'
        RETURNING legs.limit_ids, input.*
    ), call AS (
        UPDATE inbound_calls AS c
           SET state = 'ended', ended_at = %(now)s, disposition = e.disposition,
               kind = CASE WHEN e.disposition = 'MORE' AND c.answered_at IS NOT NULL THEN 'CALLIN'
                           ELSE e.kind END,
               answered_at = CASE WHEN e.answered THEN coalesce(c.answered_at, %(now)s)
                                  WHEN e.disposition = 'MORE' THEN c.answered_at END,
               ring_s = e.ring_s, duration_s = e.duration_s, billable_s = e.duration_s,
               key_press = e.key_press, timeline = e.timeline::jsonb, answers = e.answers::jsonb,
               end_code = e.end_code, transfers = e.transfers::jsonb
          FROM ended AS e WHERE c.leg_id = e.leg_id AND c.state <> 'ended'
    ), freed AS (
        SELECT limit_id, count(*) AS channels FROM ended, unnest(ended.limit_ids) AS limit_id GROUP BY 1
    ), capacity AS (
        UPDATE limits SET live = live - freed.channels FROM freed WHERE limits.id = freed.limit_id
    )
    SELECT leg_id FROM ended"""


async def try_lock(connection: Tx, node_id: int) -> bool:
    row = await (await connection.execute(TRY_LOCK, [node_id])).fetchone()
    return row is not None and bool(row[0])


async def unlock(connection: Tx, node_id: int) -> None:
    await connection.execute(UNLOCK, [node_id])


async def new_keeper(connection: Tx) -> int:
    row = await (await connection.execute(NEW_KEEPER)).fetchone()
    assert row is not None
    return int(row[0])


async def still_there(connection: Tx) -> None:
    """Raises what a connection raises that is lost, and every lock with it."""
    await connection.execute(STILL_THERE)


async def database_now(tx: Tx) -> datetime:
    row = await (await tx.execute(NOW)).fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment


async def take_over(tx: Tx, engine: str, keeper_id: int) -> dict[int, int]:
    """The keeper that each leg was of before."""
    cursor = await tx.execute(TAKE_OVER, {"me": keeper_id, "engine": engine})
    return dict(await cursor.fetchall())


async def open_legs(tx: Tx, engine: str) -> set[int]:
    return {leg_id for (leg_id,) in await (await tx.execute(OPEN, [engine])).fetchall()}


async def facts(tx: Tx, leg_ids: Sequence[int]) -> list[InboundFacts]:
    async with tx.cursor(row_factory=class_row(InboundFacts)) as cursor:
        await cursor.execute(FACTS, [list(leg_ids)])
        return await cursor.fetchall()


async def overdue(tx: Tx) -> list[InboundFacts]:
    async with tx.cursor(row_factory=class_row(InboundFacts)) as cursor:
        await cursor.execute(OVERDUE)
        return await cursor.fetchall()


async def mark_unknown(tx: Tx, leg_ids: Sequence[int]) -> None:
    await tx.execute(MARK_UNKNOWN, [list(leg_ids)])


async def picked_up(tx: Tx, leg_ids: Sequence[int]) -> None:
    await tx.execute(PICKED_UP, [list(leg_ids)])


async def lock_limits(tx: Tx, limit_ids: Iterable[int]) -> None:
    await tx.execute(LOCK_LIMITS, [sorted(set(limit_ids))])


async def end(tx: Tx, results: Sequence[InboundResult], now: datetime) -> set[int]:
    """Ids of the legs that this ended. The caps are locked."""
    columns: dict[str, Any] = {
        "now": now,
        "leg": [one.facts.leg_id for one in results],
        "kind": [one.kind.value for one in results],
        "disposition": [one.disposition.value for one in results],
        "answered": [one.answered for one in results],
        "ring_s": [one.ring_s for one in results],
        "duration_s": [one.duration_s for one in results],
        "key_press": [one.key_press for one in results],
        "timeline": [_json(one.timeline) for one in results],
        "answers": [_json(one.answers) for one in results],
        "end_code": [one.end_code for one in results],
        "transfers": [_json(one.rung) for one in results],
    }
    return {leg_id for (leg_id,) in await (await tx.execute(END, columns)).fetchall()}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
