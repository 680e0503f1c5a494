"""The keys of one call: all kept for the record, and those not yet used kept for the next gather. Pure."""

from __future__ import annotations

from collections import deque

from tongdai.domain.scripts.model import KEYS, GatherStep

TERMINATOR_GRACE_S = 2.0
"""A terminator so soon after a value that was already full belongs to that value, not to the next menu."""


class Keypad:
    def __init__(self) -> None:
        self._presses: list[tuple[str, float]] = []
        self._unused: deque[tuple[str, float]] = deque()
        self._late: tuple[str, float] | None = None

    @property
    def presses(self) -> list[tuple[str, float]]:
        """(key, second on the engine's clock), all of them, in order."""
        return self._presses

    @property
    def waiting(self) -> bool:
        """Whether there are keys that nothing has used."""
        return bool(self._unused)

    def press(self, key: str, at: float) -> bool:
        """Keep a press. False: it is no key (engines also tell of A to D), and is ignored."""
        if len(key) != 1 or key not in KEYS:
            return False
        self._presses.append((key, at))
        self._unused.append((key, at))
        return True

    def forget_unused(self) -> None:
        self._unused.clear()
        self._late = None

    def drop_newest(self) -> None:
        """The newest press was used up by something that is not a gather."""
        self._unused.pop()

    def take(self, step: GatherStep, entered: str) -> tuple[str, bool]:
        """Use waiting keys for a step. Returns what is entered now, and whether that is a whole value."""
        self._drop_late_terminator(step)
        several = step.max_digits > 1
        while self._unused:
            key, at = self._unused.popleft()
            if several and key == step.terminator:
                return entered, True
            entered += key
            if len(entered) == step.max_digits:
                self._late = (step.terminator, at) if several and step.terminator is not None else None
                return entered, True
        return entered, False

    def _drop_late_terminator(self, step: GatherStep) -> None:
        if self._late is None or not self._unused:
            return
        (terminator, full_at), self._late = self._late, None
        key, at = self._unused[0]
        if key == terminator and key not in step.on and at - full_at <= TERMINATOR_GRACE_S:
            self._unused.popleft()
