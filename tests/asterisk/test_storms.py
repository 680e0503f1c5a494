"""Many real calls at once while Asterisk dies, the network is cut and dialers compete, seen by far ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest
from tests import factories
from tests.desk import Desk
from tests.fakes.asterisk import AsteriskInstance, asterisk_instance
from tests.fakes.dialling import eventually, rows
from tests.fakes.real_desk import MENU, SHORT, RealDesk
from tests.fakes.sipp import SippPhone

from tongdai.adapters.sandbox.log import Line, most_channels
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk]

CALLS = 200
UP = 50
"""Calls that are up when something happens to them all."""
FINAL = {"answered", "lost"}


@pytest.fixture(autouse=True)
def healthy(asterisk: AsteriskInstance) -> Iterator[None]:
    """Whatever became of a test, the next one has an Asterisk that can be reached, without calls."""
    yield
    asterisk.heal()
    asterisk.cli("channel request hangup all")


@pytest.fixture
async def desk(db: Database, keyring: Keyring) -> Desk:
    return Desk(db, keyring, (await factories.cast(db, keyring)).owner)


@asynccontextmanager
async def shop(desk: Desk, *nodes: AsteriskInstance) -> AsyncIterator[RealDesk]:
    with SippPhone(kinds=("001",)) as phone:
        yield RealDesk(desk, phone, *nodes)


async def ends(desk: Desk) -> Counter[str]:
    return Counter(dict(await rows(desk.db, "SELECT outcome, count(*) FROM calls GROUP BY 1")))


async def all_done(desk: Desk, calls: Sequence[int]) -> None:
    async def look() -> bool:
        left = "SELECT count(*) FROM calls WHERE state <> 'done' AND id = ANY(%s)"
        return await rows(desk.db, left, list(calls)) == [(0,)]

    try:
        await eventually(look, 90.0)
    except AssertionError:
        pytest.fail(f"calls are left: {await what_is_left(desk)}")


async def what_is_left(desk: Desk) -> list[tuple[object, ...]]:
    """How many calls are in which state, with what their last legs are in, and how long those may be yet."""
    return await rows(
        desk.db,
        """SELECT calls.state, leg.state, count(*), min(leg.gives_up_at - now())::text
             FROM calls LEFT JOIN attempts ON attempts.call_id = calls.id
             LEFT JOIN LATERAL (SELECT state, gives_up_at FROM legs WHERE attempt_id = attempts.id
                                ORDER BY id DESC LIMIT 1) AS leg ON true
            WHERE calls.state <> 'done' GROUP BY 1, 2""",
    )


async def calls_up(phone: SippPhone) -> None:
    """Until so many have answered and not hung up."""

    async def look() -> bool:
        seen = Counter(line.event for line in phone.lines())
        return seen["ANSWER"] - seen["BYE"] >= UP

    await eventually(look, 60.0)


def without_the_dead(lines: Sequence[Line], died_at: float) -> list[Line]:
    """The far end's log, in which the calls of an Asterisk that died end with it: nobody told the phones."""
    ended = {line.leg for line in lines if line.event in ("BYE", "CANCEL", "REJECT")}
    dead = {line.leg: line for line in lines if line.mono < died_at and line.leg not in ended}
    ends = [
        Line(line.ts, died_at, "BYE", leg=line.leg, trunk=line.trunk, number=line.number)
        for line in dead.values()
    ]
    return sorted([*lines, *ends], key=lambda line: line.mono)


async def test_an_asterisk_that_is_killed_rings_nobody_twice_and_takes_new_calls_when_it_is_back(
    desk: Desk, asterisk: AsteriskInstance
) -> None:
    async with shop(desk, asterisk) as real:
        campaign = await real.campaign(MENU, channels=100, cps=100)
        async with real.dialing():
            calls = await real.give(campaign, CALLS)
            await calls_up(real.phone)
            asterisk.kill()
            died_at = real.phone.lines()[-1].mono
            asterisk.start()
            await all_done(desk, calls)
            more = await real.give(campaign, 10, first=5_000)
            await all_done(desk, more)
        lines = real.phone.lines()
    assert real.phone.invited_more_than_once() == {}
    assert most_channels(without_the_dead(lines, died_at))[1] <= 100
    assert set(await ends(desk)) <= FINAL
    assert (await ends(desk))["lost"] < CALLS
    assert [(await desk.call(call))["outcome"] for call in more] == ["answered"] * 10
    assert await desk.live() == []


@pytest.mark.parametrize("refused", [False, True], ids=["silently", "with resets"])
async def test_a_network_that_is_cut_loses_no_call_that_asterisk_still_has(
    desk: Desk, asterisk: AsteriskInstance, refused: bool
) -> None:
    async with shop(desk, asterisk) as real:
        campaign = await real.campaign(MENU, channels=100, cps=100)
        async with real.dialing():
            calls = await real.give(campaign, CALLS)
            await calls_up(real.phone)
            asterisk.cut(refuse=refused)

            async def unknown() -> bool:
                found = await rows(desk.db, "SELECT count(*) FROM legs WHERE state = 'unknown'")
                return bool(found[0][0] >= UP * 2 // 3)

            await eventually(unknown, 30.0)
            asterisk.heal()
            await all_done(desk, calls)
            more = await real.give(campaign, 10, first=5_000)
            await all_done(desk, more)
    assert real.phone.invited_more_than_once() == {}
    assert real.phone.most_channels() <= 100
    assert set(await ends(desk)) <= FINAL
    assert (await ends(desk))["lost"] <= CALLS // 10
    assert [(await desk.call(call))["outcome"] for call in more] == ["answered"] * 10
    assert await desk.live() == []


async def test_three_dialers_and_two_nodes_never_exceed_the_caps_of_one_trunk(
    desk: Desk, asterisk: AsteriskInstance
) -> None:
    with asterisk_instance(node_id=2) as second:
        async with shop(desk, asterisk, second) as real:
            campaign = await real.campaign(MENU, channels=30, cps=10)
            async with real.dialing(dialers=3):
                calls = await real.give(campaign, 90)
                await all_done(desk, calls)
    assert real.phone.most_in_any_second() <= 10
    assert real.phone.most_channels() <= 30
    assert real.phone.invited_more_than_once() == {}
    assert await ends(desk) == {"answered": 90}
    engines = await rows(desk.db, "SELECT engine, count(*) FROM legs GROUP BY 1")
    assert len(engines) == 2
    assert min(number for _, number in engines) >= 20


async def test_a_short_campaign_over_two_nodes_reaches_everybody_once(
    desk: Desk, asterisk: AsteriskInstance
) -> None:
    async with shop(desk, asterisk) as real:
        campaign = await real.campaign(SHORT, channels=50, cps=50)
        async with real.dialing(dialers=2):
            calls = await real.give(campaign, 60)
            await all_done(desk, calls)
    assert len({line.number for line in real.phone.lines() if line.event == "ANSWER"}) == 60
    assert real.phone.invited_more_than_once() == {}
    assert real.phone.most_channels() <= 50
