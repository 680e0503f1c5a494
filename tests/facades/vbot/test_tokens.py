from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests import factories
from tests.facades.vbot.client import ACCESS_WRONG, Api, Shop, answer_of, bearer, sample
from tests.factories import PASSWORD, Cast
from tests.fakes.clock import FakeClock

from tongdai.domain import accounts
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.services import Services, VBotOptions

pytestmark = pytest.mark.anyio

BALANCE = "/api/account/balance"
NEW_PASSWORD = "một mật khẩu khác"


def refused(response: httpx.Response) -> bool:
    answer = answer_of(response, 400)
    assert answer.keys() == {"error", "error_description"}
    return bool(answer["error"] == "invalid_grant")


async def opens(api: Api, **headers: str) -> bool:
    response = await api.http.get(BALANCE, headers=headers)
    if response.status_code == 200:
        return True
    assert answer_of(response, 401) == ACCESS_WRONG
    return False


# ---------------------------------------------------------------- logging in


async def test_a_login_answers_the_four_fields_with_their_types(api: Api, cast: Cast) -> None:
    answer = answer_of(await api.log_in(cast.owner))
    assert list(answer) == ["access_token", "token_type", "expires_in", "refresh_token"]
    assert answer["token_type"] == "bearer"
    assert answer["expires_in"] == 86400
    assert str(UUID(answer["refresh_token"])) == answer["refresh_token"]


WAYS: list[Callable[[dict[str, str]], dict[str, Any]]] = [
    lambda fields: {"data": fields},
    lambda fields: {"json": fields},
    lambda fields: {"files": {name: (None, text) for name, text in fields.items()}},
    lambda fields: {
        "content": json.dumps(fields),
        "headers": {"Content-Type": "application/x-www-form-urlencoded"},
    },
    lambda fields: {"content": "\ufeff" + json.dumps(fields)},
]


@pytest.mark.parametrize("way", WAYS, ids=["form", "json", "multipart", "json as a form", "json with a mark"])
async def test_a_login_is_read_in_every_form(
    api: Api, cast: Cast, way: Callable[[dict[str, str]], dict[str, Any]]
) -> None:
    fields = {"grant_type": "password", "username": cast.owner.user.email, "password": PASSWORD}
    answer = answer_of(await api.http.post("/token", **way(fields)))
    assert await opens(api, Authorization=f"Bearer {answer['access_token']}")


async def test_a_wrong_password_and_an_unknown_name_are_told_the_same(api: Api, cast: Cast) -> None:
    wrong = await api.log_in(cast.owner, "not the password")
    unknown = await api.http.post(
        "/token", data={"grant_type": "password", "username": "x@example.vn", "password": PASSWORD}
    )
    assert refused(wrong)
    assert wrong.content == unknown.content


async def test_an_unknown_name_costs_about_as_much_as_a_wrong_password(
    api: Api, db: Database, cast: Cast
) -> None:
    owner = cast.owner
    async with db.transaction() as tx:
        # The tests' own hash is a cheap one.
        await accounts.change_password(tx, owner.account_id, owner.user.id, NEW_PASSWORD)

    async def seconds(name: str) -> float:
        form = {"grant_type": "password", "username": name, "password": PASSWORD}
        begun = time.process_time()
        assert refused(await api.http.post("/token", data=form))
        return time.process_time() - begun

    unknown = min([await seconds("nobody@example.vn") for _ in range(4)])
    known = min([await seconds(owner.user.email) for _ in range(3)])
    # Without a hash to be made it would be a fiftieth.
    assert known / 3 < unknown < known * 3


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"grant_type": ""},
        {"grant_type": "client_credentials"},
        {"grant_type": "password"},
        {"grant_type": "refresh_token"},
        {"grant_type": ["password"], "username": 1, "password": None},
        {"grant_type": "password", "username": "\x00", "password": "\x00"},
        {"grant_type": "password", "username": "Lê", "password": "a" * 50_000},
        {"grant_type": "refresh_token", "refresh_token": "\x00"},
        {"grant_type": "refresh_token", "refresh_token": {"a": 1}},
    ],
)
async def test_every_other_request_for_a_token_is_an_invalid_grant(
    api: Api, cast: Cast, fields: dict[str, Any]
) -> None:
    assert refused(await api.http.post("/token", json=fields))


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b"[" * 60_000, b"x" * 100_000, b"--x\r\n"])
async def test_a_body_that_cannot_be_read_is_an_invalid_grant(api: Api, content: bytes) -> None:
    assert refused(await api.http.post("/token", content=content))


async def test_a_disabled_user_has_no_login_and_no_token_any_more(api: Api, db: Database, cast: Cast) -> None:
    login = (await api.log_in(cast.colleague)).json()
    async with db.transaction() as tx:
        await accounts.disable_user(tx, cast.colleague.account_id, cast.colleague.user.id)
    assert not await opens(api, Authorization=f"Bearer {login['access_token']}")
    assert refused(await api.log_in(cast.colleague))
    assert refused(await api.refresh(login["refresh_token"]))


async def test_a_changed_password_ends_the_logins_that_were_made_with_it(
    api: Api, db: Database, cast: Cast
) -> None:
    login, colleagues = (await api.log_in(cast.owner)).json(), await api.token(cast.colleague)
    async with db.transaction() as tx:
        await accounts.change_password(tx, cast.owner.account_id, cast.owner.user.id, NEW_PASSWORD)
    assert not await opens(api, Authorization=f"Bearer {login['access_token']}")
    assert refused(await api.refresh(login["refresh_token"]))
    assert refused(await api.log_in(cast.owner))
    assert (await api.log_in(cast.owner, NEW_PASSWORD)).status_code == 200
    assert await opens(api, Authorization=f"Bearer {colleagues}")


async def test_a_flood_of_logins_is_turned_away_and_leaves_room_for_everybody_else(
    api: Api, db: Database, cast: Cast
) -> None:
    owner = cast.owner
    async with db.transaction() as tx:
        # The tests' own hash is a cheap one.
        await accounts.change_password(tx, owner.account_id, owner.user.id, NEW_PASSWORD)
    form = {"grant_type": "password", "username": owner.user.email, "password": PASSWORD}

    answers = await asyncio.gather(*(api.http.post("/token", data=form) for _ in range(150)))

    assert {answer.status_code for answer in answers} == {400, 500}
    away = [answer for answer in answers if answer.status_code == 500]
    assert {answer.json()["error"] for answer in away} == {"temporarily_unavailable"}
    assert all(answer.headers["retry-after"] for answer in away)
    assert (await api.log_in(owner, NEW_PASSWORD)).status_code == 200


# ---------------------------------------------------------------- lifetimes


async def test_a_token_lives_exactly_as_long_as_it_says(
    services: Services, cast: Cast, clock: FakeClock
) -> None:
    api = Api(replace(services, vbot=VBotOptions(token_life=timedelta(seconds=899))))
    answer = (await api.log_in(cast.owner)).json()
    assert answer["expires_in"] == 899
    clock.advance(timedelta(seconds=898))
    assert await opens(api, Authorization=f"Bearer {answer['access_token']}")
    clock.advance(timedelta(seconds=1))
    assert not await opens(api, Authorization=f"Bearer {answer['access_token']}")


async def test_a_refresh_token_gives_new_tokens_once(api: Api, cast: Cast, clock: FakeClock) -> None:
    first = (await api.log_in(cast.owner)).json()
    clock.advance(timedelta(hours=25))
    assert not await opens(api, Authorization=f"Bearer {first['access_token']}")
    second = answer_of(await api.refresh(first["refresh_token"]))
    assert second.keys() == first.keys()
    assert second["refresh_token"] != first["refresh_token"]
    assert await opens(api, Authorization=f"Bearer {second['access_token']}")


async def test_a_used_refresh_token_ends_its_whole_login_and_no_other(api: Api, cast: Cast) -> None:
    other = (await api.log_in(cast.owner)).json()
    first = (await api.log_in(cast.owner)).json()
    second = answer_of(await api.refresh(first["refresh_token"]))
    assert refused(await api.refresh(first["refresh_token"]))
    assert refused(await api.refresh(second["refresh_token"]))
    for token in (first["access_token"], second["access_token"]):
        assert not await opens(api, Authorization=f"Bearer {token}")
    assert await opens(api, Authorization=f"Bearer {other['access_token']}")
    assert (await api.refresh(other["refresh_token"])).status_code == 200


async def test_of_two_refreshes_at_once_one_wins_and_the_login_ends(api: Api, cast: Cast) -> None:
    login = (await api.log_in(cast.owner)).json()
    both = await asyncio.gather(*(api.refresh(login["refresh_token"]) for _ in range(2)))
    assert sorted(answer.status_code for answer in both) == [200, 400]
    won = next(answer.json() for answer in both if answer.status_code == 200)
    assert refused(await api.refresh(won["refresh_token"]))
    assert not await opens(api, Authorization=f"Bearer {won['access_token']}")


async def test_a_refresh_token_that_is_too_old_is_refused_and_ends_nothing_else(
    api: Api, cast: Cast, clock: FakeClock
) -> None:
    login = (await api.log_in(cast.owner)).json()
    clock.advance(timedelta(days=30))
    other = (await api.log_in(cast.owner)).json()
    assert refused(await api.refresh(login["refresh_token"]))
    assert await opens(api, Authorization=f"Bearer {other['access_token']}")


async def test_logins_that_nothing_can_renew_any_more_are_forgotten(
    api: Api, db: Database, cast: Cast, clock: FakeClock
) -> None:
    for _ in range(3):
        await api.log_in(cast.owner)
    clock.advance(timedelta(days=31))
    await api.log_in(cast.owner)
    async with db.autocommit() as connection:
        cursor = await connection.execute(
            "SELECT (SELECT count(*) FROM logins), (SELECT count(*) FROM refresh_tokens)"
        )
        assert await cursor.fetchone() == (1, 1)


async def test_the_database_holds_no_token(api: Api, db: Database, cast: Cast) -> None:
    login = (await api.log_in(cast.owner)).json()
    async with db.autocommit() as connection:
        cursor = await connection.execute(
            "SELECT refresh_tokens::text, logins::text FROM refresh_tokens, logins"
        )
        kept = str(await cursor.fetchall())
    assert login["refresh_token"] not in kept
    assert login["access_token"] not in kept


# ---------------------------------------------------------------- who comes with a token or a key


@pytest.mark.parametrize("word", ["Bearer ", "bearer ", "BEARER ", "bEaReR  ", ""])
async def test_a_token_and_a_key_open_with_and_without_the_word_bearer(
    api: Api, cast: Cast, word: str
) -> None:
    for text in (await api.token(cast.owner), cast.owner.api_key):
        assert await opens(api, Authorization=word + text)


@pytest.mark.parametrize("name", ["X-API-Key", "X-API-KEY", "x-api-key"])
async def test_an_api_key_opens_in_a_header_of_its_own(api: Api, cast: Cast, name: str) -> None:
    assert await opens(api, **{name: cast.owner.api_key})


async def test_a_good_key_counts_beside_an_authorization_that_is_no_key(api: Api, cast: Cast) -> None:
    assert await opens(api, **{"Authorization": "Basic eDp5", "X-API-Key": cast.owner.api_key})


@pytest.mark.parametrize(
    "text", ["", "Bearer", "Bearer ", "x", "x.y.z", "td_", "td_" + "a" * 43, "Lê", "a" * 9000, "Bearer \x7f"]
)
async def test_a_wrong_token_opens_nothing(api: Api, shop: Shop, text: str) -> None:
    headers = {b"Authorization": text.encode(), b"X-API-Key": text.encode()}
    for method, path in (
        ("POST", "/api/campaign/create"),
        ("GET", "/api/hotline/getAll"),
        ("GET", "/api/crm/historycall/getAll"),
        ("GET", BALANCE),
    ):
        response = await api.http.request(method, path, headers=headers, json=sample(shop))
        assert answer_of(response, 401) == ACCESS_WRONG


async def test_tokens_of_other_apis_and_platform_keys_open_nothing(
    api: Api, db: Database, cast: Cast, keyring: Keyring, clock: FakeClock
) -> None:
    async with db.transaction() as tx:
        aicc = await accounts.issue_token(tx, keyring, clock, cast.owner.secret, factories.SECRET_KIND)
        platform = await accounts.issue_platform_key(tx, "tests")
        vendor = await accounts.issue_vendor_key(
            tx, keyring, cast.owner.account_id, cast.owner.user.id, "interits", "k", now=clock.now()
        )
    for text in (aicc, platform.key, vendor[1]):
        assert not await opens(api, Authorization=f"Bearer {text}")


async def test_a_revoked_key_opens_nothing(api: Api, db: Database, cast: Cast) -> None:
    owner = cast.owner
    async with db.transaction() as tx:
        issued = await accounts.issue_api_key(tx, owner.account_id, owner.user.id, "CRM")
        await accounts.revoke_api_key(tx, owner.account_id, issued.id)
    assert not await opens(api, **bearer(issued.key))
