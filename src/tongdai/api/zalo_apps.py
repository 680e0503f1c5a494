"""Zalo apps of an account: what its Official Accounts are connected with."""

from __future__ import annotations

from litestar import get, put
from litestar.params import JSONBody

from tongdai.api.auth import NEEDS_OWNER, CalledBy, Wired
from tongdai.api.bodies import given
from tongdai.api.problems import answers
from tongdai.api.zalo_ids import TAGS, AppId
from tongdai.api.zalo_shapes import ZaloApp, ZaloAppChange, ZaloAppList
from tongdai.domain import zalo


@get("/zalo/apps", operation_id="listZaloApps", summary="List Zalo apps", tags=TAGS, responses=answers())
async def list_apps(services: Wired, caller: CalledBy) -> ZaloAppList:
    """All apps of the account, with the address that Zalo's events of each go to."""
    async with services.db.transaction() as tx:
        rows = await zalo.list_apps(tx, caller.account_id)
    return ZaloAppList([ZaloApp.of(row, services.zalo_options.public_url) for row in rows])


@get(
    "/zalo/apps/{app_id:str}",
    operation_id="getZaloApp",
    summary="Get a Zalo app",
    tags=TAGS,
    responses=answers(404),
)
async def get_app(services: Wired, caller: CalledBy, app_id: AppId) -> ZaloApp:
    """One app, by Zalo's id."""
    async with services.db.transaction() as tx:
        row = await zalo.get_app(tx, caller.account_id, app_id)
    return ZaloApp.of(row, services.zalo_options.public_url)


@put(
    "/zalo/apps/{app_id:str}",
    operation_id="putZaloApp",
    summary="Register or change a Zalo app",
    tags=TAGS,
    opt=NEEDS_OWNER,
    responses=answers(404, 409, 413),
)
async def put_app(services: Wired, caller: CalledBy, app_id: AppId, data: JSONBody[ZaloAppChange]) -> ZaloApp:
    """Keeps its secrets, sealed; the app itself is made in Zalo's console. For owners."""
    async with services.db.transaction() as tx:
        row = await zalo.set_app(
            tx,
            services.keyring,
            caller.account_id,
            app_id=app_id,
            now=services.clock.now(),
            **given(data),
        )
    return ZaloApp.of(row, services.zalo_options.public_url)


HANDLERS = [list_apps, get_app, put_app]
