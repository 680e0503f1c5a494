"""SQL of events and deliveries: publishing them, looking at them, repeating them, forgetting them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg.rows import class_row

from tongdai.domain.webhooks.events import (
    OF_INCOMING,
    OF_ZALO,
    CallEvent,
    Event,
    IncomingEvent,
    ZaloEvent,
)
from tongdai.domain.webhooks.model import Delivery, DeliveryFilter, ReplayFilter, Try
from tongdai.kit.db import Sql, Tx

# Which of these accounts are told anything of their calls. Index webhook_endpoints_account.
SUBSCRIBED: Sql = """
    SELECT DISTINCT account_id FROM webhook_endpoints
     WHERE account_id = ANY(%s) AND enabled AND deleted_at IS NULL AND format <> 'zalo'"""

# The events that some endpoint is to be told of, and one delivery for each of those endpoints. Ids rise in
# the order that was given. Index webhook_endpoints_account.
PUBLISH: Sql = """
    WITH given AS MATERIALIZED (
        SELECT nextval('webhook_event_ids') AS id, g.*
          FROM unnest(%(accounts)b::bigint[], %(calls)b::bigint[], %(seqs)b::integer[], %(types)b::text[],
                      %(payloads)b::jsonb[]) AS g (account_id, call_id, seq, type, payload)
         WHERE EXISTS (SELECT FROM webhook_endpoints AS p
                        WHERE p.account_id = g.account_id AND p.enabled AND p.deleted_at IS NULL
                          AND g.type = ANY(p.events))
    ), told AS (
        INSERT INTO webhook_events (id, account_id, call_id, seq, type, payload)
        SELECT id, account_id, call_id, seq, type, payload FROM given
    )
    INSERT INTO webhook_deliveries (account_id, endpoint_id, event_id, call_id, seq, type)
    SELECT g.account_id, p.id, g.id, g.call_id, g.seq, g.type
      FROM given AS g
      JOIN webhook_endpoints AS p
        ON p.account_id = g.account_id AND p.enabled AND p.deleted_at IS NULL AND g.type = ANY(p.events)
     ORDER BY g.id, p.id"""

# The same for events of no call. Each stands for a call of its own, minus its id, so that nothing waits for
# it and whatever looks for the deliveries of its call finds its own alone. An endpoint that is of one
# Official Account is told of nothing else.
PUBLISH_APART: Sql = """
    WITH given AS MATERIALIZED (
        SELECT nextval('webhook_event_ids') AS id, g.*
          FROM unnest(%(accounts)s::bigint[], %(oa_refs)s::bigint[], %(types)s::text[], %(payloads)s::jsonb[])
               AS g (account_id, oa_ref, type, payload)
         WHERE EXISTS (SELECT FROM webhook_endpoints AS p
                        WHERE p.account_id = g.account_id AND p.enabled AND p.deleted_at IS NULL
                          AND g.type = ANY(p.events) AND (p.oa_ref IS NULL OR p.oa_ref = g.oa_ref))
    ), told AS (
        INSERT INTO webhook_events (id, account_id, call_id, seq, type, payload)
        SELECT id, account_id, -id, 0, type, payload FROM given
    )
    INSERT INTO webhook_deliveries (account_id, endpoint_id, event_id, call_id, seq, type)
    SELECT g.account_id, p.id, g.id, -g.id, 0, g.type
      FROM given AS g
      JOIN webhook_endpoints AS p
        ON p.account_id = g.account_id AND p.enabled AND p.deleted_at IS NULL AND g.type = ANY(p.events)
           AND (p.oa_ref IS NULL OR p.oa_ref = g.oa_ref)
     ORDER BY g.id, p.id"""

# One event for one endpoint, whatever it has subscribed to; of no call, as above.
PUBLISH_TEST: Sql = """
    WITH given AS MATERIALIZED (
        SELECT nextval('webhook_event_ids') AS id
    ), told AS (
        INSERT INTO webhook_events (id, account_id, call_id, seq, type, payload)
        SELECT id, %(account_id)s, -id, %(seq)s, %(type)s, %(payload)s::jsonb FROM given
    )
    INSERT INTO webhook_deliveries (account_id, endpoint_id, event_id, call_id, seq, type)
    SELECT %(account_id)s, %(endpoint_id)s, id, -id, %(seq)s, %(type)s FROM given
    RETURNING id"""

_COLUMNS: Sql = """
    d.id, d.account_id, d.endpoint_id, d.event_id, greatest(d.call_id, 0) AS call_id, d.seq, d.type, d.state,
    d.replay_of, d.replayed_at, d.created_at, d.due_at, d.tries, d.done_at, d.status, d.error"""

# One delivery. By primary key.
GET: Sql = f"SELECT {_COLUMNS} FROM webhook_deliveries AS d WHERE d.account_id = %s AND d.id = %s"  # noqa: S608

# What it tells, and the body that was made of that. By primary keys.
GET_CONTENT: Sql = """
    SELECT e.type, e.payload::text, d.body
      FROM webhook_deliveries AS d JOIN webhook_events AS e ON e.id = d.event_id
     WHERE d.account_id = %s AND d.id = %s"""

# Its tries, by primary key.
GET_TRIES: Sql = """
    SELECT at, status, error, ms, answer FROM webhook_tries
     WHERE account_id = %s AND delivery_id = %s ORDER BY at"""

# An account's deliveries, newest first: the next page of each endpoint and state, merged, so that no filter
# makes it read what it does not give. Endpoints that were deleted have deliveries too.
# Index webhook_deliveries_listed.
LIST: Sql = f"""
    SELECT d.* FROM webhook_endpoints AS p
     CROSS JOIN unnest(%(states)s::text[]) AS s (state)
     CROSS JOIN LATERAL (
           SELECT {_COLUMNS} FROM webhook_deliveries AS d
            WHERE d.endpoint_id = p.id AND d.state = s.state AND d.id < %(before)s
            ORDER BY d.id DESC LIMIT %(limit)s) AS d
     WHERE p.account_id = %(account_id)s AND (%(endpoint_id)s::bigint IS NULL OR p.id = %(endpoint_id)s)
     ORDER BY d.id DESC LIMIT %(limit)s"""  # noqa: S608

# The deliveries of one call, newest first. Index webhook_deliveries_call.
LIST_OF_CALL: Sql = f"""
    SELECT {_COLUMNS} FROM webhook_deliveries AS d
     WHERE d.call_id = %(call_id)s AND d.account_id = %(account_id)s AND d.id < %(before)s
       AND d.state = ANY(%(states)s)
       AND (%(endpoint_id)s::bigint IS NULL OR d.endpoint_id = %(endpoint_id)s)
     ORDER BY d.id DESC LIMIT %(limit)s"""  # noqa: S608

# Repeats one delivery, unless its event is on its way to the endpoint already. Index webhook_deliveries_call.
REPLAY: Sql = f"""
    WITH old AS (
        UPDATE webhook_deliveries SET replayed_at = %(now)s
         WHERE account_id = %(account_id)s AND id = %(id)s AND state <> 'pending'
           AND NOT EXISTS (SELECT FROM webhook_deliveries AS o
                            WHERE o.call_id = webhook_deliveries.call_id
                              AND o.endpoint_id = webhook_deliveries.endpoint_id
                              AND o.event_id = webhook_deliveries.event_id AND o.state = 'pending')
        RETURNING id, account_id, endpoint_id, event_id, call_id, seq, type, body
    )
    INSERT INTO webhook_deliveries AS d
           (account_id, endpoint_id, event_id, call_id, seq, type, body, replay_of, created_at, due_at)
    SELECT account_id, endpoint_id, event_id, call_id, seq, type, body, id, %(now)s, %(now)s FROM old
    RETURNING {_COLUMNS}"""  # noqa: S608

# The same for many, oldest first, those left out that were repeated before. Index webhook_deliveries_listed.
REPLAY_MANY: Sql = """
    WITH chosen AS (
        SELECT d.id FROM webhook_deliveries AS d
         WHERE d.account_id = %(account_id)s AND d.endpoint_id = %(endpoint_id)s AND d.state = %(state)s
           AND d.replayed_at IS NULL
           AND (%(since)s::timestamptz IS NULL OR d.created_at >= %(since)s)
           AND (%(until)s::timestamptz IS NULL OR d.created_at < %(until)s)
           AND NOT EXISTS (SELECT FROM webhook_deliveries AS o
                            WHERE o.call_id = d.call_id AND o.endpoint_id = d.endpoint_id
                              AND o.event_id = d.event_id AND o.state = 'pending')
         ORDER BY d.id LIMIT %(most)s FOR NO KEY UPDATE OF d
    ), old AS (
        UPDATE webhook_deliveries AS d SET replayed_at = %(now)s FROM chosen WHERE d.id = chosen.id
        RETURNING d.id, d.account_id, d.endpoint_id, d.event_id, d.call_id, d.seq, d.type, d.body
    )
    INSERT INTO webhook_deliveries
           (account_id, endpoint_id, event_id, call_id, seq, type, body, replay_of, created_at, due_at)
    SELECT account_id, endpoint_id, event_id, call_id, seq, type, body, id, %(now)s, %(now)s
      FROM old ORDER BY id"""

# The oldest deliveries after an id that are done with, and their tries. By primary keys.
FORGET_DELIVERIES: Sql = """
    WITH oldest AS (
        SELECT id, created_at, state FROM webhook_deliveries WHERE id > %(after)s ORDER BY id LIMIT %(most)s
    ), gone AS (
        DELETE FROM webhook_deliveries AS d USING oldest AS o
         WHERE d.id = o.id AND o.created_at < %(before)s AND o.state <> 'pending' AND d.state <> 'pending'
        RETURNING d.id
    ), tries AS (
        DELETE FROM webhook_tries WHERE delivery_id IN (SELECT id FROM gone)
    )
    SELECT (SELECT count(*) FROM gone), max(id) FILTER (WHERE created_at < %(before)s) FROM oldest"""

# The oldest events after an id that no delivery tells of any more. By primary key, and index
# webhook_deliveries_call.
FORGET_EVENTS: Sql = """
    WITH oldest AS (
        SELECT id, call_id, created_at FROM webhook_events WHERE id > %(after)s ORDER BY id LIMIT %(most)s
    ), gone AS (
        DELETE FROM webhook_events AS e USING oldest AS o
         WHERE e.id = o.id AND o.created_at < %(before)s
           AND NOT EXISTS (SELECT FROM webhook_deliveries AS d
                            WHERE d.call_id = o.call_id AND d.event_id = o.id)
        RETURNING e.id
    )
    SELECT (SELECT count(*) FROM gone), max(id) FILTER (WHERE created_at < %(before)s) FROM oldest"""

# Endpoints that were deleted so long ago, once nothing was sent to them any more.
FORGET_ENDPOINTS: Sql = """
    DELETE FROM webhook_endpoints AS p
     WHERE p.deleted_at < %s
       AND NOT EXISTS (SELECT FROM webhook_deliveries AS d WHERE d.endpoint_id = p.id)"""

_decode_call = msgspec.json.Decoder(CallEvent).decode
_decode_incoming = msgspec.json.Decoder(IncomingEvent).decode
_decode_zalo = msgspec.json.Decoder(ZaloEvent).decode


async def subscribed(tx: Tx, account_ids: Sequence[int]) -> set[int]:
    return {id_ for (id_,) in await (await tx.execute(SUBSCRIBED, (list(account_ids),))).fetchall()}


async def publish(tx: Tx, events: Sequence[CallEvent]) -> int:
    """How many deliveries there are of them."""
    cursor = await tx.execute(
        PUBLISH,
        {
            "accounts": [event.account_id for event in events],
            "calls": [event.call_id for event in events],
            "seqs": [event.seq for event in events],
            "types": [event.type for event in events],
            "payloads": [encode_event(event) for event in events],
        },
    )
    return cursor.rowcount


async def publish_apart(tx: Tx, events: Sequence[Event]) -> int:
    """Of events of no campaign's call. How many deliveries there are of them."""
    cursor = await tx.execute(
        PUBLISH_APART,
        {
            "accounts": [event.account_id for event in events],
            "oa_refs": [event.connection_id if isinstance(event, ZaloEvent) else None for event in events],
            "types": [event.type for event in events],
            "payloads": [encode_event(event) for event in events],
        },
    )
    return cursor.rowcount


async def publish_test(tx: Tx, endpoint_id: int, event: Event) -> int:
    """The id of the delivery."""
    values = {
        "account_id": event.account_id,
        "endpoint_id": endpoint_id,
        "seq": event.seq if isinstance(event, CallEvent) else 0,
        "type": event.type,
        "payload": encode_event(event),
    }
    row = await (await tx.execute(PUBLISH_TEST, values)).fetchone()
    assert row is not None
    return int(row[0])


def encode_event(event: Event) -> str:
    return msgspec.json.encode(event).decode()


def decode_event(type_: str, payload: str) -> Event:
    """Raises msgspec.MsgspecError for what another version wrote and this one cannot read."""
    if type_ in OF_ZALO:
        return _decode_zalo(payload)
    return _decode_incoming(payload) if type_ in OF_INCOMING else _decode_call(payload)


async def get(tx: Tx, account_id: int, delivery_id: int) -> Delivery | None:
    async with tx.cursor(row_factory=class_row(Delivery)) as cursor:
        return await (await cursor.execute(GET, (account_id, delivery_id))).fetchone()


async def get_content(tx: Tx, account_id: int, delivery_id: int) -> tuple[Event, bytes | None] | None:
    row = await (await tx.execute(GET_CONTENT, (account_id, delivery_id))).fetchone()
    return None if row is None else (decode_event(row[0], row[1]), row[2])


async def get_tries(tx: Tx, account_id: int, delivery_id: int) -> list[Try]:
    async with tx.cursor(row_factory=class_row(Try)) as cursor:
        return await (await cursor.execute(GET_TRIES, (account_id, delivery_id))).fetchall()


async def list_(tx: Tx, account_id: int, where: DeliveryFilter, before: int, limit: int) -> list[Delivery]:
    values: dict[str, Any] = {
        "account_id": account_id,
        "endpoint_id": where.endpoint_id,
        "call_id": where.call_id,
        "states": ["pending", "delivered", "parked"] if where.state is None else [where.state],
        "before": before,
        "limit": limit,
    }
    async with tx.cursor(row_factory=class_row(Delivery)) as cursor:
        await cursor.execute(LIST if where.call_id is None else LIST_OF_CALL, values)
        return await cursor.fetchall()


async def replay(tx: Tx, account_id: int, delivery_id: int, now: datetime) -> Delivery | None:
    """None: its event is on its way already."""
    async with tx.cursor(row_factory=class_row(Delivery)) as cursor:
        await cursor.execute(REPLAY, {"account_id": account_id, "id": delivery_id, "now": now})
        return await cursor.fetchone()


async def replay_many(
    tx: Tx, account_id: int, endpoint_id: int, where: ReplayFilter, most: int, now: datetime
) -> int:
    values = {
        "account_id": account_id,
        "endpoint_id": endpoint_id,
        "state": where.state,
        "since": where.since,
        "until": where.until,
        "most": most,
        "now": now,
    }
    return (await tx.execute(REPLAY_MANY, values)).rowcount


async def forget_deliveries(tx: Tx, before: datetime, after: int, most: int) -> tuple[int, int | None]:
    """(how many went, the last id that was old enough to be looked at: go on after it; None: the end)."""
    return await _forget(tx, FORGET_DELIVERIES, before, after, most)


async def forget_events(tx: Tx, before: datetime, after: int, most: int) -> tuple[int, int | None]:
    """As `forget_deliveries`."""
    return await _forget(tx, FORGET_EVENTS, before, after, most)


async def forget_endpoints(tx: Tx, before: datetime) -> int:
    return (await tx.execute(FORGET_ENDPOINTS, (before,))).rowcount


async def _forget(tx: Tx, sql: Sql, before: datetime, after: int, most: int) -> tuple[int, int | None]:
    row = await (await tx.execute(sql, {"before": before, "after": after, "most": most})).fetchone()
    assert row is not None
    return int(row[0]), row[1]
