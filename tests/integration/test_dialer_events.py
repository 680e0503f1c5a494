"""What webhooks are told of calls that are dialled, refused, retried and moved to another trunk."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests import factories
from tests.desk import Desk
from tests.fakes.dialling import dialing, eventually, rows
from tests.fakes.engine import PlayedEngine, answers_and_ends, ends_with

from tongdai.domain import calls, campaigns, webhooks
from tongdai.domain.campaigns import CampaignConfig, NewContact, RetryRule
from tongdai.kit.clock import SystemClock
from tongdai.ports.telephony import Answered, AnsweredBy, DialRequest, Digit, EndCause, Ended, Ringing

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def endpoint(desk: Desk) -> int:
    return await listen(desk, desk.owner.account_id)


async def listen(desk: Desk, account_id: int) -> int:
    async with desk.db.transaction() as tx:
        made = await webhooks.create_endpoint(
            tx,
            desk.keyring,
            account_id,
            url="https://shop.example.vn/hook",
            format="tongdai",
            events=sorted(webhooks.FORMATS["tongdai"]),
        )
    return made.endpoint.id


async def told(desk: Desk) -> list[dict[str, Any]]:
    """Everything that was written for the endpoint, in the order of the calls and their numbers."""
    found = await rows(
        desk.db,
        """SELECT e.payload FROM webhook_deliveries d JOIN webhook_events e ON e.id = d.event_id
           ORDER BY (e.payload->>'call_id')::bigint, (e.payload->>'seq')::int""",
    )
    return [payload for (payload,) in found]


def presses_one(engine: PlayedEngine, request: DialRequest) -> None:
    engine.tell(Ringing(request.leg_id, 1, 1.0))
    engine.tell(Answered(request.leg_id, 2, 5.0, 5.0, AnsweredBy.HUMAN))
    engine.tell(Digit(request.leg_id, 3, 9.0, "1"))
    engine.tell(Ended(request.leg_id, 4, 13.0, EndCause.NORMAL, 5.0))


async def test_an_ended_attempt_is_told_with_everything_that_is_known_of_it(desk: Desk) -> None:
    campaign = await desk.campaign()
    async with desk.db.transaction() as tx:
        report = await campaigns.import_contacts(
            tx,
            desk.keyring,
            SystemClock(),
            desk.owner.account_id,
            campaign,
            [NewContact("0912345678", {"name": "Lan", "amount": 5, "paid": False})],
        )
    ((_, call),) = report.accepted
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine(presses_one)}):
        await desk.done(call)
    (event,) = await told(desk)
    expected = {
        "type": "attempt.ended",
        "account_id": desk.owner.account_id,
        "campaign_id": campaign,
        "call_id": call,
        "seq": 1,
        "attempt": 1,
        "final": True,
        "outcome": "answered",
        "number": "84912345678",
        "fields": {"name": "Lan", "amount": 5, "paid": False},
        "duration_s": 8,
        "key_presses": "1 (4)",
        "next_attempt_at": None,
    }
    assert {key: event[key] for key in expected} == expected
    assert event["hotline"].startswith("842473")
    assert event["attempt_id"] == (await rows(desk.db, "SELECT id FROM attempts"))[0][0]


async def test_every_attempt_is_told_in_order_and_only_the_last_is_final(desk: Desk) -> None:
    campaign = await desk.campaign(config=CampaignConfig(retries={"no_answer": RetryRule(2, 0)}))
    engine = PlayedEngine(ends_with(EndCause.NO_ANSWER))
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, "0912345678")
        await desk.done(call)
    events = await told(desk)
    assert [(one["seq"], one["attempt"], one["final"]) for one in events] == [
        (1, 1, False),
        (2, 2, False),
        (3, 3, True),
    ]
    assert [one["next_attempt_at"] is None for one in events] == [False, False, True]


async def test_a_refused_call_is_told_once_with_its_rule(desk: Desk) -> None:
    campaign = await desk.campaign(state="paused")
    (call,) = await desk.give(campaign, "0912345678")
    async with desk.db.transaction() as tx:
        await calls.cancel_calls(tx, desk.owner.account_id, now=SystemClock().now(), call_ids=[call])
        await calls.cancel_calls(tx, desk.owner.account_id, now=SystemClock().now(), call_ids=[call])
    (event,) = await told(desk)
    assert (event["type"], event["outcome"], event["final"]) == ("call.refused", "cancelled", True)
    assert (event["hotline"], event["attempt_id"], event["attempt"]) == (None, None, 0)


async def test_a_call_that_goes_over_two_trunks_is_told_once(desk: Desk) -> None:
    trunks = [(await factories.trunk(desk.db, desk.owner.account_id)).id for _ in range(2)]
    hotlines = [
        (await factories.hotline(desk.db, desk.owner.account_id, trunk_id=trunk)).id for trunk in trunks
    ]

    def behave(engine: PlayedEngine, request: DialRequest) -> None:
        if request.trunk_id == trunks[0]:
            engine.tell(Ended(request.leg_id, 1, 0.5, EndCause.CONGESTION, None))
        else:
            answers_and_ends(engine, request)

    campaign = await desk.campaign(hotline_ids=hotlines)
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine(behave)}):
        (call,) = await desk.give(campaign, "0912345678")
        await desk.done(call)
    assert [(one["outcome"], one["seq"]) for one in await told(desk)] == [("answered", 1)]


async def test_nobody_is_told_of_another_accounts_calls(desk: Desk) -> None:
    stranger = (await factories.cast(desk.db, desk.keyring)).stranger
    await listen(desk, stranger.account_id)
    campaign = await desk.campaign()
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}):
        (call,) = await desk.give(campaign, "0912345678")
        await desk.done(call)
    accounts = await rows(desk.db, "SELECT DISTINCT account_id FROM webhook_deliveries")
    assert accounts == [(desk.owner.account_id,)]


async def test_a_code_whose_retry_came_too_late_is_told_as_final(desk: Desk) -> None:
    config = CampaignConfig(retries={"no_answer": RetryRule(1, 3000)}, otp_seconds=3600)
    campaign = await desk.campaign(kind="otp", config=config)
    (call,) = await desk.give(campaign, "0912345678", otp="482915")

    async def told_once() -> bool:
        return len(await told(desk)) == 1

    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine(ends_with(EndCause.NO_ANSWER))}):
        await eventually(told_once)
        await rows(desk.db, "UPDATE calls SET expires_at = now() WHERE id = %s RETURNING 1", call)
        await desk.done(call)
    events = await told(desk)
    assert [(one["seq"], one["outcome"], one["final"]) for one in events] == [
        (1, "no_answer", False),
        (2, "no_answer", True),
    ]


async def test_a_one_time_code_is_in_no_event(desk: Desk) -> None:
    campaign = await desk.campaign(kind="otp")
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine(ends_with(EndCause.BUSY))}):
        (call,) = await desk.give(campaign, "0912345678", otp="482915")
        await desk.done(call)

    async def written() -> list[dict[str, Any]]:
        return await told(desk)

    (event,) = await eventually(written)
    assert "482915" not in str(event)


async def test_what_is_no_number_is_told_as_soon_as_it_is_imported(desk: Desk) -> None:
    campaign = await desk.campaign(state="paused")
    async with desk.db.transaction() as tx:
        await campaigns.import_contacts(
            tx,
            desk.keyring,
            SystemClock(),
            desk.owner.account_id,
            campaign,
            [NewContact("12", {"name": "Lan"}), NewContact("0912345678")],
            keep_invalid=True,
        )
    (event,) = await told(desk)
    assert (event["type"], event["outcome"], event["seq"], event["final"]) == (
        "call.refused",
        "invalid_number",
        1,
        True,
    )
    assert (event["number"], event["number_given"], event["fields"]) == ("", "12", {"name": "Lan"})


async def test_an_import_keeps_no_claim_waiting_while_it_tells_of_its_bad_numbers(desk: Desk) -> None:
    """Of a long list that takes seconds, and a claim that waited for them would hold the caps of others."""
    campaign = await desk.campaign()

    async def give() -> None:
        async with desk.db.transaction() as tx:
            await campaigns.import_contacts(
                tx,
                desk.keyring,
                SystemClock(),
                desk.owner.account_id,
                campaign,
                [NewContact("12")],
                keep_invalid=True,
            )

    telling_waits = desk.locked("LOCK TABLE webhook_deliveries IN EXCLUSIVE MODE")
    async with asyncio.TaskGroup() as tasks, telling_waits:
        tasks.create_task(give())
        await eventually(desk.waiting_for_locks)
        await rows(desk.db, "SELECT FROM campaigns WHERE id = %s FOR NO KEY UPDATE NOWAIT", campaign)
    assert len(await told(desk)) == 1


async def test_what_a_claim_refuses_is_told(desk: Desk) -> None:
    """In one transaction, which waits for what it wrote only at its end."""
    campaign = await desk.campaign()
    await rows(desk.db, "UPDATE hotlines SET network = 'viettel' RETURNING 1")
    given = await desk.give(campaign, "0912345001", "0912345002")
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}):
        for call in given:
            await desk.done(call)
    assert [(event["call_id"], event["type"], event["outcome"]) for event in await told(desk)] == [
        (call, "call.refused", "no_hotline") for call in given
    ]
