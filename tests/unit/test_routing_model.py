"""Which hotline calls a number: the rule, on the dialer's own layout of a claim."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongdai.domain.campaigns import CampaignConfig
from tongdai.domain.dialer.model import Capacity, DueCall, Limit, Line, Plan
from tongdai.domain.routing import brand_expires_soon, may_call, network_distance

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
NUMBER = "84912345678"


@dataclass(frozen=True)
class HotlineChoice:
    id: int
    network: str | None
    free: bool
    used: int
    """Calls that are up on it."""


CHOICES = st.lists(
    st.builds(
        HotlineChoice,
        id=st.integers(1, 1000),
        network=st.sampled_from([None, "fixed", "viettel", "vinaphone", "mobifone"]),
        free=st.booleans(),
        used=st.integers(0, 50),
    ),
    unique_by=lambda choice: choice.id,
    min_size=1,
    max_size=8,
)


def hotline(id: int, network: str | None = None, *, free: bool = True, used: int = 0) -> HotlineChoice:
    return HotlineChoice(id=id, network=network, free=free, used=used)


def chosen(network: str, *candidates: HotlineChoice) -> int | None:
    """The hotline that a call to a number of this network is laid on."""
    lines = tuple(
        Line(one.id, 1, "sandbox", "842473000001", one.network, "national", "national", 10_000 + one.id, 1)
        for one in candidates
    )
    plan = Plan(1, 1, 1, False, 1, 1, CampaignConfig(), 2, 3, lines)
    caps = [Limit(id_, None, None, 0, NOW) for id_ in (1, 2, 3)]
    caps += [Limit(10_000 + one.id, None if one.free else 0, None, one.used, NOW) for one in candidates]
    capacity = Capacity({cap.id: cap for cap in caps}, {}, NOW, NOW + timedelta(seconds=1))
    call = DueCall(1, 1, 1, 1, NUMBER, {}, None, NOW, 0, None, {}, None)
    slots, _ = capacity.lay_out([(call, plan)], {NUMBER: network})
    return slots[0].line.hotline_id if slots else None


def test_a_number_is_called_from_a_hotline_of_its_own_network() -> None:
    assert chosen("viettel", hotline(1), hotline(2, "mobifone"), hotline(3, "viettel", used=99)) == 3


def test_without_one_a_fixed_line_or_one_for_any_network_is_next() -> None:
    assert (
        chosen("viettel", hotline(1, "mobifone"), hotline(2, "fixed", used=3), hotline(3, None, used=2)) == 3
    )
    assert chosen("viettel", hotline(1, "mobifone"), hotline(2, "fixed", used=3)) == 2


def test_another_networks_hotline_never_calls() -> None:
    assert chosen("viettel", hotline(1, "mobifone", used=5), hotline(2, "vinaphone", used=4)) is None


def test_a_fixed_number_is_called_from_a_fixed_line_first() -> None:
    assert chosen("fixed", hotline(1, None), hotline(2, "fixed", used=7)) == 2


def test_a_number_of_unknown_network_is_called_too() -> None:
    assert chosen("unknown", hotline(1, "viettel"), hotline(2, None)) == 2


def test_among_equals_the_least_used_is_taken_then_the_oldest() -> None:
    assert chosen("viettel", hotline(1, "viettel", used=2), hotline(2, "viettel", used=1)) == 2
    assert chosen("viettel", hotline(9, "viettel", used=1), hotline(2, "viettel", used=1)) == 2


def test_a_full_hotline_is_passed_over() -> None:
    assert chosen("viettel", hotline(1, "viettel", free=False), hotline(2, "fixed")) == 2


def test_no_hotline_is_taken_when_all_are_full() -> None:
    assert chosen("viettel", hotline(1, "viettel", free=False)) is None


@given(CHOICES, st.sampled_from(["fixed", "viettel", "unknown"]))
def test_one_is_chosen_whenever_one_that_may_call_is_free_and_never_a_full_one(
    choices: list[HotlineChoice], network: str
) -> None:
    choice = next((one for one in choices if one.id == chosen(network, *choices)), None)
    able = [one for one in choices if one.network in (network, None, "fixed")]
    if choice is None:
        assert not any(candidate.free for candidate in able)
    else:
        assert choice.free
        assert choice in able
        same = [c for c in choices if c.free and c.network == network]
        assert not same or (choice.network == network and choice.used == min(c.used for c in same))


# --------------------------------------------------------------------------- who may call whom


@pytest.mark.parametrize(
    ("hotline_network", "trunk_networks", "network", "may"),
    [
        ("viettel", None, "viettel", True),
        ("viettel", ["viettel"], "viettel", True),
        ("viettel", ["vinaphone"], "viettel", False),
        ("mobifone", None, "viettel", False),
        ("mobifone", ["mobifone", "viettel"], "viettel", False),
        (None, None, "viettel", True),
        (None, ["mobifone", "viettel"], "viettel", True),
        (None, ["mobifone"], "viettel", False),
        ("fixed", None, "viettel", True),
        ("fixed", ["fixed"], "viettel", False),
        ("fixed", ["fixed"], "fixed", True),
        ("viettel", None, "fixed", False),
        (None, None, "unknown", True),
        ("fixed", None, "unknown", True),
        ("viettel", None, "unknown", False),
        (None, ["viettel"], "unknown", False),
    ],
)
def test_a_hotline_calls_its_own_network_or_any_from_the_pool_over_a_trunk_that_carries_it(
    hotline_network: str | None, trunk_networks: list[str] | None, network: str, may: bool
) -> None:
    assert may_call(hotline_network, trunk_networks, network) is may


def test_the_own_network_is_nearer_than_the_pool() -> None:
    assert network_distance("viettel", "viettel") == 0
    assert network_distance("fixed", "fixed") == 0
    assert network_distance(None, "viettel") == network_distance("fixed", "viettel") == 1


@pytest.mark.parametrize(
    ("until", "soon"),
    [
        (None, False),
        (date(2027, 1, 20), False),
        (date(2027, 1, 19), True),
        (date(2026, 11, 20), True),
        (date(2026, 11, 1), True),
    ],
)
def test_the_end_of_a_brand_name_is_told_sixty_days_ahead_and_from_then_on(
    until: date | None, soon: bool
) -> None:
    assert brand_expires_soon(until, date(2026, 11, 20)) is soon
