"""Whoever asks Zalo over an Official Account has a token that is good, or is told why not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests import oas
from tests.fakes import zalo
from tests.fakes.clock import FakeClock
from tests.oas import World

from tongdai.domain.zalo import (
    ConsentLapsedError,
    HeldOa,
    OaNotFoundError,
    OaNotNamedError,
    OaState,
    ask,
    attempting,
    held_oa,
    refreshing,
)
from tongdai.domain.zalo.store import refreshing as store
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.zalo import Access, Profile, ZaloAwayError, ZaloRefusedError

pytestmark = pytest.mark.anyio

RUN_OUT = timedelta(hours=25)


@pytest.fixture
async def world(db: Database, keyring: Keyring, clock: FakeClock) -> AsyncIterator[World]:
    async with oas.world(db, keyring, clock) as made:
        await made.connected()
        yield made


async def profile(world: World, held: HeldOa) -> Profile:
    return await ask(world.bridge, held, world.bridge.client.profile)


async def test_a_good_token_is_used_as_it_is(world: World) -> None:
    assert (await profile(world, await world.held())).oa_id == zalo.OA_ID
    assert await world.asked_to_refresh() == []


async def test_a_token_that_is_over_is_renewed_and_the_question_asked_once_more(world: World) -> None:
    held = await world.held()
    await world.advance(RUN_OUT)
    assert (await profile(world, held)).oa_id == zalo.OA_ID
    assert (await world.held()).version == held.version + 1
    assert len(await world.asked_to_refresh()) == 1


async def test_thirty_who_ask_at_once_with_a_token_that_is_over_renew_it_once(world: World) -> None:
    held = await world.held()
    await world.advance(RUN_OUT)
    await world.emulator.settings(delay_ms=50)
    said = await asyncio.gather(*(profile(world, held) for _ in range(30)))
    assert {one.oa_id for one in said} == {zalo.OA_ID}
    assert [one["was"] for one in await world.asked_to_refresh()] == ["fresh"]


async def test_who_holds_an_older_token_takes_the_newer_one_without_another_renewal(world: World) -> None:
    held = await world.held()
    await world.advance(timedelta(hours=20))
    await world.refresh()
    assert (await profile(world, held)).oa_id == zalo.OA_ID
    assert len(await world.asked_to_refresh()) == 1


async def test_a_consent_that_has_lapsed_is_told_to_who_asks(world: World) -> None:
    held = await world.held()
    await world.listen()
    await world.emulator.revoke()
    with pytest.raises(ConsentLapsedError):
        await profile(world, held)
    assert (await world.oa()).state is OaState.NEEDS_CONSENT
    assert await world.told() == ["zalo.oa.needs_consent"]
    with pytest.raises(ConsentLapsedError):
        await profile(world, await world.held())
    assert len(await world.asked_to_refresh()) == 1


async def test_while_another_process_renews_it_who_asks_waits_for_that(world: World) -> None:
    held = await world.held()
    await world.advance(RUN_OUT)
    async with world.db.transaction() as tx:
        begun = await store.begin_one(
            tx, held.account_id, held.oa_ref, held.version, world.clock.now(), attempting.PROBE_AFTER
        )
    assert begun is not None
    waiting = asyncio.create_task(profile(world, held))
    await attempting.attempt(world.bridge, begun, asyncio.get_running_loop().time())
    assert (await waiting).oa_id == zalo.OA_ID
    assert len(await world.asked_to_refresh()) == 1


async def test_who_waited_in_vain_may_ask_again_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refreshing, "WAIT_S", 0.3)
    held = await world.held()
    await world.advance(RUN_OUT)
    await world.emulator.force(zalo.ACCESS_TOKEN, "reset")
    for _ in range(2):  # the first tries, the second finds that its outcome is not known
        with pytest.raises(ZaloAwayError):
            await profile(world, held)
    assert len(await world.asked_to_refresh()) == 1


async def test_while_a_failure_is_waited_out_nobody_renews(world: World) -> None:
    held = await world.held()
    await world.advance(RUN_OUT)
    await world.emulator.force(zalo.ACCESS_TOKEN, "error", code=-32, message="limit")
    for _ in range(3):
        with pytest.raises(ZaloAwayError):
            await profile(world, held)
    assert len(await world.asked_to_refresh()) == 1
    await world.advance(timedelta(seconds=30))
    assert (await profile(world, held)).oa_id == zalo.OA_ID


async def test_a_new_token_that_is_refused_too_is_not_renewed_by_every_request(world: World) -> None:
    await world.emulator.force(zalo.GETOA, "error", times=20, code=-216, message="Access token is invalid")
    for _ in range(3):
        with pytest.raises((ZaloRefusedError, ZaloAwayError)):
            await profile(world, await world.held())
    assert len(await world.asked_to_refresh()) == 1


async def test_other_refusals_are_told_as_they_are(world: World) -> None:
    await world.emulator.force(zalo.GETOA, "error", code=-204, message="OA is disable")
    with pytest.raises(ZaloRefusedError) as refused:
        await profile(world, await world.held())
    assert refused.value.code == -204
    assert await world.asked_to_refresh() == []


async def test_the_app_proves_itself_where_it_is_switched_on(world: World) -> None:
    assert (await world.held()).access == Access(await token(world), zalo.APP_ID, None)
    await world.value("UPDATE zalo_apps SET use_proof = true RETURNING 1")
    await world.emulator.change_app(require_proof=True)
    assert (await world.held()).access == Access(await token(world), zalo.APP_ID, zalo.APP_SECRET)
    assert await world.works()


async def token(world: World) -> str:
    access = (await world.held()).access
    assert access is not None
    return access.token


async def test_a_strangers_official_account_is_unknown(world: World) -> None:
    with pytest.raises(OaNotFoundError):
        await world.held(person=world.cast.stranger)
    held = await world.held()
    with pytest.raises(OaNotFoundError):
        await refreshing.renew(world.bridge, world.cast.stranger.account_id, held.oa_ref, held.version)
    assert await world.asked_to_refresh() == []


async def test_without_a_name_the_only_connected_one_is_meant(world: World) -> None:
    async def meant() -> HeldOa:
        async with world.db.transaction() as tx:
            return await held_oa(tx, world.bridge.keyring, world.owner.account_id, None)

    assert (await meant()).oa_id == zalo.OA_ID
    await world.connected(oa_id=zalo.SECOND_OA_ID)
    with pytest.raises(OaNotNamedError):
        await meant()
    await world.emulator.revoke(oa_id=zalo.OA_ID)
    with pytest.raises(ConsentLapsedError):
        await profile(world, await world.held())
    assert (await meant()).oa_id == zalo.SECOND_OA_ID
    await world.value(
        "UPDATE zalo_oas SET state = 'disconnected' WHERE oa_id = %s RETURNING 1", zalo.SECOND_OA_ID
    )
    assert (await meant()).state is OaState.NEEDS_CONSENT
    await world.value("UPDATE zalo_oas SET state = 'disconnected' RETURNING 1")
    with pytest.raises(OaNotNamedError):
        await meant()
