"""Pages of both vendors' lists, and the cursors between them."""

from __future__ import annotations

from typing import Any

import pytest

from tongdai.domain.zalo import Page, Paging
from tongdai.facades._shared.fields import Fields
from tongdai.facades._shared.paging import DEFAULT_LIMIT, MAX_LIMIT, read_paging, shown_paging
from tongdai.kit.errors import InvalidError


def asked(**paging: Any) -> Paging:
    return read_paging(Fields({"paging": paging}))


def test_without_paging_the_newest_twenty_are_asked_for() -> None:
    nothing: list[dict[str, Any]] = [
        {},
        {"paging": None},
        {"paging": {}},
        {"paging": {"limit": 0, "after": "", "sort": ""}},
    ]
    for body in nothing:
        assert read_paging(Fields(body)) == Paging(None, None, DEFAULT_LIMIT, newest_first=True)


@pytest.mark.parametrize(
    ("sort", "newest"), [("-created_at", True), ("created_at", False), ("CREATED_AT", False)]
)
def test_lists_are_sorted_by_creation_either_way(sort: str, newest: bool) -> None:
    assert asked(sort=sort).newest_first is newest


def test_another_sort_is_refused() -> None:
    with pytest.raises(InvalidError, match=r"paging\.sort must be"):
        asked(sort="name")


def test_a_page_is_no_longer_than_the_longest() -> None:
    assert asked(limit="7").limit == 7
    assert asked(limit=10**9).limit == MAX_LIMIT
    with pytest.raises(InvalidError, match=r"paging\.limit"):
        asked(limit=-1)


def test_a_cursor_leads_on_and_back() -> None:
    shown = shown_paging(Paging(limit=2), Page(items=["b", "a"], next=41, prev=None))
    assert (shown["prev"], shown["after"], shown["before"]) == ("", "", "")
    assert (shown["limit"], shown["sort"]) == (2, "-created_at")
    onward = asked(after=shown["next"], limit=2)
    assert onward == Paging(after=41, limit=2)
    back = shown_paging(onward, Page(items=["z"], next=None, prev=40))
    assert back["after"] == shown["next"]
    assert asked(before=back["prev"]) == Paging(before=40, limit=DEFAULT_LIMIT)


def test_a_cursor_says_nothing_by_itself() -> None:
    cursor = shown_paging(Paging(), Page(items=[], next=1234567, prev=None))["next"]
    assert "1234567" not in cursor


@pytest.mark.parametrize(
    "cursor",
    ["41", "x", "aWQ6", "aWQ6LTE=", "aWQ6MDQx", "aWQ6NDE", " aWQ6NDE=", "é", "aWQ6" + "OTk5" * 20, 7, []],
)
def test_what_is_no_cursor_of_ours_is_refused(cursor: object) -> None:
    for name in ("after", "before"):
        with pytest.raises(InvalidError, match=f"paging.{name}"):
            asked(**{name: cursor})


def test_a_page_cannot_be_asked_for_from_both_sides() -> None:
    cursor = shown_paging(Paging(), Page(items=[], next=41, prev=None))["next"]
    with pytest.raises(InvalidError, match="together"):
        asked(after=cursor, before=cursor)
