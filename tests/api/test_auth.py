"""Who gets in, and who may do what."""

from __future__ import annotations

import pytest
from tests.api.conftest import Api

from tongdai.domain import accounts
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio

TRUNK = {"name": "VNPT", "engine": "sandbox", "max_channels": 30, "max_cps": 5}


async def test_without_a_key_nothing_is_answered_but_how_to_send_one(nobody: Api) -> None:
    answer = await nobody.get("/trunks")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:tongdai:problem:unauthorized"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "td_unknown",
        "Bearer td_unknown",
        "Bearer " + "x" * 5000,
        "\xff",
    ],
)
async def test_what_is_no_key_does_not_open(nobody: Api, header: str) -> None:
    answer = await nobody.http.get("/v1/me", headers={b"Authorization": header.encode("latin-1")})

    assert answer.status_code == 401


async def test_the_scheme_is_read_in_any_case(owner: Api) -> None:
    answer = await owner.http.get("/v1/me", headers={"authorization": f"bearer  {owner.key}"})

    assert answer.status_code == 200


async def test_a_revoked_key_is_refused_from_then_on(owner: Api) -> None:
    fresh = await owner.made("/keys", {"name": "short-lived"})
    holder = Api(owner.http, owner.person, fresh["key"])
    assert (await holder.get("/me")).status_code == 200

    assert (await owner.send("DELETE", f"/keys/{fresh['id']}")).status_code == 204

    assert (await holder.get("/me")).status_code == 401


async def test_the_key_of_a_disabled_user_is_refused(colleague: Api, services: Services) -> None:
    assert colleague.person is not None
    async with services.db.transaction() as tx:
        await accounts.disable_user(tx, colleague.person.account_id, colleague.person.user.id)

    assert (await colleague.get("/me")).status_code == 401


async def test_a_stranger_to_the_platform_learns_nothing_from_validation(nobody: Api) -> None:
    answer = await nobody.post("/trunks", {"nonsense": True})

    assert answer.status_code == 401
    assert answer.json()["errors"] == []


async def test_a_viewer_reads_and_changes_nothing(viewer: Api, owner: Api) -> None:
    trunk = await owner.made("/trunks", TRUNK)

    assert (await viewer.get(f"/trunks/{trunk['id']}")).status_code == 200
    assert (await viewer.post("/trunks", TRUNK | {"name": "mine"})).status_code == 403
    assert (await viewer.send("PATCH", f"/trunks/{trunk['id']}", {"enabled": False})).status_code == 403
    assert (await owner.get(f"/trunks/{trunk['id']}")).json()["enabled"] is True


async def test_an_operator_changes_things_and_manages_no_keys(colleague: Api) -> None:
    assert (await colleague.post("/trunks", TRUNK)).status_code == 201
    assert (await colleague.get("/keys")).status_code == 403
    assert (await colleague.post("/keys", {"name": "mine"})).status_code == 403


async def test_a_platform_key_does_not_act_inside_accounts(platform: Api, owner: Api) -> None:
    trunk = await owner.made("/trunks", TRUNK)

    for answer in (
        await platform.get("/trunks"),
        await platform.get(f"/trunks/{trunk['id']}"),
        await platform.post("/trunks", TRUNK),
        await platform.get("/keys"),
        await platform.post("/calls/cancel", {"number": "0912345678"}),
    ):
        assert answer.status_code == 403
        assert answer.json()["type"] == "urn:tongdai:problem:forbidden"


async def test_an_account_key_does_not_reach_the_platform(owner: Api) -> None:
    assert owner.person is not None
    own = owner.person.account_id

    for answer in (
        await owner.get("/accounts"),
        await owner.get(f"/accounts/{own}"),
        await owner.post("/accounts", {"name": "another"}),
        await owner.post(f"/accounts/{own}/users", {}),
        await owner.post(f"/accounts/{own}/users/{owner.person.user.id}/keys", {"name": "x"}),
    ):
        assert answer.status_code == 403


async def test_a_key_says_whose_it_is(owner: Api, viewer: Api, platform: Api) -> None:
    assert owner.person is not None

    assert (await owner.get("/me")).json() == {
        "scope": "account",
        "account_id": owner.person.account_id,
        "user_id": owner.person.user.id,
        "role": "owner",
    }
    assert (await viewer.get("/me")).json()["role"] == "viewer"
    assert (await platform.get("/me")).json() == {
        "scope": "platform",
        "account_id": None,
        "user_id": None,
        "role": None,
    }


async def test_a_key_in_a_header_of_its_own_counts_when_there_is_no_other(owner: Api, stranger: Api) -> None:
    assert owner.key is not None
    assert stranger.key is not None
    for name in ("X-API-Key", "x-api-key"):
        answer = await owner.http.get("/v1/me", headers={name: owner.key})
        assert answer.json()["role"] == "owner"
    both = {"Authorization": f"Bearer {owner.key}", "X-API-Key": stranger.key}
    assert owner.person is not None
    assert (await owner.http.get("/v1/me", headers=both)).json()["account_id"] == owner.person.account_id
    for headers in (
        {"X-API-Key": ""},
        {"X-API-Key": "x" * 300},
        {"Authorization": "", "X-API-Key": owner.key},
    ):
        assert (await owner.http.get("/v1/me", headers=headers)).status_code == 401
