"""Official Accounts: asking for access, connecting, and what Zalo says of each."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.params import JSONBody, QueryParameter

from tongdai.api.auth import CalledBy, Wired
from tongdai.api.bodies import MAX_ID
from tongdai.api.paging import Cursor, Limit, after
from tongdai.api.problems import answers
from tongdai.api.zalo_ids import TAGS, OaId, OfOa, further, read_id
from tongdai.api.zalo_shapes import (
    NewZaloAuthorization,
    NewZaloConnection,
    ZaloAuthorization,
    ZaloConnection,
    ZaloConnectionPage,
)
from tongdai.domain import zalo
from tongdai.domain.zalo import OaFilter, Paging

OfApp = Annotated[
    int | None, QueryParameter(ge=1, le=MAX_ID, description="Only connected with this app, by Zalo's id.")
]
Named = Annotated[
    str | None, QueryParameter(min_length=1, max_length=100, description="Only with this in their name.")
]


@post(
    "/zalo/authorizations",
    operation_id="createZaloAuthorization",
    summary="Ask an Official Account for access",
    tags=TAGS,
    responses=answers(409, 413),
)
async def authorize(
    services: Wired, caller: CalledBy, data: JSONBody[NewZaloAuthorization]
) -> ZaloAuthorization:
    """The page at which an administrator of the Official Account lets the app in. Zalo sends their browser
    to `redirect_uri` with `code`, `state` and `oa_id`: what `connectZalo` wants to be given."""
    url = await zalo.authorize(
        zalo.bridge_of(services),
        caller.account_id,
        caller.user_id,
        app_id=read_id(data.app_id, "app_id"),
        secret=data.secret,
        redirect_uri=data.redirect_uri,
    )
    return ZaloAuthorization(url)


@post(
    "/zalo/connections",
    operation_id="connectZalo",
    summary="Connect an Official Account",
    tags=TAGS,
    responses=answers(404, 409, 413, 502, 504),
)
async def connect(services: Wired, caller: CalledBy, data: JSONBody[NewZaloConnection]) -> ZaloConnection:
    """Exchanges the code for tokens, which the platform keeps and renews. The same Official Account again is
    the same connection. 409: another account has it, or Zalo does not let it in."""
    row = await zalo.connect(
        zalo.bridge_of(services),
        caller.account_id,
        caller.user_id,
        code=data.code,
        oa_id=read_id(data.oa_id, "oa_id"),
        state=data.state,
    )
    return ZaloConnection.of(row)


@get(
    "/zalo/connections",
    operation_id="listZaloConnections",
    summary="List Official Accounts",
    tags=TAGS,
    responses=answers(),
)
async def list_connections(
    services: Wired,
    caller: CalledBy,
    app_id: OfApp = None,
    oa_id: OfOa = None,
    name: Named = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> ZaloConnectionPage:
    """The Official Accounts of the account, oldest first, whatever became of them."""
    wanted = OaFilter(app_id=app_id, oa_id=oa_id, name=name)
    paging = Paging(after=after(cursor) or None, limit=limit, newest_first=False)
    async with services.db.transaction() as tx:
        page = await zalo.list_oas(tx, caller.account_id, wanted, paging)
    return ZaloConnectionPage([ZaloConnection.of(row) for row in page.items], further(page))


@get(
    "/zalo/connections/{oa_id:str}",
    operation_id="getZaloConnection",
    summary="Get an Official Account",
    tags=TAGS,
    responses=answers(404),
)
async def get_connection(services: Wired, caller: CalledBy, oa_id: OaId) -> ZaloConnection:
    """One Official Account, by Zalo's id: its state and why, its quota and qualities."""
    async with services.db.transaction() as tx:
        return ZaloConnection.of(await zalo.get_oa(tx, caller.account_id, oa_id))


@post(
    "/zalo/connections/{oa_id:str}/disconnect",
    operation_id="disconnectZalo",
    summary="Disconnect an Official Account",
    tags=TAGS,
    status_code=200,
    responses=answers(404),
)
async def disconnect(services: Wired, caller: CalledBy, oa_id: OaId) -> ZaloConnection:
    """Forgets its tokens. Its journeys and messages stay to be read, and it can be connected again."""
    async with services.db.transaction() as tx:
        row = await zalo.disconnect(tx, caller.account_id, oa_id, services.clock.now())
    return ZaloConnection.of(row)


@post(
    "/zalo/connections/{oa_id:str}/renew",
    operation_id="renewZaloConnection",
    summary="Ask an Official Account for access again",
    tags=TAGS,
    responses=answers(404, 409),
)
async def renew(services: Wired, caller: CalledBy, oa_id: OaId) -> ZaloAuthorization:
    """The page as before, for one that `needs_consent`, with the app and the address that it was connected
    with."""
    return ZaloAuthorization(
        await zalo.renew_permission(zalo.bridge_of(services), caller.account_id, caller.user_id, oa_id)
    )


HANDLERS = [authorize, connect, list_connections, get_connection, disconnect, renew]
