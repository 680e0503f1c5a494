"""A fixed HTTP client: a few connections that are kept, one request at a time on each.

It reads no more of an answer than it must, so that it takes little of the processor that it shares with
the server, and it is the same for ours and for the limit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Connection:
    """One kept connection to 127.0.0.1. Raises RuntimeError for an answer that is not 200."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> Connection:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**26)
        return self

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            await self._writer.wait_closed()

    async def send(self, request: bytes) -> bytes:
        """The body of the answer."""
        assert self._reader is not None
        assert self._writer is not None
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        body = await self._reader.readexactly(_length(head))
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{head.splitlines()[0]!r} {body[:500]!r}")
        return body


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise RuntimeError("an answer without a length")


def post(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()


async def rate(port: int, make: Callable[[], bytes], *, connections: int, seconds: float) -> float:
    """Requests answered per second, with so many connections that each send the next request at once."""
    opened = [await Connection(port).open() for _ in range(connections)]
    until = time.perf_counter() + seconds
    answered = 0

    async def keep_sending(connection: Connection) -> None:
        nonlocal answered
        while time.perf_counter() < until:
            await connection.send(make())
            answered += 1

    began = time.perf_counter()
    await asyncio.gather(*(keep_sending(one) for one in opened))
    took = time.perf_counter() - began
    for one in opened:
        await one.close()
    return answered / took
