"""What a shop with Zalo has in the demo: an app, an Official Account that is connected, and one that is not.

The emulator is told of both at every start, because its address and ours may be others each time. The
connected one is connected as a customer would: through the emulator's permission page.
"""

from __future__ import annotations

import asyncio
import http.client
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from tongdai.domain import accounts
from tongdai.domain.accounts import Account, Caller, User
from tongdai.domain.zalo import (
    Bridge,
    ConsentLapsedError,
    OaNotFoundError,
    ask,
    authorize,
    connect,
    held_oa,
    lead_back,
    set_app,
)
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Tx
from tongdai.kit.errors import TongdaiError
from tongdai.kit.private_files import write_private
from tongdai.ports.zalo import ZaloRefusedError

CALLBACK: Final = "/zalo/callback"
WEBHOOK: Final = "/zalo/webhook"
INTERITS: Final = "interits"
_PATIENCE_S: Final = 10.0

JOURNEY_TYPES: Final = ("token_logistics_7", "token_logistics_30", "token_coach_bus_7", "token_coach_bus_30")


JOURNEY_TEMPLATE: Final = 2
"""Which of a shop's templates is of a parcel's journey, from 0."""


class ConsentPageError(TongdaiError):
    """The emulator's permission page did not send its visitor back with a code."""


class Shop(msgspec.Struct, frozen=True):
    """What there is of one tenant at Zalo. Invented, of the usual lengths."""

    name: str
    app_id: int
    oa_id: int
    unconnected_oa_id: int
    first_template: int
    """Its templates have this id and those that follow."""
    linked_phone: str
    unlinked_phone: str
    """The emulator has no Zalo account for numbers that end in 404."""


SHOPS: Final = {
    "demo": Shop(
        "Cửa hàng Sao Mai",
        2764319856123478,
        4318657068771012646,
        1287540967340188215,
        318601,
        "0912345678",
        "0912345404",
    ),
    "other": Shop(
        "Phòng khám An Bình",
        3905518427710936251,
        2579134680246813579,
        3861927450183746520,
        427801,
        "0987654321",
        "0987654404",
    ),
}


class SenCloud(msgspec.Struct, frozen=True):
    """What a client of SenCloud's sends, but for the address of its own that browsers come back to."""

    api_key: str
    app_id: str
    app_secret: str


class ZaloTenant(msgspec.Struct, frozen=True):
    """A tenant at Zalo: what the demo keeps, and what it shows."""

    shop: str
    """Which of `SHOPS`."""
    hook: str
    """In the address that Zalo's events go to."""
    webhook_secret: str

    @property
    def facts(self) -> Shop:
        return SHOPS[self.shop]

    def shown(self, emulator_url: str) -> dict[str, str]:
        facts = self.facts
        return {
            "emulator_url": emulator_url,
            "oa_id": str(facts.oa_id),
            "unconnected_oa_id": str(facts.unconnected_oa_id),
            "linked_phone": facts.linked_phone,
            "unlinked_phone": facts.unlinked_phone,
        }


class ZaloParts(msgspec.Struct, frozen=True):
    """All that the two vendors' APIs and the emulator need of one tenant."""

    interits_key: str
    sencloud: SenCloud
    zalo: ZaloTenant


async def with_zalo(tx: Tx, keyring: Keyring, account: Account, user: User, shop: str) -> ZaloParts:
    """Keys of both vendors' APIs, and the shop's app with new secrets."""
    now = datetime.now(UTC)
    _, interits = await accounts.issue_vendor_key(
        tx, keyring, account.id, user.id, INTERITS, "demo", now=now, expires_at=None
    )
    key = await accounts.issue_api_key(tx, account.id, user.id, "SenCloud")
    secret, webhook_secret = secrets.token_urlsafe(15), secrets.token_urlsafe(15)
    app_id = SHOPS[shop].app_id
    app = await set_app(
        tx, keyring, account.id, app_id=app_id, secret=secret, webhook_secret=webhook_secret, now=now
    )
    return ZaloParts(
        interits, SenCloud(key.key, str(app_id), secret), ZaloTenant(shop, app.hook, webhook_secret)
    )


# ---------------------------------------------------------------- what the emulator is told


def write_fixtures(file: Path, parts: list[tuple[SenCloud, ZaloTenant]], base_url: str) -> None:
    """The apps, Official Accounts and templates of these tenants, for the emulator's start."""
    told: dict[str, list[dict[str, Any]]] = {"apps": [], "oas": [], "templates": []}
    for sencloud, zalo in parts:
        told["apps"].append(_app(sencloud, zalo, base_url))
        shop = zalo.facts
        for at, oa_id in enumerate((shop.oa_id, shop.unconnected_oa_id)):
            told["oas"].append(_oa(shop, oa_id, at))
            told["templates"] += _templates(oa_id, shop.first_template + 10 * at)
    write_private(file, msgspec.json.encode(told).decode())


def _app(sencloud: SenCloud, zalo: ZaloTenant, base_url: str) -> dict[str, Any]:
    return {
        "app_id": int(sencloud.app_id),
        "name": zalo.facts.name,
        "secret": sencloud.app_secret,
        "webhook_secret": zalo.webhook_secret,
        "callback_urls": [base_url + CALLBACK],
        "webhook_url": f"{base_url}{WEBHOOK}/{zalo.hook}",
        "webhook_enabled": True,  # whatever became of it in an earlier run
        "admins": [international(zalo.facts.linked_phone)],
    }


def _oa(shop: Shop, oa_id: int, at: int) -> dict[str, Any]:
    return {
        "oa_id": oa_id,
        "name": f"{shop.name}{' (chi nhánh)' if at else ''}",
        "description": "Thông báo đơn hàng, lịch hẹn và chăm sóc khách hàng.",
        "is_verified": True,
        "category": "Dịch vụ",
        "followers": 12_480 - 9_000 * at,
        "avatar": f"https://oa.example.vn/{oa_id}/avatar.png",
        "cover": f"https://oa.example.vn/{oa_id}/cover.png",
        "admins": [international(shop.linked_phone)],
        "apps": [shop.app_id],
    }


def _templates(oa_id: int, first: int) -> list[dict[str, Any]]:
    """An order's confirmation, a one-time code, a parcel's and a coach trip's journey, and a rejected one."""
    order = [_param("customer_name"), _param("order_code"), _param("order_date", required=False)]
    parcel = [_param("customer_name"), _param("order_code"), _param("status")]
    trip = [_param("customer_name"), _param("seat", most=10), _param("departs_at")]
    of_oa = {"oa_id": oa_id, "tag": "TRANSACTION", "price": "200.0"}
    logistics, coach = list(JOURNEY_TYPES[:2]), list(JOURNEY_TYPES[2:])
    return [
        of_oa | {"template_id": first, "name": "Xác nhận đơn hàng", "params": order},
        of_oa
        | {"template_id": first + 1, "name": "Mã xác thực", "tag": "OTP", "timeout_ms": 15_000}
        | {"price": "300.0", "params": [_param("otp", most=10)]},
        of_oa
        | {"template_id": first + 2, "name": "Hành trình đơn hàng", "params": parcel}
        | {"journey_types": logistics},
        of_oa
        | {"template_id": first + 3, "name": "Hành trình chuyến xe", "params": trip}
        | {"journey_types": coach},
        of_oa
        | {"template_id": first + 4, "name": "Khuyến mãi tháng", "params": [_param("customer_name")]}
        | {"tag": "PROMOTION", "status": "REJECT", "reason": "Nội dung chưa phù hợp với loại mẫu."},
    ]


def _param(name: str, *, required: bool = True, most: int = 30) -> dict[str, Any]:
    return {"name": name, "require": required, "type": "STRING", "max_length": most}


def international(phone: str) -> str:
    """`84…` of `0…`."""
    return "84" + phone.removeprefix("0")


# ---------------------------------------------------------------- connecting


async def connect_oa(bridge: Bridge, owner: Caller, parts: ZaloParts, base_url: str) -> None:
    """Connects the shop's Official Account, unless it is and Zalo still lets it in: the emulator may have
    forgotten everything since, or heard of another callback address. What was connected at another address
    of ours is led back to this one.

    Raises what connecting does, and ConsentPageError.
    """
    oa_id = parts.zalo.facts.oa_id
    app_id, back = int(parts.sencloud.app_id), base_url + CALLBACK
    async with bridge.db.transaction() as tx:
        await lead_back(tx, owner.account_id, app_id, back)
    if await _lets_in(bridge, owner.account_id, oa_id):
        return
    url = await authorize(
        bridge,
        owner.account_id,
        owner.user_id,
        app_id=app_id,
        secret=parts.sencloud.app_secret,
        redirect_uri=back,
    )
    came = await asyncio.to_thread(consent, url, oa_id)
    state = int(came["state"])
    await connect(bridge, owner.account_id, owner.user_id, code=came["code"], oa_id=oa_id, state=state)


async def _lets_in(bridge: Bridge, account_id: int, oa_id: int) -> bool:
    async with bridge.db.transaction() as tx:
        try:
            held = await held_oa(tx, bridge.keyring, account_id, oa_id)
        except OaNotFoundError:
            return False
    try:
        await ask(bridge, held, bridge.client.profile)
    except (ConsentLapsedError, ZaloRefusedError):
        return False
    return True


def consent(url: str, oa_id: int) -> dict[str, str]:
    """Passes the emulator's permission page as an administrator of the Official Account.

    Returns what it sends a browser back with: `code`, `oa_id`, `state`. Raises ConsentPageError.
    """
    page = urlsplit(url)
    connection = http.client.HTTPConnection(page.netloc, timeout=_PATIENCE_S)
    try:
        connection.request("GET", f"{page.path}?{page.query}&consent={oa_id}")
        location = connection.getresponse().getheader("Location", "")
    except (OSError, http.client.HTTPException) as error:
        raise ConsentPageError from error
    finally:
        connection.close()
    came = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
    if not came.keys() >= {"code", "state"}:
        raise ConsentPageError
    return came
