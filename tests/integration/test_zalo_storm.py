"""Everything that happens to Official Accounts, journeys and messages, for some seconds and all at once.

Nobody waits for each other in a circle, no quota is overrun, nothing stays under way, and the books agree.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from tests import factories, money, zns
from tests.fakes import zalo as fake
from tests.fakes.clock import FakeClock
from tests.fakes.dialling import until
from tests.zalo_told import KEY, event, ms, signed
from tests.zns import Shop, Zns

from tongdai.domain import billing, zalo
from tongdai.domain.zalo import (
    Follower,
    JourneyNotFoundError,
    KeyBusyError,
    Paging,
    TemplateFilter,
    attempting,
    facts,
    refreshing,
)
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.zalo import ZaloError

pytestmark = pytest.mark.anyio

STORM_S: Final = 8.0
STEP: Final = timedelta(minutes=75)
"""By how much time goes on at once."""
DAILY: Final = 8
"""Messages of one day, which are soon sent."""
ANOTHERS: Final = 1_000_000
"""What is added to the ids of the second shop's templates."""
EXPECTED: Final = (ZaloError, KeyBusyError, JourneyNotFoundError)
FAULTS: Final = (
    {"kind": "empty", "after": True},
    {"kind": "reset"},
    {"kind": "html_504", "after": True},
    {"kind": "error", "code": -131, "message": "Template is not approved"},
    {"kind": "error", "code": -150, "message": "Journey token is expired"},
    {"kind": "error", "code": -114, "message": "User is inactive"},
    {"kind": "error", "code": -124, "message": "Access token invalid"},
)


class Storm:
    """Two shops, and whatever anybody may do with them."""

    def __init__(self, world: Zns, clock: FakeClock, shops: list[Shop], hooks: dict[int, str]) -> None:
        self.world, self.clock, self.shops, self.hooks = world, clock, shops, hooks
        self.bridge = world.bridge
        self.dice = random.Random(20261122)
        self.done: dict[str, int] = {}
        self._may_send = asyncio.Event()
        self._may_send.set()
        self._sending = 0

    @asynccontextmanager
    async def sends(self) -> AsyncIterator[None]:
        """While something is sent, time stands still."""
        await self._may_send.wait()
        self._sending += 1
        try:
            yield
        finally:
            self._sending -= 1

    async def blow(self, *deeds: Callable[[], Awaitable[object]]) -> None:
        """Each of these over and over. Raises what none of them may raise."""
        end = asyncio.get_running_loop().time() + STORM_S

        async def again(deed: Callable[[], Awaitable[object]]) -> None:
            while asyncio.get_running_loop().time() < end:
                with suppress(*EXPECTED):
                    await deed()
                    self.done[deed.__name__] = self.done.get(deed.__name__, 0) + 1

        async with asyncio.TaskGroup() as group:
            for deed in deeds:
                group.create_task(again(deed))

    # ---------------------------------------------------------------- customers

    async def send(self) -> None:
        shop = self.dice.choice(self.shops)
        phone = f"0901{self.dice.randrange(10**6):06}"
        async with self.sends():
            template = template_of(shop, fake.TRANSACTION_TEMPLATE)
            await self.world.send(shop, template, phone=phone, data=zns.ORDER)

    async def send_of_a_journey(self) -> None:
        shop = self.dice.choice(self.shops)
        rows = await self.world.rows(
            """SELECT id, phone FROM zalo_journeys WHERE account_id = %s AND state <> 'expired'
                ORDER BY random() LIMIT 1""",
            shop.account_id,
        )
        for id_, phone in rows:
            template, data = template_of(shop, fake.JOURNEY_TEMPLATE), zns.data_of(fake.JOURNEY_TEMPLATE)
            async with self.sends():
                await self.world.send(shop, template, phone=phone, data=data, journey_id=str(id_))

    async def send_and_hang_up(self) -> None:
        sending = asyncio.create_task(self.send())
        await asyncio.wait([sending], timeout=self.dice.random() / 20)
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending

    async def make_a_journey(self) -> None:
        shop, key = self.dice.choice(self.shops), self.dice.choice([None, None, "a", "b", "c"])
        phone = "0912345001" if key else f"0912{self.dice.randrange(10**6):06}"
        await zalo.create_journey(
            self.bridge,
            shop.account_id,
            shop.person.user.id,
            oa_id=shop.oa_id,
            phone=phone,
            idempotency_key=key,
        )

    async def pay(self) -> None:
        shop, amount = self.dice.choice(self.shops), Decimal(self.dice.randrange(1, 3000))
        async with self.bridge.db.transaction() as tx:
            await billing.top_up(
                tx, shop.account_id, amount, by="kế toán", reason="nạp", now=self.clock.now()
            )
        await asyncio.sleep(0.05)

    async def look_at_templates(self) -> None:
        shop = self.dice.choice(self.shops)
        await self.world.rows("UPDATE zalo_template_lists SET listed_at = '2000-01-01' RETURNING 1")
        await zalo.list_templates(
            self.bridge, shop.account_id, TemplateFilter(oa_id=shop.oa_id), Paging(limit=3)
        )

    # ---------------------------------------------------------------- Zalo

    async def tell(self, shop: Shop, name: str, **fields: Any) -> None:
        now = self.clock.now()
        body = event(name, now, app_id=str(fake.APP_ID), **fields)
        headers = signed(body, now, key=KEY, app_id=fake.APP_ID) | {"x-zevent-server": "ZNS"}
        for _ in range(self.dice.choice([1, 1, 2])):
            await zalo.take_event(
                self.bridge.db, self.bridge.keyring, now, self.hooks[shop.oa_ref], body, headers
            )

    async def tell_of_messages(self) -> None:
        shop = self.dice.choice(self.shops)
        rows = await self.world.rows(
            """SELECT coalesce(msg_id, 'm' || id), tracking_id FROM zalo_messages WHERE account_id = %s
                ORDER BY random() LIMIT 4""",
            shop.account_id,
        )
        oa, user = {"id": str(shop.oa_id)}, {"id": "84901234567"}
        for msg_id, tracking_id in rows[:2]:
            at = ms(self.clock.now() - timedelta(minutes=self.dice.randrange(300)))
            message = {"msg_id": msg_id, "tracking_id": tracking_id, "delivery_time": at}
            await self.tell(shop, "user_received_message", sender=oa, recipient=user, message=message)
        seen = {"msg_ids": [msg_id for msg_id, _ in rows]}
        await self.tell(shop, "user_seen_message", sender=user, recipient=oa, message=seen)

    async def tell_of_journeys(self) -> None:
        shop = self.dice.choice(self.shops)
        rows = await self.world.rows(
            """SELECT journey_id FROM zalo_journeys WHERE account_id = %s AND journey_id IS NOT NULL
                ORDER BY random() LIMIT 2""",
            shop.account_id,
        )
        names = ["event_journey_acknowledged", "event_journey_acknowledged", "event_journey_time_out"]
        for (journey_id,) in rows:
            await self.tell(shop, self.dice.choice(names), oaId=str(shop.oa_id), journeyId=journey_id)

    async def tell_of_the_shop(self) -> None:
        shop = self.dice.choice(self.shops)
        quality = self.dice.choice(["HIGH", "MEDIUM"])
        oa_id, template = str(shop.oa_id), str(template_of(shop, fake.TRANSACTION_TEMPLATE))
        await self.tell(shop, "change_template_quality", oa_id=oa_id, template_id=template, quality=quality)
        await asyncio.sleep(0.03)

    async def fail(self) -> None:
        fault = dict(self.dice.choice(FAULTS))
        await self.world.emulator.force(fake.SEND, fault)
        await asyncio.sleep(0.1)

    # ---------------------------------------------------------------- workers

    async def follow(self) -> None:
        await Follower(self.bridge).follow_due()

    async def expire(self) -> None:
        await zalo.expire_due_journeys(self.bridge.db, self.clock.now())
        await asyncio.sleep(0.02)

    async def keep(self) -> None:
        await refreshing.refresh_due(self.bridge)
        await refreshing.probe_due(self.bridge)
        await facts.begin_day(self.bridge)
        await asyncio.sleep(0.02)

    async def freshen(self) -> None:
        shop = self.dice.choice(self.shops)
        await facts.freshen(self.bridge, shop.account_id, shop.oa_id)

    async def time_goes_on(self) -> None:
        # Both clocks at once: a message between the two midnights would be of another day at Zalo than here.
        self._may_send.clear()
        await until(lambda: self._sending == 0)
        await attempting.settled(15)
        await self.world.emulator.advance(STEP.total_seconds())
        self.clock.advance(STEP)
        self._may_send.set()
        await asyncio.sleep(0.2)

    # ---------------------------------------------------------------- afterwards

    async def calm(self) -> None:
        """Everything comes to its end by itself, in days."""
        await self.world.emulator.clear_faults()
        await attempting.settled(15)
        for hours in (1, 4, 4, 80, 200, 4):
            self.clock.advance(timedelta(hours=hours))
            for _ in range(6):
                while await Follower(self.bridge).follow_due():
                    self.clock.advance(timedelta(seconds=1))
                self.clock.advance(timedelta(minutes=20))
            while await zalo.expire_due_journeys(self.bridge.db, self.clock.now()):
                pass


def template_of(shop: Shop, template_id: int) -> int:
    return template_id if shop.oa_id == fake.OA_ID else template_id + ANOTHERS


def templates_of_another() -> list[dict[str, Any]]:
    """What the first shop has, for the second one, too."""
    return [
        one | {"template_id": one["template_id"] + ANOTHERS, "oa_id": fake.SECOND_OA_ID}
        for one in fake.default_fixtures()["templates"]
        if one["template_id"] in (fake.TRANSACTION_TEMPLATE, fake.JOURNEY_TEMPLATE)
    ]


@pytest.fixture
async def storm(db: Database, keyring: Keyring, clock: FakeClock) -> AsyncIterator[Storm]:
    async with zns.world(db, keyring, clock, templates=templates_of_another()) as world:
        shops = []
        for person, oa_id in ((world.cast.owner, fake.OA_ID), (world.cast.stranger, fake.SECOND_OA_ID)):
            await world.emulator.change_oa(oa_id, daily_quota=DAILY)
            shops.append(await world.shop(person, oa_id))
            await money.payer(db, person.account_id, 20_000)
        hooks = {shop.oa_ref: await hook_of(world, shop.person) for shop in shops}
        yield Storm(world, clock, shops, hooks)


async def hook_of(world: Zns, person: factories.Person) -> str:
    async with world.db.transaction() as tx:
        app = await zalo.set_app(
            tx,
            world.bridge.keyring,
            person.account_id,
            app_id=fake.APP_ID,
            webhook_secret=KEY,
            now=world.bridge.clock.now(),
        )
    return app.hook


async def test_whatever_happens_at_once_nobody_is_stuck_and_the_books_agree(
    storm: Storm, caplog: pytest.LogCaptureFixture
) -> None:
    senders = [storm.send] * 4 + [storm.send_of_a_journey] * 2 + [storm.send_and_hang_up]
    told = [storm.tell_of_messages] * 2 + [storm.tell_of_journeys, storm.tell_of_the_shop, storm.fail]
    workers = [storm.follow] * 2 + [storm.expire] * 2 + [storm.keep] * 2 + [storm.freshen]
    others = [storm.make_a_journey] * 3 + [storm.pay, storm.look_at_templates, storm.time_goes_on]

    await storm.blow(*senders, *told, *workers, *others)
    await storm.calm()

    rows = storm.world.rows
    assert set(storm.done) >= {deed.__name__ for deed in (*senders, *told, *workers, *others)}
    await rows("SELECT pg_stat_force_next_flush()")
    assert await rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == [(0,)]
    assert not [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]

    assert await rows("SELECT count(*) FROM zalo_messages WHERE follow_at IS NOT NULL") == [(0,)]
    assert await rows(
        "SELECT count(*) FROM zalo_messages WHERE state IN ('sending', 'unknown', 'accepted') OR counted"
    ) == [(0,)]
    assert await rows("SELECT sum(in_flight) FROM zalo_quotas") == [(0,)]
    assert await rows("SELECT sum(in_flight) FROM zalo_templates") == [(0,)]
    assert await rows("SELECT count(*) FROM zalo_journeys WHERE state IN ('open', 'enabled')") == [(0,)]
    await paid_once(storm)

    asked = await storm.world.emulator.requests(fake.SEND)
    assert [one for one in asked if one.get("error") == -144] == []
    assert len(asked) > 50
    refreshed = await storm.world.emulator.requests(fake.ACCESS_TOKEN)
    assert [one for one in refreshed if one.get("was") not in (None, "fresh")] == []


async def paid_once(storm: Storm) -> None:
    """Each charged journey and message has one line in the ledger, and nothing is held any more."""
    for item, table in (("zalo_journey", "zalo_journeys"), ("zalo_message", "zalo_messages")):
        query = f"""
            SELECT (SELECT count(*) FROM ledger WHERE kind = '{item}'),
                   (SELECT count(DISTINCT {item}_id) FROM ledger),
                   (SELECT count(*) FROM {table} WHERE charged AND net > 0),
                   (SELECT coalesce(sum(held), 0) FROM {table})"""
        [(lines, things, charged, held)] = await storm.world.rows(query)
        assert lines == things == charged
        assert lines > 0
        assert held == 0
    for shop in storm.shops:
        async with storm.bridge.db.transaction() as tx:
            audit = await billing.audit(tx, shop.account_id)
        assert audit is not None
        assert audit.agrees
        assert (await storm.world.purse(shop))[1] == 0
