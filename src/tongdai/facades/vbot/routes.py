"""VBot's API of its first generation: a token, a campaign from a template, and what its users read beside it.

Each endpoint is given the bare request and returns a finished answer: bodies are read by rules of our own
whatever the content type says, and nothing that goes wrong is answered in another shape.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec
from litestar import Request, Response, route
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.types import Method, Receive, Scope

from tongdai.domain import accounts, billing, campaigns, contacts, inbound, recordings, routing
from tongdai.domain.accounts import Caller, Lives, LoginTokens, Role
from tongdai.domain.calls import HistoryRow
from tongdai.domain.campaigns import NewContact, TemplateNotFoundError
from tongdai.facades._shared.answers import HEADERS, JSON, RETRY_AFTER, json_answer
from tongdai.facades._shared.bodies import read_body
from tongdai.facades.vbot import responses
from tongdai.facades.vbot.errors import (
    METHOD_WRONG,
    UNAVAILABLE,
    UNEXPECTED,
    Failure,
    GrantInvalidError,
    RequestInvalidError,
    TokenWrongError,
    failure_of,
)
from tongdai.facades.vbot.requests import (
    CampaignRequest,
    TokenRequest,
    read_campaign,
    read_contacts,
    read_credentials,
    read_history_query,
    read_token_request,
)
from tongdai.kit.db import TRANSIENT_ERRORS, Tx
from tongdai.ports.services import Services

logger = logging.getLogger(__name__)

LOGIN_KIND: Final = "vbot"
"""The kind of logins, and of the tokens that they give, that this API goes by."""


class UseCase(Protocol):
    """Reads a request, does what it asks for, and gives the answer's `data`.

    Raises what `failure_of` knows.
    """

    __name__: str

    async def __call__(self, services: Services, scope: Scope, receive: Receive, /) -> object: ...


# An amount is a number in JSON, with the digits that it has.
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_HOTLINES_AT_ONCE: Final = 1000
# Contacts that are looked at between two moments in which other requests get their turn.
_CONTACTS_IN_A_ROW: Final = 1000

_TOKEN: Final = "/token"  # noqa: S105 - a path
_CREATE: Final = "/api/campaign/create"
_HOTLINES: Final = "/api/hotline/getAll"
_HISTORY: Final = "/api/crm/historycall/getAll"
_BALANCE: Final = "/api/account/balance"
_OURS: Final = frozenset({_TOKEN, _CREATE, _HOTLINES, _HISTORY, _BALANCE})


def routes(services: Services) -> list[HTTPRouteHandler]:
    """The five endpoints, to be mounted at the root: clients have the paths built in."""

    async def issue_token(request: Request[Any, Any, Any]) -> ASGIResponse:
        return await _answer_token(services, request)

    reading: list[Method] = ["GET", "HEAD"]
    return [
        _handler(_TOKEN, ["POST"], "issue_token", issue_token),
        _endpoint(services, create_campaign, ["POST"], _CREATE),
        _endpoint(services, list_hotlines, reading, _HOTLINES),
        _endpoint(services, list_history, reading, _HISTORY),
        _endpoint(services, get_balance, reading, _BALANCE),
    ]


def refuse_method(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes] | None:
    """How a method that one of the endpoints does not have is refused; None: it is another's path.

    No route sees such a request, so the application has to ask.
    """
    if request.scope["path"].rstrip("/") not in _OURS:
        return None
    body = _encode(responses.refused(METHOD_WRONG, message_field=True))
    headers = {**HEADERS, **(error.headers or {})}
    shown = b"" if request.method == "HEAD" else body
    return Response(shown, status_code=METHOD_WRONG.http, media_type=JSON, headers=headers)


# ---------------------------------------------------------------- use cases


async def create_campaign(services: Services, scope: Scope, receive: Receive) -> int:
    """A running campaign with the good contacts, and the bad ones as finished calls; or nothing at all."""
    caller = await _caller(services, scope, receive)
    caller.require(Role.OPERATOR)
    request = await read_campaign(services, scope, receive)
    async with services.db.transaction() as tx:
        project_id = await _project_of(tx, caller, request)
        declared = await _declared_by(tx, caller, request.template_id)
    given = await read_contacts(request.phones, declared)
    await _require_a_number(given)
    async with services.db.transaction() as tx:
        campaign_id = await _create(tx, services, caller, request, project_id, given)
    await services.hinter.wake(campaign_id)
    return campaign_id


async def list_hotlines(services: Services, scope: Scope, receive: Receive) -> list[responses.HotlineRow]:
    """The enabled ones, oldest first."""
    caller = await _caller(services, scope, receive)
    rows: list[responses.HotlineRow] = []
    after = 0
    async with services.db.transaction() as tx:
        while page := await routing.list_hotlines(
            tx, caller.account_id, after=after, limit=_HOTLINES_AT_ONCE
        ):
            rows += [responses.hotline_row(hotline) for hotline in page if hotline.enabled]
            after = page[-1].id
    return rows


async def list_history(services: Services, scope: Scope, receive: Receive) -> object:
    """Ended attempts and calls that came in, newest first. Of a text that is no number there are none."""
    caller = await _caller(services, scope, receive)
    query = await read_history_query(services, scope, receive)
    number = None if query.phone is None else contacts.normalise(query.phone).number
    if number == "":
        return []
    async with services.db.transaction() as tx:
        rows = await inbound.history_page(
            tx,
            caller.account_id,
            number=number,
            start=query.start,
            end=query.end,
            offset=(query.page - 1) * query.size,
            limit=query.size,
        )
        of_attempts = [row.call_id for row in rows if isinstance(row, HistoryRow)]
        of_incoming = [row.id for row in rows if not isinstance(row, HistoryRow)]
        made = await recordings.of_calls(tx, caller.account_id, of_attempts)
        came = await recordings.of_incoming_calls(tx, caller.account_id, of_incoming)
    links, now = recordings.Links(services.keyring, services.recordings), services.clock.now()
    return responses.history(
        rows,
        services.vbot.date_format,
        links.told_by_attempt(made, now),
        links.told_by_incoming(came, now),
    )


async def get_balance(services: Services, scope: Scope, receive: Receive) -> object:
    """In đồng; 0 where calls cost nothing here."""
    caller = await _caller(services, scope, receive)
    async with services.db.transaction() as tx:
        return (await billing.wallet(tx, caller.account_id)).balance


async def _project_of(tx: Tx, caller: Caller, request: CampaignRequest) -> int:
    """The project, once it is sure that account and project are the caller's."""
    account = await accounts.get_account(tx, caller.account_id)
    if account.code != request.vbot_id:
        raise RequestInvalidError("vbot_id không phải của tài khoản này")
    project = await accounts.find_project(tx, caller.account_id, request.project_code)
    if project is None:
        raise RequestInvalidError("project_code không tồn tại")
    return project.id


async def _declared_by(tx: Tx, caller: Caller, template_id: int) -> frozenset[str]:
    template = await campaigns.get_template(tx, caller.account_id, template_id)
    if template.archived_at is not None:
        raise TemplateNotFoundError(template_id=template_id)
    return frozenset(field.name for field in template.config.fields)


async def _create(
    tx: Tx,
    services: Services,
    caller: Caller,
    request: CampaignRequest,
    project_id: int,
    given: list[NewContact],
) -> int:
    campaign = await campaigns.create_from_template(
        tx,
        caller.account_id,
        caller.user_id,
        request.template_id,
        name=request.name,
        state="running",
        project_id=project_id,
        unpaid="refuse",
        takes_imports=False,
        policy=services.policy_now(),
    )
    report = await campaigns.import_contacts(
        tx, services.keyring, services.clock, caller.account_id, campaign.id, given, keep_invalid=True
    )
    if len(report.accepted) == len(report.kept):
        kept = [(place, reason) for place, _, reason in report.kept]
        raise _none_valid(min([*kept, *report.rejected], default=None))
    return campaign.id


async def _require_a_number(given: Sequence[NewContact]) -> None:
    """Raises RequestInvalidError where no contact can be called by whatever template: a hundred thousand of
    them are not to be written and taken back."""
    for index, one in enumerate(given):
        if one.problem is None and contacts.normalise(one.given).number:
            return
        if index % _CONTACTS_IN_A_ROW == _CONTACTS_IN_A_ROW - 1:
            await asyncio.sleep(0)
    first = [(0, contacts.normalise(one.given).reason or one.problem or "") for one in given[:1]]
    raise _none_valid(first[0] if first else None)


def _none_valid(first: tuple[int, str] | None) -> RequestInvalidError:
    """`first`: the place of the first contact, and what is wrong with it. None: there is no contact."""
    why = "" if first is None else f" (phần tử {first[0] + 1}: {first[1]})"
    return RequestInvalidError(f"phones không có số điện thoại hợp lệ nào{why}")


async def _caller(services: Services, scope: Scope, receive: Receive) -> Caller:
    """Whoever the first good token or API key of the head is of.

    Raises:
        TokenWrongError: there is none. The body was received all the same, so that the sender reads the
            answer.
    """
    async with services.db.autocommit() as tx:
        for text in read_credentials(scope):
            caller = await accounts.authenticate_login(tx, services.keyring, services.clock, text, LOGIN_KIND)
            caller = caller or await accounts.authenticate_key(tx, text)
            if caller is not None and caller.scope == "account":
                return caller
    await read_body(scope, receive, max_bytes=services.max_body_bytes, timeout_s=services.body_timeout_s)
    raise TokenWrongError


# ---------------------------------------------------------------- tokens


async def _log_in(services: Services, request: TokenRequest) -> LoginTokens:
    """By name and password, or by refresh token. Raises GrantInvalidError, the same for whatever is wrong."""
    lives = Lives(services.vbot.token_life, services.vbot.refresh_life)
    tokens = None
    if request.grant_type == "refresh_token":
        async with services.db.transaction() as tx:
            tokens = await accounts.renew_login(
                tx, services.keyring, services.clock, request.refresh_token, LOGIN_KIND, lives
            )
    elif request.grant_type == "password":
        async with services.db.autocommit() as tx:
            found = await accounts.find_credentials(tx, request.username)
        if await accounts.matches(found, request.password) and found.user is not None:
            async with services.db.transaction() as tx:
                tokens = await accounts.open_login(
                    tx,
                    services.keyring,
                    services.clock,
                    found.user,
                    LOGIN_KIND,
                    lives,
                    checked=found.stored,
                )
    else:
        raise GrantInvalidError("grant_type must be password or refresh_token")
    if tokens is None:
        raise GrantInvalidError(_WRONG[request.grant_type])
    return tokens


_WRONG: Final = {
    "password": "The user name or password is incorrect.",
    "refresh_token": "The refresh token is invalid, expired or used.",
}


async def _answer_token(services: Services, request: Request[Any, Any, Any]) -> ASGIResponse:
    """In the shapes of OAuth 2: every refusal is HTTP 400, as no page of the vendor names another."""
    try:
        wanted = await read_token_request(services, request.scope, request.receive)
        answer = _encode(responses.token(await _log_in(services, wanted)))
        return json_answer(answer, request, HTTPStatus.OK)
    except (GrantInvalidError, accounts.UserNotFoundError) as error:
        return _refuse_grant(request, "invalid_grant", error.message, HTTPStatus.BAD_REQUEST)
    except accounts.PasswordsBusyError:
        logger.warning("too many logins at once")
        return _refuse_grant(
            request, "temporarily_unavailable", UNAVAILABLE.msg, UNAVAILABLE.http, RETRY_AFTER
        )
    except TRANSIENT_ERRORS as error:
        logger.warning("the database did not answer a login", exc_info=error)
        return _refuse_grant(
            request, "temporarily_unavailable", UNAVAILABLE.msg, UNAVAILABLE.http, RETRY_AFTER
        )
    except Exception as error:
        logger.error("a login failed unexpectedly", exc_info=error)
        return _refuse_grant(request, "server_error", UNEXPECTED.msg, UNEXPECTED.http)


def _refuse_grant(
    request: Request[Any, Any, Any],
    error: str,
    description: str,
    status: HTTPStatus,
    headers: Mapping[str, str] | None = None,
) -> ASGIResponse:
    refusal = responses.TokenRefused(error=error, error_description=description)
    return json_answer(_encode(refusal), request, status, headers)


# ---------------------------------------------------------------- answering


def _endpoint(services: Services, use_case: UseCase, methods: list[Method], path: str) -> HTTPRouteHandler:
    async def endpoint(request: Request[Any, Any, Any]) -> ASGIResponse:
        return await _answer(services, use_case, request)

    return _handler(path, methods, use_case.__name__, endpoint)


def _handler(path: str, methods: list[Method], name: str, endpoint: Any) -> HTTPRouteHandler:
    # Its reference is the vendor's pages; the schema is of our own API.
    handler: HTTPRouteHandler = route(
        path, http_method=methods, name=f"vbot.{name}", status_code=HTTPStatus.OK, include_in_schema=False
    )(endpoint)
    return handler


async def _answer(services: Services, use_case: UseCase, request: Request[Any, Any, Any]) -> ASGIResponse:
    """What the use case answers, or the refusal. Nothing that goes wrong passes in another shape."""
    try:
        data = await use_case(services, request.scope, request.receive)
        answer = responses.succeeded(data, message_field=services.vbot.message_field)
        return json_answer(_encode(answer), request, HTTPStatus.OK)
    except TRANSIENT_ERRORS as error:
        logger.warning("the database did not answer %s", use_case.__name__, exc_info=error)
        return _refuse(services, request, UNAVAILABLE, RETRY_AFTER)
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            logger.error("%s failed unexpectedly", use_case.__name__, exc_info=error)
        return _refuse(services, request, failure or UNEXPECTED)


def _refuse(
    services: Services,
    request: Request[Any, Any, Any],
    failure: Failure,
    headers: Mapping[str, str] | None = None,
) -> ASGIResponse:
    answer = responses.refused(failure, message_field=services.vbot.message_field)
    return json_answer(_encode(answer), request, failure.http, headers)
