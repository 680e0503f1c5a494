"""No campaign, call or person holds up another."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.desk import Desk
from tests.fakes.dialling import PROMPT, dialing, eventually, rows, until
from tests.fakes.engine import PlayedEngine, silent

from tongdai.domain.dialer import DialerConfig
from tongdai.kit.db import Database, Tx
from tongdai.ports.telephony import Answered, AnsweredBy, EndCause, Ended, LegKnowledge

pytestmark = pytest.mark.anyio

ONE_LOOK = replace(PROMPT, refresh_s=600, sweep_s=600, upkeep_s=600, expiry_s=600)
"""What is to be done has to be done without another look at all campaigns."""


class CountingDatabase(Database):
    """Counts the transactions that it was asked for."""

    transactions = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        self.transactions += 1
        async with super().transaction() as tx:
            yield tx


async def everybody_else_is_called(desk: Desk, good: int, bad: int) -> None:
    """The bad campaign is given a call first; all of the good one's are made nevertheless."""
    engine = PlayedEngine()
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await desk.give(bad, "0912345670")
        for number in ("0912345678", "0912345679"):
            (call,) = await desk.give(good, number)
            assert (await desk.done(call))["outcome"] == "answered"
    assert {request.number for request in engine.dialled} - {"0912345670"} == {"0912345678", "0912345679"}


async def test_a_trunk_with_an_absurd_rate_stops_nobody_else(desk: Desk) -> None:
    """The schema refuses it; a cap that came past the schema must not do more harm than to its own trunk."""
    good, bad = await desk.campaign(), await desk.campaign(cps=3)
    async with desk.db.autocommit() as connection:
        await connection.execute("ALTER TABLE limits DROP CONSTRAINT limits_max_cps_check")
    await rows(desk.db, "UPDATE limits SET max_cps = 1e-300 WHERE max_cps = 3 RETURNING 1")
    await everybody_else_is_called(desk, good, bad)


async def test_a_campaign_whose_script_does_not_decode_stops_nobody_else_and_says_so(desk: Desk) -> None:
    good, bad = await desk.campaign(), await desk.campaign()
    await rows(
        desk.db,
        """UPDATE script_versions v SET body = '{"steps": 3}' FROM campaigns c
           WHERE c.id = %s AND v.script_id = c.script_id RETURNING 1""",
        bad,
    )
    await everybody_else_is_called(desk, good, bad)
    assert await desk.reason(bad) == "script_invalid"
    assert not await rows(desk.db, "SELECT FROM legs WHERE campaign_id = %s", bad)


async def test_a_campaign_whose_calls_cannot_be_read_stops_nobody_else(desk: Desk) -> None:
    good, bad = await desk.campaign(), await desk.campaign()
    await desk.give(bad, "0912345671")
    await rows(desk.db, "UPDATE calls SET fields = '[]' RETURNING 1")
    await everybody_else_is_called(desk, good, bad)


async def test_a_campaign_whose_configuration_does_not_decode_stops_nobody_elses_recovery(desk: Desk) -> None:
    """Its own call that is up is driven to its end too."""
    good, bad = await desk.campaign(), await desk.campaign()
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await desk.give(bad, "0912345670")
        (call,) = await desk.give(good, "0912345678")
        await until(lambda: len(engine.dialled) == 2)
    await desk.configure(bad, {"ring_seconds": "x"})
    heir = PlayedEngine()
    heir.knows = LegKnowledge.NEVER_SEEN
    async with dialing(desk.db, desk.keyring, {"sandbox": heir}):
        assert (await desk.done(call))["outcome"] == "answered"

        async def says() -> bool:
            return await desk.reason(bad) == "configuration_invalid"

        await eventually(says)
    assert sorted(heir.adopted) == sorted(request.leg_id for request in engine.dialled)
    assert not await rows(desk.db, "SELECT FROM legs WHERE state <> 'ended'")


async def test_a_call_whose_script_fails_is_hung_up_and_stops_no_other(desk: Desk) -> None:
    """No session can count with a time that is none."""
    campaign = await desk.campaign()
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        given = await desk.give(campaign, "0912345670", "0912345678")
        await until(lambda: len(engine.dialled) == 2)
        failing, well = (request.leg_id for request in engine.dialled)
        for leg_id, ends_at in ((failing, math.nan), (well, 13.0)):
            engine.tell(Answered(leg_id, 1, 5.0, 5.0, AnsweredBy.HUMAN))
            engine.tell(Ended(leg_id, 2, ends_at, EndCause.NORMAL, 5.0))
        for call in given:
            await desk.done(call)
    assert await desk.outcomes() == {"failed": 1, "answered": 1}
    assert engine.hung_up() == [failing]


async def test_each_of_many_campaigns_on_one_trunk_gets_its_calls_dialled(desk: Desk) -> None:
    """A claim that has to wait for the caps of some of them keeps only those waiting that it claims for."""
    first = await desk.campaign(cps=None)
    twins = await desk.twins(first, 300)
    await rows(
        desk.db,
        """INSERT INTO calls (account_id, campaign_id, user_id, number, number_given)
           SELECT account_id, id, user_id, '8491' || lpad(id::text, 7, '0'), '' FROM campaigns
           WHERE id = ANY(%s) RETURNING 1""",
        twins,
    )
    engine = PlayedEngine()
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}, replace(PROMPT, refresh_s=1.0)):
        cap = "SELECT FROM limits WHERE id = (SELECT limit_id FROM campaigns WHERE id = %s) FOR UPDATE"
        async with desk.locked(cap, twins[-1]):
            await until(lambda: len(engine.dialled) >= 100)
        await eventually(desk.all_done)
    assert len(engine.dialled) == 300


async def test_a_code_goes_out_before_the_backlog_that_is_being_claimed(desk: Desk) -> None:
    backlog, codes = await desk.campaign(cps=None), await desk.campaign(kind="otp", cps=None)
    await desk.backlog(backlog, 4000)
    engine = PlayedEngine()
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}, ONE_LOOK):
        await until(lambda: len(engine.dialled) > 200)
        await desk.give(codes, "0987654321", otp="123456")
        await desk.hint(codes)
        before = len(engine.dialled)
        began = asyncio.get_running_loop().time()
        await until(lambda: any(request.number == "0987654321" for request in engine.dialled))
        took_s = asyncio.get_running_loop().time() - began
        place = next(n for n, request in enumerate(engine.dialled) if request.number == "0987654321")
    assert place < 3000
    assert place - before <= 300
    assert took_s < 1.0


async def test_many_calls_of_one_busy_person_do_not_hold_up_those_behind_them(desk: Desk) -> None:
    campaign = await desk.campaign(cps=None)
    await desk.backlog(campaign, 1000, number="84912345678")
    await desk.give(campaign, "0987654321")
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}, ONE_LOOK):
        await until(lambda: len(engine.dialled) == 2)
    assert [request.number for request in engine.dialled] == ["0912345678", "0987654321"]


async def test_hints_for_a_paused_campaign_cause_no_storm_of_looks(desk: Desk) -> None:
    """A second of hints has at most one look in 0.1 s, each with two transactions."""
    campaign = await desk.campaign(state="paused")
    counting = CountingDatabase(desk.db.url)
    await counting.open()
    config = DialerConfig(refresh_s=600, sweep_s=600, upkeep_s=600, expiry_s=600)
    async with dialing(counting, desk.keyring, {"sandbox": PlayedEngine()}, config) as one:
        await until(lambda: one.dialer_id)
        loop = asyncio.get_running_loop()
        began, hints = loop.time(), 0
        while loop.time() < began + 1.0:
            await desk.hint(campaign)
            hints += 1
        took_s = loop.time() - began
    await counting.close()
    assert hints > 100
    assert counting.transactions < 10 + 2 * took_s / 0.1
