"""All SQL about audio files."""

from __future__ import annotations

from typing import Final

from psycopg.rows import class_row

from tongdai.domain.prompts.model import AudioFile
from tongdai.kit.db import Sql, Tx

# Held from before a file is written, or a row is removed, to the end of the transaction: without it one
# session could remove the file that another has just given a row. Keyed by account and content.
HOLD_CONTENT: Final[Sql] = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 7342))"

ADD: Final[Sql] = """
INSERT INTO audio_files (account_id, name, sha256, size_bytes, sample_rate, duration_ms, storage_key)
VALUES (%s, %s, %s, %s, %s, %s, %s)
RETURNING id, account_id, name, sha256, size_bytes, sample_rate, duration_ms, storage_key, created_at
"""

# One audio file of an account. Served by the primary key.
ONE: Final[Sql] = """
SELECT id, account_id, name, sha256, size_bytes, sample_rate, duration_ms, storage_key, created_at
FROM audio_files WHERE account_id = %s AND id = %s
"""

# The same, kept from being removed until the transaction ends.
ONE_KEPT: Final[Sql] = """
SELECT id, account_id, name, sha256, size_bytes, sample_rate, duration_ms, storage_key, created_at
FROM audio_files WHERE account_id = %s AND id = %s FOR KEY SHARE
"""

# The same, before it is removed: waits for whoever keeps it.
ONE_HELD: Final[Sql] = """
SELECT id, account_id, name, sha256, size_bytes, sample_rate, duration_ms, storage_key, created_at
FROM audio_files WHERE account_id = %s AND id = %s FOR UPDATE
"""

# An account's audio files in pages. Served by audio_files_account.
PAGE: Final[Sql] = """
SELECT id, account_id, name, sha256, size_bytes, sample_rate, duration_ms, storage_key, created_at
FROM audio_files WHERE account_id = %s AND id > %s ORDER BY id LIMIT %s
"""

REMOVE: Final[Sql] = "DELETE FROM audio_files WHERE account_id = %s AND id = %s"

# Whether another row has the same file. Served by audio_files_account: an account has hundreds of them.
IS_STORED_FOR_ANOTHER: Final[Sql] = """
SELECT EXISTS (SELECT FROM audio_files WHERE account_id = %s AND storage_key = %s)
"""


async def hold_content(tx: Tx, key: str) -> None:
    await tx.execute(HOLD_CONTENT, (key,))


async def add(
    tx: Tx,
    account_id: int,
    *,
    name: str,
    sha256: bytes,
    size_bytes: int,
    sample_rate: int,
    duration_ms: int,
    storage_key: str,
) -> AudioFile:
    async with tx.cursor(row_factory=class_row(AudioFile)) as cursor:
        await cursor.execute(
            ADD, (account_id, name, sha256, size_bytes, sample_rate, duration_ms, storage_key)
        )
        row = await cursor.fetchone()
    assert row is not None
    return row


async def _one(tx: Tx, sql: Sql, account_id: int, audio_file_id: int) -> AudioFile | None:
    async with tx.cursor(row_factory=class_row(AudioFile)) as cursor:
        await cursor.execute(sql, (account_id, audio_file_id))
        return await cursor.fetchone()


async def one(tx: Tx, account_id: int, audio_file_id: int) -> AudioFile | None:
    return await _one(tx, ONE, account_id, audio_file_id)


async def one_kept(tx: Tx, account_id: int, audio_file_id: int) -> AudioFile | None:
    return await _one(tx, ONE_KEPT, account_id, audio_file_id)


async def one_held(tx: Tx, account_id: int, audio_file_id: int) -> AudioFile | None:
    return await _one(tx, ONE_HELD, account_id, audio_file_id)


async def page(tx: Tx, account_id: int, after: int, limit: int) -> list[AudioFile]:
    async with tx.cursor(row_factory=class_row(AudioFile)) as cursor:
        await cursor.execute(PAGE, (account_id, after, limit))
        return await cursor.fetchall()


async def remove(tx: Tx, account_id: int, audio_file_id: int) -> None:
    await tx.execute(REMOVE, (account_id, audio_file_id))


async def is_stored_for_another(tx: Tx, account_id: int, storage_key: str) -> bool:
    cursor = await tx.execute(IS_STORED_FOR_ANOTHER, (account_id, storage_key))
    row = await cursor.fetchone()
    return row is not None and bool(row[0])
