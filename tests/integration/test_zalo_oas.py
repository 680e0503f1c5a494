"""Official Accounts are seen by their account alone, in pages, and say where their events go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests import factories
from tests import oas as worlds
from tests.fakes import zalo
from tests.fakes.clock import FakeClock
from tests.oas import World

from tongdai.domain import webhooks
from tongdai.domain.zalo import (
    Oa,
    OaFilter,
    OaNotFoundError,
    OaNotNamedError,
    Page,
    Paging,
    get_oa,
    list_oas,
    update_oa,
)
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

pytestmark = pytest.mark.anyio

IDS = [zalo.OA_ID, zalo.SECOND_OA_ID, zalo.UNVERIFIED_OA_ID]


@pytest.fixture
async def world(db: Database, keyring: Keyring, clock: FakeClock) -> AsyncIterator[World]:
    """The owner's three, one connected an hour after the other."""
    async with worlds.world(db, keyring, clock) as made:
        for oa_id in IDS:
            await made.connected(oa_id=oa_id)
            clock.advance(timedelta(hours=1))
        yield made


async def listed(
    world: World, paging: Paging | None = None, account_id: int | None = None, **wanted: object
) -> Page[Oa]:
    async with world.db.transaction() as tx:
        return await list_oas(
            tx,
            account_id or world.owner.account_id,
            OaFilter(**wanted),  # type: ignore[arg-type]
            paging or Paging(),
        )


async def ids(world: World, **wanted: object) -> list[int]:
    return [oa.oa_id for oa in (await listed(world, **wanted)).items]  # type: ignore[arg-type]


async def test_the_newest_come_first_and_pages_lead_to_and_fro(world: World) -> None:
    first = await listed(world, Paging(limit=2))
    assert [oa.oa_id for oa in first.items] == IDS[:0:-1]
    assert first.prev is None
    second = await listed(world, Paging(limit=2, after=first.next))
    assert [oa.oa_id for oa in second.items] == IDS[:1]
    assert second.next is None
    assert await listed(world, Paging(limit=2, before=second.prev)) == first
    rising = await listed(world, Paging(newest_first=False))
    assert [oa.oa_id for oa in rising.items] == IDS


async def test_they_are_found_by_what_is_said_of_them(world: World) -> None:
    begun = world.clock.now() - timedelta(hours=3)
    assert await ids(world, oa_id=zalo.SECOND_OA_ID) == [zalo.SECOND_OA_ID]
    assert await ids(world, name="nhà xe") == [zalo.SECOND_OA_ID]
    assert await ids(world, name="%") == []
    assert await ids(world, app_id=zalo.APP_ID) == IDS[::-1]
    assert await ids(world, app_id=1) == []
    assert await ids(world, since=begun + timedelta(hours=1)) == IDS[:0:-1]
    assert await ids(world, until=begun + timedelta(hours=1)) == IDS[:1]


async def test_a_stranger_sees_none_of_them(world: World) -> None:
    assert (await listed(world, account_id=world.cast.stranger.account_id)).items == []
    with pytest.raises(OaNotFoundError):
        await world.oa(person=world.cast.stranger)
    async with world.db.transaction() as tx:
        with pytest.raises(OaNotNamedError):
            await get_oa(tx, world.cast.stranger.account_id, None)
        with pytest.raises(OaNotNamedError):
            await get_oa(tx, world.owner.account_id, None)


async def relayed(world: World, url: str, person: factories.Person | None = None) -> Oa:
    async with world.db.transaction() as tx:
        return await update_oa(
            tx,
            (person or world.owner).account_id,
            zalo.OA_ID,
            webhook_url=url,
            allow_private=False,
            keyring=world.bridge.keyring,
        )


async def test_its_events_are_passed_on_to_an_address_until_that_is_taken_away(world: World) -> None:
    assert (
        await relayed(world, "https://shop.example.vn/zalo")
    ).webhook_url == "https://shop.example.vn/zalo"
    endpoint_id = await world.value("SELECT relay_endpoint_id FROM zalo_oas WHERE oa_id = %s", zalo.OA_ID)
    async with world.db.transaction() as tx:
        endpoint = await webhooks.get_endpoint(tx, world.owner.account_id, endpoint_id)
    assert (endpoint.url, endpoint.format) == ("https://shop.example.vn/zalo", "zalo")
    assert (await relayed(world, "")).webhook_url == ""
    assert await world.value("SELECT relay_endpoint_id FROM zalo_oas WHERE oa_id = %s", zalo.OA_ID) is None


async def test_an_address_that_no_endpoint_may_have_is_refused(world: World) -> None:
    for url in ("http://127.0.0.1/", "ftp://shop.example.vn/", "zalo"):
        with pytest.raises(webhooks.EndpointInvalidError):
            await relayed(world, url)
    assert (await world.oa()).webhook_url == ""


async def test_a_stranger_redirects_nothing(world: World) -> None:
    with pytest.raises(OaNotFoundError):
        await relayed(world, "https://elsewhere.example.vn/", world.cast.stranger)
