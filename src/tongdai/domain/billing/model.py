"""Tariffs, plans, wallets and the lines of a ledger. Pure; what a call costs is in `pricing.py`.

Amounts are đồng, as `Decimal`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal
from uuid import UUID

from tongdai.domain.billing.pricing import (
    ANY_NETWORK,
    ZERO,
    Charge,
    Price,
    PriceList,
    Reservation,
    reserve,
)

MAX_AMOUNT: Final = 10**15 - 1
"""Most đồng that one wallet, and so one top-up, may hold."""

MAX_PRICE: Final = 10**9
"""Most đồng of a rate's price: beyond what any call costs, and its longest call still fits into a wallet."""

YEARS: Final = range(2000, 3000)
"""Of every date: what is earlier or later is a slip, and the ends of the calendar fit into no other zone."""

MAX_BLOCK_S: Final = 3600
MAX_TEXT: Final = 200
"""Characters in a name, a reason, or who did it."""

_routing_group: Final = re.compile(r"[a-z0-9_-]{1,40}").fullmatch

VatLine = Literal["postage", "service", "zalo"]
Billing = Literal["off", "prepaid"]


class Kind(StrEnum):
    """What a ledger line is."""

    TOP_UP = "top_up"
    ADJUSTMENT = "adjustment"
    POSTAGE = "postage"
    SERVICE_CHARGE = "service_charge"
    ZALO_JOURNEY = "zalo_journey"
    ZALO_MESSAGE = "zalo_message"


BY_HAND: Final = frozenset({Kind.TOP_UP, Kind.ADJUSTMENT})
"""Kinds that a person makes; the others come from calls, journeys and messages."""


# ---------------------------------------------------------------- tariffs and plans


@dataclass(frozen=True, slots=True)
class Tariff:
    """A list of rates that plans refer to."""

    id: int
    name: str
    revision: UUID
    """Another with every new rate."""
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRate:
    """A rate to be added to a tariff; the fields are those of `Rate`."""

    network: str
    per_minute: Decimal
    valid_from: datetime
    on_net: bool | None = None
    initial_s: int = 6
    increment_s: int = 1
    free_s: int = 0
    per_answer: Decimal = ZERO
    per_attempt: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class VatRate:
    """VAT of one line between two days of Vietnam."""

    id: int
    line: VatLine
    percent: Decimal
    valid_from: date
    valid_until: date | None
    """Its last day; None: until another begins."""
    source: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """What an account subscribes to: the tariff that its calls are charged by."""

    id: int
    name: str
    tariff_id: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Subscription:
    """An account's plan between two moments."""

    id: int
    account_id: int
    plan_id: int
    plan_name: str
    tariff_id: int
    valid_from: datetime
    valid_until: datetime | None
    """The first moment without it; None: open."""
    created_at: datetime


# ---------------------------------------------------------------- wallets


@dataclass(frozen=True, slots=True)
class Wallet:
    account_id: int
    billing: Billing
    """off: calls of this account cost nothing here."""
    balance: Decimal
    reserved: Decimal
    """Held for calls that are up."""

    @property
    def available(self) -> Decimal:
        return self.balance - self.reserved


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One change of a balance."""

    id: int
    account_id: int
    at: datetime
    kind: Kind
    amount: Decimal
    """What the balance changed by: charges are negative."""
    net: Decimal
    vat: Decimal
    vat_percent: Decimal | None
    balance_after: Decimal
    campaign_id: int | None
    call_id: int | None
    attempt_id: int | None
    leg_id: int | None
    rate_id: int | None
    billable_s: int | None
    made_by: str | None
    reason: str | None
    zalo_journey_id: int | None
    zalo_message_id: int | None


@dataclass(frozen=True, slots=True)
class LineFilter:
    """Which lines of an account, and in which direction."""

    account_id: int
    after: int
    """Only ids above this,"""
    before: int
    """and below this."""
    kind: Kind | None
    newest_first: bool


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """Some lines, and where it goes on; `further` is None at the end."""

    lines: list[LedgerLine]
    further: int | None


@dataclass(frozen=True, slots=True)
class AccountStanding:
    """Whether a prepaid account may dial at all."""

    plan: bool
    """A subscription is valid now."""
    funded: bool
    """The wallet covers the cheapest first block of its tariff."""


class Till:
    """A locked wallet, and the prices of its account: what `open_tills` gives. It counts itself down as it is
    taken from; `hold` writes what was taken.
    """

    __slots__ = ("_prices", "_reserved", "account_id", "available", "plan_valid", "taken")

    def __init__(self, wallet: Wallet, *, plan_valid: bool, prices: PriceList) -> None:
        self.account_id: Final = wallet.account_id
        self.plan_valid: Final = plan_valid
        self.available = wallet.available
        self.taken = ZERO
        self._reserved: Final = wallet.reserved
        self._prices: Final = prices

    @property
    def others_hold(self) -> bool:
        """True: calls that are up hold some of this wallet, and may give it back."""
        return self._reserved > 0

    def quote(self, network: str, on_net: bool) -> Price | None:
        """The price of a call to this network; None: the tariff has none for it. `on_net`: the hotline is of
        that network too.
        """
        return self._prices.quote(network, on_net)

    def take(self, price: Price, max_s: int) -> Reservation | None:
        """Reserve a call of at most `max_s` seconds; None: not even its first block is covered."""
        taken = reserve(price, max_s=max_s, available=self.available)
        if taken is not None:
            self.available -= taken.amount
            self.taken += taken.amount
        return taken


@dataclass(frozen=True, slots=True)
class Settlement:
    """The end of one leg, for the wallet."""

    account_id: int
    campaign_id: int | None
    """This and the next two: None of a call that came in, and of phones that it was transferred to."""
    call_id: int | None
    attempt_id: int | None
    leg_id: int
    reserved: Decimal
    """What the leg held, all of which is released."""
    charge: Charge | None
    """None: it costs nothing, because it was never sent, or nobody knows."""
    rate_id: int | None


# ---------------------------------------------------------------- checking


@dataclass(frozen=True, slots=True)
class Walked:
    """The lines of a ledger up to one of them."""

    last_id: int = 0
    lines: int = 0
    total: Decimal = ZERO
    breaks: int = 0
    """Lines whose `balance_after` is not that of the line before and their own amount."""


@dataclass(frozen=True, slots=True)
class Audit:
    """A wallet against its ledger, and against the open legs, journeys and messages."""

    account_id: int
    balance: Decimal
    reserved: Decimal
    lines: int
    total: Decimal
    """Sum of the ledger."""
    breaks: int
    """Lines whose `balance_after` does not follow from the line before."""
    held: Decimal
    """Sum of what open legs, journeys and messages hold."""

    @property
    def agrees(self) -> bool:
        return self.total == self.balance and self.breaks == 0 and self.held == self.reserved


# ---------------------------------------------------------------- faults


def text_faults(**texts: str) -> Iterator[tuple[str, str]]:
    """(field, message) of each text that is empty, too long or not printable: NUL and lone surrogates, which
    PostgreSQL cannot store, are among those.
    """
    for field, text in texts.items():
        if not 0 < len(text.strip()) <= len(text) <= MAX_TEXT or not text.isprintable():
            yield field, f"must be 1 to {MAX_TEXT} printable characters"


def amount_faults(amount: Decimal, *, least: int) -> Iterator[tuple[str, str]]:
    """Of a change by hand: whole đồng, at least `least`, not nothing."""
    if not amount.is_finite() or amount != amount.to_integral_value():
        yield "amount", "must be whole đồng"
    elif amount == 0 or not least <= amount <= MAX_AMOUNT:
        yield "amount", f"must be {least:,} to {MAX_AMOUNT:,} đồng, and not 0"


def rate_faults(rate: NewRate) -> Iterator[tuple[str, str]]:
    """(field, message) of each fault of a rate."""
    if rate.network != ANY_NETWORK and not _routing_group(rate.network):
        yield "network", "must be a routing group such as viettel, or * for all the others"
    for field in ("per_minute", "per_answer", "per_attempt"):
        price: Decimal = getattr(rate, field)
        if not price.is_finite() or not 0 <= price <= MAX_PRICE or price != round(price, 2):
            yield field, f"must be 0 to {MAX_PRICE:,} đồng with at most 2 decimals"
    for field, least in (("initial_s", 1), ("increment_s", 1), ("free_s", 0)):
        if not least <= getattr(rate, field) <= MAX_BLOCK_S:
            yield field, f"must be {least} to {MAX_BLOCK_S} seconds"
    yield from moment_faults(valid_from=rate.valid_from)


def moment_faults(**moments: date | None) -> Iterator[tuple[str, str]]:
    """(field, message) of each date, or aware moment, in an impossible year."""
    for field, moment in moments.items():
        if moment is not None and moment.year not in YEARS:
            yield field, f"must be in the years {YEARS[0]} to {YEARS[-1]}"


def percent_faults(percent: Decimal) -> Iterator[tuple[str, str]]:
    if not percent.is_finite() or not 0 <= percent <= 100 or percent != round(percent, 2):
        yield "percent", "must be 0 to 100 with at most 2 decimals"
