"""The client's half of the WebSocket protocol (RFC 6455), without extensions: the handshake and the frames.

Pure: bytes in, frames out. Written here because a connection that is given up must be given up at once, with
what was not sent yet, and because several messages go out in one write; client libraries offer neither.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
_CONTINUATION, _BINARY = 0x0, 0x2
_FIN, _MASKED = 0x80, 0x80
_LENGTH_16, _LENGTH_64 = 126, 127
_ACCEPT_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes. A list of all channels of a full node has some megabytes."""
MAX_HEAD = 64 * 1024


class WebSocketError(Exception):
    """The other side does not speak the protocol, or refused the handshake."""


def new_key() -> str:
    return base64.b64encode(os.urandom(16)).decode()


def handshake(host: str, target: str, authorization: str, key: str) -> bytes:
    lines = (
        f"GET {target} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        f"Authorization: {authorization}",
        "",
        "",
    )
    return "\r\n".join(lines).encode()


def check_handshake(head: bytes, key: str) -> None:
    """Raises WebSocketError with the status that was given instead."""
    status, _, rest = head.partition(b"\r\n")
    words = status.split(b" ", 2)
    if len(words) < 2 or words[1] != b"101":
        raise WebSocketError(
            f"no WebSocket: HTTP status {words[1].decode('latin-1')[:3] if words[1:] else '?'}"
        )
    expected = base64.b64encode(hashlib.sha1(key.encode() + _ACCEPT_SALT, usedforsecurity=False).digest())
    for line in rest.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"sec-websocket-accept" and value.strip() == expected:
            return
    raise WebSocketError("no WebSocket: the key was not confirmed")


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """One whole message, masked as a client must."""
    size = len(payload)
    if size < _LENGTH_16:
        head = bytes((_FIN | opcode, _MASKED | size))
    elif size < 1 << 16:
        head = bytes((_FIN | opcode, _MASKED | _LENGTH_16)) + size.to_bytes(2, "big")
    else:
        head = bytes((_FIN | opcode, _MASKED | _LENGTH_64)) + size.to_bytes(8, "big")
    mask = os.urandom(4)
    stream = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "little") ^ int.from_bytes(stream, "little")
    return head + mask + masked.to_bytes(size, "little")


class FrameReader:
    """Cuts what arrives into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._parts: list[bytes] = []
        self._opcode = TEXT

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yields (opcode, payload) of whole messages. Raises WebSocketError."""
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while (cut := _cut(buffer, start)) is not None:
                opcode, final, begin, start = cut
                payload = bytes(buffer[begin:start])
                message = self._whole(opcode, final, payload)
                if message is not None:
                    yield message
        finally:
            del buffer[:start]

    def _whole(self, opcode: int, final: bool, payload: bytes) -> tuple[int, bytes] | None:
        if opcode >= CLOSE:
            return opcode, payload
        if final and not self._parts and opcode != _CONTINUATION:
            return opcode, payload
        if opcode != _CONTINUATION:
            self._opcode = opcode
        self._parts.append(payload)
        if sum(map(len, self._parts)) > MAX_MESSAGE:
            raise WebSocketError("a message is too long")
        if not final:
            return None
        whole, self._parts = b"".join(self._parts), []
        return self._opcode, whole


def _cut(buffer: bytearray, start: int) -> tuple[int, bool, int, int] | None:
    """Opcode, whether it is final, and where the payload begins and ends; None: not all there yet."""
    have = len(buffer) - start
    if have < 2:
        return None
    first, size = buffer[start], buffer[start + 1]
    if size & _MASKED or first & 0x70:
        raise WebSocketError("a server's frame is not masked and has no extension")
    head = 2
    if size == _LENGTH_16:
        head = 4
    elif size == _LENGTH_64:
        head = 10
    if have < head:
        return None
    if head > 2:
        size = int.from_bytes(buffer[start + 2 : start + head], "big")
    if size > MAX_MESSAGE:
        raise WebSocketError("a frame is too long")
    begin = start + head
    if len(buffer) < begin + size:
        return None
    return first & 0x0F, bool(first & _FIN), begin, begin + size
