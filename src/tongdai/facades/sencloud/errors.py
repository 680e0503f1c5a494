"""What SenCloud's customers are told when a request is refused: Twirp's error codes, as its pages show them.

Zalo's refusals of a well-formed journey or message are no errors here: they are told in the object itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from tongdai.domain.zalo import KeyReusedError, LimitReachedError, OaTakenError
from tongdai.kit.db import TRANSIENT_ERRORS
from tongdai.kit.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, TongdaiError
from tongdai.ports.zalo import (
    Refusal,
    ZaloAwayError,
    ZaloError,
    ZaloGarbledError,
    ZaloRefusedError,
    ZaloSilentError,
)

STATUS: Final[Mapping[str, HTTPStatus]] = {
    "invalid_argument": HTTPStatus.BAD_REQUEST,
    "malformed": HTTPStatus.BAD_REQUEST,
    "unauthenticated": HTTPStatus.UNAUTHORIZED,
    "permission_denied": HTTPStatus.FORBIDDEN,
    "bad_route": HTTPStatus.NOT_FOUND,
    "not_found": HTTPStatus.NOT_FOUND,
    "deadline_exceeded": HTTPStatus.REQUEST_TIMEOUT,
    "already_exists": HTTPStatus.CONFLICT,
    "failed_precondition": HTTPStatus.PRECONDITION_FAILED,
    "resource_exhausted": HTTPStatus.TOO_MANY_REQUESTS,
    "internal": HTTPStatus.INTERNAL_SERVER_ERROR,
    "unavailable": HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Twirp's own, version 7: of the codes that are used here."""


class KeyWrongError(TongdaiError):
    """The API key is missing, unknown or revoked: send it as Authorization: Bearer <api_key>."""


class MalformedError(TongdaiError):
    """The body is not a JSON object."""


class BadRouteError(TongdaiError):
    """There is no such method, or it is not called like that. The message says which."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A refusal: Twirp's code, words, and what else is told of it."""

    code: str
    msg: str
    meta: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    """False: whether it was done is not known, so nobody is invited to send it again."""

    @property
    def http(self) -> HTTPStatus:
        return STATUS[self.code]


UNAVAILABLE: Final = Failure("unavailable", "The platform cannot answer right now. Try again in seconds.")
UNEXPECTED: Final = Failure("internal", "The request could not be served. It has been logged.")

_CODES: Final[tuple[tuple[type[TongdaiError], str], ...]] = (
    (KeyWrongError, "unauthenticated"),
    (MalformedError, "malformed"),
    (BadRouteError, "bad_route"),
    (KeyReusedError, "invalid_argument"),
    (OaTakenError, "already_exists"),
    (LimitReachedError, "resource_exhausted"),
    (ForbiddenError, "permission_denied"),
    (NotFoundError, "not_found"),
    (InvalidError, "invalid_argument"),
    (ConflictError, "failed_precondition"),
    (ZaloAwayError, "unavailable"),
    (ZaloSilentError, "deadline_exceeded"),
    (ZaloGarbledError, "unavailable"),
)
"""The first that fits. What may be tried again, and is not here, is unavailable."""

_REFUSED: Final[Mapping[Refusal, str]] = {
    Refusal.ACCESS: "failed_precondition",
    Refusal.ADMIN: "failed_precondition",
    Refusal.TRANSIENT: "unavailable",
    Refusal.QUOTA: "resource_exhausted",
    Refusal.RECIPIENT: "invalid_argument",
    Refusal.REQUEST: "invalid_argument",
}
"""What Zalo refused while it was only asked for something, such as a template."""


def failure_of(error: Exception) -> Failure | None:
    """How an error is told; None: it is our fault."""
    if isinstance(error, TRANSIENT_ERRORS):
        return UNAVAILABLE
    if not isinstance(error, TongdaiError):
        return None
    if isinstance(error, ZaloRefusedError):
        return Failure(_REFUSED[error.refusal], error.message, {"zalo_code": str(error.code)})
    code = next((code for kind, code in _CODES if isinstance(error, kind)), None)
    if code is None:
        return UNAVAILABLE if error.retryable else None
    places = _places(error)
    unsaid = "; ".join(f"{place}: {fault}" for place, fault in places if place not in error.message)
    meta = {"argument": places[0][0]} if places else {}
    doubtful = isinstance(error, ZaloError) and error.doubtful
    return Failure(code, f"{error.message} {unsaid}".rstrip(), meta, repeatable=not doubtful)


def _places(error: TongdaiError) -> list[tuple[str, str]]:
    """Where a request is wrong, and how."""
    pairs = error.facts.get("errors")
    return [(str(place), str(fault)) for place, fault in pairs] if isinstance(pairs, (list, tuple)) else []
