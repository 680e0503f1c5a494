"""The OA API: profile, states of app and OA, proof and limit."""

from __future__ import annotations

import hashlib
import hmac
import time

import httpx
import pytest
from tests.emulator.callers import Caller
from tests.fakes.zalo import APP_SECRET, GETOA, OA_ID, EmulatedZalo

from tongdai.adapters.zaloemulator.access import proof_of

pytestmark = pytest.mark.anyio


async def test_the_profile_has_zalos_names_and_types(caller: Caller) -> None:
    data = (await caller.get(GETOA))["data"]
    assert data["oa_id"] == data["oaid"] == str(OA_ID)
    assert data["linked_ZCA"] == data["linked_zca"] == "ZCA-1"
    assert data["is_verified"] is True
    assert (data["oa_type"], data["num_follower"]) == (2, 12_846)
    assert data["package_valid_through_date"] == "31/12/2026"


@pytest.mark.parametrize(
    ("app", "oa", "error"),
    [
        ({"removed": True}, {}, -219),
        ({"active": False}, {}, -209),
        ({"api_registered": False}, {}, -212),
        ({}, {"disabled": True}, -204),
    ],
)
async def test_an_app_or_oa_in_a_wrong_state_is_refused(
    zalo: EmulatedZalo, caller: Caller, app: dict[str, bool], oa: dict[str, bool], error: int
) -> None:
    await zalo.change_app(**app)
    await zalo.change_oa(**oa)
    assert await caller.code_of(GETOA) == error


async def test_an_access_token_that_never_was_is_invalid(http: httpx.AsyncClient) -> None:
    assert await Caller(http, "never", "").code_of(GETOA) == -216
    assert await Caller(http, "never", "").code_of("/quality") == -124
    assert (await http.get("/quality")).json()["error"] == -124


def test_a_proof_is_made_as_the_sdks_make_it() -> None:
    proof = proof_of("app-secret-sample", "access-token-sample")
    assert proof == "0aa0564f59ebec62fcbae36e1774d14402f40e68085ba6e5c91ac38c46f31122"


async def test_a_proof_is_required_where_the_app_says_so_and_verified_everywhere(
    zalo: EmulatedZalo, caller: Caller
) -> None:
    right = hmac.new(APP_SECRET.encode(), caller.access_token.encode(), hashlib.sha256).hexdigest()
    assert (await caller.get(GETOA, appsecret_proof="0" * 64))["error"] == -242
    assert (await caller.get("/quality", appsecret_proof=""))["error"] == -1241
    await zalo.change_app(require_proof=True)
    assert await caller.code_of(GETOA) == -242
    assert await caller.code_of("/quality") == -1241
    assert (await caller.get(GETOA, appsecret_proof=right))["error"] == 0
    assert (await caller.get("/quality", appsecret_proof=right))["error"] == 0


async def test_the_limit_of_a_minute_is_told_and_kept_and_over_in_the_next(
    zalo: EmulatedZalo, caller: Caller
) -> None:
    await zalo.change_app(rate_limit=2)
    # To the beginning of a minute of the emulator's clock, which goes on from the world's.
    await zalo.advance(120 - time.time() % 60)
    told = []
    for _ in range(3):
        answer = await caller.http.get(GETOA, headers={"access_token": caller.access_token})
        told.append((answer.json()["error"], answer.headers["x-ratelimit-remain"]))
        assert answer.headers["x-ratelimit-limit"] == "2"
    assert told == [(0, "1"), (0, "0"), (-32, "0")]
    await zalo.advance(60)
    assert await caller.code_of(GETOA) == 0


async def test_messages_are_not_in_the_bucket_of_the_oa_api(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.change_app(rate_limit=0)
    assert await caller.code_of(GETOA) == -32
    await caller.sent()
    await zalo.change_app(business_rate_limit=0)
    assert (await caller.send())["error"] == -32


@pytest.mark.parametrize("path", ["/v2.0/oa/nothing", "/nothing", "/v3.0/oa/message/cs"])
async def test_an_unknown_path_is_an_error_in_http_200(caller: Caller, path: str) -> None:
    answer = await caller.get(path)
    assert (answer["error"], answer["message"]) == (404, "You are accessing an empty or invalid API")


async def test_a_wrong_method_is_unsupported(caller: Caller) -> None:
    assert await caller.code_of("/message/template") == -106


@pytest.mark.parametrize("name", ["access_token", "appsecret_proof", "journey_token", "secret_key"])
async def test_a_header_of_any_bytes_is_refused_and_breaks_nothing(caller: Caller, name: str) -> None:
    for path in ("/v2.0/oa/getoa", "/journey/check-token", "/v4/oa/access_token"):
        headers = {b"access_token": caller.access_token.encode(), name.encode(): b"\xff\xfe\xe9"}
        method = "POST" if path.startswith("/v4") else "GET"
        answer = await caller.http.request(method, path, headers=headers)
        assert answer.status_code == 200
        assert answer.json()["error"] != 0 or (path == GETOA and name in ("journey_token", "secret_key"))


@pytest.mark.parametrize("query", ["message_id=%ff%fe", "message_id=%ed%a0%80", "message_id=%00"])
async def test_a_query_of_any_bytes_is_refused_and_breaks_nothing(caller: Caller, query: str) -> None:
    assert (await caller.get(f"/message/status?{query}"))["error"] != 0


async def test_a_path_of_any_bytes_is_unknown(caller: Caller) -> None:
    assert await caller.code_of("/%ff%ed%a0%80" + "x" * 4000) == 404
