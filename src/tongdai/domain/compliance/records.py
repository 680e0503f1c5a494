"""What is written down about persons: lists, opt-outs, consents and attestations. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from tongdai.domain.compliance.calling import AgreedTerms, agreed_faults
from tongdai.domain.compliance.policy import OTP, PURPOSES

PLATFORM: Final = 0
"""In place of an account id: entries that count for every account."""

CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far ahead of ours a caller's clock may be."""

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""A moment outside of these is a slip."""

CONSENT_PURPOSES: Final = tuple(purpose for purpose in PURPOSES if purpose != OTP)
"""Nobody has to consent to the code that they asked for."""


@dataclass(frozen=True, slots=True)
class DoNotCall:
    """A number that is not called for any purpose but one-time codes."""

    id: int
    account_id: int
    number: str
    voice: bool
    sms: bool
    source: str
    reason: str | None
    until: datetime | None
    user_id: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewDoNotCall:
    """A number as it was given, and why nobody should call it."""

    given: str
    voice: bool = True
    sms: bool = True


@dataclass(frozen=True, slots=True)
class ListReport:
    """What became of the numbers of a list. Indexes are positions in what was given."""

    received: int
    listed: int
    """Numbers that are on the list now; each once."""
    rejected: tuple[tuple[int, str], ...]
    """(index, reason), by index."""


@dataclass(frozen=True, slots=True)
class OptOut:
    """A person's word about being called at all."""

    id: int
    account_id: int
    advertiser: str
    number: str
    action: str
    """opted_out or lifted."""
    source: str
    reason: str | None
    user_id: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class NewConsent:
    """What a person agreed to, or took back."""

    given_number: str
    purpose: str
    given: bool
    method: str
    advertiser: str = ""
    at: datetime | None = None
    """None: now."""
    wording: str | None = None
    evidence: str | None = None
    max_per_24h: int | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Consent:
    """A record of consent or of its withdrawal."""

    id: int
    account_id: int
    advertiser: str
    number: str
    purpose: str
    given: bool
    at: datetime
    method: str
    wording: str | None
    evidence: str | None
    max_per_24h: int | None
    until: datetime | None
    user_id: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ConsentReport:
    """What became of consents. Indexes are positions in what was given."""

    accepted: tuple[tuple[int, int], ...]
    """(index, id)."""
    rejected: tuple[tuple[int, str], ...]
    """(index, reason)."""


@dataclass(frozen=True, slots=True)
class NewAttestation:
    """A customer's word that everybody on a list has agreed."""

    purpose: str
    obtained_at: datetime
    method: str
    evidence: str
    advertiser: str = ""
    wording: str | None = None
    agreed: AgreedTerms = field(default_factory=AgreedTerms)


@dataclass(frozen=True, slots=True)
class Attestation:
    """An attestation with who made it, and whether it still holds."""

    id: int
    account_id: int
    advertiser: str
    purpose: str
    user_id: int
    obtained_at: datetime
    method: str
    wording: str | None
    evidence: str
    window_start: str | None
    window_end: str | None
    max_per_24h: int | None
    created_at: datetime
    ended_at: datetime | None
    ended_by: int | None
    ended_reason: str | None


def in_range(moment: datetime | None) -> bool:
    """False for a moment that can only be a slip."""
    return moment is None or EARLIEST <= moment < LATEST


def consent_fault(new: NewConsent, now: datetime) -> str | None:
    """Why a consent cannot be recorded; None: it can."""
    if new.purpose not in CONSENT_PURPOSES:
        return "purpose_invalid"
    if not all(map(in_range, (new.at, new.until))):
        return "time_out_of_range"
    if new.at is not None and new.at > now + CLOCK_SKEW:
        return "at_in_future"
    if new.given and not (new.evidence or "").strip():
        return "evidence_missing"
    if new.given and new.until is not None and new.until <= (new.at or now):
        return "until_before_at"
    if new.max_per_24h is not None and not 0 <= new.max_per_24h <= 100:
        return "max_per_24h_invalid"
    return None


def attestation_faults(new: NewAttestation, now: datetime) -> Iterator[tuple[str, str]]:
    """What is wrong with an attestation, as (path, message)."""
    if new.purpose not in CONSENT_PURPOSES:
        yield "purpose", f"must be one of {', '.join(CONSENT_PURPOSES)}"
    if not in_range(new.obtained_at):
        yield "obtained_at", "must not be before 1970"
    elif new.obtained_at > now + CLOCK_SKEW:
        yield "obtained_at", "must not be in the future: consent is obtained before it is used"
    for name, text in (("method", new.method), ("evidence", new.evidence)):
        if not text.strip():
            yield name, "must say something"
    yield from agreed_faults(new.agreed)
