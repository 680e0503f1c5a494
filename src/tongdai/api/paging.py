"""Cursor paging: ask with `limit` and `cursor`, go on with `next` until it is null.

A cursor names the last id that was given, so rows that are added meanwhile neither shift nor repeat a page,
and page 10,000 costs what page 1 does. It holds no more than that id, and every query carries the account.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Protocol, TypeVar

from litestar.params import QueryParameter

from tongdai.api.bodies import MAX_ID
from tongdai.kit.errors import InvalidError

Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="How many items to give at most.")]
Cursor = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=40,
        description="Where to go on: `next` of the page before. Leave it out to begin.",
    ),
]


class _HasId(Protocol):
    @property
    def id(self) -> int: ...


_Row = TypeVar("_Row", bound=_HasId)


def after(cursor: str | None) -> int:
    """The id that a cursor names; 0 without one. Raises InvalidError for what is no cursor of ours."""
    if cursor is None:
        return 0
    try:
        last = int(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).removeprefix(b"id:"))
    except (binascii.Error, ValueError):
        last = -1
    if not 0 < last <= MAX_ID or cursor != to_cursor(last):
        raise InvalidError("This is not a cursor.", errors=[("cursor", "Use `next` of the page before.")])
    return last


def to_cursor(last_id: int) -> str:
    return base64.urlsafe_b64encode(f"id:{last_id}".encode()).decode()


def cut(rows: Sequence[_Row], limit: int) -> tuple[Sequence[_Row], str | None]:
    """Of `limit + 1` rows that were asked for, those to give, and the cursor when there is more."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], to_cursor(rows[limit - 1].id)
