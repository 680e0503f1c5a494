"""Money as this API shows it: đồng, as JSON numbers.

What is paid is whole đồng, so it is a whole number. A price may have two decimals: it is a float on the wire
alone, which holds them exactly as they are written, and a `Decimal` everywhere else.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, overload

from msgspec import Meta

from tongdai.domain.billing import MAX_AMOUNT, MAX_PRICE

TopUpAmount = Annotated[int, Meta(ge=1, le=MAX_AMOUNT)]
AdjustmentAmount = Annotated[int, Meta(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]
Price = Annotated[float, Meta(ge=0, le=MAX_PRICE)]
"""At most 2 decimals."""
Percent = Annotated[float, Meta(ge=0, le=100)]


@overload
def shown_price(price: Decimal) -> float: ...
@overload
def shown_price(price: None) -> None: ...
def shown_price(price: Decimal | None) -> float | None:
    return None if price is None else float(price)


def read_price(price: float) -> Decimal:
    """As it was written: `718.1` and not what the float stands for."""
    return Decimal(repr(price))
