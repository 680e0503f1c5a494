"""One leg while it lives: engine events in, engine commands out, and at the end a result. Pure.

A session may be fed the same events again after a reconnection, or be built anew by another process that
adopts the leg: events already seen are passed over by their number, and commands carry ordinals, so the
engine passes over those that it has done.
"""

from __future__ import annotations

from dataclasses import dataclass

from tongdai.domain.calls.model import Outcome
from tongdai.domain.live.model import (
    LegFacts,
    LegRecording,
    LegResult,
    Talk,
    TimelineEntry,
    key_press_text,
    outcome_of,
)
from tongdai.domain.scripts import Runner, Script
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    Command,
    Digit,
    Ended,
    LegEvent,
    RecordCall,
    RecordingEnded,
    Ringing,
    Transfer,
    TransferEnded,
)

CALL_RECORDING = 0
"""The id of the command that records the whole call: a script's own begin at 1."""


@dataclass(frozen=True, slots=True)
class NumberedCommand:
    ordinal: int
    command: Command


class Session:
    """Drives one leg. `on` is called with every event of the leg, in order."""

    def __init__(self, facts: LegFacts, script: Script, code: str | None) -> None:
        self.facts = facts
        self._records = _records_call(facts, script)
        self._runner = Runner(
            script,
            facts.fields,
            code,
            voicemail_action=facts.config.voicemail_action,
            announcement=facts.config.announcement,
            recorded=self._records,
        )
        self._seen = 0
        self._commands = 0
        self._rang_at: float | None = None
        self._by: AnsweredBy | None = None
        self._answered_at: float | None = None
        self._heard_at = 0.0
        self._timeline: list[TimelineEntry] = []
        self._call_recordings: list[LegRecording] = []
        self._talks: list[Talk] = []
        self._transferred = False

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
        before = self._first_commands(event)
        numbered = tuple(self._number(command) for command in (*before, *self._runner.on(event)))
        return numbered, self._result(event) if isinstance(event, Ended) else None

    def _first_commands(self, event: LegEvent) -> tuple[Command, ...]:
        """Before anything is said to a person, the recording begins: it is to have the announcement."""
        first = isinstance(event, Answered) and self._commands == 0
        if first and self._records and self._by is not AnsweredBy.MACHINE:
            return (RecordCall(CALL_RECORDING),)
        return ()

    def _number(self, command: Command) -> NumberedCommand:
        self._commands += 1
        if isinstance(command, Transfer):
            self._transferred = True
        return NumberedCommand(self._commands, command)

    def talk_left_s(self) -> float:
        """Seconds of the call that are left of its limit, by what was heard last; all before the answer."""
        whole = self.facts.config.max_call_seconds if self.facts.talk_s is None else self.facts.talk_s
        talked = 0.0 if self._answered_at is None else self._heard_at - self._answered_at
        return max(0.0, whole - talked)

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
                if event.id == CALL_RECORDING and event.storage_key is not None:
                    self._call_recordings.append(LegRecording("call", event.storage_key, event.seconds))
            case TransferEnded():
                self._timeline.append((event.at, "transferred", "connected" if event.connected else "failed"))
                if event.connected:
                    self._talks.append(Talk(event.id, event.seconds, event.leg_id_connected))
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
            final=outcome in {Outcome.LOST, Outcome.FAILED} and answered_at is not None,
            answered=answered_at is not None,
            end_code=None if answered_at is None else self._runner.result or None,
            opted_out=self._runner.opted_out,
            recordings=self._recordings(),
            talks=tuple(self._talks),
            # Who heard nothing of a call does not know whether somebody else had it transferred.
            transferred=self._transferred or not self.heard,
        )

    def _recordings(self) -> tuple[LegRecording, ...]:
        of_steps = (
            LegRecording("step", kept.storage_key, kept.seconds, kept.step)
            for kept in self._runner.recordings
        )
        return (*self._call_recordings, *of_steps)


def _records_call(facts: LegFacts, script: Script) -> bool:
    """Never where a code is read, whatever the campaign says."""
    reads_code = script.kind == "otp" or facts.purpose == "otp" or facts.secret is not None
    return facts.config.record and not reads_code
