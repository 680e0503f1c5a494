"""Messages by template, and the templates that Zalo has of an Official Account."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.params import JSONBody, PathParameter, QueryParameter

from tongdai.api.auth import CalledBy, Wired
from tongdai.api.bodies import MAX_ID
from tongdai.api.paging import Cursor, Limit, after
from tongdai.api.problems import answers
from tongdai.api.zalo_ids import TAGS, OfOa, WhichOa, further, read_id
from tongdai.api.zalo_journeys import ToPhone, canonical
from tongdai.api.zalo_sending_shapes import (
    NewZaloMessage,
    ZaloMessage,
    ZaloMessagePage,
    ZaloTemplate,
    ZaloTemplatePage,
)
from tongdai.domain import zalo
from tongdai.domain.zalo import MessageFilter, MessageState, Paging, TemplateFilter, ZnsRequest

MessageId = Annotated[
    str, PathParameter(min_length=1, max_length=100, description="Zalo's id of a message, or ours.")
]
ZaloTemplateId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Zalo's id of a template.")]
InState = Annotated[
    MessageState | None, QueryParameter(name="state", description="Only messages in this state.")
]
OfJourney = Annotated[
    str | None,
    QueryParameter(min_length=1, max_length=100, description="Only of this journey, by Zalo's id."),
]
OfTemplate = Annotated[
    int | None, QueryParameter(ge=1, le=MAX_ID, description="Only by this template, by Zalo's id.")
]
Tracked = Annotated[
    str | None, QueryParameter(min_length=1, max_length=48, description="Only with this `tracking_id`.")
]


@post(
    "/zalo/messages",
    operation_id="sendZaloMessage",
    summary="Send a message",
    tags=TAGS,
    responses=answers(404, 409, 413, 502, 504),
)
async def send_message(services: Wired, caller: CalledBy, data: JSONBody[NewZaloMessage]) -> ZaloMessage:
    """Checked against the template and the rules first, then given to Zalo, once. What is refused is a
    message in the state `refused` with Zalo's code; nothing is queued or sent later."""
    request = ZnsRequest(
        phone=data.phone,
        template_id=data.template_id,
        data=data.data,
        tracking_id=data.tracking_id,
        development=data.development,
        over_quota=data.over_quota,
        journey_id=data.journey_id,
    )
    oa_id = read_id(data.oa_id, "oa_id")
    bridge = zalo.bridge_of(services)
    return ZaloMessage.of(
        await zalo.send_zns(bridge, caller.account_id, caller.user_id, oa_id=oa_id, request=request)
    )


@get(
    "/zalo/messages",
    operation_id="listZaloMessages",
    summary="List messages",
    tags=TAGS,
    responses=answers(),
)
async def list_messages(
    services: Wired,
    caller: CalledBy,
    oa_id: OfOa = None,
    in_state: InState = None,
    journey_id: OfJourney = None,
    template_id: OfTemplate = None,
    tracking_id: Tracked = None,
    phone: ToPhone = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> ZaloMessagePage:
    """The messages of the account, newest first; those that match every filter that is given.

    Each request looks at no more than 10,000 messages, so that a page may hold few items or none: go on with
    `next` until it is null.
    """
    wanted = MessageFilter(
        oa_id=oa_id,
        journey_id=journey_id,
        phone=canonical(phone),
        template_id=template_id,
        tracking_id=tracking_id,
        states=None if in_state is None else frozenset({in_state}),
    )
    paging = Paging(after=after(cursor) or None, limit=limit)
    async with services.db.transaction() as tx:
        page = await zalo.list_messages(tx, caller.account_id, wanted, paging)
    return ZaloMessagePage([ZaloMessage.of(row) for row in page.items], further(page))


@get(
    "/zalo/messages/{message_id:str}",
    operation_id="getZaloMessage",
    summary="Get a message",
    tags=TAGS,
    responses=answers(404),
)
async def get_message(
    services: Wired, caller: CalledBy, message_id: MessageId, oa_id: WhichOa = None
) -> ZaloMessage:
    """One message, by Zalo's id or ours."""
    async with services.db.transaction() as tx:
        return ZaloMessage.of(await zalo.get_message(tx, caller.account_id, message_id, oa_id))


@get(
    "/zalo/templates",
    operation_id="listZaloTemplates",
    summary="List message templates",
    tags=TAGS,
    responses=answers(404, 409, 502, 504),
)
async def list_templates(
    services: Wired, caller: CalledBy, oa_id: OfOa = None, limit: Limit = 100, cursor: Cursor = None
) -> ZaloTemplatePage:
    """The templates that Zalo has for the account's Official Accounts, oldest first."""
    paging = Paging(after=after(cursor) or None, limit=limit, newest_first=False)
    page = await zalo.list_templates(
        zalo.bridge_of(services), caller.account_id, TemplateFilter(oa_id=oa_id), paging
    )
    return ZaloTemplatePage([ZaloTemplate.of(row) for row in page.items], further(page))


@get(
    "/zalo/templates/{zalo_template_id:str}",
    operation_id="getZaloTemplate",
    summary="Get a message template",
    tags=TAGS,
    responses=answers(404, 409, 502, 504),
)
async def get_template(
    services: Wired, caller: CalledBy, zalo_template_id: ZaloTemplateId, oa_id: WhichOa = None
) -> ZaloTemplate:
    """One template with its parameters, as Zalo has it now."""
    row = await zalo.get_template(zalo.bridge_of(services), caller.account_id, oa_id, zalo_template_id)
    return ZaloTemplate.of(row)


HANDLERS = [send_message, list_messages, get_message, list_templates, get_template]
