"""AICallCenter's four endpoints.

Each is given the bare request and returns a finished answer: bodies are read by rules of our own whatever the
content type says, and an import of one contact, the platform's most frequent request, pays for nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope

from tongdai.domain import accounts, calls, campaigns
from tongdai.domain.accounts import Caller, Role
from tongdai.facades.aicallcenter.errors import FAILURES, ContactsInvalidError, TokenWrongError
from tongdai.facades.aicallcenter.requests import (
    ClientGoneError,
    ImportBody,
    read_campaign_id,
    read_import,
    read_query,
    read_results_query,
    read_token,
)
from tongdai.facades.aicallcenter.responses import (
    Answer,
    ImportedContact,
    Token,
    TokenIssued,
    exported,
    imported,
    logged,
    refused,
)
from tongdai.kit.db import Tx
from tongdai.kit.errors import TongdaiError
from tongdai.ports.services import Services

SECRET_KIND: Final = "aicallcenter"  # noqa: S105 - a name
"""The kind of client secret, and of the tokens made from it, that this API goes by."""


class UseCase(Protocol):
    """Reads a request, does what it asks for, and answers. Raises what `FAILURES` lists."""

    __name__: str

    async def __call__(self, services: Services, scope: Scope, receive: Receive, /) -> Answer: ...


_JSON: Final = "application/json; charset=utf-8"
_HEADERS: Final = {"cache-control": "no-store"}
_encode = msgspec.json.Encoder().encode


def routes(services: Services) -> list[HTTPRouteHandler]:
    """The four endpoints, to be mounted at the root: clients have the paths built in."""
    return [
        _endpoint(services, import_contacts, post, "/api/campaigns/{campaign_id:str}/import"),
        _endpoint(services, export_calls, get, "/api/campaigns/{campaign_id:str}/export"),
        _endpoint(services, generate_access_token, get, "/api/users/generate-access-token"),
        _endpoint(services, list_user_calls, get, "/api/users/call-log"),
    ]


async def import_contacts(services: Services, scope: Scope, receive: Receive) -> Answer:
    body = await read_import(scope, receive, services.max_body_bytes)
    campaign_id = read_campaign_id(scope)
    async with services.db.transaction() as tx:
        caller = await _import_caller(tx, services, scope, body)
        if body.contacts is None:
            raise ContactsInvalidError
        if campaign_id is None:
            raise campaigns.CampaignNotFoundError
        caller.require(Role.OPERATOR)
        report = await campaigns.import_contacts(
            tx, services.keyring, services.clock, caller.account_id, campaign_id, body.contacts
        )
    services.hinter.wake(campaign_id)
    given = body.contacts
    results = [ImportedContact(given[index].given, call_id) for index, call_id in report.accepted]
    return imported(results, body.received)


async def export_calls(services: Services, scope: Scope, receive: Receive) -> Answer:
    query = read_results_query(scope, services.export_max_limit)
    campaign_id = read_campaign_id(scope)
    async with services.db.transaction() as tx:
        caller = await _caller(tx, services, read_token(scope))
        if campaign_id is None:
            raise campaigns.CampaignNotFoundError
        await campaigns.get_campaign(tx, caller.account_id, campaign_id)
        page = await calls.export_page(
            tx,
            calls.CampaignScope(caller.account_id, campaign_id),
            start=query.start,
            end=query.end,
            limit=query.limit,
            offset=query.offset,
        )
    return exported(page, query.limit)


async def generate_access_token(services: Services, scope: Scope, receive: Receive) -> Answer:
    secret = read_query(scope).get("secret_key", "")
    async with services.db.autocommit() as tx:
        token = await accounts.issue_token(
            tx, services.keyring, services.clock, secret, SECRET_KIND, life=services.aicc_token_life
        )
    return TokenIssued(results=Token(token))


async def list_user_calls(services: Services, scope: Scope, receive: Receive) -> Answer:
    query = read_results_query(scope, services.export_max_limit)
    async with services.db.transaction() as tx:
        caller = await _caller(tx, services, read_token(scope))
        page = await calls.export_page(
            tx,
            calls.UserScope(caller.account_id, caller.user_id),
            start=query.start,
            end=query.end,
            limit=query.limit,
            offset=query.offset,
        )
    return logged(page, query.limit)


async def _import_caller(tx: Tx, services: Services, scope: Scope, body: ImportBody) -> Caller:
    token = body.token or read_token(scope)
    if token is None and body.hides_token:
        # Whoever sent a token in a body with a slip in its JSON is told of the slip, not of the token.
        raise ContactsInvalidError
    return await _caller(tx, services, token)


async def _caller(tx: Tx, services: Services, token: str | None) -> Caller:
    caller = None
    if token:
        caller = await accounts.authenticate_token(tx, services.keyring, services.clock, token, SECRET_KIND)
    if caller is None:
        raise TokenWrongError
    return caller


def _endpoint(
    services: Services, use_case: UseCase, method: Callable[..., HTTPRouteHandler], path: str
) -> HTTPRouteHandler:
    async def endpoint(request: Request[Any, Any, Any]) -> ASGIResponse:
        return await _answer(services, use_case, request.scope, request.receive)

    name = f"aicallcenter.{use_case.__name__}"
    # Its reference is the vendor's document; the schema is of our own API.
    route: HTTPRouteHandler = method(path, name=name, status_code=HTTPStatus.OK, include_in_schema=False)(
        endpoint
    )
    return route


async def _answer(services: Services, use_case: UseCase, scope: Scope, receive: Receive) -> ASGIResponse:
    """What the use case answers, or the documented refusal; other errors go up to the application."""
    status = HTTPStatus.OK
    try:
        answer = await use_case(services, scope, receive)
    except ClientGoneError:
        return ASGIResponse()
    except TongdaiError as error:
        failure = FAILURES.get(type(error))
        if failure is None:
            raise
        answer = refused(failure)
        if services.aicc_strict_http_status:
            status = failure.strict_status
    return ASGIResponse(body=_encode(answer), status_code=status, media_type=_JSON, headers=_HEADERS)
