"""What SenCloud's customers send: a JSON object, and an API key in the head.

The fields are read by the rules of `_shared.fields`.
"""

from __future__ import annotations

from typing import Final

from litestar.types import Receive, Scope

from tongdai.facades._shared.bodies import UNREADABLE, json_value, read_body
from tongdai.facades._shared.fields import Fields
from tongdai.facades.sencloud.errors import BadRouteError, MalformedError
from tongdai.kit.errors import InvalidError
from tongdai.ports.services import Services

MOST_BYTES: Final = 256 * 1024
"""Of a request."""
LONGEST_KEY: Final = 255
"""Of an `Idempotency-Key`."""
LONGEST_STATE: Final = 2**53 - 1
"""What a browser's numbers hold."""

_JSON: Final = "application/json"


async def read_fields(services: Services, scope: Scope, receive: Receive) -> Fields:
    """The body, whose absence is an empty object.

    Raises:
        BadRouteError: the content type is not JSON's; this is how Twirp tells it.
        MalformedError: it is too long, broken off, too slow, or no JSON object.
    """
    body = await read_body(scope, receive, max_bytes=MOST_BYTES, timeout_s=services.body_timeout_s)
    content_type = read_header(scope, b"content-type")
    if content_type.partition(";")[0].strip().lower() != _JSON:
        raise BadRouteError(f"unexpected Content-Type: {content_type[:100]!r}")
    if body is None:
        raise MalformedError("The body is too long, broke off, or arrived too slowly.")
    try:
        value = json_value(body) if body.strip() else {}
    except UNREADABLE:
        raise MalformedError("The body is not JSON.") from None
    if not isinstance(value, dict):
        raise MalformedError
    return Fields(value)


def read_key(scope: Scope) -> str:
    """The API key; "" where there is none. Bearer may be written in any case."""
    scheme, _, key = read_header(scope, b"authorization").strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def read_idempotency_key(scope: Scope) -> str | None:
    """None: the request is not named. Raises InvalidError for what is no name."""
    key = read_header(scope, b"idempotency-key").strip()
    if len(key) > LONGEST_KEY or not key.isascii() or not key.isprintable():
        fault = f"must have at most {LONGEST_KEY} printable ASCII characters"
        raise InvalidError(f"Idempotency-Key {fault}", errors=[("Idempotency-Key", fault)])
    return key or None


def read_header(scope: Scope, wanted: bytes) -> str:
    """The first header of this name; "" where there is none."""
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")
