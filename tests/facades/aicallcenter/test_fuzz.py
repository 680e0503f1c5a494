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
from tests.facades.aicallcenter.client import Api, services_on
from tests.fakes.clock import FakeClock

from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

FAILURES = {
    ("401", "access token không chính xác. bạn không có quyền truy cập"),
    ("401", "secret_key không chính xác"),
    ("400", "contacts không đúng định dạng"),
    ("01", "campaign_id không hợp lệ"),
    ("03", "The campaign stopped. Can not import data"),
}


class Failed(msgspec.Struct, forbid_unknown_fields=True):
    status: int
    code: str
    message: str


class Contact(msgspec.Struct, forbid_unknown_fields=True):
    phone_number: str
    call_id: int


class Imported(msgspec.Struct, forbid_unknown_fields=True):
    status: int
    message: str
    results: list[Contact]


class Row(msgspec.Struct, forbid_unknown_fields=True):
    call_id: int
    caller_id: str
    callee_id: str
    called_at: str
    duration: int
    key_press: str
    note: str
    state: int


class LoggedRow(Row, forbid_unknown_fields=True):
    campaign_id: int


class Page(msgspec.Struct, forbid_unknown_fields=True):
    limit: int
    total: int
    calls: list[Row]


class LogPage(msgspec.Struct, forbid_unknown_fields=True):
    limit: int
    total: int
    calls: list[LoggedRow]


class Exported(msgspec.Struct, forbid_unknown_fields=True):
    status: int
    results: Page


class Logged(msgspec.Struct, forbid_unknown_fields=True):
    status: int
    results: LogPage


@dataclass(frozen=True, slots=True)
class World:
    """The API on a database, driven from a thread that is not its own."""

    portal: BlockingPortal
    api: Api
    token: str
    campaign_ids: tuple[int, ...]
    """Of a voice campaign, an OTP campaign and a stopped OTP campaign."""

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.portal.call(lambda: self.api.http.request(method, path, **more))


@pytest.fixture
def world(database_url: str, keyring: Keyring, clock: FakeClock, tmp_path: Path) -> Iterator[World]:
    async def build() -> tuple[Database, Api, str, tuple[int, ...]]:
        db = Database(database_url)
        await db.open()
        owner = (await factories.cast(db, keyring)).owner
        campaigns = [
            await factories.campaign(db, owner),
            await factories.campaign(db, owner, kind="otp"),
            await factories.campaign(db, owner, kind="otp", state="stopped"),
        ]
        api = Api(services_on(db, keyring, clock, tmp_path))
        return db, api, await api.token(owner), tuple(campaign.id for campaign in campaigns)

    with start_blocking_portal() as portal:
        db, api, token, campaign_ids = portal.call(build)
        yield World(portal, api, token, campaign_ids)
        portal.call(api.http.aclose)
        portal.call(db.close)


def check(response: httpx.Response, success: type[msgspec.Struct]) -> None:
    assert response.status_code == 200, response.text
    if response.json()["status"] == 1:
        msgspec.json.decode(response.content, type=success)
        return
    failed = msgspec.json.decode(response.content, type=Failed)
    assert failed.status == 0
    assert (failed.code, failed.message) in FAILURES


# Whatever JSON can say, and what hurts most in it.
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["\x00", "a\x00b", "090\u20284", "\ufeff", "\u202e", "%00", "'"]
)
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
NUMBERS = st.sampled_from(["0901234567", "+84901234568", 901234569, "02438123456", "113", ""]) | VALUES
CONTACTS = st.lists(
    VALUES
    | st.fixed_dictionaries(
        {"phone_number": NUMBERS},
        optional={"otp_code": VALUES | st.sampled_from(["123456", 123456]), "ho_ten": VALUES},
    ),
    max_size=6,
)
BODIES = (
    st.binary(max_size=200)
    | st.builds(lambda data: json.dumps(data).encode(), VALUES)
    | st.builds(lambda contacts: json.dumps({"contacts": contacts}).encode(), CONTACTS | VALUES)
    | st.builds(lambda text: b'{"contacts":' + text, st.binary(max_size=50))
    | st.builds(
        lambda text: b"contacts[0][phone_number]=0901234567&contacts[0]" + text, st.binary(max_size=50)
    )
    | st.builds(lambda data: b"contacts=" + quote(json.dumps(data)).encode(), CONTACTS | VALUES)
    | st.builds(lambda text: b"--x\r\nContent-Disposition: form-data; name=" + text, st.binary(max_size=99))
)
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "authorization", "accept", "content-encoding", "x-odd"]),
    st.binary(max_size=40).map(lambda value: value.replace(b"\n", b"").replace(b"\r", b"")),
)
QUERIES = st.binary(max_size=60) | st.builds(
    lambda name, value: name + b"=" + value,
    st.sampled_from(
        [b"start_time", b"end_time", b"limit", b"offset", b"access_token", b"secret_key", b"limit[]"]
    ),
    st.binary(max_size=30) | st.integers().map(lambda number: str(number).encode()),
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


@FUZZ
@given(body=BODIES, headers=HEADERS, which=st.integers(0, 2), has_token=st.booleans())
def test_no_import_gets_an_undocumented_answer(
    world: World, body: bytes, headers: dict[str, bytes], which: int, has_token: bool
) -> None:
    path = f"/api/campaigns/{world.campaign_ids[which]}/import"
    query = f"?access_token={world.token}" if has_token else ""
    check(world.send("POST", path + query, content=body, headers=headers), Imported)


@FUZZ
@given(query=QUERIES, headers=HEADERS)
def test_no_query_gets_an_undocumented_answer(world: World, query: bytes, headers: dict[str, bytes]) -> None:
    token = f"?access_token={world.token}&"
    for path, success in (
        (f"/api/campaigns/{world.campaign_ids[0]}/export", Exported),
        ("/api/users/call-log", Logged),
        ("/api/users/generate-access-token", Failed),
    ):
        for prefix in ("?", token):
            check(world.send("GET", path + prefix + encoded(query), headers=headers), success)


@FUZZ
@given(campaign_id=st.text(min_size=1, max_size=30) | st.integers().map(str))
def test_no_campaign_id_gets_an_undocumented_answer(world: World, campaign_id: str) -> None:
    segment = quote(campaign_id.encode("utf-8", "surrogatepass"), safe="")
    for method, end, success in (("POST", "import", Imported), ("GET", "export", Exported)):
        path = f"/api/campaigns/{segment}/{end}?access_token={world.token}"
        response = world.send(method, path, content=b'{"contacts":[]}')
        if "/" in campaign_id or campaign_id in (".", ".."):
            assert response.status_code in (200, 404, 405), "it is another path"
        else:
            check(response, success)
