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


def sift(paging: Paging, examined: int) -> Page[int]:
    """The same where only so many are looked at for the even ones."""
    above, below, newest_first = paging.span()
    found = sorted((row for row in ROWS if above < row < below), reverse=newest_first)
    through = found[examined - 1] if len(found) >= examined else None
    even = [row for row in found[:examined] if row % 2 == 0]
    return paging.page(even[: paging.limit + 1], lambda row: row, through)


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("examined", [1, 2, 3, 20])
def test_a_list_goes_on_behind_pages_that_hold_nothing_in_both_directions(
    newest_first: bool, examined: int
) -> None:
    ordered = [row for row in sorted(ROWS, reverse=newest_first) if row % 2 == 0]
    page = sift(Paging(limit=2, newest_first=newest_first), examined)
    there = list(page.items)
    while page.next is not None:
        page = sift(Paging(after=page.next, limit=2, newest_first=newest_first), examined)
        there += page.items
    assert there == ordered

    end = 0 if newest_first else max(ROWS) + 1
    page = sift(Paging(before=end, limit=2, newest_first=newest_first), examined)
    back = list(page.items)
    while page.prev is not None:
        page = sift(Paging(before=page.prev, limit=2, newest_first=newest_first), examined)
        back = page.items + back
    assert back == ordered
