"""Nobody is called outside the window, on bad configuration least of all."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongdai.domain.compliance import (
    ClosedForever,
    ClosedUntil,
    Decision,
    Open,
    Schedule,
    ScheduleInvalidError,
    Window,
    check_schedule,
    parse_schedule,
    schedule_errors,
    vietnam_holidays,
)
from tongdai.kit.clock import VIETNAM

WORKDAYS = Window(weekdays=(1, 2, 3, 4, 5), start="08:00", end="17:00")
EVERY_DAY = Window(weekdays=(1, 2, 3, 4, 5, 6, 7), start="00:00", end="24:00")
IS_HOLIDAY = vietnam_holidays()


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=VIETNAM)


def check(schedule: Schedule | None, moment: str | datetime) -> Decision:
    now = local(moment) if isinstance(moment, str) else moment
    return check_schedule(schedule, now, holidays=IS_HOLIDAY)


# 2026-11-23 is a Monday; 2026-11-24 is Vietnam Culture Day, a holiday from 2026 on.


@pytest.mark.parametrize("moment", ["2026-11-23 08:00", "2026-11-23 12:30", "2026-11-23 16:59:59.999999"])
def test_a_call_may_start_inside_the_window_and_not_after_its_end(moment: str) -> None:
    assert check(Schedule(windows=(WORKDAYS,)), moment) == Open(local("2026-11-23 17:00").astimezone(UTC))


@pytest.mark.parametrize(
    ("moment", "until"),
    [
        ("2026-11-23 07:59:59.999999", "2026-11-23 08:00"),
        ("2026-11-23 17:00", "2026-11-24 08:00"),
        ("2026-11-27 17:00", "2026-11-30 08:00"),
        ("2026-11-28 12:00", "2026-11-30 08:00"),
    ],
)
def test_a_closed_window_says_when_it_opens_next(moment: str, until: str) -> None:
    assert check(Schedule(windows=(WORKDAYS,)), moment) == ClosedUntil(
        local(until).astimezone(UTC), "window_closed"
    )


def test_times_of_day_are_vietnams_wherever_the_clock_runs() -> None:
    schedule = Schedule(windows=(WORKDAYS,))
    assert isinstance(check(schedule, datetime(2026, 11, 23, 1, 0, tzinfo=UTC)), Open)
    assert isinstance(check(schedule, datetime(2026, 11, 23, 0, 59, tzinfo=UTC)), ClosedUntil)
    assert isinstance(
        check(schedule, datetime(2026, 11, 22, 20, 0, tzinfo=ZoneInfo("America/New_York"))), Open
    )


def test_a_campaign_without_a_schedule_dials_at_every_hour() -> None:
    assert check(None, "2026-02-17 03:00") == Open(None)


def test_several_windows_of_one_day_leave_a_lunch_break() -> None:
    morning = Window(weekdays=(1,), start="08:00", end="11:30")
    afternoon = Window(weekdays=(1,), start="13:30", end="17:00")
    schedule = Schedule(windows=(afternoon, morning))
    assert check(schedule, "2026-11-23 12:00") == ClosedUntil(
        local("2026-11-23 13:30").astimezone(UTC), "window_closed"
    )
    assert check(schedule, "2026-11-23 17:00") == ClosedUntil(
        local("2026-11-30 08:00").astimezone(UTC), "window_closed"
    )


def test_windows_that_touch_are_one() -> None:
    touching = Schedule(
        windows=(
            Window(weekdays=(1,), start="08:00", end="12:00"),
            Window(weekdays=(1,), start="12:00", end="17:00"),
        )
    )
    assert check(touching, "2026-11-23 09:00") == Open(local("2026-11-23 17:00").astimezone(UTC))


def test_the_first_and_last_date_are_inclusive() -> None:
    schedule = Schedule(windows=(EVERY_DAY,), start_date=date(2026, 11, 23), end_date=date(2026, 11, 24))
    assert check(schedule, "2026-11-22 23:59") == ClosedUntil(
        local("2026-11-23 00:00").astimezone(UTC), "not_started"
    )
    assert isinstance(check(schedule, "2026-11-23 00:00"), Open)
    assert check(schedule, "2026-11-24 23:59") == Open(local("2026-11-25 00:00").astimezone(UTC))
    assert check(schedule, "2026-11-25 00:00") == ClosedForever("schedule_ended")


def test_a_schedule_that_begins_years_ahead_says_when() -> None:
    schedule = Schedule(windows=(WORKDAYS,), start_date=date(2031, 3, 1))
    assert check(schedule, "2026-11-23 09:00") == ClosedUntil(
        local("2031-03-03 08:00").astimezone(UTC), "not_started"
    )


def test_after_the_last_window_of_the_last_day_the_schedule_has_ended() -> None:
    schedule = Schedule(windows=(WORKDAYS,), end_date=date(2026, 11, 23))
    assert check(schedule, "2026-11-23 17:00") == ClosedForever("schedule_ended")


def test_tet_is_closed_for_a_campaign_that_skips_holidays() -> None:
    schedule = Schedule(windows=(WORKDAYS,), skip_holidays=True)
    assert check(schedule, "2026-02-17 09:00") == ClosedUntil(
        local("2026-02-23 08:00").astimezone(UTC), "holiday"
    )
    assert isinstance(check(Schedule(windows=(WORKDAYS,)), "2026-02-17 09:00"), Open)


def test_a_day_can_be_added_to_and_taken_from_the_holidays() -> None:
    swapped = vietnam_holidays(extra=[date(2026, 11, 23)], removed=[date(2026, 11, 24)])
    assert (swapped(date(2026, 11, 23)), swapped(date(2026, 11, 24))) == (True, False)
    assert (IS_HOLIDAY(date(2026, 11, 23)), IS_HOLIDAY(date(2026, 11, 24))) == (False, True)


@pytest.mark.parametrize(
    "day",
    ["2026-01-01", "2026-02-16", "2026-02-20", "2026-04-26", "2026-04-27", "2026-04-30", "2026-05-01",
     "2026-09-02", "2027-02-04", "2027-02-10", "2027-04-16"],
)  # fmt: skip
def test_lunar_holidays_and_days_in_lieu_are_known(day: str) -> None:
    assert IS_HOLIDAY(date.fromisoformat(day))


def test_a_calendar_of_holidays_only_never_opens() -> None:
    schedule = Schedule(windows=(WORKDAYS,), skip_holidays=True)
    decision = check_schedule(schedule, local("2026-11-23 09:00"), holidays=lambda day: True)
    assert decision == ClosedForever("never_opens")


def window(**changes: Any) -> Window:
    return msgspec.structs.replace(WORKDAYS, **changes)


@pytest.mark.parametrize(
    "bad",
    [
        Schedule(windows=(window(start="17:00", end="08:00"),)),
        Schedule(windows=(window(start="08:00", end="08:00"),)),
        Schedule(windows=(window(start="8:00"),)),
        Schedule(windows=(window(end="24:01"),)),
        Schedule(windows=(window(end="17:00\n"),)),
        Schedule(windows=(window(end=None),)),
        Schedule(windows=(window(weekdays=()),)),
        Schedule(windows=(window(weekdays=(0,)),)),
        Schedule(windows=(window(weekdays=(8,)),)),
        Schedule(windows=(window(weekdays=(1.5,)),)),
        Schedule(windows=(window(weekdays=[1, 2]),)),
        Schedule(windows=(WORKDAYS, window(start="xx:yy"))),
        Schedule(windows=None),  # type: ignore[arg-type]
        Schedule(windows=("08:00-17:00",)),  # type: ignore[arg-type]
        Schedule(windows=(WORKDAYS,), start_date=date(2026, 12, 1), end_date=date(2026, 11, 1)),
        Schedule(windows=(WORKDAYS,), start_date="2026-11-01"),  # type: ignore[arg-type]
    ],
)
def test_a_bad_schedule_is_closed(bad: Schedule) -> None:
    assert isinstance(check(bad, "2026-11-23 09:00"), ClosedForever)


def test_a_schedule_without_windows_never_opens() -> None:
    assert check(Schedule(), "2026-11-23 09:00") == ClosedForever("never_opens")


def test_broken_zone_data_closes() -> None:
    for zone in (UTC, timezone(timedelta(hours=8))):
        decision = check_schedule(
            Schedule(windows=(EVERY_DAY,)), local("2026-11-23 09:00"), holidays=IS_HOLIDAY, zone=zone
        )
        assert decision == ClosedForever("bad_schedule")


def test_a_clock_without_a_zone_closes() -> None:
    naive = local("2026-11-23 09:00").replace(tzinfo=None)
    assert check(Schedule(windows=(EVERY_DAY,)), naive) == ClosedForever("bad_schedule")


def test_a_calendar_that_fails_closes() -> None:
    def broken(day: date) -> bool:
        raise LookupError(day)

    schedule = Schedule(windows=(EVERY_DAY,), skip_holidays=True)
    assert check_schedule(schedule, local("2026-11-23 09:00"), holidays=broken) == ClosedForever(
        "bad_schedule"
    )


def test_a_schedule_is_read_from_json() -> None:
    body = b"""{"start_date": "2026-11-01", "end_date": "2026-12-31", "skip_holidays": true,
                "windows": [{"weekdays": [1, 2, 3, 4, 5], "start": "08:00", "end": "17:00"}]}"""
    assert parse_schedule(msgspec.json.decode(body)) == Schedule(
        start_date=date(2026, 11, 1), end_date=date(2026, 12, 31), windows=(WORKDAYS,), skip_holidays=True
    )


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "windows"),
        ({"windows": []}, "windows"),
        ([], ""),
        (None, ""),
        ({"windows": [{"weekdays": [1], "start": "08:00"}]}, "windows[0]"),
        ({"windows": [{"weekdays": [1], "start": "08:00", "end": 17}]}, "windows[0].end"),
        ({"windows": [{"weekdays": [1], "start": "22:00", "end": "06:00"}]}, "windows[0].end"),
        ({"windows": [{"weekdays": [9], "start": "08:00", "end": "17:00"}]}, "windows[0].weekdays"),
        ({"windows": [{"weekdays": [1], "start": "8h", "end": "17:00"}]}, "windows[0].start"),
        ({"windows": [], "skip_holiday": True}, ""),
        ({"windows": [], "start_date": "tomorrow"}, "start_date"),
    ],
)
def test_a_fault_names_its_place(body: object, path: str) -> None:
    with pytest.raises(ScheduleInvalidError) as caught:
        parse_schedule(body)
    errors = caught.value.facts["errors"]
    assert isinstance(errors, list)
    assert path in [place for place, _ in errors]


def test_all_faults_are_told_at_once() -> None:
    bad = Schedule(
        windows=(window(start="x"), window(weekdays=(), end="y")),
        start_date=date(2026, 2, 1),
        end_date=date(2026, 1, 1),
    )
    assert [place for place, _ in schedule_errors(bad)] == [
        "end_date",
        "windows[0].start",
        "windows[1].weekdays",
        "windows[1].end",
    ]


def test_a_night_is_refused_with_the_way_to_write_it() -> None:
    with pytest.raises(ScheduleInvalidError) as caught:
        parse_schedule({"windows": [{"weekdays": [5], "start": "22:00", "end": "06:00"}]})
    assert "22:00-24:00" in str(caught.value.facts["errors"])


MINUTE = st.integers(0, 24 * 60)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    start, end = sorted(draw(st.lists(MINUTE, min_size=2, max_size=2, unique=True)))
    days = draw(st.sets(st.integers(1, 7), min_size=1, max_size=3))
    return Window(
        weekdays=tuple(days), start=f"{start // 60:02}:{start % 60:02}", end=f"{end // 60:02}:{end % 60:02}"
    )


MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@given(
    st.lists(windows(), min_size=1, max_size=4),
    st.one_of(st.none(), st.dates(date(2026, 1, 1), date(2027, 12, 31))),
    st.one_of(st.none(), st.integers(0, 60)),
    st.booleans(),
    MOMENTS,
)
def test_it_opens_exactly_when_it_says(
    given_windows: list[Window], start: date | None, length: int | None, skip: bool, now: datetime
) -> None:
    end = None if start is None or length is None else start + timedelta(days=length)
    schedule = Schedule(windows=tuple(given_windows), start_date=start, end_date=end, skip_holidays=skip)
    decision = check(schedule, now)
    if isinstance(decision, ClosedUntil):
        assert decision.until > now
        assert isinstance(check(schedule, decision.until), Open)
        minutes = int((decision.until - now).total_seconds() // 60)
        for minute in range(1, minutes + 1, max(1, minutes // 500)):
            assert isinstance(check(schedule, decision.until - timedelta(minutes=minute)), ClosedUntil)
        assert isinstance(check(schedule, decision.until - timedelta(microseconds=1)), ClosedUntil)
    elif isinstance(decision, Open):
        assert decision.until is not None
        assert isinstance(check(schedule, decision.until - timedelta(microseconds=1)), Open)
    else:
        assert end is not None
        for ahead in range(90 * 24):
            assert isinstance(check(schedule, now + timedelta(hours=ahead)), ClosedForever)
