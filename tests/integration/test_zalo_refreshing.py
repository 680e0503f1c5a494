"""Tokens are renewed in time and once; a refresh token is never lost, and never used twice (promise 13)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests import oas
from tests.fakes import zalo
from tests.fakes.clock import FakeClock
from tests.oas import World

from tongdai.domain.zalo import Bridge, OaState, attempting, disconnect, refreshing
from tongdai.domain.zalo.store import refreshing as store
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.zalo import ACCESS_LIFE, Refusal, ZaloRefusedError

pytestmark = pytest.mark.anyio

DUE = timedelta(hours=20)
ANSWERS_LOST = ["hang", "empty", "html_504", "reset", "half_body", "wrong_types"]
NOT_DONE = ["hang", "html_504", "reset"]


@pytest.fixture
async def world(db: Database, keyring: Keyring, clock: FakeClock) -> AsyncIterator[World]:
    async with oas.world(db, keyring, clock) as made:
        yield made


@pytest.fixture
async def held(world: World) -> World:
    """With an Official Account that is due, and a customer's server that is told."""
    await world.connected()
    await world.listen()
    await world.advance(DUE)
    return world


async def begun(world: World) -> bool:
    return bool(await world.value("SELECT refresh_begun_at IS NOT NULL FROM zalo_oas"))


async def presented_twice(world: World) -> list[str]:
    """Refresh tokens that Zalo was shown after it had taken them."""
    return [one["refresh_token"] for one in await world.asked_to_refresh() if one.get("was") == "consumed"]


# ---------------------------------------------------------------- in time


async def test_tokens_are_renewed_five_hours_before_they_run_out(world: World) -> None:
    before = await world.connected()
    await world.advance(timedelta(hours=18, minutes=59))
    assert await world.refresh() == 0
    await world.advance(timedelta(hours=1, minutes=1))
    assert await world.refresh() == 1
    after = await world.oa()
    assert after.state is OaState.CONNECTED
    assert after.refreshed_at == world.clock.now()
    assert after.access_expires_at == world.clock.now() + ACCESS_LIFE
    assert before.expires_at is not None
    assert after.expires_at == before.expires_at + DUE
    assert await world.works()
    assert await world.refresh() == 0
    assert [one["was"] for one in await world.asked_to_refresh()] == ["fresh"]


async def test_renewals_of_one_hour_are_spread_over_an_hour() -> None:
    now = FakeClock().now()
    times = {attempting.next_refresh(now, ACCESS_LIFE) for _ in range(200)}
    assert now + timedelta(hours=19) <= min(times) < max(times) <= now + DUE
    assert max(times) - min(times) > timedelta(minutes=30)


async def test_an_official_account_that_is_let_go_is_not_renewed(held: World) -> None:
    async with held.db.transaction() as tx:
        await disconnect(tx, held.owner.account_id, zalo.OA_ID, held.clock.now())
    assert await held.refresh() == 0
    assert await held.asked_to_refresh() == []


async def test_three_keepers_use_every_refresh_token_exactly_once(
    db: Database, keyring: Keyring, clock: FakeClock
) -> None:
    more = [{"oa_id": 7_000_000_000 + number, "name": f"OA {number}"} for number in range(60)]
    async with oas.world(db, keyring, clock, more=more) as world:
        for one in more:
            await world.connected(oa_id=int(str(one["oa_id"])))
        await world.advance(DUE)
        counts = await asyncio.gather(*(refreshing.refresh_due(world.bridge) for _ in range(3)))
        assert sum(counts) == 60
        asked = await world.asked_to_refresh()
        assert [one["was"] for one in asked] == ["fresh"] * 60
        assert len({one["refresh_token"] for one in asked}) == 60
        assert (
            await world.value("SELECT min(tokens_version) || '-' || max(tokens_version) FROM zalo_oas")
            == "2-2"
        )
        for one in more[::10]:
            assert await world.works(int(str(one["oa_id"])))


# ---------------------------------------------------------------- Zalo says no


async def test_a_busy_zalo_is_asked_again_after_a_while_with_the_same_token(held: World) -> None:
    await held.emulator.force(zalo.ACCESS_TOKEN, "error", code=-32, message="reached limit call api")
    assert await held.refresh() == 1
    oa = await held.oa()
    assert oa.state is OaState.CONNECTED
    assert oa.refresh_error == "Zalo answered -32: reached limit call api"
    assert await held.refresh() == 0
    await held.advance(timedelta(seconds=30))
    assert await held.refresh() == 1
    assert (await held.oa()).refresh_error is None
    assert await held.works()


async def test_pauses_grow_to_half_an_hour() -> None:
    pauses = [attempting.pause_after(failures) for failures in range(1, 40)]
    assert timedelta(seconds=24) <= pauses[0] <= timedelta(seconds=30)
    assert all(timedelta(minutes=24) <= pause <= timedelta(minutes=30) for pause in pauses[6:])


async def test_a_zalo_that_cannot_be_reached_costs_nothing(held: World) -> None:
    client = oas.client_of("http://127.0.0.1:1")
    await client.start()
    try:
        away = Bridge(held.db, held.bridge.keyring, held.clock, client)
        assert await refreshing.refresh_due(away) == 1
    finally:
        await client.stop()
    assert (await held.oa()).refresh_error == "Zalo cannot be reached"
    assert not await begun(held)
    await held.advance(timedelta(seconds=30))
    assert await held.refresh() == 1
    assert await held.works()


@pytest.mark.parametrize(
    ("code", "said"),
    [(-14014, "Invalid refresh token."), (-14020, "Refresh token expired."), (-14004, "Invalid secret.")],
)
async def test_a_dead_token_needs_consent_and_says_why(held: World, code: int, said: str) -> None:
    await held.emulator.force(zalo.ACCESS_TOKEN, "error", code=code, message=said)
    await held.refresh()
    oa = await held.oa()
    assert oa.state is OaState.NEEDS_CONSENT
    assert oa.reason == f"Zalo refuses to renew the access, with {code}: {said}"
    assert oa.reason_at == held.clock.now()
    assert await held.told() == ["zalo.oa.needs_consent"]
    assert await held.value("SELECT access_token IS NULL AND refresh_token IS NULL FROM zalo_oas")
    assert (await held.held()).access is None
    await held.advance(timedelta(days=2))
    assert await held.refresh() == 0


async def test_an_answer_without_a_refresh_token_keeps_the_one_before_and_tells(held: World) -> None:
    expires_at = (await held.oa()).expires_at
    token = await held.value("SELECT refresh_token FROM zalo_oas")
    await held.emulator.force(zalo.ACCESS_TOKEN, "missing_refresh_token")
    await held.refresh()
    assert await held.works()
    assert (await held.oa()).state is OaState.CONNECTED
    assert (await held.oa()).expires_at == expires_at
    assert await held.value("SELECT refresh_token FROM zalo_oas") == token
    assert await held.told() == ["zalo.oa.token_warning"]


# ---------------------------------------------------------------- what became of it is not known


@pytest.mark.parametrize("fault", NOT_DONE)
async def test_a_refresh_that_did_not_happen_is_begun_again_when_that_is_certain(
    held: World, fault: str
) -> None:
    await held.emulator.force(zalo.ACCESS_TOKEN, fault)
    await held.refresh()
    assert await begun(held)
    assert await held.refresh() == 0
    await held.advance(timedelta(seconds=29))
    assert await held.refresh() == 0
    assert await refreshing.probe_due(held.bridge) == 0
    await held.advance(timedelta(seconds=1))
    assert await refreshing.probe_due(held.bridge) == 1
    oa = await held.oa()
    assert (oa.state, oa.refresh_error) == (OaState.CONNECTED, "an earlier try did not reach Zalo")
    assert not await begun(held)
    await held.advance(timedelta(seconds=30))
    assert await held.refresh() == 1
    assert await held.works()
    assert await held.told() == []


@pytest.mark.parametrize("fault", ANSWERS_LOST)
async def test_a_pair_whose_answer_was_lost_is_given_up_and_told(held: World, fault: str) -> None:
    await held.emulator.force(zalo.ACCESS_TOKEN, fault, after=True)
    await held.refresh()
    assert (await held.oa()).state is OaState.CONNECTED
    assert await held.refresh() == 0
    assert await held.until_probed() == 1
    oa = await held.oa()
    assert (oa.state, oa.reason) == (OaState.NEEDS_CONSENT, refreshing.WAS_LOST)
    assert await held.told() == ["zalo.oa.needs_consent"]
    assert await presented_twice(held) == []
    assert await held.until_probed() == 0


async def test_nothing_is_concluded_while_zalo_does_not_say(held: World) -> None:
    await held.emulator.force(zalo.ACCESS_TOKEN, "reset")
    await held.refresh()
    await held.emulator.force(zalo.GETOA, "html_504", times=20)
    assert await held.until_probed() == 1
    assert await begun(held)
    assert await refreshing.probe_due(held.bridge) == 0
    await held.emulator.clear_faults()
    await held.advance(timedelta(seconds=15))
    assert await refreshing.probe_due(held.bridge) == 1
    assert not await begun(held)


async def test_after_the_access_ran_out_the_refresh_token_is_tried_one_last_time(held: World) -> None:
    await held.emulator.force(zalo.ACCESS_TOKEN, "reset")
    await held.refresh()
    await held.advance(timedelta(hours=5))
    assert await held.until_probed() == 1
    assert (await held.oa()).state is OaState.CONNECTED
    assert await held.works()
    assert [one.get("was") for one in await held.asked_to_refresh()] == [None, "fresh"]


async def test_after_a_last_try_that_tells_nothing_either_the_pair_is_given_up(held: World) -> None:
    await held.emulator.force(zalo.ACCESS_TOKEN, "reset", times=2, after=True)
    await held.refresh()
    await held.advance(timedelta(hours=5))
    assert await held.until_probed() == 1
    assert await begun(held)
    assert await held.until_probed() == 1
    oa = await held.oa()
    assert (oa.state, oa.reason) == (OaState.NEEDS_CONSENT, refreshing.RAN_OUT)
    assert await held.until_probed() == 0
    assert await held.told() == ["zalo.oa.needs_consent"]


async def test_whoever_comes_late_with_the_new_pair_still_brings_it(held: World) -> None:
    """The database was away for so long that others gave the pair up."""
    async with held.db.transaction() as tx:
        one = await store.begin_due(tx, held.clock.now(), attempting.PROBE_AFTER)
    assert one is not None
    app, refresh_token, _ = attempting.opened(held.bridge, one)
    pair = await held.bridge.client.refresh(app, refresh_token)
    await held.until_probed()
    assert (await held.oa()).state is OaState.NEEDS_CONSENT
    async with held.db.transaction() as tx:
        sealed = attempting.sealed_pair(held.bridge, one.account_id, pair, held.clock.now())
        assert await store.store(tx, one, sealed, held.clock.now()) == "needs_consent"
    assert (await held.oa()).state is OaState.CONNECTED
    assert await held.works()


@pytest.mark.parametrize("meanwhile", ["given back", "begun again", "refused"])
async def test_who_was_stopped_for_minutes_while_asking_still_brings_the_new_pair(
    held: World, meanwhile: str
) -> None:
    """Others saw the old pair work before the question went out, and took the refresh for not done."""
    async with held.db.transaction() as tx:
        one = await store.begin_due(tx, held.clock.now(), attempting.PROBE_AFTER)
    assert one is not None
    app, refresh_token, _ = attempting.opened(held.bridge, one)
    assert await held.until_probed() == 1
    await held.advance(timedelta(seconds=31))
    other = None
    if meanwhile != "given back":
        async with held.db.transaction() as tx:
            other = await store.begin_due(tx, held.clock.now(), attempting.PROBE_AFTER)
        assert other is not None
    pair = await held.bridge.client.refresh(app, refresh_token)
    if meanwhile == "refused":
        assert other is not None
        await attempting.attempt(held.bridge, other, asyncio.get_running_loop().time())
    async with held.db.transaction() as tx:
        sealed = attempting.sealed_pair(held.bridge, one.account_id, pair, held.clock.now())
        assert await store.store(tx, one, sealed, held.clock.now()) is not None
    assert (await held.oa()).state is OaState.CONNECTED
    assert not await begun(held)
    assert await held.works()
    assert await held.until_probed() == 0


async def test_a_pair_of_a_newer_consent_is_not_overwritten_by_an_older_refresh(held: World) -> None:
    async with held.db.transaction() as tx:
        one = await store.begin_due(tx, held.clock.now(), attempting.PROBE_AFTER)
    assert one is not None
    app, refresh_token, _ = attempting.opened(held.bridge, one)
    older = await held.bridge.client.refresh(app, refresh_token)
    await held.connected()
    async with held.db.transaction() as tx:
        sealed = attempting.sealed_pair(held.bridge, one.account_id, older, held.clock.now())
        assert await store.store(tx, one, sealed, held.clock.now()) is None
    assert await held.works()


async def test_a_pair_for_what_was_let_go_meanwhile_is_forgotten(held: World) -> None:
    async with held.db.transaction() as tx:
        one = await store.begin_due(tx, held.clock.now(), attempting.PROBE_AFTER)
    assert one is not None
    async with held.db.transaction() as tx:
        await disconnect(tx, one.account_id, one.oa_id, held.clock.now())
    await attempting.attempt(held.bridge, one, asyncio.get_running_loop().time())
    assert (await held.oa()).state is OaState.DISCONNECTED
    assert await held.value("SELECT access_token IS NULL AND refresh_token IS NULL FROM zalo_oas")
    assert await held.told() == []


async def test_who_waited_too_long_after_beginning_asks_zalo_nothing(held: World) -> None:
    async with held.db.transaction() as tx:
        one = await store.begin_due(tx, held.clock.now(), attempting.PROBE_AFTER)
    assert one is not None
    long_ago = asyncio.get_running_loop().time() - attempting.BEGUN_GOOD_S - 0.1
    await attempting.attempt(held.bridge, one, long_ago)
    assert await held.asked_to_refresh() == []
    assert not await begun(held)
    await held.advance(timedelta(seconds=30))
    assert await held.refresh() == 1


async def test_new_tokens_are_written_however_long_the_database_is_away(
    held: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool is shut while Zalo answers, and a new one is there some time later."""
    async with held.db.transaction() as tx:
        one = await store.begin_due(tx, held.clock.now(), attempting.PROBE_AFTER)
    assert one is not None
    away = Database(held.db.url)
    bridge = Bridge(away, held.bridge.keyring, held.clock, held.bridge.client)
    trying = asyncio.create_task(attempting.attempt(bridge, one, asyncio.get_running_loop().time()))
    await held.until_asked_to_refresh()
    assert not trying.done()
    await away.open()
    try:
        async with asyncio.timeout(10):
            await trying
    finally:
        await away.close()
    assert await held.works()


# ---------------------------------------------------------------- who waits


async def test_a_caller_who_hangs_up_does_not_lose_the_new_pair(held: World) -> None:
    await held.emulator.settings(delay_ms=300)
    now_held = await held.held()
    waiting = asyncio.create_task(
        refreshing.renew(held.bridge, now_held.account_id, now_held.oa_ref, now_held.version)
    )
    await held.until_asked_to_refresh()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await attempting.settled(10)
    assert (await held.held()).version == now_held.version + 1
    assert await held.works()


async def test_a_token_is_in_no_text_that_may_be_logged(held: World) -> None:
    row = await held.value("SELECT access_token FROM zalo_oas")
    async with held.db.transaction() as tx:
        one = await store.begin_due(tx, held.clock.now(), attempting.PROBE_AFTER)
    assert one is not None
    app, refresh_token, access = attempting.opened(held.bridge, one)
    texts = f"{one!r} {app!r} {access!r} {await held.held()!r} {await held.oa()!r}"
    for secret in (refresh_token, access.token, app.secret, repr(bytes(row))):
        assert secret not in texts
    with pytest.raises(ZaloRefusedError) as refused:
        await held.bridge.client.refresh(app, refresh_token + "x")
    assert refused.value.refusal is not Refusal.TRANSIENT
    assert refresh_token not in str(refused.value)
