"""A script on one call: engine events in, commands out.

Pure and deterministic: no clock, no chance, no I/O. Another process that feeds the same events from the first
on gets the very same commands in the same order, so they can be numbered and an adopter repeats none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from tongdai.domain.scripts.asking import Asking
from tongdai.domain.scripts.check import transfer_target
from tongdai.domain.scripts.keypad import Keypad
from tongdai.domain.scripts.model import (
    BranchStep,
    Case,
    GatherStep,
    HangUpStep,
    OptOutStep,
    Part,
    PlayStep,
    ReadCodeStep,
    RecordStep,
    SayStep,
    Script,
    Step,
    TransferStep,
    transfer_targets,
)
from tongdai.domain.scripts.results import Recording, Result
from tongdai.domain.scripts.stage import Report, Stage
from tongdai.domain.scripts.template import field_value
from tongdai.domain.scripts.voice import Voice
from tongdai.ports import telephony as port

MAX_STEPS_PER_CALL = 500
"""A call that took so many steps is hung up: a loop of menus must end even for somebody who never tires."""
CONFIRM_TRIES = 3
CONFIRM_TIMEOUT_S = 5.0

VoicemailAction = Literal["hang_up", "leave_message", "retry"]
"""What a campaign does about a machine. `retry` hangs up, as far as the call is concerned."""

RECORD_ANNOUNCEMENT = "Để nâng cao chất lượng phục vụ, cuộc gọi này sẽ được ghi âm."
"""What is spoken before anything is recorded, where the campaign says nothing else: a recording is personal
data, of which the person must know (Law 91/2025/QH15 on the protection of personal data, article 29)."""


class Runner:
    """One script on one leg.

    Feed it every event of the leg, in order and once, and carry out what it returns, in order. `fields` are
    the contact's; a field without a value is spoken as nothing, or as the default that the script gives.
    `code` is the one-time code, in the clear; it leaves only as `SpokenCode`, and never towards a machine.
    `announcement` is spoken to a person before anything is recorded: first of all when `recorded` says that
    the whole call is, else before the first step that records; "" is none.
    """

    def __init__(
        self,
        script: Script,
        fields: Mapping[str, object],
        code: str | None = None,
        *,
        voicemail_action: VoicemailAction = "hang_up",
        announcement: str = "",
        recorded: bool = False,
    ) -> None:
        self._script = script
        self._voice = Voice(fields, script.clips, script.voice)
        self._code = code
        self._voicemail_action = voicemail_action
        self._announcement = announcement
        self._recorded = recorded
        self._keys = Keypad()
        self._stage = Stage()
        self._asking = Asking(self._stage, self._keys, self._voice)
        self._by: port.AnsweredBy | None = None
        self._answered_at: float | None = None
        self._done = False
        self._ended = False
        self._result = ""
        self._steps_taken = 0
        self._step_id: str | None = None
        self._move: tuple[str | None, str] | None = None
        self._last_value = ""
        self._answers: dict[str, str] = {}
        self._recordings: list[Recording] = []
        self._opted_out = False

    def __repr__(self) -> str:
        return f"<Runner at step {self._step_id!r}, result {self._result!r}>"

    # ------------------------------------------------------------------ what came of it

    @property
    def result(self) -> str:
        """The end code: the script's own, or one of `Result`. '' while the script runs."""
        return self._result

    @property
    def finished(self) -> bool:
        """True: no command will follow."""
        return self._done

    @property
    def key_presses(self) -> list[tuple[str, int]]:
        """(key, whole second since the answer), every press in order. Second 0 includes what came before."""
        # Engines' clocks are floats: 33.3 - 4.3 is a hair under 29, and must be second 29.
        start = self._answered_at or 0.0
        return [(key, max(0, int(round(at - start, 3)))) for key, at in self._keys.presses]

    @property
    def answers(self) -> dict[str, str]:
        """What was entered last at each gather, by step id."""
        return dict(self._answers)

    @property
    def recordings(self) -> list[Recording]:
        return list(self._recordings)

    @property
    def opted_out(self) -> bool:
        """True from the moment at which a step `opt_out` was reached, also when the call ends right there."""
        return self._opted_out

    @property
    def step_id(self) -> str | None:
        """Where the script is, or was when the call ended."""
        return self._step_id

    # ------------------------------------------------------------------ events

    def start(self, by: port.AnsweredBy, answered_at: float = 0.0) -> tuple[port.Command, ...]:
        """The call was answered. `on(Answered(…))` does the same; only the first of them counts."""
        if self._by is None and not self._done:
            self._by = by
            self._answered_at = answered_at
            self._begin(by)
        return self._settle()

    def on(self, event: port.LegEvent) -> tuple[port.Command, ...]:
        """Take one event of the leg; returns what to do, in order. No sequence of events makes it raise."""
        if isinstance(event, port.Answered):
            return self.start(event.by, event.answered_at)
        if isinstance(event, port.Digit):
            self._take_digit(event)
        elif isinstance(event, port.Ended):
            self._take_end(event)
        elif not isinstance(event, port.Ringing):
            self._stage.report(event)
        return self._settle()

    def _take_digit(self, event: port.Digit) -> None:
        if not self._ended and self._keys.press(event.digit, event.at):
            self._stage.key()

    def _take_end(self, event: port.Ended) -> None:
        if self._answered_at is None:
            self._answered_at = event.answered_at
        self._ended = True
        self._finish(Result.HUNG_UP)

    def _settle(self) -> tuple[port.Command, ...]:
        """Take steps until one has to wait. A loop, because many can follow without a wait."""
        while self._move is not None and not self._done:
            (target, end), self._move = self._move, None
            if target is None:
                self._hang_up(end)
            elif self._steps_taken >= MAX_STEPS_PER_CALL:
                self._hang_up(Result.STEP_LIMIT)
            else:
                self._steps_taken += 1
                self._step_id = target
                self._enter(self._script.steps[target])
        return self._stage.take_commands()

    # ------------------------------------------------------------------ moves

    def _begin(self, by: port.AnsweredBy) -> None:
        if by is not port.AnsweredBy.MACHINE:
            self._announce(self._recorded, lambda: self._go(self._script.start))
        elif self._voicemail_action != "leave_message" or self._script.kind == "otp":
            self._hang_up(Result.VOICEMAIL)
        else:
            self._go(self._script.voicemail or self._script.start)

    def _go(self, target: str | None, end: str | None = None) -> None:
        """On to a step; without one the call ends with the end code `end`."""
        machine = self._by is port.AnsweredBy.MACHINE
        self._move = (target, end or (Result.MESSAGE_LEFT if machine else Result.COMPLETED))

    def _hang_up(self, result: str) -> None:
        self._stage.hang_up()
        self._finish(result)

    def _finish(self, result: str) -> None:
        if not self._done:
            self._done = True
            self._result = result
        self._stage.clear()
        self._move = None
        self._code = None

    def _enter(self, step: Step) -> None:
        match step:
            case SayStep():
                self._stage.play(self._voice.text(step.text), lambda _: self._go(step.next))
            case PlayStep():
                self._stage.play(self._voice.clip(step.audio_file_id), lambda _: self._go(step.next))
            case GatherStep():
                self._gather(step)
            case BranchStep():
                self._go(self._chosen(step))
            case HangUpStep():
                self._go(None, step.end_code)
            case ReadCodeStep() | RecordStep() | TransferStep() | OptOutStep():
                self._enter_for_person(step)

    def _enter_for_person(self, step: ReadCodeStep | RecordStep | TransferStep | OptOutStep) -> None:
        """Steps that make no sense with a machine: there the message ends."""
        if self._by is port.AnsweredBy.MACHINE:
            self._go(None)
        elif isinstance(step, ReadCodeStep):
            self._read_code(step)
        elif isinstance(step, RecordStep):
            self._record(step)
        elif isinstance(step, TransferStep):
            self._transfer(step)
        else:
            self._opted_out = True
            self._go(step.next)

    # ------------------------------------------------------------------ asking

    def _gather(self, step: GatherStep) -> None:
        if self._by is port.AnsweredBy.MACHINE:
            self._stage.play(self._voice.prompt(step.prompt), lambda _: self._go(None))
            return
        assert self._step_id is not None
        step_id = self._step_id

        def accept(value: str) -> bool:
            target = step.on.get(value, step.next)
            if target is None or len(value) < step.min_digits:
                return False
            self._last_value = self._answers[step_id] = value
            self._go(target)
            return True

        def give_up(why: str) -> None:
            self._go(step.on_timeout if why == Result.NO_INPUT else step.on_invalid, why)

        self._asking.ask(step, accept, give_up)

    # ------------------------------------------------------------------ deciding

    def _chosen(self, step: BranchStep) -> str | None:
        value = self._last_value if step.field is None else self._voice.value(step.field)
        return next((case.next for case in step.cases if _matches(case, value)), step.otherwise)

    # ------------------------------------------------------------------ one-time codes

    def _read_code(self, step: ReadCodeStep) -> None:
        if not self._code:
            self._hang_up(Result.NO_CODE)
        elif self._must_confirm():
            self._confirm(step)
        else:
            self._read(step, reading=1)

    def _must_confirm(self) -> bool:
        """A key pressed at any time of the call is proof enough: machines press none."""
        return self._script.confirm_human and self._by is port.AnsweredBy.UNKNOWN and not self._keys.presses

    def _confirm(self, step: ReadCodeStep) -> None:
        question = GatherStep(
            prompt=(Part(text=self._script.confirm_text),), timeout_s=CONFIRM_TIMEOUT_S, tries=CONFIRM_TRIES
        )

        def accept(_: str) -> bool:
            self._read(step, reading=1)
            return True

        self._asking.ask(question, accept, lambda _: self._go(None, Result.NOT_CONFIRMED))

    def _read(self, step: ReadCodeStep, reading: int) -> None:
        assert self._code is not None  # only the end of the call wipes it, and then nothing is awaited
        before = step.purpose if reading == 1 else step.again
        items = [*self._voice.text(before), port.SpokenCode(self._code, self._script.voice)]

        def read_on(_: object) -> None:
            if reading >= step.repeats:
                self._go(step.next)
            elif step.pause_s > 0:
                self._stage.pause(step.pause_s, lambda _: self._read(step, reading + 1))
            else:
                self._read(step, reading + 1)

        self._stage.play(items, read_on)

    # ------------------------------------------------------------------ recording and transfer

    def _announce(self, needed: bool, then: Callable[[], None]) -> None:
        """Say once on a call that it is recorded. Keys pressed meanwhile are kept."""
        if not needed or not self._announcement:
            then()
            return
        announcement, self._announcement = self._announcement, ""
        self._stage.play(self._voice.text(announcement), lambda _: then())

    def _record(self, step: RecordStep) -> None:
        self._announce(step.announce, lambda: self._start_recording(step))

    def _start_recording(self, step: RecordStep) -> None:
        step_id = self._step_id or ""

        def ended(report: Report) -> None:
            assert isinstance(report, port.RecordingEnded)
            if report.storage_key is not None:
                self._recordings.append(Recording(step_id, report.storage_key, report.seconds))
            self._go(step.next)

        def stopped() -> None:
            # The engine stops by itself; this key did that, and only the next one is for a menu.
            self._keys.drop_newest()
            self._stage.on_key(None)

        self._stage.record(step.max_s, step.stop_on_digit, ended)
        if step.stop_on_digit:
            self._stage.on_key(stopped)

    def _transfer(self, step: TransferStep) -> None:
        targets = [target for given in transfer_targets(step) if (target := transfer_target(given))]
        if step.strategy == "all":
            self._ring(step, [targets] if targets else [])
        else:
            self._ring(step, [[target] for target in targets])

    def _ring(self, step: TransferStep, groups: list[list[str]]) -> None:
        """Ring one group after the other until somebody answers."""
        if not groups:
            self._go(step.on_failed)
            return

        def ended(report: Report) -> None:
            assert isinstance(report, port.TransferEnded)
            if report.connected:
                self._go(step.next)
            else:
                self._ring(step, groups[1:])

        self._stage.transfer(groups[0], step.ring_s, ended)


def _matches(case: Case, value: str) -> bool:
    if case.present is not None:
        return case.present == bool(value)
    options = case.one_of if case.one_of is not None else (case.equals,)
    return value in {field_value(option) for option in options}
