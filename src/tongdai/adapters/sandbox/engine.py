"""The telephony port on the sandbox carrier: a client of the carrier's process."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from tongdai.adapters.sandbox.protocol import (
    PROTOCOL_VERSION,
    TOO_LATE,
    Accept,
    Ack,
    Adopt,
    Adopted,
    Came,
    Dial,
    Do,
    FromCarrier,
    Hear,
    Hello,
    Place,
    Placed,
    Refuse,
    Taken,
    Told,
    Welcome,
    Went,
    Wire,
    encode,
    parse_address,
)
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    AudioClip,
    CancelTimer,
    Capabilities,
    Command,
    DialRequest,
    Digit,
    EndCause,
    Ended,
    EngineBack,
    EngineGone,
    EngineRefusedError,
    EngineTooLateError,
    EngineUnreachableError,
    HangUp,
    IncomingCall,
    IncomingGone,
    LegEvent,
    LegKnowledge,
    LegRef,
    PickUp,
    Play,
    PlaybackEnded,
    PromptItem,
    RecordCall,
    RecordingEnded,
    Ringing,
    Speech,
    SpokenCode,
    StartRecording,
    StartTimer,
    StopPlay,
    StopRecording,
    TimerFired,
    Transfer,
    TransferEnded,
)

logger = logging.getLogger(__name__)

SPEECH_CHARACTERS_S = 14.0
SPEECH_LEAD_S = 0.3
SPOKEN_DIGIT_S = 0.9
ACK_EVERY = 32
RECONNECT_S = (0.02, 1.0)
"""Seconds between attempts to connect: the first pause, and the longest."""

CAPABILITIES = Capabilities(replays=True, detects_machines=True, records=True, transfers=True)
"""Recordings last as long as they would and keep no audio: their `storage_key` is None."""


Heard = LegEvent | EngineGone | EngineBack | IncomingCall | IncomingGone


class SandboxEngine:
    """`ports.telephony.IncomingEngine` on a sandbox carrier at `address` (unix socket path or loopback
    host:port).

    The stream tells EngineBack at every connection, the first included. At full speed the carrier holds a
    leg's clock until the consumer of `events()` asks for the next event, so a consumer that commands before
    it asks loses no carrier time. A prompt's words stay in this process: the carrier is told seconds.
    """

    capabilities = CAPABILITIES

    def __init__(self, address: str, *, answer_timeout_s: float = 10.0) -> None:
        self._address = parse_address(address)
        self._answer_timeout_s = answer_timeout_s
        self._wire: _Link | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._request = 0
        self._asked: dict[int, tuple[asyncio.Future[Any], float]] = {}
        self._events: deque[Heard] = deque()
        self._hears_incoming = False
        self._arrival: asyncio.Future[None] | None = None
        self._uncounted = 0
        self._delivering = False
        self._consumed = 0
        self._stopped = False

    @property
    def reachable(self) -> bool:
        return self._wire is not None

    async def start(self) -> None:
        self._stopped = False
        self._keeper = asyncio.get_running_loop().create_task(self._keep_connected(), name="sandbox-engine")

    async def stop(self) -> None:
        """Disconnect. Calls that are up stay up, and `events()` ends once its queue is empty."""
        self._stopped = True
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        self._wake()

    async def events(self) -> AsyncIterator[Heard]:
        queue = self._events
        while True:
            while queue:
                self._delivering = True
                yield queue.popleft()
                self._delivering = False
                self._count_consumed()
            if self._stopped:
                return
            self._acknowledge()
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival

    async def originate(self, request: DialRequest) -> None:
        refusal: str = await self._ask(
            lambda number: Dial(
                number,
                request.leg_id,
                request.trunk_id,
                request.number,
                request.caller,
                request.ring_s,
                request.max_s,
                request.detect_machine,
                request.dial_before.timestamp(),
            )
        )
        if refusal == TOO_LATE:
            raise EngineTooLateError(refusal)
        if refusal:
            raise EngineRefusedError(refusal)

    async def command(self, leg_id: int, ordinal: int, command: Command) -> None:
        """Never raises for a lost connection: whoever adopts the leg repeats its commands."""
        if self._wire is not None:
            self._wire.send(encode(to_wire(leg_id, ordinal, command)))

    async def adopt(self, legs: Sequence[LegRef]) -> dict[int, LegKnowledge]:
        if not legs:
            return {}
        wanted = [(leg.leg_id, leg.dial_at.timestamp()) for leg in legs]
        known: list[tuple[int, str]] = await self._ask(lambda number: Adopt(number, wanted))
        return {leg_id: LegKnowledge(knowledge) for leg_id, knowledge in known}

    # -------------------------------------------------------------- calls that come in

    async def hear_incoming(self, wanted: bool) -> None:
        self._hears_incoming = wanted
        with suppress(EngineUnreachableError):  # the next connection begins with it
            await self._ask(lambda number: Hear(number, wanted))

    async def accept(self, channel: str, leg_id: int, max_s: float) -> None:
        refusal: str = await self._ask(lambda number: Accept(number, channel, leg_id, max_s))
        if refusal:
            raise EngineRefusedError(refusal)

    async def refuse(self, channel: str, cause: EndCause) -> None:
        if self._wire is not None:
            self._wire.send(encode(Refuse(channel, cause.value)))

    async def place(
        self,
        trunk_id: int,
        caller: str,
        called: str,
        *,
        waits_s: float = 30.0,
        stays_s: float | None = None,
        presses: str = "",
    ) -> str:
        """Have somebody call us; returns the channel that rings. Not part of the port: for tests and demos.

        The caller's number says how they behave, as a called number does; `presses`: one key in each prompt.
        Raises EngineUnreachableError.
        """
        channel: str = await self._ask(
            lambda number: Place(number, trunk_id, caller, called, waits_s, stays_s, presses)
        )
        return channel

    # -------------------------------------------------------------- asking

    async def _ask(self, message: Callable[[int], Dial | Adopt | Accept | Hear | Place]) -> Any:
        wire = self._wire
        if wire is None:
            raise EngineUnreachableError("the sandbox carrier is not connected")
        self._request += 1
        number = self._request
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[number] = (answer, time.monotonic() + self._answer_timeout_s)
        wire.send(encode(message(number)))
        try:
            return await answer
        finally:
            self._asked.pop(number, None)

    def _answer(self, number: int, value: object) -> None:
        asked = self._asked.pop(number, None)
        if asked is not None and not asked[0].done():
            asked[0].set_result(value)

    def _give_up_asking(self, until: float) -> None:
        """Whoever asked before and has no answer yet may have been heard or not."""
        late = [number for number, (_, deadline) in self._asked.items() if deadline <= until]
        for number in late:
            answer, _ = self._asked.pop(number)
            if not answer.done():
                answer.set_exception(EngineUnreachableError("the sandbox carrier did not answer"))

    # -------------------------------------------------------------- hearing

    def _heard(self, messages: list[Any]) -> None:
        for message in messages:
            match message:
                case Told():
                    self._events.append(_PORT_EVENTS[message.what](message))
                case Taken():
                    self._answer(message.request, message.refusal)
                case Adopted():
                    self._answer(message.request, message.legs)
                case Placed():
                    self._answer(message.request, message.channel)
                case Came():
                    self._events.append(
                        IncomingCall(
                            message.channel, message.trunk, message.caller, message.called, datetime.now(UTC)
                        )
                    )
                case Went():
                    self._events.append(IncomingGone(message.channel))
        self._wake()

    def _tell(self, event: EngineGone | EngineBack) -> None:
        self._events.append(event)
        self._uncounted = len(self._events) + self._delivering
        self._wake()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def _count_consumed(self) -> None:
        """Only events of this connection are acknowledged to the carrier, which counts by connection."""
        if self._uncounted:
            self._uncounted -= 1
            return
        self._consumed += 1
        if self._consumed % ACK_EVERY == 0:
            self._acknowledge()

    def _acknowledge(self) -> None:
        if self._wire is not None and self._consumed > self._wire.acknowledged:
            self._wire.acknowledged = self._consumed
            self._wire.send(encode(Ack(self._consumed)))

    # -------------------------------------------------------------- the connection

    async def _keep_connected(self) -> None:
        pause, longest = RECONNECT_S
        while True:
            link = await self._connect()
            if link is not None:
                pause = RECONNECT_S[0]
                try:
                    await self._while_connected(link)
                finally:
                    self._disconnected(link)
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    async def _connect(self) -> _Link | None:
        """A greeted connection, or None."""
        loop, address = asyncio.get_running_loop(), self._address
        try:
            if address.path is not None:
                with address.socket_path() as path:
                    _, link = await loop.create_unix_connection(_Link, path)
            else:
                _, link = await loop.create_connection(_Link, address.host, address.port)
        except OSError:
            return None
        link.send(encode(Hello(PROTOCOL_VERSION, f"{os.uname().nodename}/{os.getpid()}")))
        await asyncio.wait((link.welcome, link.closed), timeout=5.0, return_when=asyncio.FIRST_COMPLETED)
        if link.welcome.done() and link.welcome.result().version == PROTOCOL_VERSION:
            return link
        logger.error("the sandbox carrier does not speak our protocol", extra={"version": PROTOCOL_VERSION})
        link.close()
        return None

    async def _while_connected(self, link: _Link) -> None:
        self._consumed = 0
        self._wire = link
        self._tell(EngineBack())
        link.heard = self._heard
        if self._hears_incoming:
            link.send(encode(Hear(0, True)))
        while not link.closed.done():
            await asyncio.wait((link.closed,), timeout=0.5)
            self._give_up_asking(time.monotonic())

    def _disconnected(self, link: _Link) -> None:
        self._wire = None
        link.heard = None
        link.close()
        self._give_up_asking(float("inf"))
        self._tell(EngineGone())


class _Link(Wire):
    """The connection, on the client's side."""

    def __init__(self) -> None:
        super().__init__(FromCarrier)
        self.welcome: asyncio.Future[Welcome] = self._loop.create_future()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.heard: Callable[[list[Any]], None] | None = None
        self.acknowledged = 0

    def received(self, messages: list[Any]) -> None:
        if self.heard is not None:
            self.heard(messages)
        elif isinstance(messages[0], Welcome) and not self.welcome.done():
            self.welcome.set_result(messages[0])

    def lost(self) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


# ------------------------------------------------------------------ the port's words and the wire's


def spoken_seconds(item: PromptItem) -> float:
    """How long an item lasts: 14 characters of speech a second, 0.9 s for each digit of a code."""
    match item:
        case Speech():
            return len(item.text) / SPEECH_CHARACTERS_S + SPEECH_LEAD_S
        case AudioClip():
            return item.duration_s
        case SpokenCode():
            return len(item.digits) * SPOKEN_DIGIT_S


def to_wire(leg_id: int, ordinal: int, command: Command) -> Do:
    """What the carrier is told of a command: seconds, and never what is said in them."""
    match command:
        case Play():
            seconds = sum(map(spoken_seconds, command.items))
            secret = any(isinstance(item, SpokenCode) for item in command.items)
            return Do(leg_id, ordinal, "play", command.id, seconds, secret)
        case StopPlay():
            return Do(leg_id, ordinal, "stop", command.id)
        case StartTimer():
            return Do(leg_id, ordinal, "timer", command.id, command.seconds)
        case CancelTimer():
            return Do(leg_id, ordinal, "untimer", command.id)
        case StartRecording():
            return Do(leg_id, ordinal, "record", command.id, command.max_s, command.stop_on_digit)
        case StopRecording():
            return Do(leg_id, ordinal, "unrecord", command.id)
        case RecordCall():
            return Do(leg_id, ordinal, "recordcall", command.id)
        case Transfer():
            phones = [(one.leg_id, one.target, one.caller, one.max_s) for one in command.legs]
            target = command.target if phones else ""
            return Do(leg_id, ordinal, "transfer", command.id, command.ring_s, target=target, phones=phones)
        case PickUp() | HangUp():
            return Do(leg_id, ordinal, "pickup" if isinstance(command, PickUp) else "hangup")


_PORT_EVENTS: dict[str, Callable[[Told], LegEvent]] = {
    "ringing": lambda told: Ringing(told.leg, told.seq, told.at),
    "answered": lambda told: Answered(
        told.leg, told.seq, told.at, told.seconds or 0.0, AnsweredBy(told.text)
    ),
    "digit": lambda told: Digit(told.leg, told.seq, told.at, told.text),
    "played": lambda told: PlaybackEnded(told.leg, told.seq, told.at, told.id, told.flag),
    "timer": lambda told: TimerFired(told.leg, told.seq, told.at, told.id),
    "recorded": lambda told: RecordingEnded(told.leg, told.seq, told.at, told.id, told.seconds or 0.0, None),
    "transferred": lambda told: TransferEnded(
        told.leg, told.seq, told.at, told.id, told.flag, told.seconds or 0.0, int(told.text or 0) or None
    ),
    "ended": lambda told: Ended(told.leg, told.seq, told.at, EndCause(told.text), told.seconds),
}
