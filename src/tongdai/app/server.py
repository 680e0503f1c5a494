"""Serving the app: granian inside our own loop and process. Why: docs/decisions/0003-web-server.md."""

from __future__ import annotations

import asyncio

from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from litestar import Litestar

BACKLOG = 1024
IN_FLIGHT = 1024
"""Requests that are handled at once; further connections wait in the kernel's queue."""


async def serve(app: Litestar, host: str, port: int, stop: asyncio.Event) -> None:
    """Answer requests until `stop` is set and what is in flight is answered.

    Raises OSError when the address is taken.
    """
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        backpressure=IN_FLIGHT,
        # Its access log would hold queries, and those may hold tokens.
        log_access=False,
        log_enabled=False,
    )
    serving = asyncio.create_task(server.serve(), name="web server")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.stop()  # type: ignore[no-untyped-call]
    await serving
