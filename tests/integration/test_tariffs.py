"""Tariffs, VAT and plans: what holds at a moment, and what a change of them reaches."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from tests import factories, money
from tests.factories import Cast
from tests.money import BEFORE, NOW, rate

from tongdai.domain import accounts, billing
from tongdai.domain.billing import (
    PlanInvalidError,
    PlanNameTakenError,
    PlanNotFoundError,
    Price,
    SubscriptionInvalidError,
    SubscriptionNotFoundError,
    TariffInvalidError,
    TariffNameTakenError,
    TariffNotFoundError,
    VatRateInvalidError,
)
from tongdai.kit.db import Database, Tx

pytestmark = pytest.mark.anyio


@pytest.fixture
async def cast(db: Database) -> Cast:
    return await factories.cast(db)


async def price(tx: Tx, account_id: int, now: datetime = NOW, network: str = "viettel") -> Price:
    found = (await billing.open_tills(tx, [account_id], now))[account_id].quote(network, on_net=True)
    assert found is not None
    return found


# ---------------------------------------------------------------- rates


async def test_the_most_specific_rate_wins_and_a_network_without_one_has_no_price(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    rates = [rate("viettel", 700), rate("viettel", 300, on_net=True), rate("mobifone", 780)]
    payer = await money.payer(tx, account_id, rates=rates)
    till = (await billing.open_tills(tx, [account_id], NOW))[account_id]

    def per_minute(network: str, on_net: bool) -> int | None:
        found = till.quote(network, on_net)
        return None if found is None else int(found.per_minute)

    assert (per_minute("viettel", True), per_minute("viettel", False)) == (300, 700)
    assert (per_minute("mobifone", True), per_minute("vinaphone", True)) == (780, None)

    await billing.add_rates(tx, payer.tariff_id, [rate("*", 900)])
    till = (await billing.open_tills(tx, [account_id], NOW))[account_id]
    assert (per_minute("vinaphone", True), per_minute("viettel", True)) == (900, 300)


async def test_a_new_price_holds_for_the_next_call_of_every_process(db: Database, cast: Cast) -> None:
    account_id = cast.owner.account_id
    payer = await money.payer(db, account_id)
    async with db.transaction() as tx:
        assert (await price(tx, account_id)).per_minute == 720
    async with db.transaction() as other:
        await billing.add_rates(other, payer.tariff_id, [rate(per_minute=650)])
        async with db.transaction() as tx:
            # Not yet committed, so not yet true; and what was read meanwhile is not kept for later.
            assert (await price(tx, account_id)).per_minute == 720
    async with db.transaction() as tx:
        assert (await price(tx, account_id)).per_minute == 650


async def test_a_price_with_a_date_holds_from_that_moment(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    payer = await money.payer(tx, account_id)
    begins = NOW + timedelta(hours=1)
    await billing.add_rates(tx, payer.tariff_id, [rate(per_minute=650, valid_from=begins)])
    assert (await price(tx, account_id, begins - timedelta(microseconds=1))).per_minute == 720
    assert (await price(tx, account_id, begins)).per_minute == 650


async def test_a_quote_names_the_rate_that_it_came_from(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    payer = await money.payer(tx, account_id)
    [listed] = await billing.list_rates(tx, payer.tariff_id)
    quoted = await price(tx, account_id)
    assert (quoted.rate_id, quoted.per_minute, quoted.initial_s) == (listed.id, listed.per_minute, 6)


async def test_an_account_sees_what_its_calls_cost_now(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    rates = [rate("viettel", 700), rate("*", 900), rate("viettel", 650, valid_from=NOW - timedelta(days=1))]
    await money.payer(tx, account_id, rates=rates)
    seen = await billing.rates_of(tx, account_id, NOW)
    assert [(one.network, int(one.per_minute)) for one in seen] == [("*", 900), ("viettel", 650)]
    assert await billing.rates_of(tx, cast.stranger.account_id, NOW) == []


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"network": "Viettel"}, "network"),
        ({"network": ""}, "network"),
        ({"per_minute": Decimal(-1)}, "per_minute"),
        ({"per_minute": Decimal("0.001")}, "per_minute"),
        ({"per_minute": Decimal("1e10")}, "per_minute"),
        ({"per_answer": Decimal("NaN")}, "per_answer"),
        ({"per_attempt": Decimal("-Infinity")}, "per_attempt"),
        ({"initial_s": 0}, "initial_s"),
        ({"increment_s": 3601}, "increment_s"),
        ({"free_s": -1}, "free_s"),
    ],
)
async def test_a_rate_that_cannot_be_is_refused_with_its_place(
    tx: Tx, values: dict[str, object], field: str
) -> None:
    bad = billing.NewRate(**{"network": "*", "per_minute": Decimal(1), "valid_from": NOW} | values)  # type: ignore[arg-type]
    with pytest.raises(TariffInvalidError) as refused:
        await billing.create_tariff(tx, "Gói", [rate(), bad])
    errors = refused.value.facts["errors"]
    assert isinstance(errors, list)
    assert [path for path, _ in errors] == [f"rates[1].{field}"]


async def test_names_of_tariffs_and_plans_are_taken_once(tx: Tx) -> None:
    tariff = await billing.create_tariff(tx, "Gói 2026")
    with pytest.raises(TariffNameTakenError):
        await billing.create_tariff(tx, "Gói 2026")
    await billing.create_plan(tx, "Cơ bản", tariff.id)
    with pytest.raises(PlanNameTakenError):
        await billing.create_plan(tx, "Cơ bản", tariff.id)
    with pytest.raises(TariffInvalidError):
        await billing.create_tariff(tx, "\n")
    with pytest.raises(PlanInvalidError):
        await billing.create_plan(tx, "", tariff.id)


async def test_a_plan_is_not_renamed_to_what_another_is_called(db: Database) -> None:
    async with db.transaction() as tx:
        tariff = await billing.create_tariff(tx, "Gói 2026")
        one = await billing.create_plan(tx, "một", tariff.id)
        await billing.create_plan(tx, "hai", tariff.id)
    with pytest.raises(PlanNameTakenError):
        async with db.transaction() as tx:
            await billing.update_plan(tx, one.id, name="hai")


async def test_what_does_not_exist_is_not_found(tx: Tx, cast: Cast) -> None:
    account_id, nothing = cast.owner.account_id, 2**62
    with pytest.raises(TariffNotFoundError):
        await billing.add_rates(tx, nothing, [rate()])
    with pytest.raises(TariffNotFoundError):
        await billing.list_rates(tx, nothing)
    with pytest.raises(TariffNotFoundError):
        await billing.create_plan(tx, "Gói", nothing)
    with pytest.raises(PlanNotFoundError):
        await billing.update_plan(tx, nothing, name="Gói")
    with pytest.raises(PlanNotFoundError):
        await billing.subscribe(tx, account_id, nothing, valid_from=NOW)
    with pytest.raises(SubscriptionNotFoundError):
        await billing.end_subscription(tx, account_id, nothing, None)
    with pytest.raises(accounts.AccountNotFoundError):
        await billing.list_subscriptions(tx, nothing)


# ---------------------------------------------------------------- VAT


async def vat(tx: Tx, account_id: int, now: datetime) -> tuple[int, int]:
    found = await price(tx, account_id, now)
    return int(found.postage_vat), int(found.service_vat)


async def test_vat_changes_with_the_day_in_vietnam_and_falls_back_when_an_entry_ends(
    tx: Tx, cast: Cast
) -> None:
    account_id = cast.owner.account_id
    await money.payer(tx, account_id)
    await billing.add_vat_rate(
        tx,
        "service",
        Decimal(8),
        valid_from=date(2026, 12, 1),
        valid_until=date(2026, 12, 31),
        source="Decree",
    )
    # Midnight in Vietnam is 17:00 of the day before in UTC.
    begins, ends = datetime(2026, 11, 30, 17, tzinfo=UTC), datetime(2026, 12, 31, 17, tzinfo=UTC)
    moment = timedelta(microseconds=1)
    assert await vat(tx, account_id, begins - moment) == (10, 10)
    assert await vat(tx, account_id, begins) == (10, 8)
    assert await vat(tx, account_id, ends - moment) == (10, 8)
    assert await vat(tx, account_id, ends) == (10, 10)


async def test_of_two_vat_rates_of_a_day_the_one_that_began_last_holds(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(tx, account_id)
    for percent, since in ((5, date(2026, 11, 2)), (6, date(2026, 11, 1)), (7, date(2026, 11, 2))):
        await billing.add_vat_rate(
            tx, "postage", Decimal(percent), valid_from=since, valid_until=None, source="a test"
        )
    assert await vat(tx, account_id, NOW) == (7, 10)


async def test_every_vat_rate_says_where_it_comes_from(tx: Tx) -> None:
    shipped = await billing.list_vat_rates(tx)
    assert [(row.line, int(row.percent)) for row in shipped] == [
        ("postage", 10),
        ("service", 10),
        ("zalo", 10),
    ]
    assert all(row.source for row in shipped)
    with pytest.raises(VatRateInvalidError):
        await billing.add_vat_rate(
            tx, "postage", Decimal(8), valid_from=NOW.date(), valid_until=None, source=""
        )
    with pytest.raises(VatRateInvalidError):
        await billing.add_vat_rate(
            tx, "postage", Decimal(101), valid_from=NOW.date(), valid_until=None, source="x"
        )
    yesterday = NOW.date() - timedelta(days=1)
    with pytest.raises(VatRateInvalidError):
        await billing.add_vat_rate(
            tx, "postage", Decimal(8), valid_from=NOW.date(), valid_until=yesterday, source="x"
        )


# ---------------------------------------------------------------- plans


async def test_a_plan_holds_from_its_first_moment_to_before_its_last(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    payer = await money.payer(tx, account_id)
    await billing.end_subscription(tx, account_id, payer.subscription_id, NOW)

    async def valid(now: datetime) -> bool:
        return (await billing.open_tills(tx, [account_id], now))[account_id].plan_valid

    moment = timedelta(microseconds=1)
    assert not await valid(BEFORE - moment)
    assert await valid(BEFORE)
    assert await valid(NOW - moment)
    assert not await valid(NOW)


async def test_without_a_plan_no_call_has_a_price(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await billing.set_billing(tx, account_id, "prepaid")
    till = (await billing.open_tills(tx, [account_id], NOW))[account_id]
    assert not till.plan_valid
    assert till.quote("viettel", on_net=True) is None


async def test_of_two_plans_at_a_time_the_one_that_began_last_holds(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(tx, account_id)
    tariff = await billing.create_tariff(tx, "Khuyến mãi", [rate(per_minute=500)])
    plan = await billing.create_plan(tx, "Khuyến mãi", tariff.id)
    week = timedelta(days=7)
    await billing.subscribe(tx, account_id, plan.id, valid_from=NOW, valid_until=NOW + week)

    prices = [(await price(tx, account_id, now)).per_minute for now in (NOW - week, NOW, NOW + week)]
    assert prices == [720, 500, 720]


async def test_another_tariff_of_a_plan_holds_for_everybody_who_has_it(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    payer = await money.payer(tx, account_id)
    tariff = await billing.create_tariff(tx, "2027", [rate(per_minute=810)])
    changed = await billing.update_plan(tx, payer.plan_id, tariff_id=tariff.id)
    assert changed == await billing.get_plan(tx, payer.plan_id)
    assert (await price(tx, account_id)).per_minute == 810


async def test_a_subscription_ends_after_it_begins(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    payer = await money.payer(tx, account_id)
    with pytest.raises(SubscriptionInvalidError):
        await billing.subscribe(tx, account_id, payer.plan_id, valid_from=NOW, valid_until=NOW)
    with pytest.raises(SubscriptionInvalidError):
        await billing.end_subscription(tx, account_id, payer.subscription_id, BEFORE - timedelta(seconds=1))
    assert (await billing.end_subscription(tx, account_id, payer.subscription_id, NOW)).valid_until == NOW
    assert (await billing.end_subscription(tx, account_id, payer.subscription_id, None)).valid_until is None


async def test_a_stranger_cannot_end_the_owners_subscription(tx: Tx, cast: Cast) -> None:
    payer = await money.payer(tx, cast.owner.account_id)
    stranger = cast.stranger.account_id
    with pytest.raises(SubscriptionNotFoundError):
        await billing.end_subscription(tx, stranger, payer.subscription_id, NOW)
    assert await billing.list_subscriptions(tx, stranger) == []
    assert await billing.subscription_at(tx, stranger, NOW) is None
