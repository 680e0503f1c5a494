"""An engine that the test plays: it does what the test says, and keeps to the port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    Capabilities,
    Command,
    DialRequest,
    EndCause,
    Ended,
    EngineBack,
    EngineEvent,
    EngineGone,
    EngineRefusedError,
    EngineUnreachableError,
    HangUp,
    LegKnowledge,
    LegRef,
    Ringing,
)

Behaviour = Callable[["PlayedEngine", DialRequest], None]


def silent(engine: PlayedEngine, request: DialRequest) -> None:
    """Nothing is heard of the call."""


def ends_with(cause: EndCause) -> Behaviour:
    """It rings, and ends so without having been answered."""

    def behave(engine: PlayedEngine, request: DialRequest) -> None:
        engine.tell(Ringing(request.leg_id, 1, 1.0))
        engine.tell(Ended(request.leg_id, 2, 9.0, cause, None))

    return behave


def answers_and_ends(engine: PlayedEngine, request: DialRequest) -> None:
    engine.tell(Ringing(request.leg_id, 1, 1.0))
    engine.tell(Answered(request.leg_id, 2, 5.0, 5.0, AnsweredBy.HUMAN))
    engine.tell(Ended(request.leg_id, 3, 13.0, EndCause.NORMAL, 5.0))


def refuses(engine: PlayedEngine, request: DialRequest) -> None:
    raise EngineRefusedError("no such endpoint")


def is_cut_off(engine: PlayedEngine, request: DialRequest) -> None:
    raise EngineUnreachableError("the answer never came")


class PlayedEngine:
    """`behave` says what each originate leads to. `dialled` is every request it was ever handed."""

    capabilities = Capabilities(replays=True, detects_machines=True, records=False, transfers=False)

    def __init__(self, behave: Behaviour = answers_and_ends) -> None:
        self.behave = behave
        self.dialled: list[DialRequest] = []
        self.commanded: list[tuple[int, int, Command]] = []
        self.adopted: list[int] = []
        self.knows = LegKnowledge.FORGOTTEN
        self.reachable = True
        self._told: asyncio.Queue[EngineEvent] = asyncio.Queue()

    async def start(self) -> None:
        self.tell(EngineBack())

    async def stop(self) -> None:
        pass

    def tell(self, event: EngineEvent) -> None:
        self._told.put_nowait(event)

    async def events(self) -> AsyncIterator[EngineEvent]:
        while True:
            yield await self._told.get()

    async def originate(self, request: DialRequest) -> None:
        self.dialled.append(request)
        self.behave(self, request)

    async def command(self, leg_id: int, ordinal: int, command: Command) -> None:
        self.commanded.append((leg_id, ordinal, command))

    async def adopt(self, legs: Sequence[LegRef]) -> dict[int, LegKnowledge]:
        self.adopted.extend(leg.leg_id for leg in legs)
        return {leg.leg_id: self.knows for leg in legs}

    def go_away(self) -> None:
        self.reachable = False
        self.tell(EngineGone())

    def come_back(self) -> None:
        self.reachable = True
        self.tell(EngineBack())

    def hung_up(self) -> list[int]:
        return [leg_id for leg_id, _, command in self.commanded if isinstance(command, HangUp)]
