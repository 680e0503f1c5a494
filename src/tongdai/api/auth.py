"""Who calls: an API key becomes a `Caller`, and each operation says whom it is for.

The key comes as a bearer token or, when there is no `Authorization`, in `X-API-Key`.

The guard runs before anything of the request is read, so a stranger learns nothing from validation errors.
An operation is for an account's key unless its `opt` says otherwise: reading needs a viewer, changing an
operator, and `NEEDS_OWNER`, `NEEDS_OPERATOR`, `FOR_PLATFORM` and `FOR_ANY_KEY` are for the few that differ.
"""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from tongdai.api.problems import UnauthorizedError
from tongdai.domain import accounts
from tongdai.domain.accounts import Caller, Role
from tongdai.kit.errors import ForbiddenError
from tongdai.ports.services import Services

Wired = NamedDependency[Services]
CalledBy = NamedDependency[Caller]
"""What each handler is given, by name: `services`, and `caller`, whom the guard has let in."""

NEEDS_OWNER = {"needs": "owner"}
NEEDS_OPERATOR = {"needs": "operator"}
NEEDS_VIEWER = {"needs": "viewer"}
FOR_PLATFORM = {"needs": "platform"}
FOR_ANY_KEY = {"needs": "any"}

SECURITY_SCHEME = "bearer"
KEY_SCHEME = "key"
KEY_HEADER = "X-API-Key"
_MAX_HEADER = 200


def guard(services: Services) -> Guard:
    """A Litestar guard that authenticates the caller and checks the operation's need."""

    async def authenticate(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        key = _key_of(connection)
        caller = await accounts.authenticate_request(services.db, key)
        if caller is None:
            raise UnauthorizedError("This API key is not valid, or it was revoked.")
        _check(caller, _need(connection, handler))
        connection.scope["user"] = caller

    return authenticate


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """The dependency `caller`: whom the guard has let in."""
    caller = request.scope["user"]
    assert isinstance(caller, Caller)
    return caller


def _key_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    header = connection.headers.get("authorization")
    if header is None:
        key = connection.headers.get(KEY_HEADER, "")
    else:
        scheme, _, key = header.strip().partition(" ")
        if scheme.lower() != "bearer":
            raise UnauthorizedError
    if not key.strip() or len(key) > _MAX_HEADER:
        raise UnauthorizedError
    return key.strip()


def _need(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> str:
    reading = connection.scope.get("method") == "GET"
    return str(handler.opt.get("needs", Role.VIEWER if reading else Role.OPERATOR))


def _check(caller: Caller, need: str) -> None:
    if need == "any":
        return
    if need == "platform":
        if caller.scope != "platform":
            raise ForbiddenError("Only a key of the platform's administrators may do this.")
        return
    if caller.scope == "platform":
        raise ForbiddenError("A platform key does not act inside accounts; use a key of the account.")
    if not caller.role.covers(Role(need)):
        raise ForbiddenError(f"Your role, {caller.role.value}, does not allow this; it needs {need}.")
