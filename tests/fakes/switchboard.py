"""An engine that calls come in on, played by the test: it does what the test says, and keeps to the port."""

from __future__ import annotations

from tests.fakes.engine import PlayedEngine

from tongdai.kit.clock import SystemClock
from tongdai.ports.telephony import (
    Command,
    EndCause,
    EngineRefusedError,
    EngineUnreachableError,
    IncomingCall,
    IncomingGone,
    LegEvent,
)


class Switchboard:
    """The node itself, which several clients reach: who calls, what was accepted, and who hears of it."""

    def __init__(self) -> None:
        self.clients: list[PlayedSwitch] = []
        self.hearer: PlayedSwitch | None = None
        self.ringing: dict[str, IncomingCall] = {}
        self.accepted: dict[str, tuple[int, PlayedSwitch]] = {}
        """By channel: the leg, and the client that hears of it."""
        self.refused: dict[str, EndCause] = {}

    def client(self) -> PlayedSwitch:
        one = PlayedSwitch(self)
        self.clients.append(one)
        return one

    def rings(self, trunk_id: int, called: str, caller: str = "0912345678", channel: str = "in-1") -> None:
        call = IncomingCall(channel, trunk_id, caller, called, SystemClock().now())
        self.ringing[channel] = call
        if self.hearer is not None:
            self.hearer.tell(call)

    def gives_up(self, channel: str = "in-1") -> None:
        if self.ringing.pop(channel, None) is not None and self.hearer is not None:
            self.hearer.tell(IncomingGone(channel))

    def leg(self, channel: str = "in-1") -> int:
        return self.accepted[channel][0]

    def tell(self, event: LegEvent) -> None:
        """To whoever hears of its leg."""
        for leg_id, client in self.accepted.values():
            if leg_id == event.leg_id:
                client.tell(event)


class PlayedSwitch(PlayedEngine):
    """One client of it. `accepting` says what comes of each acceptance."""

    def __init__(self, board: Switchboard) -> None:
        super().__init__()
        self.board = board
        self.answers = True
        """False: whether a call was accepted is never known."""

    async def hear_incoming(self, wanted: bool) -> None:
        if wanted:
            self.board.hearer = self
            for call in self.board.ringing.values():
                self.tell(call)
        elif self.board.hearer is self:
            self.board.hearer = None

    async def accept(self, channel: str, leg_id: int, max_s: float) -> None:
        if not self.answers:
            raise EngineUnreachableError("the answer never came")
        if self.board.ringing.pop(channel, None) is None:
            raise EngineRefusedError("the call has gone")
        self.board.accepted[channel] = leg_id, self

    async def refuse(self, channel: str, cause: EndCause) -> None:
        if self.board.ringing.pop(channel, None) is not None:
            self.board.refused[channel] = cause

    def commands(self) -> list[Command]:
        """In their order."""
        return [command for _, _, command in sorted(self.commanded, key=lambda one: one[:2])]
