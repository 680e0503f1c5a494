"""Applications of clients that are gone, which an engine keeps going until their calls are over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from tongdai.adapters.asterisk.heard import Heard
from tongdai.adapters.asterisk.link import Link, connect
from tongdai.adapters.asterisk.wire import leg_of
from tongdai.ports.telephony import EngineUnreachableError

if TYPE_CHECKING:
    from tongdai.adapters.asterisk.engine import AsteriskEngine

LOOK_S = 5.0
"""Between two looks whether an application that was taken over is still needed."""


class Taken:
    """Those that one engine has taken over. Each has a connection of its own."""

    def __init__(self, engine: AsteriskEngine, hear: Callable[[Heard], None]) -> None:
        self._engine = engine
        self._hear = hear
        self._links: dict[str, Link] = {}
        self._keepers: set[asyncio.Task[None]] = set()

    async def take_over(self, app: str) -> None:
        """Keep a dead client's application going, since calls that are answered in it would be dropped.

        A client that is not dead is cut off by this. Only arrivals are heard on it. Raises
        EngineUnreachableError.
        """
        engine = self._engine
        if app == engine.app or app in self._links:
            return
        link = await connect(engine.node, app, self._on_heard, answer_timeout_s=engine.answer_timeout_s)
        if link is None:
            raise EngineUnreachableError("Asterisk is not connected")
        self._links[app] = link
        keeper = asyncio.get_running_loop().create_task(self._keep(app, link))
        self._keepers.add(keeper)
        keeper.add_done_callback(self._keepers.discard)

    def disconnected(self) -> None:
        """The engine has lost its connection: whoever asks for these calls next takes them over."""
        for keeper in list(self._keepers):
            keeper.cancel()

    def _on_heard(self, heard: Heard) -> None:
        if heard.type == "StasisStart":
            self._hear(heard)

    async def _keep(self, app: str, link: Link) -> None:
        """Until none of its calls is left, or somebody else keeps it."""
        try:
            while not link.closed.done():
                await asyncio.wait((link.closed,), timeout=LOOK_S)
                if not link.closed.done() and not await self._has_calls(app):
                    link.close()
        finally:
            self._links.pop(app, None)
            link.close()

    async def _has_calls(self, app: str) -> bool:
        reply = await self._engine.ask("GET", f"applications/{app}")
        return reply.ok and any(
            leg_of(channel) is not None for channel in reply.json().get("channel_ids", ())
        )
