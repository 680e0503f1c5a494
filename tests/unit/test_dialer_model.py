"""What a claim may take: caps, slots and fair shares, on plain values."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongdai.domain.campaigns import CampaignConfig
from tongdai.domain.dialer.model import (
    LATENESS,
    TRANSIT,
    Capacity,
    DueCall,
    Limit,
    Line,
    OtpReserve,
    Plan,
    shares,
)
from tongdai.domain.live.pacing import LEAD, PACE

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
HORIZON = NOW + timedelta(milliseconds=250)
LONG_AGO = NOW - timedelta(days=1)


def limit(id_: int, channels: int | None = None, cps: float | None = None, live: int = 0) -> Limit:
    return Limit(id_, channels, cps, live, LONG_AGO)


def line(hotline: int, trunk: int, network: str | None = None) -> Line:
    return Line(
        hotline, trunk, "sandbox", "842473000001", network, "national", "national", 100 + hotline, 200 + trunk
    )


def plan(campaign: int, *lines: Line, otp: bool = False) -> Plan:
    return Plan(campaign, 1, 1, otp, 1, 1, CampaignConfig(), 300 + campaign, 400, lines)


def due(id_: int, campaign: int = 1, number: str = "84912345678") -> DueCall:
    return DueCall(id_, 1, campaign, 1, number, {}, None, LONG_AGO, 0, None, {}, None)


def capacity(caps: dict[int, Limit], reserve: dict[int, int] | None = None) -> Capacity:
    return Capacity(caps, reserve or {}, NOW, HORIZON)


def limits(*given: Limit, campaigns: int = 1) -> dict[int, Limit]:
    unbounded = [limit(400), *(limit(300 + number) for number in range(1, campaigns + 1))]
    return {one.id: one for one in [*unbounded, *given]}


def test_a_trunk_without_a_free_channel_takes_no_call() -> None:
    caps = limits(limit(101), limit(201, channels=5, live=5))
    one = plan(1, line(1, 1))
    assert capacity(caps).room(one) == 0
    assert capacity(caps).lay_out([(due(1), one)], {}) == ([], [due(1)])


def test_calls_are_spaced_by_the_calls_per_second_of_the_trunk() -> None:
    caps = limits(limit(101), limit(201, cps=50))
    one = plan(1, line(1, 1))
    slots, left = capacity(caps).lay_out([(due(n), one) for n in range(30)], {})
    assert slots[0].dial_at == NOW
    spacing = timedelta(seconds=1 / (50 * PACE))
    # From the last moment at which one may be on time to the first moment of the next.
    gaps = [after.dial_at - (before.dial_before - LATENESS) for before, after in itertools.pairwise(slots)]
    assert gaps == [pytest.approx(spacing, abs=timedelta(microseconds=1))] * len(gaps)
    assert slots[-1].dial_at < HORIZON
    assert len(left) == 30 - len(slots)


def test_an_idle_trunk_is_used_at_once_and_may_be_used_as_late_as_a_claim_takes_to_commit() -> None:
    caps = limits(limit(101), limit(201, cps=50))
    one = plan(1, line(1, 1))
    (slot,), _ = capacity(caps).lay_out([(due(1), one)], {})
    assert (slot.dial_at, slot.dial_before) == (NOW, NOW + LEAD + LATENESS)


def test_a_slot_that_was_not_used_is_not_made_up_in_a_burst() -> None:
    caps = limits(limit(101), limit(201, cps=1))
    one = plan(1, line(1, 1))
    slots, _ = capacity(caps).lay_out([(due(n), one) for n in range(5)], {})
    assert [slot.dial_at for slot in slots] == [NOW]


@given(cps=st.floats(0.2, 500), late=st.lists(st.floats(0, 1), min_size=2, max_size=2))
def test_no_second_holds_a_call_too_many_however_late_each_call_is_sent(
    cps: float, late: list[float]
) -> None:
    """The worst second begins with a call that is as late as it may and ends with calls on time."""
    spacing = 1 / (cps * PACE)
    longest = LATENESS.total_seconds() * late[0] + TRANSIT.total_seconds() * late[1]
    calls_in_a_second = 1 + int((1 + longest) / spacing)
    assert calls_in_a_second <= max(1, int(cps) + (cps % 1 > 0))


def test_the_hotline_of_the_numbers_own_network_comes_first() -> None:
    caps = limits(limit(101), limit(102), limit(201))
    one = plan(1, line(1, 1, "viettel"), line(2, 1, "mobifone"))
    slots, _ = capacity(caps).lay_out([(due(1), one)], {"84912345678": "mobifone"})
    assert slots[0].line.hotline_id == 2


def test_a_hotline_of_the_pool_takes_the_call_when_the_networks_own_is_full() -> None:
    caps = limits(limit(101), limit(102, channels=1, live=1), limit(201))
    one = plan(1, line(1, 1), line(2, 1, "mobifone"))
    slots, _ = capacity(caps).lay_out([(due(1), one)], {"84912345678": "mobifone"})
    assert slots[0].line.hotline_id == 1


def test_one_time_codes_come_before_everything_else() -> None:
    codes, shop = plan(1, line(1, 1), otp=True), plan(2, line(1, 1))
    taken = shares([(shop, 80), (codes, 80)], 100, 0)
    assert taken[0] == (codes, 80)


def test_campaigns_share_evenly() -> None:
    plans = [plan(number, line(1, 1)) for number in range(1, 5)]
    assert [part for _, part in shares([(one, 100) for one in plans], 100, 0)] == [25] * 4


def test_each_campaign_gets_its_turn_where_there_are_fewer_places_than_campaigns() -> None:
    plans = [plan(number, line(1, 1)) for number in range(1, 8)]
    served = {taken.campaign_id for turn in range(7) for taken, _ in shares([(p, 1) for p in plans], 2, turn)}
    assert served == set(range(1, 8))


def test_a_share_of_the_trunk_is_kept_for_one_time_codes() -> None:
    caps = limits(limit(101), limit(201, channels=100, live=90), campaigns=2)
    reserve = {201: OtpReserve(0.1).channels(caps[201])}
    assert capacity(caps, reserve).room(plan(1, line(1, 1))) == 0
    assert capacity(caps, reserve).room(plan(2, line(1, 1), otp=True)) == 10


@given(
    trunk=st.integers(0, 20),
    hotlines=st.lists(st.integers(0, 8), min_size=1, max_size=4),
    campaign=st.integers(0, 20),
    account=st.integers(0, 20),
    calls=st.integers(0, 40),
)
def test_no_cap_is_ever_exceeded(
    trunk: int, hotlines: list[int], campaign: int, account: int, calls: int
) -> None:
    caps = {one.id: one for one in [limit(201, trunk), limit(301, campaign), limit(400, account)]}
    caps.update({101 + n: limit(101 + n, channels) for n, channels in enumerate(hotlines)})
    one = plan(1, *(line(n + 1, 1) for n in range(len(hotlines))))
    room = capacity(caps).room(one)
    slots, left = capacity(caps).lay_out([(due(n), one) for n in range(calls)], {})
    assert all(cap.live <= (cap.max_channels or 0) for cap in caps.values())
    assert len(slots) == min(calls, room)
    assert len(slots) + len(left) == calls


def test_no_call_starts_at_or_after_the_windows_end() -> None:
    caps = limits(limit(101), limit(201, cps=10))
    one = replace(plan(1, line(1, 1)), closes_at=NOW + timedelta(milliseconds=150))
    slots, _ = capacity(caps).lay_out([(due(n), one) for n in range(9)], {})
    assert len(slots) == 2
    assert all(slot.dial_before <= one.closes_at for slot in slots if one.closes_at)


def test_a_plan_that_closed_since_it_was_made_takes_nothing() -> None:
    caps = limits(limit(101), limit(201))
    one = replace(plan(1, line(1, 1)), closes_at=NOW)
    assert capacity(caps).lay_out([(due(1), one)], {})[0] == []


def test_a_share_of_every_cap_is_kept_for_one_time_codes_not_of_the_trunk_alone() -> None:
    caps = {one.id: one for one in [limit(400, 10, live=9), limit(301), limit(302), limit(101), limit(201)]}
    reserve = {400: OtpReserve(0.1).channels(caps[400])}
    assert capacity(caps, reserve).room(plan(1, line(1, 1))) == 0
    assert capacity(caps, reserve).room(plan(2, line(1, 1), otp=True)) == 1


def test_an_absurdly_small_rate_is_a_long_wait_and_no_error() -> None:
    caps = limits(limit(101), limit(201, cps=1e-300))
    (slot,), _ = capacity(caps).lay_out([(due(1), plan(1, line(1, 1)))], {})
    assert slot.dial_at == NOW
    assert caps[201].next_slot_at > NOW + timedelta(seconds=900)


def over_nodes(hotline: int, trunk: int, *nodes: int) -> list[Line]:
    """One hotline, on as many lines as there are nodes."""
    return [replace(line(hotline, trunk), engine=f"asterisk/{node}", node_limit=500 + node) for node in nodes]


def test_calls_spread_over_nodes_by_how_busy_each_is() -> None:
    caps = limits(limit(101), limit(201), limit(501, channels=10, live=4), limit(502, channels=20, live=2))
    one = plan(1, *over_nodes(1, 1, 1, 2))
    slots, _ = capacity(caps).lay_out([(due(n), one) for n in range(12)], {})
    assert [caps[501].live / 10, caps[502].live / 20] == [pytest.approx(0.6), pytest.approx(0.6)]
    assert {slot.line.engine for slot in slots} == {"asterisk/1", "asterisk/2"}


def test_a_node_without_a_free_channel_takes_no_call() -> None:
    caps = limits(limit(101), limit(201), limit(501, channels=3, live=3), limit(502, channels=2))
    one = plan(1, *over_nodes(1, 1, 1, 2))
    assert capacity(caps).room(one) == 2
    slots, left = capacity(caps).lay_out([(due(n), one) for n in range(5)], {})
    assert [slot.line.engine for slot in slots] == ["asterisk/2"] * 2
    assert len(left) == 3


def test_a_trunk_on_two_nodes_has_no_more_room_than_its_own_cap() -> None:
    caps = limits(limit(101), limit(201, channels=5), limit(501, channels=50), limit(502, channels=50))
    one = plan(1, *over_nodes(1, 1, 1, 2))
    assert capacity(caps).room(one) == 5
    assert capacity(caps).room_for(one, "", ()) == 5
    assert len(capacity(caps).lay_out([(due(n), one) for n in range(9)], {})[0]) == 5


def test_a_call_on_a_node_holds_a_channel_of_it() -> None:
    caps = limits(limit(101), limit(201), limit(501))
    (slot,), _ = capacity(caps).lay_out([(due(1), plan(1, *over_nodes(1, 1, 1)))], {})
    assert slot.limit_ids == (101, 201, 301, 400, 501)


def test_another_node_is_no_second_trunk_to_fail_over_to() -> None:
    caps = limits(limit(101), limit(201), limit(501), limit(502))
    (slot,), _ = capacity(caps).lay_out([(due(1), plan(1, *over_nodes(1, 1, 1, 2)))], {})
    assert not slot.more_trunks


@given(cps=st.floats(0.2, 500), way=st.lists(st.floats(0, 0.09), min_size=2, max_size=2))
def test_over_a_node_no_second_holds_a_call_too_many_though_invites_take_tens_of_milliseconds(
    cps: float, way: list[float]
) -> None:
    caps = limits(limit(101), limit(201, cps=cps), limit(501))
    one = plan(1, *over_nodes(1, 1, 1))
    capacity(caps).lay_out([(due(1), one)], {})
    spacing = (caps[201].next_slot_at - NOW - LEAD).total_seconds()
    calls_in_a_second = 1 + int((1 + abs(way[0] - way[1])) / spacing)
    assert calls_in_a_second <= max(1, int(cps) + (cps % 1 > 0))
