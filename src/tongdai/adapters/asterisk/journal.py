"""What a node keeps about a leg, so that another process can go on with it. Pure.

The text lies in global variables of Asterisk and, after the end, in AstDB, so it has only characters that
neither an address nor Asterisk's dialplan reads as its own. Parts are joined by `!`, the fields of a part by
`/`; the first letter of a part says what it is. Times are seconds since the start with three decimals, as in
the events themselves. What does not change any more comes first, so that of a long text only the last piece
is written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    Digit,
    Ended,
    LegEvent,
    PlaybackEnded,
    RecordingEnded,
    Ringing,
    TimerFired,
    TransferEnded,
)

FIRST_VARIABLE = "TDLOG"
"""Of the channel: the journal at the originate."""
PIECE = 3000
"""Characters in one variable: Asterisk's dialplan has room for 4,096, and writes some words beside them."""
MOST_PIECES = 13
_DIGITS = {"#": "p", "*": "s"}
_FROM_DIGITS = {word: digit for digit, word in _DIGITS.items()}
_BY = {AnsweredBy.HUMAN: "h", AnsweredBy.MACHINE: "m", AnsweredBy.UNKNOWN: "u"}
_FROM_BY = {word: by for by, word in _BY.items()}


class JournalError(ValueError):
    """The text is not a journal of this version."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One that is going on."""

    id: int
    ordinal: int
    since: float
    max_s: float
    stop_on_digit: bool
    whole: bool
    """The whole call, both sides."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A transfer that is going on."""

    id: int
    until: float
    """When its phones stop ringing."""
    limits: dict[int, float]
    """Seconds of talk, by leg id of each phone that rings or talks."""
    connected: int = 0
    """Leg id of who talks; 0: they ring."""
    since: float = 0.0
    """Of the talk."""


@dataclass(slots=True)
class Journal:
    """Everything that is known of a leg and was asked for."""

    leg_id: int
    started: float
    """Epoch seconds of the start, by the clock of the process that wrote it."""
    trunk_id: int
    ring_s: float
    max_s: float
    detects: bool = False
    inbound: bool = False
    answered_at: float | None = None
    """Of the answer itself; `Answered` may be told later."""
    done: int = 0
    """The last command that was handed to Asterisk."""
    ending: bool = False
    """We asked for the end."""
    plays: dict[int, int] = field(default_factory=dict)
    """Ordinal of each prompt that is not over, by its id, in their order."""
    timers: dict[int, float] = field(default_factory=dict)
    """When each is due, by its id."""
    recordings: dict[int, Recording] = field(default_factory=dict)
    transfer: Connection | None = None
    events: list[LegEvent] = field(default_factory=list)
    _told: list[str] = field(default_factory=list)

    def add(self, event: LegEvent) -> None:
        """Note an event that was told; the end is noted by Asterisk itself."""
        self.events.append(event)
        if not isinstance(event, Ended):
            self._told.append(_event_text(event))

    @property
    def next_seq(self) -> int:
        return len(self.events) + 1

    @property
    def answered_told(self) -> bool:
        return any(isinstance(event, Answered) for event in self.events)

    @property
    def rang(self) -> bool:
        return any(isinstance(event, Ringing) for event in self.events)

    def encode(self) -> str:
        flags = ("d" if self.detects else "") + ("i" if self.inbound else "") or "-"
        parts = [f"1/{_n(self.started)}/{self.trunk_id}/{_n(self.ring_s)}/{_n(self.max_s)}/{flags}"]
        parts += self._told
        parts.append(f"o{self.done}/{int(self.ending)}")
        if self.answered_at is not None:
            parts.append(f"y{_n(self.answered_at)}")
        parts += [f"p{id}/{ordinal}" for id, ordinal in self.plays.items()]
        parts += [f"t{id}/{_n(due)}" for id, due in self.timers.items()]
        parts += [
            f"c{one.id}/{one.ordinal}/{_n(one.since)}/{_n(one.max_s)}"
            f"/{int(one.stop_on_digit)}/{int(one.whole)}"
            for one in self.recordings.values()
        ]
        if self.transfer is not None:
            limits = "_".join(f"{leg}-{_n(most)}" for leg, most in self.transfer.limits.items())
            parts.append(
                f"x{self.transfer.id}/{_n(self.transfer.until)}/{self.transfer.connected}"
                f"/{_n(self.transfer.since)}/{limits}"
            )
        return "!".join(parts) + "!."


def pieces(text: str) -> list[str]:
    """As the variables hold it; the text says itself where it ends."""
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]


def variable(leg_id: int, piece: int) -> str:
    """Name of the global variable with that piece, from 0.

    A variable of the channel is set by the channel's own thread, and whoever asks waits until a prompt that
    is being played has ended.
    """
    return f"TDL{leg_id}" if piece == 0 else f"TDL{leg_id}_{piece}"


def is_whole(text: str) -> bool:
    return "!." in text


def decode(leg_id: int, text: str) -> Journal:
    """Raises JournalError. What follows the end is left over from a longer text."""
    whole, found, _ = text.partition("!.")
    first, *rest = whole.split("!")
    if not found or not first.startswith("1/"):
        raise JournalError("not a journal of a leg")
    try:
        _, started, trunk, ring_s, max_s, flags = first.split("/")
        journal = Journal(
            leg_id, float(started), int(trunk), float(ring_s), float(max_s), "d" in flags, "i" in flags
        )
        for part in rest:
            _PARTS[part[0]](journal, part[1:].split("/"))
    except (KeyError, ValueError, IndexError) as error:
        raise JournalError("a journal that cannot be read") from error
    return journal


def _n(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def _event_text(event: LegEvent) -> str:
    at = _n(event.at)
    match event:
        case Ringing():
            return f"R{at}"
        case Answered():
            return f"A{at}/{_n(event.answered_at)}/{_BY[event.by]}"
        case Digit():
            return f"D{at}/{_DIGITS.get(event.digit, event.digit)}"
        case PlaybackEnded():
            return f"P{at}/{event.id}/{int(event.completed)}"
        case TimerFired():
            return f"T{at}/{event.id}"
        case RecordingEnded():
            return f"C{at}/{event.id}/{_n(event.seconds)}/{event.storage_key or ''}"
        case TransferEnded():
            leg = event.leg_id_connected or 0
            return f"X{at}/{event.id}/{int(event.connected)}/{_n(event.seconds)}/{leg}"
        case Ended():
            raise ValueError("the end is Asterisk's to note")


def _event(
    make: Callable[[int, int, float, Sequence[str]], LegEvent],
) -> Callable[[Journal, list[str]], None]:
    def read(journal: Journal, fields: list[str]) -> None:
        journal.add(make(journal.leg_id, journal.next_seq, float(fields[0]), fields[1:]))

    return read


def _read_done(journal: Journal, fields: list[str]) -> None:
    journal.done, journal.ending = int(fields[0]), fields[1] == "1"


def _read_answer(journal: Journal, fields: list[str]) -> None:
    journal.answered_at = float(fields[0])


def _read_play(journal: Journal, fields: list[str]) -> None:
    journal.plays[int(fields[0])] = int(fields[1])


def _read_timer(journal: Journal, fields: list[str]) -> None:
    journal.timers[int(fields[0])] = float(fields[1])


def _read_recording(journal: Journal, fields: list[str]) -> None:
    id, ordinal, since, max_s, on_digit, whole = fields
    journal.recordings[int(id)] = Recording(
        int(id), int(ordinal), float(since), float(max_s), on_digit == "1", whole == "1"
    )


def _read_transfer(journal: Journal, fields: list[str]) -> None:
    id, until, connected, since, limits = fields
    by_leg = {}
    for one in filter(None, limits.split("_")):
        leg, _, most = one.partition("-")
        by_leg[int(leg)] = float(most)
    journal.transfer = Connection(int(id), float(until), by_leg, int(connected), float(since))


_PARTS: dict[str, Callable[[Journal, list[str]], None]] = {
    "R": _event(lambda leg, seq, at, _: Ringing(leg, seq, at)),
    "A": _event(lambda leg, seq, at, rest: Answered(leg, seq, at, float(rest[0]), _FROM_BY[rest[1]])),
    "D": _event(lambda leg, seq, at, rest: Digit(leg, seq, at, _FROM_DIGITS.get(rest[0], rest[0]))),
    "P": _event(lambda leg, seq, at, rest: PlaybackEnded(leg, seq, at, int(rest[0]), rest[1] == "1")),
    "T": _event(lambda leg, seq, at, rest: TimerFired(leg, seq, at, int(rest[0]))),
    "C": _event(
        lambda leg, seq, at, rest: RecordingEnded(leg, seq, at, int(rest[0]), float(rest[1]), rest[2] or None)
    ),
    "X": _event(
        lambda leg, seq, at, rest: TransferEnded(
            leg, seq, at, int(rest[0]), rest[1] == "1", float(rest[2]), int(rest[3]) or None
        )
    ),
    "o": _read_done,
    "y": _read_answer,
    "p": _read_play,
    "t": _read_timer,
    "c": _read_recording,
    "x": _read_transfer,
}
