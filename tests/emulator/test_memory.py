"""What the emulator remembers over restarts and after being killed, and what it is told about itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.emulator.callers import Caller, connect, refresh
from tests.fakes.receiver import answer, receiving
from tests.fakes.zalo import (
    ACCESS_TOKEN,
    GETOA,
    OA_ID,
    EmulatedZalo,
    default_fixtures,
    plain_http,
    zalo_emulator,
)

from tongdai.adapters.zaloemulator import outbox, store
from tongdai.adapters.zaloemulator.exchange import encode
from tongdai.adapters.zaloemulator.fixtures import FixtureError
from tongdai.adapters.zaloemulator.store import StoreError

pytestmark = pytest.mark.anyio

JOURNEY_PATH = "/journey/check-token"


@contextmanager
def program(data: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`tongdai zalo-emulator` over a file, and its address."""
    command = [sys.executable, "-m", "tongdai", "zalo-emulator", "--port", "0", "--data", str(data)]
    process = subprocess.Popen(
        [*command, "--parent", str(os.getpid()), *words], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().split()[-1]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def test_tokens_journeys_and_the_log_outlive_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "zalo.sqlite"
    async with zalo_emulator(data=data) as zalo, plain_http(zalo.url) as http:
        caller = await connect(http)
        journey = await caller.journey()
        pair = (await refresh(http, caller.refresh_token)).json()
        asked = await zalo.requests()
    async with zalo_emulator(data=data) as zalo, plain_http(zalo.url) as http:
        later = Caller(http, pair["access_token"], pair["refresh_token"])
        assert await later.code_of(GETOA) == 0
        assert (await later.get(JOURNEY_PATH, journey_token=journey["token"]))["error"] == 0
        assert (await refresh(http, caller.refresh_token)).content == b""
        assert (await zalo.requests())[: len(asked)] == asked


async def test_the_clock_the_settings_and_the_quota_outlive_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "zalo.sqlite"
    async with zalo_emulator(data=data) as zalo, plain_http(zalo.url) as http:
        caller = await connect(http)
        await zalo.settings(night_rule=True, delivery_ms=7)
        await zalo.quota_left(11)
        await zalo.advance(60)
        before = (await zalo.state())["now_ms"]
    async with zalo_emulator(data=data) as zalo, plain_http(zalo.url) as http:
        state = await zalo.state()
        assert state["now_ms"] >= before
        assert (state["settings"]["night_rule"], state["settings"]["delivery_ms"]) == (True, 7)
        told = await Caller(http, caller.access_token, "").get("/message/quota")
        assert told["data"]["remainingQuota"] == 11


async def test_fixtures_are_merged_at_each_start_and_keep_what_they_leave_out(tmp_path: Path) -> None:
    data = tmp_path / "zalo.sqlite"
    async with zalo_emulator(data=data) as zalo:
        await zalo.change_oa(name="Tên mới", quality="LOW")
    only_the_name = {"oas": [{"oa_id": OA_ID, "name": "Tên cũ"}, {"oa_id": 5, "name": "Thêm"}]}
    async with zalo_emulator(only_the_name, data=data) as zalo:
        state = await zalo.state()
        oa = next(one for one in state["oas"] if one["oa_id"] == str(OA_ID))
        assert (oa["name"], oa["quality"]) == ("Tên cũ", "LOW")
        assert len(state["oas"]) == 4
        assert len(state["apps"]) == 1


async def test_webhooks_that_were_not_taken_are_sent_after_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "zalo.sqlite"
    async with receiving() as receiver:
        async with zalo_emulator(data=data) as zalo, plain_http(zalo.url) as http:
            await connect(http)
            await zalo.change_app(webhook_url=receiver.url("/hook"))
            receiver.answers["/hook"] = answer(500)
            await zalo.change_oa(daily_quota=1)
            await zalo.settle()
            receiver.answers["/hook"] = answer(200)
        async with zalo_emulator({}, data=data) as zalo:
            await zalo.advance(31)
            await zalo.settle()
        assert receiver.got[-1].headers["num_retry"] == "1"


async def test_one_file_is_of_one_emulator(tmp_path: Path) -> None:
    data = tmp_path / "zalo.sqlite"
    async with zalo_emulator(data=data):
        with pytest.raises(StoreError):
            async with zalo_emulator(data=data):
                pass
    with pytest.raises(StoreError):
        async with zalo_emulator(data="/proc/nowhere/zalo.sqlite"):
            pass


@pytest.mark.parametrize(
    "fixtures",
    [
        {"apps": [{"app_id": "x"}]},
        {"apps": [{"name": "no id"}]},
        {"oas": [{"oa_id": 1, "quality": "GOOD"}]},
        {"templates": [{"template_id": 1, "oa_id": 1, "colour": "red"}]},
        {"shops": []},
    ],
)
async def test_wrong_fixtures_are_refused_and_change_nothing(
    tmp_path: Path, fixtures: dict[str, Any]
) -> None:
    data = tmp_path / "zalo.sqlite"
    with pytest.raises(FixtureError):
        async with zalo_emulator(fixtures, data=data):
            pass
    async with zalo_emulator({}, data=data) as zalo:
        assert (await zalo.state())["apps"] == []


async def test_a_refresh_token_that_was_answered_stays_consumed_after_a_kill(tmp_path: Path) -> None:
    """Twenty refreshes; killed after every fifth, as soon as it was answered."""
    data = tmp_path / "zalo.sqlite"
    fixtures = tmp_path / "fixtures.json"
    fixtures.write_bytes(encode(default_fixtures()))
    token, consumed = "", []
    for _ in range(4):
        with program(data, "--fixtures", str(fixtures)) as (process, url):
            async with plain_http(url) as http:
                token = token or (await connect(http)).refresh_token
                for _ in range(5):
                    pair = (await refresh(http, token)).json()
                    consumed.append(token)
                    token = pair["refresh_token"]
                process.send_signal(signal.SIGKILL)
                process.wait()
    with program(data) as (_, url):
        async with plain_http(url) as http:
            zalo = EmulatedZalo(url)
            assert [(await refresh(http, one)).content for one in consumed] == [b""] * 20
            assert "access_token" in (await refresh(http, token)).json()
            asked = await zalo.requests(ACCESS_TOKEN)
            await zalo.close()
    assert [one.get("was") for one in asked if one["grant_type"] == "refresh_token"] == (
        ["fresh"] * 20 + ["consumed"] * 20 + ["fresh"]
    )


async def test_the_program_begins_with_an_example_and_ends_when_it_is_told(tmp_path: Path) -> None:
    with program(tmp_path / "new" / "zalo.sqlite", "--delay-ms", "1", "--delivery-ms", "5") as (process, url):
        async with plain_http(url) as http:
            state = (await http.get("/emulator/state")).json()
            assert len(state["apps"]) == 1
            assert (state["settings"]["delay_ms"], state["settings"]["delivery_ms"]) == (1, 5)
        process.terminate()
        assert process.wait(10) == 0


async def test_a_body_that_is_too_long_is_not_read(zalo: EmulatedZalo, caller: Caller) -> None:
    answered = await caller.http.post("/message/template", content=b"x" * (1024 * 1024 + 1))
    assert answered.status_code == 413


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"seconds":"x"}', b'{"seconds":-1}'])
async def test_the_control_surface_says_what_is_wrong(zalo: EmulatedZalo, body: bytes) -> None:
    async with plain_http(zalo.url) as http:
        answered = await http.post("/emulator/advance", content=body)
        assert answered.status_code == 400
        assert answered.json()["error"]
        assert (await http.get("/emulator/nothing")).status_code == 404


async def test_the_log_is_read_by_path_and_on_from_an_entry(zalo: EmulatedZalo, caller: Caller) -> None:
    await caller.code_of(GETOA)
    await caller.code_of("/quality")
    every = await zalo.requests()
    assert [one["path"] for one in await zalo.requests(GETOA)] == [GETOA]
    later = await zalo.control("requests", None, after=every[-2]["id"])
    assert [one["path"] for one in later] == ["/quality"]
    assert len(await zalo.control("requests", None, limit=1)) == 1


async def test_no_token_or_secret_is_in_the_log(zalo: EmulatedZalo, caller: Caller) -> None:
    await refresh(caller.http, caller.refresh_token)
    await caller.journey()
    written = str(await zalo.requests())
    for secret in (caller.access_token, caller.refresh_token, "khoa-bi-mat"):
        assert secret not in written


async def test_unsupported_calls_fail_as_http_errors_in_the_test_helper(zalo: EmulatedZalo) -> None:
    with pytest.raises(httpx.HTTPStatusError):
        await zalo.settings(nonsense=1)


async def test_the_log_forgets_its_oldest_requests_but_none_about_tokens(
    monkeypatch: pytest.MonkeyPatch, zalo: EmulatedZalo, caller: Caller
) -> None:
    monkeypatch.setattr(store, "TRIM_EVERY", 5)
    monkeypatch.setattr(store, "REQUESTS_KEPT", 3)
    before = [one["id"] for one in await zalo.requests(ACCESS_TOKEN)]
    for _ in range(20):
        await caller.code_of(GETOA)
    assert len(await zalo.requests(GETOA)) < 9
    assert [one["id"] for one in await zalo.requests(ACCESS_TOKEN)] == before


async def test_webhooks_that_were_taken_are_forgotten_in_time_and_those_due_never(
    monkeypatch: pytest.MonkeyPatch, zalo: EmulatedZalo, caller: Caller
) -> None:
    monkeypatch.setattr(outbox, "KEPT", 4)
    async with receiving() as receiver:
        await zalo.change_app(webhook_url=receiver.url("/hook"))
        receiver.answers["/hook"] = answer(500)
        await zalo.change_oa(daily_quota=1)
        await zalo.settle()
        receiver.answers["/hook"] = answer(200)
        for quota in range(2, 20):
            await zalo.change_oa(daily_quota=quota)
            await zalo.settle()
    kept = await zalo.webhooks()
    assert [one["state"] for one in kept].count("due") == 1
    assert len(kept) < 10
