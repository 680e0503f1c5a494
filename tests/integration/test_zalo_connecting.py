"""Official Accounts are connected by who asked for it, once for each code, and by one account at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests import factories, oas
from tests.fakes import zalo
from tests.fakes.clock import FakeClock
from tests.oas import World

from tongdai.domain.zalo import (
    AppInvalidError,
    Bridge,
    ConsentLapsedError,
    OaNotFoundError,
    OaState,
    OaTakenError,
    PermissionRefusedError,
    PermissionUnknownError,
    ask,
    connecting,
    permissions,
    set_app,
)
from tongdai.domain.zalo.seals import open_token
from tongdai.domain.zalo.store import permissions as store
from tongdai.kit.crypto import Keyring, SealBrokenError
from tongdai.kit.db import Database, Tx
from tongdai.kit.zalo_signs import pkce_challenge
from tongdai.ports.zalo import REFRESH_LIFE, ZaloAwayError, ZaloError, ZaloRefusedError

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(db: Database, keyring: Keyring, clock: FakeClock) -> AsyncIterator[World]:
    async with oas.world(db, keyring, clock) as made:
        yield made


def query(page: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page).query).items()}


async def exchanges(world: World) -> int:
    """How often a code was sent to Zalo."""
    asked = await world.emulator.requests(zalo.ACCESS_TOKEN)
    return sum(one.get("grant_type") == "authorization_code" for one in asked)


# ---------------------------------------------------------------- the good end


async def test_an_official_account_is_connected_with_all_that_zalo_says_of_it(world: World) -> None:
    await world.listen()
    oa = await world.connected()
    assert (oa.oa_id, oa.app_id, oa.owner_id) == (zalo.OA_ID, zalo.APP_ID, world.owner.user.id)
    assert (oa.state, oa.reason, oa.name) == (OaState.CONNECTED, None, "Giao Hàng Sao Việt")
    assert (oa.is_verified, oa.followers, oa.category) == (True, 12_846, "Dịch vụ vận chuyển")
    assert (oa.daily_quota, oa.remaining_quota) == (20_000, 20_000)
    assert (oa.current_quality, oa.last_week_quality) == ("HIGH", "HIGH")
    assert oa.expires_at == world.clock.now() + REFRESH_LIFE
    assert oa.facts_at == world.clock.now()
    assert await world.works()
    assert await world.told() == ["zalo.oa.connected"]


async def test_whose_consent_it_is_need_not_be_said(world: World) -> None:
    oa = await world.come_back(await world.back(), oa_id=None)
    assert oa.oa_id == zalo.OA_ID


async def test_secrets_are_kept_sealed_and_in_no_other_accounts_context(world: World) -> None:
    await world.connected()
    for column in ("access_token", "refresh_token"):
        sealed = await world.value(f"SELECT {column} FROM zalo_oas")
        with pytest.raises(SealBrokenError):
            open_token(world.bridge.keyring, world.cast.stranger.account_id, bytes(sealed))
        assert open_token(world.bridge.keyring, world.owner.account_id, bytes(sealed))
    secret = bytes(await world.value("SELECT secret FROM zalo_apps"))
    assert zalo.APP_SECRET.encode() not in secret
    assert await world.value("SELECT access_token IS NULL AND secret IS NULL FROM zalo_permissions")


async def test_the_same_official_account_again_is_the_same_connection(world: World) -> None:
    first = await world.connected()
    again = await world.connected()
    assert again.id == first.id
    assert (await world.held()).version == 2
    assert await world.works()


async def test_the_page_is_given_a_challenge_and_a_state_that_browsers_can_count_to(world: World) -> None:
    told = query(await world.page())
    assert told["app_id"] == str(zalo.APP_ID)
    assert told["redirect_uri"] == zalo.CALLBACK_URL
    assert len(told["code_challenge"]) == 43
    assert 0 < int(told["state"]) < 2**53
    assert told["state"] != query(await world.page())["state"]


async def test_an_app_with_a_fixed_verifier_or_none_is_connected_its_way(world: World) -> None:
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    challenge = pkce_challenge(verifier)
    await world.emulator.change_app(pkce="fixed", code_challenge=challenge)
    async with world.db.transaction() as tx:
        await set_app(
            tx,
            world.bridge.keyring,
            world.owner.account_id,
            app_id=zalo.APP_ID,
            secret=zalo.APP_SECRET,
            pkce="fixed",
            verifier=verifier,
            now=world.clock.now(),
        )
    page = await world.page()
    assert query(page)["code_challenge"] == challenge
    await world.come_back(await world.agree(page))
    await world.emulator.change_app(pkce="none", code_challenge="")
    async with world.db.transaction() as tx:
        await set_app(
            tx,
            world.bridge.keyring,
            world.owner.account_id,
            app_id=zalo.APP_ID,
            pkce="none",
            now=world.clock.now(),
        )
    page = await world.page()
    assert "code_challenge" not in query(page)
    assert (await world.come_back(await world.agree(page))).state is OaState.CONNECTED


# ---------------------------------------------------------------- a state works once, for one


async def test_a_state_is_of_no_use_to_a_stranger(world: World) -> None:
    back = await world.back()
    with pytest.raises(PermissionUnknownError):
        await world.come_back(back, world.cast.stranger)
    assert await exchanges(world) == 0
    assert (await world.come_back(back)).state is OaState.CONNECTED


async def test_a_colleague_may_come_back_and_is_its_owner_then(world: World) -> None:
    oa = await world.come_back(await world.back(), world.cast.colleague)
    assert (oa.state, oa.account_id) == (OaState.CONNECTED, world.owner.account_id)
    assert oa.owner_id == world.cast.colleague.user.id


async def test_a_connection_whose_commit_was_not_answered_is_a_connection(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first try goes through, and the connection to the database dies before that is heard."""
    back = await world.back()
    written = store.connect

    async def unheard(tx: Tx, *args: Any) -> None:
        await written(tx, *args)
        await tx.execute("COMMIT")
        await tx.execute("BEGIN")
        async with world.db.autocommit() as other:
            await other.execute("SELECT pg_terminate_backend(%s, 5000)", (tx.info.backend_pid,))

    monkeypatch.setattr(store, "connect", unheard)
    oa = await world.come_back(back)
    assert oa.state is OaState.CONNECTED
    assert await world.works()


async def test_a_state_works_once(world: World) -> None:
    back = await world.back()
    await world.come_back(back)
    with pytest.raises(PermissionUnknownError):
        await world.come_back(back)
    assert await exchanges(world) == 1


async def test_of_ten_that_come_back_at_once_one_connects(world: World) -> None:
    back = await world.back()
    came = await asyncio.gather(*(world.come_back(back) for _ in range(10)), return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in came) == 1
    assert sum(isinstance(one, PermissionUnknownError) for one in came) == 9
    assert await exchanges(world) == 1


@pytest.mark.parametrize("state", [0, -1, 12345, 2**53, 2**70])
async def test_a_state_that_nobody_was_given_is_unknown(world: World, state: int) -> None:
    back = await world.back()
    with pytest.raises(PermissionUnknownError):
        await world.come_back(back, state=state)


async def test_a_state_lasts_half_an_hour(world: World) -> None:
    back = await world.back()
    world.clock.advance(permissions.LIFE)  # type: ignore[attr-defined]
    with pytest.raises(PermissionUnknownError):
        await world.come_back(back)
    assert await exchanges(world) == 0


async def test_old_states_are_forgotten(world: World) -> None:
    await world.page()
    assert await permissions.forget_old(world.bridge) == 0
    await world.advance(permissions.LIFE + permissions.KEPT + timedelta(seconds=1))
    assert await permissions.forget_old(world.bridge) == 1


# ---------------------------------------------------------------- whose it is


async def test_an_official_account_of_another_account_is_refused_before_its_code_is_spent(
    world: World,
) -> None:
    await world.connected(world.cast.stranger)
    back = await world.back()
    before = await exchanges(world)
    with pytest.raises(OaTakenError):
        await world.come_back(back)
    assert await exchanges(world) == before
    async with world.db.transaction() as tx:
        await connecting.disconnect(tx, world.cast.stranger.account_id, zalo.OA_ID, world.clock.now())
    assert (await world.come_back(back)).account_id == world.owner.account_id


async def test_who_does_not_say_whose_consent_it_is_cannot_take_anothers_either(world: World) -> None:
    await world.connected(world.cast.stranger)
    back = await world.back()
    with pytest.raises(OaTakenError):
        await world.come_back(back, oa_id=None)
    assert (
        await world.value("SELECT count(*) FROM zalo_oas WHERE account_id = %s", world.owner.account_id) == 0
    )
    assert await world.value("SELECT bool_and(access_token IS NULL) FROM zalo_permissions")


async def test_of_two_accounts_at_once_one_gets_it(world: World) -> None:
    people = [world.owner, world.cast.stranger]
    backs = [await world.back(person) for person in people]
    came = await asyncio.gather(
        *(world.come_back(back, person, oa_id=None) for back, person in zip(backs, people, strict=True)),
        return_exceptions=True,
    )
    assert await world.value("SELECT count(*) FROM zalo_oas WHERE state = 'connected'") == 1
    assert sum(not isinstance(one, BaseException) for one in came) == 1


async def test_another_consent_than_the_claimed_one_is_refused_and_its_tokens_forgotten(world: World) -> None:
    back = await world.back()
    with pytest.raises(PermissionRefusedError):
        await world.come_back(back, oa_id=zalo.SECOND_OA_ID)
    assert await world.value("SELECT count(*) FROM zalo_oas") == 0
    assert (
        await world.value("SELECT step || (access_token IS NULL)::text FROM zalo_permissions") == "failedtrue"
    )


async def test_a_renewal_takes_the_consent_of_that_official_account_alone(world: World) -> None:
    first = await world.connected()
    person = world.owner
    page = await connecting.renew_permission(world.bridge, person.account_id, person.user.id, zalo.OA_ID)
    assert query(page)["redirect_uri"] == zalo.CALLBACK_URL
    other = await world.agree(page, zalo.SECOND_OA_ID)
    with pytest.raises(PermissionRefusedError):
        await world.come_back(other)
    with pytest.raises(PermissionRefusedError):
        await world.come_back(other, oa_id=None)
    page = await connecting.renew_permission(world.bridge, person.account_id, person.user.id, zalo.OA_ID)
    assert (await world.come_back(await world.agree(page))).id == first.id


async def test_a_strangers_official_account_cannot_be_renewed(world: World) -> None:
    await world.connected()
    stranger = world.cast.stranger
    with pytest.raises(OaNotFoundError):
        await connecting.renew_permission(world.bridge, stranger.account_id, stranger.user.id, zalo.OA_ID)


async def test_consent_again_makes_a_lapsed_connection_good(world: World) -> None:
    first = await world.connected()
    await world.emulator.revoke()
    with pytest.raises(ConsentLapsedError):
        await ask(world.bridge, await world.held(), world.bridge.client.profile)
    assert (await world.oa()).state is OaState.NEEDS_CONSENT
    again = await world.connected()
    assert (again.id, again.state, again.reason) == (first.id, OaState.CONNECTED, None)
    assert await world.works()


async def test_what_is_let_go_is_sent_nothing_and_can_be_connected_again(world: World) -> None:
    await world.connected()
    async with world.db.transaction() as tx:
        gone = await connecting.disconnect(tx, world.owner.account_id, zalo.OA_ID, world.clock.now())
    assert (gone.state, gone.reason) == (OaState.DISCONNECTED, connecting.LET_GO)
    assert await world.value("SELECT access_token IS NULL AND refresh_token IS NULL FROM zalo_oas")
    with pytest.raises(ConsentLapsedError):
        await ask(world.bridge, await world.held(), world.bridge.client.profile)
    with pytest.raises(OaNotFoundError):
        async with world.db.transaction() as tx:
            await connecting.disconnect(tx, world.cast.stranger.account_id, zalo.OA_ID, world.clock.now())
    assert (await world.connected()).state is OaState.CONNECTED


# ---------------------------------------------------------------- what goes wrong on the way


async def test_a_code_that_zalo_does_not_take_is_refused_with_its_words(world: World) -> None:
    back = await world.back()
    with pytest.raises(PermissionRefusedError) as refused:
        await world.come_back(back, code="something-else")
    assert refused.value.facts["code"] == -14005
    with pytest.raises(PermissionUnknownError):
        await world.come_back(back)


@pytest.mark.parametrize("code", ["", "x" * 4001])
async def test_what_can_be_no_code_spends_nothing(world: World, code: str) -> None:
    back = await world.back()
    with pytest.raises(PermissionRefusedError):
        await world.come_back(back, code=code)
    assert (await world.come_back(back)).state is OaState.CONNECTED


async def test_when_nothing_was_sent_the_state_may_be_used_again(world: World) -> None:
    back = await world.back()
    client = oas.client_of("http://127.0.0.1:1")
    await client.start()
    try:
        away = Bridge(world.db, world.bridge.keyring, world.clock, client)
        with pytest.raises(ZaloAwayError):
            await connecting.connect(
                away,
                world.owner.account_id,
                world.owner.user.id,
                code=back.code,
                oa_id=back.oa_id,
                state=back.state,
            )
    finally:
        await client.stop()
    assert (await world.come_back(back)).state is OaState.CONNECTED


async def test_when_zalo_is_too_busy_the_state_may_be_used_again(world: World) -> None:
    back = await world.back()
    await world.emulator.force(zalo.ACCESS_TOKEN, "error", code=-32, message="limit")
    with pytest.raises(ZaloRefusedError):
        await world.come_back(back)
    assert (await world.come_back(back)).state is OaState.CONNECTED


@pytest.mark.parametrize("fault", ["hang", "empty", "html_504", "reset", "half_body", "wrong_types"])
async def test_an_answer_that_was_lost_burns_the_state_and_the_code_is_never_sent_again(
    world: World, fault: str
) -> None:
    back = await world.back()
    await world.emulator.force(zalo.ACCESS_TOKEN, fault, after=True)
    with pytest.raises(ZaloError) as doubtful:
        await world.come_back(back)
    assert doubtful.value.doubtful
    with pytest.raises(PermissionUnknownError):
        await world.come_back(back)
    assert await exchanges(world) == 1
    assert (await world.connected()).state is OaState.CONNECTED


async def test_an_exchange_without_a_refresh_token_is_refused(world: World) -> None:
    await world.emulator.force(zalo.ACCESS_TOKEN, "missing_refresh_token")
    with pytest.raises(PermissionRefusedError):
        await world.connected()


@pytest.mark.parametrize("fault", ["html_504", "reset", "half_body"])
async def test_what_fails_after_the_exchange_is_completed_by_the_same_request_again(
    world: World, fault: str
) -> None:
    back = await world.back()
    await world.emulator.force(zalo.GETOA, fault, times=20)
    with pytest.raises(ZaloError):
        await world.come_back(back)
    await world.emulator.clear_faults()
    with pytest.raises(PermissionUnknownError):
        await world.come_back(back, world.cast.stranger)
    with pytest.raises(PermissionUnknownError):
        await world.come_back(back, code="another")
    oa = await world.come_back(back)
    assert oa.state is OaState.CONNECTED
    assert await exchanges(world) == 1
    assert await world.works()


async def test_quota_and_qualities_that_zalo_does_not_tell_hold_up_nobody(world: World) -> None:
    back = await world.back()
    for path in ("/message/quota", "/quality"):
        await world.emulator.force(path, "html_504", times=20)
    oa = await world.come_back(back)
    assert (oa.state, oa.daily_quota, oa.facts_at) == (OaState.CONNECTED, None, None)
    await world.emulator.clear_faults()
    await world.advance(timedelta(minutes=1))
    assert await world.freshen() == 1
    assert (await world.oa()).daily_quota == 20_000


# ---------------------------------------------------------------- the app's secret


async def test_a_wrong_secret_cuts_off_nothing_that_is_connected(world: World) -> None:
    await world.connected()
    page = await world.page(secret="a-slip-of-the-pen")
    with pytest.raises(PermissionRefusedError) as refused:
        await world.come_back(await world.agree(page))
    assert refused.value.facts["code"] == -14004
    await world.advance(timedelta(hours=20))
    assert await world.refresh() == 1
    assert await world.works()


async def test_a_new_secret_takes_over_when_zalo_has_taken_it(world: World) -> None:
    await world.connected()
    await world.emulator.change_app(secret="another-secret")
    await world.come_back(await world.back(secret="another-secret"))
    await world.advance(timedelta(hours=20))
    assert await world.refresh() == 1
    assert await world.works()


@pytest.mark.parametrize(
    "told",
    [
        {"app_id": 0},
        {"app_id": 2**63},
        {"secret": ""},
        {"secret": "with space"},
        {"redirect_uri": "ftp://shop.example.vn/"},
        {"redirect_uri": "https://"},
        {"redirect_uri": "https://shop.example.vn/" + "x" * 2000},
        {"redirect_uri": "https://[shop/"},
    ],
)
async def test_what_can_be_no_app_is_not_registered(world: World, told: dict[str, Any]) -> None:
    with pytest.raises(AppInvalidError):
        await world.page(**told)
    assert await world.value("SELECT count(*) FROM zalo_apps") == 0


async def test_two_accounts_may_register_one_app(world: World) -> None:
    people: list[factories.Person] = [world.owner, world.cast.stranger]
    for person in people:
        await world.page(person)
    assert await world.value("SELECT count(DISTINCT hook) FROM zalo_apps") == 2
