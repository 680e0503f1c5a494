"""Events as Zalo sends them, and an account whose app and Official Account they are about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.factories import Person, joined

from tongdai.domain import zalo
from tongdai.domain.zalo import App
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, Tx
from tongdai.kit.zalo_signs import event_signature

APP_ID = 1234567890
OA_ID = 4318657068771012646
KEY = "oa-secret-key-sample"


@dataclass(frozen=True)
class Shop:
    """An account with an app, and one Official Account that let it in."""

    app: App
    oa_ref: int
    oa_id: int
    person: Person

    @property
    def account_id(self) -> int:
        return self.app.account_id


async def shop(
    db: Database,
    keyring: Keyring,
    person: Person,
    now: datetime,
    *,
    oa_id: int = OA_ID,
    app_id: int = APP_ID,
    key: str | None = KEY,
    state: str = "connected",
) -> Shop:
    """`key` None: the app's webhook secret is not known."""
    async with joined(db) as tx:
        app = await zalo.set_app(
            tx, keyring, person.account_id, app_id=app_id, secret="app-secret", webhook_secret=key, now=now
        )
        oa_ref = await _value(
            tx,
            """INSERT INTO zalo_oas (account_id, app_ref, oa_id, owner_id, state, access_token, refresh_token,
                                     access_expires_at, refresh_due_at, expires_at, name)
               VALUES (%s, %s, %s, %s, %s, '', '', %s, %s, %s, 'Cửa hàng Hoa Sen') RETURNING id""",
            (app.account_id, app.id, oa_id, person.user.id, state, now, now, now),
        )
        await tx.execute(
            """INSERT INTO zalo_quotas (oa_ref, account_id, day, daily, remaining)
               VALUES (%s, %s, %s, 500, 400)""",
            (oa_ref, app.account_id, now.date()),
        )
    return Shop(app, oa_ref, oa_id, person)


async def message(tx: Tx, of: Shop, now: datetime, *, msg_id: str | None = "m1", tracking: str = "t1") -> int:
    """One that Zalo took, or of which no answer came."""
    return await _value(
        tx,
        """INSERT INTO zalo_messages (account_id, oa_ref, oa_id, user_id, type, phone, template_id,
                                      template_data, tracking_id, tracking_given, state, msg_id, created_at,
                                      sent_at, follow_at, updated_at)
           VALUES (%s, %s, %s, %s, 'template', '84912345007', 7, '{}', %s, %s, %s, %s, %s, %s, %s, %s)
           RETURNING id""",
        (of.account_id, of.oa_ref, of.oa_id, of.person.user.id, tracking, tracking,
         "unknown" if msg_id is None else "accepted", msg_id, now, now, now, now),
    )  # fmt: skip


async def journey(tx: Tx, of: Shop, now: datetime, *, zalo_id: str = "77") -> int:
    """One that nothing was sent by yet."""
    return await _value(
        tx,
        """INSERT INTO zalo_journeys (account_id, oa_ref, oa_id, user_id, phone, token_type, state,
                                      journey_id, created_at, expires_at, updated_at)
           VALUES (%s, %s, %s, %s, '84912345007', 'token_logistics_7', 'open', %s, %s, %s, %s)
           RETURNING id""",
        (of.account_id, of.oa_ref, of.oa_id, of.person.user.id, zalo_id, now, now, now),
    )


async def template(tx: Tx, of: Shop, now: datetime, template_id: int = 7) -> None:
    await tx.execute(
        """INSERT INTO zalo_templates (oa_ref, template_id, account_id, name, status, quality, listed_at,
                                       created_at, updated_at)
           VALUES (%s, %s, %s, 'Giao hàng', 'ENABLE', 'HIGH', %s, %s, %s)""",
        (of.oa_ref, template_id, of.account_id, now, now, now),
    )


def event(name: str, at: datetime, **fields: Any) -> bytes:
    """The body of an event of `APP_ID`."""
    told = {"app_id": str(APP_ID), "event_name": name, "timestamp": ms(at)} | fields
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def signed(body: bytes, at: datetime, *, key: str = KEY, app_id: int = APP_ID, **more: str) -> dict[str, str]:
    """Zalo's headers for a body, by names in lower case."""
    return {"x-zevent-signature": event_signature(app_id, body, ms(at), key), **more}


def ms(at: datetime) -> str:
    """As Zalo writes times."""
    return str(int(at.timestamp() * 1000))


async def _value(tx: Tx, sql: Any, values: tuple[object, ...]) -> int:
    row = await (await tx.execute(sql, values)).fetchone()
    assert row is not None
    return int(row[0])
