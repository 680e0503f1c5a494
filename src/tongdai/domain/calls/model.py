"""What a call is and how it may end. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How a call or an attempt ended (ARCHITECTURE, section 4)."""

    ANSWERED = "answered"
    VOICEMAIL = "voicemail"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    UNREACHABLE = "unreachable"
    INVALID_NUMBER = "invalid_number"
    NO_HOTLINE = "no_hotline"
    NO_FUNDS = "no_funds"
    CONGESTION = "congestion"
    PLAN_EXPIRED = "plan_expired"
    NETWORK_UNSUPPORTED = "network_unsupported"
    BLOCKED = "blocked"
    EXPIRED = "expired"
    FAILED = "failed"
    LOST = "lost"


RETRIED_ON_REQUEST = frozenset(
    {
        Outcome.VOICEMAIL,
        Outcome.NO_ANSWER,
        Outcome.BUSY,
        Outcome.UNREACHABLE,
        Outcome.CONGESTION,
        Outcome.FAILED,
        Outcome.LOST,
    }
)
"""Dialled again only if the campaign's form says so; `lost` needs its own consent besides."""

NEVER_RETRIED = frozenset(Outcome) - RETRIED_ON_REQUEST
"""Final whatever the form says: the person was reached or declined, or a rule refused the call."""

REFUSALS = frozenset(
    {
        Outcome.CANCELLED,
        Outcome.INVALID_NUMBER,
        Outcome.NO_HOTLINE,
        Outcome.NO_FUNDS,
        Outcome.PLAN_EXPIRED,
        Outcome.NETWORK_UNSUPPORTED,
        Outcome.BLOCKED,
        Outcome.EXPIRED,
    }
)
"""May end a queued call without dialling it. `cancelled` and `invalid_number` may end a dialled one too."""

PICKED_UP = frozenset({Outcome.ANSWERED, Outcome.VOICEMAIL})
"""The carrier connected the call: a person or a machine answered."""


@dataclass(frozen=True, slots=True)
class ResultMove:
    """A call's latest result moves from one moment to another, in the counters of its campaign and its user.

    `before` is the `called_at` that the call had until now, None if it had none. Both are aware.
    """

    account_id: int
    campaign_id: int
    user_id: int
    before: datetime | None
    after: datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    """A queued call that ends without being dialled. `note` is the rule that refused it, or None."""

    call_id: int
    outcome: Outcome
    note: str | None = None


@dataclass(frozen=True, slots=True)
class CampaignScope:
    """The results of one campaign."""

    account_id: int
    campaign_id: int


@dataclass(frozen=True, slots=True)
class UserScope:
    """The results of all campaigns of one user."""

    account_id: int
    user_id: int


Scope = CampaignScope | UserScope


@dataclass(frozen=True, slots=True)
class ResultRow:
    """The latest result of one call, as export and call-log show it."""

    id: int
    campaign_id: int
    number: str
    """84…, or "" when what was given is no number."""
    number_given: str
    outcome: str
    called_at: datetime
    duration_s: int
    """Seconds on the call's own clock; 0 when nobody answered."""
    key_press: str
    """`1 (29)`: digit and second since the answer, several joined by a comma and a space; "" when none."""
    caller: str
    """The hotline it showed, 84…; "" when it was never dialled."""
    note: str | None


@dataclass(frozen=True, slots=True)
class ResultPage:
    total: int
    rows: Sequence[ResultRow]


@dataclass(frozen=True, slots=True)
class CallFilter:
    """What to list. None: any."""

    campaign_id: int | None = None
    state: str | None = None
    outcome: str | None = None
    number: str | None = None
    """Canonical, 84…."""


@dataclass(frozen=True, slots=True)
class Call:
    """One number to be reached in one campaign. The sealed secret is not among its facts."""

    id: int
    account_id: int
    campaign_id: int
    user_id: int
    state: str
    number: str
    number_given: str
    fields: dict[str, Any]
    created_at: datetime
    due_at: datetime
    expires_at: datetime | None
    attempts: int
    max_attempts: int | None
    deferred_reason: str | None
    outcome: str | None
    called_at: datetime | None
    duration_s: int | None
    key_press: str | None
    caller: str | None
    note: str | None
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class CallList:
    """A page of calls."""

    calls: tuple[Call, ...]
    further: int | None
    """The id after which to go on; None: there are no more."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One originate on one trunk and node."""

    id: int
    attempt_id: int
    kind: str
    state: str
    trunk_id: int
    hotline_id: int
    engine: str
    node: str
    dial_at: datetime
    ended_at: datetime | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to reach the person."""

    id: int
    ordinal: int
    hotline_id: int
    dialled_at: datetime
    ended_at: datetime | None
    outcome: str | None
    ring_s: float | None
    duration_s: int | None
    key_press: str | None
    timeline: list[Any] | None
    """`[[second, event, detail], …]` on the call's own clock."""


@dataclass(frozen=True, slots=True)
class AttemptDetail:
    attempt: Attempt
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class CallDetail:
    call: Call
    attempts: tuple[AttemptDetail, ...]


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One ended attempt, as a call history shows it."""

    attempt_id: int
    call_id: int
    campaign_id: int
    number: str
    """84…"""
    hotline: str
    """84…"""
    dialled_at: datetime
    ended_at: datetime
    outcome: str
    ring_s: float
    duration_s: int
    """Seconds from the answer to the end; 0 when nobody answered."""
    postage: Decimal
    """What the carrier costs, VAT included; 0 where calls cost nothing here."""
