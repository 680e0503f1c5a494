"""The life of codes, access tokens and refresh tokens."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx
import pytest
from tests.emulator.callers import Caller, ask_tokens, connect, exchange, permission_url, refresh
from tests.fakes.zalo import ACCESS_TOKEN, APP_ID, GETOA, OA_ID, EmulatedZalo, default_fixtures, grant

pytestmark = pytest.mark.anyio

# The pair of RFC 7636, appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
DAY_S = 86_400


async def code_for(http: httpx.AsyncClient, **told: Any) -> str:
    return (await grant(permission_url(http, **told), OA_ID))["code"]


async def test_tokens_come_flat_with_a_quoted_life_and_no_error_key(http: httpx.AsyncClient) -> None:
    answer = await exchange(http, await code_for(http))
    assert answer.status_code == 200
    assert answer.json().keys() == {"access_token", "refresh_token", "expires_in"}
    assert answer.json()["expires_in"] == "90000"


async def test_a_code_works_once(http: httpx.AsyncClient) -> None:
    code = await code_for(http)
    assert "access_token" in (await exchange(http, code)).json()
    assert (await exchange(http, code)).json()["error"] == -14005


async def test_a_code_lives_for_ten_minutes(zalo: EmulatedZalo, http: httpx.AsyncClient) -> None:
    young, old = await code_for(http), await code_for(http)
    await zalo.advance(590)
    assert "access_token" in (await exchange(http, young)).json()
    await zalo.advance(11)
    assert (await exchange(http, old)).json()["error"] == -14019


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"app_id": "77"}, -14002),
        ({"secret": "wrong"}, -14004),
        ({"grant_type": "password"}, -14018),
        ({"grant_type": "authorization_code", "code": "unknown"}, -14005),
        ({"grant_type": "refresh_token", "refresh_token": "unknown"}, -14014),
        ({}, -14018),
    ],
)
async def test_token_errors_are_http_200_with_a_name_and_no_message(
    http: httpx.AsyncClient, told: dict[str, str], error: int
) -> None:
    answer = await ask_tokens(http, **told)
    assert answer.status_code == 200
    assert answer.json()["error"] == error
    assert answer.json()["error_name"]
    assert "message" not in answer.json()


async def test_a_refresh_gives_a_new_pair_and_kills_the_access_token_of_before(
    http: httpx.AsyncClient, caller: Caller
) -> None:
    pair = (await refresh(http, caller.refresh_token)).json()
    assert pair.keys() == {"access_token", "refresh_token", "expires_in"}
    assert await caller.code_of(GETOA) == -220
    assert await caller.code_of("/message/quota") == -124
    fresh = Caller(http, pair["access_token"], pair["refresh_token"])
    assert await fresh.code_of(GETOA) == 0


async def test_a_consumed_refresh_token_is_answered_with_nothing_and_changes_nothing(
    http: httpx.AsyncClient, caller: Caller
) -> None:
    pair = (await refresh(http, caller.refresh_token)).json()
    again = await refresh(http, caller.refresh_token)
    assert (again.status_code, again.content) == (200, b"")
    assert await Caller(http, pair["access_token"], "").code_of(GETOA) == 0


async def test_a_consumed_refresh_token_may_be_called_invalid_instead(
    zalo: EmulatedZalo, http: httpx.AsyncClient, caller: Caller
) -> None:
    await zalo.settings(consumed_is_empty=False)
    await refresh(http, caller.refresh_token)
    assert (await refresh(http, caller.refresh_token)).json()["error"] == -14014


async def test_an_access_token_lives_for_25_hours(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.advance(89_990)
    assert await caller.code_of(GETOA) == 0
    await zalo.advance(11)
    assert await caller.code_of(GETOA) == -220


async def test_a_refresh_token_lives_for_90_days_from_its_own_issue(
    zalo: EmulatedZalo, http: httpx.AsyncClient, caller: Caller
) -> None:
    await zalo.advance(89 * DAY_S)
    second = (await refresh(http, caller.refresh_token)).json()["refresh_token"]
    await zalo.advance(89 * DAY_S)
    third = (await refresh(http, second)).json()["refresh_token"]
    await zalo.advance(90 * DAY_S)
    assert (await refresh(http, third)).json()["error"] == -14020


async def test_a_refresh_token_of_another_app_is_unknown_and_stays_good(
    zalo: EmulatedZalo, http: httpx.AsyncClient, caller: Caller
) -> None:
    await zalo.change_app(app_id=99, secret="other")
    other = await refresh(http, caller.refresh_token, app_id="99", secret="other")
    assert other.json()["error"] == -14014
    assert "access_token" in (await refresh(http, caller.refresh_token)).json()


async def test_two_refreshes_at_once_give_one_pair(http: httpx.AsyncClient, caller: Caller) -> None:
    import asyncio

    answers = await asyncio.gather(*(refresh(http, caller.refresh_token) for _ in range(8)))
    assert sorted(len(answer.content) > 0 for answer in answers) == [False] * 7 + [True]


async def test_a_withdrawn_consent_kills_all_tokens(
    zalo: EmulatedZalo, http: httpx.AsyncClient, caller: Caller
) -> None:
    await zalo.revoke()
    assert await caller.code_of(GETOA) == -220
    assert (await refresh(http, caller.refresh_token)).json()["error"] == -14014


async def test_other_callback_addresses_end_every_consent(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.change_app(callback_urls=["https://new.example/back"])
    assert await caller.code_of("/message/quota") == -124


async def test_the_log_tells_what_each_refresh_token_was(
    zalo: EmulatedZalo, http: httpx.AsyncClient, caller: Caller
) -> None:
    for token in (caller.refresh_token, caller.refresh_token, "never-seen"):
        await refresh(http, token)
    asked = [one for one in await zalo.requests(ACCESS_TOKEN) if one["grant_type"] == "refresh_token"]
    assert [one["was"] for one in asked] == ["fresh", "consumed", "unknown"]
    assert asked[0]["refresh_token"] == hashlib.sha256(caller.refresh_token.encode()).hexdigest()
    assert (asked[0]["app_id"], asked[0]["oa_id"]) == (str(APP_ID), str(OA_ID))
    assert caller.refresh_token not in str(asked)


# ---------------------------------------------------------------- PKCE


async def test_a_challenge_of_the_address_wants_its_own_verifier(http: httpx.AsyncClient) -> None:
    code = await code_for(http, code_challenge=CHALLENGE)
    for wrong in ({}, {"code_verifier": "x" * 43}):
        refused = (await exchange(http, code, **wrong)).json()
        assert refused["error"] == -14005
        assert "code_verifier" in refused["error_reason"]
    assert "access_token" in (await exchange(http, code, code_verifier=VERIFIER)).json()


async def test_without_a_challenge_no_verifier_is_asked_for(http: httpx.AsyncClient) -> None:
    assert "access_token" in (await exchange(http, await code_for(http))).json()


async def test_a_challenge_that_the_console_holds_counts_instead_of_the_one_of_the_address(
    zalo: EmulatedZalo, http: httpx.AsyncClient
) -> None:
    await zalo.change_app(pkce="fixed", code_challenge=CHALLENGE)
    code = await code_for(http, code_challenge="of-this-request-alone")
    assert (await exchange(http, code, code_verifier="x" * 43)).json()["error"] == -14005
    assert "access_token" in (await exchange(http, code, code_verifier=VERIFIER)).json()


async def test_an_app_without_pkce_looks_at_no_verifier(zalo: EmulatedZalo, http: httpx.AsyncClient) -> None:
    await zalo.change_app(pkce="none")
    code = await code_for(http, code_challenge=CHALLENGE)
    assert "access_token" in (await exchange(http, code, code_verifier="x" * 43)).json()


async def test_an_app_that_checks_no_secret_needs_a_challenge(
    zalo: EmulatedZalo, http: httpx.AsyncClient
) -> None:
    await zalo.change_app(check_secret_key=False)
    assert (await exchange(http, await code_for(http), secret="")).json()["error"] == -14005
    code = await code_for(http, code_challenge=CHALLENGE)
    assert "access_token" in (await exchange(http, code, code_verifier=VERIFIER, secret="")).json()


async def test_ids_may_be_quoted_in_fixtures(zalo: EmulatedZalo, http: httpx.AsyncClient) -> None:
    document = default_fixtures()
    document["apps"][0]["app_id"] = str(APP_ID)
    await zalo.control("fixtures", document)
    assert await (await connect(http)).code_of(GETOA) == 0
