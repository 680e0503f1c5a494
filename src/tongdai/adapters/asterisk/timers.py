"""The timers that a script has started on one leg."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tongdai.adapters.asterisk.wire import Wire
from tongdai.ports.telephony import TimerFired

if TYPE_CHECKING:
    from tongdai.adapters.asterisk.leg import Leg


class Timers:
    """When each is due is in the leg's journal, by the leg's clock."""

    def __init__(self, leg: Leg, wire: Wire) -> None:
        self._leg = leg
        self._wire = wire
        self._running: dict[int, asyncio.TimerHandle] = {}

    def start(self, timer_id: int, seconds: float) -> None:
        """Anew, if it runs."""
        self._start(timer_id, round(self._leg.at() + seconds, 3), seconds)

    def cancel(self, timer_id: int) -> None:
        self._leg.journal.timers.pop(timer_id, None)
        running = self._running.pop(timer_id, None)
        if running is not None:
            running.cancel()

    def resume(self) -> None:
        """After somebody else started them: those that are overdue fire at once, in their order."""
        now = self._leg.at()
        for timer_id, due in sorted(self._leg.journal.timers.items(), key=lambda timer: timer[1]):
            self._start(timer_id, due, due - now)

    def stop(self) -> None:
        """None fires any more; the journal keeps them."""
        for running in self._running.values():
            running.cancel()
        self._running.clear()

    def _start(self, timer_id: int, due: float, seconds: float) -> None:
        self._leg.journal.timers[timer_id] = due
        running = self._running.get(timer_id)
        if running is not None:
            running.cancel()
        self._running[timer_id] = self._wire.later(max(0.0, seconds), self._fire, timer_id)

    def _fire(self, timer_id: int) -> None:
        leg = self._leg
        self._running.pop(timer_id, None)
        leg.journal.timers.pop(timer_id, None)
        leg.tell(TimerFired(leg.leg_id, leg.journal.next_seq, leg.at(), timer_id))
