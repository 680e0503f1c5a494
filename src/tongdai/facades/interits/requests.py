"""What Interits' customers send: one JSON object of which nothing is required by the pages, and two headers.

The fields themselves are those of `_shared.zalo_requests`.
"""

from __future__ import annotations

from typing import Final

from litestar.types import Scope

from tongdai.facades._shared.bodies import UNREADABLE, json_value
from tongdai.facades._shared.fields import Fields
from tongdai.kit.errors import InvalidError

MAX_BYTES: Final = 256 * 1024
"""Of a body."""
LONGEST_KEY: Final = 255
"""Characters of an `Idempotency-Key`."""


def read_fields(body: bytes | bytearray | None) -> Fields:
    """The fields of a body; no body at all is an empty object. The content type is of no interest.

    Raises:
        InvalidError: it was not received whole, or is no JSON object.
    """
    if body is None:
        raise InvalidError("nội dung quá dài, bị ngắt hoặc đến quá chậm")
    if not body.strip():
        return Fields({})
    try:
        data = json_value(body)
    except UNREADABLE:
        raise InvalidError("nội dung không phải là JSON") from None
    if not isinstance(data, dict):
        raise InvalidError("nội dung phải là một đối tượng JSON")
    return Fields(data)


def read_api_key(scope: Scope) -> str:
    """The `API-KEY` header, "" without one. `Authorization` and `accessToken` of older pages do not count."""
    return _header(scope, b"api-key")


def read_idempotency_key(scope: Scope) -> str | None:
    """None: the header is missing or empty. Raises InvalidError for what no program makes as a key."""
    key = _header(scope, b"idempotency-key")
    if not key:
        return None
    if len(key) > LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise InvalidError(f"Idempotency-Key phải có từ 1 đến {LONGEST_KEY} ký tự ASCII in được")
    return key


def _header(scope: Scope, wanted: bytes) -> str:
    for name, value in scope["headers"]:
        if name == wanted:
            return value.decode("latin-1").strip()
    return ""
