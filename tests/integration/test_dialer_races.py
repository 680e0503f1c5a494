"""What happens while something else does: claims, imports, pauses, cancelling, counting."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.desk import Desk
from tests.fakes.dialling import PROMPT, dialing, eventually, rows, until
from tests.fakes.engine import PlayedEngine, answers_and_ends, ends_with, silent

from tongdai.domain import calls, campaigns, dialer
from tongdai.domain.campaigns import CampaignConfig, NewContact, RetryRule
from tongdai.kit.clock import SystemClock
from tongdai.ports.telephony import EndCause

pytestmark = pytest.mark.anyio

MARGIN = timedelta(seconds=10)
"""How far behind the clock a floor stays (ARCHITECTURE section 5)."""


async def cancel(desk: Desk, call_ids: Sequence[int]) -> list[int]:
    async with desk.db.transaction() as tx:
        return await calls.cancel_calls(tx, desk.owner.account_id, now=datetime.now(UTC), call_ids=call_ids)


async def test_the_counts_of_the_caps_agree_with_the_open_legs(desk: Desk) -> None:
    campaign = await desk.campaign()
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await desk.give(campaign, "0912345671", "0912345672")

        async def dialled() -> bool:
            return len(engine.dialled) == 2

        await eventually(dialled)
    assert await dialer.recount_limits(desk.db) == 0
    await rows(desk.db, "UPDATE limits SET live = live + 1 WHERE kind = 'trunk' RETURNING 1")
    assert await dialer.recount_limits(desk.db) == 1
    assert await dialer.recount_limits(desk.db) == 0


async def test_a_call_below_its_campaigns_floor_is_found_again(desk: Desk) -> None:
    campaign = await desk.campaign()
    (call,) = await desk.give(campaign, "0912345678")
    await rows(desk.db, "UPDATE calls SET due_at = now() - interval '1 hour' WHERE id = %s RETURNING 1", call)
    await rows(
        desk.db,
        "UPDATE campaigns SET floor_at = now() - interval '1 minute' WHERE id = %s RETURNING 1",
        campaign,
    )
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}, replace(PROMPT, upkeep_s=0.1)):
        assert (await desk.done(call))["outcome"] == "answered"


async def test_a_claim_that_waits_for_a_bulk_import_does_not_pass_over_it(desk: Desk) -> None:
    """The import holds the campaign's row while it commits; the claim sees its calls once it has the row."""
    campaign = await desk.campaign()
    engine = PlayedEngine()
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}, replace(PROMPT, upkeep_s=600)):
        async with desk.db.transaction() as tx:
            report = await campaigns.import_contacts(
                tx,
                desk.keyring,
                SystemClock(),
                desk.owner.account_id,
                campaign,
                [NewContact(f"0912{number:06d}", {}) for number in range(100)],
            )
            (first,) = await desk.give_past_locks(campaign)
            await eventually(desk.claim_waits)
        for call_id in [first, *(call_id for _, call_id in report.accepted)]:
            await desk.done(call_id)


async def test_the_floor_follows_single_imports_and_stays_behind_the_clock(desk: Desk) -> None:
    campaign = await desk.campaign()
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}, replace(PROMPT, upkeep_s=600)):
        for number in ("0912345671", "0912345672", "0912345673"):
            (call,) = await desk.give(campaign, number)
            await desk.done(call)
        age = await desk.floor_age(campaign)
    assert MARGIN <= age < MARGIN + timedelta(seconds=10)


async def test_the_floor_does_not_pass_over_due_calls_that_found_no_room(desk: Desk) -> None:
    """They were due long ago, so nothing but themselves keeps the floor down."""
    campaign = await desk.campaign(channels=1, cps=None)
    given = await desk.give(campaign, "0912345671", "0912345672", "0912345673")
    await rows(desk.db, "UPDATE calls SET due_at = due_at - interval '1 hour' RETURNING 1")
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}, replace(PROMPT, upkeep_s=600)):
        for call in given:
            await until(lambda: engine.dialled)
            assert await desk.floor_age(campaign) > timedelta(minutes=59)
            answers_and_ends(engine, engine.dialled.pop())
            await desk.done(call)

        async def moved() -> bool:
            return await desk.floor_age(campaign) < timedelta(minutes=1)

        await desk.give(campaign, "0912345674")
        await eventually(moved)


async def test_a_call_below_a_floor_that_followed_the_claims_is_found_again(desk: Desk) -> None:
    campaign = await desk.campaign()
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}, replace(PROMPT, upkeep_s=0.5)):
        (first,) = await desk.give(campaign, "0912345671")
        await desk.done(first)
        assert await desk.floor_age(campaign) < timedelta(minutes=1)
        (below,) = await desk.give_past_locks(campaign)
        await rows(
            desk.db, "UPDATE calls SET due_at = due_at - interval '1 hour' WHERE id = %s RETURNING 1", below
        )
        assert (await desk.done(below))["outcome"] == "answered"


async def test_recounting_while_a_claim_commits_corrupts_no_cap(desk: Desk) -> None:
    """The recount waits for the claim's locks, and must count the legs that were committed meanwhile."""
    campaign = await desk.campaign(channels=3, cps=None)
    await desk.slow_down("legs", 0.5)
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}, replace(PROMPT, sweep_s=600)):
        await desk.give(campaign, "0912345671", "0912345672")
        await eventually(desk.is_slow)
        recount = asyncio.create_task(dialer.recount_limits(desk.db))
        await eventually(desk.waiting_for_locks)
        assert await recount == 0
        await until(lambda: len(engine.dialled) == 2)
        assert await desk.live() == [2, 2, 2, 2]
    assert await dialer.recount_limits(desk.db) == 0


async def test_a_code_whose_retry_would_come_after_its_time_keeps_its_last_outcome(desk: Desk) -> None:
    rules = {"no_answer": RetryRule(times=1, after_seconds=60)}
    campaign = await desk.campaign(kind="otp", config=CampaignConfig(otp_seconds=30, retries=rules))
    engine = PlayedEngine(ends_with(EndCause.NO_ANSWER))
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, "0912345678", otp="123456")
        end = await desk.done(call)
    assert (end["outcome"], end["attempts"], end["secret"]) == ("no_answer", 1, None)
    assert await desk.outcomes() == {"no_answer": 1}


async def test_looking_around_and_claiming_do_not_deadlock(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Codes expire and persons who opted out are refused at once, by two dialers, while the reason to wait
    always changes and the counters are slow."""
    campaign = await desk.campaign(cps=None)
    async with desk.db.autocommit() as connection:
        await connection.execute(
            """CREATE FUNCTION restless() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN NEW.waiting_reason = gen_random_uuid()::text; RETURN NEW; END $$;
               CREATE TRIGGER restless BEFORE UPDATE OF waiting_reason ON campaigns
               FOR EACH ROW EXECUTE FUNCTION restless()"""
        )
    await rows(desk.db, "UPDATE campaigns SET waiting_reason = '' RETURNING 1")
    await desk.slow_down("result_counts", 0.1)
    persons = [f"84912{number:06d}" for number in range(40)]
    await rows(
        desk.db,
        """INSERT INTO persons (account_id, number, opted_out_at)
           SELECT %s, unnest(%s::text[]), now() RETURNING 1""",
        desk.owner.account_id,
        persons,
    )
    engine = {"sandbox": PlayedEngine()}
    async with dialing(desk.db, desk.keyring, engine), dialing(desk.db, desk.keyring, engine):
        for start in range(0, 40, 4):
            given = await desk.give(campaign, *persons[start : start + 4])
            expired = (
                "UPDATE calls SET expires_at = now() WHERE id = ANY(%s) AND state = 'queued' RETURNING 1"
            )
            await rows(desk.db, expired, given[:2])
        await eventually(desk.all_done)
    ended = await desk.outcomes()
    assert sum(ended.values()) == 40
    assert ended.keys() == {"blocked", "expired"}
    assert "deadlock" not in caplog.text


async def test_a_call_that_is_being_dialled_is_not_cancelled(desk: Desk) -> None:
    campaign = await desk.campaign()
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, "0912345678")
        await until(lambda: engine.dialled)
        assert await cancel(desk, [call]) == []
        assert (await desk.call(call))["state"] == "dialing"
        answers_and_ends(engine, engine.dialled[0])
        assert (await desk.done(call))["outcome"] == "answered"
    assert await desk.outcomes() == {"answered": 1}


async def test_a_call_is_cancelled_or_dialled_and_never_both(desk: Desk) -> None:
    campaign = await desk.campaign(cps=200)
    given = await desk.give(campaign, *(f"0912{n:06d}" for n in range(200)))
    engine = PlayedEngine()
    cancelled: list[int] = []
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await until(lambda: engine.dialled)
        for start in range(180, -1, -20):
            cancelled += await cancel(desk, given[start : start + 20])
        await eventually(desk.all_done)
    of_calls = "SELECT id, outcome, attempts FROM calls ORDER BY id"
    assert await rows(desk.db, of_calls) == [
        (call, "cancelled", 0) if call in cancelled else (call, "answered", 1) for call in given
    ]
    assert 0 < len(cancelled) == 200 - len(engine.dialled)
    assert await desk.outcomes() == {"answered": len(engine.dialled), "cancelled": len(cancelled)}


async def test_nothing_is_claimed_after_a_pause_that_came_during_a_claim(desk: Desk) -> None:
    campaign, other = await desk.campaign(cps=None), await desk.campaign(cps=None)
    await desk.slow_down("legs", 0.3)
    await desk.backlog(campaign, 500)
    engine = PlayedEngine()
    legs = "SELECT count(*) FROM legs WHERE campaign_id = %s"
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await eventually(desk.is_slow)
        async with desk.db.transaction() as tx:
            await campaigns.pause_campaign(tx, desk.owner.caller, campaign)
        ((paused_at,),) = await rows(desk.db, legs, campaign)
        (call,) = await desk.give(other, "0987654321")
        await desk.done(call)
        assert await rows(desk.db, legs, campaign) == [(paused_at,)]
    assert 0 < paused_at < 500
    assert len(engine.dialled) == paused_at + 1


async def test_a_floor_may_stay_where_it_is_while_few_calls_are_claimed(desk: Desk) -> None:
    """It costs a statement, and keeps nobody from a call."""
    campaign = await desk.campaign()
    rarely = replace(PROMPT, upkeep_s=600, rules=replace(PROMPT.rules, floors_apart=timedelta(hours=1)))
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}, rarely):
        (first,) = await desk.give(campaign, "0912345671")
        await desk.done(first)
        floor = await rows(desk.db, "SELECT floor_at, floor_id FROM campaigns WHERE id = %s", campaign)
        (second,) = await desk.give(campaign, "0912345672")
        await desk.done(second)
        assert (
            await rows(desk.db, "SELECT floor_at, floor_id FROM campaigns WHERE id = %s", campaign) == floor
        )
        await desk.give(campaign, *(f"0913{number:06d}" for number in range(120)))
        (last,) = await desk.give(campaign, "0912345673")
        await desk.done(last)

        async def moved() -> bool:
            return (
                await rows(desk.db, "SELECT floor_at, floor_id FROM campaigns WHERE id = %s", campaign)
                != floor
            )

        await desk.give(campaign, "0912345674")
        await eventually(moved)
