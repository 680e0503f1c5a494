"""One call that came in while it lives: engine events in, engine commands out, and at the end a result. Pure.

The script runs from the first moment on. What it wants a caller to hear waits until the call is picked up,
and the first such thing picks it up; a transfer does not, so that a phone which nobody answers leaves a
missed call. Like a dialled call's session it may be fed the same events again, by another process too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tongdai.domain.inbound.model import Disposition, InboundFacts, InboundResult, Kind, Rung
from tongdai.domain.live import NumberedCommand, Talk, TimelineEntry, key_press_text
from tongdai.domain.scripts import Runner, Script
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    Command,
    Digit,
    EndCause,
    Ended,
    HangUp,
    LegEvent,
    PickUp,
    RecordingEnded,
    Ringing,
    Transfer,
    TransferEnded,
    TransferLeg,
)

_EPSILON_S = 0.5
"""An end so near to the ring limit is the limit's."""


@dataclass(slots=True)
class _Transferred:
    """A transfer that the script wanted."""

    id: int
    targets: tuple[str, ...]
    legs: tuple[TransferLeg, ...] | None = None
    """None: it is not known here which phones rang."""
    ended: TransferEnded | None = None

    @property
    def connected(self) -> bool:
        return self.ended is not None and self.ended.connected

    def disposition(self) -> Disposition:
        """Of the whole."""
        if self.ended is None:
            return Disposition.CANCEL
        if self.ended.connected:
            return Disposition.ANSWER
        return Disposition.CHANUNAVAIL if self.legs == () else Disposition.NOANSWER

    def rung(self) -> list[Rung]:
        """Each phone, and what became of it."""
        whole, by = self.disposition(), None if self.ended is None else self.ended.leg_id_connected
        seconds = 0 if self.ended is None else round(self.ended.seconds)
        if whole is not Disposition.ANSWER:
            return [Rung(target, whole.value) for target in self.targets]
        winner = self._winner(by)
        return [
            Rung(target, Disposition.ANSWER.value, seconds)
            if place == winner
            else Rung(target, Disposition.SOMEONEANSWERED.value)
            for place, target in enumerate(self.targets)
        ]

    def talks(self) -> list[Talk]:
        told = self.ended
        if told is None or not told.connected:
            return []
        return [Talk(self.id, told.seconds, told.leg_id_connected)]

    def _winner(self, leg_id: int | None) -> int:
        """Whose place among the targets answered; the first where nobody says."""
        for leg in self.legs or ():
            if leg.leg_id == leg_id:
                for place, target in enumerate(self.targets):
                    if _digits(leg.target)[-9:] == _digits(target)[-9:]:
                        return place
        return 0


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit()) or text


class InboundSession:
    """Drives one leg. Carry out what `begin` returns once it is accepted, then feed `on` every event.

    `script` None: it rings until the caller gives up, or the engine does.
    """

    def __init__(self, facts: InboundFacts, script: Script | None, announcement: str = "") -> None:
        self.facts = facts
        self._runner = (
            None if script is None else Runner(script, facts.fields(), None, announcement=announcement)
        )
        self._seen = 0
        self._begun = False
        self._commands = 0
        self._answered_at: float | None = None
        self._picked_up = False
        self._hung_up = False
        self._held: list[Command] = []
        self._heard_at = 0.0
        self._transfers: list[_Transferred] = []
        self._presses: list[tuple[str, float]] = []
        self._timeline: list[TimelineEntry] = []

    @property
    def answered(self) -> bool:
        return self._answered_at is not None

    def begin(self) -> tuple[NumberedCommand, ...]:
        """What to do first; nothing once it was said, and events ask for it too. Whoever adopts the leg
        repeats it: the engine knows what it has done."""
        if self._runner is None or self._begun:
            return ()
        self._begun = True
        return self._pass(self._runner.start(AnsweredBy.HUMAN))

    def talk_left_s(self) -> float:
        """Seconds that are left of its limit, by what was heard last."""
        return max(0.0, self.facts.max_s - self._heard_at)

    def rings(self, transfer_id: int, legs: Sequence[TransferLeg]) -> None:
        """These phones ring for a transfer; none: there was no line to any."""
        for transfer in self._transfers:
            if transfer.id == transfer_id:
                transfer.legs = tuple(legs)

    def on(self, event: LegEvent) -> tuple[tuple[NumberedCommand, ...], InboundResult | None]:
        if event.seq <= self._seen:
            return (), None
        self._seen = event.seq
        begun = self.begin()
        self._note(event)
        released = self._release() if isinstance(event, Answered) else ()
        wanted = () if self._runner is None else self._pass(self._runner.on(event))
        return begun + released + wanted, self._result(event) if isinstance(event, Ended) else None

    def given_up(self) -> InboundResult:
        """The caller had gone before it was accepted."""
        return self._told(Disposition.CANCEL, 0.0, None)

    def lost(self) -> InboundResult:
        """What was heard of it until nobody could be asked any more."""
        return self._told(Disposition.MORE, self._heard_at, self._answered_at)

    # ------------------------------------------------------------------ commands

    def _pass(self, commands: Sequence[Command]) -> tuple[NumberedCommand, ...]:
        passed: list[NumberedCommand] = []
        for command in commands:
            if isinstance(command, Transfer):
                self._transfers.append(_Transferred(command.id, (command.target, *command.others)))
            if self._may_go_before_pick_up(command):
                self._hung_up |= isinstance(command, HangUp)
                passed.append(self._number(command))
                continue
            if not self._picked_up:
                self._picked_up = True
                passed.append(self._number(PickUp()))
            self._held.append(command)
        return tuple(passed)

    def _may_go_before_pick_up(self, command: Command) -> bool:
        return self.answered or (not self._held and isinstance(command, (Transfer, HangUp)))

    def _release(self) -> tuple[NumberedCommand, ...]:
        held, self._held = self._held, []
        return tuple(self._number(command) for command in held)

    def _number(self, command: Command) -> NumberedCommand:
        self._commands += 1
        return NumberedCommand(self._commands, command)

    # ------------------------------------------------------------------ what is left of it

    def _note(self, event: LegEvent) -> None:
        self._heard_at = event.at
        match event:
            case Ringing():
                self._timeline.append((event.at, "ringing", None))
            case Answered():
                self._answered_at = event.answered_at
                self._timeline.append((event.answered_at, "answered", None))
            case Digit():
                self._presses.append((event.digit, event.at))
                self._timeline.append((event.at, "digit", event.digit))
            case RecordingEnded():
                self._timeline.append((event.at, "recorded", f"{event.seconds:.1f}"))
            case TransferEnded():
                self._note_transfer(event)
                self._timeline.append((event.at, "transferred", "connected" if event.connected else "failed"))
            case Ended():
                self._timeline.append((event.at, "ended", event.cause.value))
            case _:
                pass

    def _note_transfer(self, event: TransferEnded) -> None:
        for transfer in self._transfers:
            if transfer.id == event.id:
                transfer.ended = event

    def _result(self, ended: Ended) -> InboundResult:
        answered_at = self._answered_at if ended.answered_at is None else ended.answered_at
        return self._told(self._disposition(ended, answered_at), ended.at, answered_at)

    def _disposition(self, ended: Ended, answered_at: float | None) -> Disposition:
        last = self._transfers[-1] if self._transfers else None
        if answered_at is not None:
            return Disposition.ANSWER if last is None or not self._nobody_spoke() else last.disposition()
        if last is not None:
            return last.disposition()
        timed_out = ended.cause is EndCause.NO_ANSWER or ended.at >= self.facts.max_s - _EPSILON_S
        return Disposition.NOANSWER if self._hung_up or timed_out else Disposition.CANCEL

    def _nobody_spoke(self) -> bool:
        """It was to be transferred, nobody answered, and no message was left."""
        left = self._runner is not None and bool(self._runner.recordings)
        return bool(self._transfers) and not left and not any(one.connected for one in self._transfers)

    def _told(self, disposition: Disposition, until: float, answered_at: float | None) -> InboundResult:
        missed = answered_at is None or self._nobody_spoke()
        runner = self._runner
        start = answered_at or 0.0
        return InboundResult(
            facts=self.facts,
            kind=Kind.MISSCALL if missed else Kind.CALLIN,
            disposition=disposition,
            answered=answered_at is not None,
            ring_s=round(until if answered_at is None else answered_at, 2),
            # As of a dialled call: fewer than half a second of talk are shown as one second.
            duration_s=0 if answered_at is None else max(1, round(until - answered_at)),
            key_press=key_press_text([(key, max(0, int(round(at - start, 3)))) for key, at in self._presses]),
            timeline=tuple(self._timeline),
            answers={} if runner is None else runner.answers,
            end_code=None if runner is None or answered_at is None else runner.result or None,
            rung=tuple(phone for transfer in self._transfers for phone in transfer.rung()),
            recordings=() if runner is None else tuple(runner.recordings),
            talks=tuple(talk for transfer in self._transfers for talk in transfer.talks()),
            opted_out=runner is not None and runner.opted_out,
        )
