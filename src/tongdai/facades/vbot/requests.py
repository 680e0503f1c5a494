"""What VBot's customers send: both spellings of every field, and every form that was seen or is likely.

What makes a whole request unusable raises `RequestInvalidError`. What is wrong with one contact does not: it
becomes a contact with its problem, which the campaign keeps and tells as an invalid number.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from litestar.types import Receive, Scope

from tongdai.domain.campaigns import MAX_ATTEMPTS, NewContact
from tongdai.facades._shared.bodies import (
    INLINE_BYTES,
    UNREADABLE,
    form_pairs,
    is_json,
    json_value,
    read_body,
)
from tongdai.facades.vbot.errors import RequestInvalidError
from tongdai.kit.clock import VIETNAM
from tongdai.ports.services import Services

MAX_PHONES: Final = 100_000
"""In one request."""
MAX_NAME: Final = 255
DEFAULT_SIZE: Final = 20
MAX_SIZE: Final = 1000

VBOT_ID: Final = ("vbot_id", "vbotId", "vbotID", "VBotID")
PROJECT_CODE: Final = ("project_code", "projectCode", "groupCode", "group_code")
CAMPAIGN_ID: Final = ("campaignID", "campaignId", "campaign_id")
"""The names of one field, each: what the vendor's table says, what its sample says, and what lies between."""

# Of requests without contacts.
_SMALL_BYTES: Final = 64 * 1024
_MOST_FIELDS: Final = 100
_LONGEST_NUMBER: Final = 100
_LONGEST_ID: Final = 19
_UNKNOWN_ID: Final = 2**63 - 1
_YEARS: Final = (1970, 2999)
_CONTACTS_IN_A_ROW: Final = 1000
"""Read between two moments in which other requests get their turn: a few milliseconds of work."""

_OWN_TIMES_AND_PERSON: Final = ("call_after", "call_before", "person_ref")
"""Keys of ours, unless the template declares a field of that name."""

_digits: Final = re.compile(r"[0-9]+").fullmatch
_is_plain: Final = re.compile(r"[\w .-]{1,64}").fullmatch
_attempts_text: Final = re.compile(r"\+?[0-9]{1,18}").fullmatch
_slashed: Final = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})(?:[ T]([0-9:]{4,8}))?").fullmatch

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What POST /token brings; what is missing is empty."""

    grant_type: str = ""
    username: str = ""
    password: str = ""
    refresh_token: str = ""

    def __repr__(self) -> str:
        return f"TokenRequest(grant_type={self.grant_type!r})"


@dataclass(frozen=True, slots=True)
class CampaignRequest:
    vbot_id: str
    project_code: str
    template_id: int
    """An id that no template has, where what was sent is longer than any id."""
    name: str
    phones: Sequence[object]


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Which page of the call history. Times are aware; None is no limit. Pages count from 1."""

    phone: str | None
    page: int
    size: int
    start: datetime | None
    end: datetime | None


# ---------------------------------------------------------------- headers


def read_credentials(scope: Scope) -> Iterator[str]:
    """Every text of the head that may be a token or an API key: of `Authorization`, then of `X-API-Key`.

    The word Bearer may be written in any case or be missing, as some of the vendor's own clients do.
    """
    for wanted in (b"authorization", b"x-api-key"):
        for name, value in scope["headers"]:
            if name == wanted:
                text = value.decode("latin-1").strip()
                scheme, _, rest = text.partition(" ")
                yield rest.strip() if scheme.lower() == "bearer" else text


# ---------------------------------------------------------------- POST /token


async def read_token_request(services: Services, scope: Scope, receive: Receive) -> TokenRequest:
    """A form or JSON, whatever the content type says; what cannot be read brings nothing."""
    body = await read_body(scope, receive, max_bytes=_SMALL_BYTES, timeout_s=services.body_timeout_s)
    try:
        fields = _fields_of(body or b"")
    except UNREADABLE:
        return TokenRequest()
    texts = {name: fields.get(name) for name in ("grant_type", "username", "password", "refresh_token")}
    return TokenRequest(**{name: text for name, text in texts.items() if isinstance(text, str)})


def _fields_of(body: bytes | bytearray) -> Mapping[str, Any]:
    """By name, the last of each. Raises one of UNREADABLE."""
    if is_json(body):
        value = json_value(body)
        return value if isinstance(value, dict) else {}
    return dict(form_pairs(body, _MOST_FIELDS))


# ---------------------------------------------------------------- POST /api/campaign/create


async def read_campaign(services: Services, scope: Scope, receive: Receive) -> CampaignRequest:
    """Raises RequestInvalidError."""
    body = await read_body(
        scope, receive, max_bytes=services.max_body_bytes, timeout_s=services.body_timeout_s
    )
    if body is None:
        raise RequestInvalidError("nội dung quá dài, bị ngắt hoặc đến quá chậm")
    if len(body) > INLINE_BYTES:
        return await asyncio.to_thread(parse_campaign, body)
    return parse_campaign(body)


def parse_campaign(body: bytes | bytearray) -> CampaignRequest:
    """Raises RequestInvalidError."""
    try:
        data = json_value(body)
    except UNREADABLE:
        raise RequestInvalidError("nội dung không phải là JSON") from None
    if not isinstance(data, dict):
        raise RequestInvalidError("nội dung phải là một đối tượng JSON")
    return CampaignRequest(
        vbot_id=_agreed(data, VBOT_ID, _code),
        project_code=_agreed(data, PROJECT_CODE, _code),
        template_id=_agreed(data, CAMPAIGN_ID, _campaign_id),
        name=_name(data.get("name")),
        phones=_phones(data.get("phones")),
    )


def _agreed(data: Mapping[str, Any], names: Sequence[str], read: Callable[[object], Value | None]) -> Value:
    """The one value that all the names of a field give that are there; null is not there."""
    given = {name: data[name] for name in names if data.get(name) is not None}
    if not given:
        raise RequestInvalidError(f"thiếu {names[0]}")
    values: list[Value] = []
    for name, text in given.items():
        value = read(text)
        if value is None:
            raise RequestInvalidError(f"{name} không đúng định dạng")
        values.append(value)
    if any(value != values[0] for value in values):
        raise RequestInvalidError(f"{' và '.join(given)} khác nhau")
    return values[0]


def _code(value: object) -> str | None:
    if type(value) is int:
        return str(value)
    return value.strip() or None if isinstance(value, str) else None


def _campaign_id(value: object) -> int | None:
    text = str(value) if type(value) is int else value.strip() if isinstance(value, str) else ""
    if not _digits(text):
        return None
    digits = text.lstrip("0") or "0"
    return int(digits) if len(digits) < _LONGEST_ID else _UNKNOWN_ID


def _name(value: object) -> str:
    if value is None:
        raise RequestInvalidError("thiếu name")
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME or "\x00" in value:
        raise RequestInvalidError(f"name phải có từ 1 đến {MAX_NAME} ký tự")
    return value


def _phones(value: object) -> Sequence[object]:
    if value is None:
        raise RequestInvalidError("thiếu phones")
    if not isinstance(value, list):
        raise RequestInvalidError("phones phải là một danh sách")
    if len(value) > MAX_PHONES:
        raise RequestInvalidError(f"phones có quá {MAX_PHONES} phần tử")
    return value


# ---------------------------------------------------------------- contacts


async def read_contacts(phones: Sequence[object], declared: Collection[str]) -> list[NewContact]:
    """One contact for each element, whatever it is; `declared` are the names of the template's fields."""
    own = tuple(name for name in _OWN_TIMES_AND_PERSON if name not in declared)
    contacts: list[NewContact] = []
    for start in range(0, len(phones), _CONTACTS_IN_A_ROW):
        await asyncio.sleep(0)
        contacts += [_contact(element, own) for element in phones[start : start + _CONTACTS_IN_A_ROW]]
    return contacts


def _contact(element: object, own: Sequence[str]) -> NewContact:
    if not isinstance(element, dict):
        given, problem = _given(element)
        return NewContact(given, problem=problem)
    values, malformed = _values(element)
    given, problem = _given(values.pop("phone", None))
    attempts, fault = _attempts(values.pop("numberCall", None))
    fields: dict[str, str] = {}
    for key, value in values.items():
        text = _text(value)
        if text is None:
            fault = fault or f"field_invalid: {key if _is_plain(key) else '?'}"
        elif value is not None:
            fields[key] = text
    mine = {name: text for name in own if (text := fields.pop(name, "").strip())}
    code = fields.pop("otp_code", None)
    return NewContact(
        given, fields, code, max_attempts=attempts, problem=problem or malformed or fault, **mine
    )


def _values(element: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """By key, the last of each, and what is wrong where something among them is no pair."""
    fields = element.get("fields")
    if fields is None:
        return {key: value for key, value in element.items() if key != "fields"}, None
    values: dict[str, Any] = {}
    malformed = None if isinstance(fields, list) else "fields_malformed"
    for pair in fields if isinstance(fields, list) else ():
        key = pair.get("key") if isinstance(pair, dict) else None
        if isinstance(key, str):
            values[key] = pair.get("value")
        else:
            malformed = "fields_malformed"
    return values, malformed


def _given(value: object) -> tuple[str, str | None]:
    """A phone number as it is kept, and why it is none, where its length already says so."""
    text = _text(value)
    if text is None or isinstance(value, bool):
        return "", None
    return text[:_LONGEST_NUMBER], "number_invalid" if len(text) > _LONGEST_NUMBER else None


def _attempts(value: object) -> tuple[int | None, str | None]:
    """How many dials, at most `MAX_ATTEMPTS`, and what is wrong with it. Null and blank are not given."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None, None
    text = "" if isinstance(value, bool) else _text(value) or ""
    if not _attempts_text(text.strip()) or int(text) < 1:
        return None, "number_call_invalid"
    return min(int(text), MAX_ATTEMPTS), None


def _text(value: object) -> str | None:
    """A value as it is stored, as a string. Null is an empty one; None for a list or an object."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        # Programs that know no whole numbers write 3.0.
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else str(value)
    return None


# ---------------------------------------------------------------- GET /api/crm/historycall/getAll


async def read_history_query(services: Services, scope: Scope, receive: Receive) -> HistoryQuery:
    """The parameters, of the query or else of the body: the vendor's pages have had them in both.

    Raises RequestInvalidError.
    """
    body = await read_body(scope, receive, max_bytes=_SMALL_BYTES, timeout_s=services.body_timeout_s)
    if body is None:
        raise RequestInvalidError("nội dung quá dài, bị ngắt hoặc đến quá chậm")
    try:
        fields = dict(_fields_of(body)) if body.strip() else {}
        query = scope["query_string"].decode("latin-1")
        fields |= parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except UNREADABLE:
        raise RequestInvalidError("nội dung không đọc được") from None
    texts = {name: _parameter(fields, name) for name in ("phone", "page", "size", "from", "to")}
    form = services.vbot.date_format
    return HistoryQuery(
        phone=texts["phone"] or None,
        page=max(_count("page", texts["page"]) or 1, 1),
        size=min(_count("size", texts["size"]) or DEFAULT_SIZE, MAX_SIZE),
        start=_moment("from", texts["from"], form, time.min),
        end=_moment("to", texts["to"], form, time.max),
    )


def _parameter(fields: Mapping[str, Any], name: str) -> str:
    text = _text(fields.get(name))
    if text is None:
        raise RequestInvalidError(f"{name} không đúng định dạng")
    return text.strip()


def _count(name: str, text: str) -> int | None:
    """A number in plain digits, at most the largest that the database knows; None where nothing is given."""
    if not text:
        return None
    if not _digits(text):
        raise RequestInvalidError(f"{name} phải là số nguyên")
    digits = text.lstrip("0") or "0"
    return int(digits) if len(digits) < _LONGEST_ID else _UNKNOWN_ID


def _moment(name: str, text: str, form: str, day_time: time) -> datetime | None:
    """A time in any of the likely forms; one without a zone is Vietnam's, a day alone is at `day_time`.

    Whole seconds (ten digits) or milliseconds since 1970, ISO 8601, or the vendor's `MM/dd/yyyy HH:mm:ss`.
    """
    if not text:
        return None
    try:
        if _digits(text):
            since = int(text[:15]) if len(text) == 10 else int(text[:15]) / 1000
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=since)
        moment = _slashed_moment(text, form, day_time) or _iso_moment(text, day_time)
    except (ValueError, OverflowError):
        raise RequestInvalidError(f"{name} không đúng định dạng {form} HH:mm:ss") from None
    # Beyond these nothing was ever dialled, and the arithmetic of dates ends somewhere.
    year = min(max(moment.year, _YEARS[0]), _YEARS[1])
    moment = moment if year == moment.year else datetime(year, 1, 1)  # noqa: DTZ001 - given its zone below
    return moment if moment.tzinfo else moment.replace(tzinfo=VIETNAM)


def _iso_moment(text: str, day_time: time) -> datetime:
    moment = datetime.fromisoformat(text)
    return datetime.combine(moment, day_time) if len(text) <= len("2026-11-22") else moment


def _slashed_moment(text: str, form: str, day_time: time) -> datetime | None:
    found = _slashed(text)
    if found is None:
        return None
    first, second, year, clock = found.groups()
    month, day = (first, second) if form.startswith("MM") else (second, first)
    at = day_time if clock is None else time.fromisoformat(clock.zfill(5) if clock.count(":") == 1 else clock)
    return datetime(int(year), int(month), int(day), at.hour, at.minute, at.second, at.microsecond)  # noqa: DTZ001
