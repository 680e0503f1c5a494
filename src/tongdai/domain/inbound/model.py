"""Calls that come in to a hotline: who calls, what is done with it, and what is left of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from tongdai.domain.contacts.model import normalise, shown
from tongdai.domain.live.model import Talk, TimelineEntry
from tongdai.domain.routing.model import Unanswered
from tongdai.domain.scripts.results import Recording
from tongdai.ports.telephony import LegRef

TIED_FOR: Final = timedelta(days=7)
"""A call from a number that a campaign has rung counts as an answer to that for so long."""

FIELDS: Final = ("caller", "hotline", "campaign_id")
"""What a script that answers may speak and branch on; each is text. `campaign_id` is that of the campaign's
call that this one answers, "" when there is none."""

_LONGEST_NUMBER: Final = 100
_address: Final = re.compile(r"(?:sips?|tel):(?://)?([^@;?]*)", re.IGNORECASE).match
_unprintable: Final = re.compile(r"[^ -~\u00a0-\ud7ff\ue000-\uffff]+")


class Kind(StrEnum):
    """VBot's words for a call's type."""

    CALLIN = "CALLIN"
    """Somebody, or a script that went as it should, spoke with the caller."""
    MISSCALL = "MISSCALL"
    """Nobody did."""


class Disposition(StrEnum):
    """How a call that came in, or one of the phones that it rang, ended, in VBot's words."""

    ANSWER = "ANSWER"
    SOMEONEANSWERED = "SOMEONEANSWERED"
    """A phone of a ring group: another one was quicker."""
    NOANSWER = "NOANSWER"
    BUSY = "BUSY"
    """The hotline, its trunk, its node or the account had no free channel."""
    CANCEL = "CANCEL"
    """The caller gave up."""
    CHANUNAVAIL = "CHANUNAVAIL"
    """Nobody is there to answer: no script, a hotline or trunk that is off, or no line to a phone."""
    MORE = "MORE"
    """The end is unknown."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How long things may take. Seconds are the engine's."""

    max_s: float = 3600.0
    """A call that came in is ended so long after it was accepted, whoever talks."""
    ring_s: float = 60.0
    """How long it rings where nobody answers."""
    accept_within: timedelta = timedelta(seconds=10)
    """A leg that was not accepted by then never will be."""
    end_margin: timedelta = timedelta(seconds=60)
    """Beyond its limit, how long a leg may be unaccounted for before it is given up as lost."""

    def longest(self, max_s: float) -> timedelta:
        """From its arrival until a leg of so many seconds at most is given up."""
        return timedelta(seconds=max_s) + self.end_margin


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody calls, as the carrier says."""

    engine: str
    channel: str
    trunk_id: int
    caller: str
    called: str


@dataclass(frozen=True, slots=True)
class Line:
    """The hotline that is called, with the trunk that brought the call and all that caps it."""

    account_id: int
    hotline_id: int
    number: str
    """84…, or a service number."""
    enabled: bool
    """False: the hotline or its trunk is off."""
    script_id: int | None
    script_version: int | None
    unanswered: Unanswered
    limit_ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class Tie:
    """The campaign's call that a call which came in answers."""

    call_id: int
    campaign_id: int
    advertiser: str


@dataclass(frozen=True, slots=True)
class InboundFacts:
    """A call that was taken, with all that its session and its end need."""

    leg_id: int
    call_id: int
    account_id: int
    hotline_id: int
    hotline: str
    """84…"""
    trunk_id: int
    engine: str
    channel: str
    caller: str
    """84…; "" when it is withheld, or no Vietnamese number."""
    script_id: int | None
    """None: it rings until the caller gives up."""
    script_version: int | None
    came_at: datetime
    dial_before: datetime
    """It is not accepted after this."""
    gives_up_at: datetime
    max_s: float
    limit_ids: Sequence[int]
    campaign_id: int | None = None
    advertiser: str = ""
    """Of that campaign."""

    def ref(self) -> LegRef:
        return LegRef(self.leg_id, self.came_at, self.channel)

    def fields(self) -> Mapping[str, str]:
        """For the script, by the names of `FIELDS`."""
        campaign = "" if self.campaign_id is None else str(self.campaign_id)
        return {"caller": shown(self.caller), "hotline": shown(self.hotline), "campaign_id": campaign}


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an arrival. `facts` None: it is refused, and ended already."""

    facts: InboundFacts | None
    known: bool = True
    """False: no hotline has this number."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One phone that a transfer rang."""

    target: str
    disposition: str
    seconds: int = 0
    """Of talk."""


@dataclass(frozen=True, slots=True)
class InboundResult:
    """How a call that came in ended."""

    facts: InboundFacts
    kind: Kind
    disposition: Disposition
    answered: bool
    ring_s: float
    duration_s: int = 0
    """From the moment it was picked up."""
    key_press: str = ""
    timeline: tuple[TimelineEntry, ...] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    end_code: str | None = None
    rung: tuple[Rung, ...] = ()
    recordings: tuple[Recording, ...] = ()
    talks: tuple[Talk, ...] = ()
    """The transfers that were answered."""
    opted_out: bool = False


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A call that came in, as it is shown."""

    id: int
    account_id: int
    hotline_id: int
    hotline: str
    """84…"""
    trunk_id: int
    leg_id: int | None
    caller: str
    caller_given: str
    called_given: str
    state: str
    came_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    kind: str | None
    disposition: str | None
    ring_s: float | None
    duration_s: int | None
    billable_s: int | None
    key_press: str | None
    timeline: list[Any] | None
    answers: dict[str, str] | None
    end_code: str | None
    transfers: list[dict[str, Any]] | None
    campaign_call_id: int | None
    campaign_id: int | None


@dataclass(frozen=True, slots=True)
class IncomingFilter:
    """What to list. None: any."""

    hotline_id: int | None = None
    caller: str | None = None
    """Canonical."""
    kind: Kind | None = None
    state: str | None = None
    campaign_call_id: int | None = None


@dataclass(frozen=True, slots=True)
class IncomingList:
    """A page of calls that came in, newest first."""

    calls: tuple[IncomingCall, ...]
    further: int | None
    """The id before which to go on; None: there are no more."""


def user_part(written: str) -> str:
    """A number as a carrier writes it, without the address around it: `sip:+84247…@host;user=phone`."""
    found = _address(written.strip())
    return (found[1] if found else written.partition("@")[0]).strip()


def kept_text(written: str) -> str:
    """What a carrier wrote as it is stored: printable, and not longer than anything that can be meant."""
    return _unprintable.sub("", written)[:_LONGEST_NUMBER]


def canonical(written: str) -> str:
    """84…, or a service number as it is dialled; "" for what is neither."""
    return normalise(user_part(written)).number


def node_of(engine: str) -> int:
    """The id of the node that an engine's name says; 0 for an engine without nodes."""
    _, _, node = engine.partition("/")
    return int(node) if node.isascii() and node.isdigit() else 0
