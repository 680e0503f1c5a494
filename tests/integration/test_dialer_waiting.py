"""A campaign that dials nobody says why, on the real database."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from tests.desk import Desk
from tests.fakes.dialling import dialing, eventually
from tests.fakes.engine import PlayedEngine

from tongdai.domain.campaigns import CampaignConfig
from tongdai.domain.compliance import Schedule, Window
from tongdai.kit.clock import VIETNAM

pytestmark = pytest.mark.anyio

YESTERDAY = datetime.now(VIETNAM).date() - timedelta(days=1)
TOMORROW = datetime.now(VIETNAM).date() + timedelta(days=1)
ALWAYS = (Window(weekdays=(1, 2, 3, 4, 5, 6, 7), start="00:00", end="24:00"),)


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        (Schedule(windows=ALWAYS, start_date=TOMORROW), "schedule_closed: not_started"),
        (Schedule(windows=ALWAYS, end_date=YESTERDAY), "schedule_over: schedule_ended"),
        (Schedule(windows=()), "schedule_over: never_opens"),
    ],
    ids=["begins tomorrow", "ended yesterday", "no window at all"],
)
async def test_outside_its_schedule_nobody_is_called_and_the_campaign_says_why(
    desk: Desk, schedule: Schedule, reason: str
) -> None:
    campaign = await desk.campaign()
    await desk.configure(campaign, CampaignConfig(schedule=schedule))
    other = await desk.campaign()
    engine = PlayedEngine()

    async def says() -> bool:
        return await desk.reason(campaign) == reason

    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (kept,) = await desk.give(campaign, "0912345678")
        await eventually(says)
        (called,) = await desk.give(other, "0912345679")
        await desk.done(called)
    assert (await desk.call(kept))["state"] == "queued"
    assert [request.number for request in engine.dialled] == ["0912345679"]


async def test_a_schedule_that_cannot_be_understood_calls_nobody(desk: Desk) -> None:
    campaign = await desk.campaign()
    await desk.configure(campaign, {"schedule": {"windows": "always"}})
    engine = PlayedEngine()

    async def says() -> bool:
        return await desk.reason(campaign) == "configuration_invalid"

    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await desk.give(campaign, "0912345678")
        await eventually(says)
    assert engine.dialled == []


async def test_a_running_campaign_with_nothing_to_dial_says_so(desk: Desk) -> None:
    campaign = await desk.campaign()

    async def says() -> bool:
        return await desk.reason(campaign) == "nothing_queued"

    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}):
        await eventually(says)


async def test_a_campaign_whose_engine_is_away_says_so(desk: Desk) -> None:
    campaign = await desk.campaign()
    engine = PlayedEngine()
    engine.reachable = False

    async def says() -> bool:
        return await desk.reason(campaign) == "engine_unreachable"

    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await desk.give(campaign, "0912345678")
        await eventually(says)


async def test_a_full_trunk_is_a_reason_to_wait_and_no_outcome(desk: Desk) -> None:
    campaign = await desk.campaign(channels=0)

    async def says() -> bool:
        return await desk.reason(campaign) == "channels_full"

    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine()}):
        (call,) = await desk.give(campaign, "0912345678")
        await eventually(says)
    assert (await desk.call(call))["state"] == "queued"
