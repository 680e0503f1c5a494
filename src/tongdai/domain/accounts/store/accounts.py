"""All SQL about accounts, users, projects, keys and secrets."""

# ruff: noqa: S105 - the names of statements about secrets are no secrets.

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from psycopg.rows import args_row, class_row

from tongdai.domain.accounts.model import Account, ApiKey, Caller, PasswordHash, Project, Role, Scope, User
from tongdai.kit.db import Tx

# A new account with its own limits row; each names the other, so the id is drawn first. Nothing when another
# account has its code (accounts_code_key); the limits row is then left over, unless all is rolled back.
INSERT_ACCOUNT = """
WITH fresh AS MATERIALIZED (
    SELECT nextval(pg_get_serial_sequence('accounts', 'id')) AS id
), cap AS (
    INSERT INTO limits (account_id, kind, max_channels, max_cps)
    SELECT id, 'account', %(max_channels)s, %(max_cps)s FROM fresh
    RETURNING id
)
INSERT INTO accounts (id, code, name, limit_id) OVERRIDING SYSTEM VALUE
SELECT fresh.id, coalesce(%(code)s, new_account_code()), %(name)s, cap.id FROM fresh, cap
ON CONFLICT (code) DO NOTHING
RETURNING id, code, name, limit_id, created_at
"""

# One account, by primary key.
SELECT_ACCOUNT = "SELECT id, code, name, limit_id, created_at FROM accounts WHERE id = %s"

# Accounts after a given one, for the platform's administrators, by primary key.
LIST_ACCOUNTS = """
SELECT id, code, name, limit_id, created_at FROM accounts WHERE id > %s ORDER BY id LIMIT %s
"""

# A new user; nothing when the address is taken (users_email).
INSERT_USER = """
INSERT INTO users (account_id, email, name, role, password_hash)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (lower(email)) DO NOTHING
RETURNING id, account_id, email, name, role, created_at, disabled_at
"""

# One user of an account, by primary key.
SELECT_USER = """
SELECT id, account_id, email, name, role, created_at, disabled_at FROM users WHERE id = %s AND account_id = %s
"""

# The enabled users of an account after a given one (users_account).
LIST_USERS = """
SELECT id, account_id, email, name, role, created_at, disabled_at FROM users
WHERE account_id = %s AND id > %s AND disabled_at IS NULL ORDER BY id LIMIT %s
"""

# The enabled owner of an account who has been there for longest (users_account).
SELECT_OWNER = """
SELECT id FROM users WHERE account_id = %s AND role = 'owner' AND disabled_at IS NULL ORDER BY id LIMIT 1
"""

# Whoever signs in with an address (users_email): addresses are unique across accounts.
SELECT_USER_BY_EMAIL = """
SELECT id, account_id, email, name, role, created_at, disabled_at FROM users WHERE lower(email) = lower(%s)
"""

# What a password is checked against (primary key).
SELECT_PASSWORD_HASH = "SELECT password_hash FROM users WHERE id = %s AND account_id = %s"

# A new password, or an old one hashed with today's parameters.
UPDATE_PASSWORD_HASH = "UPDATE users SET password_hash = %s WHERE id = %s AND account_id = %s"

# Shuts a user out: keys, tokens and passwords all look here.
DISABLE_USER = (
    "UPDATE users SET disabled_at = now() WHERE id = %s AND account_id = %s AND disabled_at IS NULL"
)

# A new project; nothing when the account has one of that code (projects_account_id_code_key).
INSERT_PROJECT = """
INSERT INTO projects (account_id, code, name) VALUES (%s, %s, %s)
ON CONFLICT (account_id, code) DO NOTHING
RETURNING id, account_id, code, name, created_at
"""

# One project of an account, by primary key.
SELECT_PROJECT = (
    "SELECT id, account_id, code, name, created_at FROM projects WHERE id = %s AND account_id = %s"
)

# The project of a code (projects_account_id_code_key).
SELECT_PROJECT_BY_CODE = (
    "SELECT id, account_id, code, name, created_at FROM projects WHERE account_id = %s AND code = %s"
)

# Projects of an account after a given one (projects_account).
LIST_PROJECTS = """
SELECT id, account_id, code, name, created_at FROM projects
WHERE account_id = %s AND id > %s ORDER BY id LIMIT %s
"""

# A user's new key; nothing when the user is not of the account.
INSERT_API_KEY = """
INSERT INTO api_keys (scope, account_id, user_id, name, hint, key_hash)
SELECT 'account', account_id, id, %s, %s, %s FROM users WHERE id = %s AND account_id = %s
RETURNING id
"""

# A new key of the platform's administrators.
INSERT_PLATFORM_KEY = """
INSERT INTO api_keys (scope, name, hint, key_hash) VALUES ('platform', %s, %s, %s) RETURNING id
"""

# Ends an account's key; a second time changes nothing.
REVOKE_API_KEY = """
UPDATE api_keys SET revoked_at = now()
WHERE id = %s AND scope = 'account' AND account_id = %s AND revoked_at IS NULL
"""

# Ends a platform key; a second time changes nothing.
REVOKE_PLATFORM_KEY = """
UPDATE api_keys SET revoked_at = now() WHERE id = %s AND scope = 'platform' AND revoked_at IS NULL
"""

# The keys of an account, for its owner to see. Few rows in all: a scan.
LIST_API_KEYS = """
SELECT id, scope, account_id, user_id, name, hint, created_at, revoked_at
FROM api_keys WHERE account_id = %s ORDER BY id
"""

# Whose keys these are (api_keys_key_hash_key). It runs on every request of our own API.
FIND_KEYS = """
SELECT k.key_hash, coalesce(k.account_id, 0), coalesce(k.user_id, 0), coalesce(u.role, 'owner'), k.scope, k.id
FROM api_keys k LEFT JOIN users u ON u.id = k.user_id
WHERE k.key_hash = ANY(%s) AND k.revoked_at IS NULL AND u.disabled_at IS NULL
"""

# A user's first secret of a kind; nothing when there is one, or when the user is not of the account.
INSERT_SECRET = """
INSERT INTO client_secrets (user_id, kind, account_id, version, sealed, lookup_hash)
SELECT id, %s, account_id, 1, %s, %s FROM users WHERE id = %s AND account_id = %s
ON CONFLICT (user_id, kind) DO NOTHING
"""

# A secret in the place of the one before: its version moves on, which voids that one's tokens.
ROTATE_SECRET = """
UPDATE client_secrets SET version = version + 1, sealed = %s, lookup_hash = %s, changed_at = now()
WHERE user_id = %s AND kind = %s AND account_id = %s
"""

# A user's sealed secret (client_secrets_pkey).
SELECT_SECRET = "SELECT sealed FROM client_secrets WHERE user_id = %s AND kind = %s AND account_id = %s"

# Whose secret this is (client_secrets_lookup_hash_key).
FIND_SECRET = """
SELECT s.user_id, s.version FROM client_secrets s JOIN users u ON u.id = s.user_id
WHERE s.lookup_hash = %s AND s.kind = %s AND u.disabled_at IS NULL
"""

# Whether a token's secret is still the current one (client_secrets_pkey). It runs on every vendor request.
FIND_TOKEN_USER = """
SELECT u.account_id, u.id, u.role FROM client_secrets s JOIN users u ON u.id = s.user_id
WHERE s.user_id = %s AND s.kind = %s AND s.version = %s AND u.disabled_at IS NULL
"""


async def insert_account(
    tx: Tx, name: str, code: str | None, max_channels: int | None, max_cps: float | None
) -> Account | None:
    async with tx.cursor(row_factory=class_row(Account)) as cursor:
        values = {"name": name, "code": code, "max_channels": max_channels, "max_cps": max_cps}
        await cursor.execute(INSERT_ACCOUNT, values)
        return await cursor.fetchone()


async def get_account(tx: Tx, account_id: int) -> Account | None:
    async with tx.cursor(row_factory=class_row(Account)) as cursor:
        await cursor.execute(SELECT_ACCOUNT, (account_id,))
        return await cursor.fetchone()


async def list_accounts(tx: Tx, after: int, limit: int) -> list[Account]:
    async with tx.cursor(row_factory=class_row(Account)) as cursor:
        await cursor.execute(LIST_ACCOUNTS, (after, limit))
        return await cursor.fetchall()


async def insert_user(
    tx: Tx, account_id: int, email: str, name: str, role: Role, password_hash: PasswordHash
) -> User | None:
    async with tx.cursor(row_factory=args_row(_user)) as cursor:
        await cursor.execute(INSERT_USER, (account_id, email, name, role.value, password_hash.text))
        return await cursor.fetchone()


async def get_user(tx: Tx, account_id: int, user_id: int) -> User | None:
    async with tx.cursor(row_factory=args_row(_user)) as cursor:
        await cursor.execute(SELECT_USER, (user_id, account_id))
        return await cursor.fetchone()


async def list_users(tx: Tx, account_id: int, after: int, limit: int) -> list[User]:
    async with tx.cursor(row_factory=args_row(_user)) as cursor:
        await cursor.execute(LIST_USERS, (account_id, after, limit))
        return await cursor.fetchall()


async def get_owner_id(tx: Tx, account_id: int) -> int | None:
    row = await (await tx.execute(SELECT_OWNER, (account_id,))).fetchone()
    return None if row is None else int(row[0])


async def find_user(tx: Tx, email: str) -> User | None:
    async with tx.cursor(row_factory=args_row(_user)) as cursor:
        await cursor.execute(SELECT_USER_BY_EMAIL, (email,))
        return await cursor.fetchone()


async def get_password_hash(tx: Tx, user: User) -> str | None:
    cursor = await tx.execute(SELECT_PASSWORD_HASH, (user.id, user.account_id))
    row = await cursor.fetchone()
    return None if row is None else str(row[0])


async def set_password_hash(tx: Tx, account_id: int, user_id: int, password_hash: PasswordHash) -> bool:
    cursor = await tx.execute(UPDATE_PASSWORD_HASH, (password_hash.text, user_id, account_id))
    return cursor.rowcount == 1


async def disable_user(tx: Tx, account_id: int, user_id: int) -> bool:
    cursor = await tx.execute(DISABLE_USER, (user_id, account_id))
    return cursor.rowcount == 1


async def insert_project(tx: Tx, account_id: int, code: str, name: str) -> Project | None:
    async with tx.cursor(row_factory=class_row(Project)) as cursor:
        await cursor.execute(INSERT_PROJECT, (account_id, code, name))
        return await cursor.fetchone()


async def get_project(tx: Tx, account_id: int, project_id: int) -> Project | None:
    async with tx.cursor(row_factory=class_row(Project)) as cursor:
        await cursor.execute(SELECT_PROJECT, (project_id, account_id))
        return await cursor.fetchone()


async def find_project(tx: Tx, account_id: int, code: str) -> Project | None:
    async with tx.cursor(row_factory=class_row(Project)) as cursor:
        await cursor.execute(SELECT_PROJECT_BY_CODE, (account_id, code))
        return await cursor.fetchone()


async def list_projects(tx: Tx, account_id: int, after: int, limit: int) -> list[Project]:
    async with tx.cursor(row_factory=class_row(Project)) as cursor:
        await cursor.execute(LIST_PROJECTS, (account_id, after, limit))
        return await cursor.fetchall()


async def insert_api_key(
    tx: Tx, account_id: int, user_id: int, name: str, hint: str, key_hash: bytes
) -> int | None:
    cursor = await tx.execute(INSERT_API_KEY, (name, hint, key_hash, user_id, account_id))
    row = await cursor.fetchone()
    return None if row is None else int(row[0])


async def insert_platform_key(tx: Tx, name: str, hint: str, key_hash: bytes) -> int:
    cursor = await tx.execute(INSERT_PLATFORM_KEY, (name, hint, key_hash))
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def revoke_api_key(tx: Tx, account_id: int, key_id: int) -> bool:
    cursor = await tx.execute(REVOKE_API_KEY, (key_id, account_id))
    return cursor.rowcount == 1


async def revoke_platform_key(tx: Tx, key_id: int) -> bool:
    cursor = await tx.execute(REVOKE_PLATFORM_KEY, (key_id,))
    return cursor.rowcount == 1


async def list_api_keys(tx: Tx, account_id: int) -> list[ApiKey]:
    async with tx.cursor(row_factory=class_row(ApiKey)) as cursor:
        await cursor.execute(LIST_API_KEYS, (account_id,))
        return await cursor.fetchall()


async def find_keys(tx: Tx, key_hashes: Sequence[bytes]) -> list[Caller | None]:
    """Whose each of these is, in their order."""
    rows = await (await tx.execute(FIND_KEYS, (list(set(key_hashes)),))).fetchall()
    found = {bytes(hash): _caller(*row) for hash, *row in rows}
    return [found.get(hash) for hash in key_hashes]


async def insert_secret(
    tx: Tx, account_id: int, user_id: int, kind: str, sealed: bytes, lookup_hash: bytes
) -> bool:
    cursor = await tx.execute(INSERT_SECRET, (kind, sealed, lookup_hash, user_id, account_id))
    return cursor.rowcount == 1


async def rotate_secret(
    tx: Tx, account_id: int, user_id: int, kind: str, sealed: bytes, lookup_hash: bytes
) -> bool:
    cursor = await tx.execute(ROTATE_SECRET, (sealed, lookup_hash, user_id, kind, account_id))
    return cursor.rowcount == 1


async def get_secret(tx: Tx, account_id: int, user_id: int, kind: str) -> bytes | None:
    cursor = await tx.execute(SELECT_SECRET, (user_id, kind, account_id))
    row = await cursor.fetchone()
    return None if row is None else bytes(row[0])


async def find_secret(tx: Tx, kind: str, lookup_hash: bytes) -> tuple[int, int] | None:
    """The user and the version of a secret."""
    cursor = await tx.execute(FIND_SECRET, (lookup_hash, kind))
    row = await cursor.fetchone()
    return None if row is None else (int(row[0]), int(row[1]))


async def find_token_user(tx: Tx, user_id: int, kind: str, version: int) -> Caller | None:
    cursor = await tx.execute(FIND_TOKEN_USER, (user_id, kind, version))
    row = await cursor.fetchone()
    return None if row is None else _caller(row[0], row[1], row[2], "account")


def _caller(account_id: int, user_id: int, role: str, scope: Scope, key_id: int = 0) -> Caller:
    return Caller(account_id, user_id, Role(role), scope, key_id)


def _user(
    id: int,
    account_id: int,
    email: str,
    name: str,
    role: str,
    created_at: datetime,
    disabled_at: datetime | None,
) -> User:
    return User(id, account_id, email, name, Role(role), created_at, disabled_at)
