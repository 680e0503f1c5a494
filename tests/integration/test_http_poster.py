"""Posting to servers that answer, misbehave, or are not to be reached at all."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from tests.fakes.receiver import Receiver, answer, receiving

from tongdai.adapters.httppost import HttpPoster
from tongdai.adapters.httppost.guard import SystemLookup
from tongdai.ports.posting import ANSWER_KEPT, PostFailedError, PostFailure

pytestmark = pytest.mark.anyio


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@asynccontextmanager
async def posting(
    *, allow_private: bool = True, timeout_s: float = 5.0, names: dict[str, list[list[str]]] | None = None
) -> AsyncIterator[HttpPoster]:
    """`names`: what each look-up of a name says, one after the other, the last one from then on."""

    async def look_up(host: str, port: int) -> list[str]:
        assert names is not None
        if host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return names[host].pop(0) if len(names[host]) > 1 else names[host][0]

    poster = HttpPoster(
        allow_private=allow_private, timeout_s=timeout_s, lookup=None if names is None else look_up
    )
    await poster.start()
    try:
        yield poster
    finally:
        await poster.stop()


async def failure(poster: HttpPoster, url: str) -> PostFailure:
    with pytest.raises(PostFailedError) as caught:
        await poster.post(url, {}, b"{}")
    return caught.value.reason


async def test_what_is_posted_arrives_byte_for_byte_with_its_headers(receiver: Receiver) -> None:
    async with posting() as poster:
        body = '{"a":"ấ\\u00e9"}'.encode()
        got = await poster.post(receiver.url(), {"webhook-id": "x", "Authorization": "Bearer y"}, body)
    assert (got.status, got.body, got.retry_after) == (200, b"ok", None)
    (request,) = receiver.got
    assert request.body == body
    assert (request.headers["webhook-id"], request.headers["authorization"]) == ("x", "Bearer y")
    assert request.headers["user-agent"].startswith("tongdai/")
    assert "cookie" not in request.headers


async def test_a_connection_is_used_again(receiver: Receiver) -> None:
    async with posting() as poster:
        for _ in range(3):
            await poster.post(receiver.url(), {}, b"{}")
    assert {request.connection for request in receiver.got} == {1}


async def test_a_cookie_is_not_kept(receiver: Receiver) -> None:
    receiver.answers["/ok"] = answer(200, Set_Cookie="a=b")
    async with posting() as poster:
        for _ in range(2):
            await poster.post(receiver.url(), {}, b"{}")
    assert all("cookie" not in request.headers for request in receiver.got)


async def test_a_redirect_is_an_answer_and_is_not_followed(receiver: Receiver) -> None:
    receiver.answers["/moved"] = answer(307, Location=receiver.url("/elsewhere"))
    async with posting() as poster:
        assert (await poster.post(receiver.url("/moved"), {}, b"{}")).status == 307
    assert receiver.at("/elsewhere") == []


async def test_a_proxy_of_the_environment_is_not_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with posting() as poster:
        assert (await poster.post(receiver.url(), {}, b"{}")).status == 200


async def test_the_beginning_of_a_long_answer_is_kept_and_the_rest_is_not_waited_for(
    receiver: Receiver,
) -> None:
    receiver.answers["/long"] = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 200_000
    async with posting() as poster:
        got = await poster.post(receiver.url("/long"), {}, b"{}")
    assert (got.status, got.body) == (200, b"x" * ANSWER_KEPT)


async def test_a_compressed_answer_is_not_unpacked(receiver: Receiver) -> None:
    receiver.answers["/packed"] = answer(200, b"\x1f\x8b not really", Content_Encoding="gzip")
    async with posting() as poster:
        assert (await poster.post(receiver.url("/packed"), {}, b"{}")).body == b"\x1f\x8b not really"


async def test_what_a_server_asks_for_is_told(receiver: Receiver) -> None:
    receiver.answers["/busy"] = answer(429, Retry_After="7")
    async with posting() as poster:
        assert (await poster.post(receiver.url("/busy"), {}, b"{}")).retry_after == "7"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (None, PostFailure.TIMEOUT),
        (b"", PostFailure.BROKEN),
        (b"HTTP/1.1 200", PostFailure.BROKEN),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", PostFailure.BROKEN),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", PostFailure.BROKEN),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", PostFailure.BROKEN),
    ],
    ids=["hangs", "closes", "cut in the head", "cut in the body", "cut in a chunk", "no http"],
)
async def test_an_answer_that_is_not_whole_is_none(
    receiver: Receiver, reply: bytes | None, reason: PostFailure
) -> None:
    receiver.answers["/odd"] = reply
    async with posting(timeout_s=0.3) as poster:
        assert await failure(poster, receiver.url("/odd")) == reason
        assert (await poster.post(receiver.url(), {}, b"{}")).status == 200


async def test_an_answer_that_drips_does_not_take_longer_than_it_may(receiver: Receiver) -> None:
    receiver.answers["/drip"] = answer(200, b"x" * 1000)
    receiver.drips["/drip"] = 0.02
    async with posting(timeout_s=0.3) as poster:
        assert await failure(poster, receiver.url("/drip")) == PostFailure.TIMEOUT


async def test_a_port_that_nobody_listens_on_is_told() -> None:
    async with posting() as poster:
        assert await failure(poster, f"http://127.0.0.1:{closed_port()}/") == PostFailure.CONNECTION


async def test_a_connection_that_is_not_accepted_is_given_up_before_the_whole_time_is_over() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with contextlib.ExitStack() as others:
            for _ in range(4):  # more than its queue holds: the next one gets no answer
                other = others.enter_context(socket.socket())
                other.setblocking(False)
                other.connect_ex(address)
            poster = HttpPoster(allow_private=True, timeout_s=60, connect_timeout_s=0.2)
            await poster.start()
            async with asyncio.timeout(20):
                assert await failure(poster, f"http://127.0.0.1:{address[1]}/") == PostFailure.TIMEOUT
            await poster.stop()


async def test_a_server_without_encryption_is_told() -> None:
    async def say_hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 this is no encrypted line\r\n")
        writer.close()

    server = await asyncio.start_server(say_hello, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, posting() as poster:
        assert await failure(poster, f"https://127.0.0.1:{port}/") == PostFailure.TLS


async def test_running_out_of_sockets_is_blamed_on_nobody_else(receiver: Receiver) -> None:
    async with posting() as poster:
        with no_more_files():
            assert await failure(poster, receiver.url()) == PostFailure.OURS
        assert (await poster.post(receiver.url(), {}, b"{}")).status == 200


# ---------------------------------------------------------------- addresses that nobody is to reach

INNER = ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
         "::1", "::ffff:127.0.0.1", "fd00::1", "fe80::1", "64:ff9b::7f00:1", "2002:7f00:1::"]  # fmt: skip


@pytest.mark.parametrize("address", INNER)
async def test_an_inner_address_is_not_connected_to(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    async with posting(allow_private=False) as poster:
        assert await failure(poster, f"http://{host}:9/") == PostFailure.ADDRESS


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.01"])
async def test_no_notation_of_loopback_gets_through(receiver: Receiver, host: str) -> None:
    async with posting(allow_private=False) as poster:
        reason = await failure(poster, f"http://{host}:{receiver.port}/ok")
    assert reason in (PostFailure.ADDRESS, PostFailure.NAME)
    assert receiver.got == []


@pytest.mark.parametrize("address", INNER)
async def test_a_name_that_stands_for_an_inner_address_is_refused(address: str) -> None:
    async with posting(allow_private=False, names={"evil.example.vn": [[address]]}) as poster:
        assert await failure(poster, "http://evil.example.vn:9/") == PostFailure.ADDRESS


async def test_of_several_addresses_the_inner_ones_are_left_out(receiver: Receiver) -> None:
    names = {"mixed.example.vn": [["127.0.0.1", "192.0.2.1", "::1"]]}
    async with posting(allow_private=False, timeout_s=0.3, names=names) as poster:
        assert await failure(poster, f"http://mixed.example.vn:{receiver.port}/ok") == PostFailure.ADDRESS
    assert receiver.got == []


async def test_a_name_that_is_rebound_between_look_up_and_connection_is_not_connected_to(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the address that was judged were not the one that is connected to."""
    monkeypatch.setattr("tongdai.adapters.httppost.guard.GuardedResolver.resolve", _rebound)
    async with posting(allow_private=False, names={}) as poster:
        assert await failure(poster, f"http://rebound.example.vn:{receiver.port}/ok") == PostFailure.ADDRESS
    assert receiver.got == []


async def test_the_real_look_up_of_localhost_is_refused(receiver: Receiver) -> None:
    async with posting(allow_private=False) as poster:
        assert await failure(poster, f"http://localhost:{receiver.port}/ok") == PostFailure.ADDRESS
    assert receiver.got == []


async def test_an_operator_may_allow_them(receiver: Receiver) -> None:
    async with posting(names={"inner.example.vn": [["127.0.0.1"]]}) as poster:
        assert (await poster.post(f"http://inner.example.vn:{receiver.port}/ok", {}, b"{}")).status == 200


@pytest.mark.parametrize("names", [{}, {"none.example.vn": [[]]}])
async def test_a_name_that_does_not_exist_is_told(names: dict[str, list[list[str]]]) -> None:
    async with posting(names=names) as poster:
        assert await failure(poster, "http://none.example.vn/") == PostFailure.NAME


async def test_the_system_is_asked_for_names() -> None:
    lookup = SystemLookup()
    assert set(await lookup("localhost", 80)) <= {"127.0.0.1", "::1"}
    lookup.close()


async def test_a_name_server_that_does_not_answer_holds_up_no_other_name(receiver: Receiver) -> None:
    waiting = asyncio.Event()

    async def look_up(host: str, port: int) -> list[str]:
        if host == "slow.example.vn":
            await waiting.wait()
        return ["127.0.0.1"]

    poster = HttpPoster(allow_private=True, timeout_s=5.0, lookup=look_up)
    await poster.start()
    slow = asyncio.create_task(poster.post(f"http://slow.example.vn:{receiver.port}/ok", {}, b"{}"))
    assert (await poster.post(f"http://fast.example.vn:{receiver.port}/ok", {}, b"{}")).status == 200
    assert not slow.done()
    waiting.set()
    assert (await slow).status == 200
    await poster.stop()


async def _rebound(self: object, host: str, port: int = 0, family: int = 0) -> list[dict[str, object]]:
    return [
        {
            "hostname": host,
            "host": "127.0.0.1",
            "port": port,
            "family": socket.AF_INET,
            "proto": socket.IPPROTO_TCP,
            "flags": socket.AI_NUMERICHOST,
        }
    ]


@contextmanager
def no_more_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
