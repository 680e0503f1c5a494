"""Use cases of what calls cost, for whoever runs the platform: tariffs and their rates, VAT, plans and who
has them.

Nothing here changes what a call that is up will be charged: its leg keeps the price that it was reserved at.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

from tongdai.domain.accounts import get_account
from tongdai.domain.billing.errors import (
    PlanInvalidError,
    PlanNameTakenError,
    PlanNotFoundError,
    SubscriptionInvalidError,
    SubscriptionNotFoundError,
    TariffInvalidError,
    TariffNameTakenError,
    TariffNotFoundError,
    VatRateInvalidError,
)
from tongdai.domain.billing.model import (
    NewRate,
    Plan,
    Subscription,
    Tariff,
    VatLine,
    VatRate,
    moment_faults,
    percent_faults,
    rate_faults,
    text_faults,
)
from tongdai.domain.billing.prices import rate_tables
from tongdai.domain.billing.pricing import Rate
from tongdai.domain.billing.store import catalogue as store
from tongdai.kit.db import Tx

# ---------------------------------------------------------------- tariffs


async def create_tariff(tx: Tx, name: str, rates: Sequence[NewRate] = ()) -> Tariff:
    """A list of rates that plans can refer to, with its first ones.

    Raises TariffInvalidError, TariffNameTakenError.
    """
    faults = [*text_faults(name=name), *_rates_faults(rates)]
    if faults:
        raise TariffInvalidError(errors=faults)
    made = await store.add_tariff(tx, name)
    if made is None:
        raise TariffNameTakenError
    if rates:
        await store.add_rates(tx, made.id, rates)
    return await get_tariff(tx, made.id)


async def get_tariff(tx: Tx, tariff_id: int) -> Tariff:
    """Raises TariffNotFoundError."""
    found = await store.tariff(tx, tariff_id)
    if found is None:
        raise TariffNotFoundError
    return found


async def list_tariffs(tx: Tx, *, after: int = 0, limit: int = 100) -> list[Tariff]:
    """In id order, those after an id."""
    return await store.tariffs(tx, after, limit)


async def add_rates(tx: Tx, tariff_id: int, rates: Sequence[NewRate]) -> list[Rate]:
    """More rates of a tariff. They never change: a new price is a rate with a later `valid_from`, and of two
    that began at one moment the later one holds.

    Raises TariffInvalidError, TariffNotFoundError.
    """
    faults = _rates_faults(rates)
    if faults:
        raise TariffInvalidError(errors=faults)
    await get_tariff(tx, tariff_id)
    return await store.add_rates(tx, tariff_id, rates)


async def list_rates(tx: Tx, tariff_id: int, *, after: int = 0, limit: int = 100) -> list[Rate]:
    """All rates of a tariff, of every time, in the order in which they were added.

    Raises TariffNotFoundError.
    """
    await get_tariff(tx, tariff_id)
    return await store.rates(tx, tariff_id, after, limit)


def _rates_faults(rates: Sequence[NewRate]) -> list[tuple[str, str]]:
    return [
        (f"rates[{index}].{field}", message)
        for index, rate in enumerate(rates)
        for field, message in rate_faults(rate)
    ]


async def rates_of(tx: Tx, account_id: int, now: datetime) -> list[Rate]:
    """What an account's calls cost at a moment, by network; nothing when no plan is valid then."""
    subscription = await store.subscription_at(tx, account_id, now)
    if subscription is None:
        return []
    tariff = await get_tariff(tx, subscription.tariff_id)
    tables = await rate_tables(tx, [(tariff.id, tariff.revision)])
    return sorted(tables[tariff.id].valid(now), key=lambda rate: (rate.network, str(rate.on_net)))


# ---------------------------------------------------------------- VAT


async def add_vat_rate(
    tx: Tx, line: VatLine, percent: Decimal, *, valid_from: date, valid_until: date | None, source: str
) -> VatRate:
    """VAT of a line from one day of Vietnam to another, the last one included; None: until another begins. Of
    two that hold on a day, the one that began last.

    Raises VatRateInvalidError.
    """
    dates = moment_faults(valid_from=valid_from, valid_until=valid_until)
    faults = [*percent_faults(percent), *dates, *text_faults(source=source)]
    if valid_until is not None and valid_until < valid_from:
        faults.append(("valid_until", "must not be before valid_from"))
    if faults:
        raise VatRateInvalidError(errors=faults)
    return await store.add_vat_rate(tx, line, percent, valid_from, valid_until, source)


async def list_vat_rates(tx: Tx, *, after: int = 0, limit: int = 100) -> list[VatRate]:
    """Of both lines and every time, in the order in which they were added."""
    return await store.vat_rates(tx, after, limit)


# ---------------------------------------------------------------- plans


async def create_plan(tx: Tx, name: str, tariff_id: int) -> Plan:
    """What accounts can subscribe to. Raises PlanInvalidError, TariffNotFoundError, PlanNameTakenError."""
    faults = list(text_faults(name=name))
    if faults:
        raise PlanInvalidError(errors=faults)
    await get_tariff(tx, tariff_id)
    made = await store.add_plan(tx, name, tariff_id)
    if made is None:
        raise PlanNameTakenError
    return made


async def get_plan(tx: Tx, plan_id: int) -> Plan:
    """Raises PlanNotFoundError."""
    found = await store.plan(tx, plan_id)
    if found is None:
        raise PlanNotFoundError
    return found


async def list_plans(tx: Tx, *, after: int = 0, limit: int = 100) -> list[Plan]:
    """In id order, those after an id."""
    return await store.plans(tx, after, limit)


async def update_plan(tx: Tx, plan_id: int, *, name: str | None = None, tariff_id: int | None = None) -> Plan:
    """Change what is given and keep the rest; another tariff holds for the next call of everybody who has it.

    Raises PlanInvalidError, PlanNotFoundError, TariffNotFoundError, PlanNameTakenError.
    """
    faults = [] if name is None else list(text_faults(name=name))
    if faults:
        raise PlanInvalidError(errors=faults)
    if tariff_id is not None:
        await get_tariff(tx, tariff_id)
    changed = await store.set_plan(tx, plan_id, name, tariff_id)
    if changed is None:
        raise PlanNotFoundError
    return changed


async def subscribe(
    tx: Tx, account_id: int, plan_id: int, *, valid_from: datetime, valid_until: datetime | None = None
) -> Subscription:
    """Give an account a plan between two moments, the second left out; None: open. Where two hold, the one
    that began last counts.

    Raises AccountNotFoundError, PlanNotFoundError, SubscriptionInvalidError.
    """
    faults = list(moment_faults(valid_from=valid_from, valid_until=valid_until))
    if valid_until is not None and valid_until <= valid_from:
        faults.append(("valid_until", "must be after valid_from"))
    if faults:
        raise SubscriptionInvalidError(errors=faults)
    await get_account(tx, account_id)
    await get_plan(tx, plan_id)
    made = await store.add_subscription(tx, account_id, plan_id, valid_from, valid_until)
    return await get_subscription(tx, account_id, made)


async def get_subscription(tx: Tx, account_id: int, subscription_id: int) -> Subscription:
    """Raises SubscriptionNotFoundError, for another account's too."""
    found = await store.subscription(tx, account_id, subscription_id)
    if found is None:
        raise SubscriptionNotFoundError
    return found


async def list_subscriptions(
    tx: Tx, account_id: int, *, after: int = 0, limit: int = 100
) -> list[Subscription]:
    """Of every time, in the order in which they were made. Raises AccountNotFoundError."""
    await get_account(tx, account_id)
    return await store.subscriptions(tx, account_id, after, limit)


async def subscription_at(tx: Tx, account_id: int, now: datetime) -> Subscription | None:
    """The one by which an account dials at a moment; None: its plan has expired, or it never had one."""
    return await store.subscription_at(tx, account_id, now)


async def end_subscription(
    tx: Tx, account_id: int, subscription_id: int, valid_until: datetime | None
) -> Subscription:
    """Let it end earlier, later, or (None) not at all. One that ends when it began never held.

    Raises SubscriptionNotFoundError, SubscriptionInvalidError.
    """
    faults = list(moment_faults(valid_until=valid_until))
    if faults:
        raise SubscriptionInvalidError(errors=faults)
    await get_subscription(tx, account_id, subscription_id)
    if not await store.end_subscription(tx, account_id, subscription_id, valid_until):
        raise SubscriptionInvalidError(errors=[("valid_until", "must not be before valid_from")])
    return await get_subscription(tx, account_id, subscription_id)
