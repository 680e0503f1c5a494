"""When a campaign may call for its purpose: its own schedule and the law's hours, whichever is narrower."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongdai.domain.compliance import (
    CLOSED,
    AgreedTerms,
    ClosedForever,
    ClosedUntil,
    Decision,
    NationalList,
    Open,
    Schedule,
    Window,
    campaign_block,
    check_calling,
    check_schedule,
    load_policies,
    needs_brand_name,
    parse_policies,
    vietnam_holidays,
)
from tongdai.kit.clock import VIETNAM

EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)
IS_HOLIDAY = vietnam_holidays()
POLICY = load_policies().at(datetime(2026, 11, 18, tzinfo=UTC))


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=VIETNAM)


def utc(text: str) -> datetime:
    return local(text).astimezone(UTC)


def check(
    moment: str | datetime,
    purpose: str = "advertising",
    schedule: Schedule | None = None,
    agreed: AgreedTerms | None = None,
) -> Decision:
    now = local(moment) if isinstance(moment, str) else moment
    return check_calling(schedule, POLICY, purpose, agreed, now, holidays=IS_HOLIDAY)


def hours(start: str, end: str, **more: object) -> Schedule:
    return Schedule(windows=(Window(weekdays=EVERY_DAY, start=start, end=end),), **more)  # type: ignore[arg-type]


# ---------------------------------------------------------------- the edges of the law's hours


@pytest.mark.parametrize("moment", ["2026-11-18 08:00:00", "2026-11-18 12:00", "2026-11-18 16:59:59.999999"])
def test_an_advertising_call_may_start_from_eight_up_to_and_not_at_five(moment: str) -> None:
    assert check(moment) == Open(utc("2026-11-18 17:00"))


@pytest.mark.parametrize(
    ("moment", "until"),
    [
        ("2026-11-18 07:59:59.999999", "2026-11-18 08:00"),
        ("2026-11-18 17:00:00", "2026-11-19 08:00"),
        ("2026-11-30 17:00:00", "2026-12-01 08:00"),
        ("2027-02-28 20:00", "2027-03-01 08:00"),
        ("2028-02-28 20:00", "2028-02-29 08:00"),
        ("2026-12-31 23:59:59", "2027-01-01 08:00"),
    ],
)
def test_outside_of_them_it_waits_for_the_next_opening(moment: str, until: str) -> None:
    assert check(moment) == ClosedUntil(utc(until), "purpose_window")


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [("06:59:59", False), ("07:00:00", True), ("20:59:59", True), ("21:00:00", False)],
)
def test_debts_are_reminded_of_from_seven_to_nine(moment: str, is_open: bool) -> None:
    assert isinstance(check(f"2026-11-18 {moment}", "debt_reminder"), Open) is is_open


@pytest.mark.parametrize("day", ["2026-01-15", "2026-03-29", "2026-07-15", "2026-10-25"])
def test_the_hours_are_the_same_all_year(day: str) -> None:
    policy = parse_policies(RULES).at(local(f"{day} 01:00"))
    first = check_calling(None, policy, "advertising", None, local(f"{day} 03:00"), holidays=IS_HOLIDAY)
    assert first == ClosedUntil(datetime.fromisoformat(f"{day}T01:00:00+00:00"), "purpose_window")


@pytest.mark.parametrize("purpose", ["customer_care", "transactional", "survey", "otp"])
def test_purposes_without_a_rule_call_at_every_hour(purpose: str) -> None:
    assert check("2026-11-18 03:00", purpose) == Open(None)


# ---------------------------------------------------------------- the campaign's own schedule


def test_the_narrower_of_law_and_schedule_counts() -> None:
    assert check("2026-11-18 10:00", schedule=hours("09:00", "20:00")) == Open(utc("2026-11-18 17:00"))
    assert check("2026-11-18 10:00", schedule=hours("09:00", "11:00")) == Open(utc("2026-11-18 11:00"))


def test_a_schedule_that_is_closed_itself_says_so_and_waits_for_an_hour_that_is_lawful_too() -> None:
    weekend = Schedule(windows=(Window(weekdays=(6,), start="06:00", end="20:00"),))
    assert check("2026-11-18 10:00", schedule=weekend) == ClosedUntil(
        utc("2026-11-21 08:00"), "window_closed"
    )
    assert check("2026-11-21 07:00", schedule=weekend) == ClosedUntil(
        utc("2026-11-21 08:00"), "purpose_window"
    )


def test_a_schedule_that_is_never_open_in_lawful_hours_never_calls_and_says_why() -> None:
    assert check("2026-11-18 18:30", schedule=hours("18:00", "20:00")) == ClosedForever("purpose_window")
    assert check("2026-11-18 10:00", schedule=hours("18:00", "20:00")) == ClosedForever("purpose_window")


def test_a_schedule_that_has_ended_or_is_broken_says_that() -> None:
    over = hours("09:00", "20:00", end_date=date(2026, 11, 17))
    broken = Schedule(windows=(Window(weekdays=(1,), start="nine", end="ten"),))
    assert check("2026-11-18 10:00", schedule=over) == ClosedForever("schedule_ended")
    assert check("2026-11-18 10:00", schedule=broken) == ClosedForever("bad_schedule")


def test_its_last_day_ends_with_the_lawful_hours() -> None:
    last = hours("09:00", "20:00", end_date=date(2026, 11, 18))
    assert check("2026-11-18 17:00", schedule=last) == ClosedForever("purpose_window")


# ---------------------------------------------------------------- what was agreed


def test_an_agreement_takes_the_place_of_hours_that_the_law_lets_people_agree_on() -> None:
    evening = AgreedTerms("17:00", "21:00")
    assert check("2026-11-18 17:00", agreed=evening) == Open(utc("2026-11-18 21:00"))
    assert check("2026-11-18 10:00", agreed=evening) == ClosedUntil(utc("2026-11-18 17:00"), "purpose_window")


def test_no_agreement_widens_the_hours_of_debt_reminders() -> None:
    late = AgreedTerms("06:00", "23:00")
    assert isinstance(check("2026-11-18 22:00", "debt_reminder", agreed=late), ClosedUntil)
    assert isinstance(check("2026-11-18 06:30", "debt_reminder", agreed=late), ClosedUntil)


@pytest.mark.parametrize(
    "agreed", [AgreedTerms("17:00", None), AgreedTerms("21:00", "17:00"), AgreedTerms("x", "y")]
)
def test_an_agreement_that_is_no_window_changes_nothing(agreed: AgreedTerms) -> None:
    assert isinstance(check("2026-11-18 10:00", agreed=agreed), Open)
    assert isinstance(check("2026-11-18 18:00", agreed=agreed), ClosedUntil)


# ---------------------------------------------------------------- rules that are off as shipped

RULES = """
[[policy]]
id = "courteous"
valid_from = 2020-01-01
[[policy.rule]]
id = "w"
purpose = "advertising"
kind = "window"
start = "08:00"
end = "17:00"
on = true
confidence = "A"
source = "x"
[[policy.rule]]
id = "p"
purpose = "advertising"
kind = "pause"
start = "11:30"
end = "13:30"
on = true
confidence = "D"
source = "x"
[[policy.rule]]
id = "h"
purpose = "advertising"
kind = "holidays"
on = true
confidence = "D"
source = "x"
"""


def test_a_lunch_break_and_holidays_can_be_switched_on() -> None:
    policy = parse_policies(RULES).at(local("2026-11-18 12:00"))

    def at(moment: str) -> Decision:
        return check_calling(None, policy, "advertising", None, local(moment), holidays=IS_HOLIDAY)

    assert at("2026-11-18 11:29:59") == Open(utc("2026-11-18 11:30"))
    assert at("2026-11-18 11:30") == ClosedUntil(utc("2026-11-18 13:30"), "purpose_window")
    # 2026-11-24 is Vietnam Culture Day.
    assert at("2026-11-24 10:00") == ClosedUntil(utc("2026-11-25 08:00"), "purpose_window")


# ---------------------------------------------------------------- in doubt, closed


def test_without_a_policy_nothing_but_one_time_codes_is_dialled() -> None:
    now = local("2026-11-18 10:00")
    assert check_calling(None, CLOSED, "otp", None, now, holidays=IS_HOLIDAY) == Open(None)
    for purpose in ("advertising", "customer_care", "transactional", "survey", "debt_reminder", "unheard_of"):
        decision = check_calling(None, CLOSED, purpose, None, now, holidays=IS_HOLIDAY)
        assert decision == ClosedForever("no_policy")
        assert campaign_block(CLOSED, purpose, None, now) == "no_policy"


def test_a_purpose_that_nobody_knows_is_not_dialled() -> None:
    assert check("2026-11-18 10:00", "unheard_of") == ClosedForever("no_policy")
    assert needs_brand_name(POLICY, "unheard_of")


def test_a_broken_calendar_or_clock_closes() -> None:
    def broken(_: date) -> bool:
        raise RuntimeError

    policy = parse_policies(RULES).at(local("2026-11-18 12:00"))
    decision = check_calling(None, policy, "advertising", None, local("2026-11-18 10:00"), holidays=broken)
    assert isinstance(decision, ClosedForever)
    assert isinstance(check(datetime(2026, 11, 18, 10, 0)), ClosedForever)  # noqa: DTZ001


@given(
    st.timedeltas(timedelta(0), timedelta(days=365)),
    st.sampled_from(["advertising", "debt_reminder"]),
    st.sampled_from([None, hours("06:00", "10:00"), hours("16:00", "24:00")]),
)
def test_it_is_open_exactly_when_schedule_and_law_are(
    later: timedelta, purpose: str, schedule: Schedule | None
) -> None:
    now = local("2026-07-01 00:00") + later
    first, last = {"advertising": (8, 17), "debt_reminder": (7, 21)}[purpose]
    own = check_schedule(schedule, now, holidays=IS_HOLIDAY)
    both = check(now, purpose, schedule)
    assert isinstance(both, Open) is (isinstance(own, Open) and first <= now.hour < last)
    if isinstance(both, ClosedUntil):
        assert isinstance(check(both.until, purpose, schedule), Open)
        assert isinstance(check(both.until - timedelta(microseconds=1), purpose, schedule), ClosedUntil)


# ---------------------------------------------------------------- what keeps a campaign waiting

NOW = local("2026-11-18 10:00")


@pytest.mark.parametrize(
    ("copy", "block"),
    [
        (None, "dnc_stale"),
        (NationalList(NOW - timedelta(hours=168)), None),
        (NationalList(NOW - timedelta(hours=168, microseconds=1)), "dnc_stale"),
        (NationalList(NOW - timedelta(hours=24), connected=True), None),
        (NationalList(NOW - timedelta(hours=24, microseconds=1), connected=True), "dnc_stale"),
        (NationalList(NOW + timedelta(minutes=10)), None),
        (NationalList(NOW + timedelta(days=1)), "dnc_stale"),
    ],
)
def test_nobody_advertises_without_a_fresh_copy_of_the_national_register(
    copy: NationalList | None, block: str | None
) -> None:
    assert campaign_block(POLICY, "advertising", copy, NOW) == block


@pytest.mark.parametrize("purpose", ["customer_care", "transactional", "survey", "otp", "debt_reminder"])
def test_other_purposes_need_neither_the_register_nor_a_brand_name(purpose: str) -> None:
    assert campaign_block(POLICY, purpose, None, NOW) is None
    assert not needs_brand_name(POLICY, purpose)


def test_advertising_needs_a_brand_name() -> None:
    assert needs_brand_name(POLICY, "advertising")
