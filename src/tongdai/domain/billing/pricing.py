"""What a call costs, and what is reserved for it. Pure.

Amounts are đồng, as `Decimal`. Prices are without VAT and may have a fraction; what is charged is whole đồng.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Final

import msgspec

ZERO: Final = Decimal(0)
_DONG: Final = Decimal(1)
_PER_CENT: Final = Decimal(100)
_MINUTE_S: Final = Decimal(60)

ANY_NETWORK: Final = "*"
"""Of a rate: every network that has none of its own."""


class Price(msgspec.Struct, frozen=True):
    """What one leg is charged by. It is kept on the leg, so a call is settled by the price at which it was
    reserved, whatever changes meanwhile.
    """

    rate_id: int
    per_minute: Decimal
    """To the carrier, without VAT."""
    initial_s: int
    """First block, seconds."""
    increment_s: int
    """Each block after it, seconds."""
    free_s: int
    """Seconds that are not charged, before the first block."""
    per_answer: Decimal
    """To the platform, of a call that was answered; without VAT."""
    per_attempt: Decimal
    """To the platform, of a call that was sent, answered or not; without VAT."""
    postage_vat: Decimal
    """Per cent."""
    service_vat: Decimal
    """Per cent."""


class Line(msgspec.Struct, frozen=True):
    """One line of a statement: whole đồng, so that the lines add up to what is paid."""

    net: Decimal
    vat: Decimal
    vat_rate: Decimal
    """Per cent."""

    @property
    def amount(self) -> Decimal:
        return self.net + self.vat


class Charge(msgspec.Struct, frozen=True):
    """What an attempt costs: the carrier's fee, and the platform's."""

    billable_s: int
    postage: Line
    service: Line

    @property
    def amount(self) -> Decimal:
        return self.postage.net + self.postage.vat + self.service.net + self.service.vat


class Reservation(msgspec.Struct, frozen=True):
    """What a leg holds of the wallet until it ends, and the seconds of talk that this pays for."""

    amount: Decimal
    talk_s: int


def billable_seconds(price: Price, seconds: int) -> int:
    """Whole blocks, as carriers count them: the first of `initial_s`, then of `increment_s`; what is free is
    taken off first. (Usual in Vietnam: 6 s + 1 s.)
    """
    talked = seconds - price.free_s
    if talked <= 0:
        return 0
    beyond = talked - price.initial_s
    if beyond <= 0:
        return price.initial_s
    return price.initial_s - (-beyond // price.increment_s) * price.increment_s


def charge(price: Price, *, answered: bool, seconds: int) -> Charge:
    """What a leg costs that was sent; `seconds` of talk, 0 unless answered.

    Each line is rounded by itself, half-up to 1 đồng, its VAT likewise: a ledger line is the line of the
    statement, and the only place where anything is rounded.
    """
    billable_s = billable_seconds(price, seconds) if answered else 0
    fee = price.per_attempt + price.per_answer if answered else price.per_attempt
    return Charge(
        billable_s,
        _line(price.per_minute * billable_s / _MINUTE_S, price.postage_vat),
        _line(fee, price.service_vat),
    )


def first_block(price: Price) -> Decimal:
    """The least that a wallet must cover for this price: an answered call of one block."""
    return charge(price, answered=True, seconds=price.free_s + price.initial_s).amount


def reserve(price: Price, *, max_s: int, available: Decimal) -> Reservation | None:
    """The whole of `max_s` seconds where `available` pays for it, else as many blocks as it pays for; None
    when it does not pay for the first.

    Whatever comes of the call, `charge(…).amount` for at most `talk_s` seconds is within `amount`: a longer
    call never costs less, nor does an answered one.
    """
    whole = charge(price, answered=True, seconds=max_s).amount
    if whole <= available:
        return Reservation(whole, max_s)
    first_s = price.free_s + price.initial_s
    if first_s >= max_s or first_block(price) > available:
        return None
    low, high = 0, (max_s - first_s - 1) // price.increment_s
    while low < high:
        blocks = (low + high + 1) // 2
        if _after_first(price, blocks) <= available:
            low = blocks
        else:
            high = blocks - 1
    return Reservation(_after_first(price, low), first_s + low * price.increment_s)


def within(cost: Charge, reserved: Decimal) -> Charge:
    """The same charge, cut to what was reserved for it: a call that outlived its seconds is our fault, and
    costs the customer nothing. The carrier's line gives way first.
    """
    if cost.amount <= reserved:
        return cost
    service = _cut(cost.service, reserved)
    return Charge(cost.billable_s, _cut(cost.postage, reserved - service.amount), service)


def _after_first(price: Price, blocks: int) -> Decimal:
    seconds = price.free_s + price.initial_s + blocks * price.increment_s
    return charge(price, answered=True, seconds=seconds).amount


@lru_cache(maxsize=10_000)
def _line(net: Decimal, vat_rate: Decimal) -> Line:
    rounded = net.quantize(_DONG, ROUND_HALF_UP)
    return Line(rounded, (rounded * vat_rate / _PER_CENT).quantize(_DONG, ROUND_HALF_UP), vat_rate)


def _cut(line: Line, most: Decimal) -> Line:
    if line.amount <= most:
        return line
    net = (most * _PER_CENT / (_PER_CENT + line.vat_rate)).quantize(_DONG, ROUND_HALF_UP)
    return Line(net, most - net, line.vat_rate)


# ---------------------------------------------------------------- tariffs


@dataclass(frozen=True, slots=True)
class Vat:
    """The rates of a day, per cent."""

    postage: Decimal
    service: Decimal


@dataclass(frozen=True, slots=True)
class Rate:
    """What calls to one network cost from a moment on. Rows never change."""

    id: int
    tariff_id: int
    network: str
    """A routing group, or `*`."""
    on_net: bool | None
    """True: for a hotline of the same network; False: of another; None: whichever."""
    per_minute: Decimal
    initial_s: int
    increment_s: int
    free_s: int
    per_answer: Decimal
    per_attempt: Decimal
    valid_from: datetime
    created_at: datetime

    def price(self, vat: Vat) -> Price:
        return Price(
            rate_id=self.id,
            per_minute=self.per_minute,
            initial_s=self.initial_s,
            increment_s=self.increment_s,
            free_s=self.free_s,
            per_answer=self.per_answer,
            per_attempt=self.per_attempt,
            postage_vat=vat.postage,
            service_vat=vat.service,
        )


class PriceList:
    """The prices of one tariff at one moment. The most specific rate wins: one that names the network before
    one for all, then one that says whether the hotline is of that network before one for both.
    """

    __slots__ = ("_prices", "cheapest")

    def __init__(self, rates: Iterable[Rate], vat: Vat) -> None:
        self._prices = {(rate.network, rate.on_net): rate.price(vat) for rate in rates}
        self.cheapest: Final = min(map(first_block, self._prices.values()), default=ZERO)
        """The least that any call's first block costs; nothing where no call has a price."""

    def quote(self, network: str, on_net: bool) -> Price | None:
        """None: calls to that network have no price."""
        find = self._prices.get
        return (
            find((network, on_net))
            or find((network, None))
            or find((ANY_NETWORK, on_net))
            or find((ANY_NETWORK, None))
        )


class RateTable:
    """All rates of a tariff, of every time; `at` keeps the list of the moment for the next call."""

    __slots__ = ("_list", "_rates", "_since", "_until", "_vat")

    def __init__(self, rates: Iterable[Rate]) -> None:
        self._rates = sorted(rates, key=lambda rate: (rate.valid_from, rate.id))
        self._list: PriceList | None = None
        self._since: datetime | None = None
        self._until: datetime | None = None
        self._vat: Vat | None = None

    def at(self, now: datetime, vat: Vat) -> PriceList:
        """Of rates for the same calls, the one that began last holds."""
        if self._list is None or self._vat != vat or not self._holds(now):
            # The later of two for the same calls comes later, and so takes the earlier one's place.
            self._list = PriceList(self.valid(now), vat)
            self._vat = vat
            starts = [rate.valid_from for rate in self._rates]
            self._since = max((start for start in starts if start <= now), default=None)
            self._until = min((start for start in starts if start > now), default=None)
        return self._list

    def valid(self, now: datetime) -> list[Rate]:
        """The rates that hold at a moment, each the one for its calls that began last."""
        began = (rate for rate in self._rates if rate.valid_from <= now)
        return list({(rate.network, rate.on_net): rate for rate in began}.values())

    def _holds(self, now: datetime) -> bool:
        return (self._since is None or self._since <= now) and (self._until is None or now < self._until)


NO_PRICES: Final = PriceList((), Vat(ZERO, ZERO))
"""Of an account without a tariff."""
