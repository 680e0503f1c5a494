"""Templates, and campaigns made from them."""

from __future__ import annotations

from litestar import delete, get, post, put
from litestar.params import JSONBody

from tongdai.api.auth import CalledBy, Wired
from tongdai.api.campaign_shapes import (
    Campaign,
    CampaignFromTemplate,
    NewTemplate,
    Template,
    TemplatePage,
    declared,
)
from tongdai.api.paging import Cursor, Limit, after, cut
from tongdai.api.params import TemplateId
from tongdai.api.problems import answers
from tongdai.domain import campaigns
from tongdai.domain.campaigns import TemplateConfig

TAGS = ["Templates"]


@post(
    "/templates",
    operation_id="createTemplate",
    summary="Create a template",
    tags=TAGS,
    responses=answers(404, 413),
)
async def create_template(services: Wired, caller: CalledBy, data: JSONBody[NewTemplate]) -> Template:
    """A new template. 404 when a script, hotline or project is unknown."""
    async with services.db.transaction() as tx:
        row = await campaigns.create_template(
            tx,
            caller.account_id,
            name=data.name,
            config=_config(data),
            project_id=data.project_id,
            by=caller.user_id,
        )
    return Template.of(row)


@get("/templates", operation_id="listTemplates", summary="List templates", tags=TAGS, responses=answers())
async def list_templates(
    services: Wired, caller: CalledBy, limit: Limit = 100, cursor: Cursor = None
) -> TemplatePage:
    """The templates of the account, oldest first; archived ones too."""
    async with services.db.transaction() as tx:
        rows = await campaigns.list_templates(tx, caller.account_id, after=after(cursor), limit=limit + 1)
    shown, further = cut(rows, limit)
    return TemplatePage([Template.of(row) for row in shown], further)


@get(
    "/templates/{template_id:str}",
    operation_id="getTemplate",
    summary="Get a template",
    tags=TAGS,
    responses=answers(404),
)
async def get_template(services: Wired, caller: CalledBy, template_id: TemplateId) -> Template:
    """One template."""
    async with services.db.transaction() as tx:
        return Template.of(await campaigns.get_template(tx, caller.account_id, template_id))


@put(
    "/templates/{template_id:str}",
    operation_id="replaceTemplate",
    summary="Replace a template",
    tags=TAGS,
    responses=answers(404, 413),
)
async def replace_template(
    services: Wired, caller: CalledBy, template_id: TemplateId, data: JSONBody[NewTemplate]
) -> Template:
    """Everything of the template anew. Campaigns that were made from it keep what they have.

    403: only an owner changes its purpose, advertiser or attestation.
    """
    async with services.db.transaction() as tx:
        row = await campaigns.update_template(
            tx,
            caller,
            template_id,
            name=data.name,
            config=_config(data),
            project_id=data.project_id,
        )
    return Template.of(row)


@delete(
    "/templates/{template_id:str}",
    operation_id="archiveTemplate",
    summary="Archive a template",
    tags=TAGS,
    responses=answers(404),
)
async def archive_template(services: Wired, caller: CalledBy, template_id: TemplateId) -> None:
    """No campaign can be made from it any more. 404 when it was archived before."""
    async with services.db.transaction() as tx:
        await campaigns.archive_template(tx, caller, template_id)


@post(
    "/templates/{template_id:str}/campaigns",
    operation_id="createCampaignFromTemplate",
    summary="Create a campaign from a template",
    tags=TAGS,
    responses=answers(404, 409, 413),
)
async def create_campaign_from_template(
    services: Wired,
    caller: CalledBy,
    template_id: TemplateId,
    data: JSONBody[CampaignFromTemplate],
) -> Campaign:
    """A new campaign with everything that the template says, as a draft or running at once.

    404: the template, or something that it names, is not there any more. 400: that has changed so much that
    the template makes no campaign now.
    """
    async with services.db.transaction() as tx:
        row = await campaigns.create_from_template(
            tx,
            caller.account_id,
            caller.user_id,
            template_id,
            name=data.name,
            state=data.state,
            project_id=data.project_id,
            policy=services.policy_now(),
        )
    if data.state == "running":
        await services.hinter.wake(row.id)
    return Campaign.of(row)


def _config(data: NewTemplate) -> TemplateConfig:
    return TemplateConfig(
        kind=data.kind,
        purpose=data.purpose,
        script_id=data.script_id,
        hotline_ids=data.hotline_ids,
        fields=declared(data.fields),
        advertiser=data.advertiser,
        attestation_id=data.attestation_id,
        config=data.config,
        max_channels=data.max_channels,
        max_cps=data.max_cps,
        takes_imports=data.takes_imports,
    )


HANDLERS = [
    create_template,
    list_templates,
    get_template,
    replace_template,
    archive_template,
    create_campaign_from_template,
]
