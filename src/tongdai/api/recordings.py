"""Recordings of calls: what there is, links to hear it by, and how long it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from litestar import delete, get, put
from litestar.params import JSONBody, QueryParameter

from tongdai.api.auth import NEEDS_OWNER, CalledBy, Wired
from tongdai.api.bodies import MAX_ID
from tongdai.api.paging import Cursor, Limit, after, to_cursor
from tongdai.api.params import CallId, CampaignId, RecordingId
from tongdai.api.problems import answers
from tongdai.api.recording_shapes import (
    CallRecordings,
    Recording,
    RecordingPage,
    RecordingRule,
    RuleInForce,
)
from tongdai.domain import calls, campaigns, recordings
from tongdai.domain.recordings import Links, NoMp3HereError, RecordingFilter, Rule, State
from tongdai.kit.db import Tx
from tongdai.ports.services import Services

TAGS = ["Recordings"]

OfCampaign = Annotated[
    int | None, QueryParameter(ge=1, le=MAX_ID, description="Only recordings of this campaign's calls.")
]
InState = Annotated[
    State | None,
    QueryParameter(
        name="state", description="Only those in this state. Deleted ones are not among them at all."
    ),
]


@get(
    "/recordings", operation_id="listRecordings", summary="List recordings", tags=TAGS, responses=answers(404)
)
async def list_recordings(
    services: Wired,
    caller: CalledBy,
    campaign_id: OfCampaign = None,
    in_state: InState = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> RecordingPage:
    """The recordings of the account, oldest first, each with links to hear it by. Each request looks at
    10,000 at most, so that a page may hold few or none: go on with `next` until it is null.
    """
    wanted = RecordingFilter(campaign_id, in_state)
    async with services.db.transaction() as tx:
        if campaign_id is not None:
            await campaigns.get_campaign(tx, caller.account_id, campaign_id)
        found = await recordings.list_recordings(
            tx, caller.account_id, wanted, after=after(cursor), limit=limit
        )
    further = None if found.further is None else to_cursor(found.further)
    return RecordingPage(_shown(services, found.recordings), further)


@get(
    "/recordings/{recording_id:str}",
    operation_id="getRecording",
    summary="Get a recording",
    tags=TAGS,
    responses=answers(404),
)
async def get_recording(services: Wired, caller: CalledBy, recording_id: RecordingId) -> Recording:
    """One recording, with links to hear it by, good for an hour unless the operator says otherwise."""
    async with services.db.transaction() as tx:
        row = await recordings.get_recording(tx, caller.account_id, recording_id)
    return _shown(services, [row])[0]


@get(
    "/calls/{call_id:str}/recordings",
    operation_id="listCallRecordings",
    summary="List a call's recordings",
    tags=TAGS,
    responses=answers(404),
)
async def list_call_recordings(services: Wired, caller: CalledBy, call_id: CallId) -> CallRecordings:
    """What was recorded of a campaign's call, of all its attempts."""
    async with services.db.transaction() as tx:
        await calls.get_call(tx, caller.account_id, call_id)
        rows = await recordings.of_calls(tx, caller.account_id, [call_id])
    return CallRecordings(_shown(services, rows))


@delete(
    "/recordings/{recording_id:str}",
    operation_id="deleteRecording",
    summary="Delete a recording",
    tags=TAGS,
    opt=NEEDS_OWNER,
    responses=answers(404),
)
async def delete_recording(services: Wired, caller: CalledBy, recording_id: RecordingId) -> None:
    """Nobody can hear it from now on, whatever links there are; the files go within a minute or so. The
    audit log keeps who deleted it. An owner's key is needed.
    """
    async with services.db.transaction() as tx:
        await recordings.delete_recording(
            tx, caller.account_id, caller.user_id, recording_id, services.clock.now()
        )


@get(
    "/recording-rule",
    operation_id="getRecordingRule",
    summary="Get the account's rule",
    tags=TAGS,
    responses=answers(),
)
async def get_rule(services: Wired, caller: CalledBy) -> RuleInForce:
    """How long recordings are kept where their campaign has no rule of its own."""
    async with services.db.transaction() as tx:
        return await _in_force(tx, caller.account_id, None)


@put(
    "/recording-rule",
    operation_id="setRecordingRule",
    summary="Set the account's rule",
    tags=TAGS,
    opt=NEEDS_OWNER,
    responses=answers(409, 413),
)
async def set_rule(services: Wired, caller: CalledBy, data: JSONBody[RecordingRule]) -> RuleInForce:
    """For campaigns without a rule of their own. Recordings that are there already follow within minutes:
    what is older than `keep_days` is deleted then. An owner's key is needed; 409 when `mp3` is asked for and
    nothing that makes them is installed.
    """
    return await _set(services, caller, None, data)


@get(
    "/campaigns/{campaign_id:str}/recording-rule",
    operation_id="getCampaignRecordingRule",
    summary="Get a campaign's rule",
    tags=TAGS,
    responses=answers(404),
)
async def get_campaign_rule(services: Wired, caller: CalledBy, campaign_id: CampaignId) -> RuleInForce:
    """How long recordings of the campaign are kept: by its own rule, or by the account's."""
    async with services.db.transaction() as tx:
        await campaigns.get_campaign(tx, caller.account_id, campaign_id)
        return await _in_force(tx, caller.account_id, campaign_id)


@put(
    "/campaigns/{campaign_id:str}/recording-rule",
    operation_id="setCampaignRecordingRule",
    summary="Set a campaign's rule",
    tags=TAGS,
    opt=NEEDS_OWNER,
    responses=answers(404, 409, 413),
)
async def set_campaign_rule(
    services: Wired, caller: CalledBy, campaign_id: CampaignId, data: JSONBody[RecordingRule]
) -> RuleInForce:
    """In the place of the account's rule. Recordings that are there already follow within minutes. An owner's
    key is needed.
    """
    return await _set(services, caller, campaign_id, data)


@delete(
    "/campaigns/{campaign_id:str}/recording-rule",
    operation_id="deleteCampaignRecordingRule",
    summary="Delete a campaign's rule",
    tags=TAGS,
    opt=NEEDS_OWNER,
    responses=answers(404),
)
async def delete_campaign_rule(services: Wired, caller: CalledBy, campaign_id: CampaignId) -> None:
    """The account's rule holds again. Harmless when there is none. An owner's key is needed."""
    async with services.db.transaction() as tx:
        await campaigns.get_campaign(tx, caller.account_id, campaign_id)
        await recordings.set_rule(
            tx, caller.account_id, caller.user_id, campaign_id, None, services.clock.now()
        )


async def _set(
    services: Services, caller: CalledBy, campaign_id: int | None, data: RecordingRule
) -> RuleInForce:
    if data.mp3 and not services.recordings.makes_mp3:
        raise NoMp3HereError
    async with services.db.transaction() as tx:
        if campaign_id is not None:
            await campaigns.get_campaign(tx, caller.account_id, campaign_id)
        await recordings.set_rule(
            tx, caller.account_id, caller.user_id, campaign_id, data.rule(), services.clock.now()
        )
        return await _in_force(tx, caller.account_id, campaign_id)


async def _in_force(tx: Tx, account_id: int, campaign_id: int | None) -> RuleInForce:
    own = None if campaign_id is None else await recordings.rule_of(tx, account_id, campaign_id)
    if own is not None:
        return RuleInForce.of(own, "campaign")
    general = await recordings.rule_of(tx, account_id)
    return RuleInForce.of(general or Rule(), "account" if general else "default")


def _shown(services: Services, rows: Sequence[recordings.Recording]) -> list[Recording]:
    links, now = Links(services.keyring, services.recordings), services.clock.now()
    return [Recording.of(row, links, now) for row in rows]


HANDLERS = [
    list_recordings,
    get_recording,
    list_call_recordings,
    delete_recording,
    get_rule,
    set_rule,
    get_campaign_rule,
    set_campaign_rule,
    delete_campaign_rule,
]
