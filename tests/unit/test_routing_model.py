"""Which hotline calls a number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tongdai.domain.routing import HotlineChoice, choose_hotline, why_no_hotline

CHOICES = st.lists(
    st.builds(
        HotlineChoice,
        id=st.integers(1, 1000),
        network=st.sampled_from([None, "fixed", "viettel", "vinaphone", "mobifone"]),
        free=st.booleans(),
        used=st.integers(0, 50),
    ),
    unique_by=lambda choice: choice.id,
    max_size=8,
)


def hotline(id: int, network: str | None = None, *, free: bool = True, used: int = 0) -> HotlineChoice:
    return HotlineChoice(id=id, network=network, free=free, used=used)


def chosen(network: str, *candidates: HotlineChoice) -> int | None:
    choice = choose_hotline(candidates, network)
    return choice.id if choice else None


def test_a_number_is_called_from_a_hotline_of_its_own_network() -> None:
    assert chosen("viettel", hotline(1), hotline(2, "mobifone"), hotline(3, "viettel", used=99)) == 3


def test_without_one_a_fixed_line_or_one_for_any_network_is_next() -> None:
    assert (
        chosen("viettel", hotline(1, "mobifone"), hotline(2, "fixed", used=3), hotline(3, None, used=2)) == 3
    )
    assert chosen("viettel", hotline(1, "mobifone"), hotline(2, "fixed", used=3)) == 2


def test_another_networks_hotline_is_better_than_none() -> None:
    assert chosen("viettel", hotline(1, "mobifone", used=5), hotline(2, "vinaphone", used=4)) == 2


def test_a_fixed_number_is_called_from_a_fixed_line_first() -> None:
    assert chosen("fixed", hotline(1, None), hotline(2, "fixed", used=7)) == 2


def test_a_number_of_unknown_network_is_called_too() -> None:
    assert chosen("unknown", hotline(1, "viettel"), hotline(2, None)) == 2


def test_among_equals_the_least_used_is_taken_then_the_oldest() -> None:
    assert chosen("viettel", hotline(1, "viettel", used=2), hotline(2, "viettel", used=1)) == 2
    assert chosen("viettel", hotline(9, "viettel", used=1), hotline(2, "viettel", used=1)) == 2


def test_a_full_hotline_is_passed_over() -> None:
    assert chosen("viettel", hotline(1, "viettel", free=False), hotline(2, "mobifone")) == 2


def test_all_full_is_told_from_none_configured() -> None:
    full = [hotline(1, "viettel", free=False)]
    assert choose_hotline(full, "viettel") is None
    assert why_no_hotline(full) == "hotlines_full"
    assert choose_hotline([], "viettel") is None
    assert why_no_hotline([]) == "no_hotline"


@given(CHOICES, st.sampled_from(["fixed", "viettel", "unknown"]))
def test_one_is_chosen_whenever_one_is_free_and_never_a_full_one(
    choices: list[HotlineChoice], network: str
) -> None:
    choice = choose_hotline(choices, network)
    if choice is None:
        assert not any(candidate.free for candidate in choices)
    else:
        assert choice.free
        same = [c for c in choices if c.free and c.network == network]
        assert not same or (choice.network == network and choice.used == min(c.used for c in same))
