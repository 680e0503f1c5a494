"""Lists of Zalo's things, page by page in either direction: every row once."""

from __future__ import annotations

import pytest

from tongdai.domain.zalo import Page, Paging

ROWS = [2, 3, 5, 8, 13, 21, 34]


def read(paging: Paging) -> Page[int]:
    """What the store does with a span."""
    above, below, newest_first = paging.span()
    found = sorted((row for row in ROWS if above < row < below), reverse=newest_first)
    return paging.page(found[: paging.limit + 1], lambda row: row)


@pytest.mark.parametrize("newest_first", [True, False])
def test_following_next_gives_every_row_once_and_prev_leads_back(newest_first: bool) -> None:
    ordered = sorted(ROWS, reverse=newest_first)
    page = read(Paging(limit=3, newest_first=newest_first))
    assert page.prev is None
    pages = [page.items]
    while page.next is not None:
        page = read(Paging(after=page.next, limit=3, newest_first=newest_first))
        pages.append(page.items)
    assert [row for items in pages for row in items] == ordered

    back = [page.items]
    while page.prev is not None:
        page = read(Paging(before=page.prev, limit=3, newest_first=newest_first))
        assert page.next is not None
        back.insert(0, page.items)
    assert [row for items in back for row in items] == ordered


def test_a_page_that_just_fits_has_none_behind_it() -> None:
    assert read(Paging(limit=len(ROWS))).next is None
    assert read(Paging(limit=len(ROWS) - 1)).next == 3


def test_beyond_the_end_there_is_nothing() -> None:
    assert read(Paging(after=2)) == Page([], None, None)
