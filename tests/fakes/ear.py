"""A client of a telephony engine that keeps all it hears, and commands by a function of the event."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from tongdai.ports.telephony import (
    Command,
    Ended,
    Engine,
    EngineBack,
    EngineGone,
    IncomingCall,
    IncomingGone,
    LegEvent,
    Play,
    Speech,
)

React = Callable[[LegEvent], Sequence[Command]]

PROMPT = Play(1, (Speech("x" * 66),))
"""Five seconds: 0.3 and 66 characters at 14 a second."""


def nothing(event: LegEvent) -> Sequence[Command]:
    return ()


class Ear:
    """Hears one engine. Commands are numbered per leg in the order in which they are given."""

    def __init__(self, engine: Engine, react: React) -> None:
        self.engine = engine
        self.heard: dict[int, list[LegEvent]] = defaultdict(list)
        self.news: list[EngineGone | EngineBack] = []
        self.incoming: list[IncomingCall | IncomingGone] = []
        self._react = react
        self._ordinals: dict[int, int] = defaultdict(int)
        self._changed = asyncio.Event()

    async def listen(self) -> None:
        async for event in self.engine.events():
            if isinstance(event, EngineGone | EngineBack):
                self.news.append(event)
            elif isinstance(event, IncomingCall | IncomingGone):
                self.incoming.append(event)
            else:
                self.heard[event.leg_id].append(event)
                for command in self._react(event):
                    await self.command(event.leg_id, command)
            self._changed.set()

    async def command(self, leg_id: int, command: Command) -> None:
        self._ordinals[leg_id] += 1
        await self.engine.command(leg_id, self._ordinals[leg_id], command)

    async def until(self, is_so: Callable[[], bool], *, within: float = 30.0) -> None:
        """Wait until what was heard makes it so. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()

    async def until_heard(self, leg_id: int, kind: type[LegEvent]) -> LegEvent:
        await self.until(lambda: any(isinstance(event, kind) for event in self.heard[leg_id]))
        return next(event for event in self.heard[leg_id] if isinstance(event, kind))

    async def until_ended(self, leg_id: int) -> Ended:
        ended = await self.until_heard(leg_id, Ended)
        assert isinstance(ended, Ended)
        return ended

    async def until_connected(self) -> None:
        await self.until(lambda: bool(self.news) and isinstance(self.news[-1], EngineBack))

    def kinds(self, leg_id: int) -> list[str]:
        return [type(event).__name__ for event in self.heard[leg_id]]


@asynccontextmanager
async def hearing(engine: Engine, react: React = nothing) -> AsyncIterator[Ear]:
    """A started engine, connected, and an ear on it."""
    await engine.start()
    ear = Ear(engine, react)
    task = asyncio.get_running_loop().create_task(ear.listen())
    try:
        await ear.until_connected()
        yield ear
    finally:
        await engine.stop()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
