"""Wallets and ledger: what is promised to a call is there for it, and every đồng is accounted for."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

import anyio
import pytest
from psycopg.errors import CheckViolation, IntegrityError
from tests import factories, money
from tests.factories import Cast
from tests.money import NOW, PRICE, settlement

from tongdai.domain import accounts, billing
from tongdai.domain.billing import (
    AccountStanding,
    AmountInvalidError,
    Audit,
    Kind,
    LedgerLine,
    Settlement,
    Walked,
    WalletTooFullError,
    WalletTooLowError,
    charge,
)
from tongdai.kit.db import Database, Tx

pytestmark = pytest.mark.anyio


@pytest.fixture
async def cast(db: Database) -> Cast:
    return await factories.cast(db)


async def balances(tx: Tx, account_id: int) -> tuple[int, int]:
    """Balance and what is reserved of it."""
    wallet = await billing.wallet(tx, account_id)
    return int(wallet.balance), int(wallet.reserved)


async def lines_of(tx: Tx, account_id: int, **wanted: Any) -> list[LedgerLine]:
    """Of a ledger that fits into a page."""
    page = await billing.ledger(tx, account_id, limit=1000, **wanted)
    assert page.further is None
    return page.lines


async def audited(tx: Tx, account_id: int) -> Audit:
    audit = await billing.audit(tx, account_id)
    assert audit is not None
    return audit


async def reserved_leg(tx: Tx, account_id: int, max_s: int = 60) -> Settlement | None:
    """A call placed on the prices of the account's tariff; None: its wallet does not cover it."""
    till = (await billing.open_tills(tx, [account_id], NOW))[account_id]
    price = till.quote("viettel", on_net=True)
    assert price is not None
    taken = till.take(price, max_s)
    if taken is None:
        return None
    await billing.hold(tx, [till])
    return settlement(account_id, taken.amount, charge(price, answered=True, seconds=taken.talk_s))


# ---------------------------------------------------------------- reserve and settle


async def test_a_call_holds_what_it_may_cost_and_pays_what_it_cost(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(tx, account_id, 10_000)
    till = (await billing.open_tills(tx, [account_id], NOW))[account_id]
    price = till.quote("viettel", on_net=True)
    assert price is not None
    taken = till.take(price, 60)
    assert taken is not None

    await billing.hold(tx, [till])
    # 720 + 10 % of it for the minute, 70 + 10 % for the platform.
    assert await balances(tx, account_id) == (10_000, 792 + 77)

    cost = charge(price, answered=True, seconds=10)
    [charged] = await billing.settle(tx, [settlement(account_id, taken.amount, cost)], NOW)
    assert charged == cost
    assert await balances(tx, account_id) == (10_000 - 132 - 77, 0)


async def test_a_call_that_was_never_sent_gives_back_what_it_held_and_leaves_no_line(
    tx: Tx, cast: Cast
) -> None:
    account_id = cast.owner.account_id
    await money.payer(tx, account_id, 10_000)
    leg = await reserved_leg(tx, account_id)
    assert leg is not None

    assert await billing.settle(tx, [settlement(account_id, leg.reserved, None)], NOW) == [None]

    assert await balances(tx, account_id) == (10_000, 0)
    assert [line.kind for line in await lines_of(tx, account_id)] == [Kind.TOP_UP]


async def test_postage_and_service_charge_are_two_lines_with_all_that_explains_them(
    tx: Tx, cast: Cast
) -> None:
    account_id = cast.owner.account_id
    await money.payer(tx, account_id, 10_000)
    cost = charge(PRICE, answered=True, seconds=7)
    await tx.execute("UPDATE wallets SET reserved = 900 WHERE account_id = %s", (account_id,))
    one = Settlement(account_id, 11, 12, 13, 14, Decimal(900), cost, rate_id=15)
    await billing.settle(tx, [one], NOW)

    _, postage, service = await lines_of(tx, account_id)
    assert (postage.kind, service.kind) == (Kind.POSTAGE, Kind.SERVICE_CHARGE)
    assert [int(n) for n in (postage.amount, postage.net, postage.vat)] == [-92, -84, -8]
    assert [int(n) for n in (service.amount, service.net, service.vat)] == [-77, -70, -7]
    assert [int(line.balance_after) for line in (postage, service)] == [9908, 9831]
    for line in (postage, service):
        assert (line.campaign_id, line.call_id, line.attempt_id, line.leg_id) == (11, 12, 13, 14)
        assert (line.rate_id, line.billable_s, line.vat_percent, line.at) == (15, 7, Decimal(10), NOW)
        assert (line.made_by, line.reason) == (None, None)


async def test_a_line_of_nothing_is_not_written(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(
        tx, account_id, 10_000, rates=[money.rate(per_answer=Decimal(0), per_attempt=Decimal(0))]
    )
    leg = await reserved_leg(tx, account_id)
    assert leg is not None
    await billing.settle(tx, [leg], NOW)
    assert [line.kind for line in await lines_of(tx, account_id)] == [Kind.TOP_UP, Kind.POSTAGE]


async def test_a_call_never_costs_more_than_it_held(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(tx, account_id, 869)
    leg = await reserved_leg(tx, account_id, max_s=60)
    assert leg is not None
    outlived = settlement(account_id, leg.reserved, charge(PRICE, answered=True, seconds=95))

    [charged] = await billing.settle(tx, [outlived], NOW)

    assert charged is not None
    assert charged.amount == leg.reserved
    assert await balances(tx, account_id) == (0, 0)


async def test_a_batch_changes_each_wallet_once(db: Database, cast: Cast) -> None:
    account_ids = sorted((cast.owner.account_id, cast.stranger.account_id))
    legs: list[Settlement] = []
    async with db.transaction() as tx:
        for account_id in account_ids:
            await money.payer(tx, account_id)
            for _ in range(30):
                leg = await reserved_leg(tx, account_id)
                assert leg is not None
                legs.append(leg)
        await tx.execute("CREATE TABLE changes (account_id bigint)")
        await tx.execute(
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO changes VALUES (new.account_id); RETURN new; END $$"
        )
        await tx.execute("CREATE TRIGGER noted AFTER UPDATE ON wallets FOR EACH ROW EXECUTE FUNCTION note()")
    random.Random(3).shuffle(legs)

    async with db.transaction() as tx:
        await billing.lock_wallets(tx, account_ids)
        await billing.settle(tx, legs, NOW)
        rows = await (await tx.execute("SELECT account_id FROM changes ORDER BY 1")).fetchall()
        assert [row[0] for row in rows] == account_ids
        for account_id in account_ids:
            audit = await audited(tx, account_id)
            assert (audit.lines, audit.breaks) == (61, 0)
            assert audit.total == audit.balance == 1_000_000 - 30 * 869


async def test_the_lines_of_a_batch_are_in_the_order_of_its_ends(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(tx, account_id)
    legs = [leg for _ in range(20) if (leg := await reserved_leg(tx, account_id))]
    random.Random(5).shuffle(legs)
    await billing.settle(tx, legs, NOW)
    charged = [line.leg_id for line in await lines_of(tx, account_id) if line.kind is Kind.POSTAGE]
    assert charged == [leg.leg_id for leg in legs]


async def test_accounts_that_do_not_pay_have_no_till_and_no_standing(tx: Tx, cast: Cast) -> None:
    paying, free = cast.owner.account_id, cast.stranger.account_id
    await money.payer(tx, paying)
    assert list(await billing.open_tills(tx, [free, paying], NOW)) == [paying]
    assert list(await billing.standings(tx, [free, paying], NOW)) == [paying]
    assert await billing.open_tills(tx, [], NOW) == {}

    await billing.set_billing(tx, paying, "off")
    assert await billing.open_tills(tx, [paying], NOW) == {}


async def test_calls_that_are_up_are_settled_after_billing_was_switched_off(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(tx, account_id, 10_000)
    leg = await reserved_leg(tx, account_id)
    assert leg is not None
    await billing.set_billing(tx, account_id, "off")
    await billing.settle(tx, [leg], NOW)
    assert await balances(tx, account_id) == (10_000 - 869, 0)


# ---------------------------------------------------------------- never below zero


async def dial_until_empty(db: Database, account_id: int, seed: int) -> list[Settlement]:
    """As a dialer: claims of up to five calls each, and some ends between claims, until nothing is left."""
    rng = random.Random(seed)
    up: list[Settlement] = []
    ended: list[Settlement] = []
    while True:
        async with db.transaction() as tx:
            till = (await billing.open_tills(tx, [account_id], NOW))[account_id]
            price = till.quote("viettel", on_net=True)
            assert price is not None
            placed = [taken for _ in range(5) if (taken := till.take(price, rng.randint(1, 300)))]
            await billing.hold(tx, [till])
        for taken in placed:
            talked = rng.randint(0, taken.talk_s)
            cost = charge(price, answered=talked > 0, seconds=talked)
            up.append(settlement(account_id, taken.amount, cost))
        if not placed and not up:
            return ended
        ending = rng.randint(1, 7)
        ends, up = up[:ending], up[ending:]
        async with db.transaction() as tx:
            await billing.lock_wallets(tx, [account_id])
            await billing.settle(tx, ends, NOW)
            held = await billing.wallet(tx, account_id)
            assert 0 <= held.reserved <= held.balance
        ended += ends


async def test_two_dialers_spend_a_wallet_to_its_end_and_never_below_zero(db: Database, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(db, account_id, 60_000)
    ended: list[list[Settlement]] = [[], []]

    async def dial(which: int) -> None:
        ended[which] = await dial_until_empty(db, account_id, seed=which)

    async with anyio.create_task_group() as dialers:
        dialers.start_soon(dial, 0)
        dialers.start_soon(dial, 1)

    legs = ended[0] + ended[1]
    spent = sum((leg.charge.amount for leg in legs if leg.charge), Decimal(0))
    async with db.transaction() as tx:
        audit = await audited(tx, account_id)
        wallet = await billing.wallet(tx, account_id)
    assert all(ended)
    assert wallet.reserved == 0
    assert wallet.balance == 60_000 - spent
    assert (audit.total, audit.breaks) == (wallet.balance, 0)
    # What is left pays for no first block.
    assert wallet.available < 156


@pytest.mark.parametrize(
    "change",
    [
        "balance = -1",
        "reserved = balance + 1",
        "reserved = -1",
        "balance = reserved - 1",
    ],
)
async def test_the_database_refuses_a_wallet_that_owes(db: Database, cast: Cast, change: str) -> None:
    account_id = cast.owner.account_id
    await money.payer(db, account_id, 10_000)
    async with db.transaction() as tx:
        assert await reserved_leg(tx, account_id) is not None
    with pytest.raises(CheckViolation):
        async with db.transaction() as tx:
            await tx.execute(f"UPDATE wallets SET {change} WHERE account_id = %s", (account_id,))


# ---------------------------------------------------------------- the ledger


async def test_the_ledger_always_sums_to_the_balance(db: Database, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(db, account_id, 50_000)
    rng = random.Random(11)
    for _ in range(40):
        async with db.transaction() as tx:
            wallet = await billing.wallet(tx, account_id)
            match rng.choice(("top up", "take away", "call", "journey", "message")):
                case "top up":
                    await billing.top_up(
                        tx, account_id, Decimal(rng.randint(1, 9999)), by="Lan", reason="paid", now=NOW
                    )
                case "take away":
                    away = -Decimal(rng.randint(1, int(wallet.available)))
                    await billing.adjust(tx, account_id, away, by="Lan", reason="wrong", now=NOW)
                case "call":
                    leg = await reserved_leg(tx, account_id, max_s=rng.randint(1, 200))
                    await billing.settle(tx, [leg] if leg else [], NOW)
                case thing:
                    fee = await billing.hold_fee(tx, account_id, Decimal(rng.randint(1, 300)), NOW)
                    if isinstance(fee, billing.Fee):
                        await billing.charge_fee(tx, account_id, fee, now=NOW, **{f"{thing}_id": 1})
            audit = await audited(tx, account_id)
            assert audit.agrees, audit
    async with db.transaction() as tx:
        lines = await lines_of(tx, account_id)
    running = Decimal(0)
    for line in lines:
        running += line.amount
        assert line.balance_after == running
    assert {line.kind for line in lines} == set(Kind)


async def test_open_legs_that_do_not_add_up_to_what_is_reserved_are_found(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(tx, account_id, 10_000)
    leg = await reserved_leg(tx, account_id)
    assert leg is not None
    without_leg = await audited(tx, account_id)
    await tx.execute(
        "INSERT INTO legs (account_id, attempt_id, call_id, campaign_id, trunk_id, hotline_id, engine,"
        " dialer_id, number, limit_ids, dial_at, dial_before, gives_up_at, reserved)"
        " VALUES (%s, 1, 1, 1, 1, 1, 'sandbox', 1, '', '{}', now(), now(), now(), %s)",
        (account_id, leg.reserved),
    )
    with_leg = await audited(tx, account_id)

    assert (without_leg.held, without_leg.reserved, without_leg.agrees) == (Decimal(0), leg.reserved, False)
    assert (with_leg.held, with_leg.agrees) == (leg.reserved, True)


async def test_a_line_that_does_not_follow_from_the_one_before_is_found(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(tx, account_id, 10_000)
    await tx.execute(
        "INSERT INTO ledger (account_id, at, kind, amount, net, vat, balance_after, made_by, reason)"
        " VALUES (%s, now(), 'top_up', 5, 5, 0, 99, 'nobody', 'forged')",
        (account_id,),
    )
    audit = await audited(tx, account_id)
    assert (audit.breaks, audit.total, audit.agrees) == (1, Decimal(10_005), False)


async def test_a_long_ledger_is_checked_in_steps_with_the_same_result(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(tx, account_id)
    legs = [leg for _ in range(20) if (leg := await reserved_leg(tx, account_id))]
    await billing.settle(tx, legs, NOW)
    at_once = await audited(tx, account_id)

    walked = Walked()
    for lines in (17, 34, 41, 41):
        walked = await billing.walk_ledger(tx, account_id, walked, limit=17)
        assert walked.lines == lines
    assert await billing.audit(tx, account_id, so_far=walked) == at_once
    assert at_once.agrees


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET amount = amount",
        "UPDATE ledger_p0 SET reason = 'x'",
        "DELETE FROM ledger",
        "DELETE FROM ledger_p0",
        "TRUNCATE ledger",
        "UPDATE tariff_rates SET per_minute = 0",
        "DELETE FROM tariff_rates",
    ],
)
async def test_no_line_of_the_ledger_and_no_rate_is_ever_changed(
    db: Database, cast: Cast, statement: str
) -> None:
    account_id = cast.owner.account_id
    await money.payer(db, account_id)
    with pytest.raises(IntegrityError, match="never changed or deleted"):
        async with db.transaction() as tx:
            await tx.execute(statement)
    async with db.transaction() as tx:
        [line] = await lines_of(tx, account_id)
    assert line.amount == 1_000_000


async def test_a_later_partition_of_the_ledger_refuses_changes_too(db: Database, cast: Cast) -> None:
    account_id = cast.owner.account_id
    async with db.transaction() as tx:
        await tx.execute("SELECT setval('ledger_ids', 20000000), ensure_partitions()")
        await money.payer(tx, account_id)
    with pytest.raises(IntegrityError, match="never changed or deleted"):
        async with db.transaction() as tx:
            await tx.execute("DELETE FROM ledger_p2")


async def days_of_lines(tx: Tx, account_id: int, days: int) -> list[LedgerLine]:
    """A call a day, a line for the carrier and one for the platform; a top-up before."""
    await money.payer(tx, account_id)
    for day in range(1, days + 1):
        leg = await reserved_leg(tx, account_id)
        assert leg is not None
        await billing.settle(tx, [leg], NOW + timedelta(days=day))
    return await lines_of(tx, account_id)


async def test_a_statement_is_cut_by_time_to_the_line(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    lines = await days_of_lines(tx, account_id, 12)
    for since_day in range(-1, 14):
        for until_day in (since_day, since_day + 1, since_day + 5):
            since, until = NOW + timedelta(days=since_day), NOW + timedelta(days=until_day)
            expected = [line for line in lines if since <= line.at < until]
            assert await lines_of(tx, account_id, since=since, until=until) == expected
            newest = await lines_of(tx, account_id, since=since, until=until, newest_first=True)
            assert newest == expected[::-1]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("kind", [None, *Kind])
async def test_pages_follow_each_other_in_either_direction(
    tx: Tx, cast: Cast, kind: Kind | None, newest_first: bool
) -> None:
    account_id = cast.owner.account_id
    lines = [line for line in await days_of_lines(tx, account_id, 6) if kind in (None, line.kind)]
    found: list[LedgerLine] = []
    cursor: int | None = 0
    while cursor is not None:
        page = await billing.ledger(
            tx, account_id, after=cursor, limit=4, kind=kind, newest_first=newest_first, examine=5
        )
        assert len(page.lines) <= 4
        found, cursor = found + page.lines, page.further
    assert found == (lines[::-1] if newest_first else lines)


async def test_times_never_go_back_along_a_ledger(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(tx, account_id)
    earlier = NOW - timedelta(hours=1)
    line = await billing.top_up(tx, account_id, Decimal(1), by="Lan", reason="a slow clock", now=earlier)
    assert line.at == NOW


async def test_a_stranger_has_neither_wallet_nor_lines_of_the_owner(tx: Tx, cast: Cast) -> None:
    await days_of_lines(tx, cast.owner.account_id, 2)
    stranger = cast.stranger.account_id
    assert await lines_of(tx, stranger) == []
    assert await billing.audit(tx, stranger) is None
    assert await balances(tx, stranger) == (0, 0)


# ---------------------------------------------------------------- by hand


async def test_a_top_up_says_who_and_why(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    line = await billing.top_up(tx, account_id, Decimal(500_000), by="Lan", reason="HĐ 17", now=NOW)
    assert line.kind is Kind.TOP_UP
    assert [int(line.amount), int(line.balance_after)] == [500_000, 500_000]
    assert (line.made_by, line.reason, line.at) == ("Lan", "HĐ 17", NOW)
    assert await lines_of(tx, account_id) == [line]


@pytest.mark.parametrize(
    ("amount", "by", "reason", "field"),
    [
        ("0", "Lan", "paid", "amount"),
        ("-5", "Lan", "paid", "amount"),
        ("0.5", "Lan", "paid", "amount"),
        ("NaN", "Lan", "paid", "amount"),
        ("Infinity", "Lan", "paid", "amount"),
        ("1e15", "Lan", "paid", "amount"),
        ("5", "", "paid", "by"),
        ("5", "Lan", "   ", "reason"),
        ("5", "Lan", "a\x00b", "reason"),
        ("5", "Lan", "x" * 201, "reason"),
    ],
)
async def test_a_top_up_of_nothing_or_by_nobody_is_refused(
    tx: Tx, cast: Cast, amount: str, by: str, reason: str, field: str
) -> None:
    with pytest.raises(AmountInvalidError) as refused:
        await billing.top_up(tx, cast.owner.account_id, Decimal(amount), by=by, reason=reason, now=NOW)
    errors = refused.value.facts["errors"]
    assert isinstance(errors, list)
    assert [path for path, _ in errors] == [field]


async def test_a_correction_takes_nothing_that_calls_were_promised(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await money.payer(tx, account_id, 10_000)
    assert await reserved_leg(tx, account_id) is not None
    with pytest.raises(WalletTooLowError):
        await billing.adjust(tx, account_id, Decimal(-9_132), by="Lan", reason="wrong", now=NOW)
    assert await balances(tx, account_id) == (10_000, 869)

    await billing.adjust(tx, account_id, Decimal(-9_131), by="Lan", reason="wrong", now=NOW)
    assert await balances(tx, account_id) == (869, 869)


async def test_a_wallet_takes_no_more_than_fits(tx: Tx, cast: Cast) -> None:
    account_id = cast.owner.account_id
    await billing.top_up(tx, account_id, Decimal(billing.MAX_AMOUNT), by="Lan", reason="paid", now=NOW)
    with pytest.raises(WalletTooFullError):
        await billing.top_up(tx, account_id, Decimal(1), by="Lan", reason="paid", now=NOW)


async def test_an_account_that_does_not_exist_gets_no_money(tx: Tx) -> None:
    with pytest.raises(accounts.AccountNotFoundError):
        await billing.top_up(tx, 2**62, Decimal(1), by="Lan", reason="paid", now=NOW)
    with pytest.raises(accounts.AccountNotFoundError):
        await billing.wallet(tx, 2**62)
    with pytest.raises(accounts.AccountNotFoundError):
        await billing.set_billing(tx, 2**62, "prepaid")


# ---------------------------------------------------------------- standings


async def test_an_account_stands_without_a_plan_or_without_the_cheapest_first_block(
    tx: Tx, cast: Cast
) -> None:
    account_id = cast.owner.account_id
    # The first block costs 156 with the platform's charge, 33 less on the network of its own.
    rates = [money.rate(), money.rate("viettel", 420, on_net=True)]
    payer = await money.payer(tx, account_id, 122, rates=rates)
    now = [NOW]

    async def standing() -> AccountStanding:
        return (await billing.standings(tx, [account_id], now[0]))[account_id]

    assert await standing() == AccountStanding(plan=True, funded=False)
    await billing.top_up(tx, account_id, Decimal(1), by="Lan", reason="paid", now=NOW)
    assert await standing() == AccountStanding(plan=True, funded=True)
    await tx.execute("UPDATE wallets SET reserved = 1 WHERE account_id = %s", (account_id,))
    assert await standing() == AccountStanding(plan=True, funded=False)

    await billing.end_subscription(tx, account_id, payer.subscription_id, NOW + timedelta(days=1))
    now[0] = NOW + timedelta(days=1)
    assert (await standing()).plan is False
    assert not (await billing.open_tills(tx, [account_id], now[0]))[account_id].plan_valid
