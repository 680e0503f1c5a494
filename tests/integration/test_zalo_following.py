"""Messages followed to their end: by asking Zalo at their time-outs, and by the clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest
from tests import money, zns
from tests.fakes import zalo
from tests.fakes.clock import FakeClock
from tests.fakes.sending import eventually
from tests.zns import PHONE, Shop, Zns

from tongdai.domain import webhooks
from tongdai.domain.zalo import (
    Journey,
    JourneyState,
    MessageState,
    ZnsMessage,
    create_journey,
    following,
    get_journey,
    outcomes,
)
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.zalo import ZaloGarbledError

pytestmark = pytest.mark.anyio

BALANCE = Decimal(1_000_000)
NOTHING = Decimal(0)
FEE = Decimal(220)
TIMEOUT = timedelta(hours=2)
"""Of the template that the tests send."""
STATUS = "/message/status"


@pytest.fixture
async def world(db: Database, keyring: Keyring, clock: FakeClock) -> AsyncIterator[Zns]:
    async with zns.world(db, keyring, clock) as made:
        yield made


@pytest.fixture
async def shop(world: Zns) -> Shop:
    made = await world.shop(remaining=100)
    await money.payer(world.db, made.account_id)
    return made


async def published(world: Zns, shop: Shop) -> list[str]:
    rows = await world.rows(
        "SELECT type FROM webhook_events WHERE account_id = %s ORDER BY id", shop.account_id
    )
    return [type_ for (type_,) in rows]


async def subscribe(world: Zns, shop: Shop) -> None:
    async with world.db.transaction() as tx:
        await webhooks.create_endpoint(
            tx,
            world.bridge.keyring,
            shop.account_id,
            url="https://example.vn/webhook",
            events=["zalo.message.delivered", "zalo.message.undelivered"],
        )


async def lost(world: Zns, shop: Shop) -> ZnsMessage:
    """A message that Zalo takes and nobody receives."""
    await world.emulator.recipient(PHONE, delivered=False)
    return await world.send(shop)


async def doubtful(world: Zns, shop: Shop) -> int:
    """The id of a message of which nobody knows whether Zalo took it."""
    await world.send(shop, development=True, phone="0901000001")  # so that the template is known
    await world.emulator.force(zalo.SEND, "empty", after=True)
    with pytest.raises(ZaloGarbledError):
        await world.send(shop)
    [(id_,)] = await world.rows("SELECT id FROM zalo_messages WHERE state = 'unknown'")
    return int(id_)


async def asked(world: Zns, times: int) -> bool:
    """Whether Zalo was asked to send so often."""
    return len(await world.sends()) >= times


async def journey_of(world: Zns, shop: Shop) -> Journey:
    return await create_journey(
        world.bridge, shop.account_id, shop.person.user.id, oa_id=shop.oa_id, phone=PHONE
    )


# ---------------------------------------------------------------- asking Zalo


async def test_nothing_is_asked_before_a_messages_time_is_out(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    await world.send(shop)
    clock.advance(TIMEOUT - timedelta(seconds=1))
    assert await world.follow() == 0
    assert await world.emulator.requests(STATUS) == []


async def test_a_delivery_whose_event_was_lost_is_learned_at_the_time_out_and_paid(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    await subscribe(world, shop)
    sent = await world.send(shop)
    await world.emulator.advance(5)
    clock.advance(TIMEOUT)
    assert await world.follow() == 1
    message = await world.get(shop, sent)
    assert (message.state, message.charged) == (MessageState.DELIVERED, True)
    assert message.delivered_at is not None
    assert await world.purse(shop) == (BALANCE - FEE, NOTHING)
    assert await published(world, shop) == ["zalo.message.delivered"]
    assert await world.follow() == 0


async def test_a_delivery_after_the_time_out_is_told_and_not_paid(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    await world.emulator.recipient(PHONE, delay_ms=3 * 3_600_000)
    sent = await world.send(shop)
    clock.advance(TIMEOUT)
    assert await world.follow() == 1
    assert (await world.get(shop, sent)).state is MessageState.ACCEPTED
    await world.emulator.advance(3 * 3600)
    clock.advance(timedelta(hours=1))
    assert await world.follow() == 1
    message = await world.get(shop, sent)
    assert (message.state, message.charged, message.fee) == (MessageState.DELIVERED, False, NOTHING)
    assert await world.purse(shop) == (BALANCE, NOTHING)


async def test_a_message_that_never_arrives_is_asked_for_a_few_times_and_then_let_go(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    await subscribe(world, shop)
    sent = await lost(world, shop)
    clock.advance(TIMEOUT)
    for pause in following.ASK_AGAIN:
        assert await world.follow() == 1
        assert (await world.get(shop, sent)).state is MessageState.ACCEPTED
        assert await world.purse(shop) == (BALANCE, FEE)
        clock.advance(pause)
    assert await world.follow() == 1
    assert (await world.get(shop, sent)).state is MessageState.UNDELIVERED
    assert await world.purse(shop) == (BALANCE, NOTHING)
    assert len(await world.emulator.requests(STATUS)) == 1 + len(following.ASK_AGAIN)
    assert await published(world, shop) == ["zalo.message.undelivered"]
    clock.advance(timedelta(days=30))
    assert await world.follow() == 0


async def test_a_delivery_that_is_heard_of_after_all_is_shown_and_costs_nothing(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    sent = await lost(world, shop)
    clock.advance(TIMEOUT)
    for pause in (*following.ASK_AGAIN, timedelta()):
        await world.follow()
        clock.advance(pause)
    assert sent.msg_id is not None
    arrived = await world.arrives(shop, msg_id=sent.msg_id)
    assert arrived is not None
    assert (arrived.state, arrived.charged) == (MessageState.DELIVERED, False)
    assert await world.purse(shop) == (BALANCE, NOTHING)


async def test_a_zalo_that_cannot_be_asked_ends_no_message_before_days_have_passed(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    sent = await lost(world, shop)
    await world.emulator.force(STATUS, {"kind": "error", "code": -100}, times=1000)
    clock.advance(TIMEOUT)
    for _ in range(10):
        assert await world.follow() == 1
        clock.advance(following.ZALO_AWAY)
    assert (await world.get(shop, sent)).state is MessageState.ACCEPTED
    clock.advance(following.GIVE_UP)
    assert await world.follow() == 1
    assert (await world.get(shop, sent)).state is MessageState.UNDELIVERED
    assert await world.purse(shop) == (BALANCE, NOTHING)


async def test_two_followers_at_once_charge_a_message_once(world: Zns, shop: Shop, clock: FakeClock) -> None:
    await world.emulator.settings(delivery_ms=0)
    sent = [await world.send(shop) for _ in range(12)]
    await world.emulator.advance(5)
    clock.advance(TIMEOUT)
    followed = await asyncio.gather(*(world.follow() for _ in range(4)))
    assert sum(followed) == len(sent)
    assert await world.purse(shop) == (BALANCE - len(sent) * FEE, NOTHING)
    [(lines,)] = await world.rows("SELECT count(*) FROM ledger WHERE kind = 'zalo_message'")
    assert lines == len(sent)


async def test_an_event_and_a_follower_together_charge_a_message_once(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    sent = [await world.send(shop) for _ in range(8)]
    await world.emulator.advance(5)
    clock.advance(TIMEOUT)
    told = [
        world.arrives(shop, msg_id=one.msg_id or "", delivered_at=one.sent_at)
        for one in sent
        for _ in range(2)
    ]
    await asyncio.gather(world.follow(), *told)
    assert await world.purse(shop) == (BALANCE - len(sent) * FEE, NOTHING)


# ---------------------------------------------------------------- the clock


async def test_a_doubtful_message_of_which_nothing_is_heard_is_given_up_and_costs_nothing(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    id_ = await doubtful(world, shop)
    clock.advance(TIMEOUT + outcomes.SILENCE - timedelta(seconds=1))
    assert await world.follow() == 1  # the message to the tester
    assert (await world.get(shop, id_)).state is MessageState.UNKNOWN
    clock.advance(timedelta(seconds=1))
    await world.follow()
    assert (await world.get(shop, id_)).state is MessageState.UNDELIVERED
    assert await world.purse(shop) == (BALANCE, NOTHING)
    assert (await world.quota(shop))[1] == 0
    assert len(await world.sends()) == 2


async def test_a_message_whose_process_died_becomes_doubtful_after_a_minute(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    await world.send(shop, development=True, phone="0901000001")
    await world.emulator.force(zalo.SEND, "hang", after=True)
    sending = asyncio.create_task(world.send(shop, tracking_id="chet-giua-chung"))
    await eventually(lambda: asked(world, 2))
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    [(id_,)] = await world.rows("SELECT id FROM zalo_messages WHERE state = 'sending'")
    assert await world.follow() == 0
    clock.advance(timedelta(minutes=1))
    assert await world.follow() == 1
    assert (await world.get(shop, id_)).state is MessageState.UNKNOWN
    assert await world.purse(shop) == (BALANCE, FEE)
    arrived = await world.arrives(shop, msg_id="abc123", tracking_id="chet-giua-chung")
    assert arrived is not None
    assert arrived.id == id_
    assert await world.purse(shop) == (BALANCE - FEE, NOTHING)


async def test_the_event_may_come_before_the_answer(world: Zns, shop: Shop) -> None:
    await world.send(shop, development=True, phone="0901000001")
    await world.emulator.force(zalo.SEND, "slow", delay_ms=300)
    sending = asyncio.create_task(world.send(shop, tracking_id="nhanh-hon"))
    await eventually(lambda: asked(world, 2))
    early = await world.arrives(shop, msg_id="dead", tracking_id="nhanh-hon")
    assert early is not None
    sent = await sending
    assert (sent.state, sent.charged) == (MessageState.DELIVERED, True)
    assert sent.msg_id != "dead"  # Zalo's answer knows best
    assert await world.purse(shop) == (BALANCE - FEE, NOTHING)
    assert await world.quota(shop) == (99, 0)


# ---------------------------------------------------------------- journeys


async def test_the_first_message_of_a_journey_charges_the_journey_and_none_of_them_costs(
    world: Zns, shop: Shop
) -> None:
    journey = await journey_of(world, shop)
    price = journey.price
    assert await world.purse(shop) == (BALANCE, price)
    first = await world.send(shop, zalo.JOURNEY_TEMPLATE, journey_id=journey.journey_id)
    assert (first.state, first.fee) == (MessageState.ACCEPTED, NOTHING)
    assert first.type == "journey"
    assert first.journey_id == journey.journey_id
    assert await world.purse(shop) == (BALANCE - price, NOTHING)
    second = await world.send(shop, zalo.JOURNEY_TEMPLATE, journey_id=str(journey.id))
    assert second.state is MessageState.ACCEPTED
    assert await world.purse(shop) == (BALANCE - price, NOTHING)
    async with world.db.transaction() as tx:
        enabled = await get_journey(
            tx, world.bridge.keyring, shop.account_id, str(journey.id), None, now=world.bridge.clock.now()
        )
    assert (enabled.state, enabled.charged) == (JourneyState.ENABLED, True)


async def test_a_message_to_a_tester_charges_no_journey(world: Zns, shop: Shop) -> None:
    tester = "84901000001"
    journey = await create_journey(
        world.bridge, shop.account_id, shop.person.user.id, oa_id=shop.oa_id, phone=tester
    )
    sent = await world.send(
        shop, zalo.JOURNEY_TEMPLATE, phone=tester, journey_id=journey.journey_id, development=True
    )
    assert sent.state is MessageState.ACCEPTED
    assert await world.purse(shop) == (BALANCE, journey.price)


async def test_a_journey_goes_to_its_own_number_and_only_while_it_lasts(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    journey = await journey_of(world, shop)
    other = await world.send(shop, zalo.JOURNEY_TEMPLATE, journey_id=journey.journey_id, phone="0901234568")
    assert (other.state, other.error_code) == (MessageState.REFUSED, -149)
    clock.advance(timedelta(days=8))
    late = await world.send(shop, zalo.JOURNEY_TEMPLATE, journey_id=journey.journey_id)
    assert (late.state, late.error_code) == (MessageState.REFUSED, -150)
    assert await world.sends() == []


# ---------------------------------------------------------------- the loop


async def test_a_journey_that_zalo_calls_expired_is_over(world: Zns, shop: Shop) -> None:
    await subscribe(world, shop)
    journey = await journey_of(world, shop)
    for code, state in ((-148, JourneyState.OPEN), (-149, JourneyState.OPEN), (-150, JourneyState.EXPIRED)):
        await world.emulator.force(zalo.SEND, "error", code=code, message="Journey token is expired")
        sent = await world.send(shop, zalo.JOURNEY_TEMPLATE, journey_id=journey.journey_id)
        assert (sent.state, sent.error_code) == (MessageState.REFUSED, code)
        async with world.db.transaction() as tx:
            now = world.bridge.clock.now()
            after = await get_journey(
                tx, world.bridge.keyring, shop.account_id, str(journey.id), None, now=now
            )
        assert after.state is state
    before = len(await world.sends())
    again = await world.send(shop, zalo.JOURNEY_TEMPLATE, journey_id=journey.journey_id)
    assert again.error_code == -150
    assert len(await world.sends()) == before
    assert await world.purse(shop) == (BALANCE, journey.price)  # until no event can come any more


async def test_the_follower_runs_until_it_is_told_to_stop(world: Zns, shop: Shop, clock: FakeClock) -> None:
    sent = await world.send(shop)
    await world.emulator.advance(5)
    clock.advance(TIMEOUT)
    stop = asyncio.Event()
    follower = following.Follower(world.bridge, following.FollowerConfig(batch=1, poll_s=0.01))
    running = asyncio.create_task(follower.run(stop))

    async def followed() -> bool:
        return (await world.get(shop, sent)).state is not MessageState.ACCEPTED

    await eventually(followed)
    stop.set()
    await asyncio.wait_for(running, 5)
    assert (await world.get(shop, sent)).state is MessageState.DELIVERED


async def test_one_account_over_which_zalo_is_silent_holds_up_nobody(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    """Each question would run into its time-out, one after the other."""
    sent = [await lost(world, shop) for _ in range(30)]
    clock.advance(TIMEOUT)
    before = len(await world.emulator.requests(STATUS))
    await world.emulator.force(STATUS, "hang", times=1000)
    async with asyncio.timeout(15):
        assert await world.follow() == len(sent)
    assert len(await world.emulator.requests(STATUS)) - before <= following.FollowerConfig().asked_at_once
    await world.emulator.clear_faults()
    clock.advance(following.ZALO_AWAY)
    assert await world.follow() == len(sent)
    [(asked_of,)] = await world.rows("SELECT count(*) FROM zalo_messages WHERE follows = 1")
    assert asked_of == len(sent)


async def test_while_zalo_is_silent_journeys_end_and_dead_senders_are_found(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    journey = await journey_of(world, shop)
    sent = await lost(world, shop)
    await world.rows(
        """UPDATE zalo_messages SET state = 'sending', msg_id = NULL, follow_at = created_at
            WHERE id = %s RETURNING 1""",
        sent.id,
    )
    await lost(world, shop)
    clock.advance(timedelta(days=7))
    await world.emulator.force(STATUS, "hang", times=1000)
    stop = asyncio.Event()
    running = asyncio.create_task(following.Follower(world.bridge).run(stop))

    async def ended() -> bool:
        rows = await world.rows(
            """SELECT (SELECT state FROM zalo_messages WHERE id = %s),
                      (SELECT state FROM zalo_journeys WHERE id = %s)""",
            sent.id,
            journey.id,
        )
        return rows == [("unknown", "expired")]

    async with asyncio.timeout(4):  # less than Zalo's time-out
        await eventually(ended)
    stop.set()
    async with asyncio.timeout(20):
        await running


async def test_a_message_whose_tokens_cannot_be_opened_any_more_comes_to_an_end(
    world: Zns, shop: Shop, clock: FakeClock
) -> None:
    sent = await lost(world, shop)
    await world.rows("UPDATE zalo_oas SET access_token = 'x' WHERE id = %s RETURNING 1", shop.oa_ref)
    clock.advance(following.GIVE_UP)
    assert await world.follow() == 1
    assert (await world.get(shop, sent)).state is MessageState.UNDELIVERED
    assert await world.purse(shop) == (BALANCE, NOTHING)
