"""No bytes, query or header that anyone can send gets anything but a documented answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import factories
from tests.facades.vbot.client import Api, Shop, sample, services_on, shop_of
from tests.fakes.clock import FakeClock

from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database


class Made(msgspec.Struct, forbid_unknown_fields=True):
    status: int
    error: int
    msg: str
    data: int
    message: str


class Listed(msgspec.Struct, forbid_unknown_fields=True):
    status: int
    error: int
    msg: str
    data: list[dict[str, Any]]
    message: str


class Refused(msgspec.Struct, forbid_unknown_fields=True):
    status: int
    error: int
    msg: str
    data: str
    message: str


class TokenRefused(msgspec.Struct, forbid_unknown_fields=True):
    error: str
    error_description: str


@dataclass(frozen=True, slots=True)
class World:
    """The API on a database, driven from a thread that is not its own."""

    portal: BlockingPortal
    api: Api
    shop: Shop

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.portal.call(lambda: self.api.http.request(method, path, **more))


@pytest.fixture
def world(database_url: str, keyring: Keyring, clock: FakeClock, tmp_path: Path) -> Iterator[World]:
    async def build() -> tuple[Database, Api, Shop]:
        db = Database(database_url)
        await db.open()
        owner = (await factories.cast(db, keyring)).owner
        return db, Api(services_on(db, keyring, clock, tmp_path)), await shop_of(db, owner)

    with start_blocking_portal() as portal:
        db, api, shop = portal.call(build)
        yield World(portal, api, shop)
        portal.call(api.http.aclose)
        portal.call(db.close)


def check(response: httpx.Response, success: type[msgspec.Struct]) -> None:
    if response.status_code == 401:
        assert msgspec.json.decode(response.content, type=Refused).error == 401
        return
    assert response.status_code == 200, response.text
    if response.json()["status"] == 1:
        msgspec.json.decode(response.content, type=success)
        return
    refused = msgspec.json.decode(response.content, type=Refused)
    assert (refused.status, refused.data) == (0, "-1")
    assert refused.error in (201, 400)
    assert refused.msg == refused.message


# Whatever JSON can say, and what hurts most in it.
TEXTS = st.text(max_size=20) | st.sampled_from(["\x00", "a\x00b", "\ufeff", "\u202e", "%00", "'", "\t\n\\N"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([2**63, -(2**63) - 1, 10**400, 1e308, 5e-324])
    | TEXTS
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
)
KEYS = st.sampled_from(
    ["phone", "name", "numberCall", "description", "call_after", "call_before", "person_ref", "otp_code"]
)
NUMBERS = st.sampled_from(["0901234567", "+84901234568", 901234569, "02438123456", "113", ""]) | VALUES
TIMES = st.sampled_from(["09:00", "25:00", "2026-11-18T09:00:00+07:00", "\x00"])
PAIRS = st.lists(st.fixed_dictionaries({"key": KEYS | VALUES, "value": NUMBERS | TIMES}) | VALUES, max_size=6)
PHONES = st.lists(
    NUMBERS
    | st.fixed_dictionaries({"fields": PAIRS | VALUES})
    | st.fixed_dictionaries(
        {"phone": NUMBERS}, optional={"numberCall": VALUES, "call_after": TIMES | VALUES}
    ),
    max_size=6,
)
NAMES = st.sampled_from(
    ["vbot_id", "vbotId", "project_code", "groupCode", "campaignID", "campaignId", "name", "phones"]
)
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "authorization", "x-api-key", "accept", "content-encoding"]),
    st.binary(max_size=40).map(lambda value: value.replace(b"\n", b"").replace(b"\r", b"")),
)
QUERIES = st.binary(max_size=60) | st.builds(
    lambda name, value: name + b"=" + value,
    st.sampled_from([b"phone", b"page", b"size", b"from", b"to", b"size[]"]),
    st.binary(max_size=30)
    | st.integers().map(lambda number: str(number).encode())
    | st.dates().map(lambda day: day.isoformat().encode())
    | st.datetimes().map(lambda moment: moment.strftime("%m/%d/%Y %H:%M:%S").encode()),
)
FUZZ = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


def encoded(query: bytes) -> str:
    """As a client must send it: the bytes as they are, but for what cannot stand in a request line."""
    return quote(query, safe="=&%[]+;/?:@!$'()*,")


def own(world: World) -> dict[str, str]:
    return {"X-API-Key": world.shop.person.api_key}


@FUZZ
@given(phones=PHONES)
def test_no_contacts_get_an_undocumented_answer(world: World, phones: list[Any]) -> None:
    body = json.dumps(sample(world.shop, phones=phones)).encode()
    check(world.send("POST", "/api/campaign/create", content=body, headers=own(world)), Made)


@FUZZ
@given(changes=st.dictionaries(NAMES, VALUES, min_size=1, max_size=3))
def test_no_parameters_get_an_undocumented_answer(world: World, changes: dict[str, Any]) -> None:
    body = json.dumps(sample(world.shop) | changes).encode()
    check(world.send("POST", "/api/campaign/create", content=body, headers=own(world)), Made)


@FUZZ
@given(
    body=st.binary(max_size=200)
    | st.builds(lambda data: json.dumps(data).encode(), VALUES)
    | st.builds(lambda text: b'{"phones":' + text, st.binary(max_size=50)),
    headers=HEADERS,
    has_key=st.booleans(),
)
def test_no_body_and_no_header_get_an_undocumented_answer(
    world: World, body: bytes, headers: dict[str, bytes], has_key: bool
) -> None:
    sent = {name: value for name, value in headers.items() if not (has_key and name == "x-api-key")}
    for method, path, success in (
        ("POST", "/api/campaign/create", Made),
        ("GET", "/api/crm/historycall/getAll", Listed),
    ):
        all_headers = {**sent, **(own(world) if has_key else {})}
        check(world.send(method, path, content=body, headers=all_headers), success)


@FUZZ
@given(query=QUERIES, headers=HEADERS)
def test_no_query_gets_an_undocumented_answer(world: World, query: bytes, headers: dict[str, bytes]) -> None:
    for path, success in (
        ("/api/crm/historycall/getAll", Listed),
        ("/api/hotline/getAll", Listed),
        ("/api/account/balance", Made),
    ):
        target = f"{path}?{encoded(query)}"
        check(world.send("GET", target, headers=headers), success)
        check(world.send("GET", target, headers=own(world)), success)


@FUZZ
@given(
    body=st.binary(max_size=200)
    | st.builds(lambda data: json.dumps(data).encode(), VALUES)
    | st.fixed_dictionaries(
        {"grant_type": st.sampled_from(["password", "refresh_token"])},
        optional={"username": VALUES, "password": VALUES, "refresh_token": VALUES},
    ).map(lambda data: json.dumps(data).encode())
    | st.builds(lambda text: b"grant_type=refresh_token&refresh_token=" + text, st.binary(max_size=50)),
    headers=HEADERS,
)
def test_no_request_for_a_token_gets_an_undocumented_answer(
    world: World, body: bytes, headers: dict[str, bytes]
) -> None:
    response = world.send("POST", "/token", content=body, headers=headers)
    assert response.status_code == 400, response.text
    assert msgspec.json.decode(response.content, type=TokenRefused).error == "invalid_grant"
