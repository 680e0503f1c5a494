"""Paging of the two vendors' lists: `{after, before, limit, sort}` asks, `next` and `prev` come back too.

A cursor names the row at the edge of a page, so rows that are added meanwhile neither shift nor repeat a
page. It holds no more than that row's id, and every query carries the account.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from tongdai.domain.zalo import Page, Paging
from tongdai.facades._shared.fields import MAX_INT64, Fields

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 1000
"""More is cut down to it."""
NEWEST_FIRST: Final = "-created_at"
OLDEST_FIRST: Final = "created_at"


def read_paging(request: Fields) -> Paging:
    """What a request's `paging` asks for. Raises InvalidError."""
    fields = request.inner("paging")
    sort = fields.text("sort").strip().lower()
    if sort not in ("", NEWEST_FIRST, OLDEST_FIRST):
        fields.refuse("sort", f"must be {NEWEST_FIRST} or {OLDEST_FIRST}")
    after, before = _row_of(fields, "after"), _row_of(fields, "before")
    if after is not None and before is not None:
        fields.refuse("after", "must not be given together with before")
    limit = fields.integer("limit") or DEFAULT_LIMIT
    return Paging(after, before, min(limit, MAX_LIMIT), newest_first=sort != OLDEST_FIRST)


def shown_paging(paging: Paging, page: Page[Any]) -> dict[str, Any]:
    """The `paging` of an answer; cursors that there are none of are ""."""
    return {
        "after": _cursor(paging.after),
        "before": _cursor(paging.before),
        "limit": paging.limit,
        "next": _cursor(page.next),
        "prev": _cursor(page.prev),
        "sort": NEWEST_FIRST if paging.newest_first else OLDEST_FIRST,
    }


def _row_of(fields: Fields, name: str) -> int | None:
    cursor = fields.text(name)
    if not cursor:
        return None
    try:
        row = int(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).removeprefix(b"id:"))
    except (binascii.Error, ValueError):
        row = 0
    if not 0 < row <= MAX_INT64 or cursor != _cursor(row):
        fields.refuse(name, "must be next or prev of a page before")
    return row


def _cursor(row: int | None) -> str:
    return "" if row is None else base64.urlsafe_b64encode(f"id:{row}".encode()).decode()
