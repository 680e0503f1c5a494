"""What may go away and come back: dialers, their connections, engines and the database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import psycopg
import pytest
from tests.desk import Desk
from tests.fakes.dialling import PROMPT, dialing, eventually, rows, until
from tests.fakes.engine import PlayedEngine, answers_and_ends, is_cut_off, silent

from tongdai.domain import dialer, scripts
from tongdai.domain.campaigns import CampaignConfig, RetryRule
from tongdai.kit.db import Database, Tx
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    EndCause,
    Ended,
    EngineBack,
    LegKnowledge,
    LegRef,
    Ringing,
)

pytestmark = pytest.mark.anyio

NO_SWEEPS = replace(PROMPT, sweep_s=600)


class Replaying(PlayedEngine):
    """Asked about a leg, it tells all that happened to it: an answered call, over long ago."""

    async def adopt(self, legs: Sequence[LegRef]) -> dict[int, LegKnowledge]:
        for leg in legs:
            self.tell(Ringing(leg.leg_id, 1, 1.0))
            self.tell(Answered(leg.leg_id, 2, 5.0, 5.0, AnsweredBy.HUMAN))
            self.tell(Ended(leg.leg_id, 3, 13.0, EndCause.NORMAL, 5.0))
        return await super().adopt(legs)


def never_saw() -> PlayedEngine:
    engine = PlayedEngine()
    engine.knows = LegKnowledge.NEVER_SEEN
    return engine


async def test_a_leg_whose_answer_is_unknown_is_never_sent_again(desk: Desk) -> None:
    campaign = await desk.campaign(config=CampaignConfig(ring_seconds=5, max_call_seconds=5))
    engine = PlayedEngine(is_cut_off)
    engine.knows = LegKnowledge.FORGOTTEN
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, "0912345678")
        end = await desk.done(call)
    assert (end["outcome"], len(engine.dialled)) == ("lost", 1)
    assert await desk.live() == []


async def test_an_unknown_leg_keeps_its_channel(desk: Desk) -> None:
    campaign = await desk.campaign(channels=1)
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await desk.give(campaign, "0912345671", "0912345672")

        async def dialled() -> bool:
            return len(engine.dialled) == 1

        await eventually(dialled)
        engine.go_away()

        async def unknown() -> bool:
            return await rows(desk.db, "SELECT state FROM legs WHERE state <> 'ended'") == [("unknown",)]

        await eventually(unknown)
        assert len(await desk.live()) == 4
        engine.come_back()
        await asyncio.sleep(0)
    assert len(engine.dialled) == 1


async def test_a_leg_that_the_engine_never_saw_is_dialled_anew_without_being_counted(desk: Desk) -> None:
    campaign = await desk.campaign()
    engine = PlayedEngine(is_cut_off)
    engine.knows = LegKnowledge.NEVER_SEEN
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, "0912345678")

        async def asked() -> bool:
            return bool(engine.adopted)

        await eventually(asked)
        engine.behave = answers_and_ends
        end = await desk.done(call)
    assert (end["outcome"], end["attempts"]) == ("answered", 1)
    assert len({request.leg_id for request in engine.dialled}) == len(engine.dialled)


async def test_another_dialer_takes_over_what_a_dead_one_was_driving(desk: Desk) -> None:
    campaign = await desk.campaign()
    first = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": first}):
        (call,) = await desk.give(campaign, "0912345678")

        async def dialled() -> bool:
            return bool(first.dialled)

        await eventually(dialled)
    leg = first.dialled[0].leg_id

    second = PlayedEngine()
    second.knows = LegKnowledge.REPLAYED
    async with dialing(desk.db, desk.keyring, {"sandbox": second}):

        async def adopted() -> bool:
            return leg in second.adopted

        await eventually(adopted)
        second.tell(Ringing(leg, 1, 1.0))
        second.tell(Ended(leg, 2, 30.0, EndCause.NO_ANSWER, None))
        end = await desk.done(call)
    assert (end["outcome"], end["attempts"], second.dialled) == ("no_answer", 1, [])
    assert await desk.live() == []


async def test_a_leg_that_an_engine_makes_no_sense_of_stays_unknown_and_is_in_no_other_legs_way(
    desk: Desk,
) -> None:
    campaign = await desk.campaign()
    first = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": first}):
        odd, plain = await desk.give(campaign, "0912345678", "0912345679")
        await until(lambda: len(first.dialled) == 2)
    [(odd_leg,)] = await rows(desk.db, "SELECT id FROM legs WHERE call_id = %s AND state <> 'ended'", odd)

    class Confused(Replaying):
        async def adopt(self, legs: Sequence[LegRef]) -> dict[int, LegKnowledge]:
            self.knows = LegKnowledge.REPLAYED
            return await super().adopt([leg for leg in legs if leg.leg_id != odd_leg])

    async with dialing(desk.db, desk.keyring, {"sandbox": Confused()}):
        assert (await desk.done(plain))["outcome"] == "answered"

        async def unknown() -> bool:
            return (await rows(desk.db, "SELECT state FROM legs WHERE id = %s", odd_leg)) == [("unknown",)]

        await eventually(unknown)


async def test_an_engine_that_talks_no_sense_is_in_no_other_engines_way(desk: Desk) -> None:
    campaign = await desk.campaign()
    first = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": first}):
        odd, plain = await desk.give(campaign, "0912345678", "0912345679")
        await until(lambda: len(first.dialled) == 2)
    await rows(desk.db, "UPDATE legs SET engine = 'odd' WHERE call_id = %s RETURNING id", odd)
    assert len(await rows(desk.db, "SELECT FROM legs WHERE engine = 'odd' AND state <> 'ended'")) == 1

    class Odd(PlayedEngine):
        async def adopt(self, legs: Sequence[LegRef]) -> dict[int, LegKnowledge]:
            raise KeyError("creationtime")

    sane = Replaying()
    sane.knows = LegKnowledge.REPLAYED
    async with dialing(desk.db, desk.keyring, {"odd": Odd(), "sandbox": sane}):
        assert (await desk.done(plain))["outcome"] == "answered"


async def test_legs_of_a_dialer_that_was_cut_off_for_a_moment_and_died_later_are_adopted(desk: Desk) -> None:
    """Another dialer found it dead while it was cut off. That must not be what is known of it for ever."""
    campaign = await desk.campaign()
    engine, witness = PlayedEngine(silent), PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}) as first:
        await until(lambda: first.dialer_id)
        async with dialing(desk.db, desk.keyring, {"sandbox": witness}) as second:
            await until(lambda: second.dialer_id)
            await desk.cut_presence(first.dialer_id)
        (call,) = await desk.give(campaign, "0912345678")
        await until(lambda: engine.dialled)

    heir = never_saw()
    async with dialing(desk.db, desk.keyring, {"sandbox": heir}):
        assert (await desk.done(call))["outcome"] == "answered"
    assert heir.adopted == [request.leg_id for request in engine.dialled]


async def test_a_dialer_whose_presence_is_cut_comes_back_under_a_new_id_and_drives_its_calls_on(
    desk: Desk,
) -> None:
    campaign = await desk.campaign()
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}) as one:
        (call,) = await desk.give(campaign, "0912345678")
        await until(lambda: engine.dialled)
        before = one.dialer_id
        await desk.cut_presence(before)
        await until(lambda: one.dialer_id != before)

        async def inherited() -> bool:
            drivers = await rows(desk.db, "SELECT dialer_id FROM legs WHERE state <> 'ended'")
            return drivers == [(one.dialer_id,)]

        await eventually(inherited)
        answers_and_ends(engine, engine.dialled[0])
        end = await desk.done(call)
        engine.behave = answers_and_ends
        (next_call,) = await desk.give(campaign, "0912345679")
        assert (await desk.done(next_call))["outcome"] == "answered"
    assert (end["outcome"], end["attempts"], len(engine.dialled)) == ("answered", 1, 2)
    assert engine.adopted == []


async def test_an_answered_call_that_is_replayed_after_a_long_outage_is_answered(desk: Desk) -> None:
    """Its absolute limit passed while all dialers were down, but its engine knows how it ended."""
    campaign = await desk.campaign(config=CampaignConfig(redial_lost=True))
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, "0912345678")
        await until(lambda: engine.dialled)
    await rows(
        desk.db,
        """UPDATE legs SET dial_at = dial_at - interval '1 hour',
                  dial_before = dial_before - interval '1 hour',
                  gives_up_at = gives_up_at - interval '1 hour' RETURNING 1""",
    )
    back = Replaying()
    back.knows = LegKnowledge.REPLAYED
    async with dialing(desk.db, desk.keyring, {"sandbox": back}):
        end = await desk.done(call)
    assert (end["outcome"], end["attempts"], end["duration_s"]) == ("answered", 1, 8)
    assert back.dialled == []


async def test_a_failure_while_adopted_legs_are_held_leaves_none_unasked(desk: Desk) -> None:
    one, other = await desk.campaign(), await desk.campaign()
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await desk.give(one, "0912345670")
        await desk.give(other, "0912345671")
        await until(lambda: len(engine.dialled) == 2)
    loads = 0

    async def fails_at_the_second(tx: Tx, account: int, script: int, version: int) -> scripts.Script:
        nonlocal loads
        loads += 1
        if loads == 2:
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return await scripts.load_version(tx, account, script, version)

    heir = never_saw()
    async with dialing(desk.db, desk.keyring, {"sandbox": heir}, load_script=fails_at_the_second):
        await eventually(desk.all_done)
    assert {request.leg_id for request in engine.dialled} <= set(heir.adopted)
    assert await desk.outcomes() == {"answered": 2}


async def test_ends_survive_a_transaction_time_out_and_are_written_later(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    campaign = await desk.campaign()
    engine = PlayedEngine(silent)
    impatient = Database(desk.db.url, max_transaction_s=1.0)
    await impatient.open()
    async with dialing(impatient, desk.keyring, {"sandbox": engine}, NO_SWEEPS):
        (call,) = await desk.give(campaign, "0912345678")
        await until(lambda: engine.dialled)
        async with desk.locked("SELECT FROM limits FOR UPDATE"):
            answers_and_ends(engine, engine.dialled[0])
            await until(lambda: any(record.name.endswith(".writing") for record in caplog.records))
        assert (await desk.done(call))["outcome"] == "answered"
    await impatient.close()
    assert await desk.live() == []


async def test_an_end_that_can_never_be_written_does_not_hold_up_the_others(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """It is given up, and its call ends as one whose end is unknown."""
    campaign = await desk.campaign()
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        given = await desk.give(campaign, *(f"091234567{n}" for n in range(5)))
        await until(lambda: len(engine.dialled) == 5)
        absurd, *others = engine.dialled
        await rows(desk.db, "UPDATE legs SET gives_up_at = now() WHERE id = %s RETURNING 1", absurd.leg_id)
        engine.tell(Answered(absurd.leg_id, 1, 5.0, 5.0, AnsweredBy.HUMAN))
        engine.tell(Ended(absurd.leg_id, 2, 1e12, EndCause.NORMAL, 5.0))
        for request in others:
            answers_and_ends(engine, request)
        for call in given:
            await desk.done(call)
    assert await desk.outcomes() == {"answered": 4, "lost": 1}
    assert await desk.live() == []
    assert "an end cannot be written" in caplog.text


async def test_two_dialers_that_hear_of_the_same_ends_count_them_once(desk: Desk) -> None:
    """The second took the legs over while the first was only slow, so both write every end."""
    campaign = await desk.campaign(config=CampaignConfig(retries={"busy": RetryRule(1, 3600)}))
    engine, other = PlayedEngine(silent), PlayedEngine(silent)
    other.knows = LegKnowledge.REPLAYED
    async with (
        dialing(desk.db, desk.keyring, {"sandbox": engine}, NO_SWEEPS),
        dialing(desk.db, desk.keyring, {"sandbox": other}, replace(PROMPT, max_calls=0)) as second,
    ):
        await desk.give(campaign, *(f"091234567{n}" for n in range(6)))
        await until(lambda: len(engine.dialled) == 6)
        await rows(desk.db, "UPDATE legs SET dialer_id = %s RETURNING 1", second.dialer_id)
        await until(lambda: len(other.adopted) == 6)
        async with desk.locked("SELECT FROM limits FOR UPDATE"):
            for told in (engine, other):
                for number, request in enumerate(engine.dialled):
                    told.tell(Ringing(request.leg_id, 1, 1.0))
                    cause = EndCause.BUSY if number < 2 else EndCause.REJECTED
                    told.tell(Ended(request.leg_id, 2, 9.0, cause, None))

            async def both_write() -> bool:
                return await desk.waiting_for_locks() >= 2

            await eventually(both_write)

        async def ended() -> bool:
            return not await rows(desk.db, "SELECT FROM legs WHERE state <> 'ended'")

        await eventually(ended)
    calls = "SELECT state, attempts, outcome_counts FROM calls ORDER BY state"
    assert await rows(desk.db, calls) == [
        *[("done", 1, {"rejected": 1})] * 4,
        *[("queued", 1, {"busy": 1})] * 2,
    ]
    assert await desk.outcomes() == {"rejected": 4}
    day = "SELECT sum(calls)::int FROM result_counts WHERE scope = 'campaign' AND span_s = 86400"
    assert await rows(desk.db, day) == [(6,)]
    assert await desk.live() == []
    assert await dialer.recount_limits(desk.db) == 0


@pytest.mark.parametrize("claim_s", [0.08, 0.5])
async def test_a_slow_database_still_dials_paced_trunks_and_what_is_given_back_leaves_no_attempt(
    desk: Desk, claim_s: float
) -> None:
    """Every claim takes longer than a paced slot may be late, which the dialer learns from the first."""
    campaign = await desk.campaign(cps=20)
    await desk.slow_down("legs", claim_s)
    engine = PlayedEngine()
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await desk.give(campaign, *(f"091234567{n}" for n in range(5)))
        await eventually(desk.all_done)
    assert len(engine.dialled) == 5
    assert await rows(desk.db, "SELECT DISTINCT attempts FROM calls") == [(1,)]
    (attempts,), (legs,) = await rows(
        desk.db, "SELECT count(*) FROM attempts UNION ALL SELECT count(*) FROM legs"
    )
    assert attempts == 5
    assert legs > 5


async def test_a_dialer_that_is_woken_at_the_moment_it_is_stopped_stops(desk: Desk) -> None:
    """Whichever turn of the event loop the two meet in."""
    campaign = await desk.campaign()

    async def wake(engine: PlayedEngine, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        engine.tell(EngineBack())

    async def idle() -> bool:
        return await desk.reason(campaign) == "nothing_queued"

    for turns in range(12):
        await rows(desk.db, "UPDATE campaigns SET waiting_reason = NULL RETURNING 1")
        engine = PlayedEngine()
        async with dialing(desk.db, desk.keyring, {"sandbox": engine}, replace(NO_SWEEPS, refresh_s=600)):
            await eventually(idle)
            waking = asyncio.create_task(wake(engine, turns))
        await waking
