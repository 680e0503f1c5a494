"""No account makes as many of anything as it likes: the database is there for the others, too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests import oas
from tests.fakes import zalo as fake
from tests.fakes.clock import FakeClock
from tests.oas import World

from tongdai.domain import zalo
from tongdai.domain.zalo import apps, permissions
from tongdai.domain.zalo.errors import LimitReachedError, PermissionRefusedError
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(db: Database, keyring: Keyring, clock: FakeClock) -> AsyncIterator[World]:
    async with oas.world(db, keyring, clock) as made:
        yield made


async def test_an_account_has_so_many_apps_and_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "MOST_APPS", 2)
    await world.page()
    await world.page(app_id=8)
    with pytest.raises(LimitReachedError):
        await world.page(app_id=9)
    with pytest.raises(LimitReachedError):
        async with world.db.transaction() as tx:
            await zalo.set_app(
                tx, world.bridge.keyring, world.owner.account_id, app_id=9, secret="a", now=world.clock.now()
            )
    await world.page(app_id=8, secret="another")
    await world.page(world.cast.stranger, app_id=9)
    assert await world.value("SELECT count(*) FROM zalo_apps WHERE app_id = 9") == 1


async def test_so_many_states_of_an_account_wait_and_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permissions, "MOST_WAITING", 2)
    first = await world.back()
    await world.page()
    with pytest.raises(LimitReachedError):
        await world.page()
    await world.page(world.cast.stranger)
    await world.come_back(first)
    await world.page()
    with pytest.raises(LimitReachedError):
        await zalo.renew_permission(world.bridge, world.owner.account_id, world.owner.user.id, fake.OA_ID)
    await world.advance(permissions.LIFE + timedelta(seconds=1))
    await world.page()


async def test_of_the_states_that_are_of_no_use_the_latest_are_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permissions, "MOST_WAITING", 3)
    for _ in range(6):
        back = await world.back()
        with pytest.raises(PermissionRefusedError):
            await world.come_back(back, code="wrong")
    kept = "SELECT count(*) FROM zalo_permissions WHERE account_id = %s"
    assert await world.value(kept, world.owner.account_id) <= 4
    assert (
        await world.value("SELECT max(state) FROM zalo_permissions WHERE state = %s", back.state) is not None
    )
