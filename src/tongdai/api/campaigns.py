"""Campaigns: their life, their contacts and their progress."""

from __future__ import annotations

from litestar import get, patch, post
from litestar.params import JSONBody

from tongdai.api.auth import CalledBy, Wired
from tongdai.api.campaign_shapes import (
    Campaign,
    CampaignChange,
    CampaignPage,
    NewCampaign,
    Progress,
    declared,
)
from tongdai.api.paging import Cursor, Limit, after, cut
from tongdai.api.params import CampaignId
from tongdai.api.problems import answers
from tongdai.domain import campaigns, dialer

TAGS = ["Campaigns"]


@post(
    "/campaigns",
    operation_id="createCampaign",
    summary="Create a campaign",
    tags=TAGS,
    responses=answers(404, 409, 413),
)
async def create_campaign(services: Wired, caller: CalledBy, data: JSONBody[NewCampaign]) -> Campaign:
    """A new campaign, as a draft; start it when it is ready. 404: a script, hotline or project is unknown."""
    async with services.db.transaction() as tx:
        row = await campaigns.create_campaign(
            tx,
            caller.account_id,
            caller.user_id,
            name=data.name,
            kind=data.kind,
            purpose=data.purpose,
            script_id=data.script_id,
            hotline_ids=data.hotline_ids,
            config=data.config,
            max_channels=data.max_channels,
            max_cps=data.max_cps,
            takes_imports=data.takes_imports,
            project_id=data.project_id,
            fields=declared(data.fields),
            advertiser=data.advertiser,
            attestation_id=data.attestation_id,
        )
    return Campaign.of(row)


@get("/campaigns", operation_id="listCampaigns", summary="List campaigns", tags=TAGS, responses=answers())
async def list_campaigns(
    services: Wired, caller: CalledBy, limit: Limit = 100, cursor: Cursor = None
) -> CampaignPage:
    """The campaigns of the account, oldest first."""
    async with services.db.transaction() as tx:
        rows = await campaigns.list_campaigns(tx, caller.account_id, after=after(cursor), limit=limit + 1)
        is_dialled = await dialer.is_any_alive(tx)
    shown, further = cut(rows, limit)
    return CampaignPage([Campaign.of(row, is_dialled=is_dialled) for row in shown], further)


@get(
    "/campaigns/{campaign_id:str}",
    operation_id="getCampaign",
    summary="Get a campaign",
    tags=TAGS,
    responses=answers(404),
)
async def get_campaign(services: Wired, caller: CalledBy, campaign_id: CampaignId) -> Campaign:
    """One campaign with its configuration."""
    async with services.db.transaction() as tx:
        row = await campaigns.get_campaign(tx, caller.account_id, campaign_id)
        return Campaign.of(row, is_dialled=await dialer.is_any_alive(tx))


@patch(
    "/campaigns/{campaign_id:str}",
    operation_id="updateCampaign",
    summary="Change a campaign",
    tags=TAGS,
    responses=answers(404, 409, 413),
)
async def update_campaign(
    services: Wired, caller: CalledBy, campaign_id: CampaignId, data: JSONBody[CampaignChange]
) -> Campaign:
    """Change name, hotlines, configuration or caps. 409 unless it is a draft or paused.

    Purpose, advertiser and attestation are for owners (403), purpose and advertiser of a draft alone; each
    change of them is in the audit log.
    """
    async with services.db.transaction() as tx:
        row = await campaigns.update_campaign(tx, caller, campaign_id, **data.given())
    return Campaign.of(row)


@post(
    "/campaigns/{campaign_id:str}/start",
    operation_id="startCampaign",
    summary="Start a campaign",
    tags=TAGS,
    status_code=200,
    responses=answers(404, 409),
)
async def start_campaign(services: Wired, caller: CalledBy, campaign_id: CampaignId) -> Campaign:
    """From draft or stopped to running. 409 from any other state.

    400 for a campaign whose purpose needs a brand name, when none of its hotlines has one that is valid.
    """
    async with services.db.transaction() as tx:
        row = await campaigns.start_campaign(tx, caller, campaign_id, policy=services.policy_now())
    await services.hinter.wake(campaign_id)
    return Campaign.of(row)


@post(
    "/campaigns/{campaign_id:str}/pause",
    operation_id="pauseCampaign",
    summary="Pause a campaign",
    tags=TAGS,
    status_code=200,
    responses=answers(404, 409),
)
async def pause_campaign(services: Wired, caller: CalledBy, campaign_id: CampaignId) -> Campaign:
    """From running to paused: nothing new is dialled, calls that are up go on. 409 from any other state."""
    async with services.db.transaction() as tx:
        return Campaign.of(await campaigns.pause_campaign(tx, caller, campaign_id))


@post(
    "/campaigns/{campaign_id:str}/resume",
    operation_id="resumeCampaign",
    summary="Resume a campaign",
    tags=TAGS,
    status_code=200,
    responses=answers(404, 409),
)
async def resume_campaign(services: Wired, caller: CalledBy, campaign_id: CampaignId) -> Campaign:
    """From paused to running. 409 from any other state."""
    async with services.db.transaction() as tx:
        row = await campaigns.resume_campaign(tx, caller, campaign_id)
    await services.hinter.wake(campaign_id)
    return Campaign.of(row)


@post(
    "/campaigns/{campaign_id:str}/stop",
    operation_id="stopCampaign",
    summary="Stop a campaign",
    tags=TAGS,
    status_code=200,
    responses=answers(404, 409),
)
async def stop_campaign(services: Wired, caller: CalledBy, campaign_id: CampaignId) -> Campaign:
    """From running or paused to stopped. What is queued stays, and is dialled when it is started again."""
    async with services.db.transaction() as tx:
        return Campaign.of(await campaigns.stop_campaign(tx, caller, campaign_id))


@get(
    "/campaigns/{campaign_id:str}/progress",
    operation_id="getProgress",
    summary="See how far a campaign is",
    tags=TAGS,
    responses=answers(404),
)
async def get_progress(services: Wired, caller: CalledBy, campaign_id: CampaignId) -> Progress:
    """How many calls are queued, up and done, by outcome, and why nothing is dialled when nothing is."""
    async with services.db.transaction() as tx:
        progress = await campaigns.progress(tx, caller.account_id, campaign_id)
        return Progress.of(progress, is_dialled=await dialer.is_any_alive(tx))


HANDLERS = [
    create_campaign,
    list_campaigns,
    get_campaign,
    update_campaign,
    start_campaign,
    pause_campaign,
    resume_campaign,
    stop_campaign,
    get_progress,
]
