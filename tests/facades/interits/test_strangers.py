"""Nobody sees or uses what is another account's: it is answered as what does not exist."""

from __future__ import annotations

from typing import Any

import pytest
from tests.facades.interits.client import Api
from tests.fakes.zalo import CARE_TEMPLATE, GET_TOKEN, OA_ID, SECOND_OA_ID, SEND, EmulatedZalo

from tongdai.domain.zalo import Oa
from tongdai.facades.interits.usecases import USE_CASES

pytestmark = pytest.mark.anyio

LINKED = "0912345678"
DATA = {"ten_khach_hang": "Lan", "ma_don": "DH-1", "dia_chi": "Hà Nội"}


async def test_no_path_knows_an_official_account_of_another_shop(
    oa: Oa, stranger: Api, emulator: EmulatedZalo
) -> None:
    theirs = {"oa_id": str(oa.oa_id)}
    message = {"phone": LINKED, "template_id": CARE_TEMPLATE, "template_data": DATA, **theirs}
    asked: dict[str, dict[str, Any]] = {
        "create-journey": {"phone": LINKED, **theirs},
        "get-journey": {"journey_id": "1", **theirs},
        "list-journeys": {"filter": theirs},
        "send-zns": message,
        "send-journey-zns": {"journey_id": "1", **message},
        "message-detail": {"msg_id": "1", **theirs},
        "list-messages": {"filter": theirs},
        "get-shop-oa": theirs,
        "update-shop-oa": {"webhook_url": "https://stranger.example.vn", **theirs},
        "list-templates": {"filter": theirs},
        "get-template": {"template_id": CARE_TEMPLATE, **theirs},
        "refresh-token": theirs,
    }
    assert set(asked) == set(USE_CASES) - {"list-oa", "current-shop"}
    for name, body in asked.items():
        assert (await stranger.refused(404, name, body))["data"] is None, name
        unknown = {**body, "oa_id": "77"} if "oa_id" in body else {"filter": {"oa_id": "77"}}
        assert (await stranger.refused(404, name, unknown))["data"] is None, name
    assert await emulator.requests(GET_TOKEN) == await emulator.requests(SEND) == []


async def test_a_search_finds_nothing_of_another_shop(oa: Oa, stranger: Api) -> None:
    assert (await stranger.done("list-oa", {"filter": {"oa_id": str(oa.oa_id)}}))["accounts"] == []
    [own] = (await stranger.done("list-oa"))["accounts"]
    assert own["oa_id"] == str(SECOND_OA_ID)
    assert (await stranger.done("current-shop"))["name"] == "Cửa hàng Hoa Sen"


async def test_journeys_and_messages_are_their_shops_own(api: Api, oa: Oa, stranger: Api) -> None:
    journey = await api.done("create-journey", {"phone": LINKED})
    message = await api.done(
        "send-zns",
        {"phone": LINKED, "template_id": CARE_TEMPLATE, "template_data": DATA, "tracking_id": "DH-1"},
    )
    for name in (journey["id"], journey["journey_id"]):
        await stranger.refused(404, "get-journey", {"journey_id": name})
        await stranger.refused(
            404,
            "send-journey-zns",
            {"phone": LINKED, "journey_id": name, "template_id": CARE_TEMPLATE, "template_data": DATA},
        )
    for name in (message["id"], message["msg_id"]):
        await stranger.refused(404, "message-detail", {"msg_id": name})
    for chosen in ({}, {"phone": LINKED}, {"journey_id": journey["journey_id"]}):
        assert (await stranger.done("list-journeys", {"filter": chosen}))["journeys"] == []
    for chosen in ({}, {"phone": LINKED}, {"tracking_id": "DH-1"}, {"msg_id": message["msg_id"]}):
        assert (await stranger.done("list-messages", {"filter": chosen}))["messages"] == []


async def test_a_cursor_of_another_shop_shows_nothing_of_it(api: Api, oa: Oa, stranger: Api) -> None:
    for _ in range(3):
        await api.done("create-journey", {"phone": LINKED})
    cursor = (await api.done("list-journeys", {"paging": {"limit": 1}}))["paging"]["next"]
    for paging in ({"after": cursor}, {"before": cursor}):
        assert (await stranger.done("list-journeys", {"paging": paging}))["journeys"] == []


async def test_an_official_account_that_another_shop_has_is_not_meant_by_leaving_it_out(
    oa: Oa, stranger: Api
) -> None:
    assert oa.oa_id == OA_ID
    assert (await stranger.done("get-shop-oa"))["oa_id"] == str(SECOND_OA_ID)
