"""Journeys at Zalo's emulator: each request makes one, each is charged once, and it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import anyio
import pytest
from tests import factories, money, zalo_shop
from tests.factories import Cast, Person
from tests.fakes import zalo as fake
from tests.fakes.clock import FakeClock
from tests.fakes.sending import eventually
from tests.fakes.zalo import EmulatedZalo

from tongdai.domain import billing, zalo
from tongdai.domain.billing import Kind
from tongdai.domain.zalo import (
    Bridge,
    Journey,
    JourneyFilter,
    JourneyInvalidError,
    JourneyNotFoundError,
    JourneyState,
    KeyReusedError,
    OaNotFoundError,
    OaNotNamedError,
    Paging,
)
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.zalo import ZaloGarbledError, ZaloSilentError

pytestmark = pytest.mark.anyio

PHONE = "0912345001"
UNLINKED = "0912345404"
PRICE = 198
"""180 đ and VAT."""


@pytest.fixture
async def cast(db: Database) -> Cast:
    return await factories.cast(db)


@pytest.fixture
async def emulator() -> AsyncIterator[EmulatedZalo]:
    async with fake.zalo_emulator() as running:
        yield running


@pytest.fixture
async def bridge(
    db: Database, keyring: Keyring, clock: FakeClock, emulator: EmulatedZalo
) -> AsyncIterator[Bridge]:
    async with zalo_shop.bridge(db, keyring, clock, emulator) as built:
        yield built


@pytest.fixture
async def owner(bridge: Bridge, cast: Cast) -> Person:
    """Has an Official Account, and pays."""
    await zalo_shop.connected(bridge, cast.owner)
    await money.payer(bridge.db, cast.owner.account_id, 10_000)
    return cast.owner


async def make(bridge: Bridge, who: Person, phone: str = PHONE, key: str | None = None) -> Journey:
    return await zalo.create_journey(
        bridge, who.account_id, who.user.id, oa_id=fake.OA_ID, phone=phone, idempotency_key=key
    )


async def wallet(bridge: Bridge, who: Person) -> tuple[int, int]:
    """Balance and what is reserved of it; the books agree."""
    async with bridge.db.transaction() as tx:
        found = await billing.wallet(tx, who.account_id)
        audit = await billing.audit(tx, who.account_id)
    assert audit is None or audit.agrees
    return int(found.balance), int(found.reserved)


async def again(bridge: Bridge, who: Person, journey: Journey) -> Journey:
    async with bridge.db.transaction() as tx:
        return await zalo.get_journey(
            tx, bridge.keyring, who.account_id, str(journey.id), None, now=bridge.clock.now()
        )


async def made_at_zalo(emulator: EmulatedZalo) -> int:
    return len(await emulator.requests(fake.GET_TOKEN))


# ---------------------------------------------------------------- making


async def test_a_journey_is_kept_with_its_token_and_expires_after_its_days(
    bridge: Bridge, owner: Person, clock: FakeClock
) -> None:
    journey = await make(bridge, owner)
    assert journey.state is JourneyState.OPEN
    assert journey.token
    assert journey.journey_id
    assert journey.phone == "84912345001"
    assert journey.expires_at == clock.now() + timedelta(days=7)
    assert (journey.error_code, journey.charged, journey.price) == (0, False, Decimal(PRICE))
    assert await again(bridge, owner, journey) == journey


async def test_a_token_is_not_in_the_database_as_it_is(bridge: Bridge, owner: Person) -> None:
    journey = await make(bridge, owner)
    assert journey.token
    async with bridge.db.transaction() as tx:
        row = await (await tx.execute("SELECT row_to_json(j)::text FROM zalo_journeys j")).fetchone()
    assert row is not None
    assert journey.token not in row[0]


async def test_two_parcels_to_one_number_are_two_journeys(
    bridge: Bridge, owner: Person, emulator: EmulatedZalo
) -> None:
    first, second = await make(bridge, owner), await make(bridge, owner)
    assert first.journey_id != second.journey_id
    assert await made_at_zalo(emulator) == 2
    assert await wallet(bridge, owner) == (10_000, 2 * PRICE)


async def test_a_number_without_zalo_is_refused_with_zalos_code_and_costs_nothing(
    bridge: Bridge, owner: Person
) -> None:
    journey = await make(bridge, owner, UNLINKED)
    assert (journey.state, journey.error_code) == (JourneyState.REFUSED, -118)
    assert (journey.journey_id, journey.token, journey.expires_at) == (None, None, None)
    assert await wallet(bridge, owner) == (10_000, 0)
    assert await again(bridge, owner, journey) == journey


async def test_a_wallet_that_cannot_pay_gets_no_token(bridge: Bridge, owner: Person) -> None:
    async with bridge.db.transaction() as tx:
        await billing.adjust(
            tx, owner.account_id, Decimal(PRICE + 100 - 10_000), by="kế toán", reason="rút", now=money.NOW
        )
    assert (await make(bridge, owner)).state is JourneyState.OPEN
    refused = await make(bridge, owner)
    assert (refused.state, refused.error_code, refused.token) == (JourneyState.REFUSED, -137, None)
    assert await wallet(bridge, owner) == (PRICE + 100, PRICE)


async def test_an_account_whose_billing_is_off_pays_nothing(bridge: Bridge, cast: Cast) -> None:
    await zalo_shop.connected(bridge, cast.owner)
    journey = await make(bridge, cast.owner)
    assert journey.state is JourneyState.OPEN
    assert journey.price == 0
    async with bridge.db.transaction() as tx:
        charged = await zalo.enable_journey(
            tx, cast.owner.account_id, zalo_id=journey.journey_id, now=bridge.clock.now()
        )
    assert charged is not None
    assert charged.charged
    assert await wallet(bridge, cast.owner) == (0, 0)


@pytest.mark.parametrize("phone", ["", "12345", "abc", "+1 202 555 0123", "19001234"])
async def test_what_is_no_number_is_not_asked_of_zalo(
    bridge: Bridge, owner: Person, emulator: EmulatedZalo, phone: str
) -> None:
    with pytest.raises(JourneyInvalidError):
        await make(bridge, owner, phone)
    assert await made_at_zalo(emulator) == 0


async def test_a_strangers_official_account_is_not_found(
    bridge: Bridge, owner: Person, cast: Cast, emulator: EmulatedZalo
) -> None:
    with pytest.raises(OaNotFoundError):
        await make(bridge, cast.stranger)
    with pytest.raises(OaNotNamedError):
        await zalo.create_journey(
            bridge, cast.stranger.account_id, cast.stranger.user.id, oa_id=None, phone=PHONE
        )
    assert await made_at_zalo(emulator) == 0


@pytest.mark.parametrize(("fault", "error"), [("reset", ZaloSilentError), ("html_504", ZaloGarbledError)])
async def test_what_zalo_never_answered_is_not_asked_again_and_leaves_nothing(
    bridge: Bridge, owner: Person, emulator: EmulatedZalo, fault: str, error: type[Exception]
) -> None:
    await emulator.force(fake.GET_TOKEN, fault, after=True)
    with pytest.raises(error):
        await make(bridge, owner)
    assert await made_at_zalo(emulator) == 1
    assert await wallet(bridge, owner) == (10_000, 0)
    async with bridge.db.transaction() as tx:
        page = await zalo.list_journeys(
            tx, bridge.keyring, owner.account_id, JourneyFilter(), Paging(), now=bridge.clock.now()
        )
    assert page.items == []


async def test_an_access_token_that_is_over_is_renewed_on_the_way(
    bridge: Bridge, owner: Person, emulator: EmulatedZalo
) -> None:
    await emulator.force(fake.GET_TOKEN, {"kind": "error", "code": -124, "message": "Access token invalid"})
    assert (await make(bridge, owner)).state is JourneyState.OPEN


async def test_journeys_made_at_once_never_overdraw_the_wallet(
    bridge: Bridge, owner: Person, emulator: EmulatedZalo
) -> None:
    made: list[Journey] = []

    async def one(number: int) -> None:
        made.append(await make(bridge, owner, f"09123{number:05d}"))

    async with anyio.create_task_group() as group:
        for number in range(60):
            group.start_soon(one, number)
    paid = [journey for journey in made if journey.state is JourneyState.OPEN]
    assert len(paid) == 10_000 // PRICE
    assert {journey.error_code for journey in made if journey not in paid} == {-137}
    assert len({journey.id for journey in made}) == 60
    assert await wallet(bridge, owner) == (10_000, len(paid) * PRICE)
    for journey in made:
        assert await again(bridge, owner, journey) == journey


# ---------------------------------------------------------------- keys


async def test_an_equal_key_gives_the_first_journey_again(
    bridge: Bridge, owner: Person, emulator: EmulatedZalo
) -> None:
    first = await make(bridge, owner, key="đơn 17")
    assert await make(bridge, owner, "+84 912 345 001", key="đơn 17") == first
    assert (await make(bridge, owner, key="đơn 18")).id != first.id
    assert await made_at_zalo(emulator) == 2


async def test_equal_keys_at_the_same_time_make_one_journey(
    bridge: Bridge, owner: Person, emulator: EmulatedZalo
) -> None:
    made: list[Journey] = []

    async def one() -> None:
        made.append(await make(bridge, owner, key="k"))

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(one)
    assert len({journey.id for journey in made}) == 1
    assert await made_at_zalo(emulator) == 1


async def test_a_key_of_another_request_is_refused(bridge: Bridge, owner: Person) -> None:
    await make(bridge, owner, key="k")
    with pytest.raises(KeyReusedError):
        await make(bridge, owner, "0912345002", key="k")


async def test_a_refused_journey_is_given_again_by_its_key_too(bridge: Bridge, owner: Person) -> None:
    assert await make(bridge, owner, UNLINKED, key="k") == await make(bridge, owner, UNLINKED, key="k")


async def test_a_key_is_tried_anew_when_what_refused_it_may_be_gone(
    bridge: Bridge, owner: Person, emulator: EmulatedZalo
) -> None:
    too_many = {"kind": "error", "code": -32, "message": "Your application reached limit call api"}
    await emulator.force(fake.GET_TOKEN, too_many)
    assert (await make(bridge, owner, key="k")).error_code == -32
    async with bridge.db.transaction() as tx:
        await billing.adjust(
            tx, owner.account_id, Decimal(-10_000), by="kế toán", reason="rút", now=money.NOW
        )
    assert (await make(bridge, owner, key="k")).error_code == -137
    async with bridge.db.transaction() as tx:
        await billing.top_up(tx, owner.account_id, Decimal(500), by="kế toán", reason="nạp", now=money.NOW)
    journey = await make(bridge, owner, key="k")
    assert journey.state is JourneyState.OPEN
    assert await make(bridge, owner, key="k") == journey


async def test_a_key_whose_request_failed_may_be_tried_again(
    bridge: Bridge, owner: Person, emulator: EmulatedZalo
) -> None:
    await emulator.force(fake.GET_TOKEN, "reset")
    with pytest.raises(ZaloSilentError):
        await make(bridge, owner, key="k")
    assert (await make(bridge, owner, key="k")).state is JourneyState.OPEN


async def test_a_key_whose_process_died_may_be_taken_over_after_a_minute(
    bridge: Bridge, owner: Person, clock: FakeClock
) -> None:
    journey = await make(bridge, owner, key="k")
    async with bridge.db.transaction() as tx:
        await tx.execute("UPDATE zalo_journey_keys SET journey_ref = NULL")
    clock.advance(timedelta(seconds=61))
    assert (await make(bridge, owner, key="k")).id != journey.id


async def test_who_hangs_up_gets_the_journey_that_was_made_meanwhile_by_its_key(
    bridge: Bridge, owner: Person, emulator: EmulatedZalo
) -> None:
    """The journey is written when the caller goes, and not yet committed."""
    busy = bridge.db.transaction()
    waiting = asyncio.create_task(make(bridge, owner, key="k"))
    async with busy as tx:
        await tx.execute("SELECT FROM wallets WHERE account_id = %s FOR UPDATE", (owner.account_id,))

        async def came() -> bool:
            return await made_at_zalo(emulator) == 1

        await eventually(came)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    journey = await make(bridge, owner, key="k")
    assert journey.state is JourneyState.OPEN
    assert await made_at_zalo(emulator) == 1
    assert await wallet(bridge, owner) == (10_000, PRICE)


async def test_keys_of_two_accounts_have_nothing_to_do_with_each_other(
    bridge: Bridge, owner: Person, cast: Cast, emulator: EmulatedZalo
) -> None:
    await make(bridge, owner, key="k")
    with pytest.raises(OaNotFoundError):
        await make(bridge, cast.stranger, key="k")


@pytest.mark.parametrize("key", ["", "x" * 256, "a\0b"])
async def test_a_key_that_cannot_be_kept_is_refused(bridge: Bridge, owner: Person, key: str) -> None:
    with pytest.raises(JourneyInvalidError):
        await make(bridge, owner, key=key)


async def test_old_keys_are_forgotten(bridge: Bridge, owner: Person, clock: FakeClock) -> None:
    journey = await make(bridge, owner, key="k")
    async with bridge.db.transaction() as tx:
        assert await zalo.forget_journey_keys(tx, clock.now()) == 0
        assert await zalo.forget_journey_keys(tx, clock.now() + timedelta(hours=49)) == 1
    assert (await make(bridge, owner, key="k")).id != journey.id


# ---------------------------------------------------------------- charged


async def test_a_journey_is_charged_once_whoever_says_so(bridge: Bridge, owner: Person) -> None:
    journey = await make(bridge, owner)
    told: list[Journey | None] = []

    async def one(by_event: bool) -> None:
        async with bridge.db.transaction() as tx:
            told.append(
                await zalo.enable_journey(
                    tx,
                    owner.account_id,
                    zalo_id=journey.journey_id if by_event else None,
                    journey_ref=None if by_event else journey.id,
                    now=bridge.clock.now(),
                )
            )

    async with anyio.create_task_group() as group:
        for at in range(6):
            group.start_soon(one, at % 2 == 0)
    assert len([one for one in told if one is not None]) == 1
    after = await again(bridge, owner, journey)
    assert (after.state, after.charged) == (JourneyState.ENABLED, True)
    assert await wallet(bridge, owner) == (10_000 - PRICE, 0)
    async with bridge.db.transaction() as tx:
        lines = (await billing.ledger(tx, owner.account_id, newest_first=True)).lines
    assert [(line.kind, line.zalo_journey_id) for line in lines[:2]] == [
        (Kind.ZALO_JOURNEY, journey.id),
        (Kind.TOP_UP, None),
    ]


async def test_a_stranger_cannot_enable_or_end_a_journey(bridge: Bridge, owner: Person, cast: Cast) -> None:
    journey = await make(bridge, owner)
    assert journey.journey_id
    now = bridge.clock.now()
    async with bridge.db.transaction() as tx:
        stranger = cast.stranger.account_id
        assert await zalo.enable_journey(tx, stranger, zalo_id=journey.journey_id, now=now) is None
        assert await zalo.enable_journey(tx, stranger, journey_ref=journey.id, now=now) is None
        assert await zalo.expire_journey(tx, stranger, zalo_id=journey.journey_id, now=now) is None
        for name in (journey.journey_id, str(journey.id)):
            with pytest.raises(JourneyNotFoundError):
                await zalo.get_journey(tx, bridge.keyring, stranger, name, None, now=now)
    assert (await again(bridge, owner, journey)).state is JourneyState.OPEN


# ---------------------------------------------------------------- its end


async def test_a_journey_is_over_as_soon_as_the_clock_says_so(
    bridge: Bridge, owner: Person, clock: FakeClock
) -> None:
    journey = await make(bridge, owner)
    clock.advance(timedelta(days=7))
    assert (await again(bridge, owner, journey)).state is JourneyState.EXPIRED
    async with bridge.db.transaction() as tx:
        found = {
            state: len(
                (
                    await zalo.list_journeys(
                        tx,
                        bridge.keyring,
                        owner.account_id,
                        JourneyFilter(states=frozenset({state})),
                        Paging(),
                        now=clock.now(),
                    )
                ).items
            )
            for state in JourneyState
        }
    assert found == {"open": 0, "enabled": 0, "refused": 0, "expired": 1}


async def test_what_an_expired_journey_held_is_let_go_when_no_event_can_come_any_more(
    bridge: Bridge, owner: Person, clock: FakeClock
) -> None:
    await make(bridge, owner)
    clock.advance(timedelta(days=7))
    assert await zalo.expire_due_journeys(bridge.db, clock.now()) == 1
    assert await wallet(bridge, owner) == (10_000, PRICE)
    clock.advance(timedelta(hours=3))
    assert await zalo.expire_due_journeys(bridge.db, clock.now()) == 1
    assert await wallet(bridge, owner) == (10_000, 0)
    assert await zalo.expire_due_journeys(bridge.db, clock.now()) == 0


async def test_a_charge_that_is_told_after_the_end_is_still_made(
    bridge: Bridge, owner: Person, clock: FakeClock
) -> None:
    journey = await make(bridge, owner)
    assert journey.journey_id
    async with bridge.db.transaction() as tx:
        over = await zalo.expire_journey(tx, owner.account_id, zalo_id=journey.journey_id, now=clock.now())
        assert over is not None
        again_over = await zalo.expire_journey(
            tx, owner.account_id, zalo_id=journey.journey_id, now=clock.now()
        )
        assert again_over is None
    async with bridge.db.transaction() as tx:
        charged = await zalo.enable_journey(tx, owner.account_id, zalo_id=journey.journey_id, now=clock.now())
    assert charged is not None
    assert (charged.state, charged.charged) == (JourneyState.EXPIRED, True)
    assert await wallet(bridge, owner) == (10_000 - PRICE, 0)


async def test_two_processes_end_each_journey_once(bridge: Bridge, owner: Person, clock: FakeClock) -> None:
    for number in range(10):
        await make(bridge, owner, f"09123450{number:02d}")
    clock.advance(timedelta(days=8))
    ended: list[int] = []

    async def one() -> None:
        ended.append(await zalo.expire_due_journeys(bridge.db, clock.now()))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(one)
    assert sum(ended) == 20  # ten that end, and ten holds that are let go
    assert await wallet(bridge, owner) == (10_000, 0)


# ---------------------------------------------------------------- lists


async def test_journeys_are_found_by_what_is_known_of_them(
    bridge: Bridge, owner: Person, clock: FakeClock
) -> None:
    first = await make(bridge, owner)
    clock.advance(timedelta(minutes=1))
    refused = await make(bridge, owner, UNLINKED)
    clock.advance(timedelta(minutes=1))
    last = await make(bridge, owner)

    async def found(paging: Paging | None = None, **wanted: object) -> list[int]:
        async with bridge.db.transaction() as tx:
            page = await zalo.list_journeys(
                tx,
                bridge.keyring,
                owner.account_id,
                JourneyFilter(**wanted),  # type: ignore[arg-type]
                paging or Paging(),
                now=clock.now(),
            )
        return [journey.id for journey in page.items]

    assert await found() == [last.id, refused.id, first.id]
    assert await found(Paging(newest_first=False, limit=2)) == [first.id, refused.id]
    assert await found(phone="84912345001") == [last.id, first.id]
    assert await found(journey_id=first.journey_id) == [first.id]
    assert await found(states=frozenset({JourneyState.REFUSED})) == [refused.id]
    assert await found(charged=True) == []
    assert await found(oa_id=fake.SECOND_OA_ID) == []
    assert await found(since=refused.created_at, until=last.created_at) == [refused.id]
