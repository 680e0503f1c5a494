"""The emulator's time: the machine's, moved forward by whoever tests."""

from __future__ import annotations

import time
from typing import Final

from tongdai.adapters.zaloemulator.store import Store

MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
VIETNAM_AHEAD_MS: Final = 7 * 3_600_000
"""Vietnam has had no summer time since 1975."""


class Clock:
    """Epoch milliseconds. How far it was moved is kept in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ahead_ms = int(store.recall("clock_ahead_ms") or 0)

    def now_ms(self) -> int:
        return self.machine_ms() + self._ahead_ms

    def machine_ms(self) -> int:
        """However far the clock was moved: whoever receives a webhook compares its time with their own."""
        return time.time_ns() // 1_000_000

    def advance(self, milliseconds: int) -> None:
        self._ahead_ms += milliseconds
        self._store.remember("clock_ahead_ms", str(self._ahead_ms))

    def real_seconds_until(self, moment_ms: int) -> float:
        return max(0, moment_ms - self.now_ms()) / 1000


def vietnam_day(moment_ms: int) -> int:
    """Days since the epoch, in Vietnam."""
    return (moment_ms + VIETNAM_AHEAD_MS) // DAY_MS


def vietnam_month(moment_ms: int) -> int:
    """Months since the epoch, in Vietnam."""
    gone = time.gmtime((moment_ms + VIETNAM_AHEAD_MS) // 1000)
    return (gone.tm_year - 1970) * 12 + gone.tm_mon - 1


def vietnam_hour(moment_ms: int) -> int:
    return (moment_ms + VIETNAM_AHEAD_MS) % DAY_MS // 3_600_000
