"""The telephony port: what an engine is asked, and what it tells.

An engine places one call per leg id, says what happens on it, and does what it is told while the call is up.
Every event carries `at`, the seconds since the leg was handed over **on the engine's own clock**, so that a
simulated carrier may run faster than the world; times of day are never taken from an engine.

Events of one leg are numbered from 1 without gaps (`seq`). An engine with `replays` can be asked for a leg's
events again from the first on, for as long as it remembers the leg: the script runner is pure, so a second
dialer that adopts the leg arrives at the same state and repeats no command.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

# --------------------------------------------------------------------------- asked of an engine


@dataclass(frozen=True, slots=True)
class DialRequest:
    """One originate. `number` and `caller` are already in the trunk's own format."""

    leg_id: int
    trunk_id: int
    number: str
    caller: str
    ring_s: float
    """Seconds to let it ring before the engine gives up with `EndCause.NO_ANSWER`."""
    max_s: float
    """Absolute limit in seconds from the answer; the engine hangs up by itself then."""
    detect_machine: bool
    """True: `Answered` is told only once the engine knows (or gave up knowing) whether a machine answered."""
    dial_before: datetime
    """Aware. The caller does not send after it; an engine that can must refuse a request that is later."""


@dataclass(frozen=True, slots=True)
class Speech:
    """A sentence to be spoken, its fields filled in."""

    text: str
    pieces: tuple[str, ...] = ()
    """The same, cut where fields were filled in, so that what everybody hears is synthesised once. Empty: it
    is one piece."""
    voice: str = ""
    """Which voice speaks, `provider:name`; "": the installation's own."""


@dataclass(frozen=True, slots=True)
class AudioClip:
    """A stored audio file."""

    storage_key: str
    duration_s: float


@dataclass(frozen=True, slots=True, repr=False)
class SpokenCode:
    """A secret, read digit by digit. Has no repr, so that it cannot reach a log."""

    digits: str
    voice: str = ""


PromptItem = Speech | AudioClip | SpokenCode


@dataclass(frozen=True, slots=True)
class Play:
    """Play the items one after another. Ends with `PlaybackEnded(id)`, also when stopped."""

    id: int
    items: tuple[PromptItem, ...]


@dataclass(frozen=True, slots=True)
class StopPlay:
    id: int


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Ask for `TimerFired(id)` after so many seconds of the engine's clock."""

    id: int
    seconds: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    id: int


@dataclass(frozen=True, slots=True)
class StartRecording:
    """Record what the person says for at most `max_s`. Ends with `RecordingEnded(id)`."""

    id: int
    max_s: float
    stop_on_digit: bool


@dataclass(frozen=True, slots=True)
class StopRecording:
    id: int


@dataclass(frozen=True, slots=True)
class RecordCall:
    """Record both sides from now to the end of the call. Ends with `RecordingEnded(id)`, before `Ended`.

    Prompts go on meanwhile, and so does another recording.
    """

    id: int


@dataclass(frozen=True, slots=True)
class TransferLeg:
    """One phone that a transfer rings. `target` is in the trunk's own format, or a SIP address."""

    leg_id: int
    trunk_id: int
    target: str
    caller: str
    """The number that is shown there, in the trunk's format."""
    max_s: float
    """Absolute limit in seconds of the talk."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Connect the person to one of the targets (84… numbers, SIP addresses), which ring at the same time.

    The first to answer has the call. Ends with `TransferEnded`, before `Ended` when the call ends meanwhile.
    A call that came in and was not picked up yet is picked up when one answers.
    """

    id: int
    target: str
    ring_s: float
    others: tuple[str, ...] = ()
    legs: tuple[TransferLeg, ...] = ()
    """Filled in by whoever takes the channels, before an engine is told; a script's runner gives none. Empty:
    nobody could be rung, and `TransferEnded` says so at once."""


@dataclass(frozen=True, slots=True)
class PickUp:
    """Answer a call that came in. `Answered` is told then. Harmless when it is answered."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call. Harmless when it has ended."""


Command = (
    Play
    | StopPlay
    | StartTimer
    | CancelTimer
    | StartRecording
    | StopRecording
    | RecordCall
    | Transfer
    | PickUp
    | HangUp
)


# --------------------------------------------------------------------------- told by an engine


class AnsweredBy(StrEnum):
    HUMAN = "human"
    MACHINE = "machine"
    UNKNOWN = "unknown"
    """Detection was off, or could not tell."""


class EndCause(StrEnum):
    """Why a leg ended, in telephony's words. The domain turns it into an outcome."""

    NORMAL = "normal"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    UNREACHABLE = "unreachable"
    UNALLOCATED = "unallocated"
    CONGESTION = "congestion"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Ringing:
    leg_id: int
    seq: int
    at: float


@dataclass(frozen=True, slots=True)
class Answered:
    leg_id: int
    seq: int
    at: float
    answered_at: float
    """Second of the answer itself; with machine detection the event comes later than this."""
    by: AnsweredBy


@dataclass(frozen=True, slots=True)
class Digit:
    leg_id: int
    seq: int
    at: float
    digit: str


@dataclass(frozen=True, slots=True)
class PlaybackEnded:
    leg_id: int
    seq: int
    at: float
    id: int
    completed: bool
    """False: it was stopped, or could not be played."""


@dataclass(frozen=True, slots=True)
class TimerFired:
    leg_id: int
    seq: int
    at: float
    id: int


@dataclass(frozen=True, slots=True)
class RecordingEnded:
    leg_id: int
    seq: int
    at: float
    id: int
    seconds: float
    storage_key: str | None
    """What the engine calls the recording (`RecordingStore.fetch`); None: it kept no sound."""


@dataclass(frozen=True, slots=True)
class TransferEnded:
    leg_id: int
    seq: int
    at: float
    id: int
    connected: bool
    seconds: float
    leg_id_connected: int | None = None
    """Which of its legs answered."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event of a leg."""

    leg_id: int
    seq: int
    at: float
    cause: EndCause
    answered_at: float | None
    """None: nobody answered. Set even when the call ended before `Answered` could be told."""


LegEvent = Ringing | Answered | Digit | PlaybackEnded | TimerFired | RecordingEnded | TransferEnded | Ended


class LegKnowledge(StrEnum):
    """What an engine knows of a leg id, when asked."""

    REPLAYED = "replayed"
    """It is up, or ended and remembered; if the engine replays, its events follow from seq 1 on."""
    NEVER_SEEN = "never_seen"
    """The engine is certain that it was never asked to dial this leg, and will not dial it later."""
    FORGOTTEN = "forgotten"
    """It is not up any more (the engine restarted, or ended it long ago); how it ended cannot be told."""


@dataclass(frozen=True, slots=True)
class LegRef:
    leg_id: int
    dial_at: datetime
    """Aware; its slot. An engine that started after it cannot say that it never saw the leg."""
    channel: str = ""
    """Of a call that came in: what the engine calls it (`IncomingCall.channel`)."""


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """On the event stream of whoever hears incoming calls: somebody calls.

    It rings until it is accepted or refused; the engine refuses it by itself after a while. No leg has it.
    """

    channel: str
    trunk_id: int
    caller: str
    """As the carrier wrote it; "": withheld."""
    called: str
    """As the carrier wrote it."""
    came_at: datetime
    """Aware, by this process's clock."""


@dataclass(frozen=True, slots=True)
class IncomingGone:
    """It ended before it was accepted or refused."""

    channel: str


@dataclass(frozen=True, slots=True)
class EngineGone:
    """On the event stream: the engine cannot be reached from now on. Legs are unknown, not dead."""


@dataclass(frozen=True, slots=True)
class EngineBack:
    """On the event stream: the engine answers again. Reconcile before dialling."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    replays: bool
    detects_machines: bool
    records: bool
    transfers: bool


class EngineRefusedError(Exception):
    """The engine said no before anything was dialled; the leg did not ring and will not."""


class EngineTooLateError(EngineRefusedError):
    """The request came after its `dial_before`. It was not dialled; the call may be claimed anew."""


class EngineUnreachableError(Exception):
    """The engine cannot be asked, or its answer is unknown. Never send the leg again; ask about it later."""


EngineEvent = LegEvent | IncomingCall | IncomingGone | EngineGone | EngineBack


class Engine(Protocol):
    """One telephony engine. Safe to use from one event loop; several processes may use one engine at once."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def reachable(self) -> bool:
        """False while no call may be handed over."""
        ...

    async def start(self) -> None:
        """Begin connecting and keep connecting in the background. Does not wait for success."""
        ...

    async def stop(self) -> None: ...

    def events(self) -> AsyncIterator[EngineEvent]:
        """All events of the legs that this client originated, accepted or adopted, in order per leg.

        One consumer.
        """
        ...

    async def originate(self, request: DialRequest) -> None:
        """Hand one call over; returns once it was sent.

        Raises EngineTooLateError, EngineRefusedError or EngineUnreachableError.
        """
        ...

    async def command(self, leg_id: int, ordinal: int, command: Command) -> None:
        """Do something on a live leg. `ordinal` numbers the commands of a leg from 1; one already done is
        ignored, so an adopter may repeat them. A leg that has ended ignores everything."""
        ...

    async def adopt(self, legs: Sequence[LegRef]) -> dict[int, LegKnowledge]:
        """Take over legs that another client originated, and say what is known of each. The earlier client
        hears nothing more of them. A leg of which nothing is said could not be asked about: it stays unknown.
        Raises EngineUnreachableError."""
        ...


class IncomingEngine(Engine, Protocol):
    """An engine that calls come in on. One client at a time hears them; whoever asks last does."""

    async def hear_incoming(self, wanted: bool) -> None:
        """From now on `IncomingCall` and `IncomingGone` are told here, those that ring already included.

        False: no more. Kept up over reconnections.
        """
        ...

    async def accept(self, channel: str, leg_id: int, max_s: float) -> None:
        """This call is that leg from now on: its events and commands are the leg's, from seq 1.

        `at` counts from here. It is not answered by this (`PickUp`, `Transfer`); the caller hears it ring.

        Raises EngineRefusedError when the call has gone, EngineUnreachableError.
        """
        ...

    async def refuse(self, channel: str, cause: EndCause) -> None:
        """End a call that was not accepted: BUSY, UNALLOCATED, CONGESTION or NORMAL.

        Harmless when it has gone.
        """
        ...


class RecordingStore(Protocol):
    """The recordings that an engine keeps until they are fetched.

    Everything raises EngineUnreachableError.
    """

    async def fetch(self, name: str) -> AsyncIterator[bytes]:
        """A finished recording as a WAV file, in pieces. Raises EngineRefusedError when there is none."""
        ...

    async def forget(self, name: str) -> None:
        """Harmless when there is none."""
        ...

    async def names(self) -> list[str]:
        """All finished recordings of ours, for those whose end nobody heard."""
        ...
