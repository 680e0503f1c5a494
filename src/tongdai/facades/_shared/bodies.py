"""Bodies as customers' programs send them, whatever they say of the content type.

A body is JSON when it starts like JSON, multipart when it starts with a boundary, and a form otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from litestar.types import Receive, Scope
from multipart import MultipartParser  # type: ignore[import-untyped]

from tongdai.kit.receiving import BodyBrokenError, BodyLateError, TimelyBody

UNREADABLE: Final = (ValueError, RecursionError)
"""Bad JSON, UTF-8, forms and multiparts are all ValueErrors; deep nesting exhausts the stack."""

INLINE_BYTES: Final = 256 * 1024
"""Reading a longer body takes some milliseconds, for which other requests should not wait."""

_BOM: Final = b"\xef\xbb\xbf"
_PATIENCE: Final = 4
_LONGEST_LENGTH: Final = 19


async def read_body(
    scope: Scope, receive: Receive, *, max_bytes: int, timeout_s: float
) -> bytes | bytearray | None:
    """The whole body; None when it is longer than `max_bytes`, breaks off, or does not arrive in time.

    A longer one is received all the same, up to `_PATIENCE` times the limit, and thrown away: a client that
    is still sending when it is answered often sees a broken connection instead of the answer. One that is
    announced as still longer is not begun. Its time is as `TimelyBody` says.
    """
    try:
        return await _received(scope, TimelyBody(receive, timeout_s), max_bytes)
    except (BodyBrokenError, BodyLateError):
        return None


def is_json(body: bytes | bytearray) -> bool:
    return body[:64].removeprefix(_BOM).lstrip()[:1] in (b"{", b"[")


def json_value(body: bytes | bytearray) -> Any:
    """What JSON says, with or without a byte order mark. Raises one of `UNREADABLE`."""
    return msgspec.json.decode(body[3:] if body.startswith(_BOM) else body)


def form_pairs(body: bytes | bytearray, most: int) -> Iterator[tuple[str, str]]:
    """The fields of a form of either kind, `most` at most, in order. Raises one of `UNREADABLE` when read."""
    if body.startswith(b"--"):
        return _multipart_pairs(body, most)
    pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=most)
    return iter(pairs)


def _multipart_pairs(body: bytes | bytearray, most: int) -> Iterator[tuple[str, str]]:
    boundary = body[2 : body.index(b"\n")].strip()
    size = len(body)
    parts = MultipartParser(
        BytesIO(body), bytes(boundary), part_limit=most, spool_limit=size, memory_limit=size
    )
    for part in parts:
        yield part.name, part.raw.decode()


async def _received(scope: Scope, receive: Receive, max_bytes: int) -> bytes | bytearray | None:
    body: bytes | bytearray = b""
    declared = _declared_length(scope)
    if declared > _PATIENCE * max_bytes:
        return None
    size, fits = 0, declared <= max_bytes
    while size <= _PATIENCE * max_bytes:
        chunk, more = await _next_chunk(receive)
        size += len(chunk)
        if fits and size <= max_bytes:
            body = _joined(body, chunk)
        else:
            body, fits = b"", False
        if not more:
            return body if fits else None
    return None


async def _next_chunk(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    assert message["type"] == "http.request"
    return message.get("body", b""), message.get("more_body", False)


def _joined(body: bytes | bytearray, chunk: bytes) -> bytes | bytearray:
    """Nearly every body is one chunk, which is not copied; the others grow in place."""
    if not body:
        return chunk
    joined = bytearray(body) if isinstance(body, bytes) else body
    joined += chunk
    return joined


def _declared_length(scope: Scope) -> int:
    """The length that the head announces; 0 when it says none that is a number."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) <= _LONGEST_LENGTH else 0
    return 0
