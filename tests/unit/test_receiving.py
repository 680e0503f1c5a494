"""A body is received in bounded time, and a long one is not cut off because its line is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from tongdai.kit.receiving import SLOWEST_BYTES_PER_S, BodyBrokenError, BodyLateError, TimelyBody, read_body

pytestmark = pytest.mark.anyio

Message = dict[str, Any]
FOREVER = 3600.0


def part(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def sender(messages: Sequence[Message], *, pause_s: float = 0.0) -> Callable[[], Awaitable[Message]]:
    """Sends these with a pause before each, and then nothing more."""
    left = list(messages)

    async def receive() -> Message:
        await asyncio.sleep(pause_s if left else FOREVER)
        return left.pop(0)

    return receive


async def whole(receive: Callable[[], Awaitable[Message]]) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    return body


async def test_a_body_arrives_as_it_was_sent() -> None:
    sent = sender([part(b"a"), part(b"b"), part(b"c", more=False)])
    assert await whole(TimelyBody(sent, FOREVER)) == b"abc"


async def test_a_sender_that_falls_silent_is_late_long_before_the_whole_body_is() -> None:
    with pytest.raises(BodyLateError):
        await whole(TimelyBody(sender([part(b"a")]), FOREVER, idle_s=0.01))


async def test_a_sender_that_sends_a_byte_now_and_then_is_late() -> None:
    with pytest.raises(BodyLateError):
        await whole(TimelyBody(sender([part(b"a")] * 10_000, pause_s=0.01), 0.05, idle_s=FOREVER))


async def test_a_sender_that_keeps_the_pace_is_not_late_however_long_it_takes() -> None:
    parts = [part(bytes(SLOWEST_BYTES_PER_S))] * 9 + [part(b"", more=False)]
    body = await whole(TimelyBody(sender(parts, pause_s=0.02), 0.1))
    assert len(body) == 9 * SLOWEST_BYTES_PER_S


async def test_a_body_that_breaks_off_is_told_from_a_whole_one() -> None:
    with pytest.raises(BodyBrokenError):
        await whole(TimelyBody(sender([part(b"a"), {"type": "http.disconnect"}]), FOREVER))


async def test_after_the_body_the_disconnect_is_waited_for_without_a_limit() -> None:
    gone = asyncio.Event()
    messages = [part(b"", more=False), {"type": "http.disconnect"}]

    async def receive() -> Message:
        if len(messages) == 1:
            await gone.wait()
        return messages.pop(0)

    body = TimelyBody(receive, 0.01, idle_s=0.01)
    await body()
    disconnect = asyncio.ensure_future(body())
    assert not (await asyncio.wait([disconnect], timeout=0.05))[0]
    gone.set()
    assert (await disconnect)["type"] == "http.disconnect"


@pytest.mark.parametrize(("announced", "has_come"), [(b"2", True), (b"3", False)])
async def test_a_body_that_was_announced_is_whole_once_so_much_has_come(
    announced: bytes, has_come: bool
) -> None:
    scope = {"headers": [(b"content-length", announced)]}
    body = await read_body(scope, sender([part(b"a"), part(b"b")]), max_bytes=10, timeout_s=0.1)
    assert body == (b"ab" if has_come else None)


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"0")]])
async def test_a_body_that_was_not_announced_is_waited_for_though_nothing_has_come_yet(
    headers: list[tuple[bytes, bytes]],
) -> None:
    sent = sender([part(b""), part(b"a"), part(b"b", more=False)])
    assert await read_body({"headers": headers}, sent, max_bytes=10, timeout_s=1.0) == b"ab"
