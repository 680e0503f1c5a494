"""One leg while it lives: engine events in, engine commands out, and at the end a result. Pure.

A session may be fed the same events again after a reconnection, or be built anew by another process that
adopts the leg: events already seen are passed over by their number, and commands carry ordinals, so the
engine passes over those that it has done.
"""

from __future__ import annotations

from dataclasses import dataclass

from tongdai.domain.calls.model import Outcome
from tongdai.domain.live.model import LegFacts, LegResult, TimelineEntry, key_press_text, outcome_of
from tongdai.domain.scripts import Runner, Script
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    Command,
    Digit,
    Ended,
    LegEvent,
    RecordingEnded,
    Ringing,
    TransferEnded,
)


@dataclass(frozen=True, slots=True)
class NumberedCommand:
    ordinal: int
    command: Command


class Session:
    """Drives one leg. `on` is called with every event of the leg, in order."""

    def __init__(self, facts: LegFacts, script: Script, code: str | None) -> None:
        self.facts = facts
        self._runner = Runner(script, facts.fields, code, voicemail_action=facts.config.voicemail_action)
        self._seen = 0
        self._commands = 0
        self._rang_at: float | None = None
        self._by: AnsweredBy | None = None
        self._answered_at: float | None = None
        self._heard_at = 0.0
        self._timeline: list[TimelineEntry] = []

    @property
    def heard(self) -> bool:
        """True once any event of the leg was seen."""
        return self._seen > 0

    @property
    def answered(self) -> bool:
        return self._by is not None

    def on(self, event: LegEvent) -> tuple[tuple[NumberedCommand, ...], LegResult | None]:
        if event.seq <= self._seen:
            return (), None
        self._seen = event.seq
        self._note(event)
        numbered = tuple(self._number(command) for command in self._runner.on(event))
        return numbered, self._result(event) if isinstance(event, Ended) else None

    def _number(self, command: Command) -> NumberedCommand:
        self._commands += 1
        return NumberedCommand(self._commands, command)

    def _note(self, event: LegEvent) -> None:
        self._heard_at = event.at
        match event:
            case Ringing():
                self._rang_at = event.at
                self._timeline.append((event.at, "ringing", None))
            case Answered():
                self._by = event.by
                self._answered_at = event.answered_at
                self._timeline.append((event.answered_at, "answered", event.by.value))
            case Digit():
                self._timeline.append((event.at, "digit", event.digit))
            case RecordingEnded():
                self._timeline.append((event.at, "recorded", f"{event.seconds:.1f}"))
            case TransferEnded():
                self._timeline.append((event.at, "transferred", "connected" if event.connected else "failed"))
            case Ended():
                self._timeline.append((event.at, "ended", event.cause.value))
            case _:
                pass

    def lost(self) -> LegResult:
        """What was heard of it until nobody could be asked any more."""
        return self._told(Outcome.LOST, self._heard_at, self._answered_at)

    def _result(self, ended: Ended) -> LegResult:
        return self._told(outcome_of(ended, self._by), ended.at, ended.answered_at)

    def _told(self, outcome: Outcome, until: float, answered_at: float | None) -> LegResult:
        ring_end = until if answered_at is None else answered_at
        # Fewer than half a second of talk still is a call that was answered: it is shown as one second.
        talk = 0 if answered_at is None else max(1, round(until - answered_at))
        return LegResult(
            facts=self.facts,
            outcome=outcome,
            # Of a leg whose end is unknown nobody can say that it did not ring.
            rang=self._rang_at is not None or answered_at is not None or outcome is Outcome.LOST,
            ring_s=None if self._rang_at is None else round(ring_end - self._rang_at, 2),
            duration_s=talk,
            key_press=key_press_text(self._runner.key_presses),
            timeline=tuple(self._timeline),
            final=outcome is Outcome.LOST and answered_at is not None,
            answered=answered_at is not None,
            end_code=None if answered_at is None else self._runner.result or None,
            opted_out=self._runner.opted_out,
        )
