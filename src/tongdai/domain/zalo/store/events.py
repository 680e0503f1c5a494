"""SQL of Zalo's events: whose an address is, what came already, and which Official Account it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from psycopg.rows import class_row

from tongdai.kit.db import Sql, Tx

# The app whose events go to an address. Index zalo_apps_hook_key.
HOOK: Sql = "SELECT id, account_id, app_id, webhook_secret FROM zalo_apps WHERE hook = %s"

# Takes an event in, once: whoever is second waits for the first, and finds that it is there.
# Index zalo_events_app_ref_digest_key.
ADD: Sql = """
    INSERT INTO zalo_events (account_id, app_ref, digest, name, oa_id, told_at, received_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (app_ref, digest) DO NOTHING"""

# Which of some Official Accounts an account has, or had, by an app of its. Index zalo_oas_account.
HELD: Sql = """
    SELECT oa_id, id, state = 'disconnected' FROM zalo_oas
     WHERE account_id = %s AND app_ref = %s AND oa_id = ANY(%s)"""

# What Zalo calls a connection and its app. By primary keys.
NAMED: Sql = """
    SELECT o.oa_id, a.app_id FROM zalo_oas AS o JOIN zalo_apps AS a ON a.id = o.app_ref
     WHERE o.account_id = %s AND o.id = %s"""

# The oldest that came before a moment. Index zalo_events_old.
FORGET: Sql = """
    DELETE FROM zalo_events WHERE id IN (
           SELECT id FROM zalo_events WHERE received_at < %s ORDER BY received_at LIMIT %s)"""


@dataclass(frozen=True, slots=True)
class Hook:
    """An address that Zalo's events of one app go to."""

    id: int
    """Of the app, ours."""
    account_id: int
    app_id: int
    """Zalo's."""
    webhook_secret: bytes | None = field(repr=False)
    """Sealed; None: no event is taken."""


@dataclass(frozen=True, slots=True)
class Held:
    oa_ref: int
    let_go: bool
    """It was disconnected."""


@dataclass(frozen=True, slots=True)
class Named:
    oa_id: int
    app_id: int


async def hook(tx: Tx, name: str) -> Hook | None:
    async with tx.cursor(row_factory=class_row(Hook)) as cursor:
        return await (await cursor.execute(HOOK, (name,))).fetchone()


async def add(
    tx: Tx, of: Hook, digest: bytes, *, name: str, oa_id: int | None, told_at: datetime, now: datetime
) -> bool:
    """False: the same came before."""
    values = (of.account_id, of.id, digest, name, oa_id, told_at, now)
    return (await tx.execute(ADD, values)).rowcount == 1


async def held(tx: Tx, of: Hook, oa_ids: Sequence[int]) -> dict[int, Held]:
    """By Zalo's id."""
    rows = await (await tx.execute(HELD, (of.account_id, of.id, list(oa_ids)))).fetchall()
    return {oa_id: Held(oa_ref, let_go) for oa_id, oa_ref, let_go in rows}


async def named(tx: Tx, account_id: int, oa_ref: int) -> Named | None:
    """None: there is no such connection."""
    async with tx.cursor(row_factory=class_row(Named)) as cursor:
        return await (await cursor.execute(NAMED, (account_id, oa_ref))).fetchone()


async def forget(tx: Tx, before: datetime, most: int) -> int:
    return (await tx.execute(FORGET, (before, most))).rowcount
