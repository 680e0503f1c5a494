"""Zalo over our own API: from an app to a journey that is paid, and who may do what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx
import pytest
from tests.api.conftest import PUBLIC_URL, Api
from tests.api.shop import (
    LINKED,
    OURS,
    PARCEL,
    THEIRS,
    UNLINKED,
    authorize,
    connect,
    message,
    two_shops,
)
from tests.fakes.zalo import (
    APP_SECRET,
    CALLBACK_URL,
    GET_TOKEN,
    OTP_TEMPLATE,
    TRANSACTION_TEMPLATE,
    EmulatedZalo,
    client_at,
    grant,
    zalo_emulator,
)

from tongdai.ports.zalo import Zalo

pytestmark = pytest.mark.anyio


@pytest.fixture
async def emulator() -> AsyncIterator[EmulatedZalo]:
    async with zalo_emulator(two_shops()) as emulator:
        yield emulator


@pytest.fixture
async def zalo(emulator: EmulatedZalo) -> AsyncIterator[Zalo]:
    async with client_at(emulator.url) as client:
        yield client


async def journey(api: Api, **more: Any) -> dict[str, Any]:
    return await api.made("/zalo/journeys", {"phone": LINKED, "oa_id": str(OURS.oa_id)} | more)


# ---------------------------------------------------------------- apps


async def test_an_app_is_registered_by_owners_alone_and_never_shows_its_secrets(
    owner: Api, colleague: Api, viewer: Api
) -> None:
    body = {"secret": APP_SECRET, "webhook_secret": "khoa"}

    for api in (colleague, viewer):
        assert (await api.send("PUT", "/zalo/apps/12345", body)).status_code == 403
    made = (await owner.send("PUT", "/zalo/apps/12345", body)).json()

    assert made["app_id"] == "12345"
    assert made["has_webhook_secret"] is True
    assert made["webhook_url"].startswith(f"{PUBLIC_URL}/zalo/webhook/")
    assert APP_SECRET not in str(made)
    assert (await viewer.get("/zalo/apps")).json() == {"items": [made]}
    assert (await viewer.get("/zalo/apps/12345")).json() == made


async def test_a_change_of_an_app_keeps_what_it_leaves_out(owner: Api) -> None:
    before = (await owner.send("PUT", "/zalo/apps/12345", {"secret": "a", "webhook_secret": "b"})).json()

    after = (await owner.send("PUT", "/zalo/apps/12345", {"use_proof": True})).json()
    without = (await owner.send("PUT", "/zalo/apps/12345", {"webhook_secret": None})).json()

    assert after == before | {"use_proof": True, "updated_at": after["updated_at"]}
    assert (without["has_webhook_secret"], without["use_proof"]) == (False, True)
    assert without["webhook_url"] == before["webhook_url"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "secret"),
        ({"secret": ""}, "secret"),
        ({"secret": "hai từ"}, "secret"),
        ({"secret": "a", "pkce": "fixed"}, "verifier"),
        ({"secret": "a", "verifier": "x" * 43}, "verifier"),
        ({"secret": "a", "verifier": "short", "pkce": "fixed"}, "verifier"),
        ({"secret": "a", "scope": "all"}, "scope"),
    ],
)
async def test_an_app_that_cannot_work_is_refused_where_it_is_wrong(
    owner: Api, body: dict[str, Any], path: str
) -> None:
    answer = await owner.send("PUT", "/zalo/apps/12345", body)

    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == [path]


# ---------------------------------------------------------------- connecting


async def test_an_official_account_is_connected_through_zalos_page(owner: Api, viewer: Api) -> None:
    made = await connect(owner)

    assert made["oa_id"] == str(OURS.oa_id)
    assert made["app_id"] == str(OURS.app_id)
    assert (made["state"], made["reason"]) == ("connected", None)
    assert made["name"] == "Giao Hàng Sao Việt"
    assert made["is_verified"] is True
    assert (made["current_quality"], made["last_week_quality"]) == ("HIGH", "HIGH")
    assert (made["quota"]["daily"], made["quota"]["remaining"]) == (20_000, 20_000)
    assert made["expires_at"].endswith("+07:00")
    assert (await viewer.get(f"/zalo/connections/{OURS.oa_id}")).json() == made
    assert (await viewer.get("/zalo/connections")).json() == {"items": [made], "next": None}
    assert (await viewer.get("/zalo/connections", name="sao việt")).json()["items"] == [made]
    assert (await viewer.get("/zalo/connections", name="nhà xe")).json()["items"] == []


async def test_a_state_works_once_and_for_the_account_that_asked(owner: Api, stranger: Api) -> None:
    url = await authorize(owner)
    came = await grant(url, OURS.oa_id)
    body = {"code": came["code"], "state": int(came["state"]), "oa_id": came["oa_id"]}

    guessed = await stranger.post("/zalo/connections", body)
    first = await owner.post("/zalo/connections", body)
    again = await owner.post("/zalo/connections", body)
    invented = await owner.post("/zalo/connections", body | {"state": 7})

    assert first.status_code == 201
    for refused in (guessed, again, invented):
        assert refused.status_code == 400, refused.text
        assert refused.json()["type"].endswith("invalid-request")


async def test_a_code_that_zalo_does_not_take_is_a_bad_request(owner: Api) -> None:
    came = await grant(await authorize(owner), OURS.oa_id)

    answer = await owner.post("/zalo/connections", {"code": "x", "state": int(came["state"])})

    assert answer.status_code == 400


async def test_what_another_account_holds_is_refused_until_it_lets_go(owner: Api, stranger: Api) -> None:
    await connect(owner)
    # Nothing forbids two accounts to have the same app.
    came = await grant(await authorize(stranger), OURS.oa_id)
    taken = await stranger.post("/zalo/connections", {"code": came["code"], "state": int(came["state"])})

    await owner.made(f"/zalo/connections/{OURS.oa_id}/disconnect", None)
    taken_over = await connect(stranger)

    assert taken.status_code == 409
    assert taken_over["state"] == "connected"
    assert (await owner.get(f"/zalo/connections/{OURS.oa_id}")).json()["state"] == "disconnected"


async def test_a_connection_whose_consent_was_withdrawn_says_so_and_is_renewed(
    owner: Api, emulator: EmulatedZalo
) -> None:
    made = await connect(owner)
    await emulator.revoke(OURS.app_id, OURS.oa_id)

    refused = await journey(owner)
    lapsed = (await owner.get(f"/zalo/connections/{OURS.oa_id}")).json()
    asked_again = await emulator.requests(GET_TOKEN)
    refused_at_once = await journey(owner)

    assert (refused["state"], refused["error_code"]) == ("refused", -124)
    assert lapsed["state"] == "needs_consent"
    assert lapsed["reason"]
    assert refused_at_once["error_code"] == -124
    assert await emulator.requests(GET_TOKEN) == asked_again

    url = (await owner.made(f"/zalo/connections/{OURS.oa_id}/renew", None))["url"]
    came = await grant(url, OURS.oa_id)
    back = await owner.made("/zalo/connections", {"code": came["code"], "state": int(came["state"])})
    assert (back["id"], back["state"], back["reason"]) == (made["id"], "connected", None)
    assert (await journey(owner))["state"] == "open"


# ---------------------------------------------------------------- journeys and messages


async def test_a_journey_is_paid_with_its_first_message(owner: Api, viewer: Api) -> None:
    await connect(owner)
    made = await journey(owner, token_type="token_logistics_30")

    sent = await message(owner, journey_id=made["journey_id"], tracking_id="don-1")
    after = (await viewer.get(f"/zalo/journeys/{made['id']}")).json()

    assert (made["state"], made["charged"], made["phone"]) == ("open", False, LINKED)
    assert made["token"]
    assert (sent["type"], sent["state"], sent["journey_id"]) == ("journey", "accepted", made["journey_id"])
    assert (sent["tracking_id"], sent["data"]) == ("don-1", PARCEL)
    assert (after["state"], after["charged"]) == ("enabled", True)
    assert (await viewer.get(f"/zalo/journeys/{made['journey_id']}")).json() == after
    assert (await viewer.get("/zalo/journeys", charged="true")).json()["items"] == [after]
    assert (await viewer.get("/zalo/journeys", state="open")).json()["items"] == []
    assert (await viewer.get("/zalo/messages", phone="+84 912 345 678")).json()["items"] == [sent]
    assert (await viewer.get(f"/zalo/messages/{sent['msg_id']}")).json() == sent


async def test_what_zalo_refuses_is_an_answer_with_its_code(owner: Api) -> None:
    await connect(owner)

    made = await journey(owner, phone=UNLINKED)
    sent = await message(owner, template_id=TRANSACTION_TEMPLATE, data={"ma_don": "SM-1"})

    assert (made["state"], made["error_code"], made["journey_id"]) == ("refused", -118, None)
    assert made["error_message"]
    assert (sent["state"], sent["error_code"], sent["msg_id"]) == ("refused", -1122, None)


async def test_journeys_are_as_many_as_requests_unless_a_key_says_otherwise(owner: Api) -> None:
    await connect(owner)

    async def keyed(**more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {owner.key}", "Idempotency-Key": "don-77"}
        body = {"phone": LINKED, "oa_id": str(OURS.oa_id)} | more
        return await owner.http.post("/v1/zalo/journeys", json=body, headers=headers)

    one, two = await journey(owner), await journey(owner)
    first, again = (await keyed()).json(), (await keyed()).json()
    other = await keyed(phone="0912345679")

    assert len({one["id"], two["id"], first["id"]}) == 3
    assert again == first
    assert other.status_code == 409


async def test_a_one_time_code_is_sent_and_not_kept(owner: Api) -> None:
    await connect(owner)

    sent = await message(owner, template_id=OTP_TEMPLATE, data={"otp": "004217"})

    assert (sent["state"], sent["data"]) == ("accepted", {})


async def test_lists_are_paged_newest_first(owner: Api) -> None:
    await connect(owner)
    made = [(await journey(owner))["id"] for _ in range(5)]

    first = (await owner.get("/zalo/journeys", limit=2)).json()
    second = (await owner.get("/zalo/journeys", limit=2, cursor=first["next"])).json()
    third = (await owner.get("/zalo/journeys", limit=2, cursor=second["next"])).json()

    pages = [[one["id"] for one in page["items"]] for page in (first, second, third)]
    assert pages == [made[:2:-1], made[2:0:-1], made[:1]]
    assert third["next"] is None


async def test_templates_are_those_of_zalo(owner: Api, viewer: Api) -> None:
    await connect(owner)

    listed = (await viewer.get("/zalo/templates")).json()["items"]
    one = (await viewer.get(f"/zalo/templates/{OTP_TEMPLATE}")).json()

    assert one in listed
    assert (one["tag"], one["price"], one["timeout_ms"]) == ("OTP", 300.0, 15_000)
    assert [param["name"] for param in one["params"]] == ["otp"]
    assert THEIRS.journey_template not in {template["template_id"] for template in listed}
    assert (await viewer.get(f"/zalo/templates/{THEIRS.journey_template}")).status_code == 404


async def test_a_viewer_changes_nothing(viewer: Api) -> None:
    for path, body in (
        ("/zalo/authorizations", {"app_id": "1", "secret": "a", "redirect_uri": CALLBACK_URL}),
        ("/zalo/connections", {"code": "a", "state": 1}),
        ("/zalo/connections/1/disconnect", None),
        ("/zalo/connections/1/renew", None),
        ("/zalo/journeys", {"phone": LINKED}),
        ("/zalo/messages", {"phone": LINKED, "template_id": 1, "data": {}}),
    ):
        assert (await viewer.post(path, body)).status_code == 403, path


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/zalo/journeys", {"phone": "12"}, "phone"),
        ("/zalo/journeys", {"phone": LINKED, "oa_id": "9" * 19}, "oa_id"),
        ("/zalo/journeys", {"phone": LINKED, "token_type": "token_bus_1"}, "token_type"),
        ("/zalo/messages", {"phone": "x", "template_id": 1, "data": {}}, "phone"),
        ("/zalo/messages", {"phone": LINKED, "template_id": 0, "data": {}}, "template_id"),
        ("/zalo/connections", {"code": "x", "state": 2**53}, "state"),
        ("/zalo/authorizations", {"app_id": 5, "secret": "a", "redirect_uri": CALLBACK_URL}, "app_id"),
    ],
)
async def test_what_is_no_request_is_refused_where_it_is_wrong(
    owner: Api, path: str, body: dict[str, Any], field: str
) -> None:
    await connect(owner)

    answer = await owner.post(path, body)

    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("fault", "status"), [("html_504", 502), ("half_body", 504), ("reset", 504), ("wrong_types", 502)]
)
async def test_a_zalo_that_fails_is_told_as_such_and_nobody_is_invited_to_repeat_it(
    owner: Api, emulator: EmulatedZalo, fault: str, status: int
) -> None:
    await connect(owner)
    await emulator.force(GET_TOKEN, fault, times=9)

    answer = await owner.post("/zalo/journeys", {"phone": LINKED, "oa_id": str(OURS.oa_id)})

    assert answer.status_code == status, answer.text
    assert answer.json()["retryable"] is False
    assert (await owner.get("/zalo/journeys")).json()["items"] == []


# ---------------------------------------------------------------- prices


async def test_prices_are_added_by_the_platform_alone_and_never_change(
    owner: Api, platform: Api, clock: Any
) -> None:
    body = {"item": "journey", "net": 212.5, "source": "Bảng giá mới"}

    assert (await owner.post("/zalo/prices", body)).status_code == 403
    added = await platform.made("/zalo/prices", body)
    listed = (await platform.get("/zalo/prices")).json()["items"]

    assert (added["net"], added["tariff_id"]) == (212.5, None)
    assert listed[-1] == added
    assert [one["item"] for one in listed[:2]] == ["journey", "message_fee"]
    unknown = await platform.post("/zalo/prices", body | {"tariff_id": 99})
    assert [error["path"] for error in unknown.json()["errors"]] == ["tariff_id"]


# ---------------------------------------------------------------- the page that browsers come back to


async def test_the_callback_page_shows_the_command_that_connects(http: httpx.AsyncClient) -> None:
    answer = await http.get("/zalo/callback", params={"code": "a'b", "oa_id": "12", "state": "34"})

    page = unescape(answer.text)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert f"{PUBLIC_URL}/v1/shop.Zalo/ConnectOA" in page
    assert """-d '{"code": "a'"'"'b", "oa_id": "12", "state": 34}'""" in page


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x>', "</pre>", "\u202e\x1b[2J"])
@pytest.mark.parametrize("name", ["code", "oa_id", "state"])
async def test_nothing_that_comes_to_the_callback_page_is_markup(
    http: httpx.AsyncClient, name: str, text: str
) -> None:
    answer = await http.get("/zalo/callback", params={"code": "c", name: text})

    assert answer.status_code == 200
    for markup in ("<script", "<img", "</pre></pre>"):
        assert markup not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_without_a_code_the_callback_page_says_that_nothing_was_granted(
    http: httpx.AsyncClient,
) -> None:
    answer = await http.get("/zalo/callback", params={"state": "34"})

    assert answer.status_code == 200
    assert "curl" not in answer.text


@pytest.mark.parametrize("id", ["%00", "a%00b", "%ff", "%ed%a0%80", "%F0%9D%9F%99", "%C2%B2", "9" * 18])
@pytest.mark.parametrize("things", ["journeys", "messages"])
async def test_whatever_stands_in_the_place_of_an_id_finds_nothing(owner: Api, things: str, id: str) -> None:
    assert (await owner.get(f"/zalo/{things}/{id}")).status_code in (400, 404)
