"""Promise 5 wherever a call may wait, and what a contact asks for itself; with a dialer that runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import resources

import pytest
from tests import factories
from tests.desk import Desk
from tests.fakes.dialling import dialing, eventually, rows
from tests.fakes.engine import PlayedEngine, answers_and_ends, ends_with

from tongdai.domain import campaigns, compliance, scripts
from tongdai.domain.calls.model import RETRIED_ON_REQUEST
from tongdai.domain.campaigns import CampaignConfig, NewContact, RetryRule
from tongdai.domain.compliance import NewDoNotCall, PolicyBook
from tongdai.kit.clock import VIETNAM, SystemClock
from tongdai.ports.telephony import Answered, AnsweredBy, DialRequest, Digit, EndCause, Ended, Ringing

pytestmark = pytest.mark.anyio

NUMBER = "0912345678"
OFFER = {
    "start": "offer",
    "steps": {
        "offer": {"kind": "gather", "prompt": "Nhấn 9 để từ chối", "on": {"1": "bye", "9": "stop"}},
        "stop": {"kind": "opt_out", "next": "bye"},
        "bye": {"kind": "say", "text": "Xin cảm ơn"},
    },
}
EVERYTHING = CampaignConfig(
    retries={outcome.value: RetryRule(3, 0) for outcome in RETRIED_ON_REQUEST}, redial_lost=True
)


def presses_nine(engine: PlayedEngine, request: DialRequest) -> None:
    """Then the line breaks down, as the carrier says."""
    engine.tell(Ringing(request.leg_id, 1, 1.0))
    engine.tell(Answered(request.leg_id, 2, 5.0, 5.0, AnsweredBy.HUMAN))
    engine.tell(Digit(request.leg_id, 3, 6.0, "9"))


def congested(engine: PlayedEngine, request: DialRequest) -> None:
    engine.tell(Ended(request.leg_id, 1, 0.2, EndCause.CONGESTION, None))


async def offer(desk: Desk, hotline_ids: list[int]) -> int:
    """A campaign that tries everything again that may be, and whose key 9 is the way out."""
    async with desk.db.transaction() as tx:
        script = await scripts.create_script(tx, desk.owner.account_id, "offer", OFFER)
        made = await factories.campaign(
            tx, desk.owner, script_id=script.id, hotline_ids=hotline_ids, config=EVERYTHING
        )
    return made.id


async def two_lines(desk: Desk) -> list[int]:
    """Of two trunks, so that there is one to fail over to."""
    return [(await factories.hotline(desk.db, desk.owner.account_id)).id for _ in range(2)]


async def fill(desk: Desk, hotline_id: int, channels: int | None = 0) -> None:
    """Give the trunk of a hotline so many channels."""
    await rows(
        desk.db,
        """UPDATE limits SET max_channels = %s
           WHERE id = (SELECT t.limit_id FROM trunks t JOIN hotlines h ON h.trunk_id = t.id WHERE h.id = %s)
           RETURNING 1""",
        channels,
        hotline_id,
    )


async def between_trunks(desk: Desk) -> bool:
    return await rows(desk.db, "SELECT FROM calls WHERE open_attempt_id IS NOT NULL") != []


async def list_number(desk: Desk, number: str = NUMBER) -> None:
    async with desk.db.transaction() as tx:
        await compliance.list_numbers(tx, desk.owner.account_id, [NewDoNotCall(number)], source="manual")


# --------------------------------------------------------------------------- opted out by a key


@pytest.mark.parametrize(
    "cause", [EndCause.CONGESTION, EndCause.FAILURE, EndCause.NO_ANSWER, EndCause.NORMAL]
)
async def test_who_pressed_the_key_is_redialled_neither_by_a_retry_nor_by_failover(
    desk: Desk, cause: EndCause
) -> None:
    campaign = await offer(desk, await two_lines(desk))
    engine = PlayedEngine(presses_nine)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, NUMBER)

        async def pressed() -> bool:
            return engine.dialled != []

        await eventually(pressed)
        engine.tell(Ended(engine.dialled[0].leg_id, 4, 6.5, cause, 5.0))
        end = await desk.done(call)
        (again,) = await desk.give(campaign, NUMBER)
        refused = await desk.done(again)
    assert (end["attempts"], len(engine.dialled)) == (1, 1)
    assert (refused["outcome"], refused["note"]) == ("blocked", "opted_out")


async def test_who_pressed_the_key_before_the_carrier_forgot_the_call_is_not_called_again(desk: Desk) -> None:
    """Nobody will ever say how the call ended; that they opted out was heard."""
    campaign = await offer(desk, await two_lines(desk))
    other = await desk.campaign(state="paused")
    (queued,) = await desk.give(other, NUMBER)
    engine = PlayedEngine(presses_nine)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, NUMBER)

        async def pressed() -> bool:
            return engine.dialled != []

        await eventually(pressed)
        engine.go_away()
        engine.come_back()
        end, refused = await desk.done(call), await desk.done(queued)
    assert (end["outcome"], end["attempts"], len(engine.dialled)) == ("lost", 1, 1)
    assert (refused["outcome"], refused["note"]) == ("blocked", "opted_out")


async def test_who_pressed_the_key_is_not_called_by_what_waits_for_another_trunk(desk: Desk) -> None:
    """A call of another campaign failed on its first trunk and waits for the second, which is full."""
    first, second = await two_lines(desk)
    await fill(desk, second)
    waiting = await desk.campaign(hotline_ids=[first, second], config=EVERYTHING)
    asking = await offer(desk, [(await factories.hotline(desk.db, desk.owner.account_id)).id])
    engine = PlayedEngine(congested)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (queued,) = await desk.give(waiting, NUMBER)
        await eventually(lambda: between_trunks(desk))
        engine.behave = presses_nine
        (call,) = await desk.give(asking, NUMBER)

        async def pressed() -> bool:
            return len(engine.dialled) == 2

        await eventually(pressed)
        engine.tell(Ended(engine.dialled[1].leg_id, 4, 6.5, EndCause.NORMAL, 5.0))
        await desk.done(call)
        refused = await desk.done(queued)
        engine.behave = answers_and_ends
        await fill(desk, second, None)
        (other,) = await desk.give(waiting, "0987654321")
        await desk.done(other)
    assert (refused["outcome"], refused["note"]) == ("blocked", "opted_out")
    assert [request.number for request in engine.dialled] == [NUMBER, NUMBER, "0987654321"]
    attempts = "SELECT outcome, ended_at IS NOT NULL FROM attempts WHERE call_id = %s"
    assert await rows(desk.db, attempts, queued) == [("blocked", True)]


# --------------------------------------------------------------------------- listed while a call waits


async def test_who_is_listed_while_a_call_is_queued_is_not_dialled(desk: Desk) -> None:
    (hotline, _) = await two_lines(desk)
    await fill(desk, hotline)
    campaign = await desk.campaign(hotline_ids=[hotline])
    engine = PlayedEngine()
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, NUMBER)

        async def waits() -> bool:
            return await desk.reason(campaign) == "channels_full"

        await eventually(waits)
        await list_number(desk)
        await fill(desk, hotline, None)
        end = await desk.done(call)
    assert (end["outcome"], end["note"], engine.dialled) == ("blocked", "dnc_account", [])


async def test_who_is_listed_while_a_call_waits_for_its_retry_is_not_tried_again(desk: Desk) -> None:
    campaign = await desk.campaign(config=CampaignConfig(retries={"busy": RetryRule(3, 3600)}))
    engine = PlayedEngine(ends_with(EndCause.BUSY))
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, NUMBER)

        async def waits() -> bool:
            return await desk.reason(campaign) == "next_call_later"

        await eventually(waits)
        await list_number(desk)
        await rows(desk.db, "UPDATE calls SET due_at = now() WHERE id = %s RETURNING 1", call)
        end = await desk.done(call)
    assert (end["outcome"], end["note"], len(engine.dialled)) == ("blocked", "dnc_account", 1)


async def test_who_is_listed_while_a_call_waits_for_another_trunk_is_not_dialled_there(desk: Desk) -> None:
    first, second = await two_lines(desk)
    await fill(desk, second)
    campaign = await desk.campaign(hotline_ids=[first, second])
    engine = PlayedEngine(congested)
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):
        (call,) = await desk.give(campaign, NUMBER)
        await eventually(lambda: between_trunks(desk))
        await list_number(desk)
        await fill(desk, second, None)
        end = await desk.done(call)
    assert (end["outcome"], end["note"], len(engine.dialled)) == ("blocked", "dnc_account", 1)
    assert await rows(desk.db, "SELECT outcome, ended_at IS NOT NULL FROM attempts") == [("blocked", True)]


# --------------------------------------------------------------------------- a contact's own hours


async def test_a_contact_is_dialled_in_its_own_hours_of_the_day_and_waits_outside_of_them(desk: Desk) -> None:
    campaign = await desk.campaign()
    later = datetime.now(VIETNAM) + timedelta(hours=2)
    hour = later.hour % 23
    contacts = [
        NewContact("0912345671", call_after="00:00", call_before="24:00"),
        NewContact("0912345672", call_after=f"{hour:02}:00", call_before=f"{hour + 1:02}:00"),
        NewContact("0912345673", call_before=(datetime.now(UTC) + timedelta(hours=2)).isoformat()),
    ]
    async with desk.db.transaction() as tx:
        report = await campaigns.import_contacts(
            tx, desk.keyring, SystemClock(), desk.owner.account_id, campaign, contacts
        )
    always, other_hours, still = [call_id for _, call_id in report.accepted]
    engine = PlayedEngine()
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}):

        async def deferred() -> bool:
            return (await desk.call(other_hours))["deferred_reason"] == "contact_window"

        await eventually(deferred)
        for call in (always, still):
            assert (await desk.done(call))["outcome"] == "answered"
        waiting = await desk.call(other_hours)
    assert waiting["state"] == "queued"
    due = waiting["due_at"]
    assert isinstance(due, datetime)
    assert due.astimezone(VIETNAM).strftime("%H:%M") == f"{hour:02}:00"
    assert sorted(request.number for request in engine.dialled) == ["0912345671", "0912345673"]


# --------------------------------------------------------------------------- caps per borrower


def at_any_hour() -> PolicyBook:
    """The shipped rules, but reminders of debts go out at every hour, so that the test runs at any."""
    shipped = resources.files("tongdai.domain.compliance").joinpath("policies.toml").read_text("utf-8")
    own = (
        'id = "own"\nvalid_from = 2020-01-01\n[[rule]]\nid = "debt_window"\nstart = "00:00"\nend = "24:00"\n'
    )
    return compliance.parse_policies(shipped, own)


async def test_a_borrower_is_reminded_five_times_a_day_over_numbers_and_campaigns(desk: Desk) -> None:
    """Two campaigns, for two advertisers, of three numbers; the sixth call is refused wherever it comes
    from, and a borrower without any is called."""
    async with desk.db.transaction() as tx:
        made = [
            (await factories.campaign(tx, desk.owner, purpose="debt_reminder", advertiser=advertiser)).id
            for advertiser in ("", "An Bình")
        ]
    engine = PlayedEngine(ends_with(EndCause.NO_ANSWER))

    async def remind(campaign: int, number: str, ref: str) -> tuple[object, object]:
        async with desk.db.transaction() as tx:
            report = await campaigns.import_contacts(
                tx,
                desk.keyring,
                SystemClock(),
                desk.owner.account_id,
                campaign,
                [NewContact(number, person_ref=ref)],
            )
        end = await desk.done(report.accepted[0][1])
        return end["outcome"], end["note"]

    numbers = ("0912345671", "0912345672", "0912345673")
    async with dialing(desk.db, desk.keyring, {"sandbox": engine}, policies=at_any_hour()):
        ends = [await remind(made[n % 2], numbers[n % 3], "HD-2026-0042") for n in range(6)]
        ends += [await remind(campaign, "0912345674", "HD-2026-0042") for campaign in made]
        other = await remind(made[0], "0987654321", "HD-2026-0043")
    assert ends == [("no_answer", None)] * 5 + [("blocked", "freq_day")] * 3
    assert other == ("no_answer", None)
    assert len(engine.dialled) == 6
