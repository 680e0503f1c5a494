"""The frames of a WebSocket, as RFC 6455 has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongdai.adapters.asterisk.websocket import (
    MAX_MESSAGE,
    PING,
    TEXT,
    FrameReader,
    WebSocketError,
    check_handshake,
    frame,
    handshake,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""Key and answer are those of RFC 6455 section 1.3."""
ACCEPTED = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def _server(payload: bytes, opcode: int = TEXT, *, final: bool = True) -> bytes:
    size = len(payload)
    first = bytes(((0x80 if final else 0) | opcode,))
    if size < 126:
        return first + bytes((size,)) + payload
    if size < 1 << 16:
        return first + b"\x7e" + size.to_bytes(2, "big") + payload
    return first + b"\x7f" + size.to_bytes(8, "big") + payload


def _unmasked(sent: bytes) -> tuple[int, bytes]:
    size, head = sent[1] & 0x7F, 2
    assert sent[1] & 0x80
    if size == 126:
        size, head = int.from_bytes(sent[2:4], "big"), 4
    elif size == 127:
        size, head = int.from_bytes(sent[2:10], "big"), 10
    mask, masked = sent[head : head + 4], sent[head + 4 :]
    assert len(masked) == size
    return sent[0], bytes(byte ^ mask[place % 4] for place, byte in enumerate(masked))


@pytest.mark.parametrize("size", [0, 1, 3, 4, 125, 126, 127, 65_535, 65_536])
def test_what_is_sent_is_one_whole_masked_frame(size: int) -> None:
    payload = bytes(place % 251 for place in range(size))

    assert _unmasked(frame(payload)) == (0x80 | TEXT, payload)


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 50))
def test_messages_are_found_however_they_arrive(payloads: list[bytes], step: int) -> None:
    stream = b"".join(_server(payload) for payload in payloads)
    reader = FrameReader()

    read = [m for at in range(0, len(stream), step) for m in reader.feed(stream[at : at + step])]

    assert read == [(TEXT, payload) for payload in payloads]


def test_a_message_in_parts_is_whole_again_and_a_ping_may_come_between() -> None:
    stream = _server(b"one ", final=False) + _server(b"?", PING) + _server(b"two", 0)

    assert list(FrameReader().feed(stream)) == [(PING, b"?"), (TEXT, b"one two")]


@pytest.mark.parametrize(
    "stream",
    [b"\x81\x81mask!", b"\xc1\x00", b"\x81\x7f" + (MAX_MESSAGE + 1).to_bytes(8, "big")],
    ids=["masked", "compressed", "endless"],
)
def test_what_is_not_the_protocol_is_refused(stream: bytes) -> None:
    with pytest.raises(WebSocketError):
        list(FrameReader().feed(stream))


def test_a_handshake_asks_for_a_websocket_and_believes_only_the_right_answer() -> None:
    asked = handshake("node:8088", "/ari/events?app=td-1", "Basic x", KEY)
    good = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + ACCEPTED

    check_handshake(good, KEY)

    assert asked.startswith(b"GET /ari/events?app=td-1 HTTP/1.1\r\nHost: node:8088\r\n")
    assert asked.endswith(b"\r\n\r\n")
    for answer in (b"HTTP/1.1 401 Unauthorized", b"", b"HTTP/1.1 101 Yes", good.replace(b"s3", b"s4")):
        with pytest.raises(WebSocketError):
            check_handshake(answer, KEY)
