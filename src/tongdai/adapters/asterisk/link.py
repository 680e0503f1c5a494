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
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote, urlsplit

import msgspec

from tongdai.adapters.asterisk import websocket
from tongdai.adapters.asterisk.heard import Heard
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
MAX_UNSENT = 4 * 1024 * 1024
"""Bytes that may wait for a node that does not read; they would arrive too late."""

Body = Mapping[str, Any]


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

    def __init__(self, node: AsteriskNode, app: str, *, answer_timeout_s: float) -> None:
        self.app = app
        self._node = node
        self._loop = asyncio.get_running_loop()
        self._answer_timeout_s = answer_timeout_s
        self._transport: asyncio.Transport | None = None
        self._key = websocket.new_key()
        self._head: bytearray | None = bytearray()
        self._frames = websocket.FrameReader()
        self._decode = msgspec.json.Decoder(Heard).decode
        self._encode = msgspec.json.Encoder().encode
        self._outbox: list[bytes] = []
        self._flushing = False
        self._soon: asyncio.TimerHandle | None = None
        self._numbers = 0
        self._asked: dict[str, tuple[asyncio.Future[Reply], float]] = {}
        self._heard_at = self._loop.time()
        self._tick: asyncio.TimerHandle | None = None
        self.open: asyncio.Future[None] = self._loop.create_future()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.on_heard: Callable[[Heard], None] | None = None
        """Called with each event, in order."""
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
        self._outbox.append(websocket.frame(self._encode(request)))
        self.schedule()

    def schedule(self) -> None:
        """Write a batch within this turn of the event loop."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self.before_write is not None:
            self.before_write()
        self._flushing = False
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        batch, self._outbox = self._outbox, []
        if self._transport is None or self.closed.done():
            return
        self._transport.write(b"".join(batch))
        if self._transport.get_write_buffer_size() > MAX_UNSENT:
            self.abort()

    # -------------------------------------------------------------- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but their class.
        self._transport = cast(asyncio.Transport, transport)
        parts = urlsplit(self._node.url)
        target = f"{parts.path.rstrip('/')}/ari/events?app={quote(self.app)}"
        self._transport.write(websocket.handshake(parts.netloc, target, authorization(self._node), self._key))

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        try:
            if self._head is not None:
                data = self._read_head(data)
            for opcode, payload in self._frames.feed(data):
                self._on_message(opcode, payload)
        except websocket.WebSocketError as error:
            logger.warning("Asterisk: %s", error, extra={"node": self._node.id})
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _read_head(self, data: bytes) -> bytes:
        assert self._head is not None
        self._head += data
        head, found, rest = bytes(self._head).partition(b"\r\n\r\n")
        if not found:
            if len(head) > websocket.MAX_HEAD:
                raise websocket.WebSocketError("no WebSocket: a head without end")
            return b""
        websocket.check_handshake(head, self._key)
        self._head = None
        if not self.open.done():
            self.open.set_result(None)
        self._tick = self._loop.call_later(TICK_S, self._watch)
        return rest

    def _on_message(self, opcode: int, payload: bytes) -> None:
        if opcode == websocket.PING:
            self._control(payload, websocket.PONG)
        elif opcode == websocket.CLOSE:
            self.abort()
        elif opcode == websocket.TEXT and not self.closed.done():
            try:
                heard = self._decode(payload)
            except msgspec.DecodeError:
                logger.warning("a message of Asterisk cannot be read", extra={"node": self._node.id})
                return
            if heard.type == "RESTResponse":
                self._on_answer(heard)
            elif self.on_heard is not None:
                self.on_heard(heard)

    def _on_answer(self, heard: Heard) -> None:
        asked = self._asked.get(heard.request_id)
        if asked is not None and not asked[0].done():
            asked[0].set_result(Reply(heard.status_code, heard.message_body))

    def _control(self, payload: bytes, opcode: int) -> None:
        self._outbox.append(websocket.frame(payload, opcode))
        self.schedule()

    def _watch(self) -> None:
        """Ask a silent node whether it lives, and give up one that does not answer."""
        now = self._loop.time()
        silent = now - self._heard_at
        first = next(iter(self._asked.values()), None)
        if silent > SILENT_S or (first is not None and first[1] <= now):
            logger.warning("Asterisk does not answer", extra={"node": self._node.id})
            self.abort()
            return
        if silent > PING_AFTER_S:
            self._control(b"", websocket.PING)
        self._tick = self._loop.call_later(TICK_S, self._watch)

    def abort(self) -> None:
        """Give it up at once; nothing that was not delivered yet is delivered later."""
        if self._transport is not None:
            connection = self._transport.get_extra_info("socket")
            if connection is not None:
                with suppress(OSError):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        self._end()

    def close(self) -> None:
        """End it in good order: what was asked so far is still delivered."""
        if self._transport is not None and not self.closed.done():
            self._flush()
            self._transport.write(websocket.frame((1000).to_bytes(2, "big"), websocket.CLOSE))
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


async def connect(node: AsteriskNode, app: str, *, answer_timeout_s: float) -> Link | None:
    """An open connection for the events of `app`, which exists from now on; None: it cannot be reached."""
    parts = urlsplit(node.url)
    secure = parts.scheme == "https"
    loop = asyncio.get_running_loop()
    link: Link | None = None
    try:
        async with asyncio.timeout(CONNECT_S):
            _, link = await loop.create_connection(
                lambda: Link(node, app, answer_timeout_s=answer_timeout_s),
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
