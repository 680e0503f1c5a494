"""The dialer on the real database, with an engine that each test plays."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests import factories
from tests.fakes.dialling import PROMPT, dialing, eventually, rows
from tests.fakes.engine import PlayedEngine, answers_and_ends, ends_with, is_cut_off, refuses, silent

from tongdai.domain import campaigns, dialer
from tongdai.domain.campaigns import CampaignConfig, NewContact, RetryRule
from tongdai.domain.compliance import Schedule, Window
from tongdai.kit.clock import VIETNAM, SystemClock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.telephony import DialRequest, EndCause, Ended, EngineTooLateError, LegKnowledge, Ringing

pytestmark = pytest.mark.anyio


class Desk:
    """One shop's campaign with what a test wants to ask about it."""

    def __init__(self, db: Database, keyring: Keyring, owner: factories.Person) -> None:
        self.db = db
        self.keyring = keyring
        self.owner = owner

    async def campaign(
        self,
        *,
        config: CampaignConfig | None = None,
        kind: campaigns.Kind = "voice",
        state: str = "running",
        channels: int | None = None,
        cps: float | None = 50,
        takes_imports: bool = True,
        hotline_ids: list[int] | None = None,
    ) -> int:
        if hotline_ids is None:
            trunk = await factories.trunk(self.db, self.owner.account_id, max_channels=channels, max_cps=cps)
            line = await factories.hotline(self.db, self.owner.account_id, trunk_id=trunk.id)
            hotline_ids = [line.id]
        made = await factories.campaign(
            self.db,
            self.owner,
            kind=kind,
            state=state,
            config=config,
            hotline_ids=hotline_ids,
            takes_imports=takes_imports,
        )
        return made.id

    async def give(self, campaign_id: int, *numbers: str, otp: str | None = None) -> list[int]:
        async with self.db.transaction() as tx:
            report = await campaigns.import_contacts(
                tx,
                self.keyring,
                SystemClock(),
                self.owner.account_id,
                campaign_id,
                [NewContact(number, {}, otp) for number in numbers],
            )
        return [call_id for _, call_id in report.accepted]

    async def give_past_locks(self, campaign_id: int) -> list[int]:
        """One due call, put in without touching the campaign's row."""
        found = await rows(
            self.db,
            """INSERT INTO calls (account_id, campaign_id, user_id, number, number_given)
               VALUES (%s, %s, %s, '84987654321', '0987654321') RETURNING id""",
            self.owner.account_id,
            campaign_id,
            self.owner.user.id,
        )
        return [call_id for (call_id,) in found]

    async def claim_waits(self) -> bool:
        found = await rows(
            self.db,
            """SELECT count(*) FROM pg_stat_activity
               WHERE wait_event_type = 'Lock' AND datname = current_database()
                 AND query LIKE '%%campaigns%%'""",
        )
        return bool(found[0][0])

    async def call(self, call_id: int) -> dict[str, object]:
        names = "state", "outcome", "attempts", "due_at", "deferred_reason", "duration_s", "secret", "note"
        found = await rows(self.db, f"SELECT {', '.join(names)} FROM calls WHERE id = %s", call_id)
        return dict(zip(names, found[0], strict=True))

    async def done(self, call_id: int) -> dict[str, object]:
        async def look() -> dict[str, object] | None:
            call = await self.call(call_id)
            return call if call["state"] == "done" else None

        found: dict[str, object] = await eventually(look)
        return found

    async def live(self) -> list[int]:
        return [live for (live,) in await rows(self.db, "SELECT live FROM limits WHERE live <> 0")]

    async def configure(self, campaign_id: int, config: object) -> None:
        """Store a configuration as it is, past every check."""
        await rows(
            self.db,
            "UPDATE campaigns SET config = %s WHERE id = %s RETURNING 1",
            msgspec.json.encode(config).decode(),
            campaign_id,
        )

    async def reason(self, campaign_id: int) -> str | None:
        found = await rows(self.db, "SELECT waiting_reason FROM campaigns WHERE id = %s", campaign_id)
        return None if found[0][0] is None else str(found[0][0])


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


@pytest.fixture
async def desk(db: Database, keyring: Keyring) -> Desk:
    return Desk(db, keyring, (await factories.cast(db, keyring)).owner)


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
            return await rows(desk.db, "SELECT state FROM legs") == [("unknown",)]

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


async def test_a_refused_originate_is_our_fault_and_final(desk: Desk) -> None:
    campaign = await desk.campaign()
    async with dialing(desk.db, desk.keyring, {"sandbox": PlayedEngine(refuses)}):
        (call,) = await desk.give(campaign, "0912345678")
        end = await desk.done(call)
    assert end["outcome"] == "failed"


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
