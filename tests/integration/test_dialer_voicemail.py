"""Promise 6: a machine is no human, and hears no one-time code; with a dialer that runs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.desk import Desk
from tests.fakes.dialling import dialing, eventually, until
from tests.fakes.engine import PlayedEngine

from tongdai.domain import campaigns
from tongdai.domain.campaigns import CampaignConfig, RetryRule
from tongdai.kit.clock import SystemClock
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    DialRequest,
    EndCause,
    Ended,
    HangUp,
    Play,
    Ringing,
    SpokenCode,
)

pytestmark = pytest.mark.anyio


def answered_by(who: AnsweredBy) -> PlayedEngine:
    """Each call is answered by them, and ends when it is hung up."""

    def behave(engine: PlayedEngine, request: DialRequest) -> None:
        engine.tell(Ringing(request.leg_id, 1, 1.0))
        engine.tell(Answered(request.leg_id, 2, 5.0, 5.0, who))

    return PlayedEngine(behave)


def hang_up(engine: PlayedEngine, request: DialRequest) -> None:
    engine.tell(Ended(request.leg_id, 3, 13.0, EndCause.NORMAL, 5.0))


def said(engine: PlayedEngine) -> list[object]:
    plays = [command for _, _, command in engine.commanded if isinstance(command, Play)]
    return [item for play in plays for item in play.items]


async def test_a_voicemail_is_counted_as_one_and_tried_again_by_its_own_rule(desk: Desk) -> None:
    rules = {"voicemail": RetryRule(1, 0), "no_answer": RetryRule(3, 0)}
    campaign = await desk.campaign(config=CampaignConfig(retries=rules))
    engine = answered_by(AnsweredBy.MACHINE)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, "0912345678")
        for number in (1, 2):
            await until(lambda number=number: len(engine.hung_up()) == number)  # type: ignore[misc]
            hang_up(engine, engine.dialled[-1])
        end = await desk.done(call)
    assert (end["outcome"], end["attempts"], said(engine)) == ("voicemail", 2, [])
    async with desk.db.transaction() as tx:
        progress = await campaigns.progress(tx, desk.owner.account_id, campaign)
    assert dict(progress.outcomes) == {"voicemail": 1}


async def test_a_machine_is_hung_up_on_and_tried_again_where_the_campaign_retries(desk: Desk) -> None:
    campaign = await desk.campaign(config=CampaignConfig(voicemail_action="retry", record=True))
    engine = answered_by(AnsweredBy.MACHINE)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, "0912345678")
        await until(engine.hung_up)
        hang_up(engine, engine.dialled[-1])

        async def tried_again_later() -> object:
            found = await desk.call(call)
            return found if found["state"] == "queued" and found["attempts"] == 1 else None

        found = await eventually(tried_again_later)
    assert found["outcome"] == "voicemail"
    assert found["due_at"] > SystemClock().now() + timedelta(minutes=59)
    assert [type(command) for _, _, command in engine.commanded] == [HangUp]


async def test_a_machine_never_hears_a_code_that_a_person_would_have_heard(desk: Desk) -> None:
    campaign = await desk.campaign(kind="otp")
    machine, person = answered_by(AnsweredBy.MACHINE), answered_by(AnsweredBy.HUMAN)
    async with dialing(desk.db, desk.keyring, {"sandbox": machine}):
        (call,) = await desk.give(campaign, "0912345678", otp="493817")
        await until(machine.hung_up)
        hang_up(machine, machine.dialled[0])
        end = await desk.done(call)
    assert machine.dialled[0].detect_machine
    assert (end["outcome"], end["secret"], said(machine)) == ("voicemail", None, [])
    async with dialing(desk.db, desk.keyring, {"sandbox": person}):
        (call,) = await desk.give(campaign, "0912345679", otp="493817")
        await until(lambda: any(isinstance(item, SpokenCode) for item in said(person)))
        hang_up(person, person.dialled[0])
        assert (await desk.done(call))["outcome"] == "answered"
