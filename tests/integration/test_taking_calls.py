"""What a call that comes in takes and leaves in the database: channels, its tie to a campaign, the event."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from tests import factories
from tests.fakes.answering import GREETING, Shop, shop
from tests.fakes.clock import FakeClock
from tests.fakes.dialling import rows

from tongdai.domain import inbound, routing, webhooks
from tongdai.domain.dialer.store import recovering
from tongdai.domain.inbound import Arrival, Disposition, InboundResult, Kind, Rules, Rung, Taken
from tongdai.domain.webhooks import IncomingEvent
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

pytestmark = pytest.mark.anyio

CALLER = "0912345678"

RANG = """
INSERT INTO attempts (account_id, call_id, campaign_id, ordinal, hotline_id, dialled_at, ended_at, outcome)
VALUES (%s, %s, %s, %s, %s, clock_timestamp() - %s::interval, clock_timestamp(), 'no_answer') RETURNING id
"""


async def take(db: Database, one: Shop, channel: str = "in-1", *, engine: str = "sandbox") -> Taken:
    async with db.transaction() as tx:
        return await inbound.take(tx, Arrival(engine, channel, one.trunk.id, CALLER, one.number), 1, Rules())


async def end(db: Database, taken: Taken, clock: FakeClock, **how: Any) -> set[int]:
    assert taken.facts is not None
    values: dict[str, Any] = {"kind": Kind.CALLIN, "disposition": Disposition.ANSWER, "answered": True}
    result = InboundResult(facts=taken.facts, ring_s=1.0, **(values | how))
    async with db.transaction() as tx:
        return await inbound.end_calls(tx, [result], clock.now())


async def node(db: Database, keyring: Keyring, *, max_channels: int) -> routing.Node:
    async with db.transaction() as tx:
        return await routing.add_node(
            tx,
            keyring,
            name="một",
            url="http://127.0.0.1:8088",
            username="tongdai",
            password="secret-secret",
            sounds_path="/sounds",
            max_channels=max_channels,
        )


# ---------------------------------------------------------------- channels


async def test_a_call_holds_a_channel_of_hotline_trunk_account_and_node_until_it_ends(
    db: Database, keyring: Keyring, clock: FakeClock
) -> None:
    one = await shop(db, (await factories.cast(db)).owner.account_id, GREETING)
    made = await node(db, keyring, max_channels=1)
    taken = await take(db, one, engine=f"asterisk/{made.id}")
    held = await rows(db, "SELECT kind FROM limits WHERE live = 1 ORDER BY kind")
    assert [kind for (kind,) in held] == ["account", "hotline", "node", "trunk"]

    full = await take(db, one, "in-2", engine=f"asterisk/{made.id}")
    elsewhere = await take(db, one, "in-3")
    assert (full.facts, full.known) == (None, True)
    assert elsewhere.facts is not None

    assert taken.facts is not None
    assert await end(db, taken, clock) == {taken.facts.leg_id}
    assert await end(db, elsewhere, clock) != set()
    assert await one.live() == []


async def test_an_end_that_is_written_twice_frees_its_channels_once(db: Database, clock: FakeClock) -> None:
    one = await shop(db, (await factories.cast(db)).owner.account_id, GREETING)
    first, second = await take(db, one), await take(db, one, "in-2")
    assert await end(db, first, clock) != set()
    assert await end(db, first, clock) == set()
    assert await one.live() == [1, 1, 1]
    async with db.transaction() as tx:
        wrong, _ = await recovering.recount_limits(tx, 0, 100)
    assert wrong == []
    assert await end(db, second, clock, kind=Kind.MISSCALL, answered=False) != set()


async def test_a_channel_that_was_written_down_before_keeps_its_leg_and_takes_nothing_more(
    db: Database,
) -> None:
    one = await shop(db, (await factories.cast(db)).owner.account_id, GREETING)
    first, again = await take(db, one), await take(db, one)
    assert first.facts is not None
    assert again.facts is not None
    assert again.facts.leg_id == first.facts.leg_id
    assert await one.live() == [1, 1, 1]


# ---------------------------------------------------------------- ties


async def rang(db: Database, one: Shop, owner: factories.Person, hotline_id: int, ago: timedelta) -> int:
    """A campaign's call that was dialled so long ago over this hotline."""
    campaign = await factories.campaign(db, owner, hotline_ids=[hotline_id])
    [(call_id,)] = await rows(
        db,
        """INSERT INTO calls (account_id, campaign_id, user_id, state, number, number_given)
           VALUES (%s, %s, %s, 'done', '84912345678', 'x') RETURNING id""",
        owner.account_id,
        campaign.id,
        owner.user.id,
    )
    await rows(db, RANG, owner.account_id, call_id, campaign.id, 1, hotline_id, ago)
    return int(call_id)


async def test_a_call_back_answers_the_latest_call_of_the_hotline_that_is_called_before_any_other(
    db: Database,
) -> None:
    owner = (await factories.cast(db)).owner
    one = await shop(db, owner.account_id, GREETING)
    other = await factories.hotline(db, owner.account_id)
    await rang(db, one, owner, one.hotline.id, timedelta(days=5))
    latest_here = await rang(db, one, owner, one.hotline.id, timedelta(days=3))
    await rang(db, one, owner, other.id, timedelta(days=1))
    await take(db, one)
    assert [call.campaign_call_id for call in await one.calls()] == [latest_here]


async def test_without_a_call_of_its_own_the_latest_of_any_hotline_is_answered(db: Database) -> None:
    owner = (await factories.cast(db)).owner
    one = await shop(db, owner.account_id, GREETING)
    other = await factories.hotline(db, owner.account_id)
    await rang(db, one, owner, other.id, timedelta(days=4))
    latest = await rang(db, one, owner, other.id, timedelta(hours=1))
    taken = await take(db, one)
    assert [call.campaign_call_id for call in await one.calls()] == [latest]
    assert taken.facts is not None
    assert taken.facts.fields()["campaign_id"] == str(taken.facts.campaign_id)


async def test_calls_of_another_account_to_the_same_person_are_nobodys_business(db: Database) -> None:
    cast = await factories.cast(db)
    one = await shop(db, cast.owner.account_id, GREETING)
    theirs = await factories.hotline(db, cast.stranger.account_id)
    await rang(db, one, cast.stranger, theirs.id, timedelta(hours=1))
    await take(db, one)
    assert [call.campaign_call_id for call in await one.calls()] == [None]


# ---------------------------------------------------------------- events


async def endpoint(
    db: Database, keyring: Keyring, account_id: int, format: str = "vbot_call_history"
) -> None:
    async with db.transaction() as tx:
        await webhooks.create_endpoint(
            tx, keyring, account_id, url="https://hooks.example.vn/", format=format
        )


async def told(db: Database, account_id: int) -> list[IncomingEvent]:
    found: list[IncomingEvent] = []
    async with db.transaction() as tx:
        for delivery in await webhooks.list_deliveries(tx, account_id):
            event = (await webhooks.get_delivery(tx, account_id, delivery.id)).event
            assert isinstance(event, IncomingEvent)
            assert (delivery.call_id, delivery.seq) == (0, 0)
            found.append(event)
    return found


async def test_an_ended_call_is_told_once_and_completely(
    db: Database, keyring: Keyring, clock: FakeClock
) -> None:
    owner = (await factories.cast(db)).owner
    one = await shop(db, owner.account_id, GREETING)
    await endpoint(db, keyring, owner.account_id)
    campaign_call = await rang(db, one, owner, one.hotline.id, timedelta(days=1))
    taken = await take(db, one)
    assert await told(db, owner.account_id) == []
    rung = (Rung("84987654321", "ANSWER", 48),)
    how: dict[str, Any] = {"duration_s": 65, "key_press": "2 (6)", "answers": {"menu": "2"}, "rung": rung}
    await end(db, taken, clock, **how)
    await end(db, taken, clock, **how)

    [event] = await told(db, owner.account_id)
    assert (event.kind, event.disposition, event.hotline) == ("CALLIN", "ANSWER", "842473001234")
    assert (event.caller, event.caller_given, event.called_given) == ("84912345678", CALLER, "02473001234")
    assert (event.duration_s, event.billable_s, event.key_presses, event.answers) == (
        65,
        65,
        "2 (6)",
        {"menu": "2"},
    )
    assert [(one.target, one.disposition, one.seconds) for one in event.transfers] == [
        ("84987654321", "ANSWER", 48)
    ]
    assert (event.campaign_call_id, event.campaign_name is not None) == (campaign_call, True)


async def test_a_call_that_nobody_answers_is_told_at_once(
    db: Database, keyring: Keyring, clock: FakeClock
) -> None:
    owner = (await factories.cast(db)).owner
    one = await shop(db, owner.account_id, None)
    await endpoint(db, keyring, owner.account_id, "tongdai")
    await take(db, one)
    [event] = await told(db, owner.account_id)
    assert (event.kind, event.disposition, event.duration_s) == ("MISSCALL", "CHANUNAVAIL", 0)


async def test_a_stranger_is_not_told(db: Database, keyring: Keyring) -> None:
    cast = await factories.cast(db)
    one = await shop(db, cast.owner.account_id, None)
    await endpoint(db, keyring, cast.stranger.account_id)
    await take(db, one)
    assert await told(db, cast.stranger.account_id) == []
    assert json.dumps(await rows(db, "SELECT count(*) FROM webhook_events")) == "[[0]]"
