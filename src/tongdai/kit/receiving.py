"""Receiving a request's body in bounded time, whatever its sender does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Generic, TypeVar

from tongdai.kit.errors import InvalidError, TongdaiError

IDLE_S: Final = 15.0
"""So many seconds without a byte, and a body counts as given up."""

SLOWEST_BYTES_PER_S: Final = 16 * 1024
"""A sender that keeps this pace is never late, however long its body is."""

_PATIENCE: Final = 4
_LONGEST_LENGTH: Final = 19

# A message of ASGI, as whichever framework spells it.
M = TypeVar("M", bound=Mapping[str, object])


class BodyLateError(TongdaiError):
    """The body of the request did not arrive in time."""

    retryable = True


class BodyBrokenError(InvalidError):
    """The body of the request broke off before its end."""


class TimelyBody(Generic[M]):
    """An ASGI `receive` that waits for the body no longer than it may.

    The body has `total_s` seconds from the first time that it is asked for, and one more for each
    `SLOWEST_BYTES_PER_S` that arrive; between two parts of it there are `idle_s` at most. Both limits are
    needed: the second ends a connection that fell silent soon, the first one that sends a byte now and then.
    What is received after the body's end (the disconnect) is waited for without a limit.

    Raises from the call:
        BodyLateError: one of the limits is reached.
        BodyBrokenError: the sender ended, or broke the rules of its transfer coding, before the body's end.
    """

    def __init__(
        self, receive: Callable[[], Awaitable[M]], total_s: float, *, idle_s: float = IDLE_S
    ) -> None:
        self._receive = receive
        self._total_s = total_s
        self._idle_s = idle_s
        self._until: float | None = None
        self._complete = False

    async def __call__(self) -> M:
        if self._complete:
            return await self._receive()
        now = asyncio.get_running_loop().time()
        until = now + self._total_s if self._until is None else self._until
        try:
            async with asyncio.timeout_at(min(until, now + self._idle_s)):
                message = await self._receive()
        except TimeoutError:
            raise BodyLateError from None
        if message["type"] != "http.request":
            raise BodyBrokenError
        body = message.get("body")
        arrived = len(body) if isinstance(body, (bytes, bytearray)) else 0
        self._until = until + arrived / SLOWEST_BYTES_PER_S
        self._complete = not message.get("more_body")
        return message


async def read_body(
    scope: Mapping[str, Any], receive: Callable[[], Awaitable[M]], *, max_bytes: int, timeout_s: float
) -> bytes | bytearray | None:
    """The whole body; None when it is longer than `max_bytes`, breaks off, or does not arrive in time.

    A longer one is received all the same, up to `_PATIENCE` times the limit, and thrown away: a client that
    is still sending when it is answered often sees a broken connection instead of the answer. One that is
    announced as still longer is not begun. Its time is as `TimelyBody` says.
    """
    try:
        return await _received(scope, TimelyBody(receive, timeout_s), max_bytes)
    except (BodyBrokenError, BodyLateError):
        return None


async def _received(
    scope: Mapping[str, Any], receive: Callable[[], Awaitable[M]], max_bytes: int
) -> bytes | bytearray | None:
    body: bytes | bytearray = b""
    declared = _declared_length(scope)
    if declared > _PATIENCE * max_bytes:
        return None
    size, fits = 0, declared <= max_bytes
    while size <= _PATIENCE * max_bytes:
        chunk, more = await _next_chunk(receive)
        size += len(chunk)
        if fits and size <= max_bytes:
            body = _joined(body, chunk)
        else:
            body, fits = b"", False
        # What was announced and is there needs no further turn to learn that nothing follows.
        if not more or 0 < declared == size:
            return body if fits else None
    return None


async def _next_chunk(receive: Callable[[], Awaitable[Mapping[str, Any]]]) -> tuple[bytes, bool]:
    message = await receive()
    assert message["type"] == "http.request"
    return message.get("body", b""), message.get("more_body", False)


def _joined(body: bytes | bytearray, chunk: bytes) -> bytes | bytearray:
    """Nearly every body is one chunk, which is not copied; the others grow in place."""
    if not body:
        return chunk
    joined = bytearray(body) if isinstance(body, bytes) else body
    joined += chunk
    return joined


def _declared_length(scope: Mapping[str, Any]) -> int:
    """The length that the head announces; 0 when it says none that is a number."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) <= _LONGEST_LENGTH else 0
    return 0
