"""Endpoints, events and deliveries as an account sees them, without anything being sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from standardwebhooks.webhooks import Webhook
from tests import factories
from tests.call_events import ANSWERED, REFUSED
from tests.fakes.sending import Outbox

from tongdai.domain import webhooks
from tongdai.domain.webhooks import DeliveryFilter, ReplayFilter
from tongdai.kit.clock import SystemClock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, Tx

pytestmark = pytest.mark.anyio

URL = "https://example.vn/webhook"
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


@pytest.fixture
async def people(db: Database, keyring: Keyring) -> factories.Cast:
    return await factories.cast(db, keyring)


@pytest.fixture
def outbox(db: Database, keyring: Keyring, people: factories.Cast) -> Outbox:
    return Outbox(db, keyring, people.owner.account_id, SystemClock())


@pytest.fixture
async def endpoint(outbox: Outbox) -> int:
    return await outbox.endpoint(URL)


@pytest.fixture
async def parked(outbox: Outbox, endpoint: int) -> int:
    """A delivery that was given up."""
    await outbox.publish((5, 1))
    async with outbox.db.transaction() as tx:
        await tx.execute("UPDATE webhook_deliveries SET state = 'parked', body = 'abc', done_at = now()")
    return (await outbox.deliveries())[0].id


# ---------------------------------------------------------------- publishing


def of_call(event: webhooks.Event) -> int:
    """Whose call it tells of."""
    assert isinstance(event, webhooks.CallEvent)
    return event.call_id


async def test_an_event_is_kept_whole_with_a_delivery_for_each_endpoint_that_wants_it(
    outbox: Outbox, endpoint: int
) -> None:
    history = await outbox.endpoint(URL, format="vbot_call_history")
    await outbox.endpoint(URL, enabled=False)
    ended = msgspec.structs.replace(ANSWERED, account_id=outbox.account_id)
    refused = msgspec.structs.replace(REFUSED, account_id=outbox.account_id, call_id=9)
    async with outbox.db.transaction() as tx:
        assert await webhooks.publish(tx, [ended, refused]) == 3
        found = await webhooks.list_deliveries(tx, outbox.account_id)
        details = [await webhooks.get_delivery(tx, outbox.account_id, one.id) for one in found]
    assert {(one.endpoint_id, one.type) for one in found} == {
        (endpoint, "attempt.ended"),
        (endpoint, "call.refused"),
        (history, "attempt.ended"),
    }
    assert {one.delivery.event_id: one.event for one in details}.keys() == {one.event_id for one in found}
    assert sorted(of_call(one.event) for one in details) == [9, ended.call_id, ended.call_id]
    assert all(one.event == (refused if of_call(one.event) == 9 else ended) for one in details)


async def test_an_account_without_endpoints_keeps_nothing(
    outbox: Outbox, people: factories.Cast, endpoint: int
) -> None:
    stranger = people.stranger.account_id
    async with outbox.db.transaction() as tx:
        assert await webhooks.subscribed(tx, {stranger, outbox.account_id}) == {outbox.account_id}
        assert await webhooks.subscribed(tx, set()) == set()
        assert await webhooks.publish(tx, [msgspec.structs.replace(ANSWERED, account_id=stranger)]) == 0
        assert await webhooks.publish(tx, []) == 0
        assert await (await tx.execute("SELECT FROM webhook_events")).fetchall() == []


async def test_events_go_with_the_transaction_that_tells_of_them(outbox: Outbox, endpoint: int) -> None:
    async def end_and_fail() -> None:
        async with outbox.db.transaction() as tx:
            await webhooks.publish(tx, [msgspec.structs.replace(ANSWERED, account_id=outbox.account_id)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await end_and_fail()
    assert await outbox.deliveries() == []


async def test_what_happens_while_an_endpoint_is_paused_is_kept_for_it(outbox: Outbox, endpoint: int) -> None:
    async with outbox.db.transaction() as tx:
        await webhooks.pause_endpoint(tx, outbox.account_id, endpoint, NOW)
    await outbox.publish((5, 1))
    assert await outbox.states(endpoint) == ["pending"]


# ---------------------------------------------------------------- endpoints


async def test_a_new_endpoint_wants_all_that_its_format_tells_and_shows_its_secret(outbox: Outbox) -> None:
    async with outbox.db.transaction() as tx:
        issued = await webhooks.create_endpoint(
            tx, outbox.keyring, outbox.account_id, url=URL, format="aicallcenter"
        )
        secret = await webhooks.reveal_secret(tx, outbox.keyring, outbox.account_id, issued.endpoint.id)
    assert issued.endpoint.events == ["attempt.ended", "call.refused"]
    assert secret == issued.secret
    assert secret.startswith("whsec_")
    assert Webhook(secret).sign("id", NOW, "body")


async def test_secrets_are_sealed_in_the_database(outbox: Outbox) -> None:
    endpoint = await outbox.endpoint(URL, auth_header="Authorization: Bearer topsecret")
    async with outbox.db.transaction() as tx:
        secret = await webhooks.reveal_secret(tx, outbox.keyring, outbox.account_id, endpoint)
        rows = await (await tx.execute("SELECT p::text FROM webhook_endpoints AS p")).fetchall()
    assert secret not in str(rows)
    assert b"topsecret".hex() not in str(rows)
    assert "topsecret" not in str(rows)


async def test_what_is_not_given_stays(outbox: Outbox) -> None:
    endpoint = await outbox.endpoint(URL, description="kho", auth_header="X-Key: 1", options={"a": 1})
    async with outbox.db.transaction() as tx:
        changed = await webhooks.update_endpoint(
            tx, outbox.keyring, outbox.account_id, endpoint, max_in_flight=3
        )
        assert (changed.max_in_flight, changed.description, changed.options) == (3, "kho", {"a": 1})
        assert changed.has_auth_header
        changed = await webhooks.update_endpoint(
            tx, outbox.keyring, outbox.account_id, endpoint, auth_header=None, events=["call.refused"]
        )
    assert (changed.has_auth_header, changed.events, changed.url) == (False, ["call.refused"], URL)


async def test_a_new_address_is_given_a_new_chance_but_not_against_the_customers_word(
    outbox: Outbox, endpoint: int
) -> None:
    async with outbox.db.transaction() as tx:
        await tx.execute("UPDATE webhook_endpoints SET paused_at = now(), pause_reason = 'gone'")
        moved = await webhooks.update_endpoint(
            tx, outbox.keyring, outbox.account_id, endpoint, url=URL + "/2"
        )
        assert moved.paused_at is None
        await webhooks.pause_endpoint(tx, outbox.account_id, endpoint, NOW)
        moved = await webhooks.update_endpoint(
            tx, outbox.keyring, outbox.account_id, endpoint, url=URL + "/3"
        )
    assert (moved.paused_at, moved.pause_reason) == (NOW, "customer")


async def test_faults_are_told_by_field(outbox: Outbox) -> None:
    async with outbox.db.transaction() as tx:
        with pytest.raises(webhooks.EndpointInvalidError) as caught:
            await webhooks.create_endpoint(
                tx, outbox.keyring, outbox.account_id, url="http://10.0.0.1/", format="soap", max_in_flight=0
            )
    assert [field for field, _ in caught.value.facts["errors"]] == ["url", "format", "max_in_flight"]  # type: ignore[attr-defined]


async def test_an_account_has_no_more_than_fifty(outbox: Outbox) -> None:
    for _ in range(50):
        await outbox.endpoint(URL)
    with pytest.raises(webhooks.TooManyEndpointsError):
        await outbox.endpoint(URL)


async def test_a_deleted_endpoint_is_gone_and_its_deliveries_can_still_be_seen(
    outbox: Outbox, endpoint: int, parked: int
) -> None:
    async with outbox.db.transaction() as tx:
        await webhooks.delete_endpoint(tx, outbox.account_id, endpoint, NOW)
        assert await webhooks.list_endpoints(tx, outbox.account_id) == []
        assert [one.id for one in await webhooks.list_deliveries(tx, outbox.account_id)] == [parked]
        with pytest.raises(webhooks.EndpointNotFoundError):
            await webhooks.replay_delivery(tx, outbox.account_id, parked, NOW)
        with pytest.raises(webhooks.EndpointNotFoundError):
            await webhooks.delete_endpoint(tx, outbox.account_id, endpoint, NOW)


async def test_nothing_is_repeated_to_or_tried_at_a_disabled_endpoint(
    outbox: Outbox, endpoint: int, parked: int
) -> None:
    async with outbox.db.transaction() as tx:
        await webhooks.update_endpoint(tx, outbox.keyring, outbox.account_id, endpoint, enabled=False)
        with pytest.raises(webhooks.EndpointDisabledError):
            await webhooks.send_test_event(tx, outbox.account_id, endpoint, NOW)
        with pytest.raises(webhooks.EndpointDisabledError):
            await webhooks.replay_delivery(tx, outbox.account_id, parked, NOW)
        with pytest.raises(webhooks.EndpointDisabledError):
            await webhooks.replay_deliveries(tx, outbox.account_id, endpoint, now=NOW)


# ---------------------------------------------------------------- deliveries


async def test_deliveries_are_listed_newest_first_by_endpoint_state_and_call(outbox: Outbox) -> None:
    first, second = await outbox.endpoint(URL), await outbox.endpoint(URL)
    await outbox.publish((5, 1), (6, 1), (5, 2))
    async with outbox.db.transaction() as tx:
        await tx.execute("UPDATE webhook_deliveries SET state = 'parked' WHERE call_id = 6")

        async def seen(where: DeliveryFilter, **page: Any) -> list[tuple[int, int, int]]:
            rows = await webhooks.list_deliveries(tx, outbox.account_id, where, **page)
            return [(one.endpoint_id, one.call_id, one.seq) for one in rows]

        assert await seen(DeliveryFilter(endpoint_id=first)) == [(first, 5, 2), (first, 6, 1), (first, 5, 1)]
        assert await seen(DeliveryFilter(state="parked")) == [(second, 6, 1), (first, 6, 1)]
        assert await seen(DeliveryFilter(state="delivered")) == []
        assert await seen(DeliveryFilter(call_id=5, endpoint_id=second)) == [(second, 5, 2), (second, 5, 1)]
        whole = await webhooks.list_deliveries(tx, outbox.account_id)
        pages, before = [], None
        while page := await webhooks.list_deliveries(tx, outbox.account_id, before=before, limit=2):
            pages += page
            before = page[-1].id
    assert pages == whole
    assert len(whole) == 6


async def test_a_replay_is_a_new_delivery_of_the_same_event_and_bytes(outbox: Outbox, parked: int) -> None:
    async with outbox.db.transaction() as tx:
        again = await webhooks.replay_delivery(tx, outbox.account_id, parked, NOW)
        old = (await webhooks.get_delivery(tx, outbox.account_id, parked)).delivery
        detail = await webhooks.get_delivery(tx, outbox.account_id, again.id)
    assert (again.state, again.replay_of, again.tries, again.due_at) == ("pending", parked, 0, NOW)
    assert again.webhook_id == old.webhook_id
    assert (old.state, old.replayed_at) == ("parked", NOW)
    assert detail.body == b"abc"


async def test_an_event_that_is_on_its_way_is_not_sent_twice(outbox: Outbox, parked: int) -> None:
    async with outbox.db.transaction() as tx:
        again = await webhooks.replay_delivery(tx, outbox.account_id, parked, NOW)
        for id_ in (parked, again.id):
            with pytest.raises(webhooks.DeliveryPendingError):
                await webhooks.replay_delivery(tx, outbox.account_id, id_, NOW)


async def test_many_are_replayed_by_state_and_time_and_each_once(outbox: Outbox, endpoint: int) -> None:
    await outbox.publish(*((call, 1) for call in range(1, 7)))
    async with outbox.db.transaction() as tx:
        await tx.execute("UPDATE webhook_deliveries SET state = 'parked' WHERE call_id < 6")
        await tx.execute("UPDATE webhook_deliveries SET created_at = %s WHERE call_id = 1", [NOW])

        async def replay(where: ReplayFilter) -> int:
            return await webhooks.replay_deliveries(tx, outbox.account_id, endpoint, where, now=NOW)

        assert await replay(ReplayFilter(since=NOW, until=NOW + timedelta(seconds=1))) == 1
        assert await replay(ReplayFilter(state="delivered")) == 0
        assert await replay(ReplayFilter()) == 4
        assert await replay(ReplayFilter()) == 0
        found = await webhooks.list_deliveries(tx, outbox.account_id, DeliveryFilter(state="pending"))
    assert [one.call_id for one in found] == [5, 4, 3, 2, 1, 6]


# ---------------------------------------------------------------- strangers (promise 14)

Deed = Callable[[Tx, Keyring, int, int, int], Awaitable[Any]]

DEEDS: dict[str, Deed] = {
    "get": lambda tx, _, account, endpoint, __: webhooks.get_endpoint(tx, account, endpoint),
    "change": lambda tx, keys, account, endpoint, _: webhooks.update_endpoint(
        tx, keys, account, endpoint, enabled=False
    ),
    "delete": lambda tx, _, account, endpoint, __: webhooks.delete_endpoint(tx, account, endpoint, NOW),
    "pause": lambda tx, _, account, endpoint, __: webhooks.pause_endpoint(tx, account, endpoint, NOW),
    "resume": lambda tx, _, account, endpoint, __: webhooks.resume_endpoint(tx, account, endpoint),
    "reveal": lambda tx, keys, account, endpoint, _: webhooks.reveal_secret(tx, keys, account, endpoint),
    "rotate": lambda tx, keys, account, endpoint, _: webhooks.rotate_secret(tx, keys, account, endpoint, NOW),
    "test": lambda tx, _, account, endpoint, __: webhooks.send_test_event(tx, account, endpoint, NOW),
    "replay many": lambda tx, _, account, endpoint, __: webhooks.replay_deliveries(
        tx, account, endpoint, now=NOW
    ),
    "look": lambda tx, _, account, __, delivery: webhooks.get_delivery(tx, account, delivery),
    "replay": lambda tx, _, account, __, delivery: webhooks.replay_delivery(tx, account, delivery, NOW),
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
async def test_a_strangers_endpoint_and_deliveries_are_not_there(
    outbox: Outbox,
    people: factories.Cast,
    endpoint: int,
    parked: int,
    deed: Deed,
) -> None:
    before = await outbox.get(endpoint)
    async with outbox.db.transaction() as tx:
        with pytest.raises((webhooks.EndpointNotFoundError, webhooks.DeliveryNotFoundError)):
            await deed(tx, outbox.keyring, people.stranger.account_id, endpoint, parked)
        assert await webhooks.list_endpoints(tx, people.stranger.account_id) == []
        for where in (DeliveryFilter(), DeliveryFilter(call_id=5), DeliveryFilter(endpoint_id=endpoint)):
            assert await webhooks.list_deliveries(tx, people.stranger.account_id, where) == []
    assert await outbox.get(endpoint) == before
    assert await outbox.states() == ["parked"]


# ---------------------------------------------------------------- forgetting


async def test_after_thirty_days_all_is_forgotten_but_what_still_waits(outbox: Outbox, endpoint: int) -> None:
    await outbox.publish(*((call, 1) for call in range(1, 8)))
    async with outbox.db.transaction() as tx:
        await tx.execute("UPDATE webhook_deliveries SET state = 'delivered', body = 'x' WHERE call_id < 7")
        await tx.execute("UPDATE webhook_deliveries SET created_at = %s", [NOW])
        await tx.execute("UPDATE webhook_deliveries SET created_at = %s WHERE call_id IN (5, 6)", [LATER])
        await tx.execute("UPDATE webhook_events SET created_at = %s", [NOW])
        await tx.execute(
            "INSERT INTO webhook_tries (delivery_id, at, account_id, ms)"
            " SELECT id, %s, account_id, 1 FROM webhook_deliveries",
            [NOW],
        )
    assert await webhooks.forget_old(outbox.db, NOW) == 0
    assert await webhooks.forget_old(outbox.db, LATER) == 4
    kept = await outbox.deliveries()
    assert [one.call_id for one in kept] == [5, 6, 7]
    async with outbox.db.transaction() as tx:
        for one in kept:  # an event stays for as long as a delivery tells of it
            told = await webhooks.get_delivery(tx, outbox.account_id, one.id)
            assert of_call(told.event) == one.call_id
        left = await (await tx.execute("SELECT delivery_id FROM webhook_tries ORDER BY 1")).fetchall()
        assert [id_ for (id_,) in left] == [one.id for one in kept]
        assert await (await tx.execute("SELECT count(*) FROM webhook_events")).fetchone() == (3,)


async def test_a_deleted_endpoint_is_forgotten_with_the_last_of_its_deliveries(
    outbox: Outbox, endpoint: int, parked: int
) -> None:
    async with outbox.db.transaction() as tx:
        await webhooks.delete_endpoint(tx, outbox.account_id, endpoint, NOW)
        await tx.execute("UPDATE webhook_deliveries SET created_at = %s", [LATER])
    await webhooks.forget_old(outbox.db, LATER)
    assert len(await outbox.deliveries()) == 1
    async with outbox.db.transaction() as tx:
        await tx.execute("UPDATE webhook_deliveries SET created_at = %s", [NOW])
    await webhooks.forget_old(outbox.db, LATER)
    async with outbox.db.transaction() as tx:
        assert await (await tx.execute("SELECT FROM webhook_endpoints")).fetchall() == []
