"""SQL of Zalo apps."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from psycopg.rows import class_row

from tongdai.domain.zalo.model import App, Pkce
from tongdai.kit.db import Sql, Tx

_COLUMNS: Sql = """
    id, account_id, app_id, webhook_secret IS NOT NULL AS has_webhook_secret, hook, use_proof, pkce,
    created_at, updated_at"""

# An account's, all of them: there are few. Index zalo_apps_account_id_app_id_key.
LIST: Sql = f"SELECT {_COLUMNS} FROM zalo_apps WHERE account_id = %s ORDER BY id"  # noqa: S608

# By Zalo's id. The same index.
GET: Sql = f"SELECT {_COLUMNS} FROM zalo_apps WHERE account_id = %s AND app_id = %s"  # noqa: S608

# How many an account has. The same index.
COUNT: Sql = "SELECT count(*) FROM zalo_apps WHERE account_id = %s"

_SEALED: Sql = "id, account_id, app_id, secret, webhook_secret, use_proof, pkce, verifier"

# With its secrets. The same index; by primary key.
SEALED: Sql = f"SELECT {_SEALED} FROM zalo_apps WHERE account_id = %s AND app_id = %s"  # noqa: S608
SEALED_BY_REF: Sql = f"SELECT {_SEALED} FROM zalo_apps WHERE account_id = %s AND id = %s"  # noqa: S608

# A new one. Whoever is second finds the first's.
ADD: Sql = """
    INSERT INTO zalo_apps (account_id, app_id, secret, hook, created_at, updated_at)
    VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (account_id, app_id) DO NOTHING"""

SET: Sql = """
    UPDATE zalo_apps
       SET secret = %(secret)s, webhook_secret = %(webhook_secret)s, use_proof = %(use_proof)s,
           pkce = %(pkce)s, verifier = %(verifier)s, updated_at = %(now)s
     WHERE account_id = %(account_id)s AND id = %(id)s"""

# A secret that Zalo took. By primary key.
PROVE: Sql = "UPDATE zalo_apps SET secret = %s, updated_at = %s WHERE account_id = %s AND id = %s"


@dataclass(frozen=True, slots=True)
class SealedApp:
    id: int
    account_id: int
    app_id: int
    secret: bytes = field(repr=False)
    webhook_secret: bytes | None = field(repr=False)
    use_proof: bool
    pkce: Pkce
    verifier: bytes | None = field(repr=False)


async def list_(tx: Tx, account_id: int) -> list[App]:
    async with tx.cursor(row_factory=class_row(App)) as cursor:
        return await (await cursor.execute(LIST, (account_id,))).fetchall()


async def get(tx: Tx, account_id: int, app_id: int) -> App | None:
    async with tx.cursor(row_factory=class_row(App)) as cursor:
        return await (await cursor.execute(GET, (account_id, app_id))).fetchone()


async def sealed(
    tx: Tx, account_id: int, *, app_id: int | None = None, app_ref: int | None = None
) -> SealedApp | None:
    """By Zalo's id or by ours."""
    async with tx.cursor(row_factory=class_row(SealedApp)) as cursor:
        if app_ref is not None:
            return await (await cursor.execute(SEALED_BY_REF, (account_id, app_ref))).fetchone()
        return await (await cursor.execute(SEALED, (account_id, app_id))).fetchone()


async def count(tx: Tx, account_id: int) -> int:
    row = await (await tx.execute(COUNT, (account_id,))).fetchone()
    assert row is not None
    return int(row[0])


async def add(tx: Tx, account_id: int, app_id: int, secret: bytes, hook: str, now: datetime) -> None:
    await tx.execute(ADD, (account_id, app_id, secret, hook, now, now))


async def set_(tx: Tx, app: SealedApp, now: datetime) -> None:
    await tx.execute(
        SET,
        {
            "secret": app.secret,
            "webhook_secret": app.webhook_secret,
            "use_proof": app.use_proof,
            "pkce": app.pkce,
            "verifier": app.verifier,
            "now": now,
            "account_id": app.account_id,
            "id": app.id,
        },
    )


async def set_secret(tx: Tx, account_id: int, app_ref: int, secret: bytes, now: datetime) -> None:
    await tx.execute(PROVE, (secret, now, account_id, app_ref))
