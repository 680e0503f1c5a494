"""Who may come in, and what is answered to a path or a method that is not there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import httpx
import pytest
from tests import factories
from tests.facades.interits.client import PATHS, PREFIX, Api, answer_of, key_of
from tests.factories import Cast
from tests.fakes.clock import FakeClock

from tongdai.domain import accounts
from tongdai.domain.accounts import Role
from tongdai.facades.interits.usecases import USE_CASES
from tongdai.kit.db import Database
from tongdai.ports.services import Services, ZaloOptions

pytestmark = pytest.mark.anyio

WRITING = ["create-journey", "send-zns", "send-journey-zns", "update-shop-oa", "refresh-token"]
METHODS = ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"]
OTHER_PATHS = [
    PREFIX,
    f"{PREFIX}/",
    f"{PREFIX}/zalo",
    f"{PREFIX}/zalo/",
    f"{PREFIX}/zalo/create_journey",
    f"{PREFIX}/zalo/CREATE-JOURNEY",
    f"{PREFIX}/zalo/create-journey/x",
    f"{PREFIX}/zalo//create-journey/..",
    f"{PREFIX}/sms/send-message",
    f"{PREFIX}/zalo/%00",
    f"{PREFIX}/%F0%9F%98%80/%ff",
]


# ---------------------------------------------------------------- keys


async def test_a_key_opens_the_api_and_says_whose_shop_it_is(door: Api, cast: Cast) -> None:
    assert await door.done("current-shop") == {
        "id": str(cast.owner.account_id),
        "image_url": "",
        "name": "Phòng khám An Bình",
        "type": "Shop",
        "website": "",
    }


async def test_no_path_is_open_without_a_key(door: Api) -> None:
    door.key = None
    for name in USE_CASES:
        assert (await door.refused(401, name))["data"] is None


async def test_an_unknown_key_is_unauthorized(door: Api) -> None:
    for key in ("", " ", "x", "0" * 48, "a" * 5000, "\x00", "Ä"):
        sent: Any = {"API-KEY": key.encode("latin-1")}
        answer_of(await door.http.post(f"{PREFIX}/zalo/current-shop", json={}, headers=sent), 401)


async def test_other_headers_are_no_keys(door: Api, cast: Cast) -> None:
    key, door.key = str(door.key), None
    for headers in (
        {"Authorization": f"Bearer {key}"},
        {"accessToken": key},
        {"X-API-KEY": key},
        {"API-KEY": cast.owner.api_key},
        {"API-KEY": cast.owner.secret},
    ):
        answer_of(await door.http.post(f"{PREFIX}/zalo/current-shop", headers=headers), 401)


async def test_other_headers_beside_a_good_key_do_not_matter(door: Api) -> None:
    await door.done("current-shop", Authorization="Bearer nonsense", accessToken="nonsense")


async def test_a_key_is_good_until_it_expires(
    door: Api, db: Database, bare: Services, cast: Cast, clock: FakeClock
) -> None:
    door.key = await key_of(db, bare.keyring, clock, cast.owner, clock.now() + timedelta(days=1))
    await door.done("current-shop")
    clock.advance(timedelta(days=1))
    await door.refused(403, "current-shop")


async def test_a_key_that_its_owner_looks_up_opens_the_api_until_it_is_switched_off(
    door: Api, cast: Cast
) -> None:
    ours: Any = {"headers": {"Authorization": f"Bearer {cast.owner.api_key}"}}
    made = (await door.http.post("/v1/vendor-keys", json={"name": "Kho"}, **ours)).json()
    at = f"/v1/vendor-keys/{made['vendor_key']['id']}"

    door.key = (await door.http.get(f"{at}/key", **ours)).json()["key"]
    await door.done("current-shop")

    await door.http.patch(at, json={"active": False}, **ours)
    answer = await door.refused(403, "current-shop")
    assert answer["message"] == "API-KEY đã ngừng hoạt động hoặc hết hạn"

    await door.http.patch(at, json={"active": True}, **ours)
    await door.done("current-shop")


async def test_the_key_of_a_user_who_was_shut_out_is_unknown(
    door: Api, db: Database, bare: Services, cast: Cast, clock: FakeClock
) -> None:
    door.key = await key_of(db, bare.keyring, clock, cast.colleague)
    await door.done("current-shop")
    async with db.transaction() as tx:
        await accounts.disable_user(tx, cast.owner.account_id, cast.colleague.user.id)
    await door.refused(401, "current-shop")


async def test_a_viewers_key_may_read_and_nothing_else(
    door: Api, db: Database, bare: Services, cast: Cast, clock: FakeClock
) -> None:
    async with db.transaction() as tx:
        account = await accounts.get_account(tx, cast.owner.account_id)
        viewer = await factories.person(tx, account, Role.VIEWER)
    door.key = await key_of(db, bare.keyring, clock, viewer)
    for name in WRITING:
        answer = await door.refused(403, name, {"phone": "0912345678", "webhook_url": ""})
        assert answer["message"] == "API-KEY này chỉ được phép xem"
    for name in ("current-shop", "list-oa", "list-journeys", "list-messages"):
        await door.done(name)


# ---------------------------------------------------------------- envelopes


async def test_each_answer_has_a_referent_of_its_own(door: Api) -> None:
    answers = [answer_of(await door.post("current-shop")) for _ in range(3)]
    assert len({answer["referentId"] for answer in answers}) == 3


async def test_the_code_of_a_success_is_what_the_setting_says(door: Api, bare: Services) -> None:
    other = Api(replace(bare, zalo_options=ZaloOptions(success_code=200)), door.key)
    async with other.http:
        answer = (await other.post("current-shop")).json()
        assert (answer["code"], answer["message"]) == (200, "OK")
        assert (await other.post("get-journey")).json()["code"] == 400


# ---------------------------------------------------------------- paths and methods


async def test_only_post_is_allowed(door: Api) -> None:
    for method, path in product(METHODS, PATHS):
        response = await door.http.request(method, path, headers={"API-KEY": str(door.key)})
        answer_of(response, 405)
        assert response.headers["allow"] == "POST"


async def test_any_other_path_is_not_found(door: Api) -> None:
    for method, path in product(["POST", *METHODS], OTHER_PATHS):
        answer_of(await door.http.request(method, path, headers={"API-KEY": str(door.key)}), 404)


async def test_a_head_request_is_answered_without_a_body(door: Api) -> None:
    for path, status in ((PATHS[0], 405), (f"{PREFIX}/zalo/none", 404)):
        response = await door.http.head(path)
        assert (response.status_code, response.content) == (status, b"")
        assert int(response.headers["content-length"]) > 0


# ---------------------------------------------------------------- bodies


NO_OBJECTS = [
    b"[]",
    b"null",
    b"1",
    b'"x"',
    b"{",
    b"{}x",
    b"\x00",
    b"\xff\xfe",
    b"a=1",
    b'{"oa_id": "\\ud800"}',
    b'{"oa_id": 1e999}',
    b'{"a":' * 50_000,
    b"[" * 250_000,
    b'{"phone": "' + b"9" * 300_000 + b'"}',
]


async def test_a_body_that_is_no_object_is_a_bad_request(door: Api) -> None:
    headers = {"API-KEY": str(door.key)}
    for body in NO_OBJECTS:
        for path in PATHS:
            answer_of(await door.http.post(path, content=body, headers=headers), 400)


async def test_the_content_type_does_not_matter_nor_does_an_absent_body(door: Api) -> None:
    for body in (b"", b"  ", b"{}", b'\xef\xbb\xbf{"x": null}'):
        for kind in ("application/json", "text/plain", "multipart/form-data", "\xff", ""):
            headers: Any = {"API-KEY": door.key, "content-type": kind.encode("latin-1")}
            answer_of(await door.http.post(f"{PREFIX}/zalo/current-shop", content=body, headers=headers))


async def test_a_failing_database_is_told_as_unavailable_and_when_to_come_again(
    bare: Services, door: Api
) -> None:
    away = Database("postgresql://127.0.0.1:1/none")
    broken = Api(replace(bare, db=away), door.key)
    async with broken.http:
        response: httpx.Response = await broken.post("current-shop")
    answer_of(response, 503)
    assert response.headers["retry-after"] == "2"
