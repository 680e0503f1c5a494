"""The connection to a node, against a server that a test plays."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from tests.fakes.dialling import until
from tests.fakes.one_trunk import Tones, Trunks
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.utils import accept_key

from tongdai.adapters.asterisk import link as links
from tongdai.adapters.asterisk.engine import AsteriskEngine
from tongdai.adapters.asterisk.heard import Heard
from tongdai.adapters.asterisk.link import Link, connect
from tongdai.ports.sip import AsteriskNode
from tongdai.ports.telephony import EndCause, EngineUnreachableError

pytestmark = pytest.mark.anyio

Play = Callable[[ServerConnection], Awaitable[None]]


def node_at(port: int) -> AsteriskNode:
    return AsteriskNode(
        id=1,
        name="node",
        url=f"http://127.0.0.1:{port}",
        username="tongdai",
        password="for-tests-only",
        sounds_path="/srv/sounds",
    )


def nothing(heard: Heard) -> None:
    """Nobody listens."""


@asynccontextmanager
async def connected(play: Play) -> AsyncIterator[tuple[Link, list[Heard], Server]]:
    """A link to a server that plays this, and what was heard over it."""
    async with serve(play, "127.0.0.1", 0, compression=None) as server:
        (port,) = (one.getsockname()[1] for one in server.sockets)
        heard: list[Heard] = []
        link = await connect(node_at(port), "td-app", heard.append, answer_timeout_s=5.0)
        assert link is not None
        try:
            yield link, heard, server
        finally:
            link.abort()


async def answer_everything(connection: ServerConnection) -> None:
    async for message in connection:
        request = msgspec.json.decode(message)
        answer = {
            "type": "RESTResponse",
            "request_id": request["request_id"],
            "status_code": 201,
            "message_body": request["uri"],
        }
        await connection.send(msgspec.json.encode(answer).decode())


async def test_each_request_has_its_own_answer() -> None:
    async with connected(answer_everything) as (link, _, _):
        replies = await asyncio.gather(*(link.ask("POST", f"channels?id={n}") for n in range(200)))
    assert [reply.body for reply in replies] == [f"channels?id={n}" for n in range(200)]
    assert {reply.status for reply in replies} == {201}


async def test_we_say_who_we_are_and_which_application_we_hear() -> None:
    said: list[tuple[str, str]] = []

    async def note(connection: ServerConnection) -> None:
        assert connection.request is not None
        said.append((connection.request.path, connection.request.headers["Authorization"]))
        await connection.wait_closed()

    async with connected(note):
        await until(lambda: said)
    assert said == [("/ari/events?app=td-app", "Basic dG9uZ2RhaTpmb3ItdGVzdHMtb25seQ==")]


async def test_events_are_heard_in_order_though_they_come_in_pieces() -> None:
    async def tell(connection: ServerConnection) -> None:
        for number in range(50):
            text = msgspec.json.encode({"type": f"Event{number}", "padding": "x" * number * 100}).decode()
            await connection.send([text[:20], text[20:40], text[40:]])
        await connection.wait_closed()

    async with connected(tell) as (_, heard, _):
        await until(lambda: len(heard) == 50)
    assert [event.type for event in heard] == [f"Event{number}" for number in range(50)]


async def test_what_cannot_be_read_is_passed_over() -> None:
    async def tell(connection: ServerConnection) -> None:
        await connection.send("no JSON")
        await connection.send('{"type": "StasisStart"}')
        await connection.wait_closed()

    async with connected(tell) as (_, heard, _):
        await until(lambda: heard)
    assert [event.type for event in heard] == ["StasisStart"]


async def test_a_node_that_goes_silent_is_given_up_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "PING_AFTER_S", 0.1)
    monkeypatch.setattr(links, "SILENT_S", 0.5)
    monkeypatch.setattr(links, "TICK_S", 0.05)
    stopped = asyncio.Event()

    async def stop_reading(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        stopped.set()
        await connection.wait_closed()

    async with connected(stop_reading) as (link, _, _):
        await stopped.wait()
        asked = asyncio.create_task(link.ask("GET", "asterisk/info"))
        async with asyncio.timeout(5):
            await link.closed
        with pytest.raises(EngineUnreachableError):
            await asked


async def test_our_own_absence_is_not_held_against_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "PING_AFTER_S", 0.1)
    monkeypatch.setattr(links, "SILENT_S", 0.5)
    monkeypatch.setattr(links, "TICK_S", 0.05)
    async with connected(answer_everything) as (link, _, _):
        await link.ask("GET", "asterisk/info")
        # As a process that was stopped, or had no processor: its clock went on without it.
        link._heard_at -= 5.0
        link._tick_at -= 5.0
        assert (await link.ask("GET", "asterisk/info")).status == 201
        assert not link.closed.done()


async def test_a_server_that_is_none_is_not_connected_to() -> None:
    async def not_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"SIP/2.0 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(not_http, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await connect(node_at(port), "td-app", nothing, answer_timeout_s=1.0) is None
    assert await connect(node_at(port), "td-app", nothing, answer_timeout_s=1.0) is None


async def test_a_client_whose_application_is_taken_while_it_connects_begins_under_another_name() -> None:
    """It would hear nothing of its calls otherwise, and believe that it does."""
    names: list[str] = []

    async def play(connection: ServerConnection) -> None:
        assert connection.request is not None
        names.append(connection.request.path.partition("app=")[2])
        if len(names) == 1:
            await connection.send(b'{"type": "ApplicationReplaced"}', text=True)
        await answer_everything(connection)

    async with serve(play, "127.0.0.1", 0, compression=None) as server:
        (port,) = (one.getsockname()[1] for one in server.sockets)
        engine = AsteriskEngine(node_at(port), Trunks(), Tones(Path("/nowhere")))
        await engine.start()
        try:
            await until(lambda: engine.reachable)
            assert names == [names[0], engine.app]
            assert engine.app != names[0]
        finally:
            await engine.stop()


@asynccontextmanager
async def told_with_the_handshake(
    event: Mapping[str, object],
) -> AsyncIterator[tuple[AsteriskEngine, list[str]]]:
    """An engine that hears what comes in, on a node that tells this in one breath with taking it on.

    Yields what the node was asked on that connection too, and at last "closed".
    """
    asked: list[str] = []

    def cork(connection: ServerConnection, on: bool) -> None:
        """What is written meanwhile leaves together."""
        connection.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)

    def hold_back(connection: ServerConnection, request: Request, response: Response) -> None:
        cork(connection, True)

    async def play(connection: ServerConnection) -> None:
        assert connection.request is not None
        comes_in = connection.request.path.endswith("=td-in")
        if comes_in:
            await connection.send(msgspec.json.encode(event), text=True)
        cork(connection, False)
        with suppress(ConnectionClosed):
            async for message in connection:
                request = msgspec.json.decode(message)
                there = request["uri"].startswith("applications/")
                answer = {"request_id": request["request_id"], "status_code": 200 if there else 404}
                said = {"type": "RESTResponse", "message_body": "{}", **answer}
                await connection.send(msgspec.json.encode(said), text=True)
                if comes_in:
                    asked.append(f"{request['method']} {request['uri']}")
        if comes_in:
            asked.append("closed")

    async with serve(play, "127.0.0.1", 0, compression=None, process_response=hold_back) as server:
        (port,) = (one.getsockname()[1] for one in server.sockets)
        engine = AsteriskEngine(node_at(port), Trunks(), Tones(Path("/nowhere")))
        await engine.start()
        try:
            await engine.hear_incoming(True)
            yield engine, asked
        finally:
            await engine.stop()


async def test_a_call_that_is_told_with_the_handshake_rings() -> None:
    start = {"type": "StasisStart", "channel": {"id": "17.1", "name": "PJSIP/td3-1"}, "args": ["3", "0247"]}
    async with told_with_the_handshake(start) as (engine, asked):
        await until(lambda: "POST channels/17.1/ring" in asked)
        await engine.refuse("17.1", EndCause.BUSY)
        await until(lambda: "DELETE channels/17.1?reason_code=17" in asked)


async def test_who_is_replaced_with_the_handshake_lets_go() -> None:
    async with told_with_the_handshake({"type": "ApplicationReplaced"}) as (_, asked):
        await until(lambda: "closed" in asked)


async def test_a_handshake_that_comes_in_pieces_is_one() -> None:
    async def answer_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        (key,) = (line.split(": ")[1] for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
        lines = (
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_key(key)}",
            "",
            "",
        )
        for piece in "\r\n".join(lines):
            writer.write(piece.encode())
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer_slowly, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        link = await connect(node_at(port), "td-app", nothing, answer_timeout_s=1.0)
        assert link is not None
        link.abort()
