"""What AICallCenter's customers send, in every form that their clients send it.

Nothing raises on a customer's input: a body that cannot be read has no contacts, an element without a number
is skipped as the document says, a bad limit or time is its default.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from litestar.types import Receive, Scope

from tongdai.domain.campaigns import NewContact
from tongdai.facades._shared.bodies import (
    INLINE_BYTES,
    UNREADABLE,
    form_pairs,
    is_json,
    json_value,
    read_body,
)

DEFAULT_LIMIT: Final = 10
# With all its spaces and brackets; what is accepted is stored, and shown in every export.
_LONGEST_NUMBER: Final = 100
_MOST_FORM_FIELDS: Final = 200_000
_MOST_QUERY_FIELDS: Final = 100
_LARGEST_ID: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_SINCE: Final = timedelta(days=365_000)
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

    A body that is longer than `max_bytes`, that breaks off, or that does not arrive in time counts as
    unreadable.
    """
    body = await read_body(scope, receive, max_bytes=max_bytes, timeout_s=timeout_s)
    if body is None:
        return ImportBody(hides_token=True)
    if len(body) > INLINE_BYTES:
        return await asyncio.to_thread(parse_import, body)
    return parse_import(body)


def parse_import(body: bytes | bytearray) -> ImportBody:
    """The import in a body of any kind."""
    try:
        data = _fields_of(body)
        contacts = data.get("contacts")
        if isinstance(contacts, bytes):
            contacts = msgspec.json.decode(contacts)
    except UNREADABLE:
        return ImportBody(hides_token=b"access_token" in body)
    token = data.get("access_token")
    token = token if isinstance(token, str) else None
    if not isinstance(contacts, list):
        return ImportBody(token)
    usable = [contact for element in contacts if (contact := _contact(element)) is not None]
    return ImportBody(token, usable, len(contacts))


# ---------------------------------------------------------------- forms of bodies


def _fields_of(body: bytes | bytearray) -> Mapping[str, Any]:
    """What a body holds, by name. Raises one of UNREADABLE."""
    if is_json(body):
        data = json_value(body)
        return data if isinstance(data, dict) else {}
    return _nested(form_pairs(body, _MOST_FORM_FIELDS))


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
