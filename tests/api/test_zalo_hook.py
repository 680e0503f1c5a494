"""The address that Zalo sends events to: what is answered to whom, whatever is sent."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.factories import Cast, cast
from tests.fakes.clock import FakeClock
from tests.zalo_told import APP_ID, OA_ID, Shop, event, journey, message, ms, shop, signed, template

from tongdai.adapters.files import FileStorage
from tongdai.app import create_app
from tongdai.domain.zalo.events import EFFECTS
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.hints import Hinter
from tongdai.kit.zalo_signs import event_signature
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio


@pytest.fixture
async def owner_shop(services: Services, people: Cast) -> Shop:
    return await shop(services.db, services.keyring, people.owner, services.clock.now())


@pytest.fixture
def address(owner_shop: Shop) -> str:
    return f"/zalo/webhook/{owner_shop.app.hook}"


async def post(http: httpx.AsyncClient, address: str, body: bytes, headers: dict[str, str]) -> int:
    answer = await http.post(address, content=body, headers=headers)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content == b""
    return answer.status_code


async def test_the_signature_of_the_reference_is_right() -> None:
    body = b'{"app_id":"1234567890","event_name":"user_received_message","timestamp":"1700000000123"}'
    assert event_signature(1234567890, body, 1700000000123, "oa-secret-key-sample") == (
        "mac=8201255f5ce8f8f85745cd36f5ad1ab83a30c1d2fb3a22fcd50431069c6aa747"
    )


async def test_each_request_is_answered_as_zalo_reads_it(
    http: httpx.AsyncClient, services: Services, address: str
) -> None:
    now = services.clock.now()
    body = event("follow", now, oa_id=str(OA_ID))
    late = event("follow", now.replace(year=2020), oa_id=str(OA_ID))

    assert await post(http, address, b"{}", {}) == 200
    assert await post(http, address, body, {}) == 401
    assert await post(http, address, body, signed(body, now, key="another")) == 401
    assert await post(http, address, late, signed(late, now.replace(year=2020))) == 403
    assert await post(http, address, body, signed(body, now)) == 200
    assert await post(http, address, body, signed(body, now) | {"num_retry": "1"}) == 200


@pytest.mark.parametrize("hook", ["nobody", "%00", "a%00b", "đ", "%FF", "..", "x" * 5000, "1;DROP"])
async def test_an_address_that_was_never_given_out_is_not_found(http: httpx.AsyncClient, hook: str) -> None:
    for body in (b"{}", b'{"event_name":"follow"}'):
        answer = await http.post(f"/zalo/webhook/{quote(hook, safe='%')}", content=body)
        assert answer.status_code in (400, 404, 405)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused(http: httpx.AsyncClient, address: str, method: str) -> None:
    assert (await http.request(method, address)).status_code == 405


async def test_no_key_is_asked_for_and_the_address_is_in_no_document(
    http: httpx.AsyncClient, address: str
) -> None:
    assert await post(http, address, b"{}", {"content-type": "text/plain"}) == 200
    paths = (await http.get("/schema/openapi.json")).json()["paths"]
    assert [path for path in paths if "webhook/" in path] == []


async def test_a_body_of_256_kib_is_taken_and_a_longer_one_refused_unread(
    http: httpx.AsyncClient, services: Services, address: str
) -> None:
    now = services.clock.now()
    short = event("user_send_text", now, oa_id=str(OA_ID), text="")
    largest = event("user_send_text", now, oa_id=str(OA_ID), text="x" * (256 * 1024 - len(short)))
    longer = largest[:-2] + b'x"}'

    assert len(largest) == 256 * 1024
    assert await post(http, address, largest, signed(largest, now)) == 200
    assert await post(http, address, longer, signed(longer, now)) == 413


async def test_a_body_in_pieces_is_signed_as_a_whole(
    http: httpx.AsyncClient, services: Services, address: str
) -> None:
    now = services.clock.now()
    body = event("follow", now, oa_id=str(OA_ID))

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    answer = await http.post(address, content=pieces(), headers=signed(body, now))
    assert answer.status_code == 200


async def test_an_address_of_one_account_tells_nothing_of_another(
    http: httpx.AsyncClient, services: Services, people: Cast, address: str
) -> None:
    now = services.clock.now()
    other = await shop(services.db, services.keyring, people.stranger, now, oa_id=5, key="another-key")
    body = event("follow", now, oa_id="5")

    assert await post(http, f"/zalo/webhook/{other.app.hook}", body, signed(body, now)) == 401
    assert await post(http, address, body, signed(body, now, key="another-key")) == 401


# ---------------------------------------------------------------- whatever is sent


@dataclass(frozen=True)
class Fuzzed:
    """The app on a loop of its own."""

    portal: BlockingPortal
    http: httpx.AsyncClient
    shop: Shop
    clock: FakeClock

    def post(self, body: bytes, headers: dict[str, str] | list[tuple[bytes, bytes]]) -> int:
        async def post() -> int:
            address = f"/zalo/webhook/{self.shop.app.hook}"
            return (await self.http.post(address, content=body, headers=headers)).status_code

        return self.portal.call(post)


@pytest.fixture
def fuzzed(database_url: str, tmp_path: Path, keyring: Keyring) -> Iterator[Fuzzed]:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_serving(portal, database_url, tmp_path, keyring)) as running,
    ):
        yield running


def _serving(portal: BlockingPortal, url: str, folder: Path, keyring: Keyring) -> Any:
    @asynccontextmanager
    async def serving() -> AsyncIterator[Fuzzed]:
        clock, db = FakeClock(), Database(url)
        await db.open()
        hinter = Hinter(db)
        services = Services(
            db=db, keyring=keyring, clock=clock, hinter=hinter, storage=FileStorage(folder / "files")
        )
        people = await cast(db)
        made = await shop(db, keyring, people.owner, clock.now())
        async with db.transaction() as tx:
            await message(tx, made, clock.now())
            await journey(tx, made, clock.now())
            await template(tx, made, clock.now())
        transport = httpx.ASGITransport(app=create_app(services, metrics=False))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://tests") as http:
            yield Fuzzed(portal, http, made, clock)
        await db.close()

    return serving()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(
        ["m1", "77", "7", str(OA_ID), OA_ID, "t1", "ZNS", "-1", str(2**63), 2**63, "\0", "9" * 400, 1e300]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
FIELDS = ("oa_id", "oaId", "app_id", "appId", "timestamp", "journeyId", "journey_id", "template_id",
          "quality", "reason", "sender", "recipient", "message", "quota", "status", "data")  # fmt: skip
INNER = ("id", "msg_id", "msg_ids", "tracking_id", "delivery_time", "submit_time", "rate", "note",
         "feedbacks", "new_value", "new_status", "journeyId")  # fmt: skip
parts = st.dictionaries(st.sampled_from(INNER), anything, max_size=8)
events = st.fixed_dictionaries(
    {"event_name": st.sampled_from(sorted(EFFECTS))},
    optional=dict.fromkeys(FIELDS, parts | anything),
)
HOW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@HOW
@given(told=events, of_ours=st.booleans())
def test_whatever_zalo_signs_is_taken(
    fuzzed: Fuzzed, told: dict[str, Any], of_ours: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Well signed, by the header's time: events with anything in the places that are read."""
    now = fuzzed.clock.now()
    if of_ours:
        told = {name: value for name, value in told.items() if name not in ("app_id", "appId")}
        told |= {"oa_id": str(OA_ID)}
    body = json.dumps(told).encode()
    app_id = told.get("app_id")
    signer = int(app_id) if isinstance(app_id, (str, int)) and str(app_id).isdecimal() else APP_ID
    headers = signed(body, now, app_id=signer) | {"x-zevent-timestamp": ms(now), "x-zevent-server": "ZNS"}

    with caplog.at_level(logging.ERROR):
        status = fuzzed.post(body, headers)

    assert status == 200 if of_ours else status in (200, 401)
    assert caplog.records == []


@HOW
@given(
    body=st.binary(max_size=300)
    | anything.map(lambda value: json.dumps(value).encode())
    | st.just(b"[" * 9999)
)
def test_any_bytes_that_are_well_signed_are_taken_without_effect(fuzzed: Fuzzed, body: bytes) -> None:
    now = fuzzed.clock.now()
    headers = signed(body, now) | {"x-zevent-timestamp": ms(now)}
    assert fuzzed.post(body, headers) in (200, 401)


@HOW
@given(
    body=st.binary(max_size=300) | events.map(lambda value: json.dumps(value).encode()),
    signature=st.binary(max_size=80),
    timestamp=st.binary(max_size=30),
)
def test_what_is_badly_signed_is_refused_whatever_it_is(
    fuzzed: Fuzzed, body: bytes, signature: bytes, timestamp: bytes
) -> None:
    bad = set(b"\r\n\0")
    headers = [
        (b"x-zevent-signature", bytes(one for one in signature if one not in bad)),
        (b"x-zevent-timestamp", bytes(one for one in timestamp if one not in bad)),
    ]
    assert fuzzed.post(body, headers) == 401
