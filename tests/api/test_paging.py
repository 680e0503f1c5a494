"""Pages: nothing twice, nothing left out, whatever is added meanwhile."""

from __future__ import annotations

import pytest
from tests.api.conftest import Api

from tongdai.api import paging

pytestmark = pytest.mark.anyio


async def make_projects(api: Api, count: int, prefix: str = "p") -> list[int]:
    return [
        (await api.made("/projects", {"code": f"{prefix}{n}", "name": f"{n}"}))["id"] for n in range(count)
    ]


async def walk(api: Api, path: str, limit: int) -> list[list[int]]:
    pages, cursor = [], None
    while True:
        query = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        body = (await api.get(path, **query)).json()
        pages.append([item["id"] for item in body["items"]])
        cursor = body["next"]
        if cursor is None:
            return pages


async def test_pages_follow_each_other_to_the_end(owner: Api) -> None:
    ids = await make_projects(owner, 5)

    assert await walk(owner, "/projects", 2) == [ids[:2], ids[2:4], ids[4:]]


async def test_a_last_page_that_is_full_has_no_next(owner: Api) -> None:
    ids = await make_projects(owner, 4)

    assert await walk(owner, "/projects", 2) == [ids[:2], ids[2:]]


async def test_rows_that_are_added_between_pages_come_at_the_end(owner: Api) -> None:
    ids = await make_projects(owner, 3)
    first = (await owner.get("/projects", limit=2)).json()

    later = await make_projects(owner, 2, prefix="later")
    second = (await owner.get("/projects", limit=100, cursor=first["next"])).json()

    assert [item["id"] for item in first["items"] + second["items"]] == ids + later


async def test_an_empty_list_is_a_page_without_items(owner: Api) -> None:
    assert (await owner.get("/projects")).json() == {"items": [], "next": None}


async def test_a_cursor_of_another_tenant_opens_nothing_of_theirs(owner: Api, stranger: Api) -> None:
    ids = await make_projects(owner, 3)
    cursor = (await owner.get("/projects", limit=1)).json()["next"]

    foreign = await stranger.get("/projects", cursor=cursor)

    assert foreign.json() == {"items": [], "next": None}
    assert ids


@pytest.mark.parametrize(
    "made_up",
    ["1", "aWQ6MA==", "aWQ6LTE=", "aWQ6MDE=", "aWQ6OTIyMzM3MjAzNjg1NDc3NTgwOA==", "é", "====", "aWQ6MQ"],
)
async def test_what_is_no_cursor_of_ours_is_refused(owner: Api, made_up: str) -> None:
    assert (await owner.get("/projects", cursor=made_up)).status_code == 400


@pytest.mark.parametrize("last", [1, 7, 10**9, 2**63 - 1])
async def test_a_cursor_leads_back_to_its_id(last: int) -> None:
    assert paging.after(paging.to_cursor(last)) == last
