"""Calls out, calls in and transfers of both cross on one line of one account, whose caps all of them lock."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.desk import Desk
from tests.fakes.answering import answering, transfer
from tests.fakes.carrier import CarrierProcess
from tests.fakes.dialling import eventually, rows
from tests.integration.test_dialer_money import prepaid, wallet
from tests.integration.test_transfers import Office

from tongdai.adapters.sandbox.engine import SandboxEngine
from tongdai.adapters.sandbox.log import invited_more_than_once
from tongdai.domain import inbound, scripts

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

CALLS = 20
CHANNELS = 12
LISTENS, RINGS_OUT, BUSY = "0912345001", "0912345002", "0912345003"


async def test_calls_both_ways_and_their_transfers_wait_for_one_another_and_never_in_a_circle(
    desk: Desk, tmp_path: Path
) -> None:
    await prepaid(desk, 200_000)
    office = Office(desk)
    await office.open(BUSY, LISTENS, strategy="all", max_channels=CHANNELS, ring_s=14)
    async with desk.db.transaction() as tx:
        body = transfer(BUSY, LISTENS, ring_s=10)
        script = await scripts.create_script(tx, desk.owner.account_id, "trả lời", body)
        version = await inbound.answering_script(tx, desk.owner.account_id, script.id)
        await tx.execute(
            "UPDATE hotlines SET inbound_script_id = %s, inbound_script_version = %s", [script.id, version]
        )
    with CarrierProcess(tmp_path, speed=20.0) as carrier:
        outside = SandboxEngine(carrier.address)
        await outside.start()
        async with AsyncExitStack() as dialers:
            for _ in range(3):
                engine = SandboxEngine(carrier.address)
                await dialers.enter_async_context(answering(desk.db, desk.keyring, {"sandbox": engine}))
            numbers = [f"09123{n:02d}001" for n in range(CALLS)]
            await desk.give(office.campaign_id, *numbers)
            await eventually(lambda: _is_reachable(outside))
            for number in numbers:
                await outside.place(office.trunk_id, number, "02473001234", stays_s=20.0)
                await asyncio.sleep(0)
            await eventually(desk.all_done, 90)

            async def all_ended() -> bool:
                found = await rows(desk.db, "SELECT count(*) FROM legs WHERE state <> 'ended'")
                return found == [(0,)]

            await eventually(all_ended, 60)
        await outside.stop()
        lines = carrier.lines()
    assert invited_more_than_once(lines) == {}
    assert await rows(desk.db, "SELECT live FROM limits WHERE live <> 0") == []
    kinds = await rows(desk.db, "SELECT DISTINCT kind FROM legs ORDER BY kind")
    assert [kind for (kind,) in kinds] == ["inbound", "outbound", "transfer"]
    balance, reserved = await wallet(desk)
    [(spent,)] = await rows(desk.db, "SELECT -sum(amount) FROM ledger WHERE kind <> 'top_up'")
    assert (balance, reserved) == (200_000 - spent, 0)
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert await rows(desk.db, deadlocks) == [(0,)]


async def _is_reachable(engine: SandboxEngine) -> bool:
    return engine.reachable
