"""Official Accounts that are connected to the emulator, for tests of what is sent over them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, LiteralString

from tests import factories, zalo_shop
from tests.fakes import zalo
from tests.fakes.zalo import EmulatedZalo

from tongdai.domain.zalo import (
    Bridge,
    Follower,
    ZnsMessage,
    ZnsRequest,
    ask,
    get_message,
    held_oa,
    message_arrived,
    send_zns,
)
from tongdai.kit.clock import Clock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

PHONE = "84901234567"
ORDER = {"ten_khach_hang": "Nguyễn Văn An", "ma_don": "DH-0042", "so_tien": 120_000, "ngay": "18/11/2026"}
CARE = {"ten_khach_hang": "Nguyễn Văn An", "ma_don": "DH-0042", "dia_chi": "12 Lý Thường Kiệt, Huế"}
PROMOTION = {"ten_khach_hang": "Nguyễn Văn An", "ma_giam_gia": "TET2027"}


@dataclass(frozen=True, slots=True)
class Shop:
    """An account with an Official Account that is connected."""

    person: factories.Person
    oa_ref: int
    oa_id: int

    @property
    def account_id(self) -> int:
        return self.person.account_id


@dataclass(frozen=True, slots=True)
class Zns:
    """What a test sends messages with."""

    db: Database
    bridge: Bridge
    emulator: EmulatedZalo
    cast: factories.Cast

    async def shop(
        self,
        person: factories.Person | None = None,
        oa_id: int = zalo.OA_ID,
        *,
        remaining: int | None = None,
    ) -> Shop:
        """`remaining`: what is left of today's quota, as we and Zalo know it; None: all of it."""
        person = person or self.cast.owner
        if remaining is not None:
            await self.emulator.quota_left(remaining, oa_id)
        oa = await zalo_shop.connected(self.bridge, person, oa_id)
        return Shop(person, oa.id, oa_id)

    async def send(self, shop: Shop, template_id: int = zalo.TRANSACTION_TEMPLATE, **more: Any) -> ZnsMessage:
        values = {"phone": PHONE, "data": data_of(template_id)} | more
        return await send_zns(
            self.bridge,
            shop.account_id,
            shop.person.user.id,
            oa_id=shop.oa_id,
            request=ZnsRequest(template_id=template_id, **values),
        )

    async def get(self, shop: Shop, message: ZnsMessage | int) -> ZnsMessage:
        id_ = message if isinstance(message, int) else message.id
        async with self.db.transaction() as tx:
            return await get_message(tx, shop.account_id, str(id_), None)

    async def arrives(
        self,
        shop: Shop,
        *,
        msg_id: str,
        tracking_id: str | None = None,
        delivered_at: datetime | None = None,
    ) -> ZnsMessage | None:
        """As Zalo's event says it."""
        async with self.db.transaction() as tx:
            return await message_arrived(
                tx,
                shop.account_id,
                shop.oa_id,
                msg_id=msg_id,
                tracking_id=tracking_id,
                delivered_at=delivered_at or self.bridge.clock.now(),
                now=self.bridge.clock.now(),
            )

    async def follow(self) -> int:
        return await Follower(self.bridge).follow_due()

    async def rows(self, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        async with self.db.autocommit() as connection:
            return await (await connection.execute(query, values)).fetchall()

    async def quota(self, shop: Shop) -> tuple[int | None, int]:
        """What remains by our count, and how many are in flight."""
        [row] = await self.rows("SELECT remaining, in_flight FROM zalo_quotas WHERE oa_ref = %s", shop.oa_ref)
        return row[0], row[1]

    async def zalos_quota(self, shop: Shop) -> int | None:
        """What remains by Zalo's count."""
        async with self.db.transaction() as tx:
            held = await held_oa(tx, self.bridge.keyring, shop.account_id, shop.oa_id)
        return (await ask(self.bridge, held, self.bridge.client.quota)).remaining

    async def purse(self, shop: Shop) -> tuple[Decimal, Decimal]:
        """(balance, held) of the wallet. The ledger says the same, and so do the messages."""
        [(balance, held)] = await self.rows(
            "SELECT balance, reserved FROM wallets WHERE account_id = %s", shop.account_id
        )
        [(lines, of_messages)] = await self.rows(
            """SELECT (SELECT coalesce(sum(amount), 0) FROM ledger WHERE account_id = %s),
                      (SELECT coalesce(sum(held), 0) FROM zalo_messages WHERE account_id = %s)
                      + (SELECT coalesce(sum(held), 0) FROM zalo_journeys WHERE account_id = %s)""",
            shop.account_id,
            shop.account_id,
            shop.account_id,
        )
        assert (lines, of_messages) == (balance, held)
        return balance, held

    async def sends(self) -> list[dict[str, Any]]:
        """What Zalo was asked to send, whatever it answered."""
        return await self.emulator.requests(zalo.SEND)


def data_of(template_id: int) -> dict[str, Any]:
    return {
        zalo.OTP_TEMPLATE: {"otp": "493817"},
        zalo.CARE_TEMPLATE: dict(CARE),
        zalo.PROMOTION_TEMPLATE: dict(PROMOTION),
        zalo.JOURNEY_TEMPLATE: {"ten_khach_hang": "Nguyễn Văn An", "ma_don": "DH-0042"},
    }.get(template_id, dict(ORDER))


@asynccontextmanager
async def world(
    db: Database, keyring: Keyring, clock: Clock, *, templates: Sequence[dict[str, Any]] = ()
) -> AsyncIterator[Zns]:
    """The emulator, its client and the cast. `templates`: more of them, as fixtures."""
    fixtures = zalo.default_fixtures()
    fixtures["templates"] += list(templates)
    async with (
        zalo.zalo_emulator(fixtures) as emulator,
        zalo_shop.bridge(db, keyring, clock, emulator) as bridge,
    ):
        yield Zns(db, bridge, emulator, await factories.cast(db, keyring))
