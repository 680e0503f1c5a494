"""All SQL about the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from psycopg.rows import class_row

from tongdai.domain.audit.model import Entry
from tongdai.kit.db import Sql, Tx

# One entry. The table refuses every change to it.
INSERT_ENTRY: Sql = """
    INSERT INTO audit_log (account_id, user_id, action, subject_id, before, after)
    VALUES (%(account_id)s, %(user_id)s, %(action)s, %(subject_id)s, %(before)s::jsonb, %(after)s::jsonb)"""

# Entries of an account in id order. Index audit_log_account.
LIST_ENTRIES: Sql = """
    SELECT id, account_id, user_id, at, action, subject_id, before, after FROM audit_log
     WHERE account_id = %(account_id)s AND id > %(after)s ORDER BY id LIMIT %(limit)s"""


async def insert_entry(
    tx: Tx,
    account_id: int,
    user_id: int | None,
    action: str,
    subject_id: int,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> None:
    values = {
        "account_id": account_id,
        "user_id": user_id,
        "action": action,
        "subject_id": subject_id,
        "before": _jsonb(before),
        "after": _jsonb(after),
    }
    await tx.execute(INSERT_ENTRY, values)


async def list_entries(tx: Tx, account_id: int, after: int, limit: int) -> list[Entry]:
    async with tx.cursor(row_factory=class_row(Entry)) as cursor:
        await cursor.execute(LIST_ENTRIES, {"account_id": account_id, "after": after, "limit": limit})
        return await cursor.fetchall()


def _jsonb(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
