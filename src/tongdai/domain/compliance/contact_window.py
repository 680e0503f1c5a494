"""A contact's own earliest and latest time to be called. Pure, and closed whenever in doubt.

Each is `HH:MM`, which is that time of every day, or a moment in ISO 8601 with its offset, or without one in
Vietnam's time. A call may start from the first up to, and not at, the second.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Final, Literal

from tongdai.kit.clock import VIETNAM

_is_clock: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]").fullmatch
_is_moment: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
).fullmatch
_LONGEST: Final = 40
_END_OF_DAY: Final = 1440


@dataclass(frozen=True, slots=True)
class _Side:
    """One end of a window: a minute of every day, or one moment."""

    minute: int | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ContactWait:
    """Not before `until` (UTC), when a call may start."""

    until: datetime


ContactDecision = ContactWait | Literal["open", "over"]


def contact_window_fault(call_after: str | None, call_before: str | None) -> str | None:
    """What is wrong with a contact's times, for a report; None: nothing."""
    try:
        after, before = _side(call_after), _side(call_before)
    except ValueError as error:
        which = "call_after" if _is_bad(call_after) else "call_before"
        return f"{which} {error}"
    if before is not None and before.minute == 0:
        return "call_before must not be 00:00: the end of the day is 24:00"
    if after is not None and after.minute == _END_OF_DAY:
        return "call_after must be before the end of the day"
    if _is_backwards(after, before):
        return "call_before must be after call_after"
    return None


def check_contact_window(call_after: str | None, call_before: str | None, now: datetime) -> ContactDecision:
    """Whether the contact may be called at `now` (aware). Times that cannot be read are never open:
    `over`."""
    if call_after is None and call_before is None:
        return "open"
    if contact_window_fault(call_after, call_before) is not None:
        return "over"
    after, before = _side(call_after), _side(call_before)
    opening = _next_opening(after, before, now)
    if before is not None and before.at is not None and opening >= before.at:
        return "over"
    return "open" if opening <= now else ContactWait(opening)


def _next_opening(after: _Side | None, before: _Side | None, now: datetime) -> datetime:
    """The first moment from `now` on that lies in the hours of the day and not before `after`."""
    earliest = max(now, after.at) if after is not None and after.at is not None else now
    first = after.minute if after is not None and after.minute is not None else 0
    last = before.minute if before is not None and before.minute is not None else _END_OF_DAY
    local = earliest.astimezone(VIETNAM)
    midnight = datetime.combine(local.date(), time(), VIETNAM)
    minute = local.hour * 60 + local.minute
    if minute < first:
        return (midnight + timedelta(minutes=first)).astimezone(UTC)
    if minute < last:
        return earliest
    return (midnight + timedelta(days=1, minutes=first)).astimezone(UTC)


def _is_backwards(after: _Side | None, before: _Side | None) -> bool:
    if after is None or before is None:
        return False
    if after.minute is not None and before.minute is not None:
        return before.minute <= after.minute
    return after.at is not None and before.at is not None and before.at <= after.at


def _is_bad(text: str | None) -> bool:
    try:
        _side(text)
    except ValueError:
        return True
    return False


@lru_cache(maxsize=4096)
def _side(text: str | None) -> _Side | None:
    """Raises ValueError with what the text should be."""
    if text is None:
        return None
    if text == "24:00":
        return _Side(minute=_END_OF_DAY)
    if _is_clock(text):
        return _Side(minute=int(text[:2]) * 60 + int(text[3:]))
    if len(text) > _LONGEST or not _is_moment(text):
        raise ValueError("must be HH:MM, or a date and time such as 2026-08-01T09:00:00+07:00")
    try:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=VIETNAM)
        return _Side(at=aware.astimezone(UTC))
    except (ValueError, OverflowError):
        raise ValueError("is no date and time that there is") from None
