"""A node that is not done with a recording, or does not talk sense, is asked again and loses nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tongdai.adapters.asterisk.stored import StoredRecordings
from tongdai.ports.sip import AsteriskNode
from tongdai.ports.telephony import EngineUnreachableError

pytestmark = pytest.mark.anyio

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def node_that(answers: Answer) -> AsyncIterator[StoredRecordings]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answers)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    node = AsteriskNode(
        id=1,
        name="one",
        url=f"http://127.0.0.1:{runner.addresses[0][1]}",
        username="tongdai",
        password="x",
        sounds_path="/sounds",
    )
    try:
        async with StoredRecordings(node, answer_timeout_s=0.5) as client:
            yield client
    finally:
        await runner.cleanup()


async def read(stored: StoredRecordings) -> bytes:
    return b"".join([piece async for piece in await stored.fetch("td-5-0")])


async def test_what_is_still_being_recorded_is_not_taken_for_finished() -> None:
    asked = []

    async def live(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response({"name": "td-5-0", "state": "recording"})

    async with node_that(live) as stored:
        with pytest.raises(EngineUnreachableError):
            await read(stored)
    assert asked == ["/ari/recordings/stored/td-5-0/file", "/ari/recordings/live/td-5-0"]


async def test_a_file_that_breaks_off_is_not_taken_for_whole() -> None:
    async def breaks_off(request: web.Request) -> web.StreamResponse:
        if "/live/" in request.path:
            return web.Response(status=404)
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        await answer.prepare(request)
        await answer.write(b"RIFF")
        assert request.transport is not None
        request.transport.close()
        return answer

    async with node_that(breaks_off) as stored:
        with pytest.raises(EngineUnreachableError):
            await read(stored)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 500, 503])
async def test_a_refusal_that_says_nothing_of_the_recording_is_no_word_on_it(status: int) -> None:
    async def refuses(request: web.Request) -> web.Response:
        if "/elsewhere/" in request.path:
            return web.json_response([])
        headers = {"Location": f"/elsewhere{request.path}"} if status == 301 else None
        return web.Response(status=404 if "/live/" in request.path else status, headers=headers)

    async with node_that(refuses) as stored:
        for asked in (read(stored), stored.forget("td-5-0"), stored.names()):
            with pytest.raises(EngineUnreachableError):
                await asked


async def test_a_list_that_makes_no_sense_is_no_list() -> None:
    async def babbles(request: web.Request) -> web.Response:
        return web.Response(text="[{]", content_type="application/json")

    async with node_that(babbles) as stored:
        with pytest.raises(EngineUnreachableError):
            await stored.names()
