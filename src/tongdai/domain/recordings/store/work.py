"""SQL of what is left to do with recordings: fetch, forget, delete, make an mp3.

All are loops of the platform, of every account.
"""

from __future__ import annotations

from datetime import datetime

from psycopg.rows import class_row

from tongdai.domain.recordings.model import LEASE, Mp3Task, Task, delay_after
from tongdai.kit.db import Sql, Tx

# Takes what is due for a while. What is to be fetched may be in the store from now on. Index recordings_due.
CLAIM: Sql = """
    UPDATE recordings
       SET next_try_at = %(until)s, tries = tries + 1, has_files = has_files OR state = 'pending'
     WHERE next_try_at <= %(now)s AND id IN (
           SELECT id FROM recordings WHERE next_try_at <= %(now)s
            ORDER BY next_try_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
    RETURNING id, account_id, engine, name, state, storage_key, at_node, has_files, tries, doubts"""

# The file is in the store, whole; its node may forget it. Nothing is changed when somebody else was given the
# task since, or the recording was deleted meanwhile. By primary key, like all that follow.
STORED: Sql = """
    UPDATE recordings
       SET state = 'stored', seconds = %(seconds)s, size_bytes = %(size)s, sha256 = %(sha256)s,
           reason = %(reason)s, stored_at = %(now)s,
           mp3_due_at = CASE WHEN mp3 = 'wanted' THEN %(now)s::timestamptz END
     WHERE id = %(id)s AND state = 'pending' AND tries = %(tries)s"""

# There is no sound to be had. What of it is at the node stays there, for people to look at.
LOST: Sql = """
    UPDATE recordings
       SET state = 'lost', reason = %(reason)s, at_node = false, has_files = false, next_try_at = NULL
     WHERE id = %(id)s AND state = 'pending' AND tries = %(tries)s"""

# Nothing is left to do.
DONE: Sql = """
    UPDATE recordings
       SET at_node = false, has_files = has_files AND state <> 'deleted', next_try_at = NULL
     WHERE id = %(id)s AND state = %(state)s AND tries = %(tries)s"""

# To be tried again.
POSTPONE: Sql = """
    UPDATE recordings SET next_try_at = %(at)s, doubts = doubts + %(doubts)s
     WHERE id = %(id)s AND tries = %(tries)s AND next_try_at IS NOT NULL"""

IS_DELETED: Sql = "SELECT state = 'deleted' FROM recordings WHERE id = %(id)s"

# Takes what an mp3 is to be made of. Index recordings_mp3_due.
CLAIM_MP3: Sql = """
    UPDATE recordings SET mp3_due_at = %(until)s, mp3_tries = mp3_tries + 1
     WHERE state = 'stored' AND id IN (
           SELECT id FROM recordings WHERE mp3_due_at <= %(now)s
            ORDER BY mp3_due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
    RETURNING id, storage_key, mp3_tries AS tries"""

MP3_MADE: Sql = """
    UPDATE recordings SET mp3 = %(mp3)s, mp3_bytes = %(bytes)s, mp3_due_at = NULL
     WHERE id = %(id)s AND state = 'stored' AND mp3_tries = %(tries)s"""

POSTPONE_MP3: Sql = """
    UPDATE recordings SET mp3_due_at = %(at)s
     WHERE id = %(id)s AND mp3_tries = %(tries)s AND mp3_due_at IS NOT NULL"""


async def claim(tx: Tx, now: datetime, limit: int) -> list[Task]:
    async with tx.cursor(row_factory=class_row(Task)) as cursor:
        await cursor.execute(CLAIM, {"now": now, "until": now + LEASE, "limit": limit})
        return await cursor.fetchall()


async def stored(
    tx: Tx,
    task: Task,
    now: datetime,
    *,
    seconds: float,
    size: int,
    sha256: bytes,
    reason: str | None,
) -> bool:
    values = {
        "id": task.id,
        "tries": task.tries,
        "now": now,
        "seconds": seconds,
        "size": size,
        "sha256": sha256,
        "reason": reason,
    }
    return (await tx.execute(STORED, values)).rowcount == 1


async def lost(tx: Tx, task: Task, reason: str) -> bool:
    values = {"id": task.id, "tries": task.tries, "reason": reason}
    return (await tx.execute(LOST, values)).rowcount == 1


async def done(tx: Tx, task: Task) -> None:
    await tx.execute(DONE, {"id": task.id, "tries": task.tries, "state": task.state})


async def postpone(tx: Tx, task: Task, now: datetime, *, doubtful: bool = False) -> None:
    """Try again later. `doubtful`: its node has none, or a broken one."""
    values = {
        "id": task.id,
        "tries": task.tries,
        "at": now + delay_after(task.tries),
        "doubts": int(doubtful),
    }
    await tx.execute(POSTPONE, values)


async def is_deleted(tx: Tx, recording_id: int) -> bool:
    row = await (await tx.execute(IS_DELETED, {"id": recording_id})).fetchone()
    return row is not None and bool(row[0])


async def claim_mp3(tx: Tx, now: datetime, limit: int) -> list[Mp3Task]:
    async with tx.cursor(row_factory=class_row(Mp3Task)) as cursor:
        await cursor.execute(CLAIM_MP3, {"now": now, "until": now + LEASE, "limit": limit})
        return await cursor.fetchall()


async def mp3_made(tx: Tx, task: Mp3Task, size: int | None) -> bool:
    """`size`: of the mp3 in bytes; None: none can be made."""
    mp3 = "failed" if size is None else "made"
    values = {"id": task.id, "tries": task.tries, "mp3": mp3, "bytes": size}
    return (await tx.execute(MP3_MADE, values)).rowcount == 1


async def postpone_mp3(tx: Tx, task: Mp3Task, now: datetime) -> None:
    values = {"id": task.id, "tries": task.tries, "at": now + delay_after(task.tries)}
    await tx.execute(POSTPONE_MP3, values)
