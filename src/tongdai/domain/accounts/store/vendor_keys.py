"""All SQL about the keys of vendors' APIs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from psycopg.rows import class_row

from tongdai.domain.accounts.model import Caller, Role
from tongdai.kit.db import Tx

# A new key; nothing when the user is not of the account.
INSERT_KEY = """
INSERT INTO vendor_keys (account_id, user_id, kind, name, hint, sealed, lookup_hash, expires_at)
SELECT account_id, id, %(kind)s, %(name)s, %(hint)s, %(sealed)s, %(lookup_hash)s, %(expires_at)s
FROM users WHERE id = %(user_id)s AND account_id = %(account_id)s
RETURNING id, user_id, kind, name, hint, active, expires_at, created_at
"""

# One key of an account, for a change to it (primary key).
LOCK_KEY = """
SELECT id, user_id, kind, name, hint, active, expires_at, created_at
FROM vendor_keys WHERE id = %s AND account_id = %s FOR UPDATE
"""

# The keys of an account, for its owner to see (vendor_keys_account).
LIST_KEYS = """
SELECT id, user_id, kind, name, hint, active, expires_at, created_at
FROM vendor_keys WHERE account_id = %s ORDER BY id
"""

# What may be changed of a key (primary key).
UPDATE_KEY = """
UPDATE vendor_keys SET name = %(name)s, active = %(active)s, expires_at = %(expires_at)s
WHERE id = %(id)s AND account_id = %(account_id)s
"""

# The sealed text of a key (primary key).
SELECT_SEALED = "SELECT kind, sealed FROM vendor_keys WHERE id = %s AND account_id = %s"

# Whose keys these are (vendor_keys_lookup_hash_key). Whoever shuts a user out shuts out their keys.
FIND_KEYS = """
SELECT k.lookup_hash, k.kind, k.account_id, k.user_id, u.role, k.active, k.expires_at
FROM vendor_keys k JOIN users u ON u.id = k.user_id
WHERE k.lookup_hash = ANY(%s) AND u.disabled_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class NewKey:
    account_id: int
    user_id: int
    kind: str
    name: str
    hint: str
    sealed: bytes
    lookup_hash: bytes
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyRow:
    id: int
    user_id: int
    kind: str
    name: str
    hint: str
    active: bool
    expires_at: datetime | None
    created_at: datetime


async def insert_key(tx: Tx, key: NewKey) -> KeyRow | None:
    async with tx.cursor(row_factory=class_row(KeyRow)) as cursor:
        await cursor.execute(INSERT_KEY, asdict(key))
        return await cursor.fetchone()


async def lock_key(tx: Tx, account_id: int, key_id: int) -> KeyRow | None:
    async with tx.cursor(row_factory=class_row(KeyRow)) as cursor:
        await cursor.execute(LOCK_KEY, (key_id, account_id))
        return await cursor.fetchone()


async def list_keys(tx: Tx, account_id: int) -> Sequence[KeyRow]:
    async with tx.cursor(row_factory=class_row(KeyRow)) as cursor:
        await cursor.execute(LIST_KEYS, (account_id,))
        return await cursor.fetchall()


async def update_key(tx: Tx, account_id: int, key: KeyRow) -> None:
    await tx.execute(UPDATE_KEY, asdict(key) | {"account_id": account_id})


async def get_sealed(tx: Tx, account_id: int, key_id: int) -> tuple[str, bytes] | None:
    """The key's kind and its sealed text."""
    cursor = await tx.execute(SELECT_SEALED, (key_id, account_id))
    row = await cursor.fetchone()
    return None if row is None else (str(row[0]), bytes(row[1]))


async def find_keys(
    tx: Tx, keys: Sequence[tuple[str, bytes]]
) -> list[tuple[Caller, bool, datetime | None] | None]:
    """Of each (kind, lookup hash), in their order: whose it is, whether it is active, and when it expires."""
    rows = await (await tx.execute(FIND_KEYS, (list({hash for _, hash in keys}),))).fetchall()
    found = {
        (kind, bytes(hash)): (Caller(account_id, user_id, Role(role), "account"), active, expires_at)
        for hash, kind, account_id, user_id, role, active, expires_at in rows
    }
    return [found.get(key) for key in keys]
