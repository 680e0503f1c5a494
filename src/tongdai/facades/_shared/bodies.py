"""Bodies as customers' programs send them, whatever they say of the content type.

A body is JSON when it starts like JSON, multipart when it starts with a boundary, and a form otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from multipart import MultipartParser  # type: ignore[import-untyped]

from tongdai.kit.receiving import read_body as read_body

UNREADABLE: Final = (ValueError, RecursionError)
"""Bad JSON, UTF-8, forms and multiparts are all ValueErrors; deep nesting exhausts the stack."""

INLINE_BYTES: Final = 256 * 1024
"""Reading a longer body takes some milliseconds, for which other requests should not wait."""

_BOM: Final = b"\xef\xbb\xbf"


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
