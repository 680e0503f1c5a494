"""Endpoints and deliveries; when a delivery is tried again, and how an endpoint fares. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import SplitResult, urlsplit

import msgspec

from tongdai.domain.webhooks.events import FORMATS, Event
from tongdai.kit.addresses import address_in, is_public

DeliveryState = Literal["pending", "delivered", "parked"]
PauseReason = Literal["customer", "failures", "retry_after", "gone"]

Renderer = Callable[[Any, Mapping[str, Any]], bytes]
"""Makes the body of an event that it has one for: (event, the endpoint's options) -> JSON in UTF-8."""

Renderers = Mapping[str, Renderer]
"""By the name of the format."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an account is told. Secret and auth header are not part of it."""

    id: int
    account_id: int
    url: str
    format: str
    events: list[str]
    description: str
    options: dict[str, Any]
    has_auth_header: bool
    enabled: bool
    max_in_flight: int
    old_secret_until: datetime | None
    """Until then requests are signed with the secret before, too."""
    failures: int
    """Failed tries in a row."""
    failing_since: datetime | None
    paused_at: datetime | None
    """Since when nothing is sent; what happens is kept for it meanwhile."""
    paused_until: datetime | None
    """When one delivery is tried again. None while paused: not before somebody resumes it."""
    pause_reason: str | None
    last_error: str | None
    last_error_at: datetime | None
    last_delivered_at: datetime | None
    created_at: datetime
    oa_ref: int | None
    """The connection whose `webhook_url` this is: it is told of nothing else, and is changed there alone."""


@dataclass(frozen=True, slots=True)
class IssuedEndpoint:
    """A new endpoint with its secret."""

    endpoint: Endpoint
    secret: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one endpoint."""

    id: int
    account_id: int
    endpoint_id: int
    event_id: int
    call_id: int
    """0: of none. A test event, or one of Zalo's."""
    seq: int
    type: str
    state: str
    replay_of: int | None
    replayed_at: datetime | None
    created_at: datetime
    due_at: datetime
    """When it is tried, at the earliest."""
    tries: int
    done_at: datetime | None
    status: int | None
    """Of the last answer, if there was one."""
    error: str | None
    """Why the last try failed: a word of `ports.posting.PostFailure`, or `status`, `redirect`, `gone`,
    `unrendered`."""

    @property
    def webhook_id(self) -> str:
        return webhook_id(self.event_id, self.endpoint_id)


@dataclass(frozen=True, slots=True)
class Try:
    """What came of sending a delivery once."""

    at: datetime
    status: int | None
    error: str | None
    ms: int
    answer: bytes | None
    """The first KiB of it."""


@dataclass(frozen=True, slots=True)
class DeliveryDetail:
    delivery: Delivery
    event: Event
    body: bytes | None
    """None: it was not made yet, because nothing was tried."""
    tries: list[Try]


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """None: any."""

    endpoint_id: int | None = None
    state: DeliveryState | None = None
    call_id: int | None = None


@dataclass(frozen=True, slots=True)
class ReplayFilter:
    """Which deliveries of an endpoint are to be repeated: those of this state that were made in this time."""

    state: Literal["parked", "delivered"] = "parked"
    since: datetime | None = None
    until: datetime | None = None
    """Aware, exclusive."""


@dataclass(frozen=True, slots=True)
class SendingFigures:
    """How the sending goes."""

    tries: dict[str, int]
    """Since the beginning, by what came of them: delivered, failed, parked."""
    pending: int
    """Deliveries on their way; no more than `MOST_COUNTED` are counted."""
    open_endpoints: int
    """That something is on its way to."""
    closed_endpoints: int
    """The same, but paused, disabled or deleted."""
    overdue_s: float
    """For how long what has waited longest at an open endpoint has been due."""


def webhook_id(event_id: int, endpoint_id: int) -> str:
    """What a receiver tells repetitions by: the same for every try and every replay of an event."""
    return f"evt_{event_id}_{endpoint_id}"


# ---------------------------------------------------------------- what an endpoint may be

MAX_ENDPOINTS: Final = 50
"""Of one account."""
MAX_IN_FLIGHT: Final = 100
_MAX_URL: Final = 2000
_MAX_DESCRIPTION: Final = 255
_MAX_AUTH_HEADER: Final = 4000
_MAX_OPTIONS: Final = 4000
_AUTH_HEADER = re.compile(
    r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)[ \t]*"
)
_HEADERS_OF_OURS = frozenset(
    {"accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie",
     "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "user-agent"}
)  # fmt: skip

Fault = tuple[str, str]
"""(field, what is wrong with it)."""


def url_faults(url: str, *, allow_private: bool) -> Iterator[Fault]:
    """What is wrong with an endpoint's address. A name may turn out to be private only when it is looked up,
    so every request is checked again."""
    parts = _split(url)
    if parts is None or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        yield "url", "must be a URL, anything but ASCII in it percent-encoded or punycode"
    elif len(url) > _MAX_URL:
        yield "url", f"must have {_MAX_URL} characters at most"
    elif parts.scheme not in ("http", "https") or not parts.hostname:
        yield "url", "must begin with http:// or https:// and a host"
    elif parts.username is not None or parts.password is not None:
        yield "url", "must not hold a user name or password; use the auth header"
    elif "#" in url:
        yield "url", "must not hold a fragment"
    elif not allow_private and _is_private(parts.hostname):
        yield "url", "must not be a loopback, private or otherwise reserved address"


def endpoint_faults(
    *,
    format: str,
    events: Collection[str],
    description: str,
    options: Mapping[str, Any],
    auth_header: str | None,
    max_in_flight: int,
) -> Iterator[Fault]:
    known = FORMATS.get(format)
    if known is None:
        yield "format", f"must be one of {', '.join(FORMATS)}"
    elif not events or not known.issuperset(events) or len(set(events)) != len(events):
        yield "events", f"must be one or more of {', '.join(sorted(known))}, each once"
    if len(description) > _MAX_DESCRIPTION or (description and not description.isprintable()):
        yield "description", f"must be printable and have {_MAX_DESCRIPTION} characters at most"
    written = msgspec.json.encode(options)
    if len(written) > _MAX_OPTIONS or b"\\u0000" in written:  # which PostgreSQL cannot keep
        yield "options", f"must have {_MAX_OPTIONS} bytes at most, and no character U+0000"
    if auth_header is not None and parse_auth_header(auth_header) is None:
        yield "auth_header", "must be `Name: value` in ASCII, and no header that the request has anyway"
    if not 1 <= max_in_flight <= MAX_IN_FLIGHT:
        yield "max_in_flight", f"must be 1 to {MAX_IN_FLIGHT}"


def parse_auth_header(text: str) -> tuple[str, str] | None:
    """Name and value, or None for what is no header or one that is ours to set."""
    match = _AUTH_HEADER.fullmatch(text)
    if match is None or len(text) > _MAX_AUTH_HEADER:
        return None
    name = match[1].lower()
    return None if name in _HEADERS_OF_OURS or name.startswith("webhook-") else (match[1], match[2])


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Whom an endpoint's address names: scheme, host and port. Whatever differs may be somebody else."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it is parsed when it is asked for
    except ValueError:
        return None
    return None if parts.port == 0 else parts


def _is_private(host: str) -> bool:
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = address_in(name)
    return address is not None and not is_public(address)
