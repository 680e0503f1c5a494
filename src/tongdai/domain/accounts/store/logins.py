"""All SQL about logins and their refresh tokens."""

# ruff: noqa: S105 - the names of statements about tokens are no tokens.

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from tongdai.domain.accounts.model import Caller, Role
from tongdai.kit.db import Tx

# A new login; nothing when the user is disabled, not of the account, or has another password than was
# checked. The lock makes it wait for whoever is just changing that, and them for it.
INSERT_LOGIN = """
INSERT INTO logins (account_id, user_id, kind, created_at, expires_at)
SELECT account_id, id, %(kind)s, %(now)s, %(expires_at)s FROM users
WHERE id = %(user_id)s AND account_id = %(account_id)s AND disabled_at IS NULL
  AND (%(checked)s::text IS NULL OR password_hash = %(checked)s)
FOR SHARE
RETURNING id
"""

# The next refresh token of a login.
INSERT_REFRESH_TOKEN = """
INSERT INTO refresh_tokens (token_hash, account_id, login_id, expires_at) VALUES (%s, %s, %s, %s)
"""

# Uses a token that was not used, not too old, of a login that goes on (primary keys). Of two at once the
# second waits for the first and then finds it used.
USE_REFRESH_TOKEN = """
UPDATE refresh_tokens t SET used_at = %(now)s
FROM logins l JOIN users u ON u.id = l.user_id
WHERE t.token_hash = %(token_hash)s AND t.used_at IS NULL AND t.expires_at > %(now)s
  AND l.id = t.login_id AND l.kind = %(kind)s AND l.revoked_at IS NULL AND u.disabled_at IS NULL
RETURNING l.id, l.account_id, l.user_id
"""

# The login goes on for as long as its newest token may be used.
PROLONG_LOGIN = "UPDATE logins SET expires_at = %s WHERE id = %s AND account_id = %s"

# Ends the login of a token that comes a second time (primary keys).
REVOKE_BY_USED_TOKEN = """
UPDATE logins l SET revoked_at = %(now)s
FROM refresh_tokens t
WHERE t.token_hash = %(token_hash)s AND t.used_at IS NOT NULL AND l.id = t.login_id AND l.kind = %(kind)s
  AND l.revoked_at IS NULL
"""

# Ends every login of a user (logins_user).
REVOKE_OF_USER = """
UPDATE logins SET revoked_at = now() WHERE user_id = %s AND account_id = %s AND revoked_at IS NULL
"""

# Forgets some logins that nothing can renew any more, with their tokens (logins_expiring).
FORGET_EXPIRED = """
DELETE FROM logins WHERE id IN (
    SELECT id FROM logins WHERE expires_at <= %s ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED
)
"""

# Who acts by an access token of this login (primary keys). It runs on every request.
FIND_LOGIN = """
SELECT l.account_id, l.user_id, u.role
FROM logins l JOIN users u ON u.id = l.user_id
WHERE l.id = %s AND l.user_id = %s AND l.kind = %s AND l.revoked_at IS NULL AND u.disabled_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Login:
    id: int
    account_id: int
    user_id: int


async def insert_login(
    tx: Tx,
    account_id: int,
    user_id: int,
    kind: str,
    *,
    now: datetime,
    expires_at: datetime,
    checked: str | None,
) -> int | None:
    values = {
        "account_id": account_id,
        "user_id": user_id,
        "kind": kind,
        "now": now,
        "expires_at": expires_at,
        "checked": checked,
    }
    cursor = await tx.execute(INSERT_LOGIN, values)
    row = await cursor.fetchone()
    return None if row is None else int(row[0])


async def insert_refresh_token(tx: Tx, login: Login, token_hash: bytes, expires_at: datetime) -> None:
    await tx.execute(INSERT_REFRESH_TOKEN, (token_hash, login.account_id, login.id, expires_at))


async def use_refresh_token(tx: Tx, kind: str, token_hash: bytes, now: datetime) -> Login | None:
    async with tx.cursor(row_factory=class_row(Login)) as cursor:
        values = {"kind": kind, "token_hash": token_hash, "now": now}
        await cursor.execute(USE_REFRESH_TOKEN, values)
        return await cursor.fetchone()


async def prolong_login(tx: Tx, login: Login, expires_at: datetime) -> None:
    await tx.execute(PROLONG_LOGIN, (expires_at, login.id, login.account_id))


async def revoke_by_used_token(tx: Tx, kind: str, token_hash: bytes, now: datetime) -> None:
    await tx.execute(REVOKE_BY_USED_TOKEN, {"kind": kind, "token_hash": token_hash, "now": now})


async def revoke_of_user(tx: Tx, account_id: int, user_id: int) -> None:
    await tx.execute(REVOKE_OF_USER, (user_id, account_id))


async def forget_expired(tx: Tx, now: datetime, limit: int) -> None:
    await tx.execute(FORGET_EXPIRED, (now, limit))


async def find_caller(tx: Tx, login_id: int, user_id: int, kind: str) -> Caller | None:
    cursor = await tx.execute(FIND_LOGIN, (login_id, user_id, kind))
    row = await cursor.fetchone()
    return None if row is None else Caller(row[0], row[1], Role(row[2]), "account")
