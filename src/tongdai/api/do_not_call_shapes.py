"""Shapes of do-not-call lists and opt-outs, as they are sent and shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tongdai.api.bodies import Moment
from tongdai.api.times import shown_time
from tongdai.domain import compliance
from tongdai.domain.contacts import shown

GivenNumber = str | int | float
Numbers = Annotated[list[GivenNumber], Meta(min_length=1, max_length=1000)]
Advertiser = Annotated[str, Meta(max_length=200)]
Words = Annotated[str, Meta(min_length=1, max_length=1000)]
Source = Annotated[str, Meta(min_length=1, max_length=100)]


class ListedNumber(msgspec.Struct, frozen=True, kw_only=True):
    """A number on a do-not-call list. It is called for no purpose but one-time codes."""

    id: int
    number: str
    """`0…`."""
    voice: bool
    """True: no calls."""
    sms: bool
    """True: no messages."""
    source: str
    reason: str | None
    until: datetime | None
    """Null: for good."""
    user_id: int | None
    """Who entered it; null: an administrator of the platform."""
    created_at: datetime

    @classmethod
    def of(cls, row: compliance.DoNotCall) -> ListedNumber:
        return cls(
            id=row.id,
            number=shown(row.number),
            voice=row.voice,
            sms=row.sms,
            source=row.source,
            reason=row.reason,
            until=shown_time(row.until),
            user_id=row.user_id,
            created_at=shown_time(row.created_at),
        )


class ListedNumberPage(msgspec.Struct, frozen=True):
    """Numbers on a do-not-call list, the first that was entered first."""

    items: list[ListedNumber]
    next: str | None
    """Cursor of the next page; null on the last."""


class NewListedNumbers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Numbers for a do-not-call list."""

    numbers: Numbers
    """However people write them."""
    voice: bool = True
    """True: no calls."""
    sms: bool = True
    """True: no messages."""
    source: Source = "manual"
    """Where this comes from: `manual`, `complaint`, `operator` or a word of your own."""
    reason: Words | None = None
    until: Moment | None = None
    """From then on they may be called again. Null: never."""


class RejectedNumber(msgspec.Struct, frozen=True):
    """What is no number that could be called."""

    index: int
    """Its place in what was sent, from 0. In a text: its line, without counting empty ones."""
    reason: str
    """`too_short`, `too_long`, `unknown_prefix`, `foreign`, `service`, `short_code` or `not_a_number`."""


class ListingReport(msgspec.Struct, frozen=True):
    """What became of the numbers of a list."""

    received: int
    listed: int
    """Numbers that are on the list now, each counted once."""
    rejected: list[RejectedNumber]

    @classmethod
    def of(cls, report: compliance.ListReport) -> ListingReport:
        refused = [RejectedNumber(index, reason) for index, reason in report.rejected]
        return cls(report.received, report.listed, refused)


class NationalListState(msgspec.Struct, frozen=True):
    """How old this platform's copy of the national register is."""

    as_of: datetime | None
    """When the register looked like this. Null: there never was a copy, and nobody may advertise."""
    connected: bool
    """True: it came over a connection, and is taken to be stale sooner."""


class OptOutRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A person's word that they want no more calls, or that they want them again."""

    id: int
    number: str
    """`0…`."""
    advertiser: str
    """In whose name they are not called. Empty: not at all by this account."""
    action: Literal["opted_out", "lifted"]
    source: str
    """`script` for a key in a call."""
    reason: str | None
    user_id: int | None
    """Who entered it; null: the person, by a key."""
    at: datetime

    @classmethod
    def of(cls, row: compliance.OptOut) -> OptOutRecord:
        return cls(
            id=row.id,
            number=shown(row.number),
            advertiser=row.advertiser,
            action="lifted" if row.action == "lifted" else "opted_out",
            source=row.source,
            reason=row.reason,
            user_id=row.user_id,
            at=shown_time(row.at),
        )


class OptOutPage(msgspec.Struct, frozen=True):
    """What people said about being called, oldest first."""

    items: list[OptOutRecord]
    next: str | None
    """Cursor of the next page; null on the last."""


class NewOptOuts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """People who want no more calls."""

    numbers: Numbers
    advertiser: Advertiser = ""
    """In whose name they are not to be called. Empty: not at all by this account."""
    source: Source = "api"
    """How they said it: `api`, `complaint`, `sms` or a word of your own."""
    reason: Words | None = None


class OptOutReport(msgspec.Struct, frozen=True):
    """What became of opt-outs."""

    received: int
    refused_calls: list[int]
    """Ids of queued calls that ended for it, as `blocked` with the rule `opted_out`. Of more than a thousand,
    the rest ends as it comes up."""
    rejected: list[RejectedNumber]


class LiftedOptOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who opted out wants to be called again."""

    number: GivenNumber
    reason: Words
    """How they said so, and where the proof is."""
    advertiser: Advertiser = ""
    """As they opted out."""
