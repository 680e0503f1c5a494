"""A contact's own hours: never before them, never at their end or after, and never in doubt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongdai.domain.compliance import ContactDecision, ContactWait, check_contact_window, contact_window_fault
from tongdai.kit.clock import VIETNAM


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=VIETNAM)


def wait(text: str) -> ContactWait:
    return ContactWait(local(text).astimezone(UTC))


@pytest.mark.parametrize(
    ("after", "before", "moment", "decision"),
    [
        (None, None, "2026-11-18 03:00", "open"),
        ("09:00", None, "2026-11-18 08:59:59.999999", wait("2026-11-18 09:00")),
        ("09:00", None, "2026-11-18 09:00", "open"),
        ("09:00", None, "2026-11-18 23:59:59", "open"),
        (None, "17:00", "2026-11-18 16:59:59", "open"),
        (None, "17:00", "2026-11-18 17:00", wait("2026-11-19 00:00")),
        ("09:00", "17:00", "2026-11-30 17:00", wait("2026-12-01 09:00")),
        ("09:00", "24:00", "2026-12-31 23:59:59", "open"),
        ("2026-11-20T08:00", None, "2026-11-18 10:00", wait("2026-11-20 08:00")),
        ("2026-11-20T01:00:00Z", None, "2026-11-20 07:59:59", wait("2026-11-20 08:00")),
        ("2026-11-20 08:00+07:00", None, "2026-11-20 08:00", "open"),
        (None, "2026-11-20T08:00", "2026-11-20 07:59:59", "open"),
        (None, "2026-11-20T08:00", "2026-11-20 08:00", "over"),
        ("09:00", "2026-11-20T08:00", "2026-11-19 10:00", "open"),
        ("09:00", "2026-11-20T08:00", "2026-11-20 00:00", "over"),
        ("09:00", "2026-11-20T12:00", "2026-11-20 00:00", wait("2026-11-20 09:00")),
        ("2026-11-20T20:00", "17:00", "2026-11-18 10:00", wait("2026-11-21 00:00")),
        ("2026-11-20T10:00", "17:00", "2026-11-18 10:00", wait("2026-11-20 10:00")),
    ],
)
def test_a_contact_is_called_within_its_own_hours(
    after: str | None, before: str | None, moment: str, decision: ContactDecision
) -> None:
    assert contact_window_fault(after, before) is None
    assert check_contact_window(after, before, local(moment)) == decision


@pytest.mark.parametrize(
    ("after", "before", "names"),
    [
        ("9:00", None, "call_after"),
        ("25:00", None, "call_after"),
        (None, "tomorrow", "call_before"),
        (None, "2026-11-20", "call_before"),
        ("2026-02-30T08:00", None, "call_after"),
        (None, "2026-11-20T24:30", "call_before"),
        ("0001-01-01T00:00+07:00", None, "call_after"),
        ("", None, "call_after"),
        ("24:00", None, "call_after"),
        (None, "00:00", "call_before"),
        ("17:00", "09:00", "call_before"),
        ("09:00", "09:00", "call_before"),
        ("2026-11-20T08:00", "2026-11-20T01:00Z", "call_before"),
        ("2026-11-20T08:00" + " " * 40, None, "call_after"),
    ],
)
def test_times_that_make_no_window_are_told_and_are_never_open(
    after: str | None, before: str | None, names: str
) -> None:
    fault = contact_window_fault(after, before)
    assert fault is not None
    assert fault.startswith(names)
    assert check_contact_window(after, before, local("2026-11-18 10:00")) == "over"


CLOCKS = st.times().map(lambda time: f"{time:%H:%M}")
NEAR = st.timedeltas(timedelta(0), timedelta(days=60)).map(lambda later: local("2026-11-01 00:00") + later)
MOMENTS = NEAR.map(lambda at: f"{at:%Y-%m-%dT%H:%M}")
SIDES = st.one_of(st.none(), CLOCKS, MOMENTS)


@given(SIDES, SIDES, NEAR)
def test_who_waits_can_be_called_when_the_wait_is_over(
    after: str | None, before: str | None, now: datetime
) -> None:
    decision = check_contact_window(after, before, now)
    if isinstance(decision, ContactWait):
        assert decision.until > now
        assert check_contact_window(after, before, decision.until) == "open"


@given(st.text(max_size=50), st.text(max_size=50))
def test_whatever_is_sent_as_a_time_is_read_or_refused(after: str, before: str) -> None:
    fault = contact_window_fault(after, before)
    assert fault is not None or check_contact_window(after, before, local("2026-11-18 10:00"))
