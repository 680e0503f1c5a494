"""Calls that cannot go out now do not hold up those behind them, and cost the dialer next to nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from tests import factories
from tests.desk import Desk
from tests.fakes.dialling import PROMPT, dialing, eventually, rows, until
from tests.fakes.engine import PlayedEngine, answers_and_ends, silent
from tests.money import payer, rate

from tongdai.domain import contacts
from tongdai.kit.clock import SystemClock
from tongdai.ports.telephony import DialRequest, EngineTooLateError, LegKnowledge

pytestmark = pytest.mark.anyio

VIETTEL = [f"0981{number:06d}" for number in range(40)]
VINAPHONE = "0912000002"


@pytest.fixture(autouse=True)
async def prefixes(desk: Desk) -> None:
    async with desk.db.transaction() as tx:
        await contacts.load_default_prefixes(tx)


def comes_too_late(engine: PlayedEngine, request: DialRequest) -> None:
    raise EngineTooLateError("too late")


async def line(desk: Desk, network: str, **limit: object) -> int:
    """A hotline on a trunk of its own, with these values in its own cap's row."""
    trunk = await factories.trunk(desk.db, desk.owner.account_id, max_channels=5)
    made = await factories.hotline(desk.db, desk.owner.account_id, network=network, trunk_id=trunk.id)
    for column, value in limit.items():
        await rows(
            desk.db, f"UPDATE limits SET {column} = %s WHERE id = %s RETURNING 1", value, made.limit_id
        )
    return made.id


async def test_a_hotline_whose_day_is_used_up_holds_up_no_call_of_another_network(desk: Desk) -> None:
    campaign = await desk.campaign(
        hotline_ids=[await line(desk, "viettel", daily_cap=0), await line(desk, "vinaphone")]
    )
    *waiting, called = await desk.give(campaign, *VIETTEL, VINAPHONE)
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}):
        assert (await desk.done(called))["outcome"] == "answered"
    assert (await desk.call(waiting[0]))["deferred_reason"] == "daily_cap_reached"


async def test_a_hotline_that_cools_down_holds_up_no_call_of_another_network(desk: Desk) -> None:
    until_at = SystemClock().now() + timedelta(hours=1)
    campaign = await desk.campaign(
        hotline_ids=[await line(desk, "viettel", cooling_until=until_at), await line(desk, "vinaphone")]
    )
    *waiting, called = await desk.give(campaign, *VIETTEL, VINAPHONE)
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}):
        assert (await desk.done(called))["outcome"] == "answered"
    assert (await desk.call(waiting[0]))["deferred_reason"] == "trunks_cooling"


async def test_a_full_hotline_holds_up_no_call_of_another_network(desk: Desk) -> None:
    campaign = await desk.campaign(
        hotline_ids=[await line(desk, "viettel", max_channels=1), await line(desk, "vinaphone")]
    )
    await desk.give(campaign, *VIETTEL, VINAPHONE)
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await until(lambda: VINAPHONE in [request.number for request in engine.dialled])


async def test_calls_that_nobody_can_pay_for_are_not_gone_through_at_full_speed(desk: Desk) -> None:
    """Calls to another network cost nothing, so that the wallet never counts as empty."""
    free = rate("vinaphone", per_minute=0, per_answer=Decimal(0), per_attempt=Decimal(0))
    await payer(desk.db, desk.owner.account_id, 10, rates=[rate(per_minute=600), free])
    poor, other = await desk.campaign(), await desk.campaign(cps=None)
    await desk.backlog(poor, 3000)

    async def deferred() -> int:
        found = await rows(desk.db, "SELECT count(*) FROM calls WHERE deferred_reason = 'wallet_empty'")
        return int(found[0][0])

    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}, replace(PROMPT, refresh_s=60)):
        await eventually(deferred)
        counted = []
        for number in range(5):  # by the first the dialer is settled, and looks around no more
            (called,) = await desk.give(other, f"0912{number:06d}")
            await desk.hint(other)
            await desk.done(called)
            counted.append(await deferred())
    assert 0 < counted[0] == counted[-1] < 100


async def test_calls_that_were_looked_past_are_dialled_in_their_order_once_a_line_is_free(desk: Desk) -> None:
    one = await line(desk, "viettel", max_channels=1)
    campaign = await desk.campaign(hotline_ids=[one, await line(desk, "vinaphone")])
    ids = await desk.give(campaign, *VIETTEL, VINAPHONE)
    engine = PlayedEngine()
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        for call in ids:
            await desk.done(call)
    dialled = [request.number for request in engine.dialled if request.number != VINAPHONE]
    assert dialled == VIETTEL


async def test_an_engine_to_which_every_call_comes_too_late_is_left_alone_for_a_while(desk: Desk) -> None:
    """Its calls come back to the front of their queue each time, and nothing else would slow that down."""
    campaign = await desk.campaign(cps=None)
    await desk.backlog(campaign, 300)
    (last,) = await desk.give(campaign, VINAPHONE)
    engine = PlayedEngine(comes_too_late)

    async def says_so() -> bool:
        return await desk.reason(campaign) == "engine_unreachable"

    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await eventually(says_so)
        engine.behave = answers_and_ends
        assert (await desk.done(last))["attempts"] == 1


async def test_a_call_of_yesterday_that_was_never_sent_gives_nothing_back_of_today(desk: Desk) -> None:
    campaign = await desk.campaign(channels=1)
    await desk.give(campaign, VINAPHONE)
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await until(lambda: engine.dialled)
    await rows(desk.db, "UPDATE legs SET dial_at = dial_at - interval '1 day' RETURNING 1")
    await rows(desk.db, "UPDATE limits SET used = 7, max_channels = 0 WHERE used > 0 RETURNING 1")
    heir = PlayedEngine(silent)
    heir.knows = LegKnowledge.NEVER_SEEN

    async def given_back() -> bool:
        return await rows(desk.db, "SELECT FROM legs WHERE state <> 'ended'") == []

    async with dialing(desk.db, desk.keyring, {"sandbox": heir}):
        await eventually(given_back)
    assert set(await rows(desk.db, "SELECT used FROM limits WHERE used_on IS NOT NULL")) == {(7,)}
