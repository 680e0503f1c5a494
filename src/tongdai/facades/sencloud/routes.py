"""SenCloud's API about Zalo: remote calls by Twirp's conventions, `POST /v1/shop.Zalo/<Method>`.

Everything about one method, its name, who may call it and what it answers, is in `METHODS`; the rest of the
way, from the bare request to the finished answer, is the same for all. Partners call the same methods under
`/v1/partner.`. Nothing that goes wrong is answered in another shape than `{"code", "msg"}`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope

from tongdai.domain import accounts, zalo
from tongdai.domain.accounts import Caller, Role
from tongdai.facades._shared import zalo_shapes
from tongdai.facades._shared.answers import HEADERS, JSON, RETRY_AFTER, json_answer
from tongdai.facades._shared.fields import Fields
from tongdai.facades._shared.paging import read_paging
from tongdai.facades._shared.zalo_owners import owned
from tongdai.facades._shared.zalo_requests import (
    read_journey_filter,
    read_message_filter,
    read_oa_filter,
    read_oa_id,
    read_phone,
    read_template_filter,
    read_token_type,
    read_zns,
)
from tongdai.facades.sencloud import responses
from tongdai.facades.sencloud.errors import UNEXPECTED, Failure, KeyWrongError, failure_of
from tongdai.facades.sencloud.requests import (
    LONGEST_STATE,
    read_fields,
    read_idempotency_key,
    read_key,
)
from tongdai.facades.sencloud.responses import Answer
from tongdai.ports.services import Services

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a method, by somebody who may."""

    services: Services
    caller: Caller
    fields: Fields
    scope: Scope

    @property
    def account_id(self) -> int:
        return self.caller.account_id

    @property
    def user_id(self) -> int:
        return self.caller.user_id


UseCase = Callable[[Call], Awaitable[Answer]]
"""Reads a call's fields, does what it asks for, and answers. Raises what `failure_of` knows."""

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_is_ours: Final = re.compile(r"/v1/(shop|partner)\.").match


# ---------------------------------------------------------------- Official Accounts


async def authorize_oa(call: Call) -> Answer:
    """The page at which an administrator of an Official Account lets the app in."""
    fields = call.fields
    fields.require("app_id", "app_secret", "redirect_uri")
    url = await zalo.authorize(
        zalo.bridge_of(call.services),
        call.account_id,
        call.user_id,
        app_id=fields.integer("app_id") or 0,
        secret=fields.text("app_secret", longest=200),
        redirect_uri=fields.text("redirect_uri", longest=2000),
    )
    return {"url": url}


async def renew_permission(call: Call) -> Answer:
    """RefreshToken: the same page again, for an Official Account that was connected before."""
    oa_id = call.fields.integer("oa_id")
    if oa_id is None:
        call.fields.refuse("oa_id", "is required")
    bridge = zalo.bridge_of(call.services)
    return {"url": await zalo.renew_permission(bridge, call.account_id, call.user_id, oa_id)}


async def connect_oa(call: Call) -> Answer:
    """What Zalo sent a browser back with becomes a connection."""
    fields = call.fields
    fields.require("code", "state")
    row = await zalo.connect(
        zalo.bridge_of(call.services),
        call.account_id,
        call.user_id,
        code=fields.text("code", longest=2000),
        oa_id=read_oa_id(fields),
        state=fields.integer("state", most=LONGEST_STATE) or 0,
    )
    async with call.services.db.autocommit() as tx:
        [row] = await owned(tx, call.account_id, [row])
    return responses.oa(row, call.services.zalo_options)


async def list_oas(call: Call) -> Answer:
    paging = read_paging(call.fields)
    wanted = read_oa_filter(call.fields)
    async with call.services.db.transaction() as tx:
        page = await zalo.list_oas(tx, call.account_id, wanted, paging)
        page = replace(page, items=await owned(tx, call.account_id, page.items))
    shape = partial(responses.listed_oa, options=call.services.zalo_options)
    return responses.listed("accounts", shape, paging, page)


async def get_oa(call: Call) -> Answer:
    oa_id = read_oa_id(call.fields)
    async with call.services.db.transaction() as tx:
        [row] = await owned(tx, call.account_id, [await zalo.get_oa(tx, call.account_id, oa_id)])
    return responses.whole_oa(row, call.services.zalo_options)


async def update_oa(call: Call) -> Answer:
    """Its webhook's address; "" takes it away."""
    oa_id = read_oa_id(call.fields)
    if call.fields.raw("webhook_url") is None:
        call.fields.refuse("webhook_url", 'is required; "" removes it')
    url = call.fields.text("webhook_url", longest=2000).strip()
    services = call.services
    async with services.db.transaction() as tx:
        row = await zalo.get_oa(tx, call.account_id, oa_id)
        row = await zalo.update_oa(
            tx,
            call.account_id,
            row.oa_id,
            webhook_url=url,
            allow_private=services.webhooks_allow_private,
            keyring=services.keyring,
        )
        [row] = await owned(tx, call.account_id, [row])
    return responses.whole_oa(row, services.zalo_options)


# ---------------------------------------------------------------- journeys


async def create_journey(call: Call) -> Answer:
    """A journey with status Z, or one that was refused, with status N and Zalo's code."""
    row = await zalo.create_journey(
        zalo.bridge_of(call.services),
        call.account_id,
        call.user_id,
        oa_id=read_oa_id(call.fields),
        phone=read_phone(call.fields),
        token_type=read_token_type(call.fields),
        idempotency_key=read_idempotency_key(call.scope),
    )
    return zalo_shapes.journey(row)


async def get_journey(call: Call) -> Answer:
    call.fields.require("journey_id")
    journey_id = call.fields.text("journey_id", longest=100).strip()
    oa_id = read_oa_id(call.fields)
    services = call.services
    async with services.db.transaction() as tx:
        row = await zalo.get_journey(
            tx, services.keyring, call.account_id, journey_id, oa_id, now=services.clock.now()
        )
    return zalo_shapes.journey(row)


async def list_journeys(call: Call) -> Answer:
    paging = read_paging(call.fields)
    wanted = read_journey_filter(call.fields)
    services = call.services
    async with services.db.transaction() as tx:
        page = await zalo.list_journeys(
            tx, services.keyring, call.account_id, wanted, paging, now=services.clock.now()
        )
    return responses.listed("journeys", zalo_shapes.journey, paging, page)


# ---------------------------------------------------------------- messages


async def send_zns(call: Call, *, journey: bool) -> Answer:
    """A message, taken by Zalo or refused. With `journey` it is of one."""
    row = await zalo.send_zns(
        zalo.bridge_of(call.services),
        call.account_id,
        call.user_id,
        oa_id=read_oa_id(call.fields),
        request=read_zns(call.fields, journey=journey),
    )
    return zalo_shapes.message(row, capitals=call.services.zalo_options.capital_enums)


async def get_message(call: Call) -> Answer:
    call.fields.require("msg_id")
    msg_id = call.fields.text("msg_id", longest=100).strip()
    oa_id = read_oa_id(call.fields)
    async with call.services.db.transaction() as tx:
        row = await zalo.get_message(tx, call.account_id, msg_id, oa_id)
    return zalo_shapes.message(row, capitals=call.services.zalo_options.capital_enums)


async def list_messages(call: Call) -> Answer:
    paging = read_paging(call.fields)
    wanted = read_message_filter(call.fields)
    async with call.services.db.transaction() as tx:
        page = await zalo.list_messages(tx, call.account_id, wanted, paging)
    shape = partial(zalo_shapes.message, capitals=call.services.zalo_options.capital_enums)
    return responses.listed("messages", shape, paging, page)


# ---------------------------------------------------------------- templates


async def list_templates(call: Call) -> Answer:
    paging = read_paging(call.fields)
    wanted = read_template_filter(call.fields)
    page = await zalo.list_templates(zalo.bridge_of(call.services), call.account_id, wanted, paging)
    shape = partial(zalo_shapes.template, capitals=call.services.zalo_options.capital_enums)
    return responses.listed("templates", shape, paging, page)


async def get_template(call: Call) -> Answer:
    template_id = call.fields.integer("template_id")
    if template_id is None:
        call.fields.refuse("template_id", "is required")
    row = await zalo.get_template(
        zalo.bridge_of(call.services), call.account_id, read_oa_id(call.fields), template_id
    )
    return zalo_shapes.template(row, capitals=call.services.zalo_options.capital_enums)


# ---------------------------------------------------------------- the caller


async def current_account(call: Call) -> Answer:
    """Whose key it is; what programs test a key with."""
    async with call.services.db.autocommit() as tx:
        row = await accounts.get_account(tx, call.account_id)
    kind = "partner" if call.scope["path"].startswith("/v1/partner.") else "shop"
    return responses.account(row, kind)


# ---------------------------------------------------------------- the methods


METHODS: Final[Mapping[str, tuple[UseCase, Role]]] = {
    "Zalo/AuthorizeOA": (authorize_oa, Role.OPERATOR),
    "Zalo/RefreshToken": (renew_permission, Role.OPERATOR),
    "Zalo/ConnectOA": (connect_oa, Role.OPERATOR),
    "Zalo/ListOA": (list_oas, Role.VIEWER),
    "Zalo/GetShopOA": (get_oa, Role.VIEWER),
    "Zalo/UpdateShopOA": (update_oa, Role.OPERATOR),
    "Zalo/CreateJourney": (create_journey, Role.OPERATOR),
    "Zalo/GetJourney": (get_journey, Role.VIEWER),
    "Zalo/ListJourneys": (list_journeys, Role.VIEWER),
    "Zalo/SendZNS": (partial(send_zns, journey=False), Role.OPERATOR),
    "Zalo/SendZNSJourney": (partial(send_zns, journey=True), Role.OPERATOR),
    "Zalo/GetMessage": (get_message, Role.VIEWER),
    "Zalo/ListMessages": (list_messages, Role.VIEWER),
    "Zalo/ListTemplates": (list_templates, Role.VIEWER),
    "Zalo/GetTemplate": (get_template, Role.VIEWER),
    "Misc/CurrentAccount": (current_account, Role.VIEWER),
}
"""By service and name: what it does, and the least that a caller must be."""


def routes(services: Services) -> list[HTTPRouteHandler]:
    """Every method, for shops and partners, to be mounted at the root: clients have the paths built in."""
    return [
        _endpoint(services, f"/v1/{side}.{method}", use_case, role)
        for side in ("shop", "partner")
        for method, (use_case, role) in METHODS.items()
    ]


def refuse_path(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes] | None:
    """How a method, or a service, that there is none of is refused; None: it is another's path.

    No route sees such a request, so the application has to ask. A method of HTTP that none has is refused
    alike, as Twirp does.
    """
    path = request.scope["path"]
    if not _is_ours(path):
        return None
    wrong_verb = path.removesuffix("/") in _paths()
    why = "unsupported method: only POST is allowed" if wrong_verb else "no handler for this path"
    failure = Failure("bad_route", why, {"twirp_invalid_route": f"{request.method} {path}"[:200]})
    headers = {**HEADERS, **(error.headers or {})}
    body = b"" if request.method == "HEAD" else _encode(responses.refused(failure))
    return Response(body, status_code=failure.http, media_type=JSON, headers=headers)


refuse_method = refuse_path


def _paths() -> frozenset[str]:
    return frozenset(f"/v1/{side}.{method}" for side in ("shop", "partner") for method in METHODS)


def _endpoint(services: Services, path: str, use_case: UseCase, role: Role) -> HTTPRouteHandler:
    async def endpoint(request: Request[Any, Any, Any]) -> ASGIResponse:
        return await _answer(services, use_case, role, request)

    # Its reference is the vendor's pages; the schema is of our own API.
    handler: HTTPRouteHandler = post(
        path, name=f"sencloud{path}", status_code=HTTPStatus.OK, include_in_schema=False
    )(endpoint)
    return handler


async def _answer(
    services: Services, use_case: UseCase, role: Role, request: Request[Any, Any, Any]
) -> ASGIResponse:
    """What the method answers, or the refusal. Nothing that goes wrong passes in another shape."""
    try:
        call = await _call(services, role, request.scope, request.receive)
        return json_answer(_encode(await use_case(call)), request, HTTPStatus.OK)
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            logger.error("%s failed unexpectedly", request.scope["path"], exc_info=error)
            failure = UNEXPECTED
        elif failure.code == "unavailable":
            logger.warning("%s could not be served", request.scope["path"], exc_info=error)
        return _refuse(request, failure)


async def _call(services: Services, role: Role, scope: Scope, receive: Receive) -> Call:
    """A request with its body read, so that its sender reads whatever it is answered."""
    fields = await read_fields(services, scope, receive)
    caller = await accounts.authenticate_request(services.db, read_key(scope))
    if caller is None or caller.scope != "account":
        raise KeyWrongError
    caller.require(role)
    return Call(services, caller, fields, scope)


def _refuse(request: Request[Any, Any, Any], failure: Failure) -> ASGIResponse:
    headers = RETRY_AFTER if failure.code == "unavailable" and failure.repeatable else None
    return json_answer(_encode(responses.refused(failure)), request, failure.http, headers)
