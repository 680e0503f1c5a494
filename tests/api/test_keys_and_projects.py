"""Keys of an account, and its projects."""

from __future__ import annotations

import pytest
from tests.api.conftest import Api

pytestmark = pytest.mark.anyio


async def test_a_key_is_shown_once_and_recognised_by_its_first_characters(owner: Api) -> None:
    fresh = await owner.made("/keys", {"name": "CRM"})

    listed = (await owner.get("/keys")).json()["items"]

    mine = next(item for item in listed if item["id"] == fresh["id"])
    assert fresh["key"].startswith(mine["hint"])
    assert all("key" not in item for item in listed)
    assert (await Api(owner.http, owner.person, fresh["key"]).get("/me")).status_code == 200


async def test_an_owner_gives_a_colleague_a_key_that_acts_as_them(owner: Api, viewer: Api) -> None:
    assert viewer.person is not None
    fresh = await owner.made("/keys", {"name": "read only", "user_id": viewer.person.user.id})

    assert (await Api(owner.http, None, fresh["key"]).get("/me")).json()["role"] == "viewer"


async def test_no_key_is_made_for_a_user_of_another_account(owner: Api, stranger: Api) -> None:
    assert stranger.person is not None
    theirs = await owner.post("/keys", {"name": "x", "user_id": stranger.person.user.id})
    nobodys = await owner.post("/keys", {"name": "x", "user_id": 2**62})

    assert theirs.status_code == 404
    assert theirs.json() == nobodys.json()


async def test_a_key_of_another_account_cannot_be_seen_or_revoked(owner: Api, stranger: Api) -> None:
    fresh = await owner.made("/keys", {"name": "mine"})

    assert fresh["id"] not in [item["id"] for item in (await stranger.get("/keys")).json()["items"]]
    assert (await stranger.send("DELETE", f"/keys/{fresh['id']}")).status_code == 404
    assert (await Api(owner.http, None, fresh["key"]).get("/me")).status_code == 200


async def test_revoking_twice_says_that_it_is_gone(owner: Api) -> None:
    fresh = await owner.made("/keys", {"name": "x"})

    assert (await owner.send("DELETE", f"/keys/{fresh['id']}")).status_code == 204
    assert (await owner.send("DELETE", f"/keys/{fresh['id']}")).status_code == 404


async def test_a_project_is_found_again_by_everyone_of_the_account(owner: Api, viewer: Api) -> None:
    made = await owner.made("/projects", {"code": "tet-2027", "name": "Tết 2027"})

    assert (await viewer.get(f"/projects/{made['id']}")).json() == made
    assert made["created_at"].endswith("+07:00")


async def test_a_project_code_is_given_once_in_an_account(owner: Api, stranger: Api) -> None:
    await owner.made("/projects", {"code": "tet", "name": "Tết"})

    again = await owner.post("/projects", {"code": "tet", "name": "Tết"})

    assert again.status_code == 409
    assert again.json()["type"] == "urn:tongdai:problem:conflict"
    assert (await stranger.post("/projects", {"code": "tet", "name": "Tết"})).status_code == 201
