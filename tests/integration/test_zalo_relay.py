"""Events of Zalo at customers' servers: who is told, and in which bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook
from tests import factories
from tests.factories import Cast
from tests.fakes.clock import FakeClock
from tests.fakes.receiver import Receiver, answer, receiving
from tests.fakes.sending import Outbox, eventually
from tests.zalo_told import APP_ID, OA_ID, Shop, shop

from tongdai.bootstrap import RENDERERS
from tongdai.domain import webhooks
from tongdai.domain.webhooks import EndpointInvalidError, EndpointManagedError, ZaloEvent
from tongdai.kit.clock import SystemClock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

pytestmark = pytest.mark.anyio

URL = "https://shop.example.vn/zalo"
RAW = '{"event_name": "follow", "oa_id":"%d",  "note":"Xin chào"}\n' % OA_ID  # noqa: UP031 - braces


@pytest.fixture
async def people(db: Database, keyring: Keyring) -> Cast:
    return await factories.cast(db, keyring)


@pytest.fixture
async def owner(db: Database, keyring: Keyring, people: Cast, clock: FakeClock) -> Shop:
    return await shop(db, keyring, people.owner, clock.now())


@pytest.fixture
async def second(db: Database, keyring: Keyring, people: Cast, clock: FakeClock, owner: Shop) -> Shop:
    """Another Official Account of the same account and app."""
    return await shop(db, keyring, people.owner, clock.now(), oa_id=6)


@pytest.fixture
def outbox(db: Database, keyring: Keyring, owner: Shop) -> Outbox:
    return Outbox(db, keyring, owner.account_id, SystemClock())


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def relay(outbox: Outbox, of: Shop, url: str, *, allow_private: bool = True) -> int | None:
    async with outbox.db.transaction() as tx:
        return await webhooks.relay_to(
            tx, outbox.keyring, of.account_id, of.oa_ref, url, allow_private=allow_private
        )


async def publish(outbox: Outbox, of: Shop, *types: str, raw: str = RAW) -> int:
    events = [
        ZaloEvent(
            type=type_,  # type: ignore[arg-type]
            account_id=of.account_id,
            oa_id=of.oa_id,
            app_id=APP_ID,
            connection_id=of.oa_ref,
            at=outbox.clock.now(),
            data={"X-ZEvent-Server": "ZNS"} if type_ == "zalo.received" else {},
            raw=raw if type_ == "zalo.received" else None,
            signature="mac=" + "0" * 64,
        )
        for type_ in types
    ]
    async with outbox.db.transaction() as tx:
        return await webhooks.publish(tx, events)


async def secret(outbox: Outbox, endpoint_id: int) -> str:
    async with outbox.db.transaction() as tx:
        return await webhooks.reveal_secret(tx, outbox.keyring, outbox.account_id, endpoint_id)


async def total(outbox: Outbox, table: str) -> int:
    async with outbox.db.autocommit() as connection:
        row = await (await connection.execute(f"SELECT count(*) FROM {table}")).fetchone()
    assert row is not None
    return int(row[0])


# ---------------------------------------------------------------- who is told


async def test_each_endpoint_is_told_what_its_format_and_events_say(outbox: Outbox, owner: Shop) -> None:
    ours = await outbox.endpoint(URL)
    raw = await outbox.endpoint(URL, format="zalo")
    calls = await outbox.endpoint(URL, format="vbot_auto_call")
    one = await outbox.endpoint(URL, events=["zalo.message.rated"])

    types = ["zalo.oa.connected", "zalo.message.rated", "zalo.received"]
    assert await publish(outbox, owner, *types) == 4

    told = {id: [one.type for one in await outbox.deliveries(id)] for id in (ours, raw, calls, one)}
    assert told == {
        ours: ["zalo.oa.connected", "zalo.message.rated"],
        raw: ["zalo.received"],
        calls: [],
        one: ["zalo.message.rated"],
    }


async def test_what_nobody_wants_is_not_kept(outbox: Outbox, owner: Shop) -> None:
    await outbox.endpoint(URL, enabled=False)
    await outbox.endpoint(URL, events=["attempt.ended"])

    assert await publish(outbox, owner, "zalo.oa.connected", "zalo.received") == 0
    assert await total(outbox, "webhook_events") == 0


async def test_calls_and_zalo_may_be_told_by_one_transaction(outbox: Outbox, owner: Shop) -> None:
    await outbox.endpoint(URL)
    await publish(outbox, owner, "zalo.oa.connected")
    await outbox.publish((5, 1))

    assert [(one.type, one.call_id, one.seq) for one in await outbox.deliveries()] == [
        ("zalo.oa.connected", 0, 0),
        ("attempt.ended", 5, 1),
    ]
    assert [one.type for one in await outbox.deliveries(call_id=5)] == ["attempt.ended"]


async def test_who_is_told_of_zalo_alone_needs_no_snapshots_of_calls(
    db: Database, outbox: Outbox, owner: Shop
) -> None:
    await relay(outbox, owner, URL)
    await outbox.endpoint(URL, format="zalo")
    async with db.transaction() as tx:
        assert await webhooks.subscribed(tx, [owner.account_id]) == set()


# ---------------------------------------------------------------- what is sent


async def test_zalos_body_arrives_byte_for_byte_with_zalos_signature_beside_ours(
    outbox: Outbox, owner: Shop, receiver: Receiver
) -> None:
    endpoint = await relay(outbox, owner, receiver.url("/zalo"))
    assert endpoint is not None
    await publish(outbox, owner, "zalo.received")

    async with outbox.sending(renderers=RENDERERS):
        (got,) = await receiver.until_got("/zalo", 1)

    assert got.body == RAW.encode()
    assert got.headers["x-zevent-signature"] == "mac=" + "0" * 64
    assert got.headers["x-zevent-server"] == "ZNS"
    assert got.headers["content-type"] == "application/json"
    assert Webhook(await secret(outbox, endpoint)).verify(got.body, got.headers)


async def test_a_retry_and_a_replay_carry_the_same_bytes_and_headers(
    outbox: Outbox, owner: Shop, receiver: Receiver
) -> None:
    endpoint = await relay(outbox, owner, receiver.url("/zalo"))
    assert endpoint is not None
    receiver.answers["/zalo"] = lambda request: answer(200 if len(receiver.got) > 1 else 500)
    await publish(outbox, owner, "zalo.received")

    async with outbox.sending(renderers=RENDERERS):
        await receiver.until_got("/zalo", 2)
        await outbox.until_states(["delivered"])
        async with outbox.db.transaction() as tx:
            (first,) = await webhooks.list_deliveries(tx, outbox.account_id)
            again = await webhooks.replay_delivery(tx, outbox.account_id, first.id, outbox.clock.now())
        got = await receiver.until_got("/zalo", 3)

    assert again.replay_of == first.id
    assert {one.body for one in got} == {RAW.encode()}
    assert {one.id for one in got} == {first.webhook_id}
    assert {one.headers["x-zevent-signature"] for one in got} == {"mac=" + "0" * 64}
    assert {one.headers["content-type"] for one in got} == {"application/json"}


async def test_events_of_zalo_do_not_wait_for_each_other(
    outbox: Outbox, owner: Shop, receiver: Receiver
) -> None:
    await relay(outbox, owner, receiver.url("/zalo"))
    receiver.answers["/zalo"] = lambda request: answer(500 if b"stuck" in request.body else 200)
    for raw in ('{"stuck":1}', '{"n":1}', '{"n":2}'):
        await publish(outbox, owner, "zalo.received", raw=raw)

    async def the_others_arrived() -> bool:
        return (await outbox.states()).count("delivered") == 2

    async with outbox.sending(renderers=RENDERERS):
        await eventually(the_others_arrived)
    assert (await outbox.states())[0] == "pending"


async def test_many_events_are_replayed_each_once(outbox: Outbox, owner: Shop) -> None:
    endpoint = await outbox.endpoint(URL, format="zalo")
    await publish(outbox, owner, *["zalo.received"] * 20)
    async with outbox.db.transaction() as tx:
        await tx.execute("UPDATE webhook_deliveries SET state = 'parked' WHERE id % 2 = 0")
        replayed = await webhooks.replay_deliveries(tx, outbox.account_id, endpoint, now=outbox.clock.now())
        again = await webhooks.replay_deliveries(tx, outbox.account_id, endpoint, now=outbox.clock.now())

    assert (replayed, again) == (10, 0)
    assert {one.call_id for one in await outbox.deliveries()} == {0}


async def test_an_event_is_known_by_itself_however_many_there_are(outbox: Outbox, owner: Shop) -> None:
    """What looks for the deliveries of a call must not read those of all that is no call's."""
    await outbox.endpoint(URL, format="zalo")
    await publish(outbox, owner, *["zalo.received"] * 50)
    async with outbox.db.autocommit() as connection:
        row = await (await connection.execute(
            "SELECT count(DISTINCT call_id), max(call_id), count(*) FROM webhook_deliveries"
        )).fetchone()  # fmt: skip
    assert row == (50, -1, 50)


async def test_what_is_told_is_forgotten_as_calls_are(outbox: Outbox, owner: Shop) -> None:
    endpoint = await outbox.endpoint(URL, format="zalo")
    await publish(outbox, owner, "zalo.received", "zalo.received")
    async with outbox.db.transaction() as tx:
        await tx.execute("UPDATE webhook_deliveries SET state = 'delivered' WHERE id % 2 = 0")

    far = outbox.clock.now().replace(year=2100)
    assert await webhooks.forget_old(outbox.db, far) == 1
    assert await total(outbox, "webhook_events") == 1
    assert await outbox.states(endpoint) == ["pending"]


# ---------------------------------------------------------------- an Official Account's own address


async def test_an_address_of_an_official_account_is_told_of_that_one_alone(
    outbox: Outbox, owner: Shop, second: Shop
) -> None:
    first = await relay(outbox, owner, URL)
    other = await relay(outbox, second, URL)

    await publish(outbox, owner, "zalo.received", "zalo.oa.connected")
    await publish(outbox, second, "zalo.received", "zalo.received")

    assert first != other
    assert [len(await outbox.deliveries(id)) for id in (first, other)] == [1, 2]


async def test_an_address_is_shown_as_managed_and_keeps_its_secret_when_it_changes(
    outbox: Outbox, owner: Shop
) -> None:
    endpoint = await relay(outbox, owner, URL)
    assert endpoint is not None
    before = await secret(outbox, endpoint)
    same = await relay(outbox, owner, URL)
    async with outbox.db.transaction() as tx:
        await webhooks.update_endpoint(
            tx, outbox.keyring, outbox.account_id, endpoint, auth_header="X-Key: 1", max_in_flight=3
        )
        await tx.execute(
            "UPDATE webhook_endpoints SET failures = 9, paused_at = now(), pause_reason = 'gone'"
        )

    moved = await relay(outbox, owner, "https://other.example.vn/zalo")

    found = await outbox.get(endpoint)
    assert same == moved == endpoint
    assert (found.url, found.format, found.oa_ref) == ("https://other.example.vn/zalo", "zalo", owner.oa_ref)
    assert found.events == ["zalo.received"]
    assert (found.failures, found.paused_at, found.max_in_flight) == (0, None, 3)
    assert not found.has_auth_header
    assert await secret(outbox, endpoint) == before


async def test_a_pause_of_the_customers_outlives_a_change_of_the_address(outbox: Outbox, owner: Shop) -> None:
    endpoint = await relay(outbox, owner, URL)
    assert endpoint is not None
    async with outbox.db.transaction() as tx:
        await webhooks.pause_endpoint(tx, outbox.account_id, endpoint, outbox.clock.now())

    await relay(outbox, owner, URL + "/2")
    assert (await outbox.get(endpoint)).pause_reason == "customer"
    async with outbox.db.transaction() as tx:
        resumed = await webhooks.resume_endpoint(tx, outbox.account_id, endpoint)
    assert resumed.paused_at is None


async def test_without_an_address_nothing_is_passed_on_and_a_new_one_begins_anew(
    outbox: Outbox, owner: Shop
) -> None:
    first = await relay(outbox, owner, URL)

    assert await relay(outbox, owner, "") is None
    assert await relay(outbox, owner, "") is None
    assert await publish(outbox, owner, "zalo.received") == 0
    again = await relay(outbox, owner, URL)
    assert again not in (None, first)


@pytest.mark.parametrize(
    "url", ["shop.example.vn", "http://127.0.0.1/x", "https://a:b@shop.example.vn", "ftp://x"]
)
async def test_an_address_that_cannot_be_posted_to_is_refused(outbox: Outbox, owner: Shop, url: str) -> None:
    before = await relay(outbox, owner, URL)
    with pytest.raises(EndpointInvalidError):
        await relay(outbox, owner, url, allow_private=False)
    assert before is not None
    assert (await outbox.get(before)).url == URL


async def test_addresses_of_official_accounts_take_no_place_of_an_accounts_own(
    outbox: Outbox, owner: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tongdai.domain.webhooks.service.MAX_ENDPOINTS", 2)
    await relay(outbox, owner, URL)
    await outbox.endpoint(URL)
    await outbox.endpoint(URL)

    with pytest.raises(webhooks.TooManyEndpointsError):
        await outbox.endpoint(URL)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"url": URL + "/x"}, "url"), ({"format": "tongdai", "events": ["zalo.oa.connected"]}, "format")],
)
async def test_what_an_official_account_manages_is_changed_there_alone(
    outbox: Outbox, owner: Shop, change: dict[str, Any], field: str
) -> None:
    endpoint = await relay(outbox, owner, URL)
    assert endpoint is not None
    async with outbox.db.transaction() as tx:
        with pytest.raises(EndpointInvalidError) as refused:
            await webhooks.update_endpoint(tx, outbox.keyring, outbox.account_id, endpoint, **change)
        with pytest.raises(EndpointManagedError):
            await webhooks.delete_endpoint(tx, outbox.account_id, endpoint, outbox.clock.now())
    errors = refused.value.facts["errors"]
    assert isinstance(errors, list)
    assert errors[0][0] == field


async def test_another_format_keeps_those_events_that_it_has_a_body_for(outbox: Outbox) -> None:
    endpoint = await outbox.endpoint(URL)
    async with outbox.db.transaction() as tx:
        changed = await webhooks.update_endpoint(
            tx, outbox.keyring, outbox.account_id, endpoint, format="vbot_call_history"
        )
        assert changed.events == ["attempt.ended", "incoming_call.ended"]
        with pytest.raises(EndpointInvalidError):
            await webhooks.update_endpoint(tx, outbox.keyring, outbox.account_id, endpoint, format="zalo")


async def test_a_test_event_of_an_official_accounts_address_is_one_that_zalo_never_sends(
    outbox: Outbox, owner: Shop, receiver: Receiver
) -> None:
    endpoint = await relay(outbox, owner, receiver.url("/zalo"))
    assert endpoint is not None
    async with outbox.db.transaction() as tx:
        await webhooks.send_test_event(tx, outbox.account_id, endpoint, outbox.clock.now())

    async with outbox.sending(renderers=RENDERERS):
        (got,) = await receiver.until_got("/zalo", 1)
    assert (got.json["event_name"], got.json["oa_id"]) == ("tongdai_test", "0")
    assert "x-zevent-signature" not in got.headers


async def test_a_stranger_is_told_nothing(outbox: Outbox, owner: Shop, people: Cast) -> None:
    stranger = Outbox(outbox.db, outbox.keyring, people.stranger.account_id)
    await stranger.endpoint(URL)
    await stranger.endpoint(URL, format="zalo")

    await publish(outbox, owner, "zalo.received", "zalo.oa.connected")
    assert await stranger.deliveries() == []
