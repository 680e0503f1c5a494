"""Zalo's client says exactly what is known of every request, whatever Zalo's side does to it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.fakes.raw_server import Fault, Heard, raw_server, whole

from tongdai.adapters.zaloapi import ZaloClient, client
from tongdai.kit.zalo_signs import appsecret_proof
from tongdai.ports.zalo import (
    Access,
    AppSecret,
    JourneyToken,
    Message,
    Refusal,
    TokenPair,
    ZaloAwayError,
    ZaloError,
    ZaloGarbledError,
    ZaloRefusedError,
    ZaloSilentError,
)

pytestmark = pytest.mark.anyio

APP = AppSecret(1234567890123456789, "the-apps-secret")
ACCESS = Access("the-access-token", APP.app_id)
MESSAGE = Message(phone="84987654321", template_id=5, data={"ma": "A1"}, tracking_id="t1")

Call = Callable[[ZaloClient], Awaitable[object]]

READS: dict[str, Call] = {
    "profile": lambda zalo: zalo.profile(ACCESS),
    "quota": lambda zalo: zalo.quota(ACCESS),
    "qualities": lambda zalo: zalo.qualities(ACCESS),
    "tags": lambda zalo: zalo.tags(ACCESS),
    "templates": lambda zalo: zalo.templates(ACCESS, offset=10, limit=5, status=1),
    "template": lambda zalo: zalo.template(ACCESS, 5),
    "sample_data": lambda zalo: zalo.sample_data(ACCESS, 5),
    "message_status": lambda zalo: zalo.message_status(ACCESS, "m/1", phone="84987654321"),
    "check_journey": lambda zalo: zalo.check_journey(ACCESS, "a-journey"),
}
WRITES: dict[str, Call] = {
    "exchange_code": lambda zalo: zalo.exchange_code(APP, "a code", "a-verifier"),
    "refresh": lambda zalo: zalo.refresh(APP, "a refresh+token"),
    "send": lambda zalo: zalo.send(ACCESS, MESSAGE),
    "send_by_journey": lambda zalo: zalo.send(ACCESS, MESSAGE, journey_token="a-journey"),
    "create_journey": lambda zalo: zalo.create_journey(ACCESS, "84987654321", "token_logistics_7"),
}
CALLS = READS | WRITES

PAIR = {"access_token": "new-access", "refresh_token": "new-refresh", "expires_in": "90000"}
GOOD: dict[str, dict[str, Any]] = {
    "/v4/oa/access_token": PAIR,
    "/v2.0/oa/getoa": {"error": 0, "data": {"oa_id": "4318657068771012646", "name": "Cửa hàng"}},
    "/message/quota": {"error": 0, "data": {"dailyQuota": "500", "remainingQuota": "499"}},
    "/quality": {"error": 0, "data": {"oaCurrentQuality": "HIGH", "oa7dayQuality": "UNDEFINED"}},
    "/message/template-tag": {"error": 0, "data": ["TRANSACTION"]},
    "/template/all": {"error": 0, "data": [{"templateId": 5}], "metadata": {"total": 1}},
    "/template/info/v2": {"error": 0, "data": {"templateId": 5, "listParams": [{"name": "ma"}]}},
    "/template/sample-data": {"error": 0, "data": {"ma": "A1"}},
    "/message/template": {
        "error": 0,
        "data": {"msg_id": "96d01286d3a72af973b6", "sent_time": "1700000000123"},
    },
    "/message/status": {"error": 0, "data": {"status": 0, "message": "", "delivery_time": ""}},
    "/journey/get-token": {"error": 0, "token": "dGtu_-=", "journey_id": "77"},
    "/journey/check-token": {
        "error": 0,
        "data": {"tokenType": "token_logistics_7", "expiredAt": "1700000000000"},
    },
}


def good(heard: Heard) -> bytes:
    return whole(json.dumps(GOOD[heard.path]).encode())


def spoilt(value: Any) -> Any:
    """The same with a wrong type at every leaf."""
    if isinstance(value, dict):
        return {name: 0 if name == "error" else spoilt(one) for name, one in value.items()}
    return {"not": "this"} if isinstance(value, list) else [value]


def wrong_types(heard: Heard) -> bytes:
    answer = spoilt(GOOD[heard.path])
    return whole(
        json.dumps(answer if heard.path != "/template/sample-data" else answer | {"data": []}).encode()
    )


@asynccontextmanager
async def asking(url: str, *, timeout_s: float = 20.0) -> AsyncIterator[ZaloClient]:
    zalo = ZaloClient(oauth_url=url, openapi_url=url, business_url=url + "/", timeout_s=timeout_s)
    await zalo.start()
    try:
        yield zalo
    finally:
        await zalo.stop()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT_S", 0.001)


# ---------------------------------------------------------------- what is asked


@pytest.mark.parametrize("name", CALLS)
async def test_a_good_answer_is_taken_at_the_first_try(name: str) -> None:
    async with raw_server(good) as server, asking(server.url) as zalo:
        assert await CALLS[name](zalo)
    assert len(server.heard) == 1


async def heard_of(call: Call) -> Heard:
    async with raw_server(good) as server, asking(server.url) as zalo:
        await call(zalo)
    (heard,) = server.heard
    return heard


async def test_a_code_is_exchanged_with_a_form_and_the_secret_in_a_header() -> None:
    heard = await heard_of(CALLS["exchange_code"])
    assert (heard.method, heard.path) == ("POST", "/v4/oa/access_token")
    assert heard.headers["secret_key"] == APP.secret
    assert heard.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert heard.form == {
        "code": "a code",
        "app_id": "1234567890123456789",
        "grant_type": "authorization_code",
        "code_verifier": "a-verifier",
    }


async def test_without_a_pkce_pair_no_verifier_is_sent() -> None:
    assert "code_verifier" not in (await heard_of(lambda zalo: zalo.exchange_code(APP, "a", None))).form


async def test_tokens_are_renewed_with_the_refresh_token_alone() -> None:
    heard = await heard_of(CALLS["refresh"])
    assert heard.form == {
        "refresh_token": "a refresh+token",
        "app_id": "1234567890123456789",
        "grant_type": "refresh_token",
    }


@pytest.mark.parametrize(
    ("name", "path", "query"),
    [
        ("profile", "/v2.0/oa/getoa", {}),
        ("quota", "/message/quota", {}),
        ("qualities", "/quality", {}),
        ("tags", "/message/template-tag", {}),
        ("templates", "/template/all", {"offset": "10", "limit": "5", "status": "1"}),
        ("template", "/template/info/v2", {"template_id": "5"}),
        ("sample_data", "/template/sample-data", {"template_id": "5"}),
        ("message_status", "/message/status", {"message_id": "m/1", "phone": "84987654321"}),
        ("check_journey", "/journey/check-token", {}),
    ],
)
async def test_a_question_goes_to_its_address_with_the_token_in_its_header(
    name: str, path: str, query: dict[str, str]
) -> None:
    heard = await heard_of(READS[name])
    assert (heard.method, heard.path, heard.query) == ("GET", path, query)
    assert heard.headers["access_token"] == ACCESS.token
    assert heard.headers.get("journey_token") == ("a-journey" if name == "check_journey" else None)
    assert not {"authorization", "cookie", "appsecret_proof"} & {name.lower() for name in heard.headers}


async def test_a_message_goes_as_json_and_a_journey_s_token_in_a_header() -> None:
    heard = await heard_of(CALLS["send_by_journey"])
    assert (heard.method, heard.path) == ("POST", "/message/template")
    assert (heard.headers["journey_token"], heard.headers["Content-Type"]) == (
        "a-journey",
        "application/json",
    )
    assert heard.json["phone"] == "84987654321"
    assert "journey_token" not in (await heard_of(CALLS["send"])).headers


async def test_a_journey_is_asked_for_with_its_type() -> None:
    heard = await heard_of(CALLS["create_journey"])
    assert (heard.method, heard.path) == ("POST", "/journey/get-token")
    assert heard.json == {"phone": "84987654321", "token_type": "token_logistics_7"}


async def test_an_app_that_proves_itself_sends_its_proof_beside_every_token() -> None:
    proving = Access(ACCESS.token, APP.app_id, APP.secret)
    for call in (
        lambda zalo: zalo.quota(proving),
        lambda zalo: zalo.send(proving, MESSAGE),
        lambda zalo: zalo.check_journey(proving, "a-journey"),
    ):
        heard = await heard_of(call)
        assert heard.headers["appsecret_proof"] == appsecret_proof(ACCESS.token, APP.secret)


def test_the_permission_page_is_given_what_it_knows() -> None:
    zalo = ZaloClient(oauth_url="https://oauth.zaloapp.com", openapi_url="http://x", business_url="http://x")
    url = urlsplit(zalo.permission_url(12, "https://shop.vn/back?account=1", "st&te", "challenge_-"))
    assert (url.scheme, url.netloc, url.path) == ("https", "oauth.zaloapp.com", "/v4/oa/permission")
    assert parse_qs(url.query) == {
        "app_id": ["12"],
        "redirect_uri": ["https://shop.vn/back?account=1"],
        "code_challenge": ["challenge_-"],
        "state": ["st&te"],
    }
    assert "code_challenge" not in zalo.permission_url(12, "https://shop.vn", "s", None)


# ---------------------------------------------------------------- what goes wrong

FAULTS: dict[str, tuple[Callable[[Heard], bytes | Fault], type[ZaloError]]] = {
    "empty_body": (lambda _: whole(b""), ZaloGarbledError),
    "empty_chunks": (
        lambda _: b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
        ZaloGarbledError,
    ),
    "html_504": (lambda _: whole(b"<html>Gateway Time-out</html>", 504), ZaloGarbledError),
    "good_503": (lambda heard: whole(json.dumps(GOOD[heard.path]).encode(), 503), ZaloGarbledError),
    "html_200": (lambda _: whole(b"<html>Maintenance</html>"), ZaloGarbledError),
    "html_404": (lambda _: whole(b"<html>Not found</html>", 404), ZaloGarbledError),
    "good_404": (lambda heard: whole(json.dumps(GOOD[heard.path]).encode(), 404), ZaloGarbledError),
    "redirect": (lambda _: whole(b"", 302, Location="/elsewhere"), ZaloGarbledError),
    "half_json": (lambda heard: whole(json.dumps(GOOD[heard.path]).encode()[:-2]), ZaloGarbledError),
    "wrong_types": (wrong_types, ZaloGarbledError),
    "no_object": (lambda _: whole(b"[1]"), ZaloGarbledError),
    "packed": (lambda _: whole(b"\x1f\x8b\x08\x00", Content_Encoding="gzip"), ZaloGarbledError),
    "endless": (lambda _: whole(b'{"a": "' + b"x" * 2_000_000), ZaloGarbledError),
    "no_http": (lambda _: b"SSH-2.0-OpenSSH_9.2\r\n\r\n", ZaloGarbledError),
    "reset": (lambda _: "reset", ZaloSilentError),
    "closed": (lambda _: "close", ZaloSilentError),
    "half_head": (lambda _: b"HTTP/1.1 200 X\r\nContent-", ZaloSilentError),
    "half_body": (lambda heard: good(heard)[:-5], ZaloSilentError),
    "empty_unmarked": (lambda _: b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n", ZaloSilentError),
    "quoted_code": (
        lambda _: whole(b'{"error": "-124", "message": "Access token invalid"}'),
        ZaloRefusedError,
    ),
    "code_400": (lambda _: whole(b'{"error": -124, "message": "no"}', 400), ZaloRefusedError),
    "too_many": (lambda _: whole(b"slow down", 429), ZaloRefusedError),
}


def told(error: BaseException | None) -> str:
    """What a log would show of an error and its causes."""
    if error is None:
        return ""
    shown = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return f"{error} {error!r} {told(shown)}"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", CALLS)
async def test_every_fault_of_every_request_is_an_error_of_its_kind_and_only_reads_are_repeated(
    name: str, fault: str
) -> None:
    script, kind = FAULTS[fault]
    async with raw_server(script) as server, asking(server.url) as zalo:
        with pytest.raises(ZaloError) as caught:
            await CALLS[name](zalo)
    assert type(caught.value) is kind
    assert caught.value.doubtful is (kind is not ZaloRefusedError)
    repeated = name in READS and kind is not ZaloRefusedError
    assert len(server.heard) == (3 if repeated else 1)
    for secret in (ACCESS.token, APP.secret, "84987654321", "a-journey", "refresh+token"):
        assert secret not in f"{told(caught.value)} {caught.value.facts}"


async def test_requests_that_are_never_answered_end_in_time_and_in_doubt() -> None:
    async with raw_server(lambda _: "hang") as server, asking(server.url, timeout_s=1.0) as zalo:
        async with asyncio.timeout(10):
            ends = await asyncio.gather(*(call(zalo) for call in CALLS.values()), return_exceptions=True)
    assert {name: type(end) for name, end in zip(CALLS, ends, strict=True)} == dict.fromkeys(
        CALLS, ZaloSilentError
    )
    assert len(server.heard) == len(CALLS)


@pytest.mark.parametrize("name", ["exchange_code", "refresh"])
async def test_an_answer_without_a_refresh_token_is_a_pair_without_one(name: str) -> None:
    answer = {"access_token": "new-access", "expires_in": "90000"}
    async with (
        raw_server(lambda _: whole(json.dumps(answer).encode())) as server,
        asking(server.url) as zalo,
    ):
        got = await CALLS[name](zalo)
    assert isinstance(got, TokenPair)
    assert (got.access_token, got.refresh_token) == ("new-access", None)


@pytest.mark.parametrize("fault", [name for name, (_, kind) in FAULTS.items() if kind is ZaloGarbledError])
async def test_only_an_empty_body_with_status_200_is_told_as_empty(fault: str) -> None:
    script, _ = FAULTS[fault]
    async with raw_server(script) as server, asking(server.url) as zalo:
        with pytest.raises(ZaloGarbledError) as caught:
            await zalo.refresh(APP, "a refresh+token")
    assert caught.value.empty is fault.startswith("empty")


# ---------------------------------------------------------------- what was never sent


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.parametrize(
    "url", ["refused", "http://nothing.invalid", "http://", "/nowhere", "gopher://127.0.0.1"]
)
@pytest.mark.parametrize("name", CALLS)
async def test_what_cannot_be_reached_is_away_and_without_doubt(
    name: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_name(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    if url == "http://nothing.invalid":
        monkeypatch.setattr(socket, "getaddrinfo", no_name)
    async with asking(f"http://127.0.0.1:{free_port()}" if url == "refused" else url) as zalo:
        with pytest.raises(ZaloAwayError) as caught:
            await CALLS[name](zalo)
    assert not caught.value.doubtful
    assert caught.value.retryable


@pytest.mark.parametrize("name", CALLS)
async def test_a_client_that_does_not_run_reaches_nobody(name: str) -> None:
    async with asking("http://127.0.0.1:1") as zalo:
        pass
    with pytest.raises(ZaloAwayError):
        await CALLS[name](zalo)


@asynccontextmanager
async def full_backlog() -> AsyncIterator[str]:
    """An address at which connections are neither taken nor refused."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(listening.getsockname())
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            for one in waiting:
                one.close()


async def test_a_connection_that_does_not_come_about_in_time_is_away_and_never_in_doubt() -> None:
    async with full_backlog() as url, asking(url, timeout_s=1.0) as zalo:
        ends = await asyncio.gather(*(call(zalo) for call in CALLS.values()), return_exceptions=True)
    assert {name: type(end) for name, end in zip(CALLS, ends, strict=True)} == dict.fromkeys(
        CALLS, ZaloAwayError
    )


async def test_a_write_is_asked_again_when_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []
    real = socket.getaddrinfo

    def look_up(host: str, *args: Any, **kwargs: Any) -> Any:
        if host != "zalo.test":
            return real(host, *args, **kwargs)
        tries.append(host)
        if len(tries) < 3:
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return real("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    async with raw_server(good) as server, asking(f"http://zalo.test:{server.port}") as zalo:
        assert await zalo.create_journey(ACCESS, "84987654321", "token_logistics_7") == JourneyToken(
            "77", "dGtu_-="
        )
    assert (len(tries), len(server.heard)) == (3, 1)


async def test_a_value_that_no_header_can_hold_is_refused_without_being_sent() -> None:
    async with raw_server(good) as server, asking(server.url) as zalo:
        for call, code in (
            (lambda: zalo.quota(Access("a\r\nb: c", 1)), -124),
            (lambda: zalo.refresh(AppSecret(1, "bí mật"), "r"), -14004),
            (lambda: zalo.check_journey(ACCESS, ""), -149),
            (lambda: zalo.send(ACCESS, MESSAGE, journey_token="a\0"), -149),
        ):
            with pytest.raises(ZaloRefusedError) as caught:
                await call()
            assert caught.value.code == code
    assert server.heard == []


# ---------------------------------------------------------------- what gets better by itself


@pytest.mark.parametrize("name", READS)
async def test_a_read_gets_over_two_faults(name: str) -> None:
    def script(heard: Heard) -> bytes | Fault:
        faults: list[bytes | Fault] = ["reset", whole(b"<html>", 504)]
        return good(heard) if len(server.heard) > 2 else faults[len(server.heard) - 1]

    async with raw_server(script) as server, asking(server.url) as zalo:
        assert await READS[name](zalo)


async def test_connections_are_kept_but_for_tokens_which_come_over_one_of_their_own() -> None:
    async with raw_server(good) as server, asking(server.url) as zalo:
        for _ in range(2):
            await zalo.create_journey(ACCESS, "84987654321", "token_logistics_7")
            await zalo.quota(ACCESS)
            await zalo.refresh(APP, "r")
    by_path: dict[str, set[int]] = {}
    for heard in server.heard:
        by_path.setdefault(heard.path, set()).add(heard.connection)
    assert by_path["/journey/get-token"] == by_path["/message/quota"]
    assert len(by_path["/journey/get-token"]) == 1
    assert len(by_path["/v4/oa/access_token"]) == 2


async def test_a_kept_connection_that_zalo_has_closed_is_not_used_for_a_write() -> None:
    def script(heard: Heard) -> bytes:
        # Whole, but for the server, which looks for a length, and closes the connection without a word.
        body = json.dumps(GOOD[heard.path]).encode()
        return b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
            len(body),
            body,
        )

    async with raw_server(script) as server, asking(server.url) as zalo:
        for _ in range(20):
            assert await zalo.create_journey(ACCESS, "84987654321", "token_logistics_7")
            await server.until_parted()
    assert len({heard.connection for heard in server.heard}) == 20


# ---------------------------------------------------------------- limits


async def test_an_app_that_has_asked_too_often_is_not_asked_for_again_this_minute() -> None:
    def script(heard: Heard) -> bytes:
        return whole(b'{"error": -32, "message": "Your application reached limit call api"}')

    async with raw_server(script) as server, asking(server.url) as zalo:
        for _ in range(3):
            with pytest.raises(ZaloRefusedError) as caught:
                await zalo.profile(ACCESS)
            assert (caught.value.code, caught.value.refusal) == (-32, Refusal.TRANSIENT)
        assert len(server.heard) == 1
        with pytest.raises(ZaloRefusedError):
            await zalo.profile(Access("another", 2))
        assert len(server.heard) == 2


async def test_the_last_answer_of_a_minute_closes_it_for_profiles_and_for_nothing_else() -> None:
    def script(heard: Heard) -> bytes:
        return whole(json.dumps(GOOD[heard.path]).encode(), X_RateLimit_Limit="4000", X_RateLimit_Remain="0")

    async with raw_server(script) as server, asking(server.url) as zalo:
        assert (await zalo.profile(ACCESS)).name == "Cửa hàng"
        with pytest.raises(ZaloRefusedError):
            await zalo.profile(ACCESS)
        assert await zalo.quota(ACCESS)
        assert await zalo.create_journey(ACCESS, "84987654321", "token_logistics_7")
    assert [heard.path for heard in server.heard] == [
        "/v2.0/oa/getoa",
        "/message/quota",
        "/journey/get-token",
    ]


async def test_many_at_once_each_get_their_own_answer() -> None:
    def script(heard: Heard) -> bytes:
        return whole(json.dumps({"error": 0, "token": "t", "journey_id": heard.json["phone"]}).encode())

    async with raw_server(script) as server, asking(server.url) as zalo:
        phones = [f"849{number:08}" for number in range(300)]
        got = await asyncio.gather(
            *(zalo.create_journey(ACCESS, phone, "token_logistics_7") for phone in phones)
        )
    assert [one.journey_id for one in got] == phones
