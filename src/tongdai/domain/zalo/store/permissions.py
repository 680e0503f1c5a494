"""SQL of journeys to Zalo's permission page, and of the connections that come of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg.errors import UniqueViolation
from psycopg.rows import class_row

from tongdai.domain.zalo.errors import OaTakenError
from tongdai.kit.db import Sql, Tx
from tongdai.ports.zalo import Profile

ADD: Sql = """
    INSERT INTO zalo_permissions
           (state, account_id, user_id, app_ref, oa_id, secret, redirect_uri, verifier, created_at,
            expires_at)
    VALUES (%(state)s, %(account_id)s, %(user_id)s, %(app_ref)s, %(oa_id)s, %(secret)s, %(redirect_uri)s,
            %(verifier)s, %(created_at)s, %(expires_at)s)
    ON CONFLICT (state) DO NOTHING"""

_COLUMNS: Sql = """
    p.state, p.account_id, p.app_ref, a.app_id, p.oa_id, coalesce(p.secret, a.secret) AS secret,
    p.secret IS NOT NULL AS brings_secret, a.use_proof, p.redirect_uri, p.verifier, p.step, p.code_hash,
    p.access_token, p.refresh_token, p.access_expires_at, p.expires_at, p.used_at"""

# By primary key.
GET: Sql = f"""
    SELECT {_COLUMNS} FROM zalo_permissions AS p JOIN zalo_apps AS a ON a.id = p.app_ref
     WHERE p.state = %s AND p.account_id = %s"""  # noqa: S608

# Its one use. By primary key.
SPEND: Sql = """
    UPDATE zalo_permissions SET step = 'exchanging', code_hash = %(code_hash)s, used_at = %(now)s
     WHERE state = %(state)s AND account_id = %(account_id)s AND step = 'open' AND expires_at > %(now)s"""

# The code was certainly not exchanged. By primary key.
REOPEN: Sql = """
    UPDATE zalo_permissions SET step = 'open', code_hash = NULL, used_at = NULL
     WHERE state = %s AND account_id = %s AND step = 'exchanging'"""

# Zalo's tokens, before anything is done with them. By primary key.
KEEP: Sql = """
    UPDATE zalo_permissions
       SET step = 'exchanged', access_token = %(access_token)s, refresh_token = %(refresh_token)s,
           access_expires_at = %(access_expires_at)s
     WHERE state = %(state)s AND account_id = %(account_id)s AND step = 'exchanging'"""

# Its end; tokens live elsewhere, or are of no use. By primary key.
END: Sql = """
    UPDATE zalo_permissions
       SET step = %s, access_token = NULL, refresh_token = NULL, verifier = NULL, secret = NULL
     WHERE state = %s AND account_id = %s AND step IN ('exchanging', 'exchanged')"""

# Whether it came to a connection. By primary key.
DONE: Sql = "SELECT FROM zalo_permissions WHERE state = %s AND account_id = %s AND step = 'done'"

# Nobody comes back for them. Index zalo_permissions_expiring.
FORGET: Sql = """
    DELETE FROM zalo_permissions WHERE state IN (
           SELECT state FROM zalo_permissions WHERE expires_at < %s ORDER BY expires_at LIMIT %s)"""

# How many of an account wait for somebody to come back. Index zalo_permissions_of_account.
WAITING: Sql = """
    SELECT count(*) FROM (
           SELECT FROM zalo_permissions
            WHERE account_id = %s AND step = 'open' AND expires_at > %s LIMIT %s) AS waiting"""

# Of an account's that are of no use any more, all but the latest. Index zalo_permissions_of_account.
THIN_OUT: Sql = """
    DELETE FROM zalo_permissions WHERE state IN (
           SELECT state FROM zalo_permissions
            WHERE account_id = %(account_id)s
              AND (step IN ('done', 'failed') OR (step <> 'exchanged' AND expires_at <= %(now)s))
            ORDER BY expires_at DESC OFFSET %(most)s)"""

# Whether another account has it. Index zalo_oas_held.
TAKEN: Sql = """
    SELECT 1 FROM zalo_oas WHERE oa_id = %s AND state <> 'disconnected' AND account_id <> %s"""

# The connection, made or made good again. Nothing is left of a refresh under way: it has another pair.
CONNECT: Sql = """
    INSERT INTO zalo_oas AS o
           (account_id, app_ref, oa_id, owner_id, state, access_token, refresh_token, access_expires_at,
            expires_at, refreshed_at, refresh_due_at, name, description, avatar, cover, is_verified, oa_type,
            category, followers, package_name, package_valid_through, linked_zca, facts_due_at, redirect_uri,
            created_at, updated_at)
    VALUES (%(account_id)s, %(app_ref)s, %(oa_id)s, %(owner_id)s, 'connected', %(access_token)s,
            %(refresh_token)s, %(access_expires_at)s, %(expires_at)s, %(now)s, %(due_at)s, %(name)s,
            %(description)s, %(avatar)s, %(cover)s, %(is_verified)s, %(oa_type)s, %(category)s, %(followers)s,
            %(package_name)s, %(package_valid_through)s, %(linked_zca)s, %(now)s, %(redirect_uri)s, %(now)s,
            %(now)s)
    ON CONFLICT (account_id, oa_id) DO UPDATE
       SET app_ref = excluded.app_ref, owner_id = excluded.owner_id, state = 'connected', reason = NULL,
           reason_at = NULL, access_token = excluded.access_token, refresh_token = excluded.refresh_token,
           tokens_version = o.tokens_version + 1, access_expires_at = excluded.access_expires_at,
           expires_at = excluded.expires_at, refreshed_at = excluded.refreshed_at,
           refresh_due_at = excluded.refresh_due_at, refresh_begun_at = NULL, refresh_probe_at = NULL,
           refresh_last_try = false, refresh_failures = 0, refresh_error = NULL, name = excluded.name,
           description = excluded.description, avatar = excluded.avatar, cover = excluded.cover,
           is_verified = excluded.is_verified, oa_type = excluded.oa_type, category = excluded.category,
           followers = excluded.followers, package_name = excluded.package_name,
           package_valid_through = excluded.package_valid_through, linked_zca = excluded.linked_zca,
           facts_due_at = excluded.facts_due_at, facts_failures = 0, redirect_uri = excluded.redirect_uri,
           updated_at = excluded.updated_at
    RETURNING o.id"""

# What an Official Account was connected with. Index zalo_oas_account.
RENEWED: Sql = "SELECT app_ref, redirect_uri FROM zalo_oas WHERE account_id = %s AND oa_id = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPermission:
    """Secrets are sealed."""

    state: int
    account_id: int
    user_id: int
    app_ref: int
    oa_id: int | None
    secret: bytes | None = field(repr=False)
    redirect_uri: str
    verifier: bytes | None = field(repr=False)
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Secrets are sealed."""

    state: int
    account_id: int
    app_ref: int
    app_id: int
    oa_id: int | None
    secret: bytes = field(repr=False)
    """Of the app: the one that came with it, else the app's own."""
    brings_secret: bool
    use_proof: bool
    redirect_uri: str
    verifier: bytes | None = field(repr=False)
    step: str
    code_hash: bytes | None = field(repr=False)
    access_token: bytes | None = field(repr=False)
    refresh_token: bytes | None = field(repr=False)
    access_expires_at: datetime | None
    expires_at: datetime
    used_at: datetime | None
    """When its code was sent to Zalo."""


@dataclass(frozen=True, slots=True)
class ConnectTimes:
    now: datetime
    expires_at: datetime
    """Of the refresh token."""
    due_at: datetime
    """Of its first renewal."""


async def add(tx: Tx, permission: NewPermission) -> bool:
    """False: the state is in use."""
    values = {name: getattr(permission, name) for name in NewPermission.__dataclass_fields__}
    return (await tx.execute(ADD, values)).rowcount == 1


async def get(tx: Tx, account_id: int, state: int) -> Permission | None:
    async with tx.cursor(row_factory=class_row(Permission)) as cursor:
        return await (await cursor.execute(GET, (state, account_id))).fetchone()


async def spend(tx: Tx, permission: Permission, code_hash: bytes, now: datetime) -> bool:
    values = {"state": permission.state, "account_id": permission.account_id}
    return (await tx.execute(SPEND, values | {"code_hash": code_hash, "now": now})).rowcount == 1


async def reopen(tx: Tx, permission: Permission) -> None:
    await tx.execute(REOPEN, (permission.state, permission.account_id))


async def keep(
    tx: Tx, permission: Permission, access: bytes, refresh: bytes, access_expires_at: datetime
) -> bool:
    values = {"state": permission.state, "account_id": permission.account_id}
    tokens = {"access_token": access, "refresh_token": refresh, "access_expires_at": access_expires_at}
    return (await tx.execute(KEEP, values | tokens)).rowcount == 1


async def end(tx: Tx, permission: Permission, step: str) -> bool:
    """`step`: "done" or "failed"."""
    return (await tx.execute(END, (step, permission.state, permission.account_id))).rowcount == 1


async def is_done(tx: Tx, permission: Permission) -> bool:
    return (await tx.execute(DONE, (permission.state, permission.account_id))).rowcount == 1


async def forget(tx: Tx, before: datetime, most: int) -> int:
    return (await tx.execute(FORGET, (before, most))).rowcount


async def waiting(tx: Tx, account_id: int, now: datetime, most: int) -> int:
    """`most`: there may be more."""
    row = await (await tx.execute(WAITING, (account_id, now, most))).fetchone()
    assert row is not None
    return int(row[0])


async def thin_out(tx: Tx, account_id: int, now: datetime, most: int) -> None:
    await tx.execute(THIN_OUT, {"account_id": account_id, "now": now, "most": most})


async def is_taken(tx: Tx, account_id: int, oa_id: int) -> bool:
    return await (await tx.execute(TAKEN, (oa_id, account_id))).fetchone() is not None


async def connect(
    tx: Tx, permission: Permission, owner_id: int, profile: Profile, times: ConnectTimes
) -> None:
    """With the tokens of the permission, as they are sealed.

    Raises OaTakenError: another account was faster. The transaction is of no use then.
    """
    values: dict[str, Any] = {
        "account_id": permission.account_id,
        "app_ref": permission.app_ref,
        "oa_id": profile.oa_id,
        "owner_id": owner_id,
        "access_token": permission.access_token,
        "refresh_token": permission.refresh_token,
        "access_expires_at": permission.access_expires_at,
        "expires_at": times.expires_at,
        "due_at": times.due_at,
        "redirect_uri": permission.redirect_uri,
        "now": times.now,
    }
    try:
        await tx.execute(CONNECT, values | profile_values(profile))
    except UniqueViolation as error:
        raise OaTakenError(oa_id=profile.oa_id) from error


def profile_values(profile: Profile) -> dict[str, Any]:
    """What is kept of it, by the columns' names."""
    return {
        "name": profile.name,
        "description": profile.description,
        "avatar": profile.avatar,
        "cover": profile.cover,
        "is_verified": profile.is_verified,
        "oa_type": profile.oa_type,
        "category": profile.category,
        "followers": profile.followers,
        "package_name": profile.package_name,
        "package_valid_through": profile.package_valid_through,
        "linked_zca": profile.linked_zca,
    }


async def renewed(tx: Tx, account_id: int, oa_id: int) -> tuple[int, str] | None:
    """The app, by our id, and where Zalo's page is to lead back to. None: there is no such connection."""
    row = await (await tx.execute(RENEWED, (account_id, oa_id))).fetchone()
    return None if row is None else (row[0], row[1])
