"""Use cases of campaigns and templates. Imports are in `importing.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, Unpack

from tongdai.domain.accounts import Caller, Role
from tongdai.domain.campaigns.checks import (
    is_id,
    mandate_faults,
    require_parts,
    require_script,
    require_sound,
    require_template,
)
from tongdai.domain.campaigns.errors import (
    BadTransitionError,
    CampaignInvalidError,
    CampaignNotFoundError,
    TemplateNotFoundError,
)
from tongdai.domain.campaigns.model import (
    TRANSITIONS,
    Campaign,
    CampaignConfig,
    Kind,
    Progress,
    Purpose,
    Template,
    TemplateConfig,
)
from tongdai.domain.campaigns.store import campaigns as store
from tongdai.kit.db import Tx


class CampaignChanges(TypedDict, total=False):
    """What `update_campaign` may change; what is left out stays."""

    name: str
    hotline_ids: Sequence[int]
    config: CampaignConfig
    max_channels: int | None
    max_cps: float | None


# --------------------------------------------------------------------------- campaigns


async def create_campaign(
    tx: Tx,
    account_id: int,
    user_id: int,
    *,
    name: str,
    kind: Kind,
    purpose: Purpose,
    script_id: int,
    hotline_ids: Sequence[int],
    config: CampaignConfig,
    max_channels: int | None = None,
    max_cps: float | None = None,
    takes_imports: bool = True,
    project_id: int | None = None,
    template_id: int | None = None,
    state: str = "draft",
) -> Campaign:
    """A campaign with the present version of its script. `user_id` is whose call-log shows its calls.

    Raises:
        PartNotFoundError: user, script, project or one of the hotlines is not the account's.
        CampaignInvalidError: no hotline, a cap out of range, a schedule that cannot be, a name that is empty,
            too long or not storable, kind or purpose `otp` without the other, or a script that reads a code
            without being given one or the reverse.
    """
    mandate = list(mandate_faults(kind, purpose))
    require_sound(name, hotline_ids, config, max_channels, max_cps, more=mandate)
    parts = await require_parts(
        tx, account_id, script_id=script_id, hotline_ids=hotline_ids, user_id=user_id, project_id=project_id
    )
    require_script(parts, kind)
    values = {
        "account_id": account_id,
        "user_id": user_id,
        "project_id": project_id,
        "template_id": template_id,
        "name": name,
        "kind": kind,
        "purpose": purpose,
        "state": state,
        "takes_imports": takes_imports,
        "script_id": script_id,
        "script_version": parts.script_version,
        "hotline_ids": list(hotline_ids),
        "max_channels": max_channels,
        "max_cps": max_cps,
    }
    return await store.insert_campaign(tx, values, config)


async def get_campaign(tx: Tx, account_id: int, campaign_id: int) -> Campaign:
    """Raises CampaignNotFoundError."""
    found = await store.get_campaign(tx, account_id, campaign_id) if is_id(campaign_id) else None
    if found is None:
        raise CampaignNotFoundError(campaign_id=campaign_id)
    return found


async def list_campaigns(tx: Tx, account_id: int, *, after: int, limit: int) -> list[Campaign]:
    """Campaigns in id order, from the first id above `after` on."""
    return await store.list_campaigns(tx, account_id, after, limit)


async def update_campaign(
    tx: Tx, account_id: int, campaign_id: int, **changes: Unpack[CampaignChanges]
) -> Campaign:
    """Changes a draft or a paused campaign.

    Raises:
        CampaignNotFoundError: no such campaign in this account.
        BadTransitionError: it is in another state.
        PartNotFoundError: a hotline is not the account's.
        CampaignInvalidError: a bad name, cap or schedule, no hotline, or duplicates forbidden once there are
            calls, when what came before cannot be told from what comes.
    """
    old = await get_campaign(tx, account_id, campaign_id)
    name = changes.get("name", old.name)
    hotline_ids = changes.get("hotline_ids", old.hotline_ids)
    config = changes.get("config", old.config)
    channels = changes.get("max_channels", old.max_channels)
    cps = changes.get("max_cps", old.max_cps)
    require_sound(name, hotline_ids, config, channels, cps)
    if "hotline_ids" in changes:
        await require_parts(
            tx,
            account_id,
            script_id=None,
            hotline_ids=hotline_ids,
            user_id=old.user_id,
            project_id=old.project_id,
        )
    if "max_channels" in changes or "max_cps" in changes:
        await store.update_caps(tx, old, channels, cps)
    if not await store.update_campaign(tx, old, name=name, hotline_ids=hotline_ids, config=config):
        state = (await get_campaign(tx, account_id, campaign_id)).state
        raise BadTransitionError(action="update", state=state)
    forbids = old.config.allow_duplicates and not config.allow_duplicates
    if forbids and await store.has_calls(tx, account_id, campaign_id):
        message = "cannot be forbidden once the campaign has calls"
        raise CampaignInvalidError(errors=[("config.allow_duplicates", message)])
    return await get_campaign(tx, account_id, campaign_id)


async def start_campaign(tx: Tx, caller: Caller, campaign_id: int) -> Campaign:
    """From draft or stopped to running. After the commit, wake the dialer: `Hinter.wake(campaign.id)`.

    Raises (as do pause, resume and stop):
        ForbiddenError: the caller's role is too low.
        CampaignNotFoundError: no such campaign in the caller's account.
        BadTransitionError: its present state does not allow it; the state is among the facts.
    """
    return await _move(tx, caller, campaign_id, "start")


async def pause_campaign(tx: Tx, caller: Caller, campaign_id: int) -> Campaign:
    """From running to paused: nothing new is dialled, calls that are up go on."""
    return await _move(tx, caller, campaign_id, "pause")


async def resume_campaign(tx: Tx, caller: Caller, campaign_id: int) -> Campaign:
    """From paused to running. After the commit, wake the dialer: `Hinter.wake(campaign.id)`."""
    return await _move(tx, caller, campaign_id, "resume")


async def stop_campaign(tx: Tx, caller: Caller, campaign_id: int) -> Campaign:
    """From running or paused to stopped. What is queued stays."""
    return await _move(tx, caller, campaign_id, "stop")


async def finish_dry_campaigns(tx: Tx) -> list[int]:
    """Finishes running campaigns that take no imports and whose every call is done; returns their ids.

    A campaign that was never given a call is not finished.
    """
    return await store.finish_dry(tx)


async def _move(tx: Tx, caller: Caller, campaign_id: int, action: str) -> Campaign:
    transition = TRANSITIONS[action]
    assert transition.role is not None
    caller.require(Role(transition.role))
    before = await get_campaign(tx, caller.account_id, campaign_id)
    sources = [source.value for source in transition.sources]
    moved = await store.move_campaign(tx, caller.account_id, campaign_id, sources, transition.target.value)
    after = await get_campaign(tx, caller.account_id, before.id)
    if not moved:
        raise BadTransitionError(action=action, state=after.state)
    return after


# --------------------------------------------------------------------------- progress


async def progress(tx: Tx, account_id: int, campaign_id: int) -> Progress:
    """How far a campaign is, from counters. Raises CampaignNotFoundError."""
    row = await store.get_progress(tx, account_id, campaign_id) if is_id(campaign_id) else None
    if row is None:
        raise CampaignNotFoundError(campaign_id=campaign_id)
    done = sum(row.outcomes.values())
    # A transfer holds a second channel for the same call, so there may be more legs than calls.
    dialing = min(row.live, row.accepted - done)
    return Progress(
        campaign_id=row.campaign_id,
        state=row.state,
        accepted=row.accepted,
        queued=row.accepted - done - dialing,
        dialing=dialing,
        done=done,
        outcomes=row.outcomes,
        next_due_at=row.next_due_at,
        waiting_reason=row.waiting_reason,
        waiting_since=row.waiting_since,
        waiting_until=row.waiting_until,
    )


# --------------------------------------------------------------------------- templates


async def create_template(
    tx: Tx, account_id: int, *, name: str, config: TemplateConfig, project_id: int | None = None
) -> Template:
    """Raises PartNotFoundError and CampaignInvalidError, as `create_campaign` does."""
    await require_template(tx, account_id, name, config, project_id)
    return await store.insert_template(tx, account_id, project_id, name, config)


async def get_template(tx: Tx, account_id: int, template_id: int) -> Template:
    """A template, archived or not. Raises TemplateNotFoundError."""
    found = await store.get_template(tx, account_id, template_id) if is_id(template_id) else None
    if found is None:
        raise TemplateNotFoundError(template_id=template_id)
    return found


async def list_templates(tx: Tx, account_id: int, *, after: int, limit: int) -> list[Template]:
    """Templates in id order, archived ones too, from the first id above `after` on."""
    return await store.list_templates(tx, account_id, after, limit)


async def update_template(
    tx: Tx,
    account_id: int,
    template_id: int,
    *,
    name: str,
    config: TemplateConfig,
    project_id: int | None = None,
) -> Template:
    """Everything anew; campaigns made from it keep what they have. An archived one is not found."""
    await get_template(tx, account_id, template_id)
    await require_template(tx, account_id, name, config, project_id)
    updated = await store.update_template(tx, account_id, template_id, project_id, name, config)
    if updated is None:
        raise TemplateNotFoundError(template_id=template_id)
    return updated


async def archive_template(tx: Tx, account_id: int, template_id: int) -> None:
    """Raises TemplateNotFoundError, also when it was archived before."""
    if not is_id(template_id) or not await store.archive_template(tx, account_id, template_id):
        raise TemplateNotFoundError(template_id=template_id)


async def create_from_template(
    tx: Tx, account_id: int, user_id: int, template_id: int, *, name: str, state: str = "draft"
) -> Campaign:
    """A campaign with everything that the template says. An archived template is not found."""
    template = await get_template(tx, account_id, template_id)
    if template.archived_at is not None:
        raise TemplateNotFoundError(template_id=template_id)
    config = template.config
    return await create_campaign(
        tx,
        account_id,
        user_id,
        name=name,
        kind=config.kind,
        purpose=config.purpose,
        script_id=config.script_id,
        hotline_ids=config.hotline_ids,
        config=config.config,
        max_channels=config.max_channels,
        max_cps=config.max_cps,
        takes_imports=config.takes_imports,
        project_id=template.project_id,
        template_id=template.id,
        state=state,
    )
