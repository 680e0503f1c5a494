"""A customer's server on loopback, as a process of its own: it answers at once, or never, and counts.

It parses no more than it must, so that it takes little of the processor that it shares with the sender, and
it is the same for ours and for the limit.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import cast

from tongdai.kit.running import run_until_stopped
from tongdai.kit.supervisor import die_with_parent

HANGS = b"POST /hang"
COUNTS = b"GET /counts"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MOST_CONNECTIONS = 10_000


class Counts:
    """Requests that were answered, and those that wait for an answer that never comes."""

    def __init__(self) -> None:
        self.answered = 0
        self.hanging = 0
        self.connections = 0

    def answer(self) -> bytes:
        body = f'{{"answered":{self.answered},"hanging":{self.hanging}}}'.encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class Receiver(asyncio.Protocol):
    """One connection: requests one after another, each whole before it is answered."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._got = b""
        self._hangs = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own says that it is a BaseTransport
        self._counts.connections += 1
        if self._counts.connections > MOST_CONNECTIONS:
            self._transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        self._counts.connections -= 1
        self._counts.hanging -= self._hangs

    def data_received(self, data: bytes) -> None:
        self._got += data
        while (end := whole_request(self._got)) is not None:
            request, self._got = self._got[:end], self._got[end:]
            self._serve(request)

    def _serve(self, request: bytes) -> None:
        if request.startswith(HANGS):
            self._hangs += 1
            self._counts.hanging += 1
        elif request.startswith(COUNTS):
            self._transport.write(self._counts.answer())
        else:
            self._counts.answered += 1
            self._transport.write(OK)


def whole_request(got: bytes) -> int | None:
    """Where the first request ends; None when it is not whole. Raises ValueError for a bad length."""
    head_end = got.find(b"\r\n\r\n")
    if head_end < 0:
        return None
    head = got[:head_end].lower()
    at = head.find(b"\r\ncontent-length:")
    length = 0 if at < 0 else int(head[at + 17 :].partition(b"\r\n")[0])
    end = head_end + 4 + length
    return end if len(got) >= end else None


async def serve(stop: asyncio.Event) -> None:
    counts = Counts()
    loop = asyncio.get_running_loop()
    port = int(os.environ["BENCH_PORT"])
    server = await loop.create_server(lambda: Receiver(counts), "127.0.0.1", port, backlog=1024)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    die_with_parent(int(sys.argv[sys.argv.index("--parent") + 1]))
    run_until_stopped(serve)
