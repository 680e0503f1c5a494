"""What journeys and messages of Zalo's hold and cost: of the same wallet and ledger as calls."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import count

import anyio
import pytest
from psycopg.errors import CheckViolation
from tests import factories, money
from tests.factories import Cast
from tests.money import BEFORE, NOW

from tongdai.domain import billing
from tongdai.domain.billing import Fee, FeeAsk, FeeRefusal, Kind, PriceInvalidError
from tongdai.kit.db import Database, Tx

pytestmark = pytest.mark.anyio

JOURNEY = Fee(Decimal(180), Decimal(18), Decimal(10))
_ids = count(1)


@pytest.fixture
async def cast(db: Database) -> Cast:
    return await factories.cast(db)


async def hold_journey(tx: Tx, account_id: int) -> Fee | FeeRefusal | None:
    [held] = await billing.hold_fees(tx, [FeeAsk(account_id, "journey")], NOW)
    return held


async def wallet(db: Database, account_id: int) -> tuple[int, int]:
    """Balance and what is reserved of it."""
    async with db.transaction() as tx:
        found = await billing.wallet(tx, account_id)
    return int(found.balance), int(found.reserved)


async def test_a_journey_holds_its_price_with_vat_until_it_is_charged(db: Database, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(db, account_id, 1000)

    async with db.transaction() as tx:
        held = await hold_journey(tx, account_id)
    assert held == JOURNEY
    assert await wallet(db, account_id) == (1000, 198)

    async with db.transaction() as tx:
        await billing.charge_fee(tx, account_id, JOURNEY, journey_id=next(_ids), now=NOW)
    assert await wallet(db, account_id) == (802, 0)
    async with db.transaction() as tx:
        line = (await billing.ledger(tx, account_id, newest_first=True)).lines[0]
        audit = await billing.audit(tx, account_id)
    assert line.kind is Kind.ZALO_JOURNEY
    assert [line.amount, line.net, line.vat] == [-198, -180, -18]
    assert line.zalo_journey_id is not None
    assert audit is not None
    assert audit.agrees


async def test_what_is_released_costs_nothing(db: Database, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(db, account_id, 1000)
    async with db.transaction() as tx:
        held = await billing.hold_fee(tx, account_id, Decimal("300.4"), NOW)
        assert held == Fee(Decimal(300), Decimal(30), Decimal(10))
        await billing.release_fee(tx, account_id, held.amount)
    assert await wallet(db, account_id) == (1000, 0)


async def test_a_wallet_that_cannot_pay_holds_nothing(db: Database, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(db, account_id, 197)
    async with db.transaction() as tx:
        assert await hold_journey(tx, account_id) is FeeRefusal.NO_FUNDS
    assert await wallet(db, account_id) == (197, 0)


async def test_a_batch_is_held_as_far_as_each_wallet_goes(db: Database, cast: Cast) -> None:
    rich, poor = cast.stranger.account_id, cast.owner.account_id
    await money.payer(db, rich, 1000)
    await money.payer(db, poor, 500)
    asks = [FeeAsk(one, "journey") for one in (rich, poor, poor, poor, rich)]
    async with db.transaction() as tx:
        held = await billing.hold_fees(tx, asks, NOW)
    assert held == [JOURNEY, JOURNEY, JOURNEY, FeeRefusal.NO_FUNDS, JOURNEY]
    assert await wallet(db, rich) == (1000, 396)
    assert await wallet(db, poor) == (500, 396)


async def test_an_account_that_does_not_pay_is_asked_for_nothing(db: Database, cast: Cast) -> None:
    async with db.transaction() as tx:
        assert await hold_journey(tx, cast.owner.account_id) is None
        assert await billing.hold_fee(tx, cast.owner.account_id, Decimal(300), NOW) is None


async def test_without_a_valid_plan_nothing_is_held(db: Database, cast: Cast) -> None:
    account_id = cast.owner.account_id
    payer = await money.payer(db, account_id, 1000)
    async with db.transaction() as tx:
        await billing.end_subscription(tx, account_id, payer.subscription_id, NOW)
        assert await hold_journey(tx, account_id) is FeeRefusal.NO_PLAN


async def test_the_price_of_a_tariff_goes_before_the_price_for_all(db: Database, cast: Cast) -> None:
    account_id = cast.owner.account_id
    payer = await money.payer(db, account_id, 1000)
    async with db.transaction() as tx:
        for tariff_id, net, since in (
            (payer.tariff_id, 250, BEFORE),
            (payer.tariff_id, 400, NOW + timedelta(days=1)),
            (None, 170, BEFORE),
        ):
            await billing.add_zalo_price(
                tx, tariff_id=tariff_id, item="journey", net=Decimal(net), valid_from=since, source="hợp đồng"
            )
        assert await billing.zalo_price(tx, account_id, "journey", NOW) == 250
        assert await billing.zalo_price(tx, cast.stranger.account_id, "journey", NOW) == 170
        assert await hold_journey(tx, account_id) == Fee(Decimal(250), Decimal(25), Decimal(10))


async def test_a_price_that_cannot_be_is_refused(tx: Tx) -> None:
    with pytest.raises(PriceInvalidError) as refused:
        await billing.add_zalo_price(
            tx, tariff_id=999, item="journey", net=Decimal("-0.001"), valid_from=NOW, source="\0"
        )
    assert {field for field, _ in refused.value.facts["errors"]} == {"net", "source", "tariff_id"}  # type: ignore[attr-defined]


async def test_parallel_holds_never_overdraw_a_wallet(db: Database, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(db, account_id, 198 * 5 + 100)
    answers: list[object] = []

    async def one() -> None:
        async with db.transaction() as tx:
            answers.append(await hold_journey(tx, account_id))

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(one)
    assert answers.count(JOURNEY) == 5
    assert await wallet(db, account_id) == (1090, 990)


async def test_what_is_held_cannot_be_taken_away_by_hand(db: Database, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(db, account_id, 200)
    async with db.transaction() as tx:
        await hold_journey(tx, account_id)
    with pytest.raises(billing.WalletTooLowError):
        async with db.transaction() as tx:
            await billing.adjust(tx, account_id, Decimal(-100), by="kế toán", reason="sửa", now=NOW)


async def test_nothing_is_charged_that_was_not_held(db: Database, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(db, account_id, 1000)
    with pytest.raises(CheckViolation):
        async with db.transaction() as tx:
            await billing.charge_fee(tx, account_id, JOURNEY, journey_id=1, now=NOW)
