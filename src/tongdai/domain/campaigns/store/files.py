"""SQL about contact files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg.rows import dict_row

from tongdai.domain.campaigns.file_model import ContactFile, FileOptions, Format, Layout
from tongdai.domain.campaigns.store.intake import _OPEN
from tongdai.kit.db import Sql, Tx

# Held for as long as a worker reads a file, on a connection of its own: gone with it, however it ends.
_LOCKS = 7343

_FILE: Sql = """
    id, account_id, campaign_id, user_id, name, format, size_bytes, storage_key, options, state, layout,
    rows_total, rows_read, last_row, accepted, repaired, converted, duplicate, rejected, tries, report_key,
    error_code, coalesce(error_facts, '{}') AS error_facts, created_at, started_at, done_at"""

# A file for a campaign that HOLD_CAMPAIGN has looked at.
ADD: Sql = f"""
    INSERT INTO contact_files (account_id, campaign_id, user_id, name, format, size_bytes, storage_key,
                               options)
    VALUES (%(account_id)s, %(campaign_id)s, %(user_id)s, %(name)s, %(format)s, %(size_bytes)s,
            %(storage_key)s, %(options)s::jsonb)
 RETURNING {_FILE}"""  # noqa: S608

# One file of a campaign. By primary key.
ONE: Sql = f"""
    SELECT {_FILE} FROM contact_files
     WHERE id = %(id)s AND account_id = %(account_id)s AND campaign_id = %(campaign_id)s"""  # noqa: S608

# A campaign's files, oldest first. Index contact_files_campaign.
PAGE: Sql = f"""
    SELECT {_FILE} FROM contact_files
     WHERE account_id = %(account_id)s AND campaign_id = %(campaign_id)s AND id > %(after)s
     ORDER BY id LIMIT %(limit)s"""  # noqa: S608

# The oldest unread file of each account, oldest of all first. Index contact_files_open, whose rows are few.
WAITING: Sql = """
    SELECT id, account_id FROM (
        SELECT DISTINCT ON (account_id) id, account_id FROM contact_files
         WHERE state IN ('received', 'reading') ORDER BY account_id, id
    ) AS first ORDER BY id"""

# One account's files are read one after another, by one worker at a time. Two accounts that share a key wait
# for each other, which is harmless.
TRY_LOCK: Sql = "SELECT pg_try_advisory_lock(%s, (%s %% 2147483647)::integer)"

UNLOCK: Sql = "SELECT pg_advisory_unlock(%s, (%s %% 2147483647)::integer)"

# A worker begins with a file, or goes on where another one died. By primary key.
BEGIN: Sql = f"""
    UPDATE contact_files
       SET state = 'reading', started_at = coalesce(started_at, %(now)s), tries = tries + 1
     WHERE id = %(id)s AND account_id = %(account_id)s AND state IN ('received', 'reading')
 RETURNING {_FILE}"""  # noqa: S608

# What was found in it. By primary key.
SET_LAYOUT: Sql = """
    UPDATE contact_files SET layout = %(layout)s::jsonb, rows_total = %(rows)s
     WHERE id = %(id)s AND account_id = %(account_id)s AND state = 'reading'"""

# The first statement of a batch's transaction: the file is ours as far as we know it, and stays so until the
# commit. None: somebody else went on with it. By primary key.
HOLD: Sql = """
    SELECT FROM contact_files
     WHERE id = %(id)s AND account_id = %(account_id)s AND state = 'reading' AND last_row = %(last_row)s
       FOR UPDATE"""

# The last statements of a batch's transaction. By primary key.
ADVANCE: Sql = """
    UPDATE contact_files
       SET last_row = %(last_row)s, rows_read = rows_read + %(rows)s, accepted = accepted + %(accepted)s,
           repaired = repaired + %(repaired)s, converted = converted + %(converted)s,
           duplicate = duplicate + %(duplicate)s, rejected = rejected + %(rejected)s, tries = 0
     WHERE id = %(id)s AND account_id = %(account_id)s"""
KEEP_BATCH: Sql = """
    INSERT INTO contact_file_batches (file_id, first_row, account_id, numbers, rows, report)
    VALUES (%(id)s, %(first_row)s, %(account_id)s, %(numbers)s, %(rows)s, %(report)s)"""

# The numbers of the batches so far, for whoever goes on with the file. By primary key.
NUMBERS: Sql = """
    SELECT numbers, rows FROM contact_file_batches WHERE file_id = %(id)s AND account_id = %(account_id)s
     ORDER BY first_row"""

# A few parts of the report, in order. By primary key.
REPORT_PARTS: Sql = """
    SELECT first_row, report FROM contact_file_batches
     WHERE file_id = %(id)s AND account_id = %(account_id)s AND first_row > %(after)s
     ORDER BY first_row LIMIT 20"""

# The end of a file, and of what was kept to go on with it. By primary keys.
END: Sql = """
    UPDATE contact_files
       SET state = %(state)s, done_at = %(now)s, report_key = %(report_key)s,
           error_code = %(code)s, error_facts = %(facts)s::jsonb
     WHERE id = %(id)s AND account_id = %(account_id)s AND state = 'reading'"""
FORGET_BATCHES: Sql = """
    DELETE FROM contact_file_batches WHERE file_id = %(id)s AND account_id = %(account_id)s"""

# The upload was removed from storage. By primary key.
FORGET_UPLOAD: Sql = """
    UPDATE contact_files SET storage_key = NULL
     WHERE id = %(id)s AND account_id = %(account_id)s AND done_at IS NOT NULL"""

# Ended files of every account whose report has had its time, or whose upload a crash left. Index
# contact_files_kept.
STALE: Sql = """
    SELECT id, storage_key, CASE WHEN done_at < %(before)s THEN report_key END AS report_key
      FROM contact_files
     WHERE done_at IS NOT NULL AND (report_key IS NOT NULL OR storage_key IS NOT NULL)
       AND (storage_key IS NOT NULL OR done_at < %(before)s)
     ORDER BY done_at LIMIT 100 FOR UPDATE SKIP LOCKED"""
FORGET_STALE: Sql = """
    UPDATE contact_files
       SET storage_key = NULL, report_key = CASE WHEN done_at >= %(before)s THEN report_key END
     WHERE id = ANY(%(ids)s)"""

# The campaign, kept as it is until a file of it is committed. By primary key.
HOLD_CAMPAIGN: Sql = f"""
    SELECT kind, state, {_OPEN} AS open FROM campaigns
     WHERE id = %(campaign_id)s AND account_id = %(account_id)s FOR SHARE"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the rows of a batch."""

    rows: int = 0
    accepted: int = 0
    repaired: int = 0
    converted: int = 0
    duplicate: int = 0
    rejected: int = 0


def _file(row: Mapping[str, Any]) -> ContactFile:
    layout = None if row["layout"] is None else msgspec.convert(row["layout"], Layout)
    options = msgspec.convert(row["options"], FileOptions)
    return ContactFile(**{**row, "layout": layout, "options": options})


async def _one(tx: Tx, sql: Sql, values: Mapping[str, Any]) -> ContactFile | None:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(sql, values)
        row = await cursor.fetchone()
    return None if row is None else _file(row)


async def add(
    tx: Tx,
    account_id: int,
    campaign_id: int,
    user_id: int,
    *,
    name: str,
    format_: Format,
    size_bytes: int,
    storage_key: str,
    options: FileOptions,
) -> ContactFile:
    values = {
        "account_id": account_id,
        "campaign_id": campaign_id,
        "user_id": user_id,
        "name": name,
        "format": format_,
        "size_bytes": size_bytes,
        "storage_key": storage_key,
        "options": msgspec.json.encode(options).decode(),
    }
    added = await _one(tx, ADD, values)
    assert added is not None
    return added


async def one(tx: Tx, account_id: int, campaign_id: int, file_id: int) -> ContactFile | None:
    return await _one(tx, ONE, {"id": file_id, "account_id": account_id, "campaign_id": campaign_id})


async def page(tx: Tx, account_id: int, campaign_id: int, after: int, limit: int) -> list[ContactFile]:
    values = {"account_id": account_id, "campaign_id": campaign_id, "after": after, "limit": limit}
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(PAGE, values)
        return [_file(row) for row in await cursor.fetchall()]


async def waiting(tx: Tx) -> list[tuple[int, int]]:
    """(file id, account id), of every account."""
    return [(row[0], row[1]) for row in await (await tx.execute(WAITING)).fetchall()]


async def try_lock(connection: Tx, account_id: int) -> bool:
    """Held until the connection closes."""
    row = await (await connection.execute(TRY_LOCK, (_LOCKS, account_id))).fetchone()
    return row is not None and bool(row[0])


async def begin(tx: Tx, account_id: int, file_id: int, now: datetime) -> ContactFile | None:
    return await _one(tx, BEGIN, {"id": file_id, "account_id": account_id, "now": now})


async def set_layout(tx: Tx, account_id: int, file_id: int, layout: Layout, rows: int) -> None:
    encoded = msgspec.json.encode(layout).decode()
    values = {"id": file_id, "account_id": account_id, "layout": encoded, "rows": rows}
    await tx.execute(SET_LAYOUT, values)


async def hold(tx: Tx, account_id: int, file_id: int, last_row: int) -> bool:
    values = {"id": file_id, "account_id": account_id, "last_row": last_row}
    return (await tx.execute(HOLD, values)).rowcount == 1


async def advance(
    tx: Tx,
    account_id: int,
    file_id: int,
    counts: Counts,
    *,
    first_row: int,
    last_row: int,
    numbers: Sequence[int],
    rows: Sequence[int],
    report: bytes,
) -> None:
    values = {
        "id": file_id,
        "account_id": account_id,
        "last_row": last_row,
        "rows": counts.rows,
        "accepted": counts.accepted,
        "repaired": counts.repaired,
        "converted": counts.converted,
        "duplicate": counts.duplicate,
        "rejected": counts.rejected,
    }
    await tx.execute(ADVANCE, values)
    kept = {
        "id": file_id,
        "account_id": account_id,
        "first_row": first_row,
        "numbers": list(numbers),
        "rows": list(rows),
        "report": report,
    }
    await tx.execute(KEEP_BATCH, kept)


async def numbers(tx: Tx, account_id: int, file_id: int) -> dict[int, int]:
    """By number: the row that it was first in."""
    cursor = await tx.execute(NUMBERS, {"id": file_id, "account_id": account_id})
    return {
        number: row
        for numbers, rows in await cursor.fetchall()
        for number, row in zip(numbers, rows, strict=True)
    }


async def report_parts(tx: Tx, account_id: int, file_id: int, after: int) -> list[tuple[int, bytes]]:
    """(first row, CSV), the next ones."""
    values = {"id": file_id, "account_id": account_id, "after": after}
    return [(row[0], row[1]) for row in await (await tx.execute(REPORT_PARTS, values)).fetchall()]


async def end(
    tx: Tx,
    account_id: int,
    file_id: int,
    now: datetime,
    *,
    report_key: str | None,
    code: str | None,
    facts: Mapping[str, Any],
) -> bool:
    """False: somebody else has ended it."""
    values = {
        "id": file_id,
        "account_id": account_id,
        "now": now,
        "state": "done" if code is None else "failed",
        "report_key": report_key,
        "code": code,
        "facts": msgspec.json.encode(facts).decode(),
    }
    if (await tx.execute(END, values)).rowcount != 1:
        return False
    await tx.execute(FORGET_BATCHES, {"id": file_id, "account_id": account_id})
    return True


async def stale(tx: Tx, before: datetime) -> list[tuple[int, str | None, str | None]]:
    """(file id, upload to be removed, report to be removed), of every account."""
    return [
        (row[0], row[1], row[2]) for row in await (await tx.execute(STALE, {"before": before})).fetchall()
    ]


async def forget_stale(tx: Tx, ids: Sequence[int], before: datetime) -> None:
    await tx.execute(FORGET_STALE, {"ids": list(ids), "before": before})


async def forget_upload(tx: Tx, account_id: int, file_id: int) -> None:
    await tx.execute(FORGET_UPLOAD, {"id": file_id, "account_id": account_id})


async def hold_campaign(tx: Tx, account_id: int, campaign_id: int) -> tuple[str, str, bool] | None:
    """(kind, state, whether it takes contacts); None: the account has no such campaign."""
    cursor = await tx.execute(HOLD_CAMPAIGN, {"account_id": account_id, "campaign_id": campaign_id})
    row = await cursor.fetchone()
    return None if row is None else (row[0], row[1], row[2])


async def unlock(connection: Tx, account_id: int) -> None:
    await connection.execute(UNLOCK, (_LOCKS, account_id))
