"""What Zalo tells is taken in once, changes what it is about and nothing else, and is passed on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from tests import factories, zalo_told
from tests.factories import Cast
from tests.fakes.clock import FakeClock
from tests.fakes.sending import Outbox
from tests.zalo_told import APP_ID, OA_ID, Shop, event, ms, shop, signed

from tongdai.domain import webhooks, zalo
from tongdai.domain.webhooks import DeliveryDetail, ZaloEvent
from tongdai.domain.zalo import JourneyState, MessageState, Reception, ZnsMessage, forget_events, take_event
from tongdai.domain.zalo import events as zalo_events
from tongdai.domain.zalo.events import KEPT_FOR
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.zalo_signs import event_signature

pytestmark = pytest.mark.anyio

URL = "https://shop.example.vn/zalo"
ZNS = {"x-zevent-server": "ZNS"}


@pytest.fixture
async def people(db: Database, keyring: Keyring) -> Cast:
    return await factories.cast(db, keyring)


@pytest.fixture
async def owner(db: Database, keyring: Keyring, people: Cast, clock: FakeClock) -> Shop:
    return await shop(db, keyring, people.owner, clock.now())


@pytest.fixture
def outbox(db: Database, keyring: Keyring, owner: Shop) -> Outbox:
    return Outbox(db, keyring, owner.account_id)


@pytest.fixture
def zalo_says(db: Database, keyring: Keyring, clock: FakeClock, owner: Shop) -> Zalo:
    return Zalo(db, keyring, clock, owner.app.hook)


class Zalo:
    """Sends events to an app's address."""

    def __init__(self, db: Database, keyring: Keyring, clock: FakeClock, hook: str) -> None:
        self.db, self.keyring, self.clock, self.hook = db, keyring, clock, hook

    async def send(self, body: bytes, headers: Mapping[str, str]) -> Reception:
        return await take_event(self.db, self.keyring, self.clock.now(), self.hook, body, headers)

    async def __call__(self, name: str, headers: Mapping[str, str] = ZNS, **fields: Any) -> Reception:
        """An event of the moment, well signed."""
        now = self.clock.now()
        body = event(name, now, **fields)
        return await self.send(body, signed(body, now) | dict(headers))


async def count(db: Database, table: str = "zalo_events") -> int:
    async with db.autocommit() as connection:
        row = await (await connection.execute(f"SELECT count(*) FROM {table}")).fetchone()
    assert row is not None
    return int(row[0])


async def told(outbox: Outbox) -> list[DeliveryDetail]:
    async with outbox.db.transaction() as tx:
        found = await outbox.deliveries()
        return [await webhooks.get_delivery(tx, outbox.account_id, one.id) for one in found]


async def told_types(outbox: Outbox) -> list[str]:
    return [one.delivery.type for one in await told(outbox)]


async def the_message(db: Database, of: Shop, id: int) -> ZnsMessage:
    async with db.transaction() as tx:
        return await zalo.get_message(tx, of.account_id, str(id), None)


async def add_message(db: Database, of: Shop, clock: FakeClock, **how: Any) -> int:
    async with db.transaction() as tx:
        return await zalo_told.message(tx, of, clock.now(), **how)


def receipt(msg_id: str = "m1", tracking: str = "t1", at: str = "") -> dict[str, Any]:
    return {
        "sender": {"id": str(OA_ID)},
        "recipient": {"id": "84912345007"},
        "message": {"msg_id": msg_id, "tracking_id": tracking, "delivery_time": at},
    }


# ---------------------------------------------------------------- whose it is


async def test_an_address_that_was_never_given_out_is_no_address(
    db: Database, keyring: Keyring, clock: FakeClock, owner: Shop
) -> None:
    for hook in ("", "nobody", owner.app.hook + "x", "đ", "a\0b", "x" * 10_000):
        assert await Zalo(db, keyring, clock, hook).send(b"{}", {}) is Reception.UNKNOWN
        assert await Zalo(db, keyring, clock, hook)("follow", oa_id=str(OA_ID)) is Reception.UNKNOWN
    assert await count(db) == 0


async def test_the_probe_of_an_address_that_is_being_saved_is_answered_before_the_key_is_known(
    db: Database, keyring: Keyring, clock: FakeClock, people: Cast, zalo_says: Zalo
) -> None:
    keyless = await shop(db, keyring, people.stranger, clock.now(), oa_id=5, key=None)

    assert await zalo_says.send(b"{}", {}) is Reception.PROBE
    assert await Zalo(db, keyring, clock, keyless.app.hook).send(b"{}", {}) is Reception.PROBE
    assert await count(db) == 0


async def test_what_is_not_signed_with_the_apps_key_is_not_even_written_down(
    db: Database, keyring: Keyring, clock: FakeClock, people: Cast, zalo_says: Zalo, outbox: Outbox
) -> None:
    await outbox.endpoint(URL, format="zalo")
    now = clock.now()
    body = event("follow", now, oa_id=str(OA_ID))
    good = signed(body, now)["x-zevent-signature"]
    bad = [
        {},
        {"x-zevent-signature": ""},
        {"x-zevent-signature": "mac="},
        {"x-zevent-signature": good[:-1]},
        {"x-zevent-signature": good + "0"},
        {"x-zevent-signature": "mac=" + "đ" * 64},
        signed(body, now, key="another"),
        signed(body, now, app_id=APP_ID + 1),
        signed(body, now + timedelta(seconds=1)),
        signed(body + b" ", now),
    ]
    keyless = await shop(db, keyring, people.stranger, now, oa_id=5, key=None)

    assert {await zalo_says.send(body, headers) for headers in bad} == {Reception.FORGED}
    assert await Zalo(db, keyring, clock, keyless.app.hook).send(body, signed(body, now)) is Reception.FORGED
    assert await count(db) == await count(db, "webhook_events") == 0


@pytest.mark.parametrize("prefix", ["mac=", ""])
async def test_a_signature_may_come_with_its_prefix_or_bare(zalo_says: Zalo, prefix: str) -> None:
    now = zalo_says.clock.now()
    body = event("follow", now, oa_id=str(OA_ID))
    signature = signed(body, now)["x-zevent-signature"].removeprefix("mac=")

    assert await zalo_says.send(body, {"x-zevent-signature": prefix + signature}) is Reception.TAKEN


async def test_a_signature_may_be_over_the_headers_time_where_it_differs_from_the_bodys(
    zalo_says: Zalo, db: Database
) -> None:
    now = zalo_says.clock.now()
    other = now - timedelta(minutes=1)
    both = event("follow", other, oa_id=str(OA_ID))
    none = b'{"event_name":"unfollow","oa_id":"%d"}' % OA_ID

    for body in (both, none):
        headers = signed(body, now)
        assert await zalo_says.send(body, headers) is Reception.FORGED
        assert await zalo_says.send(body, headers | {"x-zevent-timestamp": ms(now)}) is Reception.TAKEN


async def test_an_event_without_an_app_is_signed_for_the_one_of_its_address(zalo_says: Zalo) -> None:
    now = zalo_says.clock.now()
    body = b'{"event_name":"change_template_quality","timestamp":%s}' % ms(now).encode()

    assert await zalo_says.send(body, signed(body, now)) is Reception.TAKEN


async def test_a_signature_for_the_official_account_is_taken_and_noted(
    zalo_says: Zalo, caplog: pytest.LogCaptureFixture
) -> None:
    now = zalo_says.clock.now()
    body = event("follow", now, oa_id=str(OA_ID))

    assert await zalo_says.send(body, signed(body, now, app_id=OA_ID)) is Reception.TAKEN
    assert "signed for its Official Account" in caplog.text


@pytest.mark.parametrize(
    ("age", "reception"),
    [
        (timedelta(hours=2, minutes=30), Reception.TAKEN),
        (timedelta(hours=2, minutes=30, seconds=1), Reception.LATE),
        (timedelta(days=9000), Reception.LATE),
        (timedelta(minutes=-5), Reception.TAKEN),
        (timedelta(minutes=-5, seconds=-1), Reception.LATE),
    ],
)
async def test_an_event_is_taken_as_long_as_zalo_may_repeat_it(
    zalo_says: Zalo, db: Database, age: timedelta, reception: Reception
) -> None:
    at = zalo_says.clock.now() - age
    body = event("follow", at, oa_id=str(OA_ID))

    assert await zalo_says.send(body, signed(body, at)) is reception
    assert await count(db) == (1 if reception is Reception.TAKEN else 0)


async def test_a_time_that_no_clock_shows_is_late_and_no_failure(zalo_says: Zalo) -> None:
    for time in ("9" * 18, "0", "4102444800001"):
        body = event("follow", zalo_says.clock.now())[:-1] + b',"timestamp":"%s"}' % time.encode()
        signature = event_signature(APP_ID, body, time, zalo_told.KEY)
        found = await zalo_says.send(body, {"x-zevent-signature": signature})
        assert found in (Reception.LATE, Reception.FORGED)


# ---------------------------------------------------------------- once


async def test_the_same_event_again_changes_nothing(
    db: Database, zalo_says: Zalo, outbox: Outbox, owner: Shop, clock: FakeClock
) -> None:
    await outbox.endpoint(URL, format="zalo")
    await outbox.endpoint(URL)
    message = await add_message(db, owner, clock)
    body = event("user_received_message", clock.now(), **receipt())
    headers = signed(body, clock.now()) | ZNS

    first = [await zalo_says.send(body, headers) for _ in range(3)]
    clock.advance(timedelta(hours=2))
    late = await zalo_says.send(body, headers | {"num_retry": "5"})

    assert [*first, late] == [Reception.TAKEN, *[Reception.REPEATED] * 3]
    assert (await the_message(db, owner, message)).state is MessageState.DELIVERED
    assert sorted(await told_types(outbox)) == ["zalo.message.delivered", "zalo.received"]
    assert await count(db) == 1


async def test_the_same_event_many_times_at_once_is_taken_once(
    db: Database, zalo_says: Zalo, outbox: Outbox, owner: Shop, clock: FakeClock
) -> None:
    await outbox.endpoint(URL, format="zalo")
    await add_message(db, owner, clock)
    body = event("user_received_message", clock.now(), **receipt())
    headers = signed(body, clock.now()) | ZNS

    receptions = await asyncio.gather(*(zalo_says.send(body, headers) for _ in range(8)))

    assert sorted(receptions) == [*[Reception.REPEATED] * 7, Reception.TAKEN]
    assert await told_types(outbox) == ["zalo.received"]


async def test_two_apps_may_be_told_the_same(
    db: Database, keyring: Keyring, clock: FakeClock, people: Cast, zalo_says: Zalo
) -> None:
    other = await shop(db, keyring, people.stranger, clock.now(), oa_id=5)
    body = event("follow", clock.now(), oa_id=str(OA_ID))
    headers = signed(body, clock.now())

    assert await zalo_says.send(body, headers) is Reception.TAKEN
    assert await Zalo(db, keyring, clock, other.app.hook).send(body, headers) is Reception.TAKEN


async def test_what_came_is_forgotten_after_a_month(db: Database, zalo_says: Zalo, clock: FakeClock) -> None:
    await zalo_says("follow", oa_id=str(OA_ID))
    clock.advance(KEPT_FOR / 2)
    await zalo_says("unfollow", oa_id=str(OA_ID))

    assert await forget_events(db, clock.now()) == 0
    assert await forget_events(db, clock.now() + KEPT_FOR / 2 + timedelta(seconds=1)) == 1
    assert await count(db) == 1


# ---------------------------------------------------------------- what it changes


async def test_a_message_by_template_that_arrived_is_delivered_at_zalos_time(
    db: Database, zalo_says: Zalo, owner: Shop, clock: FakeClock, outbox: Outbox
) -> None:
    await outbox.endpoint(URL)
    message = await add_message(db, owner, clock)
    at = clock.now() + timedelta(seconds=3)

    await zalo_says("user_received_message", **receipt(at=ms(at)))

    found = await the_message(db, owner, message)
    assert (found.state, found.delivered_at) == (MessageState.DELIVERED, at)
    assert await told_types(outbox) == ["zalo.message.delivered"]


async def test_a_message_whose_answer_never_came_is_found_by_its_tracking_id(
    db: Database, zalo_says: Zalo, owner: Shop, clock: FakeClock
) -> None:
    message = await add_message(db, owner, clock, msg_id=None, tracking="don-17")

    await zalo_says("user_received_message", **receipt("m9", "don-17"))

    found = await the_message(db, owner, message)
    assert (found.state, found.msg_id) == (MessageState.DELIVERED, "m9")


async def test_the_receipt_of_a_chat_delivers_no_message_by_template(
    db: Database, zalo_says: Zalo, owner: Shop, clock: FakeClock
) -> None:
    message = await add_message(db, owner, clock)

    await zalo_says("user_received_message", {}, **receipt())

    assert (await the_message(db, owner, message)).state is MessageState.ACCEPTED


async def test_messages_that_were_opened_are_seen(
    db: Database, zalo_says: Zalo, owner: Shop, clock: FakeClock
) -> None:
    ids = [await add_message(db, owner, clock, msg_id=f"m{n}", tracking=f"t{n}") for n in range(3)]

    user, oa = {"id": "246845883529197922"}, {"id": str(OA_ID)}
    await zalo_says("user_seen_message", sender=user, recipient=oa, message={"msg_ids": ["m0", "m2", "m7"]})

    assert [(await the_message(db, owner, id)).seen for id in ids] == [True, False, True]


async def test_two_events_of_the_same_messages_in_other_orders_wait_for_each_other_once(
    db: Database, zalo_says: Zalo, owner: Shop, clock: FakeClock
) -> None:
    ids = [await add_message(db, owner, clock, msg_id=f"m{n:02}", tracking=f"t{n}") for n in range(30)]
    names = [f"m{n:02}" for n in range(30)]
    user, oa = {"id": "246845883529197922"}, {"id": str(OA_ID)}

    async def opened(number: int) -> Reception:
        mixed = sorted(names, key=lambda name: hash((name, number)))
        return await zalo_says("user_seen_message", sender=user, recipient=oa, message={"msg_ids": mixed})

    assert set(await asyncio.gather(*(opened(number) for number in range(8)))) == {Reception.TAKEN}
    assert all([(await the_message(db, owner, id)).seen for id in ids])


async def test_a_rating_is_kept_with_its_message_and_told(
    db: Database, zalo_says: Zalo, owner: Shop, clock: FakeClock, outbox: Outbox
) -> None:
    await outbox.endpoint(URL)
    message = await add_message(db, owner, clock)
    at = clock.now() - timedelta(minutes=1)
    said = {"msg_id": "m1", "rate": "4", "note": "Giao\0 nhanh", "feedbacks": ["Nhanh", "Lịch sự"],
            "submit_time": ms(at)}  # fmt: skip

    await zalo_says("user_feedback", oa_id=str(OA_ID), message=said)

    found = await the_message(db, owner, message)
    assert (found.rate, found.note, found.feedback) == (4, "Giao nhanh", ["Nhanh", "Lịch sự"])
    assert found.submitted_at == at
    assert await told_types(outbox) == ["zalo.message.rated"]


@pytest.mark.parametrize("daily", [1000, "1000"])
async def test_another_quota_is_known_and_told(
    db: Database, zalo_says: Zalo, owner: Shop, outbox: Outbox, daily: int | str
) -> None:
    await outbox.endpoint(URL)

    await zalo_says("change_oa_daily_quota", oaId=str(OA_ID), quota={"prev_value": 500, "new_value": daily})

    async with db.transaction() as tx:
        oa = await zalo.get_oa(tx, owner.account_id, OA_ID)
    (detail,) = await told(outbox)
    assert oa.daily_quota == 1000
    assert isinstance(detail.event, ZaloEvent)
    assert (detail.event.type, detail.event.data["daily_quota"]) == ("zalo.oa.quota_changed", 1000)


async def test_a_quota_that_is_known_is_not_told_again(zalo_says: Zalo, outbox: Outbox) -> None:
    await outbox.endpoint(URL)
    await zalo_says("change_oa_daily_quota", oaId=str(OA_ID), quota={"new_value": 500})
    assert await told_types(outbox) == []


async def test_a_template_has_the_status_and_quality_that_zalo_gives_it(
    db: Database, zalo_says: Zalo, owner: Shop, clock: FakeClock, outbox: Outbox
) -> None:
    await outbox.endpoint(URL)
    async with db.transaction() as tx:
        await zalo_told.template(tx, owner, clock.now())

    await zalo_says("change_template_quality", oa_id=str(OA_ID), template_id="7", quality="LOW")
    status = {"prev_status": "ENABLE", "new_status": "REJECT"}
    await zalo_says(
        "change_template_status", oa_id=str(OA_ID), template_id=7, status=status, reason="Sai tên"
    )

    changes = [one.event for one in await told(outbox)]
    assert all(isinstance(change, ZaloEvent) for change in changes)
    last = changes[-1]
    assert isinstance(last, ZaloEvent)
    assert [last.data[name] for name in ("quality", "status", "reason")] == ["LOW", "REJECT", "Sai tên"]
    assert [change.type for change in changes] == ["zalo.template.changed"] * 2


@pytest.mark.parametrize("named", [{"journeyId": "77"}, {"journey_id": "77"}, {"journeyId": 77}])
async def test_a_journey_begins_to_be_charged_and_ends_when_zalo_says_so(
    db: Database, zalo_says: Zalo, owner: Shop, clock: FakeClock, outbox: Outbox, named: dict[str, Any]
) -> None:
    await outbox.endpoint(URL)
    async with db.transaction() as tx:
        await zalo_told.journey(tx, owner, clock.now() + timedelta(days=7))

    await zalo_says("event_journey_acknowledged", oaId=str(OA_ID), appId=str(APP_ID), **named)
    charged = await _journey(zalo_says, owner)
    await zalo_says("event_journey_time_out", oaId=str(OA_ID), appId=str(APP_ID), **named)
    expired = await _journey(zalo_says, owner)

    assert [charged, expired] == [(JourneyState.ENABLED, True), (JourneyState.EXPIRED, True)]
    assert await told_types(outbox) == ["zalo.journey.charged", "zalo.journey.expired"]


async def _journey(zalo_says: Zalo, of: Shop) -> tuple[str, bool]:
    async with zalo_says.db.transaction() as tx:
        query = "SELECT state, charged FROM zalo_journeys WHERE account_id = %s"
        row = await (await tx.execute(query, (of.account_id,))).fetchone()
    assert row is not None
    return row[0], row[1]


async def test_an_effect_that_fails_by_a_fault_of_ours_is_undone_alone(
    db: Database, zalo_says: Zalo, owner: Shop, clock: FakeClock, outbox: Outbox,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    await outbox.endpoint(URL, format="zalo")
    async with db.transaction() as tx:
        await zalo_told.template(tx, owner, clock.now())
        # A database that refuses the change stands for whatever a later version may get wrong.
        await tx.execute("ALTER TABLE zalo_templates ADD CHECK (quality <> 'LOW')")

    said = await zalo_says("change_template_quality", oa_id=str(OA_ID), template_id=7, quality="LOW")

    assert said is Reception.TAKEN
    assert await told_types(outbox) == ["zalo.received"]
    assert "had no effect" in caplog.text


# ---------------------------------------------------------------- what it does not change


@pytest.mark.parametrize("state", ["connected", "disconnected"])
async def test_an_event_that_names_another_accounts_official_account_has_no_effect(
    db: Database, keyring: Keyring, clock: FakeClock, people: Cast, zalo_says: Zalo, state: str
) -> None:
    other = await shop(db, keyring, people.stranger, clock.now(), oa_id=5, app_id=APP_ID + 1, state=state)
    theirs = Outbox(db, keyring, other.account_id)
    await theirs.endpoint(URL)
    await theirs.endpoint(URL, format="zalo")
    async with db.transaction() as tx:
        await zalo_told.journey(tx, other, clock.now())
        await zalo_told.template(tx, other, clock.now())
    message = await add_message(db, other, clock)
    before = await the_message(db, other, message)

    names = {"oa_id": "5", "sender": {"id": "5"}, "recipient": {"id": "5"}}
    for body in (
        receipt() | {"sender": {"id": "5"}},
        names | {"message": {"msg_id": "m1", "msg_ids": ["m1"], "rate": 5}},
        names
        | {"quota": {"new_value": 9}, "template_id": 7, "quality": "LOW", "status": {"new_status": "REJECT"}},
        names | {"journeyId": "77"},
    ):
        for name in zalo_events.EFFECTS:
            assert await zalo_says(name, **body) is Reception.TAKEN

    assert await the_message(db, other, message) == before
    assert await _journey(zalo_says, other) == ("open", False)
    assert await told_types(theirs) == []


async def test_an_event_of_another_app_of_the_same_account_has_no_effect(
    db: Database, keyring: Keyring, clock: FakeClock, people: Cast, zalo_says: Zalo, outbox: Outbox
) -> None:
    await outbox.endpoint(URL, format="zalo")
    await shop(db, keyring, people.owner, clock.now(), oa_id=5, app_id=APP_ID + 1)

    await zalo_says("follow", oa_id="5")
    body = event("follow", clock.now(), oa_id=str(OA_ID), app_id=str(APP_ID + 1))
    said = await zalo_says.send(body, signed(body, clock.now(), app_id=APP_ID + 1))

    assert said is Reception.TAKEN
    assert await told_types(outbox) == []


async def test_an_official_account_that_is_named_is_not_looked_for_elsewhere(
    zalo_says: Zalo, outbox: Outbox
) -> None:
    await outbox.endpoint(URL, format="zalo")

    await zalo_says("oa_send_text", oa_id="5", sender={"id": str(OA_ID)})
    assert await told_types(outbox) == []


# ---------------------------------------------------------------- passing it on


async def test_every_event_of_a_held_account_is_passed_on_as_it_came(
    zalo_says: Zalo, owner: Shop, outbox: Outbox, clock: FakeClock
) -> None:
    await outbox.endpoint(URL, format="zalo")
    now = ms(clock.now())
    body = f' {{"event_name":"đơn mới", "recipient":{{"id":"{OA_ID}"}},"x":1.50,"timestamp":{now} }}\n'
    headers = signed(body.encode(), clock.now())
    bare = headers["x-zevent-signature"].removeprefix("mac=")
    extra = {"x-zevent-timestamp": ms(clock.now()), "x-zevent-server": "ZNS", "x-api-key": "mat-khau"}

    await zalo_says.send(body.encode(), {"x-zevent-signature": f" {bare}\t"} | extra)

    (detail,) = await told(outbox)
    event = detail.event
    assert isinstance(event, ZaloEvent)
    assert (event.raw, event.signature) == (body, bare)
    assert event.data == {"X-ZEvent-Timestamp": ms(clock.now()), "X-ZEvent-Server": "ZNS"}
    assert (event.oa_id, event.app_id, event.connection_id) == (OA_ID, APP_ID, owner.oa_ref)
    assert (detail.delivery.call_id, detail.delivery.seq, detail.delivery.type) == (0, 0, "zalo.received")


@pytest.mark.parametrize(
    "named",
    [{"oa_id": str(OA_ID)}, {"oaId": OA_ID}, {"recipient": {"id": str(OA_ID)}, "sender": {"id": "9"}},
     {"sender": {"id": str(OA_ID)}, "recipient": {"id": "84912345007"}}],
)  # fmt: skip
async def test_the_official_account_is_found_wherever_zalo_names_it(
    zalo_says: Zalo, outbox: Outbox, named: dict[str, Any]
) -> None:
    await outbox.endpoint(URL, format="zalo")
    await zalo_says("something_new", **named)
    assert await told_types(outbox) == ["zalo.received"]


async def test_an_event_that_is_about_no_official_account_of_the_app_is_not_passed_on(
    db: Database, keyring: Keyring, clock: FakeClock, people: Cast, zalo_says: Zalo, outbox: Outbox
) -> None:
    await outbox.endpoint(URL, format="zalo")
    gone = await shop(db, keyring, people.owner, clock.now(), oa_id=6, state="disconnected")

    assert await zalo_says("follow", oa_id=str(gone.oa_id)) is Reception.TAKEN
    assert await zalo_says("follow", oa_id="123") is Reception.TAKEN
    assert await zalo_says("follow") is Reception.TAKEN
    assert await told_types(outbox) == []


async def test_what_was_sent_before_an_official_account_was_let_go_is_settled_and_not_passed_on(
    db: Database, zalo_says: Zalo, owner: Shop, clock: FakeClock, outbox: Outbox
) -> None:
    """Whoever disconnects right after sending has its messages for nothing otherwise."""
    await outbox.endpoint(URL, format="zalo")
    message = await add_message(db, owner, clock)
    async with db.transaction() as tx:
        journey = await zalo_told.journey(tx, owner, clock.now())
        await zalo.disconnect(tx, owner.account_id, OA_ID, clock.now())

    await zalo_says("user_received_message", **receipt())
    await zalo_says("event_journey_acknowledged", oaId=str(OA_ID), journeyId="77")
    await zalo_says("follow", oa_id=str(OA_ID))

    assert (await the_message(db, owner, message)).state is MessageState.DELIVERED
    async with db.transaction() as tx:
        row = await (
            await tx.execute("SELECT charged FROM zalo_journeys WHERE id = %s", (journey,))
        ).fetchone()
    assert row == (True,)
    assert await told_types(outbox) == []
    assert await count(db) == 2


async def test_an_event_that_is_about_no_official_account_of_the_app_is_not_kept(
    db: Database, zalo_says: Zalo, owner: Shop
) -> None:
    assert await zalo_says("follow", oa_id="123") is Reception.TAKEN
    assert await zalo_says("follow") is Reception.TAKEN
    assert await zalo_says("follow", oa_id=str(OA_ID), app_id=str(APP_ID + 1)) is not Reception.REPEATED
    assert await count(db) == 0


async def test_an_account_whose_consent_lapsed_is_still_told(
    db: Database, keyring: Keyring, clock: FakeClock, people: Cast, zalo_says: Zalo, outbox: Outbox
) -> None:
    await outbox.endpoint(URL, format="zalo")
    await shop(db, keyring, people.owner, clock.now(), oa_id=6, state="needs_consent")

    await zalo_says("follow", oa_id="6")
    assert await told_types(outbox) == ["zalo.received"]
