"""What is made to go wrong, before or after the thing is done."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import httpx
import pytest
from tests.emulator.callers import Caller, refresh
from tests.fakes.zalo import ACCESS_TOKEN, APP_ID, GET_TOKEN, GETOA, OA_ID, SEND, EmulatedZalo

pytestmark = pytest.mark.anyio


async def getoa(caller: Caller, **options: Any) -> httpx.Response:
    return await caller.http.get(GETOA, headers={"access_token": caller.access_token}, **options)


async def test_a_code_is_forced_as_a_number_or_in_quotes(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.force(GETOA, "error", code=-32, message="busy")
    await zalo.force(GETOA, "error", code=-204, quoted=True)
    assert (await getoa(caller)).json() == {"error": -32, "message": "busy"}
    assert (await getoa(caller)).json()["error"] == "-204"
    assert (await getoa(caller)).json()["error"] == 0


async def test_an_answer_may_be_empty_or_a_gateways_page_or_any_status_or_any_text(
    zalo: EmulatedZalo, caller: Caller
) -> None:
    for fault in ("empty", "html_504", {"kind": "status", "status": 503, "body": "x"}):
        await zalo.force(GETOA, fault)
    await zalo.force(GETOA, "body", body="[1", content_type="text/plain")
    empty, gateway, status, text = [await getoa(caller) for _ in range(4)]
    assert (empty.status_code, empty.content) == (200, b"")
    assert gateway.status_code == 504
    assert gateway.headers["content-type"].startswith("text/html")
    assert (status.status_code, status.text) == (503, "x")
    assert (text.status_code, text.text) == (200, "[1")


async def test_a_hang_lasts_until_the_caller_gives_up(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.force(GETOA, "hang")
    with pytest.raises(httpx.ReadTimeout):
        await getoa(caller, timeout=0.1)
    assert (await getoa(caller)).json()["error"] == 0


async def test_a_connection_is_reset(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.force(GETOA, "reset")
    reader, writer = await asyncio.open_connection("127.0.0.1", caller.http.base_url.port)
    writer.write(f"GET {GETOA} HTTP/1.1\r\nHost: zalo\r\n\r\n".encode())
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_half_a_body_ends_before_its_length(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.force(GETOA, "half_body")
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        await getoa(caller)


async def test_types_may_be_wrong_while_the_code_stays(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.force(GETOA, "wrong_types")
    await zalo.force(GET_TOKEN, "wrong_types")
    document = (await getoa(caller)).json()
    assert document["error"] == 0
    assert document["data"]["oa_id"] == [str(OA_ID)]
    assert document["data"]["is_verified"] == {"value": True}
    journey = await caller.journey()
    assert isinstance(journey["token"], list)


async def test_an_answer_may_be_slow(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.force(GETOA, "slow", delay_ms=100)
    with pytest.raises(httpx.ReadTimeout):
        await getoa(caller, timeout=0.05)
    await zalo.settings(delay_ms=100)
    with pytest.raises(httpx.ReadTimeout):
        await getoa(caller, timeout=0.05)


# ---------------------------------------------------------------- before and after


@pytest.mark.parametrize("fault", ["empty", "html_504", "reset", "hang"])
@pytest.mark.parametrize("after", [False, True])
async def test_a_refresh_is_consumed_only_by_a_fault_that_comes_after(
    zalo: EmulatedZalo, caller: Caller, fault: str, after: bool
) -> None:
    await zalo.force(ACCESS_TOKEN, fault, after=after)
    caller.http.timeout = 0.5
    with suppress(httpx.TransportError):
        lost = await refresh(caller.http, caller.refresh_token)
        assert b"access_token" not in lost.content
    assert await caller.code_of(GETOA) == (-220 if after else 0)
    again = await refresh(caller.http, caller.refresh_token)
    assert (again.content == b"") is after
    first = [one for one in await zalo.requests(ACCESS_TOKEN) if one["fault"] == fault]
    assert [one.get("was") for one in first] == (["fresh"] if after else [None])


async def test_a_refresh_whose_answer_was_cut_in_half_is_consumed(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.force(ACCESS_TOKEN, "half_body")
    with pytest.raises(httpx.RemoteProtocolError):
        await refresh(caller.http, caller.refresh_token)
    assert (await refresh(caller.http, caller.refresh_token)).content == b""


async def test_the_refresh_token_may_be_missing_from_an_answer(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.force(ACCESS_TOKEN, "missing_refresh_token")
    assert (await refresh(caller.http, caller.refresh_token)).json().keys() == {"access_token", "expires_in"}


async def test_a_message_is_sent_all_the_same_when_its_answer_is_lost(
    zalo: EmulatedZalo, caller: Caller
) -> None:
    await zalo.force(SEND, "reset", after=True)
    with pytest.raises(httpx.ReadError):
        await caller.send()
    await zalo.force(SEND, "reset")
    with pytest.raises(httpx.ReadError):
        await caller.send()
    assert (await zalo.state())["counts"]["messages"] == 1


# ---------------------------------------------------------------- which, and how often


async def test_a_fault_comes_as_often_as_it_is_told_at_its_path_alone(
    zalo: EmulatedZalo, caller: Caller
) -> None:
    await zalo.force(GETOA, "error", times=2)
    assert await caller.code_of("/quality") == 0
    assert [await caller.code_of(GETOA) for _ in range(3)] == [-100, -100, 0]


async def test_a_fault_without_a_path_comes_anywhere_but_at_the_control_surface(
    zalo: EmulatedZalo, caller: Caller
) -> None:
    await zalo.force(None, "error", times=2)
    assert [one["kind"] for one in await zalo.control("faults")] == ["error"]
    assert [await caller.code_of(path) for path in ("/quality", GETOA, GETOA)] == [-100, -100, 0]


async def test_a_fault_may_be_of_one_app(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.force(ACCESS_TOKEN, "error", app_id=99)
    await zalo.force(GETOA, "error", app_id=99)
    assert await caller.code_of(GETOA) == 0
    assert "access_token" in (await refresh(caller.http, caller.refresh_token)).json()
    await zalo.clear_faults()
    await zalo.force(ACCESS_TOKEN, "error", app_id=APP_ID)
    assert (await refresh(caller.http, "x")).json()["error"] == -100


async def test_faults_are_taken_back(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.force(None, "empty", times=50)
    await zalo.clear_faults()
    assert await caller.code_of(GETOA) == 0


async def test_a_hang_of_one_request_holds_up_no_other(zalo: EmulatedZalo, caller: Caller) -> None:
    await zalo.force("/quality", "hang")
    hanging = asyncio.create_task(caller.code_of("/quality"))
    async with asyncio.timeout(10):
        while not await zalo.requests("/quality"):
            assert await caller.code_of(GETOA) == 0
    assert not hanging.done()
    hanging.cancel()


async def test_a_fault_that_does_not_exist_is_refused(zalo: EmulatedZalo) -> None:
    with pytest.raises(httpx.HTTPStatusError) as failure:
        await zalo.force(GETOA, "earthquake")
    assert failure.value.response.status_code == 400
