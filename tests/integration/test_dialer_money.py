"""Who pays for a call, how long it may talk for that, and what is left in the wallet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from tests import factories
from tests.desk import Desk
from tests.fakes.dialling import PROMPT, dialing, eventually, rows, until
from tests.fakes.engine import PlayedEngine, answers_and_ends, ends_with, refuses, silent

from tongdai.domain import billing
from tongdai.domain.billing import NewRate
from tongdai.domain.campaigns import CampaignConfig
from tongdai.kit.clock import SystemClock
from tongdai.ports.telephony import Answered, AnsweredBy, DialRequest, EndCause, Ended, LegKnowledge, Ringing

pytestmark = pytest.mark.anyio

PER_MINUTE = Decimal(600)
"""10 đồng a second, so that a test reads easily; 6 s + 1 s blocks, VAT 10 %, 100 đồng for each answer."""
FIRST_BLOCK = Decimal(66 + 110)
EIGHT_SECONDS = Decimal(88 + 110)

REFUSES = CampaignConfig(on_unpaid="refuse")


def talks(seconds: float) -> Callable[[PlayedEngine, DialRequest], None]:
    def behave(engine: PlayedEngine, request: DialRequest) -> None:
        engine.tell(Ringing(request.leg_id, 1, 1.0))
        engine.tell(Answered(request.leg_id, 2, 5.0, 5.0, AnsweredBy.HUMAN))
        engine.tell(Ended(request.leg_id, 3, 5.0 + seconds, EndCause.NORMAL, 5.0))

    return behave


async def prepaid(desk: Desk, amount: int, *, plan: bool = True, network: str = "*") -> None:
    """A wallet with so many đồng, and a plan with one rate."""
    now = SystemClock().now()
    account_id = desk.owner.account_id
    async with desk.db.transaction() as tx:
        rate = NewRate(
            network=network,
            per_minute=PER_MINUTE,
            valid_from=now - timedelta(days=1),
            per_answer=Decimal(100),
        )
        tariff = await billing.create_tariff(tx, "Tariff of the tests", [rate])
        made = await billing.create_plan(tx, "Plan of the tests", tariff.id)
        await billing.set_billing(tx, account_id, "prepaid")
        if plan:
            await billing.subscribe(tx, account_id, made.id, valid_from=now - timedelta(hours=1))
        if amount:
            await billing.top_up(tx, account_id, Decimal(amount), by="tests", reason="tests", now=now)


Money = Decimal | int


async def wallet(desk: Desk) -> tuple[Money, Money]:
    """(balance, reserved), with the books found in order."""
    async with desk.db.transaction() as tx:
        found = await billing.wallet(tx, desk.owner.account_id)
        audit = await billing.audit(tx, desk.owner.account_id)
    assert audit is not None
    assert audit.agrees
    return found.balance, found.reserved


async def lines(desk: Desk) -> list[tuple[str, Decimal]]:
    found = await rows(desk.db, "SELECT kind, amount FROM ledger WHERE kind <> 'top_up' ORDER BY id")
    return [(kind, amount) for kind, amount in found]


async def test_an_answered_call_is_charged_for_what_it_talked_and_the_rest_is_given_back(desk: Desk) -> None:
    await prepaid(desk, 100_000)
    campaign = await desk.campaign()
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}):
        (call,) = await desk.give(campaign, "0912345678")
        await desk.done(call)
    assert await wallet(desk) == (100_000 - EIGHT_SECONDS, 0)
    assert await lines(desk) == [("postage", Decimal(-88)), ("service_charge", Decimal(-110))]
    charged = await rows(desk.db, "SELECT billable_s, postage, service_charge FROM attempts")
    assert charged == [(8, 88, 110)]


@pytest.mark.parametrize("behave", [ends_with(EndCause.BUSY), ends_with(EndCause.CONGESTION), refuses])
async def test_a_call_that_nobody_answers_costs_nothing(
    desk: Desk, behave: Callable[[PlayedEngine, DialRequest], None]
) -> None:
    await prepaid(desk, 100_000)
    campaign = await desk.campaign()
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine(behave)}):
        (call,) = await desk.give(campaign, "0912345678")
        await desk.done(call)
    assert await wallet(desk) == (100_000, 0)
    assert await lines(desk) == []


async def test_a_live_call_holds_the_price_of_its_time_limit(desk: Desk) -> None:
    await prepaid(desk, 100_000)
    campaign = await desk.campaign(config=CampaignConfig(max_call_seconds=60))
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await desk.give(campaign, "0912345678")
        await until(lambda: engine.dialled)
        assert await wallet(desk) == (100_000, 660 + 110)
        assert engine.dialled[0].max_s == 60


async def test_a_wallet_that_covers_less_than_the_time_limit_gives_the_seconds_that_it_pays_for(
    desk: Desk,
) -> None:
    await prepaid(desk, 300)
    campaign = await desk.campaign()
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await desk.give(campaign, "0912345678")
        await until(lambda: engine.dialled)
    assert engine.dialled[0].max_s == 17  # 110 for the answer, 11 for each second
    assert (await wallet(desk))[1] <= 300


async def test_a_call_that_outlives_its_seconds_costs_no_more_than_it_held(desk: Desk) -> None:
    await prepaid(desk, 300)
    campaign = await desk.campaign()
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine(talks(600))}):
        (call,) = await desk.give(campaign, "0912345678")
        await desk.done(call)
    balance, reserved = await wallet(desk)
    assert (balance, reserved) == (300 - 110 - 11 * 17, 0)


async def test_a_call_whose_first_block_the_wallet_cannot_cover_is_refused_where_asked(desk: Desk) -> None:
    await prepaid(desk, int(FIRST_BLOCK) - 1)
    campaign = await desk.campaign(config=REFUSES)
    engine = PlayedEngine()
    (call,) = await desk.give(campaign, "0912345678")
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        end = await desk.done(call)
    assert (end["outcome"], end["attempts"]) == ("no_funds", 0)
    assert engine.dialled == []


async def test_a_wallet_that_covers_exactly_the_first_block_places_the_call(desk: Desk) -> None:
    await prepaid(desk, int(FIRST_BLOCK))
    campaign = await desk.campaign(config=REFUSES)
    (call,) = await desk.give(campaign, "0912345678")
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine(talks(5))}):
        assert (await desk.done(call))["outcome"] == "answered"
    assert await wallet(desk) == (0, 0)


async def test_a_campaign_with_an_empty_wallet_says_so_and_goes_on_after_a_top_up(desk: Desk) -> None:
    await prepaid(desk, 0)
    campaign = await desk.campaign()
    (call,) = await desk.give(campaign, "0912345678")

    async def says_so() -> bool:
        return await desk.reason(campaign) == "wallet_empty"

    engine = PlayedEngine()
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await eventually(says_so)
        assert (await desk.call(call))["state"] == "queued"
        async with desk.db.transaction() as tx:
            now = SystemClock().now()
            await billing.top_up(
                tx, desk.owner.account_id, Decimal(1000), by="tests", reason="tests", now=now
            )
        assert (await desk.done(call))["outcome"] == "answered"


async def test_without_a_plan_calls_are_refused_where_asked_and_wait_elsewhere(desk: Desk) -> None:
    await prepaid(desk, 100_000, plan=False)
    refusing, waiting = await desk.campaign(config=REFUSES), await desk.campaign()
    (refused,) = await desk.give(refusing, "0912345678")
    (queued,) = await desk.give(waiting, "0987654321")

    async def says_so() -> bool:
        return await desk.reason(waiting) == "plan_expired"

    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}):
        assert (await desk.done(refused))["outcome"] == "plan_expired"
        await eventually(says_so)
    assert (await desk.call(queued))["state"] == "queued"


async def test_a_network_without_a_price_is_not_served(desk: Desk) -> None:
    await prepaid(desk, 100_000, network="viettel")
    campaign = await desk.campaign()
    (call,) = await desk.give(campaign, "0912345678")
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}):
        end = await desk.done(call)
    assert (end["outcome"], end["note"]) == ("network_unsupported", "no_rate")


async def test_calls_wait_for_money_that_calls_now_up_may_give_back(desk: Desk) -> None:
    """The first call holds the whole wallet; the second is not refused, though nothing is left for it now."""
    await prepaid(desk, 500)
    campaign = await desk.campaign(config=REFUSES)
    first, second = await desk.give(campaign, "0912345678", "0987654321")
    engine = PlayedEngine(silent)

    async def waits() -> bool:
        return (await desk.call(second))["deferred_reason"] == "wallet_reserved"

    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await until(lambda: engine.dialled)
        await eventually(waits)
        engine.behave = answers_and_ends
        answers_and_ends(engine, engine.dialled[0])
        await desk.done(first)
        await rows(desk.db, "UPDATE calls SET due_at = now() WHERE state = 'queued' RETURNING 1")
        await desk.hint(campaign)
        assert (await desk.done(second))["outcome"] == "answered"
    assert await wallet(desk) == (500 - 2 * EIGHT_SECONDS, 0)


async def test_two_dialers_never_spend_the_same_money(desk: Desk) -> None:
    """Money for seven calls or so, and forty calls: whatever happens, the wallet does not go below zero."""
    await prepaid(desk, int(EIGHT_SECONDS) * 7)
    campaign = await desk.campaign(config=CampaignConfig(on_unpaid="refuse", max_call_seconds=8), cps=None)
    await desk.backlog(campaign, 40)
    engines = [PlayedEngine(), PlayedEngine()]
    async with (
        dialing(desk.db, desk.keyring, {"sandbox": engines[0]}),
        dialing(desk.db, desk.keyring, {"sandbox": engines[1]}),
    ):

        async def over() -> bool:
            await rows(
                desk.db, "UPDATE calls SET due_at = now() WHERE deferred_reason IS NOT NULL RETURNING 1"
            )
            await desk.hint(campaign)
            return await desk.all_done()

        await eventually(over)
    assert await wallet(desk) == (0, 0)
    assert await desk.outcomes() == {"answered": 7, "no_funds": 33}
    assert sum(len(engine.dialled) for engine in engines) == 7


async def test_a_lost_call_is_charged_for_what_was_heard_of_it_and_holds_nothing_afterwards(
    desk: Desk,
) -> None:
    def answers(engine: PlayedEngine, request: DialRequest) -> None:
        engine.tell(Ringing(request.leg_id, 1, 1.0))
        engine.tell(Answered(request.leg_id, 2, 5.0, 5.0, AnsweredBy.HUMAN))

    await prepaid(desk, 100_000)
    campaign = await desk.campaign()
    engine = PlayedEngine(answers)
    engine.knows = LegKnowledge.FORGOTTEN
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, "0912345678")
        await until(lambda: engine.commanded)
        engine.go_away()
        engine.come_back()
        end = await desk.done(call)
    assert end["outcome"] == "lost"
    assert await wallet(desk) == (100_000 - FIRST_BLOCK, 0)


async def test_an_account_that_is_not_billed_needs_neither_plan_nor_wallet(desk: Desk) -> None:
    campaign = await desk.campaign()
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}):
        (call,) = await desk.give(campaign, "0912345678")
        assert (await desk.done(call))["outcome"] == "answered"
    assert await rows(desk.db, "SELECT FROM ledger") == []


async def test_failover_holds_the_money_once(desk: Desk) -> None:
    trunks = [(await factories.trunk(desk.db, desk.owner.account_id)).id for _ in range(2)]
    hotlines = [
        (await factories.hotline(desk.db, desk.owner.account_id, trunk_id=trunk)).id for trunk in trunks
    ]

    def behave(engine: PlayedEngine, request: DialRequest) -> None:
        if request.trunk_id == trunks[0]:
            engine.tell(Ended(request.leg_id, 1, 0.5, EndCause.CONGESTION, None))
        else:
            answers_and_ends(engine, request)

    await prepaid(desk, 100_000)
    campaign = await desk.campaign(hotline_ids=hotlines)
    (call,) = await desk.give(campaign, "0912345678")
    engine = PlayedEngine(behave)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await desk.done(call)
    assert len(engine.dialled) == 2
    assert await wallet(desk) == (100_000 - EIGHT_SECONDS, 0)


async def test_two_dialers_that_hear_of_the_same_end_charge_it_once(desk: Desk) -> None:
    """The second took the leg over while the first was only slow, so both write its end."""
    await prepaid(desk, 100_000)
    campaign = await desk.campaign()
    engine, other = PlayedEngine(silent), PlayedEngine(silent)
    other.knows = LegKnowledge.REPLAYED
    async with (
        dialing(desk.db, desk.keyring, {"sandbox": engine}, replace(PROMPT, sweep_s=600)),
        dialing(desk.db, desk.keyring, {"sandbox": other}, replace(PROMPT, max_calls=0)) as second,
    ):
        (call,) = await desk.give(campaign, "0912345678")
        await until(lambda: engine.dialled)
        await rows(desk.db, "UPDATE legs SET dialer_id = %s RETURNING 1", second.dialer_id)
        await until(lambda: other.adopted)
        async with desk.locked("SELECT FROM limits FOR UPDATE"):
            for told in (engine, other):
                answers_and_ends(told, engine.dialled[0])

            async def both_write() -> bool:
                return await desk.waiting_for_locks() >= 2

            await eventually(both_write)
        await desk.done(call)
    assert await wallet(desk) == (100_000 - EIGHT_SECONDS, 0)
    assert await lines(desk) == [("postage", Decimal(-88)), ("service_charge", Decimal(-110))]
