"""Apps, Official Accounts, journeys, messages and templates as they are kept and looked for. Pure.

Ids of apps and Official Accounts are Zalo's, 64-bit integers; numbers are `84…`; money is đồng.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Generic, Literal, TypeVar

from tongdai.ports.zalo import TemplateParam

Pkce = Literal["per_request", "fixed", "none"]

ACCESS_GONE: Final = -124
"""Zalo's code for an access token that is not valid: what is told where a consent has lapsed."""
OUT_OF_MONEY: Final = -137
"""Zalo's code for a billing account that holds too little: told of our own wallet, too."""
NO_BILLING: Final = -136
"""Zalo's code for a billing account that is missing: told of an account of ours without a valid plan, too."""

LAST_ID: Final = 2**63 - 1

T = TypeVar("T")


# ---------------------------------------------------------------- paging


@dataclass(frozen=True, slots=True)
class Paging:
    """Which part of a list, in the order of the ids."""

    after: int | None = None
    """Only what follows this id, in the direction of the list."""
    before: int | None = None
    """Only what precedes this id, in the direction of the list, the nearest ones."""
    limit: int = 20
    newest_first: bool = True

    def span(self) -> tuple[int, int, bool]:
        """What to read: ids above the first and below the second; the third: the highest first."""
        edge = self.after if self.before is None else self.before
        downwards = self.newest_first == (self.before is None)
        if edge is None:
            return 0, LAST_ID, downwards
        return (0, edge, True) if downwards else (edge, LAST_ID, False)

    def page(self, rows: Sequence[T], id_of: Callable[[T], int], through: int | None = None) -> Page[T]:
        """The page of rows that were read as `span` says, one more than its limit where there are more.

        `through`: the last id that was looked at, where there are more behind it. A page may then hold few
        rows, or none, and the list still goes on.
        """
        items = list(rows[: self.limit])
        further = id_of(items[-1]) if items and len(rows) > self.limit else through
        if self.before is None:
            return Page(
                items, next=further, prev=id_of(items[0]) if items and self.after is not None else None
            )
        items.reverse()
        return Page(items, next=id_of(items[-1]) if items else None, prev=further)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: list[T]
    next: int | None
    """The `after` of the page that follows; None: there is none."""
    prev: int | None
    """The `before` of the page that precedes; None: this is the first."""


# ---------------------------------------------------------------- apps and Official Accounts


class OaState(StrEnum):
    """Whether an Official Account lets us in."""

    CONNECTED = "connected"
    NEEDS_CONSENT = "needs_consent"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A Zalo app of a customer's. Its secrets are not part of it."""

    id: int
    account_id: int
    app_id: int
    has_webhook_secret: bool
    hook: str
    """In the address that Zalo's events of this app go to."""
    use_proof: bool
    pkce: Pkce
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Oa:
    """A connection to an Official Account. Its tokens are not part of it."""

    id: int
    account_id: int
    app_ref: int
    app_id: int
    oa_id: int
    owner_id: int
    """The user who connected it."""
    state: OaState
    reason: str | None
    """Why it is not connected, for its owner to read."""
    reason_at: datetime | None
    access_expires_at: datetime | None
    expires_at: datetime | None
    """The end of the refresh token."""
    refreshed_at: datetime | None
    refresh_error: str | None
    """Why the last refresh failed, while it is tried again."""
    name: str
    description: str
    avatar: str
    cover: str
    is_verified: bool
    oa_type: int | None
    category: str
    followers: int
    package_name: str
    package_valid_through: str
    linked_zca: str
    current_quality: str
    last_week_quality: str
    daily_quota: int | None
    """Of today; None: Zalo did not say."""
    remaining_quota: int | None
    daily_quota_promotion: int | None
    remaining_quota_promotion: int | None
    monthly_promotion_quota: int | None
    remaining_monthly_promotion_quota: int | None
    estimated_next_month_promotion_quota: int | None
    webhook_url: str
    facts_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class OaFilter:
    """None: any."""

    app_id: int | None = None
    oa_id: int | None = None
    name: str | None = None
    """A part of it, whatever its case."""
    since: datetime | None = None
    until: datetime | None = None
    """Of `created_at`; `until` is exclusive."""


# ---------------------------------------------------------------- journeys


class JourneyState(StrEnum):
    """Where a journey is in its life."""

    OPEN = "open"
    """Made, and not used yet."""
    ENABLED = "enabled"
    """Its first message went out, and it was charged."""
    REFUSED = "refused"
    """By Zalo, or because it could not be paid."""
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    id: int
    account_id: int
    oa_ref: int
    oa_id: int
    phone: str
    token_type: str
    state: JourneyState
    """Expired as soon as the clock says so."""
    journey_id: str | None
    """Zalo's; None: refused."""
    token: str | None = field(repr=False)
    error_code: int
    """Zalo's; 0: none."""
    error_message: str
    charged: bool
    charged_at: datetime | None
    price: Decimal
    """With VAT."""
    created_at: datetime
    expires_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class JourneyFilter:
    """None: any."""

    oa_id: int | None = None
    journey_id: str | None = None
    phone: str | None = None
    charged: bool | None = None
    states: frozenset[JourneyState] | None = None
    since: datetime | None = None
    until: datetime | None = None


# ---------------------------------------------------------------- messages


class MessageState(StrEnum):
    """What became of a message."""

    SENDING = "sending"
    ACCEPTED = "accepted"
    """Zalo took it."""
    UNKNOWN = "unknown"
    """Whether Zalo took it is not known yet."""
    REFUSED = "refused"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    """It did not arrive in time, or nothing was ever heard of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZnsRequest:
    """A message as a customer asks for it."""

    phone: str
    """As given; normalised by the use case."""
    template_id: int
    data: Mapping[str, Any] = field(repr=False)
    """A one-time code may be among it."""
    tracking_id: str = ""
    development: bool = False
    over_quota: bool = False
    """Zalo's sending mode 3."""
    journey_id: str | None = None
    """Zalo's id of a journey, or ours: the message is of this journey."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZnsMessage:
    id: int
    account_id: int
    oa_ref: int
    oa_id: int
    user_id: int
    type: Literal["template", "journey"]
    journey_id: str | None
    phone: str
    template_id: int
    data: Mapping[str, Any]
    """Empty for a one-time code."""
    tracking_id: str
    """As the customer gave it."""
    development: bool
    sending_mode: str | None
    state: MessageState
    seen: bool
    msg_id: str | None
    error_code: int
    error_message: str
    price: Decimal | None
    """Zalo's, without VAT."""
    fee: Decimal
    """What it cost, or holds, of our wallet, with VAT."""
    charged: bool
    timeout_ms: int | None
    rate: int | None
    note: str
    feedback: list[str]
    submitted_at: datetime | None
    created_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """None: any."""

    oa_id: int | None = None
    msg_id: str | None = None
    journey_id: str | None = None
    phone: str | None = None
    template_id: int | None = None
    tracking_id: str | None = None
    type: str | None = None
    states: frozenset[MessageState] | None = None
    delivery: Literal["unknown", "received", "seen"] | None = None
    charged: bool | None = None
    development: bool | None = None
    user_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    time_type: Literal["created_at", "sent_time", "delivery_time"] = "created_at"
    """Which time `since` and `until` are about."""


# ---------------------------------------------------------------- templates


@dataclass(frozen=True, slots=True, kw_only=True)
class ZnsTemplate:
    id: int
    oa_ref: int
    oa_id: int
    template_id: int
    name: str
    status: str
    quality: str
    tag: str
    params: list[TemplateParam]
    timeout_ms: int | None
    preview_url: str
    price: Decimal | None
    reason: str
    apply_quota: bool | None
    daily_quota: int | None
    remaining_quota: int | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class TemplateFilter:
    """None: any."""

    oa_id: int | None = None
    template_id: int | None = None
    name: str | None = None
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
