"""No bytes and no header that anyone can send get anything but an object or a documented refusal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests import factories
from tests.facades.sencloud.client import ALL, LINKED, UNLINKED, Api, services_on
from tests.fakes.clock import FakeClock
from tests.fakes.zalo import APP_ID, JOURNEY_TEMPLATE, OA_ID, TRANSACTION_TEMPLATE, client_at, zalo_emulator

from tongdai.facades.sencloud.errors import STATUS
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

NAMES = [
    "oa_id",
    "app_id",
    "app_secret",
    "redirect_uri",
    "code",
    "state",
    "phone",
    "token_type",
    "journey_id",
    "template_id",
    "template_data",
    "tracking_id",
    "mode",
    "sending_mode",
    "msg_id",
    "webhook_url",
    "filter",
    "paging",
    "oaId",
]
FILTERS = [
    "app_id",
    "oa_id",
    "name",
    "date_from",
    "date_to",
    "journey_id",
    "phone",
    "charged",
    "is_charged",
    "status",
    "msg_id",
    "msg_type",
    "campaign_id",
    "delivery_status",
    "template_id",
    "template_name",
    "tracking_id",
    "time_type",
    "is_development",
    "user_id",
    "type",
]


@dataclass(frozen=True, slots=True)
class World:
    """The API on a database and an emulated Zalo, driven from a thread that is not theirs."""

    portal: BlockingPortal
    api: Api
    journey_id: str
    msg_id: str

    def send(self, path: str, **more: Any) -> httpx.Response:
        return self.portal.call(lambda: self.api.http.post(path, **more))


@pytest.fixture
def world(database_url: str, keyring: Keyring, clock: FakeClock, tmp_path: Path) -> Iterator[World]:
    stack = AsyncExitStack()

    async def build() -> World:
        db = Database(database_url)
        await db.open()
        stack.push_async_callback(db.close)
        emulator = await stack.enter_async_context(zalo_emulator())
        client = await stack.enter_async_context(client_at(emulator.url))
        owner = (await factories.cast(db, keyring)).owner
        api = Api(services_on(db, keyring, clock, tmp_path, zalo=client), owner.api_key)
        stack.push_async_callback(api.http.aclose)
        await api.connect(emulator)
        journey = await api.done("CreateJourney", {"phone": LINKED})
        message = await api.done("SendZNS", SENT)
        return World(portal, api, journey["journey_id"], message["msg_id"])

    with start_blocking_portal() as portal:
        yield portal.call(build)
        portal.call(stack.aclose)


SENT: dict[str, Any] = {
    "phone": LINKED,
    "template_id": TRANSACTION_TEMPLATE,
    "template_data": {"ten_khach_hang": "Lan", "ma_don": "DH-1", "so_tien": "1", "ngay": "18/11/2026"},
}


def check(answer: httpx.Response) -> None:
    """Zalo and the database answer, so not even a 503 is right."""
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    shown = answer.json()
    assert isinstance(shown, dict)
    if answer.status_code == 200:
        assert "code" not in shown
        return
    assert set(shown) <= {"code", "msg", "meta"}, shown
    assert shown["msg"], shown
    assert answer.status_code == STATUS[shown["code"]], shown
    assert answer.status_code < 500, shown


def check_all(world: World, body: bytes, headers: dict[str, Any] | None = None) -> None:
    sent = {"Authorization": f"Bearer {world.api.key}", "Content-Type": "application/json", **(headers or {})}
    for method in ALL:
        check(world.send(f"/v1/shop.{method}", content=body, headers=sent))


# Whatever JSON can say, and what hurts most in it.
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["\x00", "a\x00b", "\ufeff", "\u202e", "%00", "'", "\t\n\\N", "\U0010ffff", "e\u0301" * 40]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 10**400, 1e308, 5e-324, -0.0])
    | TEXTS
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
)
NEARLY_GOOD = st.sampled_from(
    [
        str(OA_ID),
        OA_ID,
        str(APP_ID),
        LINKED,
        UNLINKED,
        "84901234567",
        "113",
        TRANSACTION_TEMPLATE,
        str(JOURNEY_TEMPLATE),
        "token_logistics_30",
        "development",
        "tag3",
        "https://shop.example.vn/zalo",
        "https://\u0130.example/",
        "http://[::1",
        "-created_at",
        "Z",
        "2026-11-18",
        "2026-11-18T00:00:00+14:00",
        "aWQ6MQ==",
        "aWQ6OTIyMzM3MjAzNjg1NDc3NTgwNw==",
        True,
        1,
        "1",
        {"ten_khach_hang": "Lan", "ma_don": "DH-1"},
        {"ten_khach_hang": ["x"], "ma_don": {"a": 1e308}},
    ]
)
FILTER = st.dictionaries(st.sampled_from(FILTERS), NEARLY_GOOD | VALUES, max_size=5)
PAGING = st.dictionaries(st.sampled_from(["after", "before", "limit", "sort"]), NEARLY_GOOD | VALUES)
BODIES = st.fixed_dictionaries(
    {}, optional={name: NEARLY_GOOD | VALUES for name in NAMES if name not in ("filter", "paging")}
).flatmap(
    lambda plain: st.fixed_dictionaries(
        {}, optional={"filter": FILTER | VALUES, "paging": PAGING | VALUES}
    ).map(lambda lists: {**plain, **lists})
)
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "authorization", "idempotency-key", "accept", "content-encoding"]),
    st.binary(max_size=40).map(lambda value: value.replace(b"\n", b"").replace(b"\r", b"")),
)
FUZZ = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


@FUZZ
@given(body=BODIES)
def test_no_object_gets_an_undocumented_answer(world: World, body: dict[str, Any]) -> None:
    check_all(world, json.dumps(body).encode())


@FUZZ
@given(change=st.dictionaries(st.sampled_from(NAMES), NEARLY_GOOD | VALUES, min_size=1, max_size=2))
def test_no_slip_in_a_good_request_gets_an_undocumented_answer(world: World, change: dict[str, Any]) -> None:
    good = {
        **SENT,
        "oa_id": str(OA_ID),
        "journey_id": world.journey_id,
        "msg_id": world.msg_id,
        "webhook_url": "",
        "app_id": str(APP_ID),
        "app_secret": "s",
        "redirect_uri": "https://x.vn/",
        "code": "c",
        "state": "5",
    }
    check_all(world, json.dumps({**good, **change}).encode())


@FUZZ
@given(data=st.dictionaries(TEXTS | st.sampled_from(["ten_khach_hang", "ma_don"]), VALUES, max_size=6))
def test_no_data_of_a_template_gets_an_undocumented_answer(world: World, data: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {world.api.key}"}
    for method, template in (("SendZNS", TRANSACTION_TEMPLATE), ("SendZNSJourney", JOURNEY_TEMPLATE)):
        merged = {**SENT["template_data"], **data}
        body = {**SENT, "template_id": template, "template_data": merged, "journey_id": world.journey_id}
        check(world.send(f"/v1/shop.Zalo/{method}", json=body, headers=headers))


@FUZZ
@given(
    body=st.binary(max_size=200)
    | st.builds(lambda value: json.dumps(value).encode(), VALUES)
    | st.builds(lambda tail: b'{"phone":' + tail, st.binary(max_size=50)),
    headers=HEADERS,
)
@example(body=b'{"phone": "\\ud800"}', headers={})
@example(body=b'{"oa_id": ' + b"9" * 5000 + b"}", headers={})
@example(body=b'{"filter": ' * 5000, headers={})
@example(body=b'{"template_data": ' + b'{"a": ' * 200 + b"1" + b"}" * 201, headers={})
@example(body=b'{"oa_id": 1e400}', headers={})
@example(body=b"", headers={})
@example(body=b"{}", headers={"authorization": b"Bearer \xff\x00"})
@example(body=b"{}", headers={"idempotency-key": b"\x00"})
def test_no_bytes_and_no_headers_get_an_undocumented_answer(
    world: World, body: bytes, headers: dict[str, bytes]
) -> None:
    check_all(world, body, headers)
    check_all(world, body, {"content-type": b"application/json", **headers})


@FUZZ
@given(tail=st.text(max_size=30))
@example(tail="Zalo/ConnectOA/..")
@example(tail="\x00/\x00")
@example(tail="Zalo/%00")
def test_no_path_below_the_services_gets_an_undocumented_answer(world: World, tail: str) -> None:
    for side in ("shop", "partner"):
        check(world.send(f"/v1/{side}.{quote(tail, safe='/.')}", json={}))
