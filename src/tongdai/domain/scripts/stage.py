"""What a call was asked to do, and what is awaited of it. Pure.

A runner waits for one report at a time (the end of a prompt, a silence, a recording or a transfer) and,
where keys matter, for a key. Whatever else is reported was stopped or cancelled before, and means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tongdai.ports.telephony import (
    CancelTimer,
    Command,
    HangUp,
    Play,
    PlaybackEnded,
    PromptItem,
    RecordingEnded,
    StartRecording,
    StartTimer,
    StopPlay,
    TimerFired,
    Transfer,
    TransferEnded,
)

Report = PlaybackEnded | TimerFired | RecordingEnded | TransferEnded


@dataclass(frozen=True, slots=True)
class _Awaited:
    kind: type[Report]
    id: int
    then: Callable[[Report], None]


class Stage:
    def __init__(self) -> None:
        self._out: list[Command] = []
        self._last_id = 0
        self._awaited: _Awaited | None = None
        self._on_key: Callable[[], None] | None = None

    def take_commands(self) -> tuple[Command, ...]:
        """The commands since the last taking, in order."""
        commands, self._out = tuple(self._out), []
        return commands

    def report(self, report: Report) -> None:
        awaited = self._awaited
        if awaited is not None and type(report) is awaited.kind and report.id == awaited.id:
            self.clear()
            awaited.then(report)

    def key(self) -> None:
        """A key was pressed."""
        if self._on_key is not None:
            self._on_key()

    def on_key(self, then: Callable[[], None] | None) -> None:
        """Call this at the next key, too, until something else is awaited."""
        self._on_key = then

    def clear(self) -> None:
        """Nothing is awaited any more."""
        self._awaited = self._on_key = None

    # ------------------------------------------------------------------ asking for something

    def play(self, items: list[PromptItem], then: Callable[[Report | None], None]) -> int | None:
        """Play, then go on. With nothing to play it goes on at once, and returns None."""
        self.clear()
        if not items:
            then(None)
            return None
        return self._ask(PlaybackEnded, lambda id: Play(id, tuple(items)), then)

    def stop_play(self, id: int) -> None:
        self.clear()
        self._out.append(StopPlay(id))

    def pause(self, seconds: float, then: Callable[[Report], None]) -> int:
        return self._ask(TimerFired, lambda id: StartTimer(id, seconds), then)

    def cancel_pause(self, id: int) -> None:
        self.clear()
        self._out.append(CancelTimer(id))

    def record(self, max_s: float, stop_on_digit: bool, then: Callable[[Report], None]) -> None:
        self._ask(RecordingEnded, lambda id: StartRecording(id, max_s, stop_on_digit), then)

    def transfer(self, targets: Sequence[str], ring_s: float, then: Callable[[Report], None]) -> None:
        """Ring all of the targets at the same time."""
        first, *others = targets
        self._ask(TransferEnded, lambda id: Transfer(id, first, ring_s, tuple(others)), then)

    def hang_up(self) -> None:
        self.clear()
        self._out.append(HangUp())

    def _ask(
        self, kind: type[Report], command: Callable[[int], Command], then: Callable[[Report], None]
    ) -> int:
        self._last_id += 1
        self._awaited = _Awaited(kind, self._last_id, then)
        self._on_key = None
        self._out.append(command(self._last_id))
        return self._last_id
