"""An Official Account on its way to a shop: asked for, granted, connected, looked at, granted again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.facades.sencloud.client import Api
from tests.factories import Cast
from tests.fakes.clock import FakeClock
from tests.fakes.zalo import (
    APP_ID,
    APP_SECRET,
    CALLBACK_URL,
    OA_ID,
    SECOND_OA_ID,
    EmulatedZalo,
    client_at,
    grant,
)

from tongdai.ports.services import Services, ZaloOptions
from tongdai.ports.zalo import REFRESH_LIFE

pytestmark = pytest.mark.anyio

# The schema of the page, field by field, and `owner_id` of its table.
STRINGS = {"avatar", "cover", "description", "name"}
IDS = {"app_id", "connection_id", "oa_id", "onwer_id", "owner_id", "shop_id"}
ENUMS = {
    "connection_method": {"direct"},
    "current_quality": {"HIGH", "MEDIUM", "LOW", "UNDEFINED"},
    "last_week_quality": {"HIGH", "MEDIUM", "LOW", "UNDEFINED"},
    "status": {"Z", "P", "N"},
}
INTEGERS = {"daily_quota", "remaining_quota"}
TIMES = {"created_at", "expires_at", "updated_at"}
SCHEMA = STRINGS | IDS | set(ENUMS) | INTEGERS | TIMES | {"is_verified"}


async def connecting(api: Api, oa_id: int = OA_ID) -> dict[str, Any]:
    """The body of ConnectOA, once an administrator has agreed."""
    granted = await grant(await api.authorize(), oa_id)
    return {name: granted[name] for name in ("code", "oa_id", "state")}


async def test_an_official_account_is_connected_and_shown_as_the_page_has_it(
    api: Api, cast: Cast, clock: FakeClock
) -> None:
    shown = await api.done("ConnectOA", await connecting(api))
    assert set(shown) == SCHEMA
    assert shown == {
        "app_id": str(APP_ID),
        "avatar": "https://s160-ava-talk.zadn.vn/sao-viet/160/ava.jpg",
        "connection_id": shown["connection_id"],
        "connection_method": "direct",
        "cover": "https://cover-talk.zadn.vn/sao-viet/cover.jpg",
        "created_at": "2026-11-18T03:00:00.000Z",
        "current_quality": "HIGH",
        "daily_quota": 20_000,
        "description": "Giao hàng nhanh toàn quốc",
        "expires_at": (clock.now() + REFRESH_LIFE).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "is_verified": True,
        "last_week_quality": "HIGH",
        "name": "Giao Hàng Sao Việt",
        "oa_id": str(OA_ID),
        "onwer_id": str(cast.owner.user.id),
        "owner_id": str(cast.owner.user.id),
        "remaining_quota": 20_000,
        "shop_id": str(cast.owner.account_id),
        "status": "P",
        "updated_at": "2026-11-18T03:00:00.000Z",
    }
    assert int(shown["connection_id"]) > 0


async def test_every_field_is_of_the_type_that_the_page_gives_it(oa: dict[str, Any]) -> None:
    assert all(type(oa[name]) is str for name in STRINGS | IDS | set(ENUMS) | TIMES)
    assert all(oa[name].isdigit() for name in IDS)
    assert all(type(oa[name]) is int for name in INTEGERS)
    assert all(oa[name] in words for name, words in ENUMS.items())
    assert type(oa["is_verified"]) is bool


async def test_ids_may_be_numbers_as_well_as_digits(api: Api) -> None:
    body = {"app_id": APP_ID, "app_secret": APP_SECRET, "redirect_uri": CALLBACK_URL}
    granted = await grant((await api.done("AuthorizeOA", body))["url"])
    shown = await api.done(
        "ConnectOA",
        {"code": granted["code"], "oa_id": int(granted["oa_id"]), "state": int(granted["state"])},
    )
    assert shown["oa_id"] == str(OA_ID)


async def test_the_page_is_zalos_and_names_neither_secret_nor_verifier(
    api: Api, emulator: EmulatedZalo
) -> None:
    url = await api.authorize()
    assert url.startswith(f"{emulator.url}/v4/oa/permission?")
    query = parse_qs(urlsplit(url).query)
    assert set(query) == {"app_id", "redirect_uri", "state", "code_challenge"}
    assert APP_SECRET not in url
    assert 0 < int(query["state"][0]) < 2**53


async def test_the_official_account_need_not_be_named(api: Api) -> None:
    body = await connecting(api)
    del body["oa_id"]
    assert (await api.done("ConnectOA", body))["oa_id"] == str(OA_ID)


async def test_the_owner_is_the_shops_whoever_connected_it(
    api: Api, cast: Cast, emulator: EmulatedZalo
) -> None:
    owner = str(cast.owner.user.id)
    connected = await api.as_(cast.colleague.api_key).connect(emulator)
    listed = (await api.done("ListOA"))["accounts"][0]
    updated = await api.done("UpdateShopOA", {"oa_id": str(OA_ID), "webhook_url": ""})
    for shown in (connected, listed, updated, await api.done("GetShopOA", {"oa_id": str(OA_ID)})):
        assert (shown["onwer_id"], shown["owner_id"]) == (owner, owner)


async def test_the_owners_right_name_can_be_left_out_by_a_setting(services: Services, cast: Cast) -> None:
    spare = Api(replace(services, zalo_options=ZaloOptions(owner_id=False)), cast.owner.api_key)
    shown = await spare.done("ConnectOA", await connecting(spare))
    assert set(shown) == SCHEMA - {"owner_id"}
    await spare.http.aclose()


async def test_words_are_in_capitals_by_a_setting(services: Services, cast: Cast) -> None:
    loud = Api(replace(services, zalo_options=ZaloOptions(capital_enums=True)), cast.owner.api_key)
    assert (await loud.done("ConnectOA", await connecting(loud)))["connection_method"] == "DIRECT"
    await loud.http.aclose()


@pytest.mark.parametrize("missing", ["app_id", "app_secret", "redirect_uri"])
async def test_the_app_must_be_told_whole(api: Api, missing: str) -> None:
    body = {"app_id": str(APP_ID), "app_secret": APP_SECRET, "redirect_uri": CALLBACK_URL}
    for value in (None, ""):
        refused = await api.refused("invalid_argument", "AuthorizeOA", {**body, missing: value})
        assert refused["meta"] == {"argument": missing}


@pytest.mark.parametrize("missing", ["code", "state"])
async def test_what_zalo_sent_back_must_be_told_whole(api: Api, missing: str) -> None:
    body = await connecting(api)
    refused = await api.refused("invalid_argument", "ConnectOA", {**body, missing: None})
    assert refused["meta"] == {"argument": missing}
    await api.done("ConnectOA", body)


async def test_a_state_works_once(api: Api) -> None:
    body = await connecting(api)
    await api.done("ConnectOA", body)
    again = await grant(await api.authorize())
    await api.refused("invalid_argument", "ConnectOA", {**body, "code": again["code"]})


async def test_a_state_that_nobody_issued_is_refused(api: Api) -> None:
    body = await connecting(api)
    for state in ("1", 2**53 - 1, 2**53, "-5", "x"):
        await api.refused("invalid_argument", "ConnectOA", {**body, "state": state})


async def test_a_state_is_over_after_a_while(api: Api, clock: FakeClock) -> None:
    body = await connecting(api)
    clock.advance(timedelta(days=1))
    await api.refused("invalid_argument", "ConnectOA", body)


async def test_a_strangers_state_is_of_no_use(api: Api, stranger: Api) -> None:
    body = await connecting(api)
    await stranger.refused("invalid_argument", "ConnectOA", body)
    assert (await stranger.done("ListOA"))["accounts"] == []
    await api.done("ConnectOA", body)


async def test_a_code_that_zalo_refuses_is_the_callers_mistake(api: Api) -> None:
    body = await connecting(api)
    refusal = await api.refused("invalid_argument", "ConnectOA", {**body, "code": "made-up"})
    assert refusal["msg"] == "Zalo refuses with -14005: Invalid authorization code. Call AuthorizeOA again."


async def test_another_official_account_than_the_one_that_was_granted_is_refused(api: Api) -> None:
    body = await connecting(api)
    await api.refused("invalid_argument", "ConnectOA", {**body, "oa_id": str(SECOND_OA_ID)})


async def test_an_official_account_of_another_shop_cannot_be_connected(
    api: Api, stranger: Api, oa: dict[str, Any]
) -> None:
    body = await connecting(stranger)
    await stranger.refused("already_exists", "ConnectOA", body)
    assert (await stranger.done("ListOA"))["accounts"] == []
    assert (await api.done("GetShopOA", {"oa_id": oa["oa_id"]}))["status"] == "P"


async def test_connecting_it_again_gives_the_same_connection(api: Api, oa: dict[str, Any]) -> None:
    again = await api.done("ConnectOA", await connecting(api))
    assert again["connection_id"] == oa["connection_id"]
    assert len((await api.done("ListOA"))["accounts"]) == 1


async def test_two_may_come_back_with_one_state_and_one_connects(api: Api) -> None:
    body = await connecting(api)
    answers = await asyncio.gather(*(api.post("ConnectOA", body) for _ in range(4)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes[0] == 200
    assert set(codes) <= {200, 400}
    assert len((await api.done("ListOA"))["accounts"]) == 1


async def test_what_failed_before_zalo_was_asked_works_later(
    api: Api, services: Services, cast: Cast
) -> None:
    body = await connecting(api)
    async with client_at("http://127.0.0.1:9") as client:
        down = Api(replace(services, zalo=client), cast.owner.api_key)
        await down.refused("unavailable", "ConnectOA", body)
        await down.http.aclose()
    assert (await api.done("ConnectOA", body))["status"] == "P"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("html_504", "unavailable"),
        ("empty", "unavailable"),
        ("wrong_types", "unavailable"),
        ("reset", "deadline_exceeded"),
        ("half_body", "deadline_exceeded"),
        ("missing_refresh_token", "invalid_argument"),
    ],
)
async def test_an_exchange_that_went_wrong_is_told_and_consent_is_asked_for_again(
    api: Api, emulator: EmulatedZalo, fault: str, code: str
) -> None:
    body = await connecting(api)
    await emulator.force("/v4/oa/access_token", fault)
    await api.refused(code, "ConnectOA", body)
    await api.refused("invalid_argument", "ConnectOA", body)
    assert (await api.done("ConnectOA", await connecting(api)))["status"] == "P"


# ---------------------------------------------------------------- looking at them


async def test_official_accounts_are_listed_with_their_webhooks_address(
    api: Api, emulator: EmulatedZalo, oa: dict[str, Any]
) -> None:
    second = await api.connect(emulator, SECOND_OA_ID)
    listed = await api.done("ListOA")
    assert [row["oa_id"] for row in listed["accounts"]] == [second["oa_id"], oa["oa_id"]]
    assert set(listed["accounts"][0]) == SCHEMA | {"webhook_url"}
    assert listed["paging"] == {
        "after": "",
        "before": "",
        "limit": 20,
        "next": "",
        "prev": "",
        "sort": "-created_at",
    }


async def test_official_accounts_are_found_by_what_they_are(
    api: Api, emulator: EmulatedZalo, oa: dict[str, Any]
) -> None:
    second = await api.connect(emulator, SECOND_OA_ID)
    for wanted, found in (
        ({"oa_id": second["oa_id"]}, [second]),
        ({"name": "hoa mai"}, [second]),
        ({"app_id": str(APP_ID)}, [second, oa]),
        ({"app_id": "5"}, []),
        ({"date_from": "2026-11-18T03:00:01Z"}, []),
        ({"date_to": "2026-11-18"}, [second, oa]),
    ):
        listed = await api.done("ListOA", {"filter": wanted})
        assert [row["oa_id"] for row in listed["accounts"]] == [row["oa_id"] for row in found], wanted


async def test_pages_lead_on_and_back(api: Api, emulator: EmulatedZalo, oa: dict[str, Any]) -> None:
    second = await api.connect(emulator, SECOND_OA_ID)
    first_page = await api.done("ListOA", {"paging": {"limit": 1, "sort": "created_at"}})
    assert [row["oa_id"] for row in first_page["accounts"]] == [oa["oa_id"]]
    turned = {"limit": 1, "sort": "created_at", "after": first_page["paging"]["next"]}
    second_page = await api.done("ListOA", {"paging": turned})
    assert [row["oa_id"] for row in second_page["accounts"]] == [second["oa_id"]]
    assert second_page["paging"]["next"] == ""
    back = {"limit": 1, "sort": "created_at", "before": second_page["paging"]["prev"]}
    assert (await api.done("ListOA", {"paging": back}))["accounts"] == first_page["accounts"]


async def test_one_official_account_is_shown_with_its_promotion_quotas(api: Api, oa: dict[str, Any]) -> None:
    shown = await api.done("GetShopOA", {"oa_id": oa["oa_id"]})
    assert {name: shown[name] for name in SCHEMA} == oa
    assert set(shown) - SCHEMA == {
        "daily_quota_promotion",
        "estimated_next_month_promotion_quota",
        "monthly_promotion_quota",
        "remaining_monthly_promotion_quota",
        "webhook_url",
    }
    assert shown["monthly_promotion_quota"] == 1000
    assert await api.done("GetShopOA", {}) == shown


async def test_which_official_account_is_meant_must_be_clear(
    api: Api, stranger: Api, emulator: EmulatedZalo, oa: dict[str, Any]
) -> None:
    await stranger.refused("invalid_argument", "GetShopOA", {})
    await api.connect(emulator, SECOND_OA_ID)
    await api.refused("invalid_argument", "GetShopOA", {})
    await api.refused("not_found", "GetShopOA", {"oa_id": "12345"})


# ---------------------------------------------------------------- its webhook


async def test_an_official_accounts_webhook_is_set_and_removed(api: Api, oa: dict[str, Any]) -> None:
    url = "https://shop.example.vn/zalo"
    shown = await api.done("UpdateShopOA", {"oa_id": oa["oa_id"], "webhook_url": url})
    assert (shown["oa_id"], shown["webhook_url"]) == (oa["oa_id"], url)
    assert (await api.done("ListOA"))["accounts"][0]["webhook_url"] == url
    removed = await api.done("UpdateShopOA", {"oa_id": oa["oa_id"], "webhook_url": ""})
    assert removed["webhook_url"] == ""


async def test_a_webhook_is_not_removed_by_leaving_it_out(api: Api, oa: dict[str, Any]) -> None:
    url = "https://shop.example.vn/zalo"
    await api.done("UpdateShopOA", {"oa_id": oa["oa_id"], "webhook_url": url})
    for body in ({"oa_id": oa["oa_id"]}, {"oa_id": oa["oa_id"], "webhook_url": None}):
        await api.refused("invalid_argument", "UpdateShopOA", body)
    assert (await api.done("GetShopOA"))["webhook_url"] == url


@pytest.mark.parametrize("url", ["nowhere", "ftp://x.vn", "https://", 7, [], "https://u:p@x.vn/"])
async def test_what_is_no_address_is_refused(api: Api, oa: dict[str, Any], url: object) -> None:
    await api.refused("invalid_argument", "UpdateShopOA", {"oa_id": oa["oa_id"], "webhook_url": url})


# ---------------------------------------------------------------- granting again


async def test_consent_is_renewed_by_the_same_way(api: Api, oa: dict[str, Any]) -> None:
    url = (await api.done("RefreshToken", {"oa_id": oa["oa_id"]}))["url"]
    granted = await grant(url)
    again = await api.done("ConnectOA", {"code": granted["code"], "state": granted["state"]})
    assert (again["connection_id"], again["status"]) == (oa["connection_id"], "P")


async def test_consent_of_no_official_account_or_a_strangers_is_not_renewed(
    api: Api, stranger: Api, oa: dict[str, Any]
) -> None:
    refused = await api.refused("invalid_argument", "RefreshToken", {})
    assert refused["meta"] == {"argument": "oa_id"}
    await stranger.refused("not_found", "RefreshToken", {"oa_id": oa["oa_id"]})
    await api.refused("not_found", "RefreshToken", {"oa_id": "12345"})
