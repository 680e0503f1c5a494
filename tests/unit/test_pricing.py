"""What a call costs: the vectors of carriers, and promises that hold for every price."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.money import BEFORE, NOW, PRICE

from tongdai.domain.billing import Line, Price, Rate, Till, Wallet, charge, first_block, reserve, within
from tongdai.domain.billing.pricing import NO_PRICES, PriceList, RateTable, Vat, billable_seconds

TEN_PER_CENT = Vat(Decimal(10), Decimal(10))


def blocks(initial_s: int, increment_s: int, free_s: int = 0) -> Price:
    return msgspec.structs.replace(PRICE, initial_s=initial_s, increment_s=increment_s, free_s=free_s)


money = st.decimals(0, 10**6, places=2)
percents = st.decimals(0, 100, places=2)
seconds = st.integers(1, 3600)
prices = st.builds(
    Price,
    rate_id=st.just(1),
    per_minute=money,
    initial_s=seconds,
    increment_s=seconds,
    free_s=st.integers(0, 600),
    per_answer=money,
    per_attempt=money,
    postage_vat=percents,
    service_vat=percents,
)


# ---------------------------------------------------------------- blocks and lines


@pytest.mark.parametrize(
    ("talked", "by_scheme"),
    [(1, (6, 60, 60, 1)), (7, (7, 60, 60, 7)), (61, (61, 120, 61, 61)), (125, (125, 180, 125, 125))],
)
def test_seconds_are_counted_in_blocks_as_carriers_count_them(
    talked: int, by_scheme: tuple[int, ...]
) -> None:
    schemes = (blocks(6, 1), blocks(60, 60), blocks(60, 1), blocks(1, 1))
    assert tuple(billable_seconds(price, talked) for price in schemes) == by_scheme


@pytest.mark.parametrize(("talked", "billable"), [(0, 0), (1, 0), (2, 6), (7, 6), (8, 7), (61, 60)])
def test_free_seconds_are_taken_off_before_the_first_block(talked: int, billable: int) -> None:
    assert billable_seconds(blocks(6, 1, free_s=1), talked) == billable


@pytest.mark.parametrize(("initial_s", "increment_s"), [(6, 1), (60, 60), (1, 1)])
def test_a_call_of_no_seconds_has_no_postage(initial_s: int, increment_s: int) -> None:
    cost = charge(blocks(initial_s, increment_s), answered=True, seconds=0)
    assert (cost.billable_s, cost.postage.amount) == (0, Decimal(0))


def test_each_line_and_its_vat_are_rounded_half_up_to_a_dong() -> None:
    # 718 đ a minute for 7 s: 83.77 and 8.4 of VAT. 70.5 for the platform: 71 and 7.1.
    price = msgspec.structs.replace(PRICE, per_minute=Decimal(718), per_answer=Decimal("50.5"))
    cost = charge(price, answered=True, seconds=7)
    assert cost.postage == Line(Decimal(84), Decimal(8), Decimal(10))
    assert cost.service == Line(Decimal(71), Decimal(7), Decimal(10))
    assert cost.amount == Decimal(84 + 8 + 71 + 7)


def test_an_attempt_that_nobody_answered_pays_for_the_attempt_alone() -> None:
    cost = charge(PRICE, answered=False, seconds=40)
    assert (cost.billable_s, cost.postage.amount, cost.service.amount) == (0, Decimal(0), Decimal(22))


def test_the_price_on_a_leg_survives_json_to_the_last_digit() -> None:
    price = msgspec.structs.replace(PRICE, per_minute=Decimal("718.10"), service_vat=Decimal("8.00"))
    assert msgspec.json.decode(msgspec.json.encode(price), type=Price) == price
    assert msgspec.convert(msgspec.to_builtins(price), Price) == price


@given(prices, st.integers(0, 7200), st.integers(0, 7200))
def test_a_longer_call_never_costs_less_nor_an_answered_one(price: Price, one: int, other: int) -> None:
    short, long = sorted((one, other))
    cost = charge(price, answered=True, seconds=long).amount
    assert charge(price, answered=True, seconds=short).amount <= cost
    assert charge(price, answered=False, seconds=0).amount <= cost


@given(prices, st.booleans(), st.integers(-5, 7200))
def test_no_line_is_ever_negative_or_a_part_of_a_dong(price: Price, answered: bool, talked: int) -> None:
    cost = charge(price, answered=answered, seconds=talked)
    for line in (cost.postage, cost.service):
        for part in (line.net, line.vat):
            assert part >= 0
            assert part == part.to_integral_value()
    assert cost.amount == cost.postage.amount + cost.service.amount
    assert cost.billable_s >= 0


# ---------------------------------------------------------------- reservations


@given(prices, st.integers(1, 3600), st.integers(0, 10**8), st.data())
def test_what_a_call_costs_is_within_what_was_reserved_for_it(
    price: Price, max_s: int, available: int, data: st.DataObject
) -> None:
    taken = reserve(price, max_s=max_s, available=Decimal(available))
    if taken is None:
        assert charge(price, answered=True, seconds=max_s).amount > available
        assert first_block(price) > available or max_s <= price.free_s + price.initial_s
        return
    assert taken.amount <= available
    assert 0 < taken.talk_s <= max_s
    talked = data.draw(st.integers(0, taken.talk_s))
    assert charge(price, answered=True, seconds=talked).amount <= taken.amount
    assert charge(price, answered=False, seconds=0).amount <= taken.amount


@given(prices, st.integers(1, 3600), st.integers(0, 10**8))
def test_no_second_that_the_wallet_pays_for_is_withheld(price: Price, max_s: int, available: int) -> None:
    taken = reserve(price, max_s=max_s, available=Decimal(available))
    if taken is not None and taken.talk_s < max_s:
        assert charge(price, answered=True, seconds=taken.talk_s + 1).amount > available


def test_a_wallet_that_covers_the_limit_gives_all_of_it() -> None:
    taken = reserve(PRICE, max_s=60, available=Decimal(869))
    assert taken is not None
    assert (int(taken.amount), taken.talk_s) == (869, 60)


def test_a_wallet_that_covers_less_gives_the_seconds_that_it_pays_for() -> None:
    # 59 s cost 708 + 70.8 and 77; 868 would be one second more.
    taken = reserve(PRICE, max_s=60, available=Decimal(868))
    assert taken is not None
    assert (int(taken.amount), taken.talk_s) == (856, 59)


def test_a_wallet_that_does_not_cover_the_first_block_gives_nothing() -> None:
    assert int(first_block(PRICE)) == 72 + 7 + 77
    assert reserve(PRICE, max_s=60, available=Decimal(155)) is None
    covered = reserve(PRICE, max_s=60, available=Decimal(156))
    assert covered is not None
    assert covered.talk_s == 6


def test_a_call_that_outlived_its_seconds_costs_what_was_reserved() -> None:
    cost = charge(PRICE, answered=True, seconds=90)
    cut = within(cost, Decimal(869))
    assert cut.amount == 869
    assert cut.service == cost.service
    assert (cut.postage.net, cut.postage.vat) == (Decimal(720), Decimal(72))


@given(prices, st.integers(0, 7200), st.integers(0, 10**7))
def test_a_charge_is_never_cut_below_nothing_nor_left_above_what_was_reserved(
    price: Price, talked: int, reserved: int
) -> None:
    cost = charge(price, answered=True, seconds=talked)
    cut = within(cost, Decimal(reserved))
    assert cut.amount == min(cost.amount, Decimal(reserved))
    assert min(cut.postage.net, cut.postage.vat, cut.service.net, cut.service.vat) >= 0


# ---------------------------------------------------------------- tills


def till(available: int, *, reserved: int = 0, prices: PriceList = NO_PRICES) -> Till:
    wallet = Wallet(1, "prepaid", Decimal(available + reserved), Decimal(reserved))
    return Till(wallet, plan_valid=True, prices=prices)


@given(st.integers(0, 10_000), st.lists(st.integers(1, 120), max_size=30))
def test_a_till_never_promises_more_than_there_is(available: int, calls: list[int]) -> None:
    one = till(available)
    taken = [one.take(PRICE, max_s) for max_s in calls]
    promised = sum((each.amount for each in taken if each), Decimal(0))
    assert (one.taken, one.available) == (promised, available - promised)
    assert one.available >= 0


def test_what_a_till_gave_itself_is_nobody_elses() -> None:
    one = till(10_000)
    assert one.take(PRICE, 60)
    assert not one.others_hold
    assert till(10_000, reserved=1).others_hold


# ---------------------------------------------------------------- which rate


def rate(
    network: str,
    on_net: bool | None,
    per_minute: int,
    *,
    days: int = 0,
    rate_id: int = 1,
) -> Rate:
    """One that began so many days after the first."""
    began = BEFORE + timedelta(days=days)
    return Rate(
        rate_id, 1, network, on_net, Decimal(per_minute), 6, 1, 0, Decimal(0), Decimal(0), began, began
    )


def quoted(rates: list[Rate], network: str, on_net: bool) -> int | None:
    price = RateTable(rates).at(NOW, TEN_PER_CENT).quote(network, on_net)
    return None if price is None else int(price.per_minute)


MIXED = [
    rate("*", None, 900),
    rate("*", True, 800),
    rate("viettel", None, 700),
    rate("viettel", True, 300),
]


@pytest.mark.parametrize(
    ("network", "on_net", "per_minute"),
    [
        ("viettel", True, 300),
        ("viettel", False, 700),
        ("vinaphone", True, 800),
        ("vinaphone", False, 900),
        ("fixed", False, 900),
    ],
)
def test_the_most_specific_rate_wins(network: str, on_net: bool, per_minute: int) -> None:
    assert quoted(MIXED, network, on_net) == per_minute
    assert quoted(MIXED[::-1], network, on_net) == per_minute


def test_a_network_without_a_rate_has_no_price() -> None:
    only = [rate("viettel", True, 300)]
    assert quoted(only, "viettel", True) == 300
    assert quoted(only, "viettel", False) is None
    assert quoted(only, "mobifone", True) is None
    assert quoted([], "viettel", True) is None


def test_of_rates_for_the_same_calls_the_one_that_began_last_holds() -> None:
    old, new = rate("viettel", None, 700), rate("viettel", None, 650, days=10, rate_id=2)
    future = rate("viettel", None, 600, days=60, rate_id=3)
    again = rate("viettel", None, 640, days=10, rate_id=4)
    assert quoted([old, new, future], "viettel", False) == 650
    assert quoted([again, new, old], "viettel", False) == 640


def test_prices_that_are_kept_change_when_the_next_rate_begins_and_when_vat_does() -> None:
    table = RateTable([rate("*", None, 700), rate("*", None, 600, days=40)])
    first = table.at(NOW, TEN_PER_CENT)
    assert table.at(NOW + timedelta(days=9), TEN_PER_CENT) is first

    later = table.at(NOW + timedelta(days=10), TEN_PER_CENT).quote("viettel", False)
    assert later is not None
    assert int(later.per_minute) == 600
    taxed = table.at(NOW, replace(TEN_PER_CENT, service=Decimal(8))).quote("viettel", False)
    assert taxed is not None
    assert (int(taxed.per_minute), int(taxed.service_vat)) == (700, 8)
    before = table.at(BEFORE - timedelta(seconds=1), TEN_PER_CENT)
    assert before.quote("viettel", False) is None


def test_the_cheapest_first_block_is_that_of_any_network() -> None:
    prices = RateTable(MIXED).at(NOW, TEN_PER_CENT)
    assert int(prices.cheapest) == 33
    assert int(NO_PRICES.cheapest) == 0
