"""AICallCenter's four endpoints.

Each is given the bare request and returns a finished answer: bodies are read by rules of our own whatever the
content type says, and an import of one contact, the platform's most frequent request, pays for nothing else.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec
from litestar import Request, Response, route
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.types import Method, Receive, Scope

from tongdai.domain import accounts, calls, campaigns
from tongdai.domain.accounts import Caller, Role
from tongdai.facades._shared.answers import HEADERS, JSON, RETRY_AFTER, json_answer
from tongdai.facades.aicallcenter.errors import (
    FAILURES,
    METHOD_WRONG,
    UNAVAILABLE,
    UNEXPECTED,
    ContactsInvalidError,
    Failure,
    TokenWrongError,
)
from tongdai.facades.aicallcenter.requests import (
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
from tongdai.kit.db import TRANSIENT_ERRORS, Database, Tx
from tongdai.kit.errors import TongdaiError
from tongdai.ports.services import Services

logger = logging.getLogger(__name__)

SECRET_KIND: Final = "aicallcenter"  # noqa: S105 - a name
"""The kind of client secret, and of the tokens made from it, that this API goes by."""


class UseCase(Protocol):
    """Reads a request, does what it asks for, and answers. Raises what `FAILURES` lists."""

    __name__: str

    async def __call__(self, services: Services, scope: Scope, receive: Receive, /) -> Answer: ...


_encode = msgspec.json.Encoder().encode

_IMPORT: Final = "/api/campaigns/{campaign_id:str}/import"
_EXPORT: Final = "/api/campaigns/{campaign_id:str}/export"
_TOKEN: Final = "/api/users/generate-access-token"  # noqa: S105 - a path
_LOG: Final = "/api/users/call-log"
_is_ours = re.compile(
    "/api/(campaigns/[^/]+/(import|export)|users/(generate-access-token|call-log))/?"
).fullmatch


def routes(services: Services) -> list[HTTPRouteHandler]:
    """The four endpoints, to be mounted at the root: clients have the paths built in."""
    return [
        _endpoint(services, import_contacts, ["POST"], _IMPORT),
        _endpoint(services, export_calls, ["GET", "HEAD"], _EXPORT),
        _endpoint(services, generate_access_token, ["GET", "HEAD"], _TOKEN),
        _endpoint(services, list_user_calls, ["GET", "HEAD"], _LOG),
    ]


def refuse_method(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes] | None:
    """How a method that one of the four endpoints does not have is refused; None: it is another's path.

    No route sees such a request, so the application has to ask.
    """
    if not _is_ours(request.scope["path"]):
        return None
    body = b"" if request.method == "HEAD" else _encode(refused(METHOD_WRONG))
    headers = {**HEADERS, **(error.headers or {})}
    return Response(body, status_code=METHOD_WRONG.strict_status, media_type=JSON, headers=headers)


async def import_contacts(services: Services, scope: Scope, receive: Receive) -> Answer:
    body = await read_import(scope, receive, services.max_body_bytes, services.body_timeout_s)
    campaign_id = read_campaign_id(scope)
    async with _transaction(services.db, body) as tx:
        caller = await _import_caller(tx, services, scope, body)
        if body.contacts is None:
            raise ContactsInvalidError
        if campaign_id is None:
            raise campaigns.CampaignNotFoundError
        caller.require(Role.OPERATOR)
        report = await campaigns.import_contacts(
            tx, services.keyring, services.clock, caller.account_id, campaign_id, body.contacts
        )
    await services.hinter.wake(campaign_id)
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


def _transaction(db: Database, body: ImportBody) -> AbstractAsyncContextManager[Tx]:
    """Perhaps somebody waits for a code: few contacts go in without a wait that is not needed."""
    few = body.contacts is not None and len(body.contacts) <= campaigns.FEW
    return db.brisk_transaction() if few else db.transaction()


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


def _endpoint(services: Services, use_case: UseCase, methods: list[Method], path: str) -> HTTPRouteHandler:
    async def endpoint(request: Request[Any, Any, Any]) -> ASGIResponse:
        return await _answer(services, use_case, request)

    name = f"aicallcenter.{use_case.__name__}"
    # Its reference is the vendor's document; the schema is of our own API.
    handler: HTTPRouteHandler = route(
        path, http_method=methods, name=name, status_code=HTTPStatus.OK, include_in_schema=False
    )(endpoint)
    return handler


async def _answer(services: Services, use_case: UseCase, request: Request[Any, Any, Any]) -> ASGIResponse:
    """What the use case answers, or the refusal. Nothing that goes wrong passes in another shape."""
    try:
        return _respond(await use_case(services, request.scope, request.receive), request, HTTPStatus.OK)
    except TRANSIENT_ERRORS as error:
        logger.warning("the database did not answer %s", use_case.__name__, exc_info=error)
        return _failed(UNAVAILABLE, request, UNAVAILABLE.strict_status, RETRY_AFTER)
    except Exception as error:
        failure = FAILURES.get(type(error)) if isinstance(error, TongdaiError) else None
        if failure is None:
            logger.error("%s failed unexpectedly", use_case.__name__, exc_info=error)
            return _failed(UNEXPECTED, request, UNEXPECTED.strict_status)
        strict = services.aicc_strict_http_status
        return _failed(failure, request, failure.strict_status if strict else HTTPStatus.OK)


def _failed(
    failure: Failure,
    request: Request[Any, Any, Any],
    status: HTTPStatus,
    headers: Mapping[str, str] | None = None,
) -> ASGIResponse:
    return _respond(refused(failure), request, status, headers)


def _respond(
    answer: Answer,
    request: Request[Any, Any, Any],
    status: HTTPStatus,
    headers: Mapping[str, str] | None = None,
) -> ASGIResponse:
    return json_answer(_encode(answer), request, status, headers)
