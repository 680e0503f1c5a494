"""Workers killed at each step of a refresh: no Official Account loses its tokens but where Zalo has renewed
them and its answer was lost, and no refresh token is shown to Zalo after it took it (promise 13)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests import factories, oas
from tests.fakes import zalo
from tests.fakes.dialling import eventually
from tests.oas import World

from tongdai.domain.zalo import OaState
from tongdai.domain.zalo.refreshing import AT_ONCE, WAS_LOST
from tongdai.kit.clock import SystemClock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(600)]

OA_IDS = [7_000_000_000 + number for number in range(20)]
TURNS = int(os.environ.get("TONGDAI_TEST_KILLS", "2"))
"""How often a worker is killed at each step, in the midst of sixteen refreshes or more each time. Two in the
ordinary run, for its time; TONGDAI_TEST_KILLS=20 takes some four minutes."""


@pytest.fixture
async def world(db: Database) -> AsyncIterator[World]:
    """Twenty Official Accounts that are connected, and a customer's server that is told of them."""
    more = [{"oa_id": oa_id, "name": f"OA {oa_id}"} for oa_id in OA_IDS]
    async with oas.world(db, Keyring(factories.MASTER_KEY), SystemClock(), more=more) as made:
        await made.listen()
        for oa_id in OA_IDS:
            await made.connected(oa_id=oa_id)
        yield made


class Workers:
    """One worker at a time. It may be killed at any moment, and another follows."""

    def __init__(self, world: World, database_url: str, folder: Path) -> None:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("TONGDAI_")}
        self._environment: Mapping[str, str] = {
            **ours,
            "TONGDAI_DATABASE_URL": database_url,
            "TONGDAI_SECRET_KEY": factories.MASTER_KEY.hex(),
            "TONGDAI_DATA_DIR": str(folder),
            "TONGDAI_ZALO_OAUTH_URL": world.emulator.url,
            "TONGDAI_ZALO_OPENAPI_URL": world.emulator.url,
            "TONGDAI_ZALO_BUSINESS_URL": world.emulator.url,
        }
        self._log = folder / "worker.log"
        self._worker = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as output:
            command = [sys.executable, "-m", "tongdai", "serve", "--role", "worker"]
            return subprocess.Popen(command, env=dict(self._environment), stdout=output, stderr=output)

    def kill(self) -> None:
        self._worker.send_signal(signal.SIGKILL)
        self._worker.wait(30)

    def replace(self) -> None:
        self._worker = self._start()


@contextmanager
def working(world: World, database_url: str, folder: Path) -> Iterator[Workers]:
    workers = Workers(world, database_url, folder)
    try:
        yield workers
    finally:
        workers.kill()


# ---------------------------------------------------------------- time, and what became of it


async def run(world: World, sql: Any, *values: object) -> list[tuple[Any, ...]]:
    async with world.db.transaction() as tx:
        cursor = await tx.execute(sql, values)
        return await cursor.fetchall() if cursor.description else []


async def all_due(world: World) -> None:
    await run(world, "UPDATE zalo_oas SET refresh_due_at = now() WHERE state = 'connected'")


async def stored(world: World) -> dict[int, int]:
    """The version of each pair."""
    return dict(await run(world, "SELECT oa_id, tokens_version FROM zalo_oas"))


async def begun(world: World) -> set[int]:
    rows = await run(world, "SELECT oa_id FROM zalo_oas WHERE refresh_begun_at IS NOT NULL")
    return {row[0] for row in rows}


async def recovered(world: World, killed_at: datetime) -> None:
    """Wait until every refresh has come to an end. For what a dead worker had begun, half a minute passes at
    once, and so do pauses after failures."""

    async def ended() -> bool:
        await run(
            world, "UPDATE zalo_oas SET refresh_probe_at = now() WHERE refresh_begun_at < %s", killed_at
        )
        await run(
            world,
            """UPDATE zalo_oas SET refresh_due_at = now()
                WHERE refresh_begun_at IS NULL AND refresh_failures > 0""",
        )
        left = await world.value(
            """SELECT count(*) FROM zalo_oas
                WHERE state = 'connected' AND (refresh_begun_at IS NOT NULL OR refresh_due_at <= now())"""
        )
        return bool(left == 0)

    await eventually(ended, 60)


async def check_the_rest(world: World, lost: set[int]) -> None:
    """All are connected and work but the lost ones, which say why, and whose owner was told."""
    for oa_id in OA_IDS:
        oa = await world.oa(oa_id)
        if oa_id in lost:
            assert (oa.state, oa.reason) == (OaState.NEEDS_CONSENT, WAS_LOST)
        else:
            assert oa.state is OaState.CONNECTED
            assert await world.works(oa_id)
    told = await run(
        world,
        "SELECT payload ->> 'connection_id' FROM webhook_events WHERE type = 'zalo.oa.needs_consent'",
    )
    assert {(await world.oa(oa_id)).id for oa_id in lost} <= {int(row[0]) for row in told}
    assert [one for one in await world.asked_to_refresh() if one.get("was") == "consumed"] == []


async def granted_again(world: World, lost: set[int]) -> None:
    for oa_id in lost:
        await world.connected(oa_id=oa_id)
        assert await world.works(oa_id)


# ---------------------------------------------------------------- the three steps


async def test_killed_before_zalo_has_done_anything(world: World, database_url: str, tmp_path: Path) -> None:
    with working(world, database_url, tmp_path) as workers:
        for _ in range(TURNS):
            before = await stored(world)
            asked = len(await world.asked_to_refresh())
            await world.emulator.force(zalo.ACCESS_TOKEN, "hang", times=len(OA_IDS))
            await all_due(world)
            await world.until_asked_to_refresh(asked + AT_ONCE)
            workers.kill()
            killed_at = world.clock.now()
            victims = await begun(world)
            assert len(victims) == AT_ONCE
            await world.emulator.clear_faults()
            workers.replace()
            await recovered(world, killed_at)
            await check_the_rest(world, lost=set())
            assert await stored(world) == {oa_id: version + 1 for oa_id, version in before.items()}


async def test_killed_after_zalo_has_answered(world: World, database_url: str, tmp_path: Path) -> None:
    """By turns while the answer is on its way, and when it is there and not written yet."""
    with working(world, database_url, tmp_path) as workers:
        for turn in range(TURNS):
            step = ("on its way", "not written")[turn % 2]
            asked = len(await world.asked_to_refresh())
            if step == "on its way":
                await world.emulator.force(zalo.ACCESS_TOKEN, "hang", times=AT_ONCE, after=True)
                await all_due(world)
                await world.until_asked_to_refresh(asked + AT_ONCE)
                workers.kill()
            else:
                await world.emulator.force(zalo.ACCESS_TOKEN, "slow", times=len(OA_IDS), delay_ms=700)
                await all_due(world)
                await world.until_asked_to_refresh(asked + AT_ONCE)
                async with world.db.transaction() as tx:
                    await tx.execute("SELECT 1 FROM zalo_oas FOR UPDATE")
                    await eventually(lambda: waits_for_a_row(world), 4)
                    workers.kill()
            killed_at = world.clock.now()
            await world.emulator.clear_faults()
            victims = await begun(world)
            assert len(victims) == AT_ONCE
            workers.replace()
            await recovered(world, killed_at)
            await check_the_rest(world, lost=victims)
            await granted_again(world, victims)


async def waits_for_a_row(world: World) -> bool:
    """A worker has Zalo's answer and is about to write it."""
    waiting = await world.value(
        """SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
              AND query LIKE '%%SET access_token%%'"""
    )
    return bool(waiting > 0)


async def test_killed_after_the_row_was_written(world: World, database_url: str, tmp_path: Path) -> None:
    """The database says so at the moment when it is: what else the worker was about to write may be lost."""
    await run(
        world,
        """CREATE FUNCTION say_written() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN PERFORM pg_notify('written', NEW.oa_id::text); RETURN NULL; END $$""",
    )
    await run(
        world,
        """CREATE TRIGGER say_written AFTER UPDATE OF tokens_version ON zalo_oas
           FOR EACH ROW EXECUTE FUNCTION say_written()""",
    )
    async with await world.db.dedicated() as listener:
        await listener.execute("LISTEN written")
        with working(world, database_url, tmp_path) as workers:
            for _ in range(TURNS):
                before, asked = await stored(world), len(await world.asked_to_refresh())
                await all_due(world)
                async for _notice in listener.notifies(timeout=30, stop_after=len(OA_IDS) // 2):
                    pass
                workers.kill()
                killed_at = world.clock.now()
                lost = await begun(world) & await renewed_by_zalo(world, asked)
                written = {
                    oa_id for oa_id, version in (await stored(world)).items() if version > before[oa_id]
                }
                workers.replace()
                await recovered(world, killed_at)
                await check_the_rest(world, lost)
                after = await stored(world)
                assert all(after[oa_id] == before[oa_id] + 1 for oa_id in written)
                await granted_again(world, lost)
                async for _notice in listener.notifies(timeout=0.1):
                    pass


async def renewed_by_zalo(world: World, asked_before: int) -> set[int]:
    """Whose tokens Zalo renewed, when it has dealt with all that a dead worker had sent."""
    seen = -1

    async def quiet() -> bool:
        nonlocal seen
        before, seen = seen, len(await world.asked_to_refresh())
        return before == seen

    await eventually(quiet)
    asked = (await world.asked_to_refresh())[asked_before:]
    return {int(one["oa_id"]) for one in asked if "minted" in one}
