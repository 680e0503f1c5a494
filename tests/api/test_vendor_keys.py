"""Keys of vendors' APIs: looked up again, switched off and on, expired, and nobody else's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.api.conftest import Api
from tests.fakes.clock import FakeClock

from tongdai.domain import accounts
from tongdai.domain.accounts import KeyState
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio


async def state_of(api: Api, key_id: int) -> str:
    listed = (await api.get("/vendor-keys")).json()["interits"]
    return str(next(item["state"] for item in listed if item["id"] == key_id))


async def known(services: Services, key: str) -> accounts.KnownKey | None:
    return await accounts.authenticate_vendor_key(
        services.db, services.keyring, "interits", key, services.clock.now()
    )


async def made(api: Api, **more: Any) -> tuple[int, str]:
    answer = await api.made("/vendor-keys", {"name": "Zalo", **more})
    return answer["vendor_key"]["id"], answer["key"]


async def test_a_key_is_looked_up_again_by_its_owner_and_listed_without_its_text(
    owner: Api, services: Services
) -> None:
    key_id, key = await made(owner)

    listed = (await owner.get("/vendor-keys")).json()

    [mine] = listed["interits"]
    assert (mine["id"], mine["state"], mine["expires_at"]) == (key_id, "active", None)
    assert key.startswith(mine["hint"])
    assert key not in str(listed)
    assert (await owner.get(f"/vendor-keys/{key_id}/key")).json() == {"key": key}


async def test_the_bearer_keys_are_listed_beside_with_their_state(owner: Api) -> None:
    fresh = await owner.made("/keys", {"name": "CRM"})
    await owner.send("DELETE", f"/keys/{fresh['id']}")

    bearer = {item["id"]: item for item in (await owner.get("/vendor-keys")).json()["bearer"]}

    assert bearer[fresh["id"]]["state"] == "inactive"
    assert {item["state"] for key_id, item in bearer.items() if key_id != fresh["id"]} == {"active"}


async def test_several_keys_open_at_once_and_each_says_in_which_state_it_is(
    owner: Api, services: Services, clock: FakeClock
) -> None:
    first_id, first = await made(owner)
    soon = (clock.now() + timedelta(hours=1)).isoformat()
    second_id, second = await made(owner, expires_at=soon)
    for key in (first, second):
        found = await known(services, key)
        assert found is not None
        assert owner.person is not None
        assert (found.caller, found.state) == (owner.person.caller, KeyState.ACTIVE)

    await owner.send("PATCH", f"/vendor-keys/{first_id}", {"active": False})
    clock.advance(timedelta(hours=1))

    assert await state_of(owner, first_id) == "inactive"
    assert await state_of(owner, second_id) == "expired"
    states = [found.state for key in (first, second) if (found := await known(services, key))]
    assert states == [KeyState.INACTIVE, KeyState.EXPIRED]

    await owner.send("PATCH", f"/vendor-keys/{first_id}", {"active": True})
    await owner.send("PATCH", f"/vendor-keys/{second_id}", {"expires_at": None, "name": "Kho"})

    assert await state_of(owner, first_id) == await state_of(owner, second_id) == "active"
    listed = (await owner.get("/vendor-keys")).json()["interits"]
    assert [item["name"] for item in listed] == ["Zalo", "Kho"]


async def test_no_other_text_is_a_key(owner: Api, services: Services) -> None:
    _, key = await made(owner)
    for text in ("", key[:-1], key.upper(), key + " ", "\x00", "a" * 100_000):
        assert await known(services, text) is None


async def test_a_disabled_users_key_opens_nothing(owner: Api, colleague: Api, services: Services) -> None:
    person = colleague.person
    assert person is not None
    _, key = await made(owner, user_id=person.user.id)
    async with services.db.transaction() as tx:
        await accounts.disable_user(tx, person.account_id, person.user.id)
    assert await known(services, key) is None


async def test_no_key_is_made_for_a_user_of_another_account(owner: Api, stranger: Api) -> None:
    assert stranger.person is not None
    theirs = await owner.post("/vendor-keys", {"name": "x", "user_id": stranger.person.user.id})
    nobodys = await owner.post("/vendor-keys", {"name": "x", "user_id": 2**62})

    assert theirs.status_code == 404
    assert theirs.json() == nobodys.json()


async def test_only_owners_see_and_change_them(owner: Api, colleague: Api, viewer: Api) -> None:
    key_id, _ = await made(owner)
    for api in (colleague, viewer):
        for method, path in (
            ("GET", "/vendor-keys"),
            ("POST", "/vendor-keys"),
            ("GET", f"/vendor-keys/{key_id}/key"),
            ("PATCH", f"/vendor-keys/{key_id}"),
        ):
            assert (await api.send(method, path, {"name": "x"})).status_code == 403


async def test_the_database_holds_no_key(owner: Api, services: Services) -> None:
    _, key = await made(owner)
    async with services.db.autocommit() as connection:
        cursor = await connection.execute("SELECT sealed, lookup_hash, vendor_keys::text FROM vendor_keys")
        [(sealed, lookup_hash, text)] = await cursor.fetchall()
    assert key.encode() not in bytes(sealed) + bytes(lookup_hash)
    assert key not in text


async def test_a_time_that_no_calendar_of_ours_reaches_is_refused_by_its_name(owner: Api) -> None:
    for moment in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "3000-01-01T00:00:00Z"):
        answer = await owner.post("/vendor-keys", {"name": "x", "expires_at": moment})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["path"] == "expires_at"
    assert (await owner.post("/vendor-keys", {"name": "x", "expires_at": "2999-12-31T23:59:59Z"})).json()[
        "vendor_key"
    ]["expires_at"] == "3000-01-01T06:59:59+07:00"
