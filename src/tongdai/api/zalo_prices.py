"""What journeys cost, and what is added to the price of a message. For the platform's administrators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import JSONBody
from msgspec import Meta

from tongdai.api.auth import FOR_PLATFORM, Wired
from tongdai.api.bodies import Id, Moment
from tongdai.api.money import Price, read_price, shown_price
from tongdai.api.paging import Cursor, Limit, after, cut
from tongdai.api.problems import answers
from tongdai.api.times import shown_time
from tongdai.domain import billing
from tongdai.domain.billing import ZaloItem

TAGS = ["Platform"]

Source = Annotated[str, Meta(min_length=1, max_length=200)]


class ZaloPrice(msgspec.Struct, frozen=True, kw_only=True):
    """What one thing at Zalo costs from a moment on, in đồng without VAT. It never changes."""

    id: int
    tariff_id: int | None
    """Null: for every tariff that has no price of its own."""
    item: ZaloItem
    """`journey`: once for each, when its first message goes out. `message_fee`: on top of the price that Zalo
    has for a message's template."""
    net: float
    valid_from: datetime
    source: str
    """Where it is from, for whoever wonders."""

    @classmethod
    def of(cls, row: billing.ZaloPrice) -> ZaloPrice:
        return cls(
            id=row.id,
            tariff_id=row.tariff_id,
            item=row.item,
            net=shown_price(row.net),
            valid_from=shown_time(row.valid_from),
            source=row.source,
        )


class ZaloPricePage(msgspec.Struct, frozen=True):
    """Prices of every time, in the order in which they were added."""

    items: list[ZaloPrice]
    next: str | None
    """Cursor of the next page; null on the last."""


class NewZaloPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price to be added."""

    item: ZaloItem
    net: Price
    """At most 2 decimals."""
    source: Source
    tariff_id: Id | None = None
    """Null: for every tariff that has no price of its own."""
    valid_from: Moment | None = None
    """Null: from now on. Of two prices for the same, the one that began last holds."""


@post(
    "/zalo/prices",
    operation_id="addZaloPrice",
    summary="Add a price of Zalo's journeys or messages",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(413),
)
async def add_zalo_price(services: Wired, data: JSONBody[NewZaloPrice]) -> ZaloPrice:
    """It holds for what begins from then on; what is under way keeps its own."""
    async with services.db.transaction() as tx:
        row = await billing.add_zalo_price(
            tx,
            tariff_id=data.tariff_id,
            item=data.item,
            net=read_price(data.net),
            valid_from=data.valid_from or services.clock.now(),
            source=data.source,
        )
    return ZaloPrice.of(row)


@get(
    "/zalo/prices",
    operation_id="listZaloPrices",
    summary="List prices of Zalo's journeys and messages",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(),
)
async def list_zalo_prices(services: Wired, limit: Limit = 100, cursor: Cursor = None) -> ZaloPricePage:
    """Past, present and future ones."""
    async with services.db.transaction() as tx:
        rows = await billing.list_zalo_prices(tx, after=after(cursor), limit=limit + 1)
    shown, further = cut(rows, limit)
    return ZaloPricePage([ZaloPrice.of(row) for row in shown], further)


HANDLERS = [add_zalo_price, list_zalo_prices]
