"""Accounts that pay, for tests: a tariff, a plan that is valid, and a wallet with something in it."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.factories import joined

from tongdai.domain import billing
from tongdai.domain.billing import Charge, NewRate, Price, Settlement
from tongdai.kit.db import Database, Tx

NOW = datetime(2026, 11, 18, 3, 0, tzinfo=UTC)
"""As the fake clock begins."""

BEFORE = NOW - timedelta(days=30)

PRICE = Price(
    rate_id=1,
    per_minute=Decimal(720),
    initial_s=6,
    increment_s=1,
    free_s=0,
    per_answer=Decimal(50),
    per_attempt=Decimal(20),
    postage_vat=Decimal(10),
    service_vat=Decimal(10),
)
"""12 đồng a second, 6 s + 1 s."""

_leg_ids = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Payer:
    """What makes an account pay."""

    account_id: int
    tariff_id: int
    plan_id: int
    subscription_id: int


def rate(
    network: str = "*", per_minute: int | str = 720, valid_from: datetime = BEFORE, **more: object
) -> NewRate:
    values = {"per_answer": Decimal(50), "per_attempt": Decimal(20)} | more
    return NewRate(network=network, per_minute=Decimal(per_minute), valid_from=valid_from, **values)  # type: ignore[arg-type]


async def payer(
    where: Database | Tx,
    account_id: int,
    balance: int = 1_000_000,
    *,
    rates: Sequence[NewRate] | None = None,
    now: datetime = NOW,
) -> Payer:
    """Turns billing on, with a plan from a month ago on without an end."""
    async with joined(where) as tx:
        name = secrets.token_hex(6)
        tariff = await billing.create_tariff(tx, f"tariff {name}", [rate()] if rates is None else rates)
        plan = await billing.create_plan(tx, f"plan {name}", tariff.id)
        subscription = await billing.subscribe(tx, account_id, plan.id, valid_from=BEFORE)
        await billing.set_billing(tx, account_id, "prepaid")
        if balance:
            await billing.top_up(
                tx, account_id, Decimal(balance), by="tests", reason="so that it can pay", now=now
            )
    return Payer(account_id, tariff.id, plan.id, subscription.id)


def settlement(
    account_id: int, reserved: Decimal | int, charge: Charge | None, *, leg_id: int | None = None
) -> Settlement:
    leg_id = next(_leg_ids) if leg_id is None else leg_id
    return Settlement(
        account_id=account_id,
        campaign_id=1,
        call_id=leg_id,
        attempt_id=leg_id,
        leg_id=leg_id,
        reserved=Decimal(reserved),
        charge=charge,
        rate_id=None if charge is None else 1,
    )
