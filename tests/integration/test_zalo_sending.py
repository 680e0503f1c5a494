"""Sending messages over Zalo: what they hold, what Zalo refuses, and what becomes of doubtful ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests import money, zns
from tests.fakes import zalo
from tests.fakes.clock import FakeClock
from tests.fakes.sending import eventually
from tests.zns import PHONE, Zns

from tongdai.adapters.zaloapi import ZaloClient
from tongdai.domain.zalo import (
    JourneyNotFoundError,
    MessageInvalidError,
    MessageNotFoundError,
    MessageState,
    OaNotFoundError,
    ZnsMessage,
    attempting,
    facts,
)
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.zalo import ZaloAwayError, ZaloError, ZaloGarbledError, ZaloSilentError

pytestmark = pytest.mark.anyio

BALANCE = Decimal(1_000_000)
NOTHING = Decimal(0)
FEE = Decimal(220)
"""Of a message of 200 đồng, with 10 % VAT."""


@pytest.fixture
async def world(db: Database, keyring: Keyring, clock: FakeClock) -> AsyncIterator[Zns]:
    async with zns.world(db, keyring, clock) as made:
        yield made


def refusal(message: ZnsMessage) -> int:
    assert message.state is MessageState.REFUSED
    assert message.error_message
    assert message.msg_id is None
    return message.error_code


# ---------------------------------------------------------------- the good end


async def test_a_message_is_accepted_then_delivered_and_paid_once(world: Zns) -> None:
    shop = await world.shop(remaining=100)
    await money.payer(world.db, shop.account_id)
    sent = await world.send(shop, phone="0901 234 567", tracking_id="don-42")
    assert (sent.state, sent.phone, sent.tracking_id, sent.fee) == ("accepted", PHONE, "don-42", FEE)
    assert sent.data == {
        "ten_khach_hang": "Nguyễn Văn An",
        "ma_don": "DH-0042",
        "so_tien": "120000",
        "ngay": "18/11/2026",
    }
    assert sent.msg_id
    assert sent.sent_at is not None
    assert await world.purse(shop) == (BALANCE, FEE)
    assert await world.quota(shop) == (99, 0)

    arrived = await world.arrives(shop, msg_id=sent.msg_id, delivered_at=sent.sent_at + timedelta(seconds=2))
    assert arrived is not None
    assert (arrived.state, arrived.charged, arrived.fee) == ("delivered", True, FEE)
    assert await world.purse(shop) == (BALANCE - FEE, NOTHING)
    again = await world.arrives(shop, msg_id=sent.msg_id, delivered_at=sent.sent_at)
    assert again is None
    assert await world.purse(shop) == (BALANCE - FEE, NOTHING)


async def test_an_account_without_billing_sends_for_nothing(world: Zns) -> None:
    shop = await world.shop()
    sent = await world.send(shop)
    assert (sent.state, sent.fee, sent.price) == (MessageState.ACCEPTED, NOTHING, Decimal(200))
    assert sent.msg_id is not None
    arrived = await world.arrives(shop, msg_id=sent.msg_id)
    assert arrived is not None
    assert not arrived.charged


async def test_zalo_is_given_a_tracking_id_of_ours_where_the_customer_gives_none(world: Zns) -> None:
    shop = await world.shop()
    sent = await world.send(shop)
    assert sent.tracking_id == ""
    [asked] = await world.sends()
    assert asked["tracking_id"] == f"td{sent.id}"


async def test_messages_to_testers_cost_nothing_and_take_no_place(world: Zns) -> None:
    shop = await world.shop(remaining=0)
    await money.payer(world.db, shop.account_id)
    sent = await world.send(shop, phone="0901000001", development=True)
    assert (sent.state, sent.development, sent.fee) == (MessageState.ACCEPTED, True, NOTHING)
    assert refusal(await world.send(shop, development=True)) == -127
    assert await world.purse(shop) == (BALANCE, NOTHING)
    assert await world.quota(shop) == (0, 0)


# ---------------------------------------------------------------- quotas


async def test_thirty_senders_at_once_send_exactly_what_the_quota_has(world: Zns) -> None:
    shop = await world.shop(remaining=10)
    await money.payer(world.db, shop.account_id)
    await world.send(shop, phone="0901000001", development=True)  # the template is known to all of them
    sent = await asyncio.gather(*(world.send(shop) for _ in range(30)))
    assert sorted(one.state for one in sent) == ["accepted"] * 10 + ["refused"] * 20
    assert {refusal(one) for one in sent if one.state is MessageState.REFUSED} == {-144}
    asked = [one for one in await world.sends() if one["error"] == 0]
    assert len(asked) == 11
    assert await world.quota(shop) == (0, 0)
    assert await world.zalos_quota(shop) == 0
    assert await world.purse(shop) == (BALANCE, 10 * FEE)


async def test_one_after_the_other_the_quota_is_used_to_its_last_place(world: Zns) -> None:
    shop = await world.shop(remaining=3)
    states = [(await world.send(shop)).state for _ in range(4)]
    assert states == ["accepted", "accepted", "accepted", "refused"]
    assert len(await world.sends()) == 3


async def test_a_quota_that_is_less_than_we_believed_is_believed_when_zalo_says_so(world: Zns) -> None:
    shop = await world.shop(remaining=50)
    await world.emulator.quota_left(0)
    assert refusal(await world.send(shop)) == -144
    assert await world.quota(shop) == (0, 0)
    assert refusal(await world.send(shop)) == -144
    assert len(await world.sends()) == 1


async def test_what_is_left_is_asked_for_at_once_when_zalo_says_that_nothing_is(world: Zns) -> None:
    """As at midnight, when Zalo's day begins a second after ours."""
    shop = await world.shop(remaining=50)
    assert await facts.freshen_due(world.bridge) == 0
    await world.emulator.force(zalo.SEND, "error", code=-144, message="OA has reached its daily quota")
    assert refusal(await world.send(shop)) == -144
    assert await facts.freshen_due(world.bridge) == 1
    assert (await world.send(shop)).state is MessageState.ACCEPTED
    assert await facts.freshen_due(world.bridge) == 0


async def test_the_next_day_begins_with_the_whole_quota(world: Zns, clock: FakeClock) -> None:
    shop = await world.shop(remaining=1)
    assert (await world.send(shop)).state is MessageState.ACCEPTED
    assert refusal(await world.send(shop)) == -144
    clock.advance(timedelta(days=1))
    await world.emulator.advance(86_400)
    await world.emulator.change_oa(daily_quota=1)
    assert (await world.send(shop)).state is MessageState.ACCEPTED


async def test_promotions_have_a_quota_of_their_own(world: Zns) -> None:
    shop = await world.shop(remaining=100)
    await world.rows(
        "UPDATE zalo_quotas SET remaining_monthly_promotion = 1 WHERE oa_ref = %s RETURNING 1", shop.oa_ref
    )
    first, second = "0901234561", "0901234562"
    assert (await world.send(shop, zalo.PROMOTION_TEMPLATE, phone=first)).state is MessageState.ACCEPTED
    assert refusal(await world.send(shop, zalo.PROMOTION_TEMPLATE, phone=second)) == -1441
    assert (await world.send(shop, phone=second)).state is MessageState.ACCEPTED


async def test_a_template_that_zalo_stops_for_today_is_not_asked_for_again(world: Zns) -> None:
    shop = await world.shop(remaining=100)
    await world.emulator.change_template(zalo.CARE_TEMPLATE, daily_quota=0)
    assert refusal(await world.send(shop, zalo.CARE_TEMPLATE)) == -147
    assert refusal(await world.send(shop, zalo.CARE_TEMPLATE)) == -147
    assert len(await world.sends()) == 1
    assert await world.quota(shop) == (100, 0)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("code", [-110, -114, -118, -119, -139, -140, -141, -100, -135, -999])
async def test_what_zalo_refuses_gives_back_its_place_and_its_money(world: Zns, code: int) -> None:
    shop = await world.shop(remaining=5)
    await money.payer(world.db, shop.account_id)
    await world.emulator.recipient(PHONE, refusal=code)
    refused = await world.send(shop)
    assert (refusal(refused), refused.fee) == (code, NOTHING)
    assert (await world.get(shop, refused)) == refused
    assert await world.purse(shop) == (BALANCE, NOTHING)
    assert await world.quota(shop) == (5, 0)


@pytest.mark.parametrize(
    ("template_id", "more", "code"),
    [
        (zalo.TRANSACTION_TEMPLATE, {"data": {}}, -111),
        (zalo.TRANSACTION_TEMPLATE, {"data": {"ma_don": "1"}}, -1122),
        (zalo.OTP_TEMPLATE, {"data": {"otp": "12345678901"}}, -1121),
        (zalo.OTP_TEMPLATE, {"data": {"otp": "123"}}, -1124),
        (zalo.PENDING_TEMPLATE, {}, -131),
        (zalo.REJECTED_TEMPLATE, {}, -131),
        (zalo.TRANSACTION_TEMPLATE, {"over_quota": True}, -162),
        (1, {}, -109),
    ],
)
async def test_what_we_refuse_ourselves_never_reaches_zalo(
    world: Zns, template_id: int, more: dict[str, Any], code: int
) -> None:
    shop = await world.shop(remaining=5)
    refused = await world.send(shop, template_id, **more)
    assert refusal(refused) == code
    assert await world.sends() == []
    assert await world.quota(shop) == (5, 0)
    assert (await world.get(shop, refused)).state is MessageState.REFUSED


async def test_at_night_care_is_refused_at_once_and_codes_go_out(world: Zns, clock: FakeClock) -> None:
    shop = await world.shop()
    clock.advance(timedelta(hours=13))  # 23:00 in Vietnam
    assert refusal(await world.send(shop, zalo.CARE_TEMPLATE)) == -133
    assert (await world.send(shop, zalo.OTP_TEMPLATE)).state is MessageState.ACCEPTED
    assert len(await world.sends()) == 1


async def test_a_wallet_that_is_too_low_refuses_and_keeps_the_place_for_others(world: Zns) -> None:
    shop = await world.shop(remaining=5)
    payer = await money.payer(world.db, shop.account_id, balance=300)
    assert (await world.send(shop)).state is MessageState.ACCEPTED
    assert refusal(await world.send(shop)) == -137
    assert await world.purse(shop) == (Decimal(300), FEE)
    assert await world.quota(shop) == (4, 0)
    await world.rows(
        "UPDATE subscriptions SET valid_until = valid_from WHERE id = %s RETURNING 1", payer.subscription_id
    )
    assert refusal(await world.send(shop)) == -136


async def test_an_account_whose_consent_has_lapsed_is_told_so_and_zalo_is_not_asked(world: Zns) -> None:
    shop = await world.shop()
    await world.rows(
        "UPDATE zalo_oas SET state = 'needs_consent', access_token = NULL WHERE id = %s RETURNING 1",
        shop.oa_ref,
    )
    before = len(await world.emulator.requests())
    assert refusal(await world.send(shop)) == -124
    assert len(await world.emulator.requests()) == before


async def test_a_consent_that_turns_out_to_be_withdrawn_refuses_the_message(world: Zns) -> None:
    shop = await world.shop(remaining=5)
    await money.payer(world.db, shop.account_id)
    await world.send(shop)
    await world.emulator.revoke()
    assert refusal(await world.send(shop)) == -124
    assert await world.quota(shop) == (4, 0)
    assert await world.purse(shop) == (BALANCE, FEE)


@pytest.mark.parametrize(
    "more",
    [
        {"phone": "không phải số"},
        {"phone": ""},
        {"phone": "+1 650 253 0000"},
        {"tracking_id": "x" * 49},
        {"tracking_id": "a\x00"},
        {"template_id": 0},
        {"template_id": 2**63},
    ],
)
async def test_what_is_no_message_at_all_is_not_kept(world: Zns, more: dict[str, Any]) -> None:
    shop = await world.shop()
    template_id = more.pop("template_id", zalo.TRANSACTION_TEMPLATE)
    with pytest.raises(MessageInvalidError):
        await world.send(shop, template_id, **more)
    assert await world.rows("SELECT id FROM zalo_messages") == []


# ---------------------------------------------------------------- doubt


@pytest.mark.parametrize(
    ("fault", "error"),
    [("hang", ZaloSilentError), ("half_body", ZaloError), ("empty", ZaloGarbledError), ("reset", ZaloError)],
)
async def test_a_doubtful_message_is_kept_never_repeated_and_settled_by_the_event(
    world: Zns, fault: str, error: type[ZaloError]
) -> None:
    shop = await world.shop(remaining=5)
    await money.payer(world.db, shop.account_id)
    await world.send(shop)
    before = await world.purse(shop)
    await world.emulator.force(zalo.SEND, fault, after=True)
    with pytest.raises(error) as raised:
        await world.send(shop, tracking_id="hoang-mang")
    assert raised.value.doubtful
    [(message_id,)] = await world.rows("SELECT id FROM zalo_messages WHERE state = 'unknown'")
    assert await world.purse(shop) == (before[0], before[1] + FEE)
    assert await world.quota(shop) == (3, 1)

    arrived = await world.arrives(shop, msg_id="a1b2c3", tracking_id="hoang-mang")
    assert arrived is not None
    assert (arrived.id, arrived.state, arrived.msg_id, arrived.charged) == (
        message_id,
        "delivered",
        "a1b2c3",
        True,
    )
    assert await world.purse(shop) == (before[0] - FEE, before[1])
    assert await world.quota(shop) == (3, 0)
    assert len(await world.sends()) == 2


async def test_an_unreachable_zalo_leaves_a_refused_message_and_holds_nothing(world: Zns) -> None:
    shop = await world.shop(remaining=5)
    await money.payer(world.db, shop.account_id)
    await world.send(shop)
    held = await world.purse(shop)

    nowhere = "http://127.0.0.1:1"
    client = ZaloClient(oauth_url=nowhere, openapi_url=nowhere, business_url=nowhere, timeout_s=2.0)
    await client.start()
    away = replace(world, bridge=replace(world.bridge, client=client))
    with pytest.raises(ZaloAwayError):
        await away.send(shop)
    await client.stop()
    [(state, code)] = await world.rows("SELECT state, error_code FROM zalo_messages ORDER BY id DESC LIMIT 1")
    assert (state, code) == ("refused", -100)
    assert await world.purse(shop) == held
    assert await world.quota(shop) == (4, 0)


async def test_a_message_whose_caller_hangs_up_is_settled_by_zalos_answer(world: Zns) -> None:
    shop = await world.shop(remaining=5)
    await money.payer(world.db, shop.account_id)
    await world.send(shop)
    await world.emulator.settings(delay_ms=300)
    waiting = asyncio.create_task(world.send(shop))

    async def came() -> bool:
        return len(await world.sends()) >= 2

    await eventually(came)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await attempting.settled(10)
    states = await world.rows("SELECT state, msg_id IS NOT NULL FROM zalo_messages")
    assert states == [("accepted", True)] * 2
    assert await world.quota(shop) == (3, 0)


async def test_a_refusal_that_makes_a_template_doubtful_waits_for_no_sender_of_it(world: Zns) -> None:
    """Quotas are locked before templates: the other way round two would wait for each other for ever."""
    shop = await world.shop(remaining=100)
    await world.send(shop, zalo.CARE_TEMPLATE)
    await world.emulator.force(zalo.SEND, "error", times=100, code=-131, message="Template is not approved")

    async def some(number: int) -> None:
        for _ in range(6):
            await world.send(shop, zalo.CARE_TEMPLATE, phone=f"09012345{number:02}")

    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    await asyncio.gather(*(some(number) for number in range(10, 16)))
    await world.rows("SELECT pg_stat_force_next_flush()")
    assert await world.rows(deadlocks) == [(0,)]
    assert await world.rows("SELECT count(*) FROM zalo_messages WHERE state = 'sending'") == [(0,)]


# ---------------------------------------------------------------- secrets and strangers


async def test_a_one_time_code_is_nowhere_in_the_database(
    world: Zns, caplog: pytest.LogCaptureFixture
) -> None:
    shop = await world.shop(remaining=5)
    await money.payer(world.db, shop.account_id)
    code = "8265193740"
    caplog.set_level("DEBUG")
    sent = await world.send(shop, zalo.OTP_TEMPLATE, data={"otp": code})
    refused = await world.send(shop, zalo.OTP_TEMPLATE, data={"otp": code + code})
    unknown = await world.send(shop, 1, data={"otp": code})
    await world.emulator.force(zalo.SEND, "empty", after=True)
    with pytest.raises(ZaloGarbledError):
        await world.send(shop, zalo.OTP_TEMPLATE, data={"otp": code})
    assert (sent.data, refused.data, unknown.data) == ({}, {}, {})
    tables = await world.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert ("zalo_messages",) in tables
    for (table,) in tables:
        async with world.db.autocommit() as connection:
            found = await connection.execute(f'SELECT t::text FROM "{table}" AS t')
            assert all(code not in row[0] for row in await found.fetchall()), table
    assert code not in caplog.text


async def test_a_stranger_sends_over_their_own_accounts_only(world: Zns) -> None:
    shop = await world.shop()
    elsewhere = await world.shop(world.cast.stranger, zalo.SECOND_OA_ID)
    sent = await world.send(shop)
    with pytest.raises(OaNotFoundError):
        await world.send(zns.Shop(elsewhere.person, shop.oa_ref, shop.oa_id))
    with pytest.raises(MessageNotFoundError):
        await world.get(elsewhere, sent)
    assert sent.msg_id is not None
    assert await world.arrives(elsewhere, msg_id=sent.msg_id, tracking_id=f"td{sent.id}") is None
    assert (await world.get(shop, sent)).state is MessageState.ACCEPTED
    assert refusal(await world.send(elsewhere)) == -117


async def test_a_message_of_no_journey_is_not_sent(world: Zns) -> None:
    shop = await world.shop()
    for name in ("nowhere", "1", "\x00"):
        with pytest.raises(JourneyNotFoundError):
            await world.send(shop, zalo.JOURNEY_TEMPLATE, journey_id=name)
    assert await world.sends() == []
