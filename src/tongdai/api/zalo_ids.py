"""What the operations about Zalo share: its ids, and how they are read.

Ids of Zalo's apps and Official Accounts are 64 bits long, more than a browser's numbers hold, so they are
texts of digits in bodies and answers.
"""

from __future__ import annotations

from typing import Annotated, Any, overload

from litestar.params import PathParameter, QueryParameter
from msgspec import Meta

from tongdai.api.bodies import MAX_ID
from tongdai.api.paging import to_cursor
from tongdai.domain.zalo import Page
from tongdai.kit.errors import InvalidError

TAGS = ["Zalo"]

ZaloId = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,18}$")]
AppId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Zalo's id of an app.")]
OaId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Zalo's id of an Official Account.")]
OfOa = Annotated[
    int | None, QueryParameter(ge=1, le=MAX_ID, description="Only of this Official Account, by Zalo's id.")
]
WhichOa = Annotated[
    int | None,
    QueryParameter(
        ge=1, le=MAX_ID, description="Zalo's id of the Official Account; left out: the only connected one."
    ),
]


@overload
def read_id(text: str, field: str) -> int: ...
@overload
def read_id(text: str | None, field: str) -> int | None: ...
def read_id(text: str | None, field: str) -> int | None:
    """An id of Zalo's as a number. Raises InvalidError for one that is longer than 63 bits."""
    if text is None:
        return None
    value = int(text)
    if value > MAX_ID:
        raise InvalidError("The request is not valid.", errors=[(field, f"must be at most {MAX_ID}.")])
    return value


def further(page: Page[Any]) -> str | None:
    """The cursor of the page that follows, if there is one."""
    return None if page.next is None else to_cursor(page.next)
