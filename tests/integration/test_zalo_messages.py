"""Messages to look at, and what Zalo's events say of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests import zns
from tests.fakes import zalo
from tests.fakes.clock import FakeClock
from tests.zns import Shop, Zns

from tongdai.domain import webhooks
from tongdai.domain.zalo import (
    MessageFilter,
    MessageNotFoundError,
    MessageState,
    Page,
    Paging,
    ZnsMessage,
    get_message,
    list_messages,
    message_rated,
    message_seen,
)
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(db: Database, keyring: Keyring, clock: FakeClock) -> AsyncIterator[Zns]:
    async with zns.world(db, keyring, clock) as made:
        yield made


@pytest.fixture
async def shop(world: Zns) -> Shop:
    return await world.shop()


async def listed(
    world: Zns, shop: Shop, where: MessageFilter | None = None, **paging: Any
) -> Page[ZnsMessage]:
    async with world.db.transaction() as tx:
        return await list_messages(tx, shop.account_id, where or MessageFilter(), Paging(**paging))


async def found(world: Zns, shop: Shop, **where: Any) -> list[int]:
    return [one.id for one in (await listed(world, shop, MessageFilter(**where))).items]


# ---------------------------------------------------------------- one


async def test_a_message_is_found_by_zalos_id_and_by_ours(world: Zns, shop: Shop) -> None:
    sent = await world.send(shop)
    assert sent.msg_id is not None
    async with world.db.transaction() as tx:
        by_zalos = await get_message(tx, shop.account_id, sent.msg_id, shop.oa_id)
        by_ours = await get_message(tx, shop.account_id, str(sent.id), None)
    assert by_zalos == by_ours == sent


@pytest.mark.parametrize("name", ["", "0", "nowhere", "9" * 18, "9" * 40, "\x00", "²"])
async def test_what_is_no_messages_id_finds_none(world: Zns, shop: Shop, name: str) -> None:
    async with world.db.transaction() as tx:
        with pytest.raises(MessageNotFoundError):
            await get_message(tx, shop.account_id, name, None)


async def test_a_message_of_another_official_account_is_not_found(world: Zns, shop: Shop) -> None:
    sent = await world.send(shop)
    assert sent.msg_id is not None
    async with world.db.transaction() as tx:
        for name in (sent.msg_id, str(sent.id)):
            for oa_id in (zalo.SECOND_OA_ID, 2**70):
                with pytest.raises(MessageNotFoundError):
                    await get_message(tx, shop.account_id, name, oa_id)
        with pytest.raises(MessageNotFoundError):
            await get_message(tx, world.cast.stranger.account_id, sent.msg_id, None)


# ---------------------------------------------------------------- lists


async def test_pages_go_forward_and_back_in_both_directions(world: Zns, shop: Shop) -> None:
    sent = [(await world.send(shop, 1)).id for _ in range(7)]
    for newest_first in (True, False):
        order = sorted(sent, reverse=newest_first)
        first = await listed(world, shop, limit=3, newest_first=newest_first)
        second = await listed(world, shop, limit=3, newest_first=newest_first, after=first.next)
        third = await listed(world, shop, limit=3, newest_first=newest_first, after=second.next)
        back = await listed(world, shop, limit=3, newest_first=newest_first, before=third.prev)
        pages = [[one.id for one in page.items] for page in (first, second, third, back)]
        assert pages == [order[:3], order[3:6], order[6:], order[3:6]]
        assert (first.prev, third.next) == (None, None)


async def test_each_filter_gives_what_it_names_and_nothing_else(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    one = await world.send(shop, tracking_id="a")
    clock.advance(timedelta(hours=1))
    later = clock.now()
    two = await world.send(shop, zalo.OTP_TEMPLATE, phone="0987654321", tracking_id="b")
    three = await world.send(shop, 1, development=True)
    assert two.msg_id is not None
    await world.arrives(shop, msg_id=two.msg_id, delivered_at=later)
    assert one.msg_id is not None
    async with world.db.transaction() as tx:
        await message_seen(tx, shop.account_id, shop.oa_id, msg_id=one.msg_id, now=later)

    assert await found(world, shop) == [three.id, two.id, one.id]
    wanted: list[tuple[dict[str, Any], list[int]]] = [
        ({"phone": "0987 654 321"}, [two.id]),
        ({"phone": "84987654321"}, [two.id]),
        ({"phone": "không phải số"}, []),
        ({"msg_id": one.msg_id}, [one.id]),
        ({"tracking_id": "b"}, [two.id]),
        ({"template_id": zalo.OTP_TEMPLATE}, [two.id]),
        ({"template_id": 2**70}, []),
        ({"oa_id": shop.oa_id}, [three.id, two.id, one.id]),
        ({"oa_id": 2**70}, []),
        ({"type": "journey"}, []),
        ({"type": "template"}, [three.id, two.id, one.id]),
        ({"states": frozenset({MessageState.REFUSED})}, [three.id]),
        ({"states": frozenset({MessageState.ACCEPTED, MessageState.DELIVERED})}, [two.id, one.id]),
        ({"delivery": "seen"}, [one.id]),
        ({"delivery": "received"}, [two.id]),
        ({"delivery": "unknown"}, [three.id]),
        ({"development": True}, [three.id]),
        ({"charged": True}, []),
        ({"user_id": shop.person.user.id}, [three.id, two.id, one.id]),
        ({"user_id": world.cast.colleague.user.id}, []),
        ({"since": later}, [three.id, two.id]),
        ({"until": later}, [one.id]),
        ({"since": later, "time_type": "delivery_time"}, [two.id]),
        ({"journey_id": "\x00"}, []),
        ({"tracking_id": "\ud800"}, []),
    ]
    for where, ids in wanted:
        assert await found(world, shop, **where) == ids, where


async def test_a_message_is_found_by_the_tracking_id_that_zalo_was_given(world: Zns, shop: Shop) -> None:
    sent = await world.send(shop)
    assert sent.tracking_id == ""
    assert await found(world, shop, tracking_id=f"td{sent.id}") == [sent.id]


async def test_a_stranger_lists_nothing_of_it(world: Zns, shop: Shop) -> None:
    sent = await world.send(shop)
    async with world.db.transaction() as tx:
        page = await list_messages(
            tx, world.cast.stranger.account_id, MessageFilter(msg_id=sent.msg_id), Paging()
        )
    assert page.items == []


# ---------------------------------------------------------------- what recipients do


async def test_a_message_that_was_seen_stays_seen(world: Zns, shop: Shop, clock: FakeClock) -> None:
    sent = await world.send(shop)
    assert sent.msg_id is not None
    async with world.db.transaction() as tx:
        seen = await message_seen(tx, shop.account_id, shop.oa_id, msg_id=sent.msg_id, now=clock.now())
        again = await message_seen(tx, shop.account_id, shop.oa_id, msg_id=sent.msg_id, now=clock.now())
    assert seen is not None
    assert (seen.id, seen.seen, again) == (sent.id, True, None)


async def test_the_last_rating_stays_and_customers_servers_are_told_of_each(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    async with world.db.transaction() as tx:
        await webhooks.create_endpoint(
            tx,
            world.bridge.keyring,
            shop.account_id,
            url="https://example.vn/webhook",
            events=["zalo.message.rated"],
        )
    sent = await world.send(shop)

    async def rated(rate: int, minutes: int) -> ZnsMessage | None:
        async with world.db.transaction() as tx:
            return await message_rated(
                tx,
                shop.account_id,
                msg_id=sent.msg_id or "",
                rate=rate,
                note="Giao nhanh",
                feedback=["Nhân viên thân thiện"],
                submitted_at=clock.now() + timedelta(minutes=minutes),
                now=clock.now(),
            )

    first, repeated, older, last = [await rated(*given) for given in ((4, 5), (4, 5), (1, 0), (5, 9))]
    assert first is not None
    assert (first.rate, first.note, first.feedback) == (4, "Giao nhanh", ["Nhân viên thân thiện"])
    assert (repeated, older) == (None, None)
    assert last is not None
    assert (await world.get(shop, sent)).rate == 5
    told = await world.rows("SELECT type FROM webhook_events WHERE account_id = %s", shop.account_id)
    assert told == [("zalo.message.rated",)] * 2


async def test_events_about_what_nobody_sent_change_nothing(world: Zns, shop: Shop, clock: FakeClock) -> None:
    sent = await world.send(shop)
    for msg_id in ("deadbeef", "", "\x00"):
        assert await world.arrives(shop, msg_id=msg_id, tracking_id="\x00") is None
        assert await world.arrives(shop, msg_id=msg_id, tracking_id=f"td{sent.id + 1}") is None
        async with world.db.transaction() as tx:
            assert await message_seen(tx, shop.account_id, shop.oa_id, msg_id=msg_id, now=clock.now()) is None
            assert (
                await message_rated(
                    tx,
                    shop.account_id,
                    msg_id=msg_id,
                    rate=10**30,
                    note="",
                    feedback=[],
                    submitted_at=clock.now(),
                    now=clock.now(),
                )
                is None
            )
    assert await world.get(shop, sent) == sent


async def test_a_tracking_id_that_two_messages_share_settles_neither(world: Zns, shop: Shop) -> None:
    await world.send(shop)
    await world.emulator.force(zalo.SEND, "empty", times=2, after=True)
    for _ in range(2):
        with pytest.raises(Exception, match="makes no sense"):
            await world.send(shop, tracking_id="trung-nhau")
    assert await world.arrives(shop, msg_id="abc", tracking_id="trung-nhau") is None
    states = await world.rows("SELECT state FROM zalo_messages WHERE tracking_id = 'trung-nhau'")
    assert states == [("unknown",)] * 2
