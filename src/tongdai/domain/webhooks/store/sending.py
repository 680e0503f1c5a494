"""SQL of sending: who sends to which endpoint, what is due there, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from psycopg.rows import args_row, class_row

from tongdai.domain.webhooks.rules import HEALTHY, Health
from tongdai.kit.db import Sql, Tx

# ---------------------------------------------------------------- senders

# Times are the database's, which all senders share.
REGISTER: Sql = """
    INSERT INTO webhook_senders (host, pid, alive_until) VALUES (%s, %s, clock_timestamp() + %s)
    RETURNING id"""

# Only one whose time is not up, and that nobody has buried.
RENEW: Sql = """
    UPDATE webhook_senders SET alive_until = clock_timestamp() + %s
     WHERE id = %s AND alive_until > clock_timestamp()"""

# Those whose time is up hold nothing any more. Waits for one that is just renewing, and then leaves it alone.
BURY: Sql = "DELETE FROM webhook_senders WHERE alive_until <= clock_timestamp()"

COUNT_SENDERS: Sql = "SELECT count(*) FROM webhook_senders WHERE alive_until > clock_timestamp()"

LEAVE: Sql = "DELETE FROM webhook_senders WHERE id = %s"

ADD_TOTALS: Sql = """
    UPDATE webhook_totals AS t SET tries = t.tries + g.tries
      FROM unnest(%s::text[], %s::bigint[]) AS g (result, tries) WHERE t.result = g.result"""

# ---------------------------------------------------------------- endpoints

# Every endpoint that anything is pending for, and when its first delivery is due. One probe of the index
# webhook_deliveries_due for each, however much is pending.
LOOK: Sql = """
    WITH RECURSIVE waiting AS (
        (SELECT endpoint_id, due_at FROM webhook_deliveries WHERE state = 'pending'
          ORDER BY endpoint_id, due_at LIMIT 1)
        UNION ALL
        SELECT n.endpoint_id, n.due_at FROM waiting AS w CROSS JOIN LATERAL (
               SELECT endpoint_id, due_at FROM webhook_deliveries
                WHERE state = 'pending' AND endpoint_id > w.endpoint_id
                ORDER BY endpoint_id, due_at LIMIT 1) AS n
    )
    SELECT w.endpoint_id AS id, w.due_at, p.version, p.deleted_at IS NOT NULL AS deleted, p.enabled,
           p.paused_at, p.paused_until,
           (SELECT s.id FROM webhook_senders AS s
             WHERE s.id = p.sender_id AND s.alive_until > clock_timestamp()) AS sender_id
      FROM waiting AS w JOIN webhook_endpoints AS p ON p.id = w.endpoint_id"""

# Makes endpoints ours that are nobody's. Runs after BURY, in a statement of its own, so that it sees who was
# renewed meanwhile. Two who want the same one take turns at its row, and the second finds it taken.
TAKE: Sql = """
    UPDATE webhook_endpoints AS p SET sender_id = %(me)s
     WHERE p.id = ANY(%(ids)s)
       AND NOT EXISTS (SELECT FROM webhook_senders AS s WHERE s.id = p.sender_id AND s.id <> %(me)s)
       AND EXISTS (SELECT FROM webhook_senders AS s WHERE s.id = %(me)s)
    RETURNING p.id"""

RELEASE: Sql = "UPDATE webhook_endpoints SET sender_id = NULL WHERE sender_id = %s AND id = ANY(%s)"

# All that sending needs to know of endpoints.
TARGETS: Sql = """
    SELECT id, account_id, version, url, format, options, secret,
           CASE WHEN old_secret_until > %(now)s THEN old_secret END AS old_secret, old_secret_until,
           auth_header, max_in_flight, enabled AND deleted_at IS NULL AS is_open, failures, failing_since,
           paused_at, paused_until, pause_reason, pauses
      FROM webhook_endpoints WHERE id = ANY(%(ids)s) AND sender_id = %(me)s"""

# How endpoints fare, unless a person has changed something meanwhile.
SET_HEALTH: Sql = """
    UPDATE webhook_endpoints AS p
       SET failures = g.failures, failing_since = g.failing_since, paused_at = g.paused_at,
           paused_until = g.paused_until, pause_reason = g.pause_reason, pauses = g.pauses,
           last_error = coalesce(g.last_error, p.last_error),
           last_error_at = coalesce(g.last_error_at, p.last_error_at),
           last_delivered_at = coalesce(g.last_delivered_at, p.last_delivered_at)
      FROM unnest(%(ids)b::bigint[], %(versions)b::integer[], %(failures)b::integer[],
                  %(failing_since)b::timestamptz[], %(paused_at)b::timestamptz[],
                  %(paused_until)b::timestamptz[], %(pause_reason)b::text[], %(pauses)b::integer[],
                  %(last_error)b::text[], %(last_error_at)b::timestamptz[],
                  %(last_delivered_at)b::timestamptz[])
           AS g (id, version, failures, failing_since, paused_at, paused_until, pause_reason, pauses,
                 last_error, last_error_at, last_delivered_at)
     WHERE p.id = g.id AND p.version = g.version"""

# ---------------------------------------------------------------- deliveries

# What is due at endpoints of ours, so many of each at most, without what we hold already; and what of the
# same call is to be sent before. A replay waits for replays alone: neither holds up what is new.
# Indexes webhook_deliveries_due and webhook_deliveries_call: OFFSET 0 keeps the second look from the first,
# which statistics of a quiet hour take for empty. It would then read all that is pending for each row.
CLAIM: Sql = """
    SELECT d.id, d.endpoint_id, d.event_id, d.call_id, d.type, d.tries, d.created_at,
           d.replay_of IS NOT NULL AS is_replay, d.body,
           CASE WHEN d.body IS NULL OR d.type = 'zalo.received' THEN e.payload::text END AS payload,
           b.id AS blocker_id, b.due_at AS blocker_due_at
      FROM unnest(%(endpoints)b::bigint[], %(wanted)b::integer[]) AS w (endpoint_id, wanted)
     CROSS JOIN LATERAL (
           SELECT * FROM webhook_deliveries AS d
            WHERE d.endpoint_id = w.endpoint_id AND d.state = 'pending' AND d.due_at <= %(now)s
              AND d.id <> ALL(%(held)b::bigint[])
            ORDER BY d.due_at, d.id LIMIT w.wanted) AS d
      LEFT JOIN LATERAL (
           SELECT o.id, o.due_at
             FROM (SELECT * FROM webhook_deliveries AS o
                    WHERE o.call_id = d.call_id AND o.endpoint_id = d.endpoint_id AND o.seq < d.seq
                   OFFSET 0) AS o
            WHERE o.state = 'pending' AND (o.replay_of IS NULL) = (d.replay_of IS NULL)
            ORDER BY o.seq DESC LIMIT 1) AS b ON true
      LEFT JOIN webhook_events AS e ON e.id = d.event_id
     ORDER BY d.due_at, d.id"""

# What came of tries. A result that is here already changes nothing, so that one may be written again when it
# is not known whether it was. Delivered stays delivered.
WRITE: Sql = """
    WITH given AS MATERIALIZED (
        SELECT * FROM unnest(%(ids)b::bigint[], %(accounts)b::bigint[], %(at)b::timestamptz[],
                             %(status)b::integer[], %(error)b::text[], %(ms)b::integer[], %(answer)b::bytea[],
                             %(body)b::bytea[], %(state)b::text[], %(due_at)b::timestamptz[])
               AS g (id, account_id, at, status, error, ms, answer, body, state, due_at)
    ), fresh AS (
        INSERT INTO webhook_tries (delivery_id, at, account_id, status, error, ms, answer)
        SELECT id, at, account_id, status, error, ms, answer FROM given
        ON CONFLICT DO NOTHING RETURNING delivery_id
    )
    UPDATE webhook_deliveries AS d
       SET tries = d.tries + 1, status = g.status, error = g.error, body = coalesce(d.body, g.body),
           due_at = coalesce(g.due_at, d.due_at),
           state = CASE WHEN d.state = 'pending' OR g.state = 'delivered' THEN g.state ELSE d.state END,
           done_at = CASE WHEN g.state = 'pending' THEN d.done_at ELSE g.at + g.ms * interval '1 ms' END
      FROM given AS g JOIN fresh AS f ON f.delivery_id = g.id
     WHERE d.id = g.id"""

# Those that wait for an earlier one of their call are due after it.
PUT_OFF: Sql = """
    UPDATE webhook_deliveries AS d SET due_at = g.due_at
      FROM unnest(%b::bigint[], %b::timestamptz[]) AS g (id, due_at)
     WHERE d.id = g.id AND d.state = 'pending'"""

# Parks what is too old at endpoints that nothing is sent to now, the oldest first. Index
# webhook_deliveries_listed, which is in the order of age.
PARK: Sql = """
    UPDATE webhook_deliveries AS d
       SET state = 'parked', done_at = %(now)s, error = coalesce(d.error, 'unsent')
      FROM (SELECT o.id
              FROM unnest(%(endpoints)b::bigint[], %(before)b::timestamptz[]) AS e (id, before)
             CROSS JOIN LATERAL (
                   SELECT o.id, o.created_at FROM webhook_deliveries AS o
                    WHERE o.endpoint_id = e.id AND o.state = 'pending' ORDER BY o.id LIMIT 1000) AS o
             WHERE o.created_at <= e.before) AS o
     WHERE d.id = o.id AND d.state = 'pending'"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An endpoint that something is pending for."""

    id: int
    due_at: datetime
    version: int
    deleted: bool
    enabled: bool
    paused_at: datetime | None
    paused_until: datetime | None
    sender_id: int | None
    """Who sends to it, if that one is alive."""

    def is_open(self, now: datetime) -> bool:
        """True: deliveries may be sent to it now."""
        paused = self.paused_at is not None and (self.paused_until is None or now < self.paused_until)
        return self.enabled and not self.deleted and not paused


@dataclass(frozen=True, slots=True)
class TargetRow:
    """An endpoint of ours. Secrets and auth header are sealed."""

    id: int
    account_id: int
    version: int
    url: str
    format: str
    options: dict[str, Any]
    secret: bytes
    old_secret: bytes | None
    old_secret_until: datetime | None
    auth_header: bytes | None
    max_in_flight: int
    is_open: bool
    failures: int
    failing_since: datetime | None
    paused_at: datetime | None
    paused_until: datetime | None
    pause_reason: str | None
    pauses: int

    @property
    def health(self) -> Health:
        health = Health(
            self.failures,
            self.failing_since,
            self.paused_at,
            self.paused_until,
            self.pause_reason,
            self.pauses,
        )
        return HEALTHY if health == HEALTHY else health


# These two are made for every try: as frozen dataclasses they would take a twentieth of its time.


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """A delivery that is due. Its fields are in the order of the columns of CLAIM."""

    id: int
    endpoint_id: int
    event_id: int
    call_id: int
    type: str
    tries: int
    created_at: datetime
    is_replay: bool
    body: bytes | None
    payload: str | None
    """None where there is a body, unless headers are made of it too, or no event any more."""
    blocker_id: int | None
    """Of the same call, and to be sent before."""
    blocker_due_at: datetime | None


class Result(msgspec.Struct, frozen=True, gc=False):
    """What came of one try."""

    delivery_id: int
    account_id: int
    at: datetime
    status: int | None
    error: str | None
    ms: int
    answer: bytes | None
    body: bytes | None
    state: str
    due_at: datetime | None
    """When it is tried again. None: not."""


@dataclass(frozen=True, slots=True)
class HealthNews:
    """How an endpoint fares after a try, and what is new of the last one."""

    endpoint_id: int
    version: int
    health: Health
    last_error: str | None
    last_error_at: datetime | None
    last_delivered_at: datetime | None


async def register(tx: Tx, host: str, pid: int, lease: timedelta) -> int:
    row = await (await tx.execute(REGISTER, (host, pid, lease))).fetchone()
    assert row is not None
    return int(row[0])


async def renew(tx: Tx, sender_id: int, lease: timedelta) -> bool:
    """False: the time is up, and what it held may be somebody else's."""
    return (await tx.execute(RENEW, (lease, sender_id))).rowcount == 1


async def count_senders(tx: Tx) -> int:
    row = await (await tx.execute(COUNT_SENDERS)).fetchone()
    assert row is not None
    return int(row[0])


async def leave(tx: Tx, sender_id: int) -> None:
    await tx.execute(LEAVE, (sender_id,))


async def add_totals(tx: Tx, tries: Mapping[str, int]) -> None:
    await tx.execute(ADD_TOTALS, (list(tries), list(tries.values())))


async def look(tx: Tx) -> list[Waiting]:
    async with tx.cursor(row_factory=class_row(Waiting)) as cursor:
        return await (await cursor.execute(LOOK)).fetchall()


async def take(tx: Tx, sender_id: int, endpoint_ids: Sequence[int]) -> list[int]:
    """Those that are ours now. Inside a transaction."""
    await tx.execute(BURY)
    cursor = await tx.execute(TAKE, {"me": sender_id, "ids": list(endpoint_ids)})
    return [id_ for (id_,) in await cursor.fetchall()]


async def release(tx: Tx, sender_id: int, endpoint_ids: Sequence[int]) -> None:
    await tx.execute(RELEASE, (sender_id, list(endpoint_ids)))


async def targets(tx: Tx, sender_id: int, endpoint_ids: Sequence[int], now: datetime) -> list[TargetRow]:
    async with tx.cursor(row_factory=class_row(TargetRow)) as cursor:
        await cursor.execute(TARGETS, {"me": sender_id, "ids": list(endpoint_ids), "now": now})
        return await cursor.fetchall()


async def set_health(tx: Tx, news: Sequence[HealthNews]) -> None:
    healths = [one.health for one in news]
    values = {
        "ids": [one.endpoint_id for one in news],
        "versions": [one.version for one in news],
        "failures": [one.failures for one in healths],
        "failing_since": [one.failing_since for one in healths],
        "paused_at": [one.paused_at for one in healths],
        "paused_until": [one.paused_until for one in healths],
        "pause_reason": [one.pause_reason for one in healths],
        "pauses": [one.pauses for one in healths],
        "last_error": [one.last_error for one in news],
        "last_error_at": [one.last_error_at for one in news],
        "last_delivered_at": [one.last_delivered_at for one in news],
    }
    await tx.execute(SET_HEALTH, values)


async def claim(tx: Tx, wanted: Mapping[int, int], held: Sequence[int], now: datetime) -> list[Claimed]:
    """Of each endpoint what is due, so many at most, in the order in which it is to be sent."""
    values = {"endpoints": list(wanted), "wanted": list(wanted.values()), "held": held, "now": now}
    async with tx.cursor(row_factory=args_row(Claimed), binary=True) as cursor:
        return await (await cursor.execute(CLAIM, values)).fetchall()


async def write(tx: Tx, results: Sequence[Result]) -> None:
    values = {
        "ids": [one.delivery_id for one in results],
        "accounts": [one.account_id for one in results],
        "at": [one.at for one in results],
        "status": [one.status for one in results],
        "error": [one.error for one in results],
        "ms": [one.ms for one in results],
        "answer": [one.answer for one in results],
        "body": [one.body for one in results],
        "state": [one.state for one in results],
        "due_at": [one.due_at for one in results],
    }
    await tx.execute(WRITE, values)


async def put_off(tx: Tx, due: Mapping[int, datetime]) -> None:
    await tx.execute(PUT_OFF, (list(due), list(due.values())))


async def park(tx: Tx, before: Mapping[int, datetime], now: datetime) -> int:
    """Of each endpoint what was made before its moment; 1,000 of each at most."""
    values = {"endpoints": list(before), "before": list(before.values()), "now": now}
    return (await tx.execute(PARK, values)).rowcount
