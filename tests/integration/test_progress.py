"""Campaigns: who may change them, what they become, and how far they say that they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from tests import factories
from tests.fakes.clock import FakeClock

from tongdai.domain import accounts, calls, campaigns
from tongdai.domain.accounts import Role
from tongdai.domain.calls import Outcome, Refusal
from tongdai.domain.campaigns import (
    BadTransitionError,
    Campaign,
    CampaignConfig,
    CampaignInvalidError,
    CampaignNotFoundError,
    NewContact,
    PartNotFoundError,
    RetryRule,
    TemplateConfig,
)
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, Tx
from tongdai.kit.errors import ForbiddenError

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)

Action = Callable[[Tx, accounts.Caller, int], Awaitable[Campaign]]
ACTIONS: dict[str, Action] = {
    "start": campaigns.start_campaign,
    "pause": campaigns.pause_campaign,
    "resume": campaigns.resume_campaign,
    "stop": campaigns.stop_campaign,
}
LEADS_TO = {
    ("draft", "start"): "running",
    ("stopped", "start"): "running",
    ("running", "pause"): "paused",
    ("paused", "resume"): "running",
    ("running", "stop"): "stopped",
    ("paused", "stop"): "stopped",
}


@pytest.fixture
async def cast(db: Database) -> factories.Cast:
    return await factories.cast(db)


async def give(db: Database, campaign: Campaign, *numbers: str) -> list[int]:
    async with db.transaction() as tx:
        report = await campaigns.import_contacts(
            tx,
            Keyring(factories.MASTER_KEY),
            FakeClock(),
            campaign.account_id,
            campaign.id,
            [NewContact(number) for number in numbers],
        )
    return [call_id for _, call_id in report.accepted]


# --------------------------------------------------------------------------- states


@pytest.mark.parametrize("state", ["draft", "running", "paused", "stopped", "finished"])
@pytest.mark.parametrize("action", ACTIONS)
async def test_every_action_leads_where_the_table_says_or_nowhere(
    db: Database, cast: factories.Cast, state: str, action: str
) -> None:
    campaign = await factories.campaign(db, cast.owner, state=state)
    target = LEADS_TO.get((state, action))
    async with db.autocommit() as tx:
        if target:
            moved = await ACTIONS[action](tx, cast.owner.caller, campaign.id)
            assert moved.state == target
        else:
            with pytest.raises(BadTransitionError) as refused:
                await ACTIONS[action](tx, cast.owner.caller, campaign.id)
            assert refused.value.facts == {"action": action, "state": state}
        now = await campaigns.get_campaign(tx, campaign.account_id, campaign.id)
    assert now.state == (target or state)
    assert (now.started_at is not None) == (target == "running" or state == "running")


@pytest.mark.parametrize("action", ACTIONS)
async def test_an_operator_may_a_viewer_may_not_and_a_stranger_finds_nothing(
    db: Database, cast: factories.Cast, action: str
) -> None:
    state = {"start": "draft", "resume": "paused"}.get(action, "running")
    campaign = await factories.campaign(db, cast.owner, state=state)
    viewer = accounts.Caller(cast.owner.account_id, cast.owner.user.id, Role.VIEWER, "account")
    async with db.autocommit() as tx:
        with pytest.raises(ForbiddenError):
            await ACTIONS[action](tx, viewer, campaign.id)
        with pytest.raises(CampaignNotFoundError):
            await ACTIONS[action](tx, cast.stranger.caller, campaign.id)
        assert (await campaigns.get_campaign(tx, campaign.account_id, campaign.id)).state == state
        await ACTIONS[action](tx, cast.colleague.caller, campaign.id)


async def test_a_state_change_forgets_why_it_waited(db: Database, cast: factories.Cast) -> None:
    campaign = await factories.campaign(db, cast.owner)
    async with db.autocommit() as tx:
        await tx.execute("UPDATE campaigns SET waiting_reason = 'window', waiting_since = now()")
        waiting = await campaigns.progress(tx, campaign.account_id, campaign.id)
        assert waiting.waiting_reason == "window"
        await campaigns.pause_campaign(tx, cast.owner.caller, campaign.id)
        assert (await campaigns.progress(tx, campaign.account_id, campaign.id)).waiting_reason is None


# --------------------------------------------------------------------------- finishing


async def refuse(db: Database, *ids: int) -> None:
    async with db.transaction() as tx:
        await calls.refuse_calls(tx, [Refusal(call_id, Outcome.BLOCKED) for call_id in ids], NOW)


async def finish(db: Database) -> list[int]:
    async with db.transaction() as tx:
        return await campaigns.finish_dry_campaigns(tx)


async def test_a_campaign_finishes_with_its_last_call_if_it_takes_no_imports(
    db: Database, cast: factories.Cast
) -> None:
    campaign = await factories.campaign(db, cast.owner, takes_imports=False)
    assert await finish(db) == []
    first, second = await give(db, campaign, "0912345678", "0912345679")
    await refuse(db, first)
    assert await finish(db) == []
    await refuse(db, second)
    assert await finish(db) == [campaign.id]
    async with db.autocommit() as tx:
        finished = await campaigns.get_campaign(tx, campaign.account_id, campaign.id)
    assert finished.state == "finished"
    assert finished.ended_at is not None
    with pytest.raises(campaigns.CampaignStoppedError):
        await give(db, campaign, "0912345680")


async def test_a_campaign_that_takes_imports_never_finishes_by_running_dry(
    db: Database, cast: factories.Cast
) -> None:
    campaign = await factories.campaign(db, cast.owner)
    await refuse(db, *await give(db, campaign, "0912345678"))
    assert await finish(db) == []
    assert len(await give(db, campaign, "0912345679")) == 1


async def test_a_campaign_does_not_finish_over_an_import_that_is_under_way(
    db: Database, cast: factories.Cast
) -> None:
    campaign = await factories.campaign(db, cast.owner, takes_imports=False)
    await refuse(db, *await give(db, campaign, "0912345678"))
    async with db.transaction() as importing:
        await campaigns.import_contacts(
            importing,
            Keyring(factories.MASTER_KEY),
            FakeClock(),
            campaign.account_id,
            campaign.id,
            [NewContact("0912345679")],
        )
        assert await finish(db) == []
    assert await finish(db) == []


# --------------------------------------------------------------------------- progress


async def test_progress_adds_up(db: Database, cast: factories.Cast) -> None:
    campaign = await factories.campaign(db, cast.owner)
    ids = await give(db, campaign, *(f"091234567{n}" for n in range(6)))
    await refuse(db, ids[0])
    async with db.transaction() as tx:
        await calls.cancel_calls(tx, campaign.account_id, now=NOW, call_ids=ids[1:3])
        await tx.execute("UPDATE limits SET live = 2 WHERE id = %s", (campaign.limit_id,))
        await tx.execute("UPDATE calls SET state = 'dialing' WHERE id = ANY(%s)", (ids[3:5],))
        cursor = await tx.execute("SELECT due_at FROM calls WHERE id = %s", (ids[5],))
        due = await cursor.fetchone()
        seen = await campaigns.progress(tx, campaign.account_id, campaign.id)
    assert (seen.accepted, seen.queued, seen.dialing, seen.done) == (6, 1, 2, 3)
    assert seen.outcomes == {"blocked": 1, "cancelled": 2}
    assert seen.blocked_by == {}
    assert due is not None
    assert seen.next_due_at == due[0]


async def test_progress_says_which_rule_blocked_how_many(db: Database, cast: factories.Cast) -> None:
    campaign = await factories.campaign(db, cast.owner)
    key = (campaign.account_id, campaign.id)
    async with db.transaction() as tx:
        await calls.count_finals(tx, [(*key, Outcome.BLOCKED, "dnc_account", 2)])
        await calls.count_finals(
            tx,
            [
                (*key, Outcome.BLOCKED, "no_consent", 1),
                (*key, Outcome.BLOCKED, "dnc_account", 1),
                (*key, Outcome.ANSWERED, "", 4),
            ],
        )
        seen = await campaigns.progress(tx, campaign.account_id, campaign.id)
    assert seen.outcomes == {"blocked": 4, "answered": 4}
    assert seen.blocked_by == {"dnc_account": 3, "no_consent": 1}


async def test_progress_of_an_empty_campaign_is_nothing(db: Database, cast: factories.Cast) -> None:
    campaign = await factories.campaign(db, cast.owner)
    async with db.autocommit() as tx:
        seen = await campaigns.progress(tx, campaign.account_id, campaign.id)
    assert (seen.accepted, seen.queued, seen.dialing, seen.done, seen.next_due_at) == (0, 0, 0, 0, None)


async def test_a_colleague_sees_progress_and_a_stranger_sees_no_campaign(
    tx: Tx, cast: factories.Cast
) -> None:
    campaign = await factories.campaign(tx, cast.owner)
    assert (await campaigns.progress(tx, cast.colleague.account_id, campaign.id)).campaign_id == campaign.id
    stranger = cast.stranger.account_id
    for campaign_id in (campaign.id, 0, -1, 2**63):
        with pytest.raises(CampaignNotFoundError):
            await campaigns.progress(tx, stranger, campaign_id)
        with pytest.raises(CampaignNotFoundError):
            await campaigns.get_campaign(tx, stranger, campaign_id)
        with pytest.raises(CampaignNotFoundError):
            await campaigns.update_campaign(tx, cast.stranger.caller, campaign_id, name="mine")
    assert await campaigns.list_campaigns(tx, stranger, after=0, limit=10) == []


# --------------------------------------------------------------------------- making and changing


async def test_a_campaign_comes_back_as_it_was_made(tx: Tx, cast: factories.Cast) -> None:
    config = CampaignConfig(retries={"busy": RetryRule(times=2, after_seconds=60)}, max_attempts=3)
    made = await factories.campaign(tx, cast.owner, config=config, max_channels=7, max_cps=0.5)
    assert await campaigns.get_campaign(tx, made.account_id, made.id) == made
    assert (made.config, made.max_channels, made.max_cps, made.script_version) == (config, 7, 0.5, 1)
    assert await campaigns.list_campaigns(tx, made.account_id, after=0, limit=10) == [made]
    assert await campaigns.list_campaigns(tx, made.account_id, after=made.id, limit=10) == []


async def test_nothing_of_another_account_can_be_named(tx: Tx, cast: factories.Cast) -> None:
    mine = await factories.campaign(tx, cast.owner)
    theirs = await factories.campaign(tx, cast.stranger)
    project = await accounts.create_project(tx, cast.stranger.account_id, code="x", name="x")
    for script_id, hotlines, project_id in (
        (theirs.script_id, mine.hotline_ids, None),
        (mine.script_id, theirs.hotline_ids, None),
        (mine.script_id, [*mine.hotline_ids, 2**70], None),
        (mine.script_id, mine.hotline_ids, project.id),
    ):
        with pytest.raises(PartNotFoundError):
            await campaigns.create_campaign(
                tx,
                cast.owner.account_id,
                cast.owner.user.id,
                name="x",
                kind="voice",
                purpose="survey",
                script_id=script_id,
                hotline_ids=hotlines,
                config=CampaignConfig(),
                project_id=project_id,
            )
    with pytest.raises(PartNotFoundError):
        await campaigns.update_campaign(tx, cast.owner.caller, mine.id, hotline_ids=theirs.hotline_ids)


async def test_a_paused_campaign_takes_changes_and_a_running_one_refuses_them(
    db: Database, cast: factories.Cast
) -> None:
    campaign = await factories.campaign(db, cast.owner, state="paused", max_cps=2.0)
    async with db.transaction() as tx:
        changed = await campaigns.update_campaign(
            tx,
            cast.owner.caller,
            campaign.id,
            name="Nhắc lịch",
            max_channels=9,
            config=CampaignConfig(max_attempts=2),
        )
    assert (changed.name, changed.max_channels, changed.max_cps) == ("Nhắc lịch", 9, 2.0)
    assert changed.config.max_attempts == 2
    running = await factories.campaign(db, cast.owner)
    with pytest.raises(BadTransitionError):
        async with db.transaction() as tx:
            await campaigns.update_campaign(tx, cast.owner.caller, running.id, max_channels=1)
    async with db.autocommit() as tx:
        assert (await campaigns.get_campaign(tx, running.account_id, running.id)).max_channels is None


async def test_duplicates_are_forbidden_from_the_first_call_or_not_at_all(
    db: Database, cast: factories.Cast
) -> None:
    campaign = await factories.campaign(db, cast.owner, state="draft")
    strict = CampaignConfig(allow_duplicates=False)
    await give(db, campaign, "0912345678")
    with pytest.raises(CampaignInvalidError):
        async with db.transaction() as tx:
            await campaigns.update_campaign(tx, cast.owner.caller, campaign.id, config=strict)
    async with db.autocommit() as tx:
        kept = await campaigns.get_campaign(tx, campaign.account_id, campaign.id)
    assert kept.config.allow_duplicates


@pytest.mark.parametrize("name", ["", "  ", "x" * 256, "a\x00b", "\ud800"])
async def test_a_bad_name_is_told_by_its_path(tx: Tx, cast: factories.Cast, name: str) -> None:
    campaign = await factories.campaign(tx, cast.owner, state="draft")
    with pytest.raises(CampaignInvalidError) as refused:
        await campaigns.update_campaign(tx, cast.owner.caller, campaign.id, name=name)
    errors = refused.value.facts["errors"]
    assert isinstance(errors, list)
    assert [path for path, _ in errors] == ["name"]


@pytest.mark.parametrize("cps", [0.0, 1e-300, 0.0099, 10_001.0, float("nan")])
async def test_a_cap_that_nothing_can_keep_is_told_by_its_path(
    tx: Tx, cast: factories.Cast, cps: float
) -> None:
    campaign = await factories.campaign(tx, cast.owner, state="draft")
    template = TemplateConfig(
        kind="voice",
        purpose="survey",
        script_id=campaign.script_id,
        hotline_ids=tuple(campaign.hotline_ids),
        max_cps=cps,
    )
    refusals = []
    for attempt in (
        campaigns.update_campaign(tx, cast.owner.caller, campaign.id, max_cps=cps),
        campaigns.create_template(tx, campaign.account_id, name="x", config=template),
        factories.campaign(tx, cast.owner, max_cps=cps),
    ):
        with pytest.raises(CampaignInvalidError) as refused:
            await attempt
        refusals.append(refused.value.facts["errors"])
    assert refusals == [[("max_cps", "must be from 0.01 to 10000 calls per second")]] * 3
    assert (await campaigns.get_campaign(tx, campaign.account_id, campaign.id)).max_cps is None
