"""The dialer on the real database, with an engine that each test plays."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from tests.desk import Desk
from tests.fakes.dialling import dialing, eventually, rows
from tests.fakes.engine import PlayedEngine, answers_and_ends, ends_with, refuses, silent

from tongdai.domain import campaigns
from tongdai.domain.campaigns import CampaignConfig, RetryRule
from tongdai.domain.dialer import driver
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    DialRequest,
    Digit,
    EndCause,
    EngineTooLateError,
    LegKnowledge,
)

pytestmark = pytest.mark.anyio


class TooLateOnce(PlayedEngine):
    """The first request reaches it after its last moment; it refuses that, and takes the next."""

    async def originate(self, request: DialRequest) -> None:
        if self.dialled or self.refused:
            return await super().originate(request)
        self.refused.append(request)
        await asyncio.sleep((request.dial_before - datetime.now(UTC)).total_seconds() + 0.01)
        raise EngineTooLateError("too late")

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[DialRequest] = []


async def test_an_imported_contact_is_called_and_its_end_is_written(desk: Desk) -> None:
    campaign = await desk.campaign()
    engine = PlayedEngine()
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, "0912345678")
        end = await desk.done(call)
    assert (end["outcome"], end["attempts"], end["duration_s"]) == ("answered", 1, 8)
    assert [request.number for request in engine.dialled] == ["0912345678"]
    assert await desk.live() == []


async def test_what_arrives_while_the_campaign_runs_dry_is_called_too(desk: Desk) -> None:
    campaign = await desk.campaign()
    engine = PlayedEngine()
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        for number in ("0912345671", "0912345672", "0912345673"):
            (call,) = await desk.give(campaign, number)
            await desk.done(call)
    assert len(engine.dialled) == 3


async def test_a_campaign_that_takes_no_imports_finishes_when_all_is_done(desk: Desk) -> None:
    campaign = await desk.campaign(takes_imports=False)
    await desk.give(campaign, "0912345671", "0912345672")

    async def finished() -> bool:
        found = await rows(desk.db, "SELECT state FROM campaigns WHERE id = %s", campaign)
        return found == [("finished",)]

    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}):
        await eventually(finished)


async def test_a_declined_call_is_not_redialled(desk: Desk) -> None:
    rules = {"no_answer": RetryRule(5, 0), "busy": RetryRule(5, 0)}
    campaign = await desk.campaign(config=CampaignConfig(retries=rules))
    engine = PlayedEngine(ends_with(EndCause.REJECTED))
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, "0912345678")
        end = await desk.done(call)
    assert (end["outcome"], end["attempts"], len(engine.dialled)) == ("rejected", 1, 1)


async def test_retries_follow_the_rule_of_their_outcome_and_end(desk: Desk) -> None:
    campaign = await desk.campaign(config=CampaignConfig(retries={"busy": RetryRule(2, 0)}))
    engine = PlayedEngine(ends_with(EndCause.BUSY))
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, "0912345678")
        end = await desk.done(call)
    assert (end["outcome"], end["attempts"], len(engine.dialled)) == ("busy", 3, 3)
    assert len({request.leg_id for request in engine.dialled}) == 3


async def test_a_retry_is_never_early(desk: Desk) -> None:
    campaign = await desk.campaign(config=CampaignConfig(retries={"busy": RetryRule(1, 3600)}))
    engine = PlayedEngine(ends_with(EndCause.BUSY))

    async def waits() -> bool:
        return await desk.reason(campaign) == "next_call_later"

    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, "0912345678")
        await eventually(waits)
        waiting = await desk.call(call)
    assert (waiting["state"], waiting["outcome"], len(engine.dialled)) == ("queued", "busy", 1)


async def test_a_slot_that_was_missed_is_given_back_and_does_not_count(desk: Desk) -> None:
    campaign = await desk.campaign()
    engine = TooLateOnce()
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, "0912345678")
        end = await desk.done(call)
    assert (end["outcome"], end["attempts"], len(engine.dialled)) == ("answered", 1, 1)
    assert engine.refused[0].leg_id != engine.dialled[0].leg_id
    assert await desk.live() == []


async def test_an_engine_is_told_until_when_to_dial_by_the_clock_of_its_own_host(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is 40 seconds ahead of the database's here, and every call would come too late."""
    monkeypatch.setattr(driver, "time", SimpleNamespace(time=lambda: time.time() + 40))
    campaign = await desk.campaign()
    engine = PlayedEngine()
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, "0912345678")
        await desk.done(call)
    ahead = engine.dialled[0].dial_before - datetime.now(UTC)
    assert 35 < ahead.total_seconds() < 46


async def test_a_refused_originate_is_our_fault_and_final(desk: Desk) -> None:
    campaign = await desk.campaign()
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine(refuses)}):
        (call,) = await desk.give(campaign, "0912345678")
        end = await desk.done(call)
    assert end["outcome"] == "failed"


async def test_one_person_has_one_call_at_a_time_over_all_campaigns(desk: Desk) -> None:
    one, other = await desk.campaign(), await desk.campaign()
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await desk.give(one, "0912345678")

        async def dialled() -> bool:
            return bool(engine.dialled)

        await eventually(dialled)
        (second,) = await desk.give(other, "+84 912 345 678")

        async def deferred() -> bool:
            return (await desk.call(second))["deferred_reason"] == "person_busy"

        await eventually(deferred)
    assert len(engine.dialled) == 1


async def test_a_person_who_opted_out_is_not_called_by_any_campaign(desk: Desk) -> None:
    campaign = await desk.campaign()
    opted_out = "INSERT INTO persons (account_id, number, opted_out_at) VALUES (%s, %s, now()) RETURNING 1"
    await rows(desk.db, opted_out, desk.owner.account_id, "84912345678")
    engine = PlayedEngine()
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, "0912345678")
        end = await desk.done(call)
    assert (end["outcome"], end["note"], engine.dialled) == ("blocked", "opted_out", [])


async def test_a_paused_campaign_keeps_what_it_is_given(desk: Desk) -> None:
    campaign = await desk.campaign(state="paused")
    other = await desk.campaign()
    engine = PlayedEngine()
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (kept,) = await desk.give(campaign, "0912345678")
        (called,) = await desk.give(other, "0912345679")
        await desk.done(called)
        assert (await desk.call(kept))["state"] == "queued"
        async with desk.db.transaction() as tx:
            await campaigns.resume_campaign(tx, desk.owner.caller, campaign)
        await desk.done(kept)
    assert len(engine.dialled) == 2


async def test_a_code_that_could_not_be_dialled_in_time_is_told_as_expired(desk: Desk) -> None:
    """The trunk has no channel, so the code waits; then it is final and the secret is gone."""
    campaign = await desk.campaign(kind="otp", channels=0, config=CampaignConfig(otp_seconds=5))
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}):
        (call,) = await desk.give(campaign, "0912345678", otp="123456")
        await rows(desk.db, "UPDATE calls SET expires_at = now() WHERE id = %s RETURNING 1", call)
        end = await desk.done(call)
    assert (end["outcome"], end["secret"]) == ("expired", None)


async def test_a_code_is_sealed_until_the_call_and_wiped_after_it(desk: Desk) -> None:
    campaign = await desk.campaign(kind="otp")
    engine = PlayedEngine(silent)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, "0912345678", otp="123456")
        sealed = (await desk.call(call))["secret"]
        assert sealed
        assert b"123456" not in bytes(sealed)  # type: ignore[call-overload]

        async def dialled() -> bool:
            return bool(engine.dialled)

        await eventually(dialled)
        answers_and_ends(engine, engine.dialled[0])
        end = await desk.done(call)
    assert (end["outcome"], end["secret"]) == ("answered", None)


async def test_two_dialers_never_exceed_the_channels_of_a_trunk(desk: Desk) -> None:
    campaign = await desk.campaign(channels=3)
    engine, other = PlayedEngine(silent), PlayedEngine(silent)
    async with (
        dialing(desk.db, desk.keyring, {"sandbox": engine}),
        dialing(desk.db, desk.keyring, {"sandbox": other}),
    ):
        await desk.give(campaign, *(f"09123456{n:02d}" for n in range(20)))

        async def full() -> bool:
            return len(engine.dialled) + len(other.dialled) == 3

        await eventually(full)
        for one in (engine, other):
            for request in one.dialled:
                answers_and_ends(one, request)

        async def refilled() -> bool:
            return len(engine.dialled) + len(other.dialled) == 6

        await eventually(refilled)


async def test_what_was_heard_of_a_lost_call_is_kept(desk: Desk) -> None:
    """Answered, and a key pressed; then the engine restarts and has forgotten the call."""
    campaign = await desk.campaign(config=CampaignConfig(redial_lost=True))
    engine = PlayedEngine(silent)
    engine.knows = LegKnowledge.FORGOTTEN
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, "0912345678")

        async def dialled() -> bool:
            return bool(engine.dialled)

        await eventually(dialled)
        leg = engine.dialled[0].leg_id
        engine.tell(Answered(leg, 1, 4.0, 4.0, AnsweredBy.HUMAN))
        engine.tell(Digit(leg, 2, 9.0, "1"))
        engine.go_away()
        engine.come_back()
        end = await desk.done(call)
    assert (end["outcome"], end["duration_s"], end["key_press"]) == ("lost", 5, "1 (5)")
    assert len(engine.dialled) == 1, "a person who was reached is not rung again"
