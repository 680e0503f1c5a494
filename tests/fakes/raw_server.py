"""A server on loopback that answers with bytes, or misbehaves, as a script says.

It speaks HTTP by hand, so that it can reset connections, and stop in the middle of an answer.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

Fault = Literal["hang", "reset", "close"]


@dataclass(frozen=True, slots=True)
class Heard:
    method: str
    target: str
    headers: dict[str, str]
    """By the names as they came."""
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Script = Callable[[Heard], bytes | Fault]
"""What each request is answered with. Bytes that are less than a whole answer are followed by a closing."""


def whole(body: bytes, status: int = 200, **headers: str) -> bytes:
    """One whole answer. An underscore in a header's name stands for a hyphen."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class RawServer:
    script: Script
    port: int = 0
    heard: list[Heard] = field(default_factory=list)
    _connections: int = 0
    _parted: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        connection = self._connections
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._answer_one(reader, writer, connection):
                    pass
        finally:
            writer.close()

    async def until_parted(self) -> None:
        """Return when the other side has closed the connection that was closed last, too."""
        await self._parted.wait()

    async def _answer_one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> bool:
        """Whether the connection stays open."""
        heard = await _read(reader, connection)
        self.heard.append(heard)
        reply = self.script(heard)
        if reply == "hang":
            await reader.read()  # until the other side gives up
        elif reply == "reset":
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif isinstance(reply, bytes):
            self._parted.clear()
            writer.write(reply)
            await writer.drain()
            if _is_whole(reply):
                return True
            if writer.can_write_eof():
                writer.write_eof()
                await reader.read()  # until the other side has seen it
                self._parted.set()
        return False


def _is_whole(reply: bytes) -> bool:
    head, _, body = reply.partition(b"\r\n\r\n")
    lengths = [line[15:] for line in head.splitlines() if line.lower().startswith(b"content-length:")]
    return bool(lengths) and len(body) >= int(lengths[0])


async def _read(reader: asyncio.StreamReader, connection: int) -> Heard:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in head[1:] if line)
    headers = {name.strip(): value.strip() for name, value in pairs}
    length = next((value for name, value in headers.items() if name.lower() == "content-length"), "0")
    method, target, _ = head[0].split(" ")
    return Heard(method, target, headers, await reader.readexactly(int(length)), connection)


@asynccontextmanager
async def raw_server(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Listens on a free port of loopback until the end of the block."""
    server = RawServer(script)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await server.serve(reader, writer)
        finally:
            tasks.discard(task)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listening.wait_closed()
