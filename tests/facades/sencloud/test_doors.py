"""Who comes in, by which door: paths, verbs, content types, keys and roles. Strangers do not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from litestar import Litestar
from tests.facades.sencloud.client import (
    ALL,
    LINKED,
    PATHS,
    Api,
    refusal_of,
)
from tests.factories import Cast
from tests.fakes.clock import FakeClock
from tests.fakes.zalo import (
    APP_ID,
    JOURNEY_TEMPLATE,
    SECOND_OA_ID,
    TRANSACTION_TEMPLATE,
    EmulatedZalo,
    client_at,
)

from tongdai.app import create_app
from tongdai.domain import accounts
from tongdai.domain.accounts import Role
from tongdai.facades.sencloud.routes import METHODS
from tongdai.kit.db import Database
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio

READING = [name for name, (_, role) in METHODS.items() if role is Role.VIEWER]
DOING = [name for name, (_, role) in METHODS.items() if role is Role.OPERATOR]
VERBS = ["GET", "PUT", "PATCH", "DELETE", "TRACE", "BREW"]


@pytest.fixture
async def whole(services: Services, cast: Cast) -> AsyncIterator[Api]:
    """The owner's, on the app with all its APIs."""
    api = Api(services, cast.owner.api_key, whole=True)
    yield api
    await api.http.aclose()


async def test_the_app_has_every_method_for_shops_and_for_partners(services: Services) -> None:
    app: Litestar = create_app(services, metrics=False)
    paths = {route.path for route in app.routes}
    assert set(PATHS) <= paths
    assert len(PATHS) == 32
    assert {"Zalo/ConnectOA", "Zalo/CreateJourney", "Misc/CurrentAccount"} <= set(ALL)


# ---------------------------------------------------------------- paths, verbs, content types


async def test_unknown_methods_and_services_are_bad_routes_in_the_whole_app(whole: Api) -> None:
    for path in (
        "/v1/shop.Zalo/DisconnectOA",
        "/v1/shop.Zalo/connectOA",
        "/v1/shop.Zalo/",
        "/v1/shop.Zalo",
        "/v1/shop.Zalo/ListOA/more",
        "/v1/shop.Etelecom/ListCallLogs",
        "/v1/partner.Nothing/X",
        "/v1/shop.",
    ):
        refused = refusal_of(await whole.http.post(path, json={}), "bad_route")
        assert refused["meta"] == {"twirp_invalid_route": f"POST {path}"}


async def test_another_verb_than_post_is_a_bad_route_in_the_whole_app(whole: Api) -> None:
    paths = ("/v1/shop.Zalo/ListOA", "/v1/partner.Misc/CurrentAccount", "/v1/shop.Zalo/Nothing")
    for verb, path in product(VERBS, paths):
        refusal_of(await whole.http.request(verb, path), "bad_route")


async def test_a_question_for_the_head_alone_gets_no_body(whole: Api) -> None:
    answer = await whole.http.head("/v1/shop.Zalo/ListOA")
    assert (answer.status_code, answer.content) == (404, b"")


async def test_paths_of_our_own_api_are_refused_in_its_own_words(whole: Api) -> None:
    for method, path in (("GET", "/v1/nothing"), ("GET", "/v1/shop"), ("GET", "/nothing")):
        answer = await whole.http.request(method, path)
        assert answer.status_code == 404
        assert answer.json()["type"] == "urn:tongdai:problem:not-found"


async def test_the_whole_app_answers_as_the_facade_does(whole: Api, cast: Cast) -> None:
    shown = await whole.done("shop.Misc/CurrentAccount")
    assert shown["id"] == str(cast.owner.account_id)
    await whole.refused("invalid_argument", "ConnectOA", {})


async def test_every_method_wants_json(api: Api) -> None:
    for path in PATHS:
        answer = await api.http.post(
            path, content=b"{}", headers={"Authorization": f"Bearer {api.key}", "Content-Type": "text/plain"}
        )
        refused = refusal_of(answer, "bad_route")
        assert refused["msg"] == "unexpected Content-Type: 'text/plain'"


async def test_every_method_wants_an_object(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.key}", "Content-Type": "application/json"}
    for path in PATHS:
        for body in (b"[]", b"{", b"null", b"\xff"):
            refusal_of(await api.http.post(path, content=body, headers=headers), "malformed")


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer td_wrong", "Basic dTpw", "Bearer \u00ff", "td_wrong"]
)
async def test_without_a_good_key_nothing_is_open(api: Api, header: str | None) -> None:
    headers = {} if header is None else {b"Authorization": header.encode("latin-1")}
    for path in PATHS:
        refused = refusal_of(await api.http.post(path, json={}, headers=headers), "unauthenticated")
        assert "Bearer" in refused["msg"]


async def test_a_revoked_key_opens_nothing(api: Api, db: Database, cast: Cast) -> None:
    async with db.transaction() as tx:
        issued = await accounts.issue_api_key(tx, cast.owner.account_id, cast.owner.user.id, "short")
    other = api.as_(issued.key)
    await other.done("shop.Misc/CurrentAccount")
    async with db.transaction() as tx:
        await accounts.revoke_api_key(tx, cast.owner.account_id, issued.id)
    await other.refused("unauthenticated", "shop.Misc/CurrentAccount")


async def test_neither_a_platforms_key_nor_another_vendors_opens_anything(
    api: Api, services: Services, cast: Cast, clock: FakeClock
) -> None:
    async with services.db.transaction() as tx:
        platform = await accounts.issue_platform_key(tx, "operator")
        _, vendors = await accounts.issue_vendor_key(
            tx,
            services.keyring,
            cast.owner.account_id,
            cast.owner.user.id,
            "interits",
            "tests",
            now=clock.now(),
            expires_at=None,
        )
    for key in (platform.key, vendors, cast.owner.secret):
        for method in ALL:
            await api.as_(key).refused("unauthenticated", f"shop.{method}")


async def test_a_key_says_whose_it_is(api: Api, db: Database, cast: Cast) -> None:
    async with db.transaction() as tx:
        account = await accounts.get_account(tx, cast.owner.account_id)
    shown = await api.done("shop.Misc/CurrentAccount")
    assert shown == {
        "id": str(account.id),
        "image_url": "",
        "name": account.name,
        "type": "shop",
        "website": "",
    }
    assert await api.done("partner.Misc/CurrentAccount") == {**shown, "type": "partner"}


async def test_partners_call_the_same_methods(api: Api, oa: dict[str, Any]) -> None:
    made = await api.done("partner.Zalo/CreateJourney", {"oa_id": oa["oa_id"], "phone": LINKED})
    assert await api.done("GetJourney", {"journey_id": made["journey_id"]}) == made


# ---------------------------------------------------------------- roles


def bodies(oa: dict[str, Any], journey: dict[str, Any], message: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A good body for every method that takes one, with ids that are the owner's."""
    data = {"ten_khach_hang": "Lan", "ma_don": "DH-1", "so_tien": "1", "ngay": "18/11/2026"}
    zns = {"oa_id": oa["oa_id"], "phone": LINKED, "template_id": TRANSACTION_TEMPLATE, "template_data": data}
    return {
        "Zalo/AuthorizeOA": {"app_id": str(APP_ID), "app_secret": "s", "redirect_uri": "https://x.vn/"},
        "Zalo/RefreshToken": {"oa_id": oa["oa_id"]},
        "Zalo/ConnectOA": {"code": "c", "oa_id": oa["oa_id"], "state": 1},
        "Zalo/ListOA": {"filter": {"oa_id": oa["oa_id"]}},
        "Zalo/GetShopOA": {"oa_id": oa["oa_id"]},
        "Zalo/UpdateShopOA": {"oa_id": oa["oa_id"], "webhook_url": "https://evil.example/"},
        "Zalo/CreateJourney": {"oa_id": oa["oa_id"], "phone": LINKED},
        "Zalo/GetJourney": {"journey_id": journey["journey_id"]},
        "Zalo/ListJourneys": {"filter": {"journey_id": journey["journey_id"], "oa_id": oa["oa_id"]}},
        "Zalo/SendZNS": zns,
        "Zalo/SendZNSJourney": {
            **zns,
            "journey_id": journey["journey_id"],
            "template_id": JOURNEY_TEMPLATE,
        },
        "Zalo/GetMessage": {"msg_id": message["msg_id"]},
        "Zalo/ListMessages": {"filter": {"msg_id": message["msg_id"], "oa_id": oa["oa_id"]}},
        "Zalo/ListTemplates": {"filter": {"oa_id": oa["oa_id"]}},
        "Zalo/GetTemplate": {"oa_id": oa["oa_id"], "template_id": TRANSACTION_TEMPLATE},
        "Misc/CurrentAccount": {},
    }


@pytest.fixture
async def owners(api: Api, oa: dict[str, Any]) -> dict[str, dict[str, Any]]:
    journey = await api.done("CreateJourney", {"oa_id": oa["oa_id"], "phone": LINKED})
    sample = bodies(oa, journey, {"msg_id": ""})["Zalo/SendZNS"]
    message = await api.done("SendZNS", sample)
    assert message["status"] == "P"
    await api.done("ListTemplates")
    return bodies(oa, journey, message)


async def test_a_viewer_may_look_and_do_nothing(
    api: Api, viewer: Api, owners: dict[str, dict[str, Any]]
) -> None:
    assert set(READING) | set(DOING) == set(owners)
    for method in READING:
        assert await viewer.done(f"shop.{method}", owners[method]) == await api.done(
            f"shop.{method}", owners[method]
        )
    for method in DOING:
        await viewer.refused("permission_denied", f"shop.{method}", owners[method])


async def test_an_operator_of_the_shop_may_send(
    api: Api, cast: Cast, owners: dict[str, dict[str, Any]]
) -> None:
    colleague = api.as_(cast.colleague.api_key)
    sent = await colleague.done("SendZNS", owners["Zalo/SendZNS"])
    assert sent["user_id"] == str(cast.colleague.user.id)


# ---------------------------------------------------------------- strangers


# What a stranger is told who names what is another shop's; None: an empty list.
TOLD: dict[str, str | None] = {
    "Zalo/RefreshToken": "not_found",
    "Zalo/ConnectOA": "invalid_argument",
    "Zalo/ListOA": None,
    "Zalo/GetShopOA": "not_found",
    "Zalo/UpdateShopOA": "not_found",
    "Zalo/CreateJourney": "not_found",
    "Zalo/GetJourney": "not_found",
    "Zalo/ListJourneys": None,
    "Zalo/SendZNS": "not_found",
    "Zalo/SendZNSJourney": "not_found",
    "Zalo/GetMessage": "not_found",
    "Zalo/ListMessages": None,
    "Zalo/ListTemplates": "not_found",
    "Zalo/GetTemplate": "not_found",
}


async def test_a_stranger_finds_and_changes_nothing_of_another_shop(
    api: Api, stranger: Api, owners: dict[str, dict[str, Any]]
) -> None:
    assert set(TOLD) == set(owners) - {"Zalo/AuthorizeOA", "Misc/CurrentAccount"}
    before = await everything(api)
    for method, code in TOLD.items():
        if code is None:
            shown = await stranger.done(f"shop.{method}", owners[method])
            assert [value for name, value in shown.items() if name != "paging"] == [[]], method
        else:
            await stranger.refused(code, f"shop.{method}", owners[method])
    assert await everything(api) == before


async def test_another_shops_ids_are_refused_even_beside_an_official_account_of_ones_own(
    stranger: Api, owners: dict[str, dict[str, Any]], emulator: EmulatedZalo
) -> None:
    await stranger.connect(emulator, SECOND_OA_ID)
    own = {"oa_id": str(SECOND_OA_ID)}
    await stranger.refused("not_found", "GetJourney", {**owners["Zalo/GetJourney"], **own})
    await stranger.refused("not_found", "GetMessage", {**owners["Zalo/GetMessage"], **own})
    await stranger.refused("not_found", "SendZNSJourney", {**owners["Zalo/SendZNSJourney"], **own})
    sent = await stranger.done("SendZNS", {**owners["Zalo/SendZNS"], **own})
    assert sent["status"] == "N"
    assert (await stranger.done("ListJourneys"))["journeys"] == []


async def everything(api: Api) -> list[dict[str, Any]]:
    return [await api.done(name) for name in ("ListOA", "ListJourneys", "ListMessages", "ListTemplates")]


# ---------------------------------------------------------------- what is away


async def test_without_a_way_to_zalo_what_is_kept_is_still_shown(
    services: Services, cast: Cast, owners: dict[str, dict[str, Any]]
) -> None:
    cut_off = Api(replace(services, zalo=None), cast.owner.api_key)
    await cut_off.refused("unavailable", "CreateJourney", owners["Zalo/CreateJourney"])
    assert (await cut_off.done("GetJourney", owners["Zalo/GetJourney"]))["status"] == "Z"
    await cut_off.http.aclose()


async def test_a_zalo_that_is_down_is_unavailable(
    services: Services, cast: Cast, owners: dict[str, dict[str, Any]]
) -> None:
    async with client_at("http://127.0.0.1:9") as client:
        down = Api(replace(services, zalo=client), cast.owner.api_key)
        answer = await down.post("CreateJourney", owners["Zalo/CreateJourney"])
        assert refusal_of(answer, "unavailable")
        assert answer.headers["retry-after"] == "2"
        await down.http.aclose()


async def test_a_database_that_is_away_is_unavailable_and_says_no_more(
    services: Services, cast: Cast
) -> None:
    gone = Database("postgresql://127.0.0.1:9/none?connect_timeout=1")
    away = Api(replace(services, db=gone), cast.owner.api_key)
    for method in ("shop.Misc/CurrentAccount", "ListOA", "CreateJourney"):
        answer = await away.post(method, {"phone": LINKED})
        assert refusal_of(answer, "unavailable")["msg"].startswith("The platform cannot answer")
    await away.http.aclose()
