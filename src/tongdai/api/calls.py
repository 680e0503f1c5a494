"""Calls: what became of each number, and taking back what is still queued."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.params import JSONBody, QueryParameter

from tongdai.api.auth import CalledBy, Wired
from tongdai.api.bodies import MAX_ID
from tongdai.api.call_shapes import (
    CANCEL_BATCH,
    Call,
    CallDetail,
    CallPage,
    CallState,
    Cancelled,
    CancelRequest,
)
from tongdai.api.numbers import canonical
from tongdai.api.paging import Cursor, Limit, after, to_cursor
from tongdai.api.params import CallId
from tongdai.api.problems import answers
from tongdai.domain import calls, campaigns, inbound, recordings
from tongdai.domain.accounts import Caller
from tongdai.domain.calls import CallFilter, Outcome
from tongdai.domain.recordings import Links
from tongdai.kit.db import Tx
from tongdai.kit.errors import InvalidError

TAGS = ["Calls"]

OfCampaign = Annotated[
    int | None,
    QueryParameter(ge=1, le=MAX_ID, description="Only calls of this campaign."),
]
InState = Annotated[CallState | None, QueryParameter(name="state", description="Only calls in this state.")]
WithOutcome = Annotated[Outcome | None, QueryParameter(description="Only calls that ended so.")]
ToNumber = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=100,
        description="Only calls to this number, however people write it.",
    ),
]


@get("/calls", operation_id="listCalls", summary="List calls", tags=TAGS, responses=answers(404))
async def list_calls(
    services: Wired,
    caller: CalledBy,
    campaign_id: OfCampaign = None,
    in_state: InState = None,
    outcome: WithOutcome = None,
    number: ToNumber = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> CallPage:
    """The calls of the account, oldest first; those that match every filter that is given.

    `state` and `outcome` need a `campaign_id` or a `number`. Each request looks at no more than 50,000 calls,
    so that a page may hold few items or none: go on with `next` until it is null.
    """
    wanted = CallFilter(campaign_id, in_state, outcome and outcome.value, canonical(number))
    async with services.db.transaction() as tx:
        await _require_campaign(tx, caller, campaign_id)
        found = await calls.list_calls(tx, caller.account_id, wanted, after=after(cursor), limit=limit)
    further = None if found.further is None else to_cursor(found.further)
    return CallPage([Call.of(row) for row in found.calls], further)


@get("/calls/{call_id:str}", operation_id="getCall", summary="Get a call", tags=TAGS, responses=answers(404))
async def get_call(services: Wired, caller: CalledBy, call_id: CallId) -> CallDetail:
    """One call with its attempts, their legs, what happened on them second by second, and who called back."""
    async with services.db.transaction() as tx:
        detail = await calls.get_call(tx, caller.account_id, call_id)
        recorded = await recordings.of_calls(tx, caller.account_id, [call_id])
        call_backs = await inbound.call_backs(tx, caller.account_id, call_id)
    links = Links(services.keyring, services.recordings)
    return CallDetail.with_history(detail, links.by_attempt(recorded, services.clock.now()), call_backs)


@post(
    "/calls/cancel",
    operation_id="cancelCalls",
    summary="Cancel queued calls",
    tags=TAGS,
    status_code=200,
    responses=answers(404, 413),
)
async def cancel_calls(services: Wired, caller: CalledBy, data: JSONBody[CancelRequest]) -> Cancelled:
    """What is queued is done with outcome `cancelled`, undialled. A call that is being dialled goes on.

    Sent again, it finds nothing more to cancel. At most 1,000 calls at a time.
    """
    if data.call_ids is not None and (data.number, data.campaign_id) != (None, None):
        raise InvalidError(
            "Give either ids or a number or campaign.", errors=[("call_ids", "not with others")]
        )
    async with services.db.transaction() as tx:
        await _require_campaign(tx, caller, data.campaign_id)
        ids = await calls.cancel_calls(
            tx,
            caller.account_id,
            now=services.clock.now(),
            call_ids=data.call_ids,
            number=canonical(data.number),
            campaign_id=data.campaign_id,
            limit=CANCEL_BATCH,
        )
    return Cancelled(sorted(ids), more=data.call_ids is None and len(ids) == CANCEL_BATCH)


async def _require_campaign(tx: Tx, caller: Caller, campaign_id: int | None) -> None:
    """So that a campaign that is not there is told, and not taken for an empty one."""
    if campaign_id is not None:
        await campaigns.get_campaign(tx, caller.account_id, campaign_id)


HANDLERS = [list_calls, get_call, cancel_calls]
