"""No bytes and no header that anyone can send to any path get anything but a documented answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import factories
from tests.facades.interits.client import PATHS, PREFIX, Api, connect, key_of, services_on
from tests.fakes.clock import FakeClock
from tests.fakes.zalo import CARE_TEMPLATE, JOURNEY_TEMPLATE, OA_ID, OTP_TEMPLATE, client_of, zalo_emulator

from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database


class Envelope(msgspec.Struct, forbid_unknown_fields=True):
    code: int
    data: dict[str, Any] | None
    message: str
    referentId: str  # noqa: N815 - on the wire


@dataclass(frozen=True, slots=True)
class World:
    """The API on a database and Zalo's emulator, driven from a thread that is not its own."""

    portal: BlockingPortal
    api: Api

    def post(self, path: str, body: bytes, headers: dict[str, Any]) -> httpx.Response:
        return self.portal.call(lambda: self.api.http.post(path, content=body, headers=headers))


@pytest.fixture
def world(database_url: str, keyring: Keyring, clock: FakeClock, tmp_path: Path) -> Iterator[World]:
    async def build(emulator: Any) -> tuple[Database, Any, Api]:
        db = Database(database_url)
        await db.open()
        client = client_of(emulator.url)
        await client.start()
        services = services_on(db, keyring, clock, tmp_path, zalo=client)
        owner = (await factories.cast(db, keyring)).owner
        await connect(services, owner)
        return db, client, Api(services, await key_of(db, keyring, clock, owner), whole=True)

    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(zalo_emulator()) as emulator,
    ):
        db, client, api = portal.call(build, emulator)
        yield World(portal, api)
        portal.call(api.http.aclose)
        portal.call(client.stop)
        portal.call(db.close)


def check(response: httpx.Response, *statuses: int) -> None:
    """One of these, in the envelope: of Zalo's faults none, because it has none here."""
    assert response.status_code in statuses, response.text
    envelope = msgspec.json.decode(response.content, type=Envelope)
    if response.status_code == 200:
        assert (envelope.code, envelope.message) == (0, "OK")
        assert envelope.data is not None
    else:
        assert (envelope.code, envelope.data) == (response.status_code, None)
        assert envelope.message
    assert UUID(envelope.referentId)


# Whatever JSON can say, and what hurts most in it.
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["\x00", "a\x00b", "\ufeff", "\u202e", "%00", "'", "\t\n\\N", "string", "9" * 60, "x" * 300]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**400, 1e308, 5e-324])
    | TEXTS
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
)
OAS = st.sampled_from([str(OA_ID), OA_ID, None]) | VALUES
PHONES = st.sampled_from(["0912345678", "+84901234567", "0912345404", 912345678, "113"]) | VALUES
TIMES = (
    st.sampled_from(["2026-11-18", "2026-11-18T03:00:00Z", "0001-01-01", "9999-12-31T23:59:59-18:00"])
    | VALUES
)
WORDS = st.sampled_from(["Z", "p", "unknown", "seen", "journey", "otp", "created_at", "-created_at"]) | VALUES
DATA = (
    st.dictionaries(
        st.sampled_from(["otp", "ten_khach_hang", "ma_don", "dia_chi"]) | TEXTS, VALUES, max_size=5
    )
    | VALUES
)
FILTER = (
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("oa_id", "app_id", "campaign_id", "template_id", "user_id"), OAS),
            **dict.fromkeys(("journey_id", "msg_id", "tracking_id", "name", "template_name"), VALUES),
            **dict.fromkeys(("date_from", "date_to"), TIMES),
            **dict.fromkeys(("status", "delivery_status", "msg_type", "type", "time_type"), WORDS),
            **dict.fromkeys(("charged", "is_charged", "is_development"), st.booleans() | VALUES),
            "phone": PHONES,
        },
    )
    | VALUES
)
PAGING = (
    st.fixed_dictionaries(
        {},
        optional={
            "after": st.sampled_from(["aWQ6Nw==", "aWQ6OTIyMzM3MjAzNjg1NDc3NTgwNw=="]) | VALUES,
            "before": st.sampled_from(["aWQ6Nw==", "aWQ6"]) | VALUES,
            "limit": st.integers(-5, 5000) | VALUES,
            "sort": WORDS,
        },
    )
    | VALUES
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "oa_id": OAS,
        "phone": PHONES,
        "token_type": st.sampled_from(["token_logistics_30", "UNKNOWN"]) | VALUES,
        "template_id": st.sampled_from([CARE_TEMPLATE, OTP_TEMPLATE, str(JOURNEY_TEMPLATE)]) | VALUES,
        "template_data": DATA,
        "tracking_id": VALUES,
        "journey_id": st.sampled_from(["1", 1, 2**63]) | VALUES,
        "msg_id": st.sampled_from(["1", 1, 2**63]) | VALUES,
        "webhook_url": st.sampled_from(["", "https://shop.example.vn/x"]) | VALUES,
        "mode": WORDS,
        "sending_mode": WORDS,
        "filter": FILTER,
        "paging": PAGING,
    },
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "content-type",
            "authorization",
            "accesstoken",
            "api-key",
            "accept",
            "content-encoding",
            "idempotency-key",
        ]
    ),
    st.binary(max_size=40).map(lambda value: value.replace(b"\n", b"").replace(b"\r", b"")),
)
FUZZ = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
)


@FUZZ
@given(body=BODIES | VALUES)
def test_no_json_gets_an_undocumented_answer(world: World, body: object) -> None:
    content = json.dumps(body).encode()
    for path in PATHS:
        check(world.post(path, content, {"API-KEY": world.api.key}), 200, 400, 404)


@FUZZ
@given(
    body=st.binary(max_size=200)
    | st.builds(lambda text: b'{"phone":' + text, st.binary(max_size=50))
    | st.builds(lambda text: json.dumps({"phone": text, "oa_id": text}).encode(), VALUES),
    headers=HEADERS,
    has_key=st.booleans(),
)
def test_no_body_and_no_header_get_an_undocumented_answer(
    world: World, body: bytes, headers: dict[str, bytes], has_key: bool
) -> None:
    sent: dict[str, Any] = {
        name: value for name, value in headers.items() if name != "api-key" or not has_key
    }
    if has_key:
        sent["API-KEY"] = world.api.key
    for path in PATHS:
        check(world.post(path, body, sent), *((200, 400, 404) if has_key else (401,)))


@FUZZ
@given(path=st.text(max_size=30), method=st.sampled_from(["GET", "POST", "PUT", "OPTIONS", "X", "zalo"]))
def test_no_other_path_gets_an_undocumented_answer(world: World, path: str, method: str) -> None:
    url = httpx.URL("http://tongdai.test", raw_path=f"{PREFIX}/".encode() + _quoted(path))
    check(world.portal.call(lambda: world.api.http.request(method, url)), 401, 404, 405)


def _quoted(text: str) -> bytes:
    return b"".join(b"%%%02x" % byte for byte in text.encode("utf-8", "surrogatepass"))
