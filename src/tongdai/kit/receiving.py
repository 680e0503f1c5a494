"""Receiving a request's body in bounded time, whatever its sender does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Generic, TypeVar

from tongdai.kit.errors import InvalidError, TongdaiError

IDLE_S: Final = 15.0
"""So many seconds without a byte, and a body counts as given up."""

SLOWEST_BYTES_PER_S: Final = 16 * 1024
"""A sender that keeps this pace is never late, however long its body is."""

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
