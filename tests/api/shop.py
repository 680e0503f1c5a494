"""Two shops at Zalo: each with an app, an Official Account and templates of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tests.api.conftest import Api
from tests.api.world import World
from tests.fakes.zalo import (
    APP_ID,
    APP_SECRET,
    CALLBACK_URL,
    JOURNEY_TEMPLATE,
    OA_ID,
    SECOND_OA_ID,
    WEBHOOK_SECRET,
    default_fixtures,
    grant,
)

LINKED = "0912345678"
UNLINKED = "0912345404"
PARCEL = {"ten_khach_hang": "An", "ma_don": "SM-1001"}


@dataclass(frozen=True)
class Shop:
    app_id: int
    oa_id: int
    journey_template: int


OURS = Shop(APP_ID, OA_ID, JOURNEY_TEMPLATE)
THEIRS = Shop(APP_ID + 1, SECOND_OA_ID, JOURNEY_TEMPLATE + 100)


def two_shops() -> dict[str, Any]:
    """What an emulator is to be told."""
    told = default_fixtures()
    [app] = told["apps"]
    told["apps"].append({**app, "app_id": THEIRS.app_id})
    [journey] = [one for one in told["templates"] if one["template_id"] == OURS.journey_template]
    told["templates"].append(
        {**journey, "template_id": THEIRS.journey_template, "oa_id": THEIRS.oa_id, "name": "Chuyến xe"}
    )
    return told


async def authorize(api: Api, shop: Shop = OURS) -> str:
    """The permission page's address."""
    body = {"app_id": str(shop.app_id), "secret": APP_SECRET, "redirect_uri": CALLBACK_URL}
    url: str = (await api.made("/zalo/authorizations", body))["url"]
    return url


async def connect(api: Api, shop: Shop = OURS) -> dict[str, Any]:
    """The shop's Official Account, connected through the permission page."""
    body = {"secret": APP_SECRET, "webhook_secret": WEBHOOK_SECRET}
    answer = await api.send("PUT", f"/zalo/apps/{shop.app_id}", body)
    assert answer.status_code == 200, answer.text
    came = await grant(await authorize(api, shop), shop.oa_id)
    told = {"code": came["code"], "state": int(came["state"]), "oa_id": came["oa_id"]}
    return await api.made("/zalo/connections", told)


async def message(api: Api, shop: Shop = OURS, **more: Any) -> dict[str, Any]:
    """One that is sent, by default as the first of the given journey."""
    body = {"phone": LINKED, "template_id": shop.journey_template, "data": PARCEL}
    return await api.made("/zalo/messages", body | {"oa_id": str(shop.oa_id)} | more)


async def with_zalo(api: Api, world: World, shop: Shop = OURS) -> World:
    """The same world with a connected Official Account, a journey, and its first message."""
    await connect(api, shop)
    journey = await api.made("/zalo/journeys", {"phone": LINKED, "oa_id": str(shop.oa_id)})
    sent = await message(api, shop, journey_id=str(journey["id"]))
    assert sent["state"] == "accepted", sent
    return replace(
        world,
        app_id=shop.app_id,
        oa_id=shop.oa_id,
        journey_id=journey["id"],
        message_id=sent["id"],
        zalo_template_id=shop.journey_template,
    )
