"""Official Accounts and their templates over Interits' API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.facades.interits.client import Api, connect
from tests.factories import Cast
from tests.fakes.zalo import (
    APP_ID,
    CARE_TEMPLATE,
    OA_ID,
    OTP_TEMPLATE,
    SECOND_OA_ID,
    EmulatedZalo,
    grant,
)

from tongdai.domain.zalo import Oa
from tongdai.ports.services import Services, ZaloOptions

pytestmark = pytest.mark.anyio


# ---------------------------------------------------------------- Official Accounts


async def test_an_official_account_is_shown_as_zalo_tells_it(api: Api, oa: Oa) -> None:
    shown = await api.done("get-shop-oa", {"oa_id": str(OA_ID)})
    assert shown["oa_id"] == str(OA_ID)
    assert shown["app_id"] == str(APP_ID)
    assert shown["name"] == "Giao Hàng Sao Việt"
    assert shown["description"] == "Giao hàng nhanh toàn quốc"
    assert (shown["status"], shown["connection_method"]) == ("P", "direct")
    assert (shown["is_verified"], shown["verified"]) == (True, True)
    assert (shown["current_quality"], shown["last_week_quality"]) == ("HIGH", "HIGH")
    assert (shown["daily_quota"], shown["remaining_quota"]) == (20_000, 20_000)
    assert shown["monthly_promotion_quota"] == 1_000
    assert shown["onwer_id"] == shown["owner_id"] == str(oa.owner_id)
    assert shown["shop_id"] == str(oa.account_id)
    assert shown["connection_id"] == str(oa.id)
    assert shown["webhook_url"] == ""
    assert all(shown[name].endswith("Z") for name in ("created_at", "expires_at", "updated_at"))
    assert await api.done("get-shop-oa") == shown


async def test_the_owner_is_the_shops_whoever_connected_it(api: Api, services: Services, cast: Cast) -> None:
    await connect(services, cast.colleague, OA_ID)
    owner = str(cast.owner.user.id)
    listed = (await api.done("list-oa"))["accounts"][0]
    updated = await api.done("update-shop-oa", {"webhook_url": ""})
    for shown in (listed, updated, await api.done("get-shop-oa")):
        assert (shown["onwer_id"], shown["owner_id"]) == (owner, owner)


async def test_official_accounts_are_listed(api: Api, oa: Oa, services: Services, cast: Cast) -> None:
    await connect(services, cast.owner, SECOND_OA_ID)
    listed = await api.done("list-oa")
    assert [one["oa_id"] for one in listed["accounts"]] == [str(SECOND_OA_ID), str(OA_ID)]
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({"name": "sao việt"}, [OA_ID]),
        ({"oa_id": str(SECOND_OA_ID)}, [SECOND_OA_ID]),
        ({"app_id": 7}, []),
        ({"app_id": str(APP_ID), "name": "Hoa Mai"}, [SECOND_OA_ID]),
    ]
    for chosen, expected in cases:
        found = (await api.done("list-oa", {"filter": chosen}))["accounts"]
        assert [int(one["oa_id"]) for one in found] == expected, chosen


async def test_which_one_is_meant_has_to_be_said_where_there_are_none_or_two(
    api: Api, services: Services, cast: Cast
) -> None:
    body = {"phone": "0912345678", "template_id": CARE_TEMPLATE, "webhook_url": ""}
    names = ["create-journey", "send-zns", "get-shop-oa", "update-shop-oa", "refresh-token", "get-template"]
    for name in names:
        assert "oa_id" in (await api.refused(400, name, body))["message"]
    await connect(services, cast.owner, OA_ID)
    await api.done("get-shop-oa")
    await connect(services, cast.owner, SECOND_OA_ID)
    for name in names:
        assert "oa_id" in (await api.refused(400, name, body))["message"]


async def test_events_are_passed_on_to_an_address_until_it_is_taken_away(
    api: Api, oa: Oa, services: Services
) -> None:
    url = "https://shop.example.vn/zalo"
    shown = await api.done("update-shop-oa", {"oa_id": str(OA_ID), "webhook_url": url})
    assert (shown["oa_id"], shown["webhook_url"], shown["owner_id"]) == (str(OA_ID), url, str(oa.owner_id))
    assert (await api.done("list-oa"))["accounts"][0]["webhook_url"] == url
    assert (await api.done("update-shop-oa", {"webhook_url": ""}))["webhook_url"] == ""
    assert (await api.done("get-shop-oa"))["webhook_url"] == ""


NO_ADDRESSES: list[object] = [
    None,
    5,
    [],
    "x",
    "ftp://example.vn",
    "http://127.0.0.1/x",
    "https://" + "a" * 3000,
    "https://a b",
    "\x00",
]


async def test_an_address_that_nothing_can_be_sent_to_is_a_bad_request(api: Api, oa: Oa) -> None:
    for url in NO_ADDRESSES:
        await api.refused(400, "update-shop-oa", {"oa_id": str(oa.oa_id), "webhook_url": url})


async def test_consent_is_renewed_at_the_address_that_refresh_token_gives(
    api: Api, oa: Oa, emulator: EmulatedZalo
) -> None:
    for body in ({"oa_id": str(OA_ID)}, {}):
        data = await api.done("refresh-token", body)
        assert set(data) == {"url"}
        assert data["url"].startswith(f"{emulator.url}/v4/oa/permission?")
        asked = {name: values[0] for name, values in parse_qs(urlsplit(data["url"]).query).items()}
        assert asked["app_id"] == str(APP_ID)
        granted = await grant(data["url"], OA_ID)
        assert (granted["state"], granted["oa_id"]) == (asked["state"], str(OA_ID))


# ---------------------------------------------------------------- templates


async def test_templates_are_listed_with_their_parameters(api: Api, oa: Oa) -> None:
    listed = await api.done("list-templates", {"filter": {"oa_id": str(oa.oa_id)}})
    found = {one["template_id"]: one for one in listed["templates"]}
    code = found[OTP_TEMPLATE]
    assert (code["template_name"], code["template_tag"], code["type"]) == ("Mã xác thực", "OTP", "otp")
    assert (code["template_status"], code["timeout"], code["price"]) == ("ENABLE", 15_000, 300)
    assert code["template_params"] == [
        {
            "accept_null": False,
            "max_length": 10,
            "min_length": 4,
            "name": "otp",
            "require": True,
            "type": "STRING",
        }
    ]
    assert [one["template_id"] for one in (await api.done("list-templates"))["templates"]] == list(found)


async def test_templates_are_found_by_each_filter_of_the_page(api: Api, oa: Oa) -> None:
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({"template_id": str(OTP_TEMPLATE)}, [OTP_TEMPLATE]),
        ({"template_id": 5}, []),
        ({"template_name": "xác thực"}, [OTP_TEMPLATE]),
        ({"type": "OTP"}, [OTP_TEMPLATE]),
        ({"oa_id": oa.oa_id, "template_id": CARE_TEMPLATE}, [CARE_TEMPLATE]),
    ]
    for chosen, expected in cases:
        found = (await api.done("list-templates", {"filter": chosen}))["templates"]
        assert [one["template_id"] for one in found] == expected, chosen


async def test_one_template_is_shown(api: Api, oa: Oa) -> None:
    for template_id in (OTP_TEMPLATE, str(OTP_TEMPLATE)):
        shown = await api.done("get-template", {"oa_id": oa.oa_id, "template_id": template_id})
        assert (shown["template_id"], shown["template_quality"]) == (OTP_TEMPLATE, "HIGH")
        assert shown["preview_url"].startswith("https://")
    await api.refused(404, "get-template", {"oa_id": oa.oa_id, "template_id": 5})
    await api.refused(400, "get-template", {"oa_id": oa.oa_id})
    await api.refused(400, "get-template", {"oa_id": oa.oa_id, "template_id": "x"})


async def test_words_are_in_capitals_where_the_setting_says_so(api: Api, oa: Oa, services: Services) -> None:
    loud = Api(replace(services, zalo_options=ZaloOptions(capital_enums=True)), api.key)
    async with loud.http:
        assert (await loud.done("get-shop-oa"))["connection_method"] == "DIRECT"
        body = {
            "phone": "0912345678",
            "template_id": OTP_TEMPLATE,
            "template_data": {"otp": "1234"},
        }
        message = await loud.done("send-zns", body)
        assert (message["type"], message["delivery_status"]) == ("TEMPLATE", "UNKNOWN")
