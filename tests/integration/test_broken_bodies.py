"""Bodies that break off, lie about their length or never end, over real connections to the real server."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from tests.factories import Cast, cast
from tests.fakes.clock import FakeClock

from tongdai.adapters.files import FileStorage
from tongdai.app import create_app, server
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.hints import Hinter
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio

CONTACTS_WRONG = {"status": 0, "code": "400", "message": "contacts không đúng định dạng"}
IMPORT = "/api/campaigns/1/import"
LIMIT = 1000
PATIENCE_S = 10.0
# Ends the test's own waiting, when an answer does not come at all.
DEADLINE_S = 30.0


@dataclass
class Answer:
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Site:
    """A served platform."""

    port: int
    people: Cast

    def head(self, path: str, *headers: str) -> bytes:
        key = f"Authorization: Bearer {self.people.owner.api_key}" if path.startswith("/v1") else "X-A: 1"
        lines = [f"POST {path} HTTP/1.1", "Host: tongdai", key, *headers]
        return "\r\n".join([*lines, "", ""]).encode()

    async def send(self, data: bytes, *, ends: bool = False) -> Answer:
        """The answer to these bytes; `ends` closes our side behind them, and nothing else does."""
        async with asyncio.timeout(DEADLINE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(data)
            if ends:
                writer.write_eof()
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.partition(b":")[2])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            )
            body = await reader.readexactly(length)
            writer.close()
            await writer.wait_closed()
        return Answer(int(head.split(b" ")[1]), body)


async def served(services: Services, people: Cast) -> AsyncIterator[Site]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stop = asyncio.Event()
    serving = asyncio.create_task(server.serve(create_app(services), "127.0.0.1", port, stop))
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        break
    yield Site(port, people)
    stop.set()
    await serving


@pytest.fixture
def body_timeout_s() -> float:
    return 60.0


@pytest.fixture
async def site(
    db: Database, keyring: Keyring, clock: FakeClock, tmp_path: Path, body_timeout_s: float
) -> AsyncIterator[Site]:
    people = await cast(db, keyring)
    own = Database(db.url)
    services = Services(
        db=own,
        keyring=keyring,
        clock=clock,
        hinter=Hinter(own),
        storage=FileStorage(tmp_path),
        max_body_bytes=LIMIT,
        body_timeout_s=body_timeout_s,
    )
    async for one in served(services, people):
        yield one


CHUNKED = "Transfer-Encoding: chunked"
LONG = "Content-Length: 100"
BROKEN = [
    pytest.param(LONG, b'{"contacts": [', True, id="shorter than announced"),
    pytest.param(LONG, b"", True, id="nothing of what was announced"),
    pytest.param(CHUNKED, b"3\r\nabc\r\nzz\r\n", False, id="bad size of a chunk"),
    pytest.param(CHUNKED, b"3\r\nabc\r\n", True, id="chunks without an end"),
]


@pytest.mark.parametrize(("header", "sent", "ends"), BROKEN)
async def test_a_body_that_breaks_off_is_never_answered_as_a_success(
    site: Site, header: str, sent: bytes, ends: bool
) -> None:
    theirs = await site.send(site.head(IMPORT, header) + sent, ends=ends)
    assert (theirs.status, theirs.json()) == (HTTPStatus.OK, CONTACTS_WRONG)
    ours = await site.send(site.head("/v1/projects", header) + sent, ends=ends)
    assert (ours.status, ours.json()["type"]) == (
        HTTPStatus.BAD_REQUEST,
        "urn:tongdai:problem:invalid-request",
    )


@pytest.mark.parametrize("body_timeout_s", [0.1])
@pytest.mark.parametrize("path", ["/v1/projects", "/v1/campaigns/1/contacts", "/v1/audio-files"])
async def test_a_body_that_never_comes_is_a_timeout_of_our_api(site: Site, path: str) -> None:
    answer = await site.send(site.head(path, LONG) + b"{")
    assert answer.status == HTTPStatus.REQUEST_TIMEOUT
    told = answer.json()
    assert (told["type"], told["retryable"]) == ("urn:tongdai:problem:timeout", True)


@pytest.mark.parametrize("body_timeout_s", [0.1])
@pytest.mark.parametrize("length", [100, 2 * LIMIT])
async def test_a_body_that_never_comes_is_contacts_that_cannot_be_read(site: Site, length: int) -> None:
    answer = await site.send(site.head(IMPORT, f"Content-Length: {length}") + b"{")
    assert (answer.status, answer.json()) == (HTTPStatus.OK, CONTACTS_WRONG)


async def test_a_body_announced_as_far_too_long_is_refused_before_it_comes(site: Site) -> None:
    """The time limit would answer too, but only after this test's patience."""
    async with asyncio.timeout(PATIENCE_S):
        theirs = await site.send(site.head(IMPORT, f"Content-Length: {4 * LIMIT + 1}"))
        ours = await site.send(site.head("/v1/projects", f"Content-Length: {LIMIT + 1}"))
    assert (theirs.status, theirs.json()) == (HTTPStatus.OK, CONTACTS_WRONG)
    assert ours.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


async def test_a_body_that_is_somewhat_too_long_is_received_before_it_is_refused(site: Site) -> None:
    whole = site.head(IMPORT, f"Content-Length: {4 * LIMIT}") + b" " * 4 * LIMIT
    answer = await site.send(whole)
    assert (answer.status, answer.json()) == (HTTPStatus.OK, CONTACTS_WRONG)
