"""Far ends of benchmarks: what INVITEs reach it and when, and how many frames of sound arrive.

A process of its own, told by its environment what to do; it prints JSON when its input is closed.

- `invites`: answers every INVITE with 486 Busy Here at once, and keeps when each came, by the number.
- `frames`: takes RTP on one port and counts each stream's packets and what is missing between them.

Both stamp with CLOCK_MONOTONIC, which is one clock for all processes of a machine.
"""

from __future__ import annotations

import os
import re
import select
import socket
import struct
import sys
import time
from collections.abc import Callable

import msgspec

from tongdai.kit.supervisor import die_with_parent

_LINE = re.compile(rb"^INVITE sips?:([^@;> ]+)@")
_KEPT = re.compile(rb"^(Via|From|To|Call-ID|CSeq):.*$", re.MULTILINE | re.IGNORECASE)
RECEIVE_BUFFER = 16 << 20


class Stream(msgspec.Struct):
    """One stream of RTP, told apart by its SSRC."""

    packets: int = 0
    missing: int = 0
    """Sequence numbers that were passed over."""
    first: float = 0.0
    last: float = 0.0
    sequence: int = -1


def serve(port: int, take: Callable[[socket.socket, bytes, tuple[str, int]], None]) -> None:
    """Every datagram of a port to `take`, until standard input is closed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        one.bind(("127.0.0.1", port))
        one.setblocking(False)
        sys.stderr.flush()
        print("ready", flush=True)
        while True:
            readable, _, _ = select.select([one, sys.stdin], [], [])
            if one in readable:
                _drain(one, take)
            elif sys.stdin in readable:
                return


def _drain(one: socket.socket, take: Callable[[socket.socket, bytes, tuple[str, int]], None]) -> None:
    while True:
        try:
            data, peer = one.recvfrom(2048)
        except BlockingIOError:
            return
        take(one, data, peer)


def invites(port: int) -> dict[str, float]:
    """When each number's first INVITE came."""
    seen: dict[str, float] = {}

    def take(one: socket.socket, data: bytes, peer: tuple[str, int]) -> None:
        at = time.monotonic()
        line = _LINE.match(data)
        if line is None:
            return
        seen.setdefault(line.group(1).decode(), at)
        headers = [found.group(0).rstrip() for found in _KEPT.finditer(data)]
        tagged = [line + b";tag=busy" if line[:3].lower() == b"to:" else line for line in headers]
        answer = [b"SIP/2.0 486 Busy Here", *tagged, b"Content-Length: 0", b"", b""]
        one.sendto(b"\r\n".join(answer), peer)

    serve(port, take)
    return seen


def frames(port: int) -> dict[str, Stream]:
    """What each stream brought, by its SSRC."""
    streams: dict[int, Stream] = {}
    header = struct.Struct("!BBHII")

    def take(one: socket.socket, data: bytes, peer: tuple[str, int]) -> None:
        if len(data) < header.size or data[0] >> 6 != 2 or data[1] & 0x7F in (101, 13, 19):
            return
        _, _, sequence, _, source = header.unpack_from(data)
        stream = streams.get(source)
        now = time.monotonic()
        if stream is None:
            stream = streams[source] = Stream(first=now)
        elif (gap := (sequence - stream.sequence - 1) & 0xFFFF) < 0x8000:
            stream.missing += gap
        stream.packets += 1
        stream.last = now
        stream.sequence = sequence

    serve(port, take)
    return {str(source): stream for source, stream in streams.items()}


if __name__ == "__main__":
    die_with_parent(int(sys.argv[sys.argv.index("--parent") + 1]))
    told: object = {"invites": invites, "frames": frames}[sys.argv[1]](int(os.environ["BENCH_PORT"]))
    print(msgspec.json.encode(told).decode(), flush=True)
