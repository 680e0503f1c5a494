"""Templates: what Zalo says of them, for how long it is believed, and what is shown when Zalo is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests import zns
from tests.fakes import zalo
from tests.fakes.clock import FakeClock
from tests.zns import Shop, Zns

from tongdai.domain import webhooks
from tongdai.domain.zalo import (
    ConsentLapsedError,
    OaNotFoundError,
    Page,
    Paging,
    TemplateFilter,
    TemplateNotFoundError,
    ZnsTemplate,
    templates,
)
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.zalo import ZaloError

pytestmark = pytest.mark.anyio

LIST = "/template/all"
DETAILS = "/template/info/v2"
EVERY = {
    zalo.JOURNEY_TEMPLATE,
    zalo.OTP_TEMPLATE,
    zalo.TRANSACTION_TEMPLATE,
    zalo.CARE_TEMPLATE,
    zalo.PROMOTION_TEMPLATE,
    zalo.PENDING_TEMPLATE,
    zalo.REJECTED_TEMPLATE,
}


@pytest.fixture
async def world(db: Database, keyring: Keyring, clock: FakeClock) -> AsyncIterator[Zns]:
    async with zns.world(db, keyring, clock) as made:
        yield made


@pytest.fixture
async def shop(world: Zns) -> Shop:
    return await world.shop()


async def listed(world: Zns, shop: Shop, paging: Paging | None = None, **where: Any) -> Page[ZnsTemplate]:
    return await templates.list_templates(
        world.bridge, shop.account_id, TemplateFilter(**where), paging or Paging(limit=100)
    )


async def ids(world: Zns, shop: Shop, **where: Any) -> set[int]:
    return {one.template_id for one in (await listed(world, shop, **where)).items}


async def asked(world: Zns, path: str) -> int:
    return len(await world.emulator.requests(path))


async def away(world: Zns) -> None:
    for path in (LIST, DETAILS):
        await world.emulator.force(path, "html_504", times=1000)


# ---------------------------------------------------------------- lists


async def test_a_list_has_every_template_with_what_zalo_says_of_it(world: Zns, shop: Shop) -> None:
    found = {one.template_id: one for one in (await listed(world, shop)).items}
    assert set(found) == EVERY
    order = found[zalo.TRANSACTION_TEMPLATE]
    assert (order.name, order.status, order.tag, order.price) == (
        "Xác nhận đơn hàng",
        "ENABLE",
        "TRANSACTION",
        Decimal(200),
    )
    assert order.timeout_ms == 7_200_000
    assert [param.name for param in order.params] == [
        "ten_khach_hang",
        "ma_don",
        "so_tien",
        "ngay",
        "ghi_chu",
    ]
    assert found[zalo.REJECTED_TEMPLATE].reason == "Nội dung không đúng loại mẫu"


async def test_filters_and_pages_go_over_what_is_kept(world: Zns, shop: Shop) -> None:
    assert await ids(world, shop, template_id=zalo.OTP_TEMPLATE) == {zalo.OTP_TEMPLATE}
    assert await ids(world, shop, name="ĐƠN HÀNG") == {zalo.JOURNEY_TEMPLATE, zalo.TRANSACTION_TEMPLATE}
    assert await ids(world, shop, name="%") == set()
    assert await ids(world, shop, type="otp") == {zalo.OTP_TEMPLATE}
    assert await ids(world, shop, type="unknown") == EVERY - {zalo.OTP_TEMPLATE}
    assert await ids(world, shop, name="\x00") == set()
    assert await ids(world, shop, template_id=2**70) == set()
    first = await listed(world, shop, Paging(limit=4))
    second = await listed(world, shop, Paging(limit=4, after=first.next))
    assert len(first.items) == 4
    assert {one.template_id for one in [*first.items, *second.items]} == EVERY
    assert second.next is None


async def test_a_list_is_asked_for_again_after_five_minutes(world: Zns, shop: Shop, clock: FakeClock) -> None:
    await listed(world, shop)
    await world.emulator.change_template(zalo.CARE_TEMPLATE, status="DISABLE")
    await world.emulator.change_template(zalo.PROMOTION_TEMPLATE, oa_id=zalo.SECOND_OA_ID)
    assert await ids(world, shop) == EVERY
    assert await asked(world, LIST) == 1
    clock.advance(templates.LIST_FRESH)
    assert await ids(world, shop) == EVERY - {zalo.PROMOTION_TEMPLATE}
    [care] = (await listed(world, shop, template_id=zalo.CARE_TEMPLATE)).items
    assert care.status == "DISABLE"
    assert await asked(world, LIST) == 2


async def test_more_templates_than_one_page_of_zalos_are_all_read(
    db: Database, keyring: Keyring, clock: FakeClock
) -> None:
    many = [{"template_id": 500_000 + n, "oa_id": zalo.OA_ID, "name": f"Mẫu {n}"} for n in range(205)]
    async with zns.world(db, keyring, clock, templates=many) as world:
        shop = await world.shop()
        page = await listed(world, shop, Paging(limit=10))
        assert len(page.items) == 10
        [(kept,)] = await world.rows("SELECT count(*) FROM zalo_templates")
        assert kept == 205 + len(EVERY)


async def test_while_zalo_is_away_what_is_kept_is_shown(world: Zns, shop: Shop, clock: FakeClock) -> None:
    await listed(world, shop)
    clock.advance(timedelta(days=1))
    await away(world)
    assert await ids(world, shop) == EVERY


async def test_a_list_that_was_never_read_and_cannot_be_is_an_error(world: Zns, shop: Shop) -> None:
    await away(world)
    with pytest.raises(ZaloError):
        await listed(world, shop)


async def test_of_several_official_accounts_all_or_one_are_listed(world: Zns, shop: Shop) -> None:
    await world.emulator.change_template(zalo.CARE_TEMPLATE, oa_id=zalo.SECOND_OA_ID)
    await world.shop(oa_id=zalo.SECOND_OA_ID)
    assert await ids(world, shop) == EVERY
    assert await ids(world, shop, oa_id=zalo.SECOND_OA_ID) == {zalo.CARE_TEMPLATE}


async def test_a_strangers_official_account_is_not_found(world: Zns, shop: Shop) -> None:
    await listed(world, shop)
    stranger = world.cast.stranger
    elsewhere = Shop(stranger, shop.oa_ref, shop.oa_id)
    with pytest.raises(OaNotFoundError):
        await listed(world, elsewhere, oa_id=shop.oa_id)
    assert (await listed(world, elsewhere)).items == []
    with pytest.raises(OaNotFoundError):
        await templates.get_template(world.bridge, stranger.account_id, shop.oa_id, zalo.OTP_TEMPLATE)


# ---------------------------------------------------------------- one


async def get(world: Zns, shop: Shop, template_id: int) -> ZnsTemplate:
    return await templates.get_template(world.bridge, shop.account_id, shop.oa_id, template_id)


async def test_details_are_asked_for_again_after_ten_minutes(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    assert (await get(world, shop, zalo.CARE_TEMPLATE)).status == "ENABLE"
    await world.emulator.change_template(zalo.CARE_TEMPLATE, price="250")
    assert (await get(world, shop, zalo.CARE_TEMPLATE)).price == 200
    assert await asked(world, DETAILS) == 1
    clock.advance(templates.DETAILS_FRESH)
    assert (await get(world, shop, zalo.CARE_TEMPLATE)).price == 250
    assert await asked(world, DETAILS) == 2


async def test_of_many_who_want_details_that_grew_old_one_asks(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    await get(world, shop, zalo.CARE_TEMPLATE)
    clock.advance(templates.DETAILS_FRESH)
    await asyncio.gather(*(get(world, shop, zalo.CARE_TEMPLATE) for _ in range(10)))
    assert await asked(world, DETAILS) == 2


async def test_whoever_was_to_ask_and_did_not_is_replaced(world: Zns, shop: Shop, clock: FakeClock) -> None:
    await get(world, shop, zalo.CARE_TEMPLATE)
    clock.advance(templates.DETAILS_FRESH)
    await world.emulator.force(DETAILS, {"kind": "error", "code": -100})
    await get(world, shop, zalo.CARE_TEMPLATE)
    await get(world, shop, zalo.CARE_TEMPLATE)
    assert await asked(world, DETAILS) == 2
    clock.advance(templates.TURN)
    await get(world, shop, zalo.CARE_TEMPLATE)
    assert await asked(world, DETAILS) == 3


@pytest.mark.parametrize("template_id", [1, 0, -5, 2**63, 2**70])
async def test_a_template_that_zalo_does_not_know_is_not_found(
    world: Zns, shop: Shop, template_id: int
) -> None:
    with pytest.raises(TemplateNotFoundError):
        await get(world, shop, template_id)


async def test_a_template_that_is_gone_is_not_shown_from_what_was_kept(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    await get(world, shop, zalo.CARE_TEMPLATE)
    await world.emulator.change_template(zalo.CARE_TEMPLATE, oa_id=zalo.SECOND_OA_ID)
    clock.advance(templates.DETAILS_FRESH)
    for _ in range(2):
        with pytest.raises(TemplateNotFoundError):
            await get(world, shop, zalo.CARE_TEMPLATE)
    assert zalo.CARE_TEMPLATE not in await ids(world, shop)


async def test_while_zalo_is_away_known_details_are_shown_and_unknown_ones_are_an_error(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    await get(world, shop, zalo.CARE_TEMPLATE)
    clock.advance(timedelta(days=1))
    await away(world)
    assert (await get(world, shop, zalo.CARE_TEMPLATE)).name == "Chăm sóc sau mua"
    with pytest.raises(ZaloError):
        await get(world, shop, zalo.OTP_TEMPLATE)


async def test_without_consent_known_details_are_shown_and_unknown_ones_are_an_error(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    await get(world, shop, zalo.CARE_TEMPLATE)
    await world.rows(
        "UPDATE zalo_oas SET state = 'needs_consent', access_token = NULL WHERE id = %s RETURNING 1",
        shop.oa_ref,
    )
    clock.advance(timedelta(days=1))
    assert (await get(world, shop, zalo.CARE_TEMPLATE)).name == "Chăm sóc sau mua"
    with pytest.raises(ConsentLapsedError):
        await get(world, shop, zalo.OTP_TEMPLATE)


# ---------------------------------------------------------------- events


async def changed(world: Zns, shop: Shop, **what: Any) -> ZnsTemplate | None:
    async with world.db.transaction() as tx:
        return await templates.template_changed(
            tx, shop.account_id, shop.oa_id, zalo.CARE_TEMPLATE, now=world.bridge.clock.now(), **what
        )


async def test_zalos_event_changes_a_template_at_once_and_servers_are_told_once(
    world: Zns, shop: Shop
) -> None:
    async with world.db.transaction() as tx:
        await webhooks.create_endpoint(
            tx,
            world.bridge.keyring,
            shop.account_id,
            url="https://example.vn/webhook",
            events=["zalo.template.changed"],
        )
    assert await changed(world, shop, quality="LOW") is None  # we do not know it yet
    await get(world, shop, zalo.CARE_TEMPLATE)
    low = await changed(world, shop, quality="LOW")
    assert low is not None
    assert (low.quality, low.status) == ("LOW", "ENABLE")
    assert await changed(world, shop, quality="LOW") is None
    told = await world.rows("SELECT type FROM webhook_events WHERE account_id = %s", shop.account_id)
    assert told == [("zalo.template.changed",)]


async def test_a_template_that_zalo_stopped_is_not_sent_any_more(world: Zns, shop: Shop) -> None:
    await get(world, shop, zalo.CARE_TEMPLATE)
    await world.emulator.change_template(zalo.CARE_TEMPLATE, status="DISABLE", quality="LOW")
    await changed(world, shop, status="DISABLE", quality="LOW")
    assert (await world.send(shop, zalo.CARE_TEMPLATE)).error_code == -146
    assert await world.sends() == []
