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
        # The terminator that may still follow an entry, and the second at which that was full.
        self._full: tuple[str, float] | None = None

    @property
    def presses(self) -> list[tuple[str, float]]:
        """(key, second on the engine's clock), all of them, in order."""
        return self._presses

    @property
    def waiting(self) -> bool:
        """Whether there are keys that nothing has used."""
        return bool(self._unused)

    def press(self, key: str, at: float) -> bool:
        """Keep a press. False: nothing can use it. It ended the entry before it, or it is no key at all
        (engines also tell of A to D), which is not kept either."""
        if len(key) != 1 or key not in KEYS:
            return False
        self._presses.append((key, at))
        full, self._full = self._full, None
        if full is not None and _ends(full, (key, at)):
            return False
        self._unused.append((key, at))
        return True

    def forget_unused(self) -> None:
        self._unused.clear()

    def drop_newest(self) -> None:
        """The newest press was used up by something that is not a gather."""
        self._unused.pop()

    def take(self, step: GatherStep, entered: str) -> tuple[str, bool]:
        """Use waiting keys for a step. Returns what is entered now, and whether that is a whole value."""
        terminator = step.terminator if step.max_digits > 1 else None
        while self._unused:
            key, at = self._unused.popleft()
            if key == terminator:
                return entered, True
            entered += key
            if len(entered) == step.max_digits:
                self._fill(terminator, at)
                return entered, True
        return entered, False

    def _fill(self, terminator: str | None, at: float) -> None:
        """An entry became full without its terminator, which many people press all the same."""
        if terminator is None:
            return
        if not self._unused:
            self._full = (terminator, at)
        elif _ends((terminator, at), self._unused[0]):
            self._unused.popleft()


def _ends(full: tuple[str, float], press: tuple[str, float]) -> bool:
    terminator, full_at = full
    key, at = press
    return key == terminator and at - full_at <= TERMINATOR_GRACE_S
