"""What is held, charged and released for other things than calls: Zalo's journeys and messages.

A fee is held from the moment that a journey or message is there and charged when it is due, so the wallet can
always pay it, and what is held is out of the reach of calls and of everything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Final, Literal

from tongdai.domain.billing.errors import PriceInvalidError
from tongdai.domain.billing.model import MAX_PRICE, moment_faults, text_faults
from tongdai.domain.billing.pricing import ZERO
from tongdai.domain.billing.store import fees as store
from tongdai.kit.clock import VIETNAM
from tongdai.kit.db import Tx

ZaloItem = Literal["journey", "message_fee"]
"""What has a price of ours: a journey; and what is added to the price of a message that Zalo names."""

_DONG: Final = Decimal(1)
_HUNDRED: Final = Decimal(100)


class FeeRefusal(StrEnum):
    """Why a wallet does not pay."""

    NO_PLAN = "no_plan"
    NO_FUNDS = "no_funds"


@dataclass(frozen=True, slots=True)
class Fee:
    """What a thing costs: whole đồng, as one line of a statement."""

    net: Decimal
    vat: Decimal
    vat_percent: Decimal

    @property
    def amount(self) -> Decimal:
        return self.net + self.vat

    @classmethod
    def of(cls, net: Decimal, vat_percent: Decimal) -> Fee:
        """Each part is rounded half up to 1 đồng, like the lines of calls."""
        whole = net.quantize(_DONG, ROUND_HALF_UP)
        return cls(whole, (whole * vat_percent / _HUNDRED).quantize(_DONG, ROUND_HALF_UP), vat_percent)


@dataclass(frozen=True, slots=True)
class FeeAsk:
    """One thing to be paid: `net` đồng without VAT, and on top of that the price of the item, if any."""

    account_id: int
    item: ZaloItem | None = None
    net: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class ZaloPrice:
    """What an item costs from a moment on. Rows never change."""

    id: int
    tariff_id: int | None
    """None: of every tariff that has no price of its own."""
    item: ZaloItem
    net: Decimal
    valid_from: datetime
    source: str
    created_at: datetime


async def hold_fee(tx: Tx, account_id: int, net: Decimal, now: datetime) -> Fee | FeeRefusal | None:
    """Holds what `net` đồng without VAT come to. None: the account's billing is off, and nothing is held."""
    [held] = await hold_fees(tx, [FeeAsk(account_id, net=net)], now)
    return held


async def hold_fees(tx: Tx, asks: Sequence[FeeAsk], now: datetime) -> list[Fee | FeeRefusal | None]:
    """Holds what each of these costs, in this order as far as each wallet goes. Locks the wallets, in account
    order, until the transaction ends.

    Returns for each what is held now, why it is not, or None where the account's billing is off.
    """
    accounts = {ask.account_id for ask in asks}
    payers = {one.account_id: one for one in await store.payers(tx, accounts, now, _day(now))}
    taken = dict.fromkeys(payers, ZERO)
    held: list[Fee | FeeRefusal | None] = []
    for ask in asks:
        payer = payers.get(ask.account_id)
        if payer is None:
            held.append(None)
            continue
        fee = Fee.of(ask.net + (payer.prices[ask.item] if ask.item else ZERO), payer.vat_percent)
        answer = _answer(fee, payer.available - taken[ask.account_id], has_plan=payer.has_plan)
        if isinstance(answer, Fee):
            taken[ask.account_id] += fee.amount
        held.append(answer)
    await store.hold(tx, {account_id: amount for account_id, amount in taken.items() if amount})
    return held


async def charge_fee(
    tx: Tx,
    account_id: int,
    fee: Fee,
    *,
    journey_id: int | None = None,
    message_id: int | None = None,
    now: datetime,
) -> None:
    """Debits what was held for a journey or a message, with one line of the ledger; nothing where it is 0.

    Once per journey or message, in the transaction that notes on it that it is charged.
    """
    assert (journey_id is None) != (message_id is None), "a fee is of one thing"
    if fee.amount:
        await store.charge(tx, account_id, fee, journey_id=journey_id, message_id=message_id, now=now)


async def release_fee(tx: Tx, account_id: int, amount: Decimal) -> None:
    """Lets go what was held for something that is not charged."""
    await release_fees(tx, [(account_id, amount)])


async def release_fees(tx: Tx, held: Iterable[tuple[int, Decimal]]) -> None:
    """The same for many: (account, amount), with one change of each wallet, in account order."""
    sums: dict[int, Decimal] = {}
    for account_id, amount in held:
        sums[account_id] = sums.get(account_id, ZERO) + amount
    await store.release(tx, {one: sums[one] for one in sorted(sums) if sums[one]})


async def zalo_price(tx: Tx, account_id: int, item: ZaloItem, now: datetime) -> Decimal:
    """What an item costs this account now, without VAT: by its plan's tariff, else as for everybody."""
    return await store.price(tx, account_id, item, now)


async def list_zalo_prices(tx: Tx, *, after: int = 0, limit: int = 100) -> list[ZaloPrice]:
    """All prices, those over and to come included, in id order."""
    return [ZaloPrice(*row) for row in await store.prices(tx, after, limit)]


async def add_zalo_price(
    tx: Tx, *, tariff_id: int | None, item: ZaloItem, net: Decimal, valid_from: datetime, source: str
) -> ZaloPrice:
    """A price from a moment on, of one tariff or of all without their own. Raises PriceInvalidError."""
    faults = [*text_faults(source=source), *moment_faults(valid_from=valid_from)]
    if not 0 <= net <= MAX_PRICE or net != net.quantize(Decimal("0.01")):
        faults.append(("net", f"must be 0 to {MAX_PRICE} đồng with two decimals at most"))
    if tariff_id is not None and not await store.has_tariff(tx, tariff_id):
        faults.append(("tariff_id", "there is no such tariff"))
    if faults:
        raise PriceInvalidError(errors=faults)
    return ZaloPrice(*await store.add_price(tx, tariff_id, item, net, valid_from, source))


def _answer(fee: Fee, available: Decimal, *, has_plan: bool) -> Fee | FeeRefusal:
    if not has_plan:
        return FeeRefusal.NO_PLAN
    return fee if fee.amount <= available else FeeRefusal.NO_FUNDS


def _day(now: datetime) -> date:
    return now.astimezone(VIETNAM).date()
