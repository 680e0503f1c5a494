"""Sending: at least once, in order per call, and a bad endpoint delays only itself (promises 8 and 9)."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import psycopg
import pytest
from standardwebhooks.webhooks import Webhook
from tests import factories
from tests.fakes.clock import FakeClock
from tests.fakes.receiver import Receiver, Request, answer, receiving
from tests.fakes.sending import Outbox, eventually, told

from tongdai.domain import webhooks
from tongdai.domain.webhooks import CallEvent, SendingRules
from tongdai.kit.clock import SystemClock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

pytestmark = pytest.mark.anyio

NEVER_PAUSES = 1000


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
def now() -> FakeClock:
    """Stands at the time at which the test began; the database's goes on."""
    return FakeClock(datetime.now(UTC) + timedelta(minutes=1))


@pytest.fixture
async def people(db: Database, keyring: Keyring) -> factories.Cast:
    return await factories.cast(db, keyring)


@pytest.fixture
def outbox(db: Database, keyring: Keyring, people: factories.Cast) -> Outbox:
    return Outbox(db, keyring, people.owner.account_id, SystemClock())


@pytest.fixture
def elsewhere(outbox: Outbox, people: factories.Cast) -> Outbox:
    """Another account's."""
    return replace(outbox, account_id=people.stranger.account_id)


# ---------------------------------------------------------------- what is sent


async def test_a_request_carries_the_standard_webhooks_headers_and_the_auth_header(
    outbox: Outbox, receiver: Receiver
) -> None:
    endpoint = await outbox.endpoint(receiver.url(), auth_header="Authorization: Bearer mat")
    async with outbox.db.transaction() as tx:
        secret = await webhooks.reveal_secret(tx, outbox.keyring, outbox.account_id, endpoint)
    async with outbox.sending():
        await outbox.publish((5, 1))
        (request,) = await receiver.until_got("/ok", 1)
        await outbox.until_states(["delivered"])
    (delivery,) = await outbox.deliveries()
    assert Webhook(secret).verify(request.body, request.headers) == {"call_id": 5, "seq": 1}
    assert request.id == delivery.webhook_id
    assert request.headers["authorization"] == "Bearer mat"
    assert request.headers["content-type"] == "application/json; charset=utf-8"


async def test_each_endpoint_is_told_of_what_it_subscribed_to_and_in_its_own_format(
    outbox: Outbox, receiver: Receiver
) -> None:
    def named(name: str) -> webhooks.Renderer:
        return lambda event, options: json.dumps([name, event.type]).encode()

    await outbox.endpoint(receiver.url("/a"), format="tongdai")
    await outbox.endpoint(receiver.url("/b"), format="vbot_call_history")
    await outbox.endpoint(receiver.url("/c"), format="aicallcenter", events=["call.refused"])
    async with outbox.sending(renderers={name: named(name) for name in webhooks.FORMATS}):
        await outbox.publish((5, 1))
        await receiver.until_got("/a", 1)
        await receiver.until_got("/b", 1)
        await outbox.until_states(["delivered"] * 2)
    assert [one.json for one in receiver.at("/a")] == [["tongdai", "attempt.ended"]]
    assert [one.json for one in receiver.at("/b")] == [["vbot_call_history", "attempt.ended"]]
    assert receiver.at("/c") == []


async def test_for_a_day_after_a_rotation_both_secrets_verify(outbox: Outbox, receiver: Receiver) -> None:
    endpoint = await outbox.endpoint(receiver.url())
    async with outbox.db.transaction() as tx:
        old = await webhooks.reveal_secret(tx, outbox.keyring, outbox.account_id, endpoint)
        new = await webhooks.rotate_secret(tx, outbox.keyring, outbox.account_id, endpoint, datetime.now(UTC))
    async with outbox.sending():
        await outbox.publish((5, 1))
        (request,) = await receiver.until_got("/ok", 1)
        await outbox.until_states(["delivered"])
    assert old != new
    for secret in (old, new):
        Webhook(secret).verify(request.body, request.headers)


async def test_later_only_the_new_secret_does(outbox: Outbox, receiver: Receiver) -> None:
    endpoint = await outbox.endpoint(receiver.url())
    yesterday = datetime.now(UTC) - timedelta(hours=25)
    async with outbox.db.transaction() as tx:
        new = await webhooks.rotate_secret(tx, outbox.keyring, outbox.account_id, endpoint, yesterday)
    async with outbox.sending():
        await outbox.publish((5, 1))
        (request,) = await receiver.until_got("/ok", 1)
        await outbox.until_states(["delivered"])
    Webhook(new).verify(request.body, request.headers)
    assert len(request.headers["webhook-signature"].split()) == 1


async def test_a_test_event_takes_the_way_of_all(outbox: Outbox, receiver: Receiver) -> None:
    endpoint = await outbox.endpoint(receiver.url())
    async with outbox.db.transaction() as tx:
        await webhooks.send_test_event(tx, outbox.account_id, endpoint, datetime.now(UTC))
    async with outbox.sending():
        (request,) = await receiver.until_got("/ok", 1)
        await outbox.until_states(["delivered"])
    assert request.json["call_id"] == 0


# ---------------------------------------------------------------- at least once, in order


async def test_nothing_is_lost_and_nothing_doubled_where_all_goes_well(
    outbox: Outbox, receiver: Receiver
) -> None:
    await outbox.endpoint(receiver.url(), max_in_flight=16)
    calls = [(call, seq) for call in range(1, 301) for seq in (1, 2)]
    async with outbox.sending():
        await outbox.publish(*calls)
        await receiver.until_got("/ok", 600)
        await outbox.until_states(["delivered"] * 600)
    assert sorted(told([one.body for one in receiver.got])) == calls
    assert receiver.most_at_once["/ok"] <= 16


async def test_order_is_kept_per_call_where_half_of_the_tries_fail(
    outbox: Outbox, receiver: Receiver
) -> None:
    seen: Counter[str] = Counter()

    def every_other(request: Request) -> bytes:
        seen[request.id] += 1
        return answer(500 if seen[request.id] % 2 else 200)

    receiver.answers["/flaky"] = every_other
    await outbox.endpoint(receiver.url("/flaky"), max_in_flight=8)
    calls = [(call, seq) for seq in range(1, 6) for call in range(1, 21)]
    async with outbox.sending():
        await outbox.publish(*calls)
        await outbox.until_states(["delivered"] * 100)
    first_told: dict[int, list[int]] = defaultdict(list)
    for call, seq in told([one.body for one in receiver.got]):
        if seq not in first_told[call]:
            first_told[call].append(seq)
    assert first_told == {call: [1, 2, 3, 4, 5] for call in range(1, 21)}
    assert set(seen.values()) == {2}
    assert {one.tries for one in await outbox.deliveries()} == {2}


async def test_a_later_event_waits_for_an_earlier_one_and_goes_when_that_is_parked(
    outbox: Outbox, receiver: Receiver, now: FakeClock
) -> None:
    outbox.clock = now
    receiver.answers["/picky"] = lambda request: answer(500 if request.json["seq"] == 1 else 200)
    await outbox.endpoint(receiver.url("/picky"))
    rules = SendingRules(failures_to_pause=NEVER_PAUSES)
    async with outbox.sending(rules):
        await outbox.publish((5, 1), (6, 2))
        await outbox.publish((5, 2))
        await outbox.until_states(["pending", "delivered", "pending"])
        for hours in (1, 10):
            before = len(receiver.got)
            now.advance(timedelta(hours=hours))
            await receiver.until_got("/picky", before + 1)
            await outbox.until_states(["pending", "delivered", "pending"])
        now.advance(timedelta(hours=14))
        await outbox.until_states(["parked", "delivered", "delivered"])
    assert told([one.body for one in receiver.got])[-1] == (5, 2)


async def test_the_bytes_of_the_first_try_are_sent_again_and_replayed(
    outbox: Outbox, receiver: Receiver
) -> None:
    made: Counter[int] = Counter()

    def different(event: CallEvent, options: object) -> bytes:
        made[event.call_id] += 1
        return b'{"made": %d, "n": "\xe1\xba\xad"}' % made[event.call_id]

    seen: Counter[str] = Counter()

    def third(request: Request) -> bytes:
        seen[request.path] += 1
        return answer(200 if seen[request.path] >= 3 else 500)

    receiver.answers["/ok"] = third
    await outbox.endpoint(receiver.url())
    async with outbox.sending(renderers=dict.fromkeys(webhooks.FORMATS, different)):
        await outbox.publish((5, 1))
        await outbox.until_states(["delivered"])
        (delivery,) = await outbox.deliveries()
        async with outbox.db.transaction() as tx:
            await webhooks.replay_delivery(tx, outbox.account_id, delivery.id, datetime.now(UTC))
        await outbox.until_states(["delivered"] * 2)
    assert len({(one.id, one.body) for one in receiver.got}) == 1
    assert len(receiver.got) == 4
    assert made == {5: 1}


async def test_replays_keep_their_order_and_hold_up_nothing_new(outbox: Outbox, receiver: Receiver) -> None:
    await outbox.endpoint(receiver.url())
    async with outbox.sending():
        await outbox.publish((5, 1), (5, 2), (5, 3))
        await outbox.until_states(["delivered"] * 3)
    endpoint = (await outbox.deliveries())[0].endpoint_id
    receiver.answers["/ok"] = lambda request: answer(200 if request.json["seq"] == 4 else 500)
    async with outbox.db.transaction() as tx:
        where = webhooks.ReplayFilter(state="delivered")
        at = datetime.now(UTC)
        assert await webhooks.replay_deliveries(tx, outbox.account_id, endpoint, where, now=at) == 3
    async with outbox.sending():
        await outbox.publish((5, 4))
        await outbox.until_states(["delivered"] * 3 + ["pending"] * 3 + ["delivered"])
        receiver.answers["/ok"] = answer(200)
        await outbox.until_states(["delivered"] * 7)
    assert [seq for _, seq in told([one.body for one in receiver.got[-2:]])] == [2, 3]


# ---------------------------------------------------------------- endpoints that misbehave


@pytest.mark.parametrize(
    ("reply", "error", "status"),
    [
        (answer(500, b"sorry"), "status", 500),
        (answer(302, Location="http://127.0.0.1:1/"), "redirect", 302),
        (None, "timeout", None),
        (b"", "broken", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "broken", None),
    ],
    ids=["fails", "redirects", "hangs", "closes", "closes in the middle of the answer"],
)
async def test_a_try_that_failed_is_kept_and_repeated(
    outbox: Outbox, receiver: Receiver, reply: bytes | None, error: str, status: int | None
) -> None:
    receiver.answers["/bad"] = reply
    endpoint = await outbox.endpoint(receiver.url("/bad"))
    async with outbox.sending(timeout_s=0.3):
        await outbox.publish((5, 1))
        await receiver.until_got("/bad", 2)
        receiver.answers["/bad"] = answer(200, b"thanks")
        await outbox.until_states(["delivered"])
    (delivery,) = await outbox.deliveries()
    async with outbox.db.transaction() as tx:
        tries = (await webhooks.get_delivery(tx, outbox.account_id, delivery.id)).tries
    assert len(tries) == delivery.tries >= 3
    assert {(one.error, one.status) for one in tries[:-1]} == {(error, status)}
    assert (tries[-1].error, tries[-1].status, tries[-1].answer) == (None, 200, b"thanks")
    assert len({one.id for one in receiver.got}) == 1
    assert (await outbox.get(endpoint)).failures == 0


async def test_an_endpoint_that_hangs_delays_only_itself(outbox: Outbox, receiver: Receiver) -> None:
    receiver.answers["/hang"] = None
    hanging = await outbox.endpoint(receiver.url("/hang"), max_in_flight=4)
    healthy = await outbox.endpoint(receiver.url())
    async with outbox.sending(timeout_s=60, max_in_flight=2, grace_s=0.1):
        await outbox.publish(*((call, 1) for call in range(1, 101)))
        await outbox.until_states(["delivered"] * 100, healthy)
        assert set(await outbox.states(hanging)) == {"pending"}
        # More than the two of the whole process at no time, but for the first of each endpoint.
        assert receiver.most_at_once["/hang"] <= 2
        assert receiver.at_once["/hang"] >= 1


async def test_what_is_read_for_endpoints_that_hang_leaves_room_for_the_others(
    outbox: Outbox, receiver: Receiver
) -> None:
    receiver.answers["/hang"] = None
    for _ in range(4):
        await outbox.endpoint(receiver.url("/hang"), max_in_flight=4)
    async with outbox.sending(timeout_s=60, most_queued=20, grace_s=0.1):
        await outbox.publish(*((call, 1) for call in range(1, 51)))
        await receiver.until_got("/hang", 16)
        healthy = await outbox.endpoint(receiver.url())
        await outbox.publish(*((call, 1) for call in range(51, 101)))
        await outbox.until_states(["delivered"] * 50, healthy)


async def test_an_endpoint_that_fails_pauses_itself_says_so_and_resumes_by_one_probe(
    outbox: Outbox, receiver: Receiver, now: FakeClock
) -> None:
    outbox.clock = now
    receiver.answers["/down"] = answer(503)
    endpoint = await outbox.endpoint(receiver.url("/down"), max_in_flight=4)
    async with outbox.sending(SendingRules()):
        await outbox.publish(*((call, 1) for call in range(1, 51)))
        await _until_paused(outbox, endpoint)
        paused = await outbox.get(endpoint)
        assert (paused.pause_reason, paused.last_error) == ("failures", "status 503")
        assert paused.paused_at == paused.failing_since == now.now()
        assert paused.paused_until is not None
        tried = len(receiver.got)
        assert 5 <= tried <= 8

        now.advance(paused.paused_until - now.now())
        await receiver.until_got("/down", tried + 1)
        await _until_paused(outbox, endpoint, after=now.now())
        assert len(receiver.got) == tried + 1  # one probe, and it is paused for longer

        receiver.answers["/down"] = answer(200)
        now.advance(timedelta(minutes=10))
        await outbox.until_states(["delivered"] * 50)
    resumed = await outbox.get(endpoint)
    assert (resumed.failures, resumed.paused_at, resumed.pause_reason) == (0, None, None)
    assert resumed.last_delivered_at == now.now()


@pytest.mark.parametrize("as_date", [False, True])
async def test_retry_after_is_honoured(
    outbox: Outbox, elsewhere: Outbox, receiver: Receiver, now: FakeClock, as_date: bool
) -> None:
    outbox.clock = now
    in_two_minutes = now.now().replace(microsecond=0) + timedelta(minutes=2)
    wanted = format_datetime(in_two_minutes, usegmt=True) if as_date else "120"
    receiver.answers["/busy"] = answer(429, Retry_After=wanted)
    endpoint = await outbox.endpoint(receiver.url("/busy"), max_in_flight=1)
    async with outbox.sending():
        await outbox.publish((5, 1), (6, 1))
        await _until_paused(outbox, endpoint)
        assert (await outbox.get(endpoint)).pause_reason == "retry_after"
        receiver.answers["/busy"] = answer(200)
        now.set(in_two_minutes - timedelta(seconds=2))
        await _looked(elsewhere, receiver)
        assert len(receiver.at("/busy")) == 1
        now.advance(timedelta(seconds=3))
        await outbox.until_states(["delivered"] * 2, endpoint)


async def test_an_endpoint_that_is_gone_is_left_alone_until_somebody_resumes_it(
    outbox: Outbox, elsewhere: Outbox, receiver: Receiver
) -> None:
    receiver.answers["/gone"] = answer(410)
    endpoint = await outbox.endpoint(receiver.url("/gone"), max_in_flight=1)
    async with outbox.sending():
        await outbox.publish((5, 1), (6, 1))
        await _until_paused(outbox, endpoint)
        gone = await outbox.get(endpoint)
        assert (gone.pause_reason, gone.paused_until) == ("gone", None)
        await _looked(elsewhere, receiver)
        assert len(receiver.at("/gone")) == 1
        receiver.answers["/gone"] = answer(200)
        async with outbox.db.transaction() as tx:
            await webhooks.resume_endpoint(tx, outbox.account_id, endpoint)
        await outbox.until_states(["delivered"] * 2, endpoint)


async def test_what_a_dead_endpoint_missed_is_parked_after_24_hours_and_can_be_replayed(
    outbox: Outbox, elsewhere: Outbox, receiver: Receiver, now: FakeClock
) -> None:
    outbox.clock = now
    receiver.answers["/dead"] = b""
    endpoint = await outbox.endpoint(receiver.url("/dead"))
    calls = [(call, 1) for call in range(1, 21)]
    async with outbox.sending(SendingRules(), sweep_s=0.01):
        await outbox.publish(*calls)
        await _until_paused(outbox, endpoint)
        now.advance(timedelta(hours=23))
        await _looked(elsewhere, receiver)
        assert await outbox.states(endpoint) == ["pending"] * 20
        now.advance(timedelta(hours=1, minutes=1))
        await outbox.until_states(["parked"] * 20, endpoint)

        receiver.answers["/dead"] = answer(200)
        async with outbox.db.transaction() as tx:
            await webhooks.resume_endpoint(tx, outbox.account_id, endpoint)
            assert await webhooks.replay_deliveries(tx, outbox.account_id, endpoint, now=now.now()) == 20
            assert await webhooks.replay_deliveries(tx, outbox.account_id, endpoint, now=now.now()) == 0
        await outbox.until_states(["parked"] * 20 + ["delivered"] * 20, endpoint)
    assert set(told([one.body for one in receiver.at("/dead")])) == set(calls)


async def test_a_body_that_cannot_be_made_is_our_fault_and_waits_for_a_mended_version(
    outbox: Outbox, receiver: Receiver
) -> None:
    def broken(event: CallEvent, options: object) -> bytes:
        raise ValueError("a defect")

    endpoint = await outbox.endpoint(receiver.url())
    async with outbox.sending(renderers=dict.fromkeys(webhooks.FORMATS, broken)):
        await outbox.publish((5, 1))
        await eventually(lambda: _was_tried(outbox))
    assert (await outbox.deliveries())[0].error == "unrendered"
    assert (await outbox.get(endpoint)).failures == 0
    async with outbox.sending():
        await outbox.until_states(["delivered"])


# ---------------------------------------------------------------- what people change meanwhile


async def test_nothing_is_sent_to_a_paused_endpoint_and_all_of_it_when_it_is_resumed(
    outbox: Outbox, elsewhere: Outbox, receiver: Receiver
) -> None:
    endpoint = await outbox.endpoint(receiver.url("/a"))
    async with outbox.sending():
        async with outbox.db.transaction() as tx:
            await webhooks.pause_endpoint(tx, outbox.account_id, endpoint, datetime.now(UTC))
        await outbox.publish((5, 1), (6, 1))
        await _looked(elsewhere, receiver)
        assert receiver.at("/a") == []
        async with outbox.db.transaction() as tx:
            await webhooks.resume_endpoint(tx, outbox.account_id, endpoint)
        await outbox.until_states(["delivered"] * 2, endpoint)


async def test_a_changed_address_is_used_from_then_on(outbox: Outbox, receiver: Receiver) -> None:
    endpoint = await outbox.endpoint(receiver.url("/old"))
    async with outbox.sending():
        await outbox.publish((5, 1))
        await receiver.until_got("/old", 1)
        async with outbox.db.transaction() as tx:
            await webhooks.update_endpoint(
                tx, outbox.keyring, outbox.account_id, endpoint, url=receiver.url("/new"), allow_private=True
            )
        await outbox.publish((6, 1))
        await receiver.until_got("/new", 1)
        await outbox.until_states(["delivered"] * 2)
    assert len(receiver.got) == 2


async def test_what_waits_for_a_deleted_endpoint_is_parked(outbox: Outbox, receiver: Receiver) -> None:
    endpoint = await outbox.endpoint(receiver.url())
    await outbox.publish((5, 1), (6, 1))
    async with outbox.db.transaction() as tx:
        await webhooks.delete_endpoint(tx, outbox.account_id, endpoint, datetime.now(UTC))
    async with outbox.sending():
        await outbox.until_states(["parked"] * 2)
    assert [one.error for one in await outbox.deliveries()] == ["unsent"] * 2
    assert receiver.got == []


# ---------------------------------------------------------------- several senders


async def test_two_senders_never_serve_one_endpoint_at_once(outbox: Outbox, receiver: Receiver) -> None:
    for place in range(6):
        await outbox.endpoint(receiver.url(f"/{place}"), max_in_flight=1)
    async with outbox.sending(), outbox.sending():
        for call in range(1, 41):
            await outbox.publish((call, 1))
        await receiver.until(lambda: len(receiver.got) >= 240)
        await outbox.until_states(["delivered"] * 240)
    assert Counter(one.id for one in receiver.got).most_common(1)[0][1] == 1
    assert set(receiver.most_at_once.values()) == {1}


async def test_a_sender_that_joins_takes_a_share(outbox: Outbox, receiver: Receiver) -> None:
    for place in range(8):
        await outbox.endpoint(receiver.url(f"/{place}"))
    async with outbox.sending(lease_s=1.0):
        await outbox.publish((1, 1))
        await outbox.until_states(["delivered"] * 8)
        async with outbox.sending(lease_s=1.0):
            async with asyncio.timeout(30):
                call = 1
                while len(await _holders(outbox.db)) < 2:
                    call += 1
                    await outbox.publish((call, 1))
                    await asyncio.sleep(0.05)
            await outbox.until_states(["delivered"] * 8 * call)
    assert Counter(one.id for one in receiver.got).most_common(1)[0][1] == 1


async def test_the_endpoints_of_a_dead_sender_are_taken_over(outbox: Outbox, receiver: Receiver) -> None:
    receiver.answers["/hang"] = None
    await outbox.endpoint(receiver.url("/hang"))
    await outbox.publish((5, 1), (5, 2))
    dead = asyncio.create_task(outbox.sender(lease_s=1.0).run(asyncio.Event()))
    await receiver.until_got("/hang", 1)
    dead.cancel()  # without a word: it gives nothing back
    await asyncio.gather(dead, return_exceptions=True)
    assert len(await _holders(outbox.db)) == 1
    receiver.answers["/hang"] = answer(200)
    async with outbox.sending(lease_s=1.0):
        await outbox.until_states(["delivered"] * 2)
    assert told([one.body for one in receiver.got]) == [(5, 1), (5, 1), (5, 2)]


async def test_a_sender_that_cannot_renew_stops_before_others_may_begin(
    outbox: Outbox, receiver: Receiver
) -> None:
    receiver.answers["/hang"] = None
    await outbox.endpoint(receiver.url("/hang"))
    await outbox.publish((5, 1))
    async with outbox.sending(lease_s=1.0, timeout_s=60):
        await receiver.until_got("/hang", 1)
        async with await psycopg.AsyncConnection.connect(outbox.db.url) as blocking:
            await blocking.execute("LOCK TABLE webhook_senders")
            await receiver.until(lambda: receiver.at_once["/hang"] == 0)
            assert len(receiver.got) == 1
        receiver.answers["/hang"] = answer(200)
        await outbox.until_states(["delivered"])


async def test_results_are_kept_while_the_database_is_away_and_written_once(
    outbox: Outbox, receiver: Receiver
) -> None:
    await outbox.endpoint(receiver.url())
    theirs = Database(psycopg.conninfo.make_conninfo(outbox.db.url, application_name="sender"))
    await theirs.open()
    async with replace(outbox, db=theirs).sending():
        for call in range(1, 21):
            await outbox.publish((call, 1))
            async with outbox.db.autocommit() as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name = 'sender'"
                )
        await outbox.until_states(["delivered"] * 20)
    await theirs.close()
    assert {one.tries for one in await outbox.deliveries()} == {1}
    assert Counter(one.id for one in receiver.got).most_common(1)[0][1] == 1


async def test_a_stopped_sender_ends_what_is_under_way_and_gives_its_endpoints_back(
    outbox: Outbox, receiver: Receiver
) -> None:
    receiver.answers["/slow"] = answer(200)
    receiver.drips["/slow"] = 0.005
    await outbox.endpoint(receiver.url("/slow"))
    async with outbox.sending():
        await outbox.publish((5, 1))
        await receiver.until_got("/slow", 1)
    assert await outbox.states() == ["delivered"]
    assert await _holders(outbox.db) == set()


async def test_an_operator_sees_how_the_sending_goes(outbox: Outbox, receiver: Receiver) -> None:
    receiver.answers["/down"] = answer(500)
    good = await outbox.endpoint(receiver.url())
    await outbox.endpoint(receiver.url("/down"), max_in_flight=1)
    paused = await outbox.endpoint(receiver.url())
    async with outbox.db.transaction() as tx:
        await webhooks.pause_endpoint(tx, outbox.account_id, paused, datetime.now(UTC))
    rules = SendingRules(delays_s=(3600,), failures_to_pause=NEVER_PAUSES)
    async with outbox.sending(rules):
        await outbox.publish((1, 1), (2, 1))
        await outbox.until_states(["delivered"] * 2, good)
        await receiver.until_got("/down", 2)
    async with outbox.db.autocommit() as connection:
        later = datetime.now(UTC) + timedelta(hours=2)
        figures = await webhooks.sending_figures(connection, later)
    assert figures.tries == {"delivered": 2, "failed": 2, "parked": 0}
    assert (figures.pending, figures.open_endpoints, figures.closed_endpoints) == (4, 1, 1)
    assert 0 < figures.overdue_s < 2 * 3600


# ---------------------------------------------------------------- parts


async def _until_paused(outbox: Outbox, endpoint: int, *, after: datetime | None = None) -> None:
    """Wait until it has paused itself, to a moment later than `after`."""

    async def is_paused() -> bool:
        seen = await outbox.get(endpoint)
        later = after is None or (seen.paused_until is not None and seen.paused_until > after)
        return seen.paused_at is not None and later

    await eventually(is_paused)


async def _was_tried(outbox: Outbox) -> bool:
    return (await outbox.deliveries())[0].tries > 0


async def _looked(elsewhere: Outbox, receiver: Receiver) -> None:
    """Wait until the sender has looked for what is due twice: it has told somebody else two things."""
    path = f"/look{len(receiver.got)}"
    await elsewhere.endpoint(receiver.url(path))
    for number in (1, 2):
        await elsewhere.publish((10_000 + number, 1))
        await receiver.until_got(path, number)


async def _holders(db: Database) -> set[int]:
    """The senders that hold an endpoint and are alive, or dead for not long enough."""
    async with db.autocommit() as connection:
        cursor = await connection.execute(
            "SELECT DISTINCT s.id FROM webhook_endpoints AS p JOIN webhook_senders AS s ON s.id = p.sender_id"
        )
        return {id_ for (id_,) in await cursor.fetchall()}
