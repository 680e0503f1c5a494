"""All SQL about scripts and their versions."""

from __future__ import annotations

from typing import Final

import msgspec
from psycopg.rows import class_row

from tongdai.domain.scripts.model import Script, ScriptEntry, ScriptRow, with_clips
from tongdai.kit.db import Sql, Tx

ADD_SCRIPT: Final[Sql] = """
INSERT INTO scripts (account_id, name) VALUES (%s, %s) RETURNING id
"""

# A script that may get a version; two writers of one script wait here. Served by the primary key.
HOLD_SCRIPT: Final[Sql] = """
SELECT id FROM scripts WHERE account_id = %s AND id = %s AND archived_at IS NULL FOR NO KEY UPDATE
"""

# The next version's number, of a script that is held. Served by the primary key.
NEXT_VERSION: Final[Sql] = """
UPDATE scripts SET version = version + 1, name = coalesce(%s, name)
WHERE account_id = %s AND id = %s
RETURNING version
"""

ADD_VERSION: Final[Sql] = """
INSERT INTO script_versions (script_id, version, account_id, body) VALUES (%s, %s, %s, %s::jsonb)
"""

# A script in one of its versions, or in the current one. Served by both primary keys.
SCRIPT: Final[Sql] = """
SELECT s.id, s.account_id, s.name, v.version, s.created_at, s.archived_at, v.body::text
FROM scripts s
JOIN script_versions v ON v.script_id = s.id AND v.version = coalesce(%s, s.version)
WHERE s.account_id = %s AND s.id = %s
"""

# An account's scripts in pages, without their bodies. Served by scripts_account.
SCRIPTS: Final[Sql] = """
SELECT id, account_id, name, version, created_at, archived_at
FROM scripts WHERE account_id = %s AND id > %s ORDER BY id LIMIT %s
"""

# What a call runs. Served by the primary key of script_versions.
VERSION_BODY: Final[Sql] = """
SELECT body::text FROM script_versions WHERE script_id = %s AND version = %s AND account_id = %s
"""

# Whether any version plays an audio file. Reads the account's versions: removing a file is rare.
USES_AUDIO: Final[Sql] = """
SELECT EXISTS (
    SELECT FROM scripts s JOIN script_versions v ON v.script_id = s.id
    WHERE s.account_id = %s AND v.body -> 'clips' ? %s
)
"""


async def add_script(tx: Tx, account_id: int, name: str) -> int:
    cursor = await tx.execute(ADD_SCRIPT, (account_id, name))
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def hold_script(tx: Tx, account_id: int, script_id: int) -> bool:
    """False: there is no such script, or it is archived."""
    cursor = await tx.execute(HOLD_SCRIPT, (account_id, script_id))
    return await cursor.fetchone() is not None


async def next_version(tx: Tx, account_id: int, script_id: int, name: str | None) -> int:
    cursor = await tx.execute(NEXT_VERSION, (name, account_id, script_id))
    row = await cursor.fetchone()
    assert row is not None  # the caller holds it
    return int(row[0])


async def add_version(tx: Tx, account_id: int, script_id: int, version: int, script: Script) -> None:
    body = msgspec.json.encode(script).decode()
    await tx.execute(ADD_VERSION, (script_id, version, account_id, body))


async def script(tx: Tx, account_id: int, script_id: int, version: int | None) -> ScriptRow | None:
    cursor = await tx.execute(SCRIPT, (version, account_id, script_id))
    row = await cursor.fetchone()
    if row is None:
        return None
    id, account, name, shown_version, created_at, archived_at, body = row
    return ScriptRow(
        id, account, name, shown_version, created_at, archived_at, with_clips(_decoded(body), {})
    )


async def scripts(tx: Tx, account_id: int, after: int, limit: int) -> list[ScriptEntry]:
    async with tx.cursor(row_factory=class_row(ScriptEntry)) as cursor:
        await cursor.execute(SCRIPTS, (account_id, after, limit))
        return await cursor.fetchall()


async def version_body(tx: Tx, account_id: int, script_id: int, version: int) -> Script | None:
    cursor = await tx.execute(VERSION_BODY, (script_id, version, account_id))
    row = await cursor.fetchone()
    return None if row is None else _decoded(row[0])


async def uses_audio(tx: Tx, account_id: int, audio_file_id: int) -> bool:
    cursor = await tx.execute(USES_AUDIO, (account_id, str(audio_file_id)))
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


def _decoded(body: str) -> Script:
    return msgspec.json.decode(body, type=Script)
