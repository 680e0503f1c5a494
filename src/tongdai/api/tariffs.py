"""What calls cost: tariffs and their rates, and VAT. For the platform's administrators, but for the prices
that an account pays itself.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from litestar import get, post
from litestar.params import JSONBody, PathParameter
from msgspec import Meta

from tongdai.api.auth import FOR_PLATFORM, CalledBy, Wired
from tongdai.api.bodies import MAX_ID, Moment, Name
from tongdai.api.money import Percent, Price, read_price, shown_price
from tongdai.api.paging import Cursor, Limit, after, cut
from tongdai.api.problems import answers
from tongdai.api.times import shown_time
from tongdai.domain import billing, contacts
from tongdai.kit.db import Tx
from tongdai.ports.services import Services

TAGS = ["Platform"]

TariffId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of a tariff.")]
RateNetwork = Annotated[str, Meta(pattern=r"^(\*|[a-z0-9_-]{1,40})$")]
BlockSeconds = Annotated[int, Meta(ge=1, le=3600)]
FreeSeconds = Annotated[int, Meta(ge=0, le=3600)]


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """What calls to one network cost from a moment on, in đồng without VAT. It never changes."""

    id: int
    network: str
    """A routing group such as `viettel`, or `*`: every network that has no rate of its own."""
    on_net: bool | None
    """True: with a hotline of the same network. False: of another. Null: whichever."""
    per_minute: float
    """To the carrier. Charged by the second: seconds in whole blocks, times this, divided by 60."""
    initial_s: int
    """The first block."""
    increment_s: int
    """Each block after it."""
    free_s: int
    """Seconds that are not charged, before the first block."""
    per_answer: float
    """To the platform, for a call that was answered."""
    per_attempt: float
    """To the platform, for each call that was sent, answered or not."""
    valid_from: datetime

    @classmethod
    def of(cls, row: billing.Rate) -> Rate:
        return cls(
            id=row.id,
            network=row.network,
            on_net=row.on_net,
            per_minute=shown_price(row.per_minute),
            initial_s=row.initial_s,
            increment_s=row.increment_s,
            free_s=row.free_s,
            per_answer=shown_price(row.per_answer),
            per_attempt=shown_price(row.per_attempt),
            valid_from=shown_time(row.valid_from),
        )


class RateList(msgspec.Struct, frozen=True):
    """Rates, all of them."""

    items: list[Rate]


class RatePage(msgspec.Struct, frozen=True):
    """Rates of a tariff of every time, in the order in which they were added."""

    items: list[Rate]
    next: str | None
    """Cursor of the next page; null on the last."""


class NewRate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rate to be added."""

    network: RateNetwork
    """A routing group such as `viettel`, or `*`: every network that has no rate of its own."""
    per_minute: Price
    """At most 2 decimals."""
    on_net: bool | None = None
    initial_s: BlockSeconds = 6
    increment_s: BlockSeconds = 1
    free_s: FreeSeconds = 0
    per_answer: Price = 0
    per_attempt: Price = 0
    valid_from: Moment | None = None
    """Null: from now on. Of rates for the same calls, the one that began last holds."""


class Tariff(msgspec.Struct, frozen=True):
    """A list of rates that plans refer to."""

    id: int
    name: str
    created_at: datetime

    @classmethod
    def of(cls, row: billing.Tariff) -> Tariff:
        return cls(row.id, row.name, shown_time(row.created_at))


class TariffPage(msgspec.Struct, frozen=True):
    """Tariffs, oldest first."""

    items: list[Tariff]
    next: str | None
    """Cursor of the next page; null on the last."""


class NewTariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tariff to be created."""

    name: Name
    """Unique on the platform."""
    rates: Annotated[list[NewRate], Meta(max_length=1000)] = []


class NewRates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rates to be added to a tariff."""

    rates: Annotated[list[NewRate], Meta(min_length=1, max_length=1000)]


class VatRate(msgspec.Struct, frozen=True, kw_only=True):
    """VAT of one ledger line between two days of Vietnam. Of two on a day, the one that began last holds."""

    id: int
    line: Literal["postage", "service", "zalo"]
    percent: float
    valid_from: date
    valid_until: date | None
    """Its last day. Null: until another begins."""
    source: str
    """The law that says so."""

    @classmethod
    def of(cls, row: billing.VatRate) -> VatRate:
        return cls(
            id=row.id,
            line=row.line,
            percent=shown_price(row.percent),
            valid_from=row.valid_from,
            valid_until=row.valid_until,
            source=row.source,
        )


class VatRatePage(msgspec.Struct, frozen=True):
    """VAT rates of every time, in the order in which they were added."""

    items: list[VatRate]
    next: str | None
    """Cursor of the next page; null on the last."""


class NewVatRate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A VAT rate to be added."""

    line: Literal["postage", "service", "zalo"]
    percent: Percent
    """At most 2 decimals."""
    valid_from: date
    valid_until: date | None = None
    """Its last day; then the one before it holds again. Null: until another begins."""
    source: Annotated[str, Meta(min_length=1, max_length=200)]
    """The law that says so."""


@get(
    "/prices",
    operation_id="listPrices",
    summary="List what your calls cost",
    tags=["Wallet"],
    responses=answers(),
)
async def list_prices(services: Wired, caller: CalledBy) -> RateList:
    """The rates of your plan that hold now; none without one. A call is charged by the most specific."""
    async with services.db.transaction() as tx:
        rows = await billing.rates_of(tx, caller.account_id, services.clock.now())
    return RateList([Rate.of(row) for row in rows])


@post(
    "/tariffs",
    operation_id="createTariff",
    summary="Create a tariff",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(409, 413),
)
async def create_tariff(services: Wired, data: JSONBody[NewTariff]) -> Tariff:
    """A new tariff with its first rates. 409 when another has this name."""
    async with services.db.transaction() as tx:
        await _require_networks(tx, data.rates)
        return Tariff.of(await billing.create_tariff(tx, data.name, _rates(services, data.rates)))


@get(
    "/tariffs",
    operation_id="listTariffs",
    summary="List tariffs",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(),
)
async def list_tariffs(services: Wired, limit: Limit = 100, cursor: Cursor = None) -> TariffPage:
    """All tariffs, oldest first."""
    async with services.db.transaction() as tx:
        rows = await billing.list_tariffs(tx, after=after(cursor), limit=limit + 1)
    shown, further = cut(rows, limit)
    return TariffPage([Tariff.of(row) for row in shown], further)


@get(
    "/tariffs/{tariff_id:str}",
    operation_id="getTariff",
    summary="Get a tariff",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404),
)
async def get_tariff(services: Wired, tariff_id: TariffId) -> Tariff:
    """One tariff."""
    async with services.db.transaction() as tx:
        return Tariff.of(await billing.get_tariff(tx, tariff_id))


@post(
    "/tariffs/{tariff_id:str}/rates",
    operation_id="addRates",
    summary="Add rates to a tariff",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404, 413),
)
async def add_rates(services: Wired, tariff_id: TariffId, data: JSONBody[NewRates]) -> RateList:
    """A rate never changes: for another price, add one that begins later. Calls that are up keep theirs."""
    async with services.db.transaction() as tx:
        await _require_networks(tx, data.rates)
        rows = await billing.add_rates(tx, tariff_id, _rates(services, data.rates))
    return RateList([Rate.of(row) for row in rows])


@get(
    "/tariffs/{tariff_id:str}/rates",
    operation_id="listRates",
    summary="List the rates of a tariff",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404),
)
async def list_rates(
    services: Wired, tariff_id: TariffId, limit: Limit = 100, cursor: Cursor = None
) -> RatePage:
    """Past, present and future ones."""
    async with services.db.transaction() as tx:
        rows = await billing.list_rates(tx, tariff_id, after=after(cursor), limit=limit + 1)
    shown, further = cut(rows, limit)
    return RatePage([Rate.of(row) for row in shown], further)


@post(
    "/vat-rates",
    operation_id="addVatRate",
    summary="Add a VAT rate",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(413),
)
async def add_vat_rate(services: Wired, data: JSONBody[NewVatRate]) -> VatRate:
    """It holds for calls that begin on its days; those that are up keep theirs."""
    async with services.db.transaction() as tx:
        row = await billing.add_vat_rate(
            tx,
            data.line,
            read_price(data.percent),
            valid_from=data.valid_from,
            valid_until=data.valid_until,
            source=data.source,
        )
    return VatRate.of(row)


@get(
    "/vat-rates",
    operation_id="listVatRates",
    summary="List VAT rates",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(),
)
async def list_vat_rates(services: Wired, limit: Limit = 100, cursor: Cursor = None) -> VatRatePage:
    """Past, present and future ones."""
    async with services.db.transaction() as tx:
        rows = await billing.list_vat_rates(tx, after=after(cursor), limit=limit + 1)
    shown, further = cut(rows, limit)
    return VatRatePage([VatRate.of(row) for row in shown], further)


async def _require_networks(tx: Tx, rates: list[NewRate]) -> None:
    """Raises TariffInvalidError: a rate for a network that no number is of would never be charged."""
    known = await contacts.routing_groups(tx) | {"*"}
    message = f"must be a routing group: {', '.join(sorted(known))}"
    faults = [(f"rates[{at}].network", message) for at, one in enumerate(rates) if one.network not in known]
    if faults:
        raise billing.TariffInvalidError(errors=faults)


def _rates(services: Services, rates: list[NewRate]) -> list[billing.NewRate]:
    now = services.clock.now()
    return [
        billing.NewRate(
            network=one.network,
            on_net=one.on_net,
            per_minute=read_price(one.per_minute),
            initial_s=one.initial_s,
            increment_s=one.increment_s,
            free_s=one.free_s,
            per_answer=read_price(one.per_answer),
            per_attempt=read_price(one.per_attempt),
            valid_from=one.valid_from or now,
        )
        for one in rates
    ]


HANDLERS = [
    list_prices,
    create_tariff,
    list_tariffs,
    get_tariff,
    add_rates,
    list_rates,
    add_vat_rate,
    list_vat_rates,
]
