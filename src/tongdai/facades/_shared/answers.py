"""Finished answers in JSON, which are never to be cached."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from litestar import Request
from litestar.response.base import ASGIResponse

JSON: Final = "application/json; charset=utf-8"
HEADERS: Final = {"cache-control": "no-store"}
RETRY_AFTER: Final = {"retry-after": "2"}
"""When to come again after the database did not answer, in seconds."""


def json_answer(
    body: bytes,
    request: Request[Any, Any, Any],
    status: HTTPStatus,
    headers: Mapping[str, str] | None = None,
) -> ASGIResponse:
    """An answer as it goes out; to HEAD without its body."""
    sent = {**HEADERS, **(headers or {})}
    if request.method == "HEAD":
        sent |= {"content-type": JSON, "content-length": str(len(body))}
        return ASGIResponse(status_code=status, headers=sent, is_head_response=True)
    return ASGIResponse(body=body, status_code=status, media_type=JSON, headers=sent)
