"""Errors as RFC 9457 problem documents: one shape for everything that this API refuses.

A domain error is a name and facts; here it gets its HTTP status. What is not a known error is answered with a
bare 500 and logged, so that nothing of the inside reaches a caller.
"""

from __future__ import annotations

import logging
import re
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ExceptionHandlersMap

from tongdai.domain.zalo import KeyBusyError
from tongdai.kit.db import TRANSIENT_ERRORS
from tongdai.kit.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, TongdaiError
from tongdai.kit.receiving import BodyLateError
from tongdai.ports.zalo import (
    ZaloAwayError,
    ZaloError,
    ZaloGarbledError,
    ZaloRefusedError,
    ZaloSilentError,
)

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_TYPE_PREFIX = "urn:tongdai:problem:"

# The framework names a required parameter that is not there in this sentence alone.
_missing_parameter = re.compile(r"Missing required \w+ parameter '([^']+)'").match


class FieldError(msgspec.Struct, frozen=True):
    """One place where a request is wrong."""

    path: str
    """Where: a dotted path into the body (`steps.ask.digits`), or a parameter. Empty: the whole."""
    message: str
    """What is wrong there."""


class Problem(msgspec.Struct, frozen=True):
    """Why a request was refused (RFC 9457)."""

    type: str
    """A stable name for programs, e.g. `urn:tongdai:problem:not-found`."""
    title: str
    """The same for people, in a few words."""
    status: int
    """The HTTP status again."""
    detail: str
    """What happened this time."""
    errors: list[FieldError]
    """Every place that is wrong, when the request itself is; otherwise empty."""
    retryable: bool
    """True: the same request may succeed later without being changed."""


class UnauthorizedError(TongdaiError):
    """This needs an API key: send `Authorization: Bearer td_…`, or `X-API-Key: td_…`."""


_STATUS_OF: tuple[tuple[type[TongdaiError], int], ...] = (
    (UnauthorizedError, 401),
    (ForbiddenError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (BodyLateError, 408),
    (InvalidError, 400),
    (KeyBusyError, 503),
    (ZaloRefusedError, 409),
    (ZaloAwayError, 503),
    (ZaloSilentError, 504),
    (ZaloGarbledError, 502),
)

_NAMES: dict[int, tuple[str, str]] = {
    400: ("invalid-request", "The request is not valid"),
    401: ("unauthorized", "An API key is needed"),
    403: ("forbidden", "This key may not do that"),
    404: ("not-found", "There is no such thing"),
    405: ("method-not-allowed", "This address does not take that method"),
    408: ("timeout", "The request did not arrive in time"),
    409: ("conflict", "The state does not allow this"),
    413: ("too-large", "The request is too large"),
    416: ("no-such-part", "The file has no such part"),
    500: ("internal", "Something went wrong on our side"),
    502: ("bad-answer", "Zalo's answer makes no sense"),
    503: ("unavailable", "The platform cannot answer right now"),
    504: ("no-answer", "Zalo did not answer in time"),
}


def answers(*statuses: int) -> dict[int, ResponseSpec]:
    """The documented refusals of an operation; those that any operation can have are always among them."""
    # Whatever may be too large may be too late.
    late = {408} if 413 in statuses else set()
    return public_answers(401, 403, *late, *statuses)


def public_answers(*statuses: int) -> dict[int, ResponseSpec]:
    """The same of an operation that needs no key."""
    return {
        status: ResponseSpec(
            Problem, generate_examples=False, description=_NAMES[status][1], media_type=MEDIA_TYPE
        )
        for status in sorted({400, 503, *statuses})
    }


def handlers() -> ExceptionHandlersMap:
    """Exception handlers for everything under `/v1`, unknown addresses and methods too."""
    return {
        TongdaiError: _domain_error,
        ValidationException: _parameter_error,
        HTTPException: http_error,
        Exception: _unexpected_error,
        **dict.fromkeys(TRANSIENT_ERRORS, _unavailable),
    }


def _answer(
    status: int,
    *,
    detail: str,
    errors: list[FieldError] | None = None,
    retryable: bool = False,
    headers: dict[str, str] | None = None,
) -> Response[Problem]:
    name, title = _NAMES.get(status, _NAMES[400])
    problem = Problem(
        type=_TYPE_PREFIX + name,
        title=title,
        status=status,
        detail=detail,
        errors=errors or [],
        retryable=retryable,
    )
    return Response(problem, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def _domain_error(_: Request[Any, Any, Any], error: TongdaiError) -> Response[Problem]:
    status = next((status for kind, status in _STATUS_OF if isinstance(error, kind)), 400)
    state, retry_after_s = error.facts.get("state"), error.facts.get("retry_after_s")
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    # Whoever repeats what may have been done already may do it twice.
    doubtful = isinstance(error, ZaloError) and error.doubtful
    return _answer(
        status,
        detail=f"{error.message} It is {state}." if isinstance(state, str) else error.message,
        errors=field_errors(error),
        retryable=error.retryable and not doubtful,
        headers=headers,
    )


def field_errors(error: TongdaiError) -> list[FieldError]:
    """The (path, message) pairs that an InvalidError holds."""
    pairs = error.facts.get("errors")
    if not isinstance(pairs, (list, tuple)):
        return []
    return [FieldError(str(path), str(message)) for path, message in pairs]


def _parameter_error(request: Request[Any, Any, Any], error: ValidationException) -> Response[Problem]:
    """Litestar's own complaint about path and query parameters, in our shape."""
    found = error.extra if isinstance(error.extra, list) else []
    if any(one.get("source") == "body" for one in found):
        return _answer(400, detail="A JSON body is needed.", errors=[FieldError("", "There is no body.")])
    errors = [
        FieldError(_sent_name(request, str(one.get("key", ""))), str(one.get("message", ""))) for one in found
    ]
    if missing := _missing_parameter(error.detail):
        errors.append(FieldError(missing[1], "This is required."))
    return _answer(400, detail="Some parameters are not valid; see errors.", errors=errors)


def _sent_name(request: Request[Any, Any, Any], argument: str) -> str:
    """What the sender calls a handler's argument: the framework keeps some names, `state` for one."""
    field = request.route_handler.parsed_fn_signature.parameters.get(argument)
    return getattr(field and field.kwarg_definition, "name", None) or argument


def http_error(_: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """The framework's own refusals: of unknown addresses, wrong methods, and bodies that are too large."""
    if error.status_code >= 500:
        return _unexpected_error(_, error)
    title = _NAMES.get(error.status_code, _NAMES[400])[1]
    return _answer(error.status_code, detail=f"{title}.", headers=error.headers)


def _unavailable(_: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    logger.warning("the database did not answer a request", exc_info=error)
    detail = "The database does not answer. Try again in a few seconds."
    return _answer(503, detail=detail, retryable=True, headers={"Retry-After": "2"})


def _unexpected_error(_: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    logger.error("A request failed unexpectedly", exc_info=error)
    return _answer(500, detail="The request could not be served. It has been logged.", retryable=True)
