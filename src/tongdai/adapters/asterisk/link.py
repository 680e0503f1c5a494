"""One WebSocket to one Asterisk: events in, and REST requests over it with their answers.

Asterisk does the requests of a WebSocket one after another, so what is sent first is done first. A connection
that is given up is reset: what was not delivered yet never will be.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import socket
import ssl
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote, urlsplit

import msgspec
from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from tongdai.adapters.asterisk.heard import EVENTS, Heard
from tongdai.ports.sip import AsteriskNode
from tongdai.ports.telephony import EngineUnreachableError

logger = logging.getLogger(__name__)

CONNECT_S = 3.0
PING_AFTER_S = 0.8
"""Seconds without a word from the node until it is asked whether it lives."""
SILENT_S = 2.2
"""Seconds without a word, though it was asked, after which it counts as gone."""
TICK_S = 0.2
SOON_S = 0.002
"""So long a request waits for others to go with: each write costs more than what is in it."""
BREATH_S = 0.01
"""A busy connection is read and written so far apart. What comes alone is heard and sent at once."""
MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes. A list of all channels of a full node has some megabytes."""
MAX_UNSENT = 4 * 1024 * 1024
"""Bytes that may wait for a node that does not read; they would arrive too late."""

Body = Mapping[str, Any]
OnHeard = Callable[[Heard], None]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request: the HTTP status, and the body as it came."""

    status: int
    body: str

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """Raises EngineUnreachableError when it is none: nobody can say what was meant."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            raise EngineUnreachableError("Asterisk's answer cannot be read") from None


class _Request(msgspec.Struct, tag_field="type", tag="RESTRequest", omit_defaults=True):
    request_id: str
    method: str
    uri: str
    content_type: str = ""
    message_body: str = ""


def authorization(node: AsteriskNode) -> str:
    """The value of the HTTP header that lets us in."""
    return "Basic " + base64.b64encode(f"{node.username}:{node.password}".encode()).decode()


class Link(asyncio.Protocol):
    """A connection for the events of one application. Made by `connect`; used from one event loop."""

    def __init__(self, node: AsteriskNode, app: str, on_heard: OnHeard, *, answer_timeout_s: float) -> None:
        self.app = app
        self._node = node
        self._loop = asyncio.get_running_loop()
        self._answer_timeout_s = answer_timeout_s
        self._transport: asyncio.Transport | None = None
        self._protocol = ClientProtocol(
            parse_uri(_address(node, app)), max_size=MAX_MESSAGE, logger=_silent_logger()
        )
        self._parts: list[bytes] = []
        """Of a message that comes in several frames."""
        self._decode = msgspec.json.Decoder(Heard).decode
        self._encode = msgspec.json.Encoder().encode
        self._outbox: list[bytes] = []
        self._wrote_at = 0.0
        self._paused = False
        self._flushing = False
        self._soon: asyncio.TimerHandle | None = None
        self._numbers = 0
        self._asked: dict[str, tuple[asyncio.Future[Reply], float]] = {}
        self._heard_at = self._loop.time()
        self._tick: asyncio.TimerHandle | None = None
        self._tick_at = 0.0
        self.open: asyncio.Future[None] = self._loop.create_future()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._on_heard = on_heard
        self.before_write: Callable[[], None] | None = None
        """Called before a batch of requests is written; may add some."""

    # -------------------------------------------------------------- asking

    async def ask(self, method: str, uri: str, body: Body | None = None) -> Reply:
        """Do a request below `/ari/` and wait for its answer. Raises EngineUnreachableError.

        A connection that leaves one without an answer is given up.
        """
        if self.closed.done():
            raise EngineUnreachableError("Asterisk is not connected")
        answer: asyncio.Future[Reply] = self._loop.create_future()
        self._numbers += 1
        number = str(self._numbers)
        self._asked[number] = (answer, self._loop.time() + self._answer_timeout_s)
        self._put(number, method, uri, body)
        try:
            return await answer
        finally:
            self._asked.pop(number, None)

    def send(self, method: str, uri: str, body: Body | None = None) -> None:
        """Do a request whose answer does not matter. Nothing is done when the connection is gone."""
        if not self.closed.done():
            self._put("", method, uri, body)

    def send_soon(self, method: str, uri: str) -> None:
        """The same, together with what is sent next; at the latest within `SOON_S`."""
        if not self.closed.done():
            flushing, self._flushing = self._flushing, True
            self._put("", method, uri, None)
            self._flushing = flushing
            self.schedule_soon()

    def schedule_soon(self) -> None:
        """Write a batch within `SOON_S`."""
        if self._soon is None:
            self._soon = self._loop.call_later(SOON_S, self.schedule)

    def _put(self, number: str, method: str, uri: str, body: Body | None) -> None:
        if body is None:
            request = _Request(number, method, uri)
        else:
            request = _Request(number, method, uri, "application/json", self._encode(body).decode())
        self._outbox.append(self._encode(request))
        self.schedule()

    def schedule(self) -> None:
        """Write a batch within this turn of the event loop, or a breath after the one before."""
        if not self._flushing:
            self._flushing = True
            wait = self._wrote_at + BREATH_S - self._loop.time()
            if wait > 0:
                self._loop.call_later(wait, self._flush)
            else:
                self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self.before_write is not None:
            self.before_write()
        self._flushing = False
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        batch, self._outbox = self._outbox, []
        if self._transport is None or self._protocol.state is not State.OPEN or self.closed.done():
            return
        for message in batch:
            self._protocol.send_text(message)
        self._wrote_at = self._loop.time()
        self._write()
        if self._transport.get_write_buffer_size() > MAX_UNSENT:
            self.abort()

    def _write(self) -> None:
        """What the protocol has to send, its own frames too."""
        if self._transport is not None and not self._transport.is_closing():
            data = b"".join(self._protocol.data_to_send())
            if data:
                self._transport.write(data)

    # -------------------------------------------------------------- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but their class.
        self._transport = cast(asyncio.Transport, transport)
        request = self._protocol.connect()
        request.headers["Authorization"] = authorization(self._node)
        self._protocol.send_request(request)
        self._write()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._on_frame(event)
            else:
                self._on_handshake()
        self._write()
        if self._protocol.state in (State.CLOSING, State.CLOSED):
            self._give_up(self._protocol.handshake_exc or self._protocol.parser_exc)
        elif self._protocol.state is State.OPEN and not self._paused and self._transport is not None:
            # Asterisk writes each event by itself; many are read together at the price of one.
            self._paused = True
            self._transport.pause_reading()
            self._loop.call_later(BREATH_S, self._read_on)

    def _read_on(self) -> None:
        self._paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _give_up(self, error: Exception | None) -> None:
        if error is not None:
            logger.warning("Asterisk: %s", error, extra={"node": self._node.id})
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _on_handshake(self) -> None:
        if self._protocol.handshake_exc is None:
            if not self.open.done():
                self.open.set_result(None)
            self._tick_at = self._loop.time() + TICK_S
            self._tick = self._loop.call_at(self._tick_at, self._watch)

    def _on_frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.CONT):
            self._parts.append(bytes(frame.data))
            if frame.fin:
                message, self._parts = b"".join(self._parts), []
                self._on_message(message)

    def _on_message(self, payload: bytes) -> None:
        if self.closed.done():
            return
        try:
            heard = self._decode(payload)
        except msgspec.DecodeError:
            logger.warning("a message of Asterisk cannot be read", extra={"node": self._node.id})
            return
        if heard.type == "RESTResponse":
            self._on_answer(heard)
        else:
            self._on_heard(heard)

    def _on_answer(self, heard: Heard) -> None:
        asked = self._asked.get(heard.request_id)
        if asked is not None and not asked[0].done():
            asked[0].set_result(Reply(heard.status_code, heard.message_body))

    def _watch(self) -> None:
        """Ask a silent node whether it lives, and give up one that does not answer.

        Time in which this process itself did nothing says nothing of the node: what it sent waits to be read.
        """
        now = self._loop.time()
        absent = now - self._tick_at
        if absent > TICK_S:
            self._heard_at += absent
        silent = now - self._heard_at
        first = next(iter(self._asked.values()), None)
        if silent > SILENT_S or (first is not None and first[1] + max(0.0, absent - TICK_S) <= now):
            logger.warning("Asterisk does not answer", extra={"node": self._node.id})
            self.abort()
            return
        if silent > PING_AFTER_S and self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")
            self._write()
        self._tick_at = now + TICK_S
        self._tick = self._loop.call_at(self._tick_at, self._watch)

    def abort(self) -> None:
        """Give it up at once; nothing that was not delivered yet is delivered later."""
        if self._transport is not None:
            connection = self._transport.get_extra_info("socket")
            if connection is not None:
                # uvloop's socket says ValueError once it is closed.
                with suppress(OSError, ValueError):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        self._end()

    def close(self) -> None:
        """End it in good order: what was asked so far is still delivered."""
        if self._transport is not None and not self.closed.done():
            self._flush()
            if self._protocol.state is State.OPEN:
                with suppress(WebSocketException):
                    self._protocol.send_close(1000)
                self._write()
            self._transport.close()
        self._end()

    def _end(self) -> None:
        for handle in (self._tick, self._soon):
            if handle is not None:
                handle.cancel()
        if self.closed.done():
            return
        self.closed.set_result(None)
        for answer, _ in list(self._asked.values()):
            if not answer.done():
                answer.set_exception(EngineUnreachableError("Asterisk did not answer"))
        if not self.open.done():
            self.open.cancel()


def _address(node: AsteriskNode, app: str) -> str:
    parts = urlsplit(node.url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/ari/events?app={quote(app)}"


def _silent_logger() -> logging.Logger:
    """The protocol's own log has what is sent, passwords too: it is never written."""
    quiet = logging.getLogger(f"{__name__}.protocol")
    quiet.setLevel(logging.CRITICAL + 1)
    return quiet


async def connect(node: AsteriskNode, app: str, on_heard: OnHeard, *, answer_timeout_s: float) -> Link | None:
    """An open connection for the events of `app`, which exists from now on; None: it cannot be reached.

    `on_heard` is called with each event, in order; the first may come before this returns.
    """
    parts = urlsplit(node.url)
    secure = parts.scheme == "https"
    loop = asyncio.get_running_loop()
    link: Link | None = None
    try:
        async with asyncio.timeout(CONNECT_S):
            _, link = await loop.create_connection(
                lambda: Link(node, app, on_heard, answer_timeout_s=answer_timeout_s),
                parts.hostname or "",
                parts.port or (443 if secure else 80),
                ssl=ssl.create_default_context() if secure else None,
            )
            await link.open
    except (OSError, TimeoutError):
        pass
    except asyncio.CancelledError:
        if link is not None and not link.closed.done():
            link.abort()
            raise
        if link is None:
            raise
    else:
        return link
    if link is not None:
        link.abort()
    return None


async def listed(link: Link, events: Sequence[str] = EVENTS) -> bool:
    """Have Asterisk tell the application only what is needed, and see that it is there.

    Raises EngineUnreachableError.
    """
    allowed = [{"type": kind} for kind in events]
    link.send("PUT", f"applications/{link.app}/eventFilter", {"allowed": allowed})
    return (await link.ask("GET", f"applications/{link.app}")).ok
