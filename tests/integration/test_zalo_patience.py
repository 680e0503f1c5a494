"""Whoever waits for something at Zalo takes little from those who do not: many who wait are no burden."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests import oas
from tests.fakes import zalo as fake
from tests.fakes.clock import FakeClock
from tests.fakes.dialling import eventually
from tests.oas import World

from tongdai.domain import zalo
from tongdai.domain.zalo import attempting, journey_making, refreshing, templates
from tongdai.domain.zalo.store import journeys as journey_store
from tongdai.domain.zalo.store import refreshing as refresh_store
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.zalo import ZaloAwayError, ZaloSilentError

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(db: Database, keyring: Keyring, clock: FakeClock) -> AsyncIterator[World]:
    async with oas.world(db, keyring, clock) as made:
        await made.connected()
        yield made


def counted(work: Callable[..., Awaitable[Any]], calls: list[int]) -> Callable[..., Awaitable[Any]]:
    async def call(*given: Any, **named: Any) -> Any:
        calls.append(1)
        return await work(*given, **named)

    return call


async def test_who_waits_for_the_renewal_of_another_looks_less_and_less_often(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    monkeypatch.setattr(refreshing, "WAIT_S", 1.2)
    monkeypatch.setattr(refresh_store, "stand", counted(refresh_store.stand, looks))
    held = await world.held()
    async with world.db.transaction() as tx:
        begun = await refresh_store.begin_one(
            tx, held.account_id, held.oa_ref, held.version, world.clock.now(), attempting.PROBE_AFTER
        )
    assert begun is not None
    with pytest.raises(ZaloAwayError):
        await refreshing.renew(world.bridge, held.account_id, held.oa_ref, held.version)
    assert 2 <= len(looks) <= 7


async def test_who_waits_for_the_first_request_of_a_key_looks_less_and_less_often(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    monkeypatch.setattr(journey_making, "_KEY_WAIT_S", 1.0)
    monkeypatch.setattr(journey_store, "begin_key", counted(journey_store.begin_key, looks))
    await world.emulator.force(fake.GET_TOKEN, "hang")

    async def make() -> zalo.Journey:
        return await zalo.create_journey(
            world.bridge,
            world.owner.account_id,
            world.owner.user.id,
            oa_id=fake.OA_ID,
            phone="0912345001",
            idempotency_key="one",
        )

    first = asyncio.create_task(make())

    async def begun() -> bool:
        return bool(looks)

    await eventually(begun)
    second = asyncio.create_task(make())
    await asyncio.wait([first, second])
    assert 2 <= len(looks) <= 9
    for task in (first, second):
        task.exception()


async def templates_of(world: World) -> zalo.Page[zalo.ZnsTemplate]:
    return await zalo.list_templates(
        world.bridge, world.owner.account_id, zalo.TemplateFilter(), zalo.Paging(limit=100)
    )


async def test_a_list_of_templates_waits_for_zalo_once_however_many_it_has(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "READ_S", 0.6)
    await world.emulator.settings(delay_ms=200)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    first = await templates_of(world)
    assert loop.time() - begun < 2
    assert len(first.items) > 0
    await world.emulator.settings(delay_ms=0)
    second = await templates_of(world)
    assert all(one.tag for one in second.items)


async def test_a_list_of_templates_that_zalo_does_not_end_is_an_error_in_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "READ_S", 0.3)
    await world.emulator.settings(delay_ms=900)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(ZaloSilentError):
        await templates_of(world)
    assert loop.time() - begun < 0.8


async def test_a_list_of_templates_that_begins_again_and_again_is_read_once(world: World) -> None:
    same = [{"templateId": 900_000 + n, "templateName": f"Mẫu {n}"} for n in range(150)]
    body = json.dumps({"error": 0, "message": "Success", "data": same, "metadata": {"total": 10**9}})
    await world.emulator.force("/template/all", "body", times=50, body=body, content_type="application/json")
    await templates_of(world)
    assert len(await world.emulator.requests("/template/all")) == 2
    assert await world.value("SELECT count(*) FROM zalo_templates") == 100
