"""Places for messages: taken and given back on the real tables, and what Zalo's figures do to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests import zns
from tests.fakes import zalo
from tests.fakes.clock import FakeClock
from tests.zns import Shop, Zns

from tongdai.domain.zalo import facts, quotas
from tongdai.domain.zalo.quotas import Place
from tongdai.domain.zalo.rules import Refused
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.zalo import Quota

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(db: Database, keyring: Keyring, clock: FakeClock) -> AsyncIterator[Zns]:
    async with zns.world(db, keyring, clock) as made:
        yield made


async def take(world: Zns, shop: Shop, tag: str = "TRANSACTION", *, over: bool = False) -> Place | Refused:
    async with world.db.transaction() as tx:
        return await quotas.reserve(
            tx,
            shop.account_id,
            shop.oa_ref,
            zalo.TRANSACTION_TEMPLATE,
            tag=tag,
            over=over,
            now=world.bridge.clock.now(),
        )


async def settle(world: Zns, place: Place | Refused, *, back: bool) -> None:
    assert isinstance(place, Place)
    async with world.db.transaction() as tx:
        await quotas.settle(tx, place, back=back)


async def told(world: Zns, shop: Shop, remaining: int | None, mark: int, **more: int) -> None:
    async with world.db.transaction() as tx:
        await quotas.told(
            tx,
            shop.account_id,
            shop.oa_ref,
            Quota(daily=None, remaining=remaining, **more),
            mark=mark,
            now=world.bridge.clock.now(),
        )


async def mark(world: Zns, shop: Shop) -> int:
    async with world.db.transaction() as tx:
        return await quotas.mark(tx, shop.account_id, shop.oa_ref)


@pytest.fixture
async def shop(world: Zns) -> Shop:
    made = await world.shop(remaining=5)
    await world.send(made, development=True, phone="0901000001")  # the template is known
    return made


async def test_places_are_taken_until_there_are_none_and_come_back(world: Zns, shop: Shop) -> None:
    taken = await asyncio.gather(*(take(world, shop) for _ in range(12)))
    places = [one for one in taken if isinstance(one, Place)]
    assert len(places) == 5
    assert {one.code for one in taken if isinstance(one, Refused)} == {-144}
    assert await world.quota(shop) == (0, 5)
    await asyncio.gather(*(settle(world, one, back=True) for one in places))
    assert await world.quota(shop) == (5, 0)


async def test_a_place_that_was_used_does_not_come_back(world: Zns, shop: Shop) -> None:
    await settle(world, await take(world, shop), back=False)
    assert await world.quota(shop) == (4, 0)


async def test_what_goes_over_the_quota_takes_nothing_and_gives_nothing_back(world: Zns, shop: Shop) -> None:
    await told(world, shop, 0, await mark(world, shop))
    place = await take(world, shop, "PROMOTION", over=True)
    assert await world.quota(shop) == (0, 1)
    await settle(world, place, back=True)
    assert await world.quota(shop) == (0, 0)


async def test_zalos_figure_counts_less_what_is_in_flight(world: Zns, shop: Shop) -> None:
    before = await mark(world, shop)
    first, second = await take(world, shop), await take(world, shop)
    await told(world, shop, 40, before)
    assert await world.quota(shop) == (38, 2)
    await settle(world, first, back=False)
    await told(world, shop, 40, before)  # it may not hold what was settled since
    assert await world.quota(shop) == (38, 1)
    await settle(world, second, back=False)
    await told(world, shop, 38, await mark(world, shop))
    assert await world.quota(shop) == (38, 0)


async def test_what_others_sent_over_the_same_official_account_is_learned(world: Zns, shop: Shop) -> None:
    await told(world, shop, 2, await mark(world, shop))
    assert await world.quota(shop) == (2, 0)


async def test_what_zalo_leaves_out_stays_as_it_was(world: Zns, shop: Shop) -> None:
    await told(world, shop, None, 0, remaining_monthly_promotion=7)
    assert await world.quota(shop) == (5, 0)
    assert not isinstance(await take(world, shop, "PROMOTION"), Refused)
    [(left,)] = await world.rows(
        "SELECT remaining_monthly_promotion FROM zalo_quotas WHERE oa_ref = %s", shop.oa_ref
    )
    assert left == 6


async def test_without_a_figure_of_zalos_nothing_is_counted(world: Zns, shop: Shop) -> None:
    await told(world, shop, -1, await mark(world, shop))
    taken = [await take(world, shop) for _ in range(20)]
    assert all(isinstance(one, Place) for one in taken)
    assert await world.quota(shop) == (None, 20)


async def test_a_place_of_yesterday_gives_nothing_back_today(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    async with world.db.transaction() as tx:
        await quotas.told(
            tx,
            shop.account_id,
            shop.oa_ref,
            Quota(daily=5, remaining=5),
            mark=await quotas.mark(tx, shop.account_id, shop.oa_ref),
            now=clock.now(),
        )
    old = await take(world, shop)
    clock.advance(timedelta(days=1))
    new = await take(world, shop)
    assert await world.quota(shop) == (3, 2)
    await settle(world, old, back=True)
    assert await world.quota(shop) == (3, 1)
    await settle(world, new, back=True)
    assert await world.quota(shop) == (4, 0)


async def test_the_day_begins_at_midnight_in_vietnam(world: Zns, shop: Shop, clock: FakeClock) -> None:
    await told(world, shop, 0, await mark(world, shop))
    clock.advance(timedelta(hours=13, minutes=59))
    assert isinstance(await take(world, shop), Refused)
    clock.advance(timedelta(minutes=1))
    assert isinstance(await take(world, shop), Place)


async def test_another_daily_quota_changes_what_is_left_by_as_much(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    async def changed(daily: int) -> bool:
        async with world.db.transaction() as tx:
            return await quotas.quota_changed(tx, shop.account_id, shop.oa_id, daily, clock.now())

    [(daily,)] = await world.rows("SELECT daily FROM zalo_quotas WHERE oa_ref = %s", shop.oa_ref)
    assert await changed(daily + 10)
    assert await world.quota(shop) == (15, 0)
    assert not await changed(daily + 10)
    assert await changed(0)
    assert await world.quota(shop) == (0, 0)
    assert not await changed(-1)
    assert not await changed(10**12)


async def test_a_strangers_event_changes_no_quota(world: Zns, shop: Shop, clock: FakeClock) -> None:
    async with world.db.transaction() as tx:
        stranger = world.cast.stranger.account_id
        assert not await quotas.quota_changed(tx, stranger, shop.oa_id, 1, clock.now())
    assert await world.quota(shop) == (5, 0)


# ---------------------------------------------------------------- midnight, and what Zalo never said


async def begin_next_day(world: Zns, clock: FakeClock, how: str) -> None:
    clock.advance(timedelta(days=1))
    if how == "keeper":
        await facts.begin_day(world.bridge)


@pytest.mark.parametrize("how", ["keeper", "sender"])
async def test_a_new_day_makes_no_quota_where_zalo_never_said_one(
    world: Zns, shop: Shop, clock: FakeClock, how: str
) -> None:
    await world.rows(
        "UPDATE zalo_quotas SET daily = NULL, remaining = NULL WHERE oa_ref = %s RETURNING 1", shop.oa_ref
    )
    await begin_next_day(world, clock, how)
    assert isinstance(await take(world, shop), Place)
    assert await world.quota(shop) == (None, 1)


async def test_a_template_that_zalo_stopped_for_a_day_is_asked_for_again_on_the_next(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    """Zalo's page on templates tells nothing of a quota of their own."""
    place = await take(world, shop)
    assert isinstance(place, Place)
    async with world.db.transaction() as tx:
        await quotas.settle(tx, place, back=True)
        await quotas.refused_by_zalo(tx, place, -147)
    refused = await take(world, shop)
    assert isinstance(refused, Refused)
    assert refused.code == -147
    clock.advance(timedelta(days=1))
    assert isinstance(await take(world, shop), Place)


async def test_a_daily_quota_that_zalo_begins_to_tell_stops_nothing_today(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    await world.rows(
        "UPDATE zalo_quotas SET daily = NULL, remaining = NULL WHERE oa_ref = %s RETURNING 1", shop.oa_ref
    )
    async with world.db.transaction() as tx:
        assert await quotas.quota_changed(tx, shop.account_id, shop.oa_id, 20_000, clock.now())
    assert isinstance(await take(world, shop), Place)


async def test_what_was_left_of_yesterday_is_not_what_is_left_of_today(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    before, asked_at = await mark(world, shop), clock.now()
    old = await take(world, shop)
    assert isinstance(old, Place)
    clock.advance(timedelta(days=1))
    new = await take(world, shop)
    assert isinstance(new, Place)
    left = await world.quota(shop)
    async with world.db.transaction() as tx:
        yesterdays = Quota(daily=None, remaining=0)
        await quotas.told(
            tx, shop.account_id, shop.oa_ref, yesterdays, mark=before, asked_at=asked_at, now=clock.now()
        )
        await quotas.refused_by_zalo(tx, old, -144)
        await quotas.refused_by_zalo(tx, old, -147)
    assert await world.quota(shop) == left
    assert isinstance(await take(world, shop), Place)


async def test_a_day_begins_for_all_while_a_sender_holds_one(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    """Two keepers that wait for each other's rows would be a deadlock: neither waits for any."""
    other = await world.shop(world.cast.stranger, zalo.SECOND_OA_ID)
    days = "SELECT oa_ref FROM zalo_quotas WHERE day = %s ORDER BY oa_ref"
    clock.advance(timedelta(days=1))
    today = quotas.day_of(clock.now())
    async with world.db.transaction() as tx:
        await quotas.lock(tx, Place(shop.account_id, shop.oa_ref, 1, today, promotion=False))
        async with asyncio.timeout(2):
            await facts.begin_day(world.bridge)
        assert await world.rows(days, today) == [(other.oa_ref,)]
    await facts.begin_day(world.bridge)
    assert len(await world.rows(days, today)) == 2
