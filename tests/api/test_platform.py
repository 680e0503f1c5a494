"""What a platform key is for: accounts, their users and their first keys."""

from __future__ import annotations

import pytest
from tests.api.conftest import Api

pytestmark = pytest.mark.anyio

USER = {"email": "Lan@example.vn", "name": "Lan", "role": "owner", "password": "một mật khẩu dài"}


async def test_an_account_is_opened_with_a_user_and_a_key_that_works(platform: Api) -> None:
    account = await platform.made("/accounts", {"name": "Nhà thuốc Minh Châu", "max_channels": 20})
    user = await platform.made(f"/accounts/{account['id']}/users", USER)
    issued = await platform.made(f"/accounts/{account['id']}/users/{user['id']}/keys", {"name": "first"})

    assert (await platform.get(f"/accounts/{account['id']}")).json() == account
    me = await Api(platform.http, None, issued["key"]).get("/me")
    assert me.json() == {
        "scope": "account",
        "account_id": account["id"],
        "user_id": user["id"],
        "role": "owner",
    }


async def test_an_account_keeps_the_code_that_its_owner_brings_and_else_gets_one_of_its_own(
    platform: Api,
) -> None:
    given = await platform.made("/accounts", {"name": "A", "code": "446341234"})
    fresh = [(await platform.made("/accounts", {"name": "B"}))["code"] for _ in range(3)]

    assert given["code"] == "446341234"
    assert len({given["code"], *fresh}) == 4
    assert all(len(code) == 9 and code.isdecimal() for code in fresh)
    taken = await platform.post("/accounts", {"name": "C", "code": "446341234"})
    assert taken.status_code == 409
    for code in ("", " ", "a b", "a" * 65, "Lê", 446341234):
        assert (await platform.post("/accounts", {"name": "C", "code": code})).status_code == 400


async def test_accounts_are_listed_page_by_page(platform: Api) -> None:
    ids = [(await platform.made("/accounts", {"name": f"account {n}"}))["id"] for n in range(3)]

    first = (await platform.get("/accounts", limit=2)).json()
    second = (await platform.get("/accounts", limit=2, cursor=first["next"])).json()

    assert [item["id"] for item in first["items"] + second["items"]] == ids
    assert second["next"] is None


async def test_an_address_signs_in_once_whatever_its_case(platform: Api) -> None:
    account = await platform.made("/accounts", {"name": "a"})
    await platform.made(f"/accounts/{account['id']}/users", USER)

    again = await platform.post(f"/accounts/{account['id']}/users", USER | {"email": "lan@EXAMPLE.vn"})

    assert again.status_code == 409


async def test_the_password_comes_back_nowhere(platform: Api) -> None:
    account = await platform.made("/accounts", {"name": "a"})

    answer = await platform.post(f"/accounts/{account['id']}/users", USER)

    assert "password" not in answer.json()
    assert USER["password"] not in answer.text


async def test_a_user_of_one_account_gets_no_key_through_another(platform: Api) -> None:
    one = await platform.made("/accounts", {"name": "one"})
    other = await platform.made("/accounts", {"name": "other"})
    user = await platform.made(f"/accounts/{one['id']}/users", USER)

    answer = await platform.post(f"/accounts/{other['id']}/users/{user['id']}/keys", {"name": "x"})

    assert answer.status_code == 404


async def test_an_unknown_account_takes_no_users(platform: Api) -> None:
    assert (await platform.post(f"/accounts/{2**62}/users", USER)).status_code == 404
    assert (await platform.get(f"/accounts/{2**62}")).status_code == 404


async def test_a_short_password_is_refused_with_its_place(platform: Api) -> None:
    account = await platform.made("/accounts", {"name": "a"})

    answer = await platform.post(f"/accounts/{account['id']}/users", USER | {"password": "short"})

    assert [error["path"] for error in answer.json()["errors"]] == ["password"]
