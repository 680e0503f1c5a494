"""What a policy asks of a campaign before any of its calls is touched. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from tongdai.domain.compliance.holiday_calendar import HolidayCheck
from tongdai.domain.compliance.model import (
    ClosedForever,
    ClosedUntil,
    Decision,
    Open,
    Schedule,
    check_narrowed,
    check_schedule,
)
from tongdai.domain.compliance.policy import WHOLE_DAY, Minutes, Policy, Terms, intersection, minutes

CampaignBlock = Literal["no_policy", "dnc_stale"]

AHEAD: Final = timedelta(minutes=10)
"""How far ahead of our clock the date of a national list may lie: clocks differ."""

_is_start: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]").fullmatch
_is_end: Final = re.compile(r"(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)").fullmatch


@dataclass(frozen=True, slots=True)
class AgreedTerms:
    """What the people of a list agreed to, other than the law's own terms. None: nothing in particular."""

    window_start: str | None = None
    window_end: str | None = None
    """`HH:MM`, both or neither; calls may start from the first up to, and not at, the second, on every
    day."""
    max_per_24h: int | None = None


def agreed_faults(agreed: AgreedTerms) -> Iterator[tuple[str, str]]:
    """What is wrong with agreed terms, as (path, message)."""
    start, end = agreed.window_start, agreed.window_end
    if (start is None) != (end is None):
        yield "window_end" if end is None else "window_start", "a window has a start and an end"
    elif start is not None and end is not None:
        starts, ends = _is_start(start) is not None, _is_end(end) is not None
        if not starts:
            yield "window_start", "must be HH:MM between 00:00 and 23:59"
        if not ends:
            yield "window_end", "must be HH:MM between 00:01 and 24:00"
        if starts and ends and end <= start:
            yield "window_end", "must be after window_start"
    if agreed.max_per_24h is not None and not 0 <= agreed.max_per_24h <= 100:
        yield "max_per_24h", "must be a whole number from 0 to 100"


@dataclass(frozen=True, slots=True)
class NationalList:
    """How old our copy of the national do-not-call register is."""

    as_of: datetime
    """When the register looked like this."""
    connected: bool = False
    """True: it came over a connection, and grows stale sooner than a file."""


def check_calling(
    schedule: Schedule | None,
    policy: Policy,
    purpose: str,
    agreed: AgreedTerms | None,
    now: datetime,
    *,
    holidays: HolidayCheck,
) -> Decision:
    """Whether a campaign may start a call at `now` (aware): in its own schedule and in its purpose's hours.

    Closed for `purpose_window` where the schedule alone would be open. Never raises; some microseconds.
    """
    terms = policy.terms.get(purpose)
    if terms is None:
        return ClosedForever("no_policy")
    own = check_schedule(schedule, now, holidays=holidays)
    day = lawful_minutes(terms, agreed)
    if day == WHOLE_DAY and not terms.closed_on_holidays:
        return own
    if isinstance(own, ClosedForever):
        return own
    both = check_narrowed(schedule, day, now, skip_holidays=terms.closed_on_holidays, holidays=holidays)
    if isinstance(both, Open):
        return both
    if isinstance(both, ClosedForever):
        return ClosedForever("purpose_window")
    return ClosedUntil(both.until, own.reason if isinstance(own, ClosedUntil) else "purpose_window")


def lawful_minutes(terms: Terms, agreed: AgreedTerms | None) -> tuple[Minutes, ...]:
    """The minutes of each day in which a call may start. An agreement that is no window changes nothing."""
    if agreed is None or agreed.window_start is None or agreed.window_end is None:
        return intersection(terms.fixed, terms.lawful)
    if any(agreed_faults(agreed)):
        return intersection(terms.fixed, terms.lawful)
    return intersection(terms.fixed, (minutes(agreed.window_start, agreed.window_end),))


def needs_brand_name(policy: Policy, purpose: str) -> bool:
    """True: only hotlines with a valid brand name may call for this purpose."""
    terms = policy.terms.get(purpose)
    return terms is None or terms.brand_name


def campaign_block(
    policy: Policy, purpose: str, dnc: NationalList | None, now: datetime
) -> CampaignBlock | None:
    """Why no campaign of this purpose may dial now; None: it may.

    `dnc_stale` where the purpose needs the national register and our copy is missing, too old, or of the
    future.
    """
    terms = policy.terms.get(purpose)
    if terms is None:
        return "no_policy"
    rule = terms.national_list
    if rule is None:
        return None
    if dnc is None or dnc.as_of > now + AHEAD:
        return "dnc_stale"
    hours = rule.max_age_connected_h if dnc.connected else rule.max_age_file_h
    return "dnc_stale" if now - dnc.as_of > timedelta(hours=hours) else None
