"""Templates, what campaigns are for and on whose word, and the log of who changed that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from tests import factories

from tongdai.domain import accounts, audit, campaigns, compliance, routing
from tongdai.domain.accounts import Caller, Role
from tongdai.domain.audit import Entry
from tongdai.domain.campaigns import (
    BadTransitionError,
    Campaign,
    CampaignConfig,
    CampaignInvalidError,
    DeclaredField,
    PartNotFoundError,
    TemplateConfig,
    TemplateNotFoundError,
)
from tongdai.kit.clock import VIETNAM
from tongdai.kit.db import Database, Tx
from tongdai.kit.errors import ForbiddenError

pytestmark = pytest.mark.anyio

TODAY = datetime.now(VIETNAM).date()
FIELDS = (DeclaredField("ten", required=True), DeclaredField("tien", "integer", default=0))


@pytest.fixture
async def cast(db: Database) -> factories.Cast:
    return await factories.cast(db)


async def config_of(tx: Tx, owner: factories.Person, **more: Any) -> TemplateConfig:
    model = await factories.campaign(tx, owner, state="draft")
    values: dict[str, Any] = {
        "kind": "voice",
        "purpose": "survey",
        "script_id": model.script_id,
        "hotline_ids": tuple(model.hotline_ids),
    }
    return TemplateConfig(**values | more)


async def attested(
    tx: Tx, owner: factories.Person, purpose: str = "advertising", advertiser: str = ""
) -> int:
    """An attestation of the account."""
    new = compliance.NewAttestation(
        purpose=purpose,
        obtained_at=datetime(2026, 11, 1, tzinfo=UTC),
        method="web",
        evidence="forms of October",
        advertiser=advertiser,
    )
    now = datetime(2026, 11, 21, tzinfo=UTC)
    return (await compliance.attest(tx, owner.account_id, owner.user.id, new, now)).id


def replaced(config: TemplateConfig, **values: Any) -> TemplateConfig:
    return msgspec.structs.replace(config, **values)


async def branded(tx: Tx, owner: factories.Person, until: date = TODAY) -> int:
    """A hotline with a brand name."""
    line = await factories.hotline(tx, owner.account_id)
    await routing.update_hotline(tx, owner.account_id, line.id, brand_name="HOA SEN", brand_until=until)
    return line.id


async def log_of(tx: Tx, person: factories.Person) -> list[Entry]:
    return await audit.list_entries(tx, person.account_id, after=0, limit=100)


def paths(refused: pytest.ExceptionInfo[CampaignInvalidError]) -> list[str]:
    errors = refused.value.facts["errors"]
    assert isinstance(errors, list)
    return [path for path, _ in errors]


async def test_a_template_makes_campaigns_until_it_is_archived(tx: Tx, cast: factories.Cast) -> None:
    model = await factories.campaign(tx, cast.owner)
    config = TemplateConfig(
        kind="voice",
        purpose="survey",
        script_id=model.script_id,
        hotline_ids=tuple(model.hotline_ids),
        config=CampaignConfig(max_attempts=4),
        max_cps=3.0,
    )
    account_id, user_id = cast.owner.account_id, cast.owner.user.id
    template = await campaigns.create_template(tx, account_id, name="Khảo sát", config=config)
    assert await campaigns.get_template(tx, account_id, template.id) == template
    made = await campaigns.create_from_template(tx, account_id, user_id, template.id, name="Tháng 11")
    assert (made.template_id, made.purpose, made.config.max_attempts, made.max_cps) == (
        template.id,
        "survey",
        4,
        3.0,
    )
    renamed = await campaigns.update_template(tx, cast.owner.caller, template.id, name="Mới", config=config)
    assert renamed.name == "Mới"
    await campaigns.archive_template(tx, cast.owner.caller, template.id)
    assert [
        one.archived_at is not None
        for one in await campaigns.list_templates(tx, account_id, after=0, limit=9)
    ] == [True]
    for refused in (
        campaigns.create_from_template(tx, account_id, user_id, template.id, name="x"),
        campaigns.update_template(tx, cast.owner.caller, template.id, name="x", config=config),
        campaigns.archive_template(tx, cast.owner.caller, template.id),
    ):
        with pytest.raises(TemplateNotFoundError):
            await refused


async def test_a_stranger_finds_no_template_and_can_name_nothing_of_ours(
    tx: Tx, cast: factories.Cast
) -> None:
    model = await factories.campaign(tx, cast.owner)
    config = TemplateConfig(
        kind="voice", purpose="survey", script_id=model.script_id, hotline_ids=tuple(model.hotline_ids)
    )
    template = await campaigns.create_template(tx, cast.owner.account_id, name="x", config=config)
    stranger = cast.stranger
    for refused in (
        campaigns.get_template(tx, stranger.account_id, template.id),
        campaigns.create_from_template(tx, stranger.account_id, stranger.user.id, template.id, name="x"),
        campaigns.update_template(tx, stranger.caller, template.id, name="x", config=config),
        campaigns.archive_template(tx, stranger.caller, template.id),
    ):
        with pytest.raises(TemplateNotFoundError):
            await refused
    assert await campaigns.list_templates(tx, stranger.account_id, after=0, limit=9) == []
    with pytest.raises(PartNotFoundError):
        await campaigns.create_template(tx, stranger.account_id, name="x", config=config)
    assert (await campaigns.get_template(tx, cast.colleague.account_id, template.id)).name == "x"


async def test_a_campaign_from_a_template_has_all_that_it_says(tx: Tx, cast: factories.Cast) -> None:
    owner = cast.owner
    attestation_id = await attested(tx, owner, "survey", "Hoa Sen")
    config = await config_of(
        tx,
        owner,
        fields=FIELDS,
        advertiser="Hoa Sen",
        attestation_id=attestation_id,
        max_channels=3,
        takes_imports=False,
    )
    template = await campaigns.create_template(tx, owner.account_id, name="x", config=config)
    made = await campaigns.create_from_template(tx, owner.account_id, owner.user.id, template.id, name="y")
    assert (made.fields, made.advertiser, made.attestation_id) == (FIELDS, "Hoa Sen", attestation_id)
    assert (made.max_channels, made.takes_imports, made.state) == (3, False, "draft")
    assert await campaigns.get_campaign(tx, owner.account_id, made.id) == made


async def test_a_campaign_from_a_template_may_begin_at_once_and_in_another_project(
    tx: Tx, cast: factories.Cast
) -> None:
    owner = cast.owner
    own, other = [await accounts.create_project(tx, owner.account_id, code=code, name=code) for code in "ab"]
    theirs = await accounts.create_project(tx, cast.stranger.account_id, code="c", name="c")
    template = await campaigns.create_template(
        tx, owner.account_id, name="x", config=await config_of(tx, owner), project_id=own.id
    )

    async def made(**more: Any) -> Campaign:
        ids = (owner.account_id, owner.user.id, template.id)
        return await campaigns.create_from_template(tx, *ids, name="y", **more)

    assert (await made()).project_id == own.id
    running = await made(state="running", project_id=other.id)
    assert (running.project_id, running.state, running.started_at is not None) == (other.id, "running", True)
    with pytest.raises(PartNotFoundError):
        await made(project_id=theirs.id)


@pytest.mark.parametrize(
    ("of_template", "unpaid", "on_unpaid"),
    [(None, None, None), (None, "refuse", "refuse"), ("wait", "refuse", "wait"), ("refuse", None, "refuse")],
)
async def test_what_a_template_says_of_an_empty_wallet_goes_before_what_its_user_would_like(
    tx: Tx, cast: factories.Cast, of_template: Any, unpaid: Any, on_unpaid: Any
) -> None:
    owner = cast.owner
    config = await config_of(tx, owner, config=CampaignConfig(on_unpaid=of_template))
    template = await campaigns.create_template(tx, owner.account_id, name="x", config=config)
    ids = (owner.account_id, owner.user.id, template.id)
    made = await campaigns.create_from_template(tx, *ids, name="y", unpaid=unpaid)
    assert made.config.on_unpaid == on_unpaid


async def test_a_field_that_is_declared_badly_is_told_by_its_path(tx: Tx, cast: factories.Cast) -> None:
    config = await config_of(tx, cast.owner, fields=(*FIELDS, DeclaredField("ten")))
    with pytest.raises(CampaignInvalidError) as refused:
        await campaigns.create_template(tx, cast.owner.account_id, name="x", config=config)
    assert paths(refused) == ["fields[2].name"]
    with pytest.raises(CampaignInvalidError) as refused:
        await factories.campaign(tx, cast.owner, fields=[DeclaredField("a", "date", default="soon")])
    assert paths(refused) == ["fields[0].default"]


# --------------------------------------------------------------------------- brand names


@pytest.mark.parametrize("until", [None, TODAY - timedelta(days=1)], ids=["none", "expired"])
async def test_advertising_does_not_start_without_a_brand_name_that_is_valid(
    db: Database, cast: factories.Cast, until: date | None
) -> None:
    async with db.transaction() as tx:
        lines = [await branded(tx, cast.owner, until)] if until else None
        draft = await factories.campaign(
            tx, cast.owner, state="draft", purpose="advertising", hotline_ids=lines
        )
    attempts: list[Callable[[Tx], Awaitable[Campaign]]] = [
        lambda tx: campaigns.start_campaign(tx, cast.owner.caller, draft.id),
        lambda tx: factories.campaign(tx, cast.owner, purpose="advertising", hotline_ids=lines),
    ]
    for attempt in attempts:
        with pytest.raises(CampaignInvalidError) as refused:
            async with db.transaction() as tx:
                await attempt(tx)
        assert paths(refused) == ["hotline_ids"]
    async with db.autocommit() as tx:
        assert (await campaigns.get_campaign(tx, draft.account_id, draft.id)).state == "draft"


async def test_one_hotline_with_a_brand_name_is_enough_and_other_purposes_need_none(
    tx: Tx, cast: factories.Cast
) -> None:
    lines = [(await factories.hotline(tx, cast.owner.account_id)).id, await branded(tx, cast.owner)]
    draft = await factories.campaign(tx, cast.owner, state="draft", purpose="advertising", hotline_ids=lines)
    assert (await campaigns.start_campaign(tx, cast.owner.caller, draft.id)).state == "running"
    assert (await factories.campaign(tx, cast.owner, purpose="debt_reminder")).state == "running"


async def test_the_policy_in_force_says_which_purpose_needs_a_brand_name(
    tx: Tx, cast: factories.Cast
) -> None:
    policy = compliance.load_policies().at(datetime(2026, 11, 21, tzinfo=UTC))
    survey = await factories.campaign(tx, cast.owner, state="draft", purpose="survey")
    with pytest.raises(CampaignInvalidError):
        await campaigns.start_campaign(tx, cast.owner.caller, survey.id, policy=compliance.CLOSED)
    await tx.execute("UPDATE campaigns SET state = 'draft'")
    assert (
        await campaigns.start_campaign(tx, cast.owner.caller, survey.id, policy=policy)
    ).state == "running"
    advertising = await factories.campaign(tx, cast.owner, state="draft", purpose="advertising")
    with pytest.raises(CampaignInvalidError):
        await campaigns.start_campaign(tx, cast.owner.caller, advertising.id, policy=policy)


# --------------------------------------------------------------------------- attestations


async def test_an_attestation_must_be_ours_must_hold_and_must_say_what_the_campaign_is_for(
    tx: Tx, cast: factories.Cast
) -> None:
    owner = cast.owner
    theirs = await attested(tx, cast.stranger, "survey")
    ended = await attested(tx, owner, "survey")
    await compliance.end_attestation(tx, owner.account_id, ended, user_id=owner.user.id, reason="withdrawn")
    other_purpose, other_name = await attested(tx, owner), await attested(tx, owner, "survey", "Hoa Sen")
    good = await attested(tx, owner, "survey")
    draft = await factories.campaign(tx, owner, state="draft", purpose="survey")
    config = await config_of(tx, owner)

    attempts: list[Callable[[int], Awaitable[Any]]] = [
        lambda one: factories.campaign(tx, owner, purpose="survey", attestation_id=one),
        lambda one: campaigns.update_campaign(tx, owner.caller, draft.id, attestation_id=one),
        lambda one: campaigns.create_template(
            tx, owner.account_id, name="x", config=replaced(config, attestation_id=one)
        ),
    ]
    for attempt in attempts:
        for unknown in (theirs, 0, -1, 2**63, good + 1000):
            with pytest.raises(PartNotFoundError):
                await attempt(unknown)
        for unfit in (ended, other_purpose, other_name):
            with pytest.raises(CampaignInvalidError) as refused:
                await attempt(unfit)
            assert paths(refused) == ["attestation_id"]
        await attempt(good)


async def test_using_an_attestation_is_in_the_log_with_who_did_it(tx: Tx, cast: factories.Cast) -> None:
    attestation_id = await attested(tx, cast.owner, "survey")
    made = await factories.campaign(tx, cast.colleague, purpose="survey", attestation_id=attestation_id)
    await factories.campaign(tx, cast.owner, purpose="survey")
    (entry,) = await log_of(tx, cast.owner)
    assert (entry.action, entry.subject_id, entry.user_id) == (
        "campaign.attested",
        made.id,
        cast.colleague.user.id,
    )
    assert entry.before is None
    assert entry.after == {"purpose": "survey", "advertiser": "", "attestation_id": attestation_id}
    assert await log_of(tx, cast.stranger) == []


# --------------------------------------------------------------------------- purpose


async def test_an_owner_changes_the_purpose_of_a_draft_and_that_is_in_the_log(
    tx: Tx, cast: factories.Cast
) -> None:
    owner = cast.owner
    draft = await factories.campaign(tx, owner, state="draft", purpose="survey")
    changed = await campaigns.update_campaign(
        tx, owner.caller, draft.id, purpose="customer_care", advertiser="Hoa Sen", name="Mới"
    )
    assert (changed.purpose, changed.advertiser, changed.name) == ("customer_care", "Hoa Sen", "Mới")
    (entry,) = await log_of(tx, owner)
    assert (entry.action, entry.subject_id, entry.user_id) == ("campaign.changed", draft.id, owner.user.id)
    assert entry.before == {"purpose": "survey", "advertiser": ""}
    assert entry.after == {"purpose": "customer_care", "advertiser": "Hoa Sen"}


async def test_a_change_that_changes_nothing_of_what_it_is_for_is_not_in_the_log(
    tx: Tx, cast: factories.Cast
) -> None:
    draft = await factories.campaign(tx, cast.owner, state="draft", purpose="survey")
    await campaigns.update_campaign(tx, cast.owner.caller, draft.id, purpose="survey")
    await campaigns.update_campaign(tx, cast.owner.caller, draft.id, name="Mới")
    assert await log_of(tx, cast.owner) == []


@pytest.mark.parametrize("change", [{"purpose": "survey"}, {"advertiser": "x"}, {"attestation_id": None}])
async def test_only_an_owner_changes_what_a_campaign_is_for(
    tx: Tx, cast: factories.Cast, change: dict[str, Any]
) -> None:
    draft = await factories.campaign(tx, cast.owner, state="draft")
    with pytest.raises(ForbiddenError):
        await campaigns.update_campaign(tx, cast.colleague.caller, draft.id, **change)
    await campaigns.update_campaign(tx, cast.colleague.caller, draft.id, name="Mới")
    viewer = Caller(cast.owner.account_id, cast.owner.user.id, Role.VIEWER, "account")
    with pytest.raises(ForbiddenError):
        await campaigns.update_campaign(tx, viewer, draft.id, name="x")


async def test_the_purpose_of_what_has_run_stays_and_a_paused_campaign_may_get_an_attestation(
    db: Database, cast: factories.Cast
) -> None:
    async with db.transaction() as tx:
        attestation_id = await attested(tx, cast.owner, "survey")
        paused = await factories.campaign(tx, cast.owner, state="paused", purpose="survey")
    changes: list[dict[str, Any]] = [{"purpose": "transactional"}, {"advertiser": "Hoa Sen"}]
    for change in changes:
        with pytest.raises(BadTransitionError):
            async with db.transaction() as tx:
                await campaigns.update_campaign(tx, cast.owner.caller, paused.id, **change)
    async with db.transaction() as tx:
        changed = await campaigns.update_campaign(
            tx, cast.owner.caller, paused.id, attestation_id=attestation_id
        )
        assert (changed.purpose, changed.attestation_id) == ("survey", attestation_id)
        removed = await campaigns.update_campaign(tx, cast.owner.caller, paused.id, attestation_id=None)
        assert removed.attestation_id is None
        assert [entry.after for entry in await log_of(tx, cast.owner)] == [
            {"attestation_id": attestation_id},
            {"attestation_id": None},
        ]


async def test_a_draft_cannot_be_given_a_purpose_that_its_kind_or_its_attestation_contradicts(
    tx: Tx, cast: factories.Cast
) -> None:
    attestation_id = await attested(tx, cast.owner, "survey")
    draft = await factories.campaign(
        tx, cast.owner, state="draft", purpose="survey", attestation_id=attestation_id
    )
    changes: list[tuple[dict[str, Any], str]] = [
        ({"purpose": "otp"}, "kind"),
        ({"purpose": "advertising"}, "attestation_id"),
        ({"advertiser": "Hoa Sen"}, "attestation_id"),
        ({"advertiser": " x"}, "advertiser"),
        ({"advertiser": "x" * 256}, "advertiser"),
        ({"advertiser": "a\x00"}, "advertiser"),
    ]
    for change, path in changes:
        with pytest.raises(CampaignInvalidError) as refused:
            await campaigns.update_campaign(tx, cast.owner.caller, draft.id, **change)
        assert paths(refused) == [path]
    await campaigns.update_campaign(
        tx, cast.owner.caller, draft.id, purpose="transactional", attestation_id=None
    )


# --------------------------------------------------------------------------- the log


async def test_every_change_of_a_template_is_in_the_log(tx: Tx, cast: factories.Cast) -> None:
    owner = cast.owner
    config = await config_of(tx, owner)
    template = await campaigns.create_template(
        tx, owner.account_id, name="x", config=config, by=owner.user.id
    )
    await campaigns.update_template(tx, cast.colleague.caller, template.id, name="y", config=config)
    await campaigns.update_template(tx, cast.colleague.caller, template.id, name="y", config=config)
    await campaigns.archive_template(tx, owner.caller, template.id)
    created, changed, archived = await log_of(tx, owner)
    assert [created.action, changed.action, archived.action] == [
        "template.created",
        "template.changed",
        "template.archived",
    ]
    assert [created.user_id, changed.user_id] == [owner.user.id, cast.colleague.user.id]
    assert {created.subject_id, changed.subject_id, archived.subject_id} == {template.id}
    assert created.before is None
    assert created.after is not None
    assert created.after.items() >= {"name": "x", "purpose": "survey"}.items()
    assert created.after == changed.before
    assert changed.after == {**created.after, "name": "y"} == archived.before
    assert archived.after is None


async def test_only_an_owner_changes_what_a_templates_campaigns_are_for(tx: Tx, cast: factories.Cast) -> None:
    config = await config_of(tx, cast.owner)
    template = await campaigns.create_template(tx, cast.owner.account_id, name="x", config=config)
    attestation_id = await attested(tx, cast.owner, "survey")
    for changed in (
        replaced(config, purpose="transactional"),
        replaced(config, advertiser="Hoa Sen"),
        replaced(config, attestation_id=attestation_id),
    ):
        with pytest.raises(ForbiddenError):
            await campaigns.update_template(tx, cast.colleague.caller, template.id, name="x", config=changed)
        await campaigns.update_template(tx, cast.owner.caller, template.id, name="x", config=changed)
        await campaigns.update_template(tx, cast.owner.caller, template.id, name="x", config=config)


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_log SET user_id = NULL", "DELETE FROM audit_log"], ids=["change", "removal"]
)
async def test_the_log_is_only_ever_added_to(db: Database, cast: factories.Cast, statement: Any) -> None:
    async with db.autocommit() as tx:
        await audit.record(tx, cast.owner.account_id, None, "template.archived", 1)
        with pytest.raises(psycopg.IntegrityError):
            await tx.execute(statement)
        assert len(await log_of(tx, cast.owner)) == 1
