"""Use cases of campaigns. Imports are in `importing.py`, templates in `templates.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TypedDict, Unpack

from tongdai.domain import audit
from tongdai.domain.accounts import Caller, Role
from tongdai.domain.campaigns.checks import (
    config_faults,
    is_id,
    mandate_faults,
    require_attestation,
    require_brand_name,
    require_parts,
    require_script,
    require_sound,
)
from tongdai.domain.campaigns.declared import DeclaredField, declared_faults
from tongdai.domain.campaigns.errors import (
    BadTransitionError,
    CampaignInvalidError,
    CampaignNotFoundError,
)
from tongdai.domain.campaigns.model import (
    TRANSITIONS,
    Campaign,
    CampaignConfig,
    CampaignState,
    Kind,
    Mandate,
    Progress,
    Purpose,
)
from tongdai.domain.campaigns.store import campaigns as store
from tongdai.domain.compliance import Policy
from tongdai.kit.db import Tx


class CampaignChanges(TypedDict, total=False):
    """What `update_campaign` may change; what is left out stays."""

    name: str
    hotline_ids: Sequence[int]
    config: CampaignConfig
    max_channels: int | None
    max_cps: float | None
    purpose: Purpose
    advertiser: str
    attestation_id: int | None


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
    fields: Sequence[DeclaredField] = (),
    advertiser: str = "",
    attestation_id: int | None = None,
    policy: Policy | None = None,
) -> Campaign:
    """A campaign with the present version of its script. `user_id` is whose call-log shows its calls, and who
    answers for using an attestation. `policy` (None: the law's own) says whether its purpose needs a brand
    name, without which it may not run.

    Raises:
        PartNotFoundError: user, script, project, attestation or one of the hotlines is not the account's.
        CampaignInvalidError: no hotline, a cap out of range, a schedule that cannot be, a name that is empty,
            too long or not storable, kind or purpose `otp` without the other, a script that reads a code
            without being given one or the reverse, a field declared badly, an attestation for something else;
            or it is to run at once and none of its hotlines has the brand name that its purpose needs.
    """
    more = [
        *mandate_faults(kind, purpose, advertiser),
        *declared_faults(fields),
        *config_faults(kind, config),
    ]
    require_sound(name, hotline_ids, config, max_channels, max_cps, more=more)
    parts = await require_parts(
        tx, account_id, script_id=script_id, hotline_ids=hotline_ids, user_id=user_id, project_id=project_id
    )
    require_script(parts, kind)
    mandate = Mandate(purpose, advertiser, attestation_id)
    await require_attestation(tx, account_id, mandate)
    if state == CampaignState.RUNNING:
        require_brand_name(parts.branded, purpose, policy)
    values = {
        "account_id": account_id,
        "user_id": user_id,
        "project_id": project_id,
        "template_id": template_id,
        "name": name,
        "kind": kind,
        "state": state,
        "takes_imports": takes_imports,
        "script_id": script_id,
        "script_version": parts.script_version,
        "hotline_ids": list(hotline_ids),
        "max_channels": max_channels,
        "max_cps": max_cps,
        **asdict(mandate),
    }
    made = await store.insert_campaign(tx, values, config, fields)
    if attestation_id is not None:
        await audit.record(tx, account_id, user_id, "campaign.attested", made.id, after=asdict(mandate))
    return made


async def get_campaign(tx: Tx, account_id: int, campaign_id: int) -> Campaign:
    """Raises CampaignNotFoundError."""
    found = await store.get_campaign(tx, account_id, campaign_id) if is_id(campaign_id) else None
    if found is None:
        raise CampaignNotFoundError(campaign_id=campaign_id)
    return found


async def list_campaigns(tx: Tx, account_id: int, *, after: int, limit: int) -> list[Campaign]:
    """Campaigns in id order, from the first id above `after` on."""
    return await store.list_campaigns(tx, account_id, after, limit)


_MANDATE = frozenset({"purpose", "advertiser", "attestation_id"})


async def update_campaign(
    tx: Tx, caller: Caller, campaign_id: int, **changes: Unpack[CampaignChanges]
) -> Campaign:
    """Changes a draft or a paused campaign. Purpose and advertiser are a draft's alone; they and the
    attestation are for owners, and their change is in the audit log.

    Raises:
        ForbiddenError: the caller's role is too low.
        CampaignNotFoundError: no such campaign in the caller's account.
        BadTransitionError: it is in another state.
        PartNotFoundError: a hotline or the attestation is not the account's.
        CampaignInvalidError: a bad name, cap, schedule or purpose, no hotline, an attestation for something
            else, or duplicates forbidden once there are calls, when what came before cannot be told from what
            comes.
    """
    mandate: dict[str, object] = {name: value for name, value in changes.items() if name in _MANDATE}
    caller.require(Role.OWNER if mandate else Role.OPERATOR)
    old = await get_campaign(tx, caller.account_id, campaign_id)
    name = changes.get("name", old.name)
    hotline_ids = changes.get("hotline_ids", old.hotline_ids)
    config = changes.get("config", old.config)
    caps = (changes.get("max_channels", old.max_channels), changes.get("max_cps", old.max_cps))
    await _require_mandate(tx, old, changes)
    more = list(config_faults(old.kind, config)) if "config" in changes else []
    require_sound(name, hotline_ids, config, *caps, more=more)
    if "hotline_ids" in changes:
        await require_parts(
            tx, old.account_id, script_id=None, hotline_ids=hotline_ids, user_id=None, project_id=None
        )
    if "max_channels" in changes or "max_cps" in changes:
        await store.update_caps(tx, old, *caps)
    moved = await store.update_campaign(
        tx, old, name=name, hotline_ids=hotline_ids, config=config, mandate=mandate
    )
    if moved is None:
        state = (await get_campaign(tx, old.account_id, old.id)).state
        raise BadTransitionError(action="update", state=state)
    await _audit_mandate(tx, caller, campaign_id, *moved)
    forbids = old.config.allow_duplicates and not config.allow_duplicates
    if forbids and await store.has_calls(tx, old.account_id, old.id):
        message = "cannot be forbidden once the campaign has calls"
        raise CampaignInvalidError(errors=[("config.allow_duplicates", message)])
    return await get_campaign(tx, old.account_id, old.id)


async def _require_mandate(tx: Tx, old: Campaign, changes: CampaignChanges) -> None:
    """An attestation that was named before is held against a new purpose or advertiser too."""
    mandate = Mandate(
        changes.get("purpose", old.purpose),
        changes.get("advertiser", old.advertiser),
        changes.get("attestation_id", old.attestation_id),
    )
    if mandate == Mandate(old.purpose, old.advertiser, old.attestation_id):
        return
    faults = list(mandate_faults(old.kind, mandate.purpose, mandate.advertiser))
    if faults:
        raise CampaignInvalidError(errors=faults)
    await require_attestation(tx, old.account_id, mandate)


async def _audit_mandate(tx: Tx, caller: Caller, campaign_id: int, old: Mandate, new: Mandate) -> None:
    before, after = asdict(old), asdict(new)
    changed = [name for name in after if after[name] != before[name]]
    if changed:
        await audit.record(
            tx,
            caller.account_id,
            caller.user_id,
            "campaign.changed",
            campaign_id,
            before={name: before[name] for name in changed},
            after={name: after[name] for name in changed},
        )


async def start_campaign(
    tx: Tx, caller: Caller, campaign_id: int, *, policy: Policy | None = None
) -> Campaign:
    """From draft or stopped to running. After the commit, wake the dialer: `Hinter.wake(campaign.id)`.

    `policy` (None: the law's own) says whether its purpose needs a brand name; each dial asks again.

    Raises (the first three as do pause, resume and stop):
        ForbiddenError: the caller's role is too low.
        CampaignNotFoundError: no such campaign in the caller's account.
        BadTransitionError: its present state does not allow it; the state is among the facts.
        CampaignInvalidError: none of its hotlines has the brand name that its purpose needs.
    """
    started = await _move(tx, caller, campaign_id, "start")
    parts = await require_parts(
        tx,
        started.account_id,
        script_id=None,
        hotline_ids=started.hotline_ids,
        user_id=None,
        project_id=None,
    )
    require_brand_name(parts.branded, started.purpose, policy)
    return started


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
        blocked_by=row.blocked_by,
        next_due_at=row.next_due_at,
        waiting_reason=row.waiting_reason,
        waiting_since=row.waiting_since,
        waiting_until=row.waiting_until,
    )
