"""SQL that writes down recordings, shows them and deletes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from tongdai.domain.recordings.model import (
    DEFAULT_KEEP_DAYS,
    NewRecording,
    Recording,
    RecordingFilter,
    Waiting,
)
from tongdai.kit.db import Sql, Tx

_COLUMNS: Sql = """
    id, account_id, leg_id, call_id, attempt_id, campaign_id, incoming_call_id, kind, step_id, state, reason,
    storage_key, seconds, size_bytes, sha256, mp3, mp3_bytes, keep_until, created_at, stored_at, deleted_at"""

# What becomes of new recordings by the rules of their campaigns and accounts. A one-time code's call must not
# have been recorded: what there is of it is deleted at its node, and never fetched. Reads `input`.
_INSERT: Sql = """
    INSERT INTO recordings (id, account_id, leg_id, call_id, attempt_id, campaign_id, incoming_call_id, kind,
                            step_id, engine, name, state, reason, storage_key, seconds, mp3, next_try_at,
                            keep_until, created_at, deleted_at)
    SELECT i.id, i.account_id, i.leg_id, i.call_id, i.attempt_id, i.campaign_id, i.incoming_call_id, i.kind,
           i.step_id, i.engine, i.name,
           CASE WHEN p.secret THEN 'deleted' ELSE 'pending' END,
           CASE WHEN p.secret THEN 'one_time_code' END,
           format('recordings/%%s/%%s/%%s.wav', i.account_id,
                  to_char(i.created_at AT TIME ZONE 'UTC', 'YYYY/MM'), i.id),
           i.seconds,
           CASE WHEN coalesce(c.mp3, a.mp3, false) AND NOT p.secret THEN 'wanted' ELSE 'no' END,
           i.created_at,
           i.created_at + make_interval(days => CASE WHEN c.id IS NOT NULL THEN c.keep_days
                                                     WHEN a.id IS NOT NULL THEN a.keep_days
                                                     ELSE %(default_days)s END),
           i.created_at,
           CASE WHEN p.secret THEN i.created_at END
      FROM input AS i
     CROSS JOIN LATERAL (SELECT EXISTS (
               SELECT FROM campaigns
                WHERE campaigns.id = i.campaign_id AND 'otp' IN (campaigns.kind, campaigns.purpose)
           ) AS secret) AS p
      LEFT JOIN recording_rules AS c
        ON c.account_id = i.account_id AND c.campaign_id = i.campaign_id AND c.active
      LEFT JOIN recording_rules AS a
        ON a.account_id = i.account_id AND a.campaign_id IS NULL AND a.active
    RETURNING id, state"""

# Recordings of legs that end in this transaction. By primary keys, and recording_rules_of.
NOTE: Sql = f"""
    WITH input AS MATERIALIZED (
        SELECT nextval('recording_ids') AS id, t.*
          FROM unnest(%(account_ids)s::bigint[], %(leg_ids)s::bigint[], %(call_ids)s::bigint[],
                      %(attempt_ids)s::bigint[], %(campaign_ids)s::bigint[], %(incoming_ids)s::bigint[],
                      %(kinds)s::text[], %(step_ids)s::text[], %(engines)s::text[], %(names)s::text[],
                      %(seconds)s::real[], %(at)s::timestamptz[]) WITH ORDINALITY
               AS t (account_id, leg_id, call_id, attempt_id, campaign_id, incoming_call_id, kind, step_id,
                     engine, name, seconds, created_at, place)
    ), written AS ({_INSERT})
    SELECT input.id, written.state FROM input JOIN written USING (id) ORDER BY input.place"""  # noqa: S608

# Nobody else looks for the same engine's forgotten files until this transaction ends.
HOLD_ENGINE: Sql = "SELECT pg_advisory_xact_lock(hashtextextended(%(engine)s, 7344))"

# Files that an engine holds and no row knows, of legs of its that ended a while ago: the end that would have
# written them down was not heard. The command that records the whole call has the id 0. The leg of a call
# that came in begins when that came. Indexes recordings_leg and inbound_calls_by_time, primary key of legs.
TAKE_IN: Sql = f"""
    WITH held AS MATERIALIZED (
        SELECT * FROM unnest(%(names)s::text[], %(leg_ids)s::bigint[]) AS t (name, leg_id)
    ), input AS MATERIALIZED (
        SELECT nextval('recording_ids') AS id, l.account_id, l.id AS leg_id, l.call_id, l.attempt_id,
               l.campaign_id, i.id AS incoming_call_id,
               CASE WHEN l.kind = 'inbound' THEN 'inbound' WHEN held.name LIKE '%%-0' THEN 'call'
                    ELSE 'step' END AS kind, NULL::text AS step_id,
               l.engine, held.name, 0::real AS seconds, l.ended_at AS created_at
          FROM held JOIN legs AS l ON l.id = held.leg_id
          LEFT JOIN LATERAL (
               SELECT id FROM inbound_calls
                WHERE l.kind = 'inbound' AND inbound_calls.account_id = l.account_id AND leg_id = l.id
                  AND came_at BETWEEN l.dial_at - interval '1 second' AND l.dial_at + interval '1 second'
          ) AS i ON true
         WHERE l.engine = %(engine)s AND l.state = 'ended' AND l.ended_at < %(before)s
           AND NOT EXISTS (SELECT FROM recordings AS r WHERE r.leg_id = l.id AND r.name = held.name)
    ), written AS ({_INSERT})
    SELECT count(*) FROM written"""  # noqa: S608

# One recording. By primary key.
GET: Sql = f"SELECT {_COLUMNS} FROM recordings WHERE id = %(id)s AND account_id = %(account_id)s"  # noqa: S608

# One of any account: for whoever holds a link, which was signed for it alone. By primary key.
GET_LINKED: Sql = f"SELECT {_COLUMNS} FROM recordings WHERE id = %(id)s"  # noqa: S608

# Recordings of an account in id order, deleted ones left out. Index recordings_account.
LIST_OF_ACCOUNT: Sql = f"""
    SELECT {_COLUMNS} FROM recordings
     WHERE account_id = %(account_id)s AND id > %(after)s AND id <= %(through)s AND state <> 'deleted'
       AND (%(state)s::text IS NULL OR state = %(state)s)
     ORDER BY id LIMIT %(limit)s"""  # noqa: S608

# The same of one campaign. Index recordings_campaign.
LIST_OF_CAMPAIGN: Sql = f"""
    SELECT {_COLUMNS} FROM recordings
     WHERE campaign_id = %(campaign_id)s AND account_id = %(account_id)s AND id > %(after)s
       AND id <= %(through)s AND state <> 'deleted' AND (%(state)s::text IS NULL OR state = %(state)s)
     ORDER BY id LIMIT %(limit)s"""  # noqa: S608

# The last of the ids that one request examines: deleted ones are among them. Index recordings_account.
LAST_EXAMINED_OF_ACCOUNT: Sql = """
    SELECT id FROM recordings WHERE account_id = %(account_id)s AND id > %(after)s
     ORDER BY id OFFSET %(examine)s::bigint - 1 LIMIT 1"""

# The same of a campaign that is the account's. Index recordings_campaign.
LAST_EXAMINED_OF_CAMPAIGN: Sql = """
    SELECT id FROM recordings WHERE campaign_id = %(campaign_id)s AND account_id = %(account_id)s
       AND id > %(after)s
     ORDER BY id OFFSET %(examine)s::bigint - 1 LIMIT 1"""

# Recordings of some calls, deleted ones left out. Index recordings_call.
OF_CALLS: Sql = f"""
    SELECT {_COLUMNS} FROM recordings
     WHERE call_id = ANY(%(call_ids)s) AND account_id = %(account_id)s AND state <> 'deleted'
     ORDER BY id"""  # noqa: S608

# The same of calls that came in. Index recordings_incoming.
OF_INCOMING: Sql = f"""
    SELECT {_COLUMNS} FROM recordings
     WHERE incoming_call_id = ANY(%(call_ids)s) AND account_id = %(account_id)s AND state <> 'deleted'
     ORDER BY id"""  # noqa: S608

# Marks one as deleted; its files go, and its node forgets it, soon after. By primary key.
DELETE: Sql = f"""
    UPDATE recordings
       SET state = 'deleted', reason = %(reason)s, deleted_at = %(now)s, mp3_due_at = NULL, tries = 0,
           next_try_at = greatest(next_try_at, mp3_due_at, %(now)s)
     WHERE id = %(id)s AND account_id = %(account_id)s AND state <> 'deleted'
    RETURNING {_COLUMNS}"""  # noqa: S608

# The same of those of every account that were kept for long enough: a loop of the platform. Index
# recordings_kept.
EXPIRE: Sql = """
    UPDATE recordings
       SET state = 'deleted', reason = 'kept_long_enough', deleted_at = %(now)s, mp3_due_at = NULL, tries = 0,
           next_try_at = greatest(next_try_at, mp3_due_at, %(now)s)
     WHERE state <> 'deleted' AND id IN (
           SELECT id FROM recordings WHERE state <> 'deleted' AND keep_until <= %(now)s
            ORDER BY keep_until LIMIT %(limit)s FOR UPDATE SKIP LOCKED)"""

# How many wait for their nodes, up to a number, and since when. Index recordings_waiting.
WAITING: Sql = """
    SELECT count(*) AS number,
           coalesce(extract(epoch FROM %(now)s - min(created_at)), 0)::float8 AS oldest_s
      FROM (SELECT created_at FROM recordings WHERE state = 'pending'
             ORDER BY created_at LIMIT %(most)s) AS waiting"""


@dataclass(frozen=True, slots=True)
class Noted:
    id: int
    state: str


async def note(tx: Tx, rows: Sequence[NewRecording]) -> list[Noted]:
    """In the order given."""
    columns = {
        "account_ids": [row.account_id for row in rows],
        "leg_ids": [row.leg_id for row in rows],
        "call_ids": [row.call_id for row in rows],
        "attempt_ids": [row.attempt_id for row in rows],
        "campaign_ids": [row.campaign_id for row in rows],
        "incoming_ids": [row.incoming_call_id for row in rows],
        "kinds": [row.kind for row in rows],
        "step_ids": [row.step_id for row in rows],
        "engines": [row.engine for row in rows],
        "names": [row.name for row in rows],
        "seconds": [row.seconds for row in rows],
        "at": [row.at for row in rows],
        "default_days": DEFAULT_KEEP_DAYS,
    }
    async with tx.cursor(row_factory=class_row(Noted)) as cursor:
        await cursor.execute(NOTE, columns)
        return await cursor.fetchall()


async def take_in(tx: Tx, engine: str, names: Sequence[str], leg_ids: Sequence[int], before: datetime) -> int:
    """How many of these files were unknown, and are written down now."""
    await tx.execute(HOLD_ENGINE, {"engine": engine})
    values = {
        "engine": engine,
        "names": list(names),
        "leg_ids": list(leg_ids),
        "before": before,
        "default_days": DEFAULT_KEEP_DAYS,
    }
    row = await (await tx.execute(TAKE_IN, values)).fetchone()
    return 0 if row is None else int(row[0])


async def get(tx: Tx, account_id: int, recording_id: int) -> Recording | None:
    return await _one(tx, GET, {"id": recording_id, "account_id": account_id})


async def get_linked(tx: Tx, recording_id: int) -> Recording | None:
    return await _one(tx, GET_LINKED, {"id": recording_id})


async def last_examined(
    tx: Tx, account_id: int, wanted: RecordingFilter, after: int, examine: int
) -> int | None:
    """The id of the `examine`-th recording after `after`; None: there are fewer."""
    query = LAST_EXAMINED_OF_ACCOUNT if wanted.campaign_id is None else LAST_EXAMINED_OF_CAMPAIGN
    values = {
        "account_id": account_id,
        "campaign_id": wanted.campaign_id,
        "after": after,
        "examine": examine,
    }
    row = await (await tx.execute(query, values)).fetchone()
    return None if row is None else int(row[0])


async def page(
    tx: Tx, account_id: int, wanted: RecordingFilter, *, after: int, through: int, limit: int
) -> list[Recording]:
    values = {
        "account_id": account_id,
        "campaign_id": wanted.campaign_id,
        "state": wanted.state,
        "after": after,
        "through": through,
        "limit": limit,
    }
    query = LIST_OF_ACCOUNT if wanted.campaign_id is None else LIST_OF_CAMPAIGN
    async with tx.cursor(row_factory=class_row(Recording)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


async def of_calls(tx: Tx, account_id: int, call_ids: Sequence[int], *, incoming: bool) -> list[Recording]:
    async with tx.cursor(row_factory=class_row(Recording)) as cursor:
        query = OF_INCOMING if incoming else OF_CALLS
        await cursor.execute(query, {"account_id": account_id, "call_ids": list(call_ids)})
        return await cursor.fetchall()


async def delete(tx: Tx, account_id: int, recording_id: int, reason: str, now: datetime) -> Recording | None:
    values = {"id": recording_id, "account_id": account_id, "reason": reason, "now": now}
    return await _one(tx, DELETE, values)


async def expire(tx: Tx, now: datetime, limit: int) -> int:
    """How many were marked."""
    return (await tx.execute(EXPIRE, {"now": now, "limit": limit})).rowcount


async def waiting(connection: Tx, now: datetime, most: int) -> Waiting:
    async with connection.cursor(row_factory=class_row(Waiting)) as cursor:
        await cursor.execute(WAITING, {"now": now, "most": most})
        row = await cursor.fetchone()
    assert row is not None
    return row


async def _one(tx: Tx, query: Sql, values: dict[str, object]) -> Recording | None:
    async with tx.cursor(row_factory=class_row(Recording)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchone()
