"""The law at the dial: promises 3 and 5, with a dialer that runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests import factories
from tests.desk import Desk
from tests.fakes.dialling import dialing, eventually
from tests.fakes.engine import PlayedEngine, ends_with

from tongdai.domain import calls, campaigns, compliance, routing, scripts
from tongdai.domain.campaigns import CampaignConfig, NewContact, RetryRule
from tongdai.domain.compliance import AgreedTerms, NewAttestation, NewConsent, NewDoNotCall, PolicyBook
from tongdai.kit.clock import SystemClock
from tongdai.ports.telephony import Answered, AnsweredBy, DialRequest, Digit, EndCause, Ended, Ringing

pytestmark = pytest.mark.anyio

OFFER = {
    "start": "offer",
    "steps": {
        "offer": {"kind": "gather", "prompt": "Nhấn 9 để từ chối", "on": {"1": "bye", "9": "stop"}},
        "stop": {"kind": "opt_out", "next": "bye"},
        "bye": {"kind": "say", "text": "Xin cảm ơn"},
    },
}
NEVER = """
[[policy]]
id = "never"
valid_from = 2020-01-01
[[policy.rule]]
id = "never"
purpose = "customer_care"
kind = "pause"
start = "00:00"
end = "24:00"
on = true
confidence = "D"
source = "nobody is called for customer care"
"""


def presses_nine_and_hangs_up(engine: PlayedEngine, request: DialRequest) -> None:
    leg = request.leg_id
    engine.tell(Ringing(leg, 1, 1.0))
    engine.tell(Answered(leg, 2, 5.0, 5.0, AnsweredBy.HUMAN))
    engine.tell(Digit(leg, 3, 6.0, "9"))
    engine.tell(Ended(leg, 4, 6.1, EndCause.NORMAL, 5.0))


async def advertising(desk: Desk, *, attestation_id: int | None, retries: int = 0) -> int:
    """A campaign whose people agreed to be called at any hour, so that the test runs at any hour."""
    async with desk.db.transaction() as tx:
        line = await factories.hotline(tx, desk.owner.account_id)
        until = datetime.now(UTC).date() + timedelta(days=300)
        await routing.update_hotline(
            tx, desk.owner.account_id, line.id, brand_name="AN BINH", brand_until=until
        )
        rules = {"no_answer": RetryRule(retries, 0)} if retries else {}
        made = await factories.campaign(
            tx,
            desk.owner,
            purpose="advertising",
            hotline_ids=[line.id],
            attestation_id=attestation_id,
            config=CampaignConfig(retries=rules),
        )
    return made.id


async def attested(desk: Desk) -> int:
    now = datetime.now(UTC)
    agreed = AgreedTerms("00:00", "24:00")
    new = NewAttestation("advertising", now - timedelta(days=1), "form", "folder", agreed=agreed)
    async with desk.db.transaction() as tx:
        made = await compliance.attest(tx, desk.owner.account_id, desk.owner.user.id, new, now)
    return made.id


async def bring_register(desk: Desk, *numbers: str) -> None:
    now = datetime.now(UTC)
    entries = [NewDoNotCall(number) for number in numbers or ("0900000000",)]
    await compliance.import_national_list(desk.db, entries, as_of=now, source="file", now=now)


async def waits_for(desk: Desk, campaign_id: int, reason: str) -> None:
    async def look() -> bool:
        return await desk.reason(campaign_id) == reason

    await eventually(look)


# ---------------------------------------------------------------- promise 5


async def test_who_pressed_the_key_and_hung_up_is_called_by_no_other_campaign(desk: Desk) -> None:
    async with desk.db.transaction() as tx:
        offer = await scripts.create_script(tx, desk.owner.account_id, "offer", OFFER)
        first = await factories.campaign(tx, desk.owner, script_id=offer.id, state="running")
    later = await desk.campaign(state="paused")
    [queued] = await desk.give(later, "0912345678")
    engine = PlayedEngine(presses_nine_and_hangs_up)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        [call] = await desk.give(first.id, "0912345678")
        await desk.done(call)
        refused = await desk.done(queued)
        [again] = await desk.give(first.id, "0912345678")
        blocked = await desk.done(again)
    assert (refused["outcome"], refused["note"]) == ("blocked", "opted_out")
    assert (blocked["outcome"], blocked["note"], len(engine.dialled)) == ("blocked", "opted_out", 1)


async def test_who_opted_out_between_two_tries_is_not_tried_again(desk: Desk) -> None:
    campaign = await desk.campaign(config=CampaignConfig(retries={"no_answer": RetryRule(3, 3600)}))
    engine = PlayedEngine(ends_with(EndCause.NO_ANSWER))
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        [call] = await desk.give(campaign, "0912345678")
        await waits_for(desk, campaign, "next_call_later")
        async with desk.db.transaction() as tx:
            now = datetime.now(UTC)
            await calls.opt_out(tx, desk.owner.account_id, ["84912345678"], source="api", now=now)
        end = await desk.done(call)
    assert (end["outcome"], end["note"], end["attempts"]) == ("blocked", "opted_out", 1)


async def test_everybody_on_a_list_is_refused_and_the_campaign_says_by_which_rule(desk: Desk) -> None:
    campaign = await desk.campaign()
    engine = PlayedEngine()
    async with desk.db.transaction() as tx:
        entries = [NewDoNotCall("0912345671"), NewDoNotCall("0912345672")]
        await compliance.list_numbers(tx, desk.owner.account_id, entries, source="manual")
        await compliance.list_numbers(tx, compliance.PLATFORM, [NewDoNotCall("0912345673")], source="manual")
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        for call in await desk.give(campaign, "0912345671", "0912345672", "0912345673"):
            await desk.done(call)
    async with desk.db.transaction() as tx:
        progress = await campaigns.progress(tx, desk.owner.account_id, campaign)
    assert (dict(progress.outcomes), engine.dialled) == ({"blocked": 3}, [])
    assert progress.blocked_by == {"dnc_account": 2, "dnc_platform": 1}


# ---------------------------------------------------------------- promise 3


async def test_without_a_policy_campaigns_wait_and_codes_are_dialled(desk: Desk) -> None:
    campaign, codes = await desk.campaign(), await desk.campaign(kind="otp")
    engine = PlayedEngine()
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}, policies=PolicyBook()):
        [waiting] = await desk.give(campaign, "0912345678")
        [code] = await desk.give(codes, "0987654321", otp="493817")
        await desk.done(code)
        await waits_for(desk, campaign, "no_policy")
        call = await desk.call(waiting)
    assert (call["state"], [request.number for request in engine.dialled]) == ("queued", ["0987654321"])


async def test_outside_of_its_purpose_s_hours_a_campaign_waits_and_touches_no_call(desk: Desk) -> None:
    campaign = await desk.campaign()
    engine = PlayedEngine()
    policies = compliance.parse_policies(NEVER)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}, policies=policies):
        [waiting] = await desk.give(campaign, "0912345678")
        await waits_for(desk, campaign, "purpose_window")
        call = await desk.call(waiting)
    assert (call["state"], call["deferred_reason"], engine.dialled) == ("queued", None, [])


async def test_a_contact_waits_for_its_own_hours_and_ends_when_they_are_over(desk: Desk) -> None:
    campaign = await desk.campaign()
    engine = PlayedEngine()
    now = datetime.now(UTC)
    contacts = [
        NewContact("0912345671", call_after=(now + timedelta(hours=2)).isoformat()),
        NewContact("0912345672", call_before=(now - timedelta(hours=2)).isoformat()),
        NewContact("0912345673", call_after=(now - timedelta(hours=2)).isoformat()),
    ]
    async with desk.db.transaction() as tx:
        report = await campaigns.import_contacts(
            tx, desk.keyring, SystemClock(), desk.owner.account_id, campaign, contacts
        )
    later, over, due = [call_id for _, call_id in report.accepted]

    async def is_deferred() -> bool:
        return (await desk.call(later))["deferred_reason"] == "contact_window"

    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        await eventually(is_deferred)
        ended, called = await desk.done(over), await desk.done(due)
    assert (ended["outcome"], ended["note"]) == ("blocked", "contact_window_over")
    assert (called["outcome"], len(engine.dialled)) == ("answered", 1)


# ---------------------------------------------------------------- advertising


async def test_advertising_needs_the_register_and_consent_and_rings_once_a_day(desk: Desk) -> None:
    engine = PlayedEngine()
    attestation = await attested(desk)
    first = await advertising(desk, attestation_id=attestation)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        [good, listed, withdrew] = await desk.give(first, "0912345671", "0912345672", "0912345673")
        await waits_for(desk, first, "dnc_stale")
        assert engine.dialled == []
        async with desk.db.transaction() as tx:
            word = NewConsent("0912345673", "advertising", False, "sms")
            await compliance.record_consents(
                tx, desk.owner.account_id, desk.owner.user.id, [word], datetime.now(UTC)
            )
        await bring_register(desk, "0912345672")
        ends = [await desk.done(call) for call in (good, listed, withdrew)]
        second = await advertising(desk, attestation_id=attestation)
        [again] = await desk.give(second, "0912345671")
        ends.append(await desk.done(again))
    assert [(end["outcome"], end["note"]) for end in ends] == [
        ("answered", None),
        ("blocked", "dnc_national"),
        ("blocked", "consent_withdrawn"),
        ("blocked", "freq_24h"),
    ]
    assert [request.number for request in engine.dialled] == ["0912345671"]


async def test_a_retry_of_advertising_waits_a_day_after_it_rang(desk: Desk) -> None:
    engine = PlayedEngine(ends_with(EndCause.NO_ANSWER))
    campaign = await advertising(desk, attestation_id=await attested(desk), retries=3)
    await bring_register(desk)

    async def is_deferred() -> object:
        call = await desk.call(waiting)
        return call if call["deferred_reason"] == "freq_24h" else None

    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        [waiting] = await desk.give(campaign, "0912345678")
        call = await eventually(is_deferred)
    assert (call["state"], call["attempts"], call["outcome"]) == ("queued", 1, "no_answer")
    assert call["due_at"] > datetime.now(UTC) + timedelta(hours=23, minutes=50)


async def test_an_advertising_call_that_did_not_ring_counts_for_nothing(desk: Desk) -> None:
    def fails(engine: PlayedEngine, request: DialRequest) -> None:
        engine.tell(Ended(request.leg_id, 1, 1.0, EndCause.UNREACHABLE, None))

    engine = PlayedEngine(fails)
    attestation = await attested(desk)
    await bring_register(desk)
    ends = []
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        for _ in range(2):
            campaign = await advertising(desk, attestation_id=attestation)
            [call] = await desk.give(campaign, "0912345678")
            ends.append((await desk.done(call))["outcome"])
    assert ends == ["unreachable", "unreachable"]
