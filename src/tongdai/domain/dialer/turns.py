"""When a dialer claims again, and which of its claims move the floors. Pure; times are the event loop's."""

from __future__ import annotations

from collections.abc import Collection, Set
from dataclasses import dataclass

FLOORS_AFTER = 100
"""Floors are moved once so many calls were claimed, however soon that is."""


@dataclass(slots=True)
class Used:
    """For which campaigns all slots are given, and until when. A look at them makes none, nor does a hint."""

    campaigns: Set[int] = frozenset()
    until: float = 0.0

    def note(self, campaigns: Collection[int], wait_s: float | None, now: float) -> None:
        """`wait_s`: until there are new slots; None: time alone makes none."""
        self.campaigns = frozenset(campaigns)
        self.until = 0.0 if wait_s is None else now + wait_s

    def left_s(self, campaigns: Set[int], now: float) -> float | None:
        """Seconds until there is a slot for any of these; None: there may be one now."""
        left = self.until - now
        return left if left > 0 and campaigns <= self.campaigns else None


@dataclass(slots=True)
class Floors:
    """Moved after so many calls, or so many seconds where few are claimed."""

    apart_s: float
    claimed: int = 0
    due_at: float = 0.0

    def are_due(self, now: float) -> bool:
        return self.claimed >= FLOORS_AFTER or now >= self.due_at

    def note(self, claimed: int, *, moved_at: float | None) -> None:
        """A claim of so many calls is committed; `moved_at`: when it began, if it moved the floors."""
        self.claimed += claimed
        if moved_at is not None:
            self.claimed, self.due_at = 0, moved_at + self.apart_s
