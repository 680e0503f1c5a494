"""What AICallCenter's customers send, in every form that their clients send it.

Nothing here trusts a content type: a body is JSON when it starts like JSON, multipart when it starts with a
boundary, and a form otherwise. Nothing raises on a customer's input: a body that cannot be read has no
contacts, an element without a number is skipped as the document says, a bad limit or time is its default.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from litestar.types import Receive, Scope
from multipart import MultipartParser  # type: ignore[import-untyped]

from tongdai.domain.campaigns import NewContact
from tongdai.kit.receiving import BodyBrokenError, BodyLateError, TimelyBody

DEFAULT_LIMIT: Final = 10
# Reading a longer body takes some milliseconds, for which other requests should not wait.
_INLINE_BYTES: Final = 256 * 1024
# With all its spaces and brackets; what is accepted is stored, and shown in every export.
_LONGEST_NUMBER: Final = 100
_MOST_FORM_FIELDS: Final = 200_000
_MOST_QUERY_FIELDS: Final = 100
_BOM: Final = b"\xef\xbb\xbf"
_PATIENCE: Final = 4
_LARGEST_ID: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_SINCE: Final = timedelta(days=365_000)
# Bad JSON, UTF-8, forms and multiparts are all ValueErrors; deep nesting exhausts the stack.
_UNREADABLE: Final = (ValueError, RecursionError)
_php_key: Final = re.compile(r"contacts\[([^\[\]]*)\](?:\[([^\[\]]+)\])?").fullmatch
_digits: Final = re.compile(r"[0-9]{1,19}").fullmatch
_any_digits: Final = re.compile(r"[0-9]+").fullmatch


@dataclass(frozen=True, slots=True)
class ImportBody:
    token: str | None = None
    contacts: list[NewContact] | None = None
    """Those that name a phone number; None when `contacts` is no list or cannot be read."""
    received: int = 0
    """How many elements there were, usable or not."""
    hides_token: bool = False
    """The body cannot be read, but may hold a token."""


@dataclass(frozen=True, slots=True)
class ResultsQuery:
    """Which page of results. Times are aware; None is no limit.

    The documented defaults, the campaign's creation and now, need no value: no result lies outside them.
    """

    start: datetime | None
    end: datetime | None
    limit: int
    offset: int


# ---------------------------------------------------------------- path, query and headers


def read_campaign_id(scope: Scope) -> int | None:
    """The campaign in the path; None for a text that can be no id."""
    return _whole_number(scope["path_params"].get("campaign_id"))


def read_query(scope: Scope) -> Mapping[str, str]:
    """The query's fields, the first of each name; empty when it has absurdly many."""
    text = scope["query_string"].decode("latin-1")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_QUERY_FIELDS)
    except ValueError:
        return {}
    return dict(reversed(pairs))


def read_token(scope: Scope) -> str | None:
    """The token in the query, or else in the Authorization header."""
    token = read_query(scope).get("access_token") if b"access_token" in scope["query_string"] else None
    return token or _bearer(scope)


def read_results_query(scope: Scope, max_limit: int) -> ResultsQuery:
    """The page that a query asks for; what is no number there counts as absent.

    Times are milliseconds since 1970, or seconds when they have exactly ten digits (2001 to 2286).
    """
    query = read_query(scope)
    return ResultsQuery(
        start=_moment(query.get("start_time")),
        end=_moment(query.get("end_time")),
        limit=min(_clamped(query.get("limit")) or DEFAULT_LIMIT, max_limit),
        offset=_clamped(query.get("offset")) or 0,
    )


def _bearer(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip().decode("latin-1")
    return None


def _whole_number(text: object) -> int | None:
    """A number from 0 to the largest id, in plain digits; None for anything else."""
    if not isinstance(text, str) or not _digits(text):
        return None
    number = int(text)
    return number if number <= _LARGEST_ID else None


def _clamped(text: str | None) -> int | None:
    """A number in plain digits, at most the largest id however many digits it has; None for anything else."""
    if not text or not _any_digits(text):
        return None
    digits = text.lstrip("0")
    return _LARGEST_ID if len(digits) > 19 else min(int(digits or "0"), _LARGEST_ID)


def _moment(text: str | None) -> datetime | None:
    number = _whole_number(text)
    if number is None or text is None:
        return None
    seconds = number if len(text) == 10 else number / 1000
    return _EPOCH + timedelta(seconds=min(seconds, _LONGEST_SINCE.total_seconds()))


# ---------------------------------------------------------------- the import's body


async def read_import(scope: Scope, receive: Receive, max_bytes: int, timeout_s: float) -> ImportBody:
    """The import that a request brings.

    A body that is longer than `max_bytes`, that breaks off, or that does not arrive in time (`TimelyBody`)
    counts as unreadable.
    """
    try:
        body = await _read_body(scope, TimelyBody(receive, timeout_s), max_bytes)
    except (BodyBrokenError, BodyLateError):
        body = None
    if body is None:
        return ImportBody(hides_token=True)
    if len(body) > _INLINE_BYTES:
        return await asyncio.to_thread(parse_import, body)
    return parse_import(body)


def parse_import(body: bytes | bytearray) -> ImportBody:
    """The import in a body of any kind."""
    try:
        data = _fields_of(body)
        contacts = data.get("contacts")
        if isinstance(contacts, bytes):
            contacts = msgspec.json.decode(contacts)
    except _UNREADABLE:
        return ImportBody(hides_token=b"access_token" in body)
    token = data.get("access_token")
    token = token if isinstance(token, str) else None
    if not isinstance(contacts, list):
        return ImportBody(token)
    usable = [contact for element in contacts if (contact := _contact(element)) is not None]
    return ImportBody(token, usable, len(contacts))


async def _read_body(scope: Scope, receive: Receive, max_bytes: int) -> bytes | bytearray | None:
    """The whole body; None when it is longer than `max_bytes`.

    A longer one is received all the same, up to `_PATIENCE` times the limit, and thrown away: a client that
    is still sending when it is answered often sees a broken connection instead of the answer. One that is
    announced as still longer is not begun.
    """
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
    for name, value in scope["headers"]:
        if name == b"content-length":
            return _whole_number(value.decode("latin-1")) or 0
    return 0


# ---------------------------------------------------------------- forms of bodies


def _fields_of(body: bytes | bytearray) -> Mapping[str, Any]:
    """What a body holds, by name. Raises one of _UNREADABLE."""
    if _is_json(body):
        data = msgspec.json.decode(body[3:] if body.startswith(_BOM) else body)
        return data if isinstance(data, dict) else {}
    pairs = _multipart_fields(body) if body.startswith(b"--") else _form_fields(body)
    return _nested(pairs)


def _is_json(body: bytes | bytearray) -> bool:
    return body[:64].removeprefix(_BOM).lstrip()[:1] in (b"{", b"[")


def _form_fields(body: bytes | bytearray) -> Iterator[tuple[str, str]]:
    yield from parse_qsl(
        body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FORM_FIELDS
    )


def _multipart_fields(body: bytes | bytearray) -> Iterator[tuple[str, str]]:
    boundary = body[2 : body.index(b"\n")].strip()
    size = len(body)
    parts = MultipartParser(
        BytesIO(body), bytes(boundary), part_limit=_MOST_FORM_FIELDS, spool_limit=size, memory_limit=size
    )
    for part in parts:
        yield part.name, part.raw.decode()


def _nested(pairs: Iterator[tuple[str, str]]) -> Mapping[str, Any]:
    """A form's fields, with `contacts[0][phone_number]=…` put together as PHP does.

    `contacts` itself holds JSON text, which is bytes here to tell it from a list.
    """
    fields: dict[str, Any] = {}
    elements: dict[str, Any] = {}
    for key, value in pairs:
        if match := _php_key(key):
            index, name = match.groups()
            # An empty index is a new element every time, as in PHP.
            element = elements.setdefault(index or f"[{len(elements)}]", {} if name else value)
            if name and isinstance(element, dict):
                element[name] = value
        else:
            fields[key] = value.encode() if key == "contacts" else value
    if elements:
        fields["contacts"] = list(elements.values())
    return fields


# ---------------------------------------------------------------- elements of contacts


def _contact(element: object) -> NewContact | None:
    """A contact as it was given, to be judged by the campaign; None for an element that names no number."""
    if type(element) is not dict:
        return None
    given = element.pop("phone_number", None)
    if type(given) is int:
        given = str(given)
    elif type(given) is not str or len(given) > _LONGEST_NUMBER:
        return None
    return NewContact(given, element, _otp_text(element.pop("otp_code", None)))


def _otp_text(code: object) -> str | None:
    """A code as text. A number has lost its leading zeros: 4217 was "004217"."""
    if type(code) is int:
        return f"{code:06d}"
    return code if isinstance(code, str) else None
