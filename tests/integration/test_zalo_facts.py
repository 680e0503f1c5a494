"""What Zalo says of Official Accounts is asked for hourly, and what changed is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests import oas
from tests.fakes.clock import FakeClock
from tests.oas import World

from tongdai.domain.zalo import Keeper, KeeperConfig, OaState, facts
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

pytestmark = pytest.mark.anyio

QUOTA = "/message/quota"
QUALITY = "/quality"


@pytest.fixture
async def world(db: Database, keyring: Keyring, clock: FakeClock) -> AsyncIterator[World]:
    async with oas.world(db, keyring, clock) as made:
        await made.connected()
        await made.listen()
        yield made


async def test_facts_are_asked_for_once_an_hour(world: World) -> None:
    await world.emulator.change_oa(name="Tên mới", followers=13_000)
    await world.advance(timedelta(minutes=47))
    assert await world.freshen() == 0
    await world.advance(timedelta(minutes=13))
    assert await world.freshen() == 1
    assert await world.freshen() == 0
    oa = await world.oa()
    assert (oa.name, oa.followers, oa.facts_at) == ("Tên mới", 13_000, world.clock.now())
    assert await world.told() == []


async def test_a_change_of_quota_or_quality_is_told_once(world: World) -> None:
    await world.emulator.change_oa(daily_quota=50_000)
    await world.advance(timedelta(hours=1))
    await world.freshen()
    assert (await world.oa()).daily_quota == 50_000
    assert await world.told() == ["zalo.oa.quota_changed"]
    await world.emulator.change_oa(quality="LOW")
    for _ in range(2):
        await world.advance(timedelta(hours=1))
        await world.freshen()
    assert (await world.oa()).current_quality == "LOW"
    assert await world.told() == ["zalo.oa.quota_changed", "zalo.oa.quality_changed"]


async def test_what_is_left_of_the_quota_is_what_zalo_says_less_what_is_under_way(world: World) -> None:
    await world.value("UPDATE zalo_quotas SET remaining = 500, in_flight = 3 RETURNING 1")
    await world.emulator.quota_left(100)
    await world.advance(timedelta(hours=1))
    await world.freshen()
    oa = await world.oa()
    assert (oa.daily_quota, oa.remaining_quota) == (20_000, 97)
    assert await world.told() == []


async def test_a_new_day_in_vietnam_begins_with_the_whole_quota(world: World) -> None:
    await world.value("UPDATE zalo_quotas SET remaining = 10, in_flight = 4 RETURNING 1")
    await world.advance(timedelta(hours=13, minutes=59))  # from ten in the morning there
    await facts.begin_day(world.bridge)
    assert (await world.oa()).remaining_quota == 10
    await world.advance(timedelta(minutes=1))
    await facts.begin_day(world.bridge)
    assert (await world.oa()).remaining_quota == 19_996


async def test_what_zalo_does_not_tell_is_asked_for_again_sooner_and_keeps_the_rest(world: World) -> None:
    await world.emulator.change_oa(followers=99)
    await world.emulator.force(QUALITY, "error", times=2, code=-135, message="OA may not send")
    await world.advance(timedelta(hours=1))
    assert await world.freshen() == 1
    oa = await world.oa()
    assert (oa.followers, oa.current_quality) == (99, "HIGH")
    assert "-135" in await world.value("SELECT facts_error FROM zalo_oas")
    pauses = []
    for _ in range(2):
        due = await world.value("SELECT facts_due_at FROM zalo_oas")
        pauses.append(due - world.clock.now())
        await world.advance(pauses[-1])
        assert await world.freshen() == 1
    assert timedelta(seconds=48) <= pauses[0] <= timedelta(minutes=1)
    assert timedelta(seconds=96) <= pauses[1] <= timedelta(minutes=2)
    assert await world.value("SELECT facts_error FROM zalo_oas") is None
    assert (await world.oa()).facts_at == world.clock.now()


async def test_a_token_that_is_over_is_renewed_on_the_way(world: World) -> None:
    await world.advance(timedelta(hours=25))
    assert await world.freshen() == 1
    assert (await world.oa()).facts_at == world.clock.now()
    assert len(await world.asked_to_refresh()) == 1


async def test_a_lapsed_consent_ends_the_questions(world: World) -> None:
    await world.emulator.revoke()
    await world.advance(timedelta(hours=1))
    assert await world.freshen() == 1
    assert (await world.oa()).state is OaState.NEEDS_CONSENT
    assert await world.told() == ["zalo.oa.needs_consent"]
    await world.advance(timedelta(hours=2))
    assert await world.freshen() == 0


async def test_three_processes_ask_once(world: World) -> None:
    await world.advance(timedelta(hours=1))
    before = len(await world.emulator.requests(QUOTA))
    counts = await asyncio.gather(*(facts.freshen_due(world.bridge) for _ in range(3)))
    assert sum(counts) == 1
    assert len(await world.emulator.requests(QUOTA)) == before + 1


async def test_the_keeper_keeps_tokens_and_facts_and_ends_what_it_began(world: World) -> None:
    before = await world.held()
    await world.advance(timedelta(hours=20))
    await world.emulator.settings(delay_ms=200)
    stop = asyncio.Event()
    running = asyncio.create_task(
        Keeper(world.bridge, KeeperConfig(poll_s=0.05, facts_poll_s=0.05)).run(stop)
    )
    await world.until_asked_to_refresh()
    stop.set()
    async with asyncio.timeout(15):
        await running
    assert (await world.held()).version == before.version + 1
    assert await world.works()
