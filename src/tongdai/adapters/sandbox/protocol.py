"""What the sandbox carrier and its clients say to each other, and how it is framed.

A frame is four bytes of length, most significant first, and a MessagePack array of messages. Everything that
one turn of the event loop produces for one peer goes out in one frame. Times of day are epoch seconds; `at`
and every other duration are the carrier's seconds. Nothing here carries what is said to the person: a play
is a number of seconds, and whether a secret code is in it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

logger = logging.getLogger(__name__)

TOO_LATE = "too late"
"""The refusal of a request that came after its `dial_before`."""

PROTOCOL_VERSION = 2

MAX_FRAME = 256 * 1024 * 1024
"""Bytes. Room for the replay of all remembered legs; anything above is not our protocol."""

MAX_UNSENT = 64 * 1024 * 1024
"""Bytes that may wait for a peer that does not read. A replay of all remembered legs is about 50 MB."""

_HEADER = struct.Struct(">IBI")
_ARRAY_32 = 0xDD
_UNIX_PATH_LIMIT = 107


class _Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    pass


# ------------------------------------------------------------------ client to carrier


class Hello(_Message, frozen=True, tag=1):
    """The first message of a client."""

    version: int
    name: str


class Dial(_Message, frozen=True, tag=2):
    """One originate; answered by `Taken(request)`. `before` is epoch seconds."""

    request: int
    leg: int
    trunk: int
    number: str
    caller: str
    ring_s: float
    max_s: float
    detect: bool
    before: float


Verb = Literal[
    "play", "stop", "timer", "untimer", "record", "unrecord", "recordcall", "pickup", "transfer", "hangup"
]


class Do(_Message, frozen=True, tag=3):
    """A command on a leg. `ordinal` numbers the commands of a leg from 1."""

    leg: int
    ordinal: int
    verb: Verb
    id: int = 0
    seconds: float = 0.0
    flag: bool = False
    """play: a secret code is in it. record: a digit stops it."""
    target: str = ""
    phones: list[tuple[int, str, str, float]] = []
    """transfer: leg, number, caller and the longest talk of each that rings."""


class Adopt(_Message, frozen=True, tag=4):
    """Take legs over: pairs of leg id and slot in epoch seconds. Answered by `Adopted(request)`."""

    request: int
    legs: list[tuple[int, float]]


class Ack(_Message, frozen=True, tag=5):
    """The client has dealt with so many of the `Told` that this connection brought."""

    count: int


class Place(_Message, frozen=True, tag=6):
    """Somebody calls us; answered by `Placed(request)`. Seconds are the carrier's."""

    request: int
    trunk: int
    caller: str
    """As the carrier writes it; "": withheld. It says how the caller behaves, as a called number does."""
    called: str
    waits_s: float = 30.0
    """How long the caller lets it ring."""
    stays_s: float | None = None
    """How long after the answer the caller hangs up; None: as their number says."""
    presses: str = ""
    """One key in each prompt, the first one first; "": as their number says."""


class Hear(_Message, frozen=True, tag=7):
    """This client hears of calls that come in, those that ring included, and nobody else does; or not any
    more. Answered by `Taken(request)`."""

    request: int
    wanted: bool


class Accept(_Message, frozen=True, tag=8):
    """A call that came in is this leg from now on. Answered by `Taken(request)`."""

    request: int
    channel: str
    leg: int
    max_s: float


class Refuse(_Message, frozen=True, tag=9):
    """End a call that was not accepted."""

    channel: str
    cause: str


FromClient = Hello | Dial | Do | Adopt | Ack | Place | Hear | Accept | Refuse


# ------------------------------------------------------------------ carrier to client


class Welcome(_Message, frozen=True, tag=101):
    """Answers `Hello`. A client whose version differs hangs up."""

    version: int
    booted_at: float
    speed: float


class Taken(_Message, frozen=True, tag=102):
    """A dial request was accepted, or refused for the reason given."""

    request: int
    refusal: str = ""


class Adopted(_Message, frozen=True, tag=103):
    """What is known of each leg: `LegKnowledge` values. Replayed events follow in the same frame or later."""

    request: int
    legs: list[tuple[int, str]]


What = Literal["ringing", "answered", "digit", "played", "timer", "recorded", "transferred", "ended"]


class Told(_Message, frozen=True, tag=104):
    """One event of a leg. Which of the last fields matter follows from `what`, as in the telephony port."""

    leg: int
    seq: int
    at: float
    what: What
    id: int = 0
    seconds: float | None = None
    """answered, ended: second of the answer. recorded, transferred: how long."""
    flag: bool = False
    """played: completed. transferred: connected."""
    text: str = ""
    """answered: by whom. digit: the digit. transferred: the leg that answered. ended: the cause."""


class Came(_Message, frozen=True, tag=105):
    """Somebody calls. To be acknowledged like a `Told`."""

    channel: str
    trunk: int
    caller: str
    called: str


class Went(_Message, frozen=True, tag=106):
    """The caller gave up before the call was accepted or refused. To be acknowledged like a `Told`."""

    channel: str


class Placed(_Message, frozen=True, tag=107):
    """It rings."""

    request: int
    channel: str


FromCarrier = Welcome | Taken | Adopted | Told | Came | Went | Placed

_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode


class Wire(asyncio.Protocol):
    """One connection, either side: cuts frames, and gathers what is sent during a turn into one frame.

    A peer that has left more than `max_unsent` bytes unread when there is more to send is dropped.
    """

    def __init__(self, messages: Any, *, max_unsent: int = MAX_UNSENT) -> None:
        self._max_unsent = max_unsent
        self._decoder: msgspec.msgpack.Decoder[list[Any]] = msgspec.msgpack.Decoder(list[messages])
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()

    def received(self, messages: list[Any]) -> None:
        raise NotImplementedError

    def lost(self) -> None:
        raise NotImplementedError

    def send(self, encoded: bytes) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(encoded)

    def close(self) -> None:
        if self._transport is not None:
            self._flush()
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._out.clear()
        self.lost()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        start, available = 0, len(buffer)
        while available - start >= 4:
            size = int.from_bytes(buffer[start : start + 4], "big")
            if size > MAX_FRAME:
                self._abort("a frame is too large")
                return
            if available - start - 4 < size:
                break
            body = bytes(buffer[start + 4 : start + 4 + size])
            start += 4 + size
            try:
                messages = self._decoder.decode(body)
            except msgspec.DecodeError:
                self._abort("a frame is not our protocol")
                return
            self.received(messages)
        del buffer[:start]

    def _flush(self) -> None:
        out = self._out
        if not out:
            return
        self._out = []
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > self._max_unsent:
            self._abort("the peer does not read")
        else:
            body = b"".join(out)
            transport.write(_HEADER.pack(len(body) + 5, _ARRAY_32, len(out)) + body)

    def _abort(self, reason: str) -> None:
        logger.warning("connection dropped", extra={"reason": reason})
        self._buffer.clear()
        if self._transport is not None:
            self._transport.abort()


# ------------------------------------------------------------------ addresses


@dataclass(frozen=True, slots=True)
class Address:
    """Where a carrier listens: a unix socket, or a loopback host and port."""

    path: Path | None
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        return str(self.path) if self.path else f"{self.host}:{self.port}"

    @contextmanager
    def socket_path(self) -> Iterator[str]:
        """The socket's path in a form that the system takes, to be used inside the context.

        The kernel takes 107 bytes and data folders may be deeper; a folder's descriptor has a short name.
        """
        assert self.path is not None
        whole = str(self.path)
        if len(whole.encode()) <= _UNIX_PATH_LIMIT:
            yield whole
            return
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{folder}/{self.path.name}"
        finally:
            os.close(folder)


def parse_address(text: str) -> Address:
    """`/run/x.sock` (anything with a slash) or `127.0.0.1:4500`.

    Raises ValueError for a host that is not loopback: the protocol has no authentication.
    """
    if "/" in text:
        return Address(Path(text.removeprefix("unix:")))
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        raise ValueError("the sandbox carrier listens on loopback only")
    return Address(None, host, int(port))
