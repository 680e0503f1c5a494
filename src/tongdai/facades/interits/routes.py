"""Interits' API about Zalo: Official Accounts, journeys, messages and templates, below `/api/vendor/v1`.

Each endpoint is given the bare request and returns a finished answer: whatever is sent, the answer is the
vendor's envelope with a status of its table. A journey, the most frequent request, pays for one look-up of
its key and its use case, and for nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

import msgspec
from litestar import Request, Response, route
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.types import Method

from tongdai.domain import accounts
from tongdai.domain.accounts import Caller, KeyState
from tongdai.facades._shared.answers import HEADERS, JSON, RETRY_AFTER, json_answer
from tongdai.facades._shared.bodies import read_body
from tongdai.facades.interits import responses
from tongdai.facades.interits.errors import (
    METHOD_WRONG,
    PATH_UNKNOWN,
    UNEXPECTED,
    ConsentGoneError,
    Failure,
    KeyOverError,
    KeyUnknownError,
    failure_of,
)
from tongdai.facades.interits.requests import MAX_BYTES, read_api_key, read_fields
from tongdai.facades.interits.usecases import USE_CASES, Asked, UseCase
from tongdai.ports.services import Services

logger = logging.getLogger(__name__)

KEY_KIND: Final = "interits"
PREFIX: Final = "/api/vendor/v1"
_ALL: Final[tuple[Method, ...]] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
_ALLOW: Final = {"allow": "POST"}

# An amount is a number in JSON, with the digits that it has.
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_paths: Final = frozenset(f"{PREFIX}/zalo/{name}" for name in USE_CASES)


def routes(services: Services) -> list[HTTPRouteHandler]:
    """The endpoints, to be mounted at the root, and what answers whatever else is below the prefix."""
    return [
        *(_endpoint(services, name, use_case) for name, use_case in USE_CASES.items()),
        _handler(PREFIX, "prefix", _refuse_path),
        _handler(PREFIX + "/{rest:path}", "unknown", _refuse_path),
    ]


def refuse_method(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes] | None:
    """How a method that HTTP itself does not have is refused below the prefix; None: it is another's path.

    No route sees such a request, so the application has to ask.
    """
    path = request.scope["path"].rstrip("/")
    if path != PREFIX and not path.startswith(PREFIX + "/"):
        return None
    failure = METHOD_WRONG if path in _paths else PATH_UNKNOWN
    headers = {**HEADERS, **(_ALLOW if failure is METHOD_WRONG else {})}
    body = _encode(responses.refused(failure, None, str(uuid4())))
    return Response(body, status_code=failure.http, media_type=JSON, headers=headers)


def _endpoint(services: Services, name: str, use_case: UseCase) -> HTTPRouteHandler:
    async def endpoint(request: Request[Any, Any, Any]) -> ASGIResponse:
        if request.method != "POST":
            return _refuse(request, METHOD_WRONG, str(uuid4()), headers=_ALLOW)
        return await _answer(services, use_case, request)

    return _handler(f"{PREFIX}/zalo/{name}", use_case.__name__, endpoint)


async def _refuse_path(request: Request[Any, Any, Any]) -> ASGIResponse:
    return _refuse(request, PATH_UNKNOWN, str(uuid4()))


def _handler(path: str, name: str, endpoint: Any) -> HTTPRouteHandler:
    # Its reference is the vendor's pages; the schema is of our own API.
    handler: HTTPRouteHandler = route(
        path,
        http_method=list(_ALL),
        name=f"interits.{name}",
        status_code=HTTPStatus.OK,
        include_in_schema=False,
    )(endpoint)
    return handler


async def _answer(services: Services, use_case: UseCase, request: Request[Any, Any, Any]) -> ASGIResponse:
    """What the use case answers, or the refusal. Nothing that goes wrong passes in another shape."""
    referent_id = str(uuid4())
    try:
        # Received before the key is judged: whoever is still sending often misses an early answer.
        body = await read_body(
            request.scope, request.receive, max_bytes=MAX_BYTES, timeout_s=services.body_timeout_s
        )
        caller = await _caller(services, read_api_key(request.scope))
        data = await use_case(Asked(services, caller, read_fields(body), request.scope))
        answer = responses.succeeded(data, services.zalo_options.success_code, referent_id)
        return json_answer(_encode(answer), request, HTTPStatus.OK)
    except ConsentGoneError as error:
        failure = failure_of(error) or UNEXPECTED
        return _refuse(request, failure, referent_id, error.data)
    except Exception as error:
        failure = failure_of(error) or UNEXPECTED
        _log(use_case.__name__, failure, error, referent_id)
        again = failure.http is HTTPStatus.SERVICE_UNAVAILABLE and getattr(error, "retryable", True)
        return _refuse(request, failure, referent_id, headers=RETRY_AFTER if again else None)


async def _caller(services: Services, key: str) -> Caller:
    """Whoever the key is of. Raises KeyUnknownError or KeyOverError."""
    if not key:
        raise KeyUnknownError
    known = await accounts.authenticate_vendor_key(
        services.db, services.keyring, KEY_KIND, key, services.clock.now()
    )
    if known is None:
        raise KeyUnknownError
    if known.state is not KeyState.ACTIVE:
        raise KeyOverError
    return known.caller


def _log(name: str, failure: Failure, error: Exception, referent_id: str) -> None:
    facts = {"use_case": name, "referent_id": referent_id}
    if failure is UNEXPECTED:
        logger.error("a request of Interits' API failed unexpectedly", exc_info=error, extra=facts)
    elif failure.http >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.warning("a request of Interits' API cannot be done now", exc_info=error, extra=facts)


def _refuse(
    request: Request[Any, Any, Any],
    failure: Failure,
    referent_id: str,
    data: object = None,
    headers: Mapping[str, str] | None = None,
) -> ASGIResponse:
    answer = responses.refused(failure, data, referent_id)
    return json_answer(_encode(answer), request, failure.http, headers)
