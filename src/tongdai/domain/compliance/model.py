"""Calling windows: when a campaign may start a call. Pure, and closed whenever in doubt.

Times of day are Vietnam's. A call may start from a window's first minute up to, and not at, its end. Whatever
is wrong with a stored schedule, a clock or a calendar, the answer is closed: nobody is called by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final, Literal

import msgspec

from tongdai.domain.compliance.errors import ScheduleInvalidError
from tongdai.domain.compliance.holiday_calendar import HolidayCheck
from tongdai.domain.compliance.policy import Minutes, intersection
from tongdai.kit.clock import VIETNAM

SEARCH_DAYS: Final = 400
"""How far ahead the next opening is sought: beyond a year, so that a window on one yearly day is found."""

VIETNAM_OFFSET: Final = timedelta(hours=7)
"""All year, without daylight saving. Another offset means broken zone data on the host."""

_clock_time: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]").fullmatch
_wire_fault: Final = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL).fullmatch


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, cache_hash=True):
    """Hours of the day on some weekdays."""

    weekdays: tuple[int, ...]
    """ISO: 1 is Monday, 7 is Sunday."""
    start: str
    """`HH:MM`, the first minute at which a call may start."""
    end: str
    """`HH:MM`, the minute from which none may; `24:00` is the end of the day."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, cache_hash=True):
    """When calls may start. No windows: never. (A campaign without a schedule dials at every hour.)"""

    start_date: date | None = None
    end_date: date | None = None
    """Both inclusive."""
    windows: tuple[Window, ...] = ()
    skip_holidays: bool = False
    """True: closed on Vietnam's public holidays."""


def parse_schedule(obj: object) -> Schedule:
    """A schedule from decoded JSON (dates as `YYYY-MM-DD`), or one built in code, checked.

    Raises ScheduleInvalidError whose `facts["errors"]` are (path, message) pairs such as
    `("windows[0].end", "must be after start")`.
    """
    try:
        schedule = msgspec.convert(obj, Schedule)
    except msgspec.ValidationError as error:
        raise ScheduleInvalidError([_located(str(error))]) from error
    errors = schedule_errors(schedule)
    if errors:
        raise ScheduleInvalidError(errors)
    return schedule


def schedule_errors(schedule: Schedule) -> list[tuple[str, str]]:
    """All faults of a schedule as (path, message); empty when it is good. Raises on values of wrong types."""
    errors: list[tuple[str, str]] = []
    if schedule.start_date and schedule.end_date and schedule.end_date < schedule.start_date:
        errors.append(("end_date", "must not be before start_date"))
    if not schedule.windows:
        errors.append(("windows", "at least one is needed; leave the schedule out to call at every hour"))
    for index, window in enumerate(schedule.windows):
        errors.extend((f"windows[{index}].{path}", message) for path, message in _window_errors(window))
    return errors


def _window_errors(window: Window) -> Iterator[tuple[str, str]]:
    if not window.weekdays:
        yield "weekdays", "at least one is needed, 1 (Monday) to 7 (Sunday)"
    elif any(type(day) is not int or not 1 <= day <= 7 for day in window.weekdays):
        yield "weekdays", "must be whole numbers from 1 (Monday) to 7 (Sunday)"
    starts = _clock_time(window.start) is not None
    ends = window.end == "24:00" or _clock_time(window.end) is not None
    if not starts:
        yield "start", "must be HH:MM between 00:00 and 23:59"
    if not ends:
        yield "end", "must be HH:MM between 00:01 and 24:00"
    if starts and ends and window.start == window.end:
        yield "end", "must be after start"
    elif starts and ends and window.end < window.start:
        night = f"{window.start}-24:00, and 00:00-{window.end} on the days after"
        yield "end", f"must be after start; a night is two windows: {night}"


def _located(fault: str) -> tuple[str, str]:
    found = _wire_fault(fault)
    return (found[2], found[1]) if found else ("", fault)


WaitReason = Literal["not_started", "holiday", "window_closed", "purpose_window"]
NeverReason = Literal["schedule_ended", "never_opens", "bad_schedule", "purpose_window", "no_policy"]


@dataclass(frozen=True, slots=True)
class Open:
    """A call may start now."""

    until: datetime | None = None
    """UTC; from then on it may not, so no dial slot may lie there. None: no end is known."""


@dataclass(frozen=True, slots=True)
class ClosedUntil:
    """No call may start before `until`, and at `until` one may."""

    until: datetime
    """UTC."""
    reason: WaitReason


@dataclass(frozen=True, slots=True)
class ClosedForever:
    """No call may start, and waiting does not change that.

    `bad_schedule` is a fault to be mended, in the schedule or in the host's zone data: a reason to hold the
    campaign, not to refuse its calls for good. So is `no_policy`: nothing says what the law is.
    `purpose_window`: the schedule is never open in the hours that are lawful for the campaign's purpose.
    """

    reason: NeverReason


Decision = Open | ClosedUntil | ClosedForever

_OPEN: Final = Open()
_BAD: Final = ClosedForever("bad_schedule")

_EVERY_DAY: Final = Schedule(windows=(Window(weekdays=(1, 2, 3, 4, 5, 6, 7), start="00:00", end="24:00"),))


@dataclass(frozen=True, slots=True)
class _Plan:
    """A schedule made ready: per weekday (Monday first) the merged open minutes of the day, in order."""

    first: date
    last: date
    days: tuple[tuple[Minutes, ...], ...]
    skip_holidays: bool


def check_schedule(
    schedule: Schedule | None, now: datetime, *, holidays: HolidayCheck, zone: tzinfo = VIETNAM
) -> Decision:
    """Whether a call may start at `now` (aware). None as schedule is every hour. Never raises.

    Some microseconds while open; the search for the next opening is bounded by `SEARCH_DAYS`.
    """
    if schedule is None:
        return _OPEN
    return _check(_plan_of, (schedule,), now, holidays, zone)


def check_narrowed(
    schedule: Schedule | None,
    day: tuple[Minutes, ...],
    now: datetime,
    *,
    skip_holidays: bool,
    holidays: HolidayCheck,
    zone: tzinfo = VIETNAM,
) -> Decision:
    """The same, but on each day only within these minutes, and with `skip_holidays` on no holiday. Never
    raises."""
    return _check(_narrowed, (schedule or _EVERY_DAY, day, skip_holidays), now, holidays, zone)


def _check(
    make: Callable[..., _Plan | None],
    values: tuple[object, ...],
    now: datetime,
    holidays: HolidayCheck,
    zone: tzinfo,
) -> Decision:
    try:
        plan = make(*values)
        local = now.astimezone(zone)
        if plan is None or now.tzinfo is None or local.utcoffset() != VIETNAM_OFFSET:
            return _BAD
        return _decide(plan, local, holidays)
    except Exception:  # a calendar or a value that we did not foresee must close, not crash the dialer's loop
        return _BAD


def _decide(plan: _Plan, local: datetime, holidays: HolidayCheck) -> Decision:
    today = local.date()
    minute = local.hour * 60 + local.minute
    for start, end in _minutes_on(plan, today, holidays):
        if start <= minute < end:
            return Open(_moment(today, end, local.tzinfo))
    opening = _next_opening(plan, today, minute, holidays)
    if opening is None:
        return ClosedForever(
            "schedule_ended" if today > plan.last or _ends_soon(plan, today) else "never_opens"
        )
    day, start = opening
    return ClosedUntil(_moment(day, start, local.tzinfo), _why_closed(plan, today, minute, holidays))


def _minutes_on(plan: _Plan, day: date, holidays: HolidayCheck) -> tuple[Minutes, ...]:
    if not plan.first <= day <= plan.last:
        return ()
    minutes = plan.days[day.weekday()]
    return () if minutes and plan.skip_holidays and holidays(day) else minutes


def _next_opening(plan: _Plan, today: date, minute: int, holidays: HolidayCheck) -> tuple[date, int] | None:
    """Day and minute of the first opening after a minute of today."""
    for start, _ in _minutes_on(plan, today, holidays):
        if start > minute:
            return today, start
    if not any(plan.days):
        return None
    day = max(today + timedelta(days=1), plan.first)
    for _ in range(min(SEARCH_DAYS, (plan.last - day).days + 1)):
        minutes = _minutes_on(plan, day, holidays)
        if minutes:
            return day, minutes[0][0]
        if day == date.max:
            return None
        day += timedelta(days=1)
    return None


def _ends_soon(plan: _Plan, today: date) -> bool:
    """True where the search ran into the schedule's last day and not into its own bound."""
    return any(plan.days) and (plan.last - max(today, plan.first)).days <= SEARCH_DAYS


def _why_closed(plan: _Plan, today: date, minute: int, holidays: HolidayCheck) -> WaitReason:
    if today < plan.first:
        return "not_started"
    usual = plan.days[today.weekday()]
    if usual and minute < usual[-1][1] and plan.skip_holidays and holidays(today):
        return "holiday"
    return "window_closed"


def _moment(day: date, minute: int, zone: tzinfo | None) -> datetime:
    """UTC of a minute of a local day; minute 1440 is the next midnight."""
    midnight = datetime.combine(day, time(), zone)
    return midnight.astimezone(UTC) + timedelta(minutes=minute)


@lru_cache(maxsize=4096)
def _plan_of(schedule: Schedule) -> _Plan | None:
    """The schedule made ready; None if anything in it is wrong."""
    if schedule.windows and schedule_errors(schedule):
        return None
    days: list[list[Minutes]] = [[] for _ in range(7)]
    for window in schedule.windows:
        for weekday in window.weekdays:
            days[weekday - 1].append((_minute_of_day(window.start), _minute_of_day(window.end)))
    return _Plan(
        first=schedule.start_date or date.min,
        last=schedule.end_date or date.max,
        days=tuple(_merged(minutes) for minutes in days),
        skip_holidays=schedule.skip_holidays,
    )


@lru_cache(maxsize=4096)
def _narrowed(schedule: Schedule, day: tuple[Minutes, ...], skip_holidays: bool) -> _Plan | None:
    plan = _plan_of(schedule)
    if plan is None:
        return None
    days = tuple(intersection(minutes, day) for minutes in plan.days)
    return _Plan(plan.first, plan.last, days, plan.skip_holidays or skip_holidays)


def _minute_of_day(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _merged(minutes: list[Minutes]) -> tuple[Minutes, ...]:
    """In order, with those that touch or overlap made one."""
    merged: list[Minutes] = []
    for start, end in sorted(minutes):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)
