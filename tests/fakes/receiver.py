"""A customer's server on loopback that behaves, or misbehaves, by the path that it is asked for.

It speaks HTTP by hand, so that it can answer slowly, in part, or not at all.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """One whole answer. An underscore in a header's name stands for a hyphen."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Hears everything; answers as `answers` says, by path, and 200 otherwise.

    An answer is the bytes to send; `None` hangs, an empty one closes the connection, and one that is cut
    short closes it after what there is. A function is asked for each request.
    """

    port: int = 0
    answers: dict[str, bytes | Callable[[Request], bytes | None] | None] = field(default_factory=dict)
    drips: dict[str, float] = field(default_factory=dict)
    """Paths whose answer comes a byte at a time, with so many seconds between."""
    got: list[Request] = field(default_factory=list)
    at_once: Counter[str] = field(default_factory=Counter)
    """Requests that are being answered now, by path."""
    most_at_once: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _connections: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/ok") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Request]:
        return [one for one in self.got if one.path == path]

    async def until(self, is_so: Callable[[], bool], *, within: float = 30.0) -> None:
        """Wait until what was heard makes it so. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()

    async def until_got(self, path: str, number: int, *, within: float = 30.0) -> list[Request]:
        await self.until(lambda: len(self.at(path)) >= number, within=within)
        return self.at(path)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        connection = self._connections
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._answer_one(reader, writer, connection):
                    pass
        finally:
            writer.close()

    async def _answer_one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> bool:
        """Whether the connection stays open."""
        request = await _read(reader, connection)
        self.got.append(request)
        self.at_once[request.path] += 1
        self.most_at_once[request.path] = max(self.most_at_once[request.path], self.at_once[request.path])
        self._changed.set()
        try:
            told = self.answers.get(request.path, OK)
            reply = told(request) if callable(told) else told
            if reply is None:
                await reader.read()  # until the other side gives up
                return False
            return await self._send(writer, reply, self.drips.get(request.path))
        finally:
            self.at_once[request.path] -= 1
            self._changed.set()

    async def _send(self, writer: asyncio.StreamWriter, reply: bytes, drip_s: float | None) -> bool:
        for part in [reply] if drip_s is None else [bytes([byte]) for byte in reply]:
            writer.write(part)
            await writer.drain()
            if drip_s is not None:
                await asyncio.sleep(drip_s)
        return _is_whole(reply)


def _is_whole(reply: bytes) -> bool:
    head, _, body = reply.partition(b"\r\n\r\n")
    lengths = [line[15:] for line in head.splitlines() if line.lower().startswith(b"content-length:")]
    return bool(lengths) and len(body) >= int(lengths[0])


async def _read(reader: asyncio.StreamReader, connection: int) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in head[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(head[0].split(" ")[1], headers, body, connection)


@asynccontextmanager
async def receiving(host: str = "127.0.0.1") -> AsyncIterator[Receiver]:
    """A receiver that listens on a free port, until the end of the block."""
    receiver = Receiver()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await receiver.serve(reader, writer)
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(serve, host, 0, backlog=1024)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
