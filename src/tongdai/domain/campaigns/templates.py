"""Use cases of templates: campaigns to be, as often as wanted."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tongdai.domain import audit
from tongdai.domain.accounts import Caller, Role
from tongdai.domain.campaigns.checks import is_id, require_template
from tongdai.domain.campaigns.errors import TemplateNotFoundError
from tongdai.domain.campaigns.model import Campaign, Template, TemplateConfig
from tongdai.domain.campaigns.service import create_campaign
from tongdai.domain.campaigns.store import campaigns as store
from tongdai.domain.compliance import Policy
from tongdai.kit.db import Tx


async def create_template(
    tx: Tx,
    account_id: int,
    *,
    name: str,
    config: TemplateConfig,
    project_id: int | None = None,
    by: int | None = None,
) -> Template:
    """A new template. `by` is the user for the audit log; None: the platform.

    Raises PartNotFoundError and CampaignInvalidError, as `create_campaign` does.
    """
    await require_template(tx, account_id, name, config, project_id)
    made = await store.insert_template(tx, account_id, project_id, name, config)
    await audit.record(tx, account_id, by, "template.created", made.id, after=_shown(made))
    return made


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
    caller: Caller,
    template_id: int,
    *,
    name: str,
    config: TemplateConfig,
    project_id: int | None = None,
) -> Template:
    """Everything anew; campaigns made from it keep what they have. An archived one is not found.

    Raises:
        ForbiddenError: the caller is no operator; or no owner, where purpose, advertiser or attestation
            change.
        TemplateNotFoundError: no such template in the caller's account.
        PartNotFoundError, CampaignInvalidError: as `create_campaign` does.
    """
    caller.require(Role.OPERATOR)
    old = await _locked(tx, caller.account_id, template_id)
    if _mandate(config) != _mandate(old.config):
        caller.require(Role.OWNER)
    await require_template(tx, caller.account_id, name, config, project_id)
    new = await store.update_template(tx, caller.account_id, template_id, project_id, name, config)
    if new != old:
        await audit.record(
            tx,
            caller.account_id,
            caller.user_id,
            "template.changed",
            template_id,
            before=_shown(old),
            after=_shown(new),
        )
    return new


async def archive_template(tx: Tx, caller: Caller, template_id: int) -> None:
    """Raises ForbiddenError, and TemplateNotFoundError also when it was archived before."""
    caller.require(Role.OPERATOR)
    old = await _locked(tx, caller.account_id, template_id)
    await store.archive_template(tx, caller.account_id, template_id)
    await audit.record(
        tx, caller.account_id, caller.user_id, "template.archived", template_id, before=_shown(old)
    )


async def create_from_template(
    tx: Tx,
    account_id: int,
    user_id: int,
    template_id: int,
    *,
    name: str,
    state: str = "draft",
    project_id: int | None = None,
    unpaid: Literal["wait", "refuse"] | None = None,
    takes_imports: bool | None = None,
    policy: Policy | None = None,
) -> Campaign:
    """A campaign with everything that the template says. An archived template is not found.

    `project_id` is another project than the template's. `unpaid` is what `on_unpaid` becomes where the
    template leaves it open; `takes_imports` counts instead of the template's. Raises what `create_campaign`
    does: what the template names may have changed since.
    """
    template = await get_template(tx, account_id, template_id)
    if template.archived_at is not None:
        raise TemplateNotFoundError(template_id=template_id)
    held = template.config
    config = held.config
    if config.on_unpaid is None and unpaid is not None:
        config = msgspec.structs.replace(config, on_unpaid=unpaid)
    return await create_campaign(
        tx,
        account_id,
        user_id,
        name=name,
        kind=held.kind,
        purpose=held.purpose,
        script_id=held.script_id,
        hotline_ids=held.hotline_ids,
        config=config,
        max_channels=held.max_channels,
        max_cps=held.max_cps,
        takes_imports=held.takes_imports if takes_imports is None else takes_imports,
        project_id=template.project_id if project_id is None else project_id,
        template_id=template.id,
        state=state,
        fields=held.fields,
        advertiser=held.advertiser,
        attestation_id=held.attestation_id,
        policy=policy,
    )


async def _locked(tx: Tx, account_id: int, template_id: int) -> Template:
    found = await store.lock_template(tx, account_id, template_id) if is_id(template_id) else None
    if found is None:
        raise TemplateNotFoundError(template_id=template_id)
    return found


def _mandate(config: TemplateConfig) -> tuple[str, str, int | None]:
    return config.purpose, config.advertiser, config.attestation_id


def _shown(template: Template) -> dict[str, Any]:
    """A template as the audit log keeps it."""
    return {"name": template.name, "project_id": template.project_id, **msgspec.to_builtins(template.config)}
