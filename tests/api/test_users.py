"""The people of an account: who sees them, and who does not."""

from __future__ import annotations

import pytest
from tests.api.conftest import Api

from tongdai.domain import accounts
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio


def shown(api: Api) -> dict[str, object]:
    assert api.person is not None
    user = api.person.user
    return {"id": user.id, "email": user.email, "name": user.name, "role": user.role.value}


async def test_owners_and_operators_see_the_people_of_their_account(
    owner: Api, colleague: Api, viewer: Api
) -> None:
    expected = {"items": [shown(owner), shown(colleague), shown(viewer)], "next": None}

    assert (await owner.get("/users")).json() == expected
    assert (await colleague.get("/users")).json() == expected


async def test_a_viewer_does_not_see_them(viewer: Api, nobody: Api, platform: Api) -> None:
    assert (await viewer.get("/users")).status_code == 403
    assert (await nobody.get("/users")).status_code == 401
    assert (await platform.get("/users")).status_code == 403


async def test_a_stranger_sees_their_own_people_alone(owner: Api, stranger: Api) -> None:
    assert (await stranger.get("/users")).json() == {"items": [shown(stranger)], "next": None}
    cursor = (await owner.get("/users", limit=1)).json()["next"]

    theirs = await stranger.get("/users", cursor=cursor)

    assert shown(owner) not in theirs.json()["items"]
    assert {one["id"] for one in theirs.json()["items"]} <= {shown(stranger)["id"]}


async def test_an_owner_finds_a_colleague_and_gives_them_a_key(owner: Api, colleague: Api) -> None:
    people = (await owner.get("/users")).json()["items"]
    operator = next(one for one in people if one["role"] == "operator")
    fresh = await owner.made("/keys", {"name": "CRM", "user_id": operator["id"]})

    assert (await Api(owner.http, None, fresh["key"]).get("/me")).json()["user_id"] == shown(colleague)["id"]


async def test_the_list_comes_in_pages(owner: Api, colleague: Api, viewer: Api) -> None:
    seen, cursor = [], None
    while True:
        page = (await owner.get("/users", limit=1, **({"cursor": cursor} if cursor else {}))).json()
        seen += page["items"]
        cursor = page["next"]
        if cursor is None:
            break

    assert seen == [shown(owner), shown(colleague), shown(viewer)]


async def test_who_was_shut_out_is_not_listed(owner: Api, colleague: Api, services: Services) -> None:
    assert colleague.person is not None
    async with services.db.transaction() as tx:
        await accounts.disable_user(tx, colleague.person.account_id, colleague.person.user.id)

    assert (await owner.get("/users")).json()["items"] == [shown(owner)]
