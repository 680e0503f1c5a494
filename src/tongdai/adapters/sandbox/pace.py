"""How fast a leg's clock runs against the world's.

`TimedPace` is a clock: a carrier second takes 1/speed of a real one. `FreePace` (from `FULL_SPEED` on) does
not sleep: what is due happens at once, except that a leg waits for its client to deal with an event that may
draw a command before its clock moves on, and that silence is only broken after real time, so that a slow
client is not hung up on. Each leg's order and seconds are the same in both.
"""

from __future__ import annotations

import heapq
import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from tongdai.adapters.sandbox.leg import Leg, Listener

FULL_SPEED = 1_000.0
"""A speed from which the clock is not timed at all."""

GRACE_S = 5.0
"""Real seconds of silence that a client is always given, however fast the carrier's clock runs."""

HOLD_S = 30.0
"""Real seconds that a free leg waits at most for a connected client to deal with an event."""

Monotonic = Callable[[], float]
"""Real seconds from some moment on."""


class Timer(Protocol):
    def cancel(self) -> None: ...


class Timers(Protocol):
    """What a pace needs of an event loop."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Timer: ...


class Pace(Protocol):
    least_patience: float
    """Carrier seconds below which nobody hangs up for silence."""

    def begin(self, leg: Leg) -> None:
        """A leg was handed over just now."""
        ...

    def catch_up(self, leg: Leg) -> None:
        """Bring the leg's clock to the present, before a command changes it."""
        ...

    def moved(self, leg: Leg) -> None:
        """What is due on the leg has changed, or it may go on: continue."""
        ...

    def told(self, leg: Leg) -> None:
        """The leg told its owner something that may draw a command."""
        ...

    def acked(self, listener: Listener) -> None:
        """The client has dealt with more of its events."""
        ...

    def sweep(self, listeners: Iterable[Listener]) -> None:
        """Called about every quarter of a second: end what nobody has done anything about for too long."""
        ...


class TimedPace:
    """A carrier second is 1/speed real seconds.

    A leg's `paced` is the moment of its entry on the heap, or infinity when it has none. Entries of any other
    moment are left over from before something changed, and mean nothing.
    """

    def __init__(self, loop: Timers, speed: float, monotonic: Monotonic = time.monotonic) -> None:
        self.least_patience = GRACE_S * speed if speed > 1.0 else 0.0
        self._loop = loop
        self._speed = speed
        self._monotonic = monotonic
        self._heap: list[tuple[float, int, Leg]] = []
        self._pushed = 0
        self._timer: Timer | None = None
        self._timer_due = math.inf

    def begin(self, leg: Leg) -> None:
        leg.started = self._monotonic()
        leg.paced = math.inf
        self.moved(leg)

    def catch_up(self, leg: Leg) -> None:
        """Things due by now that the timer has not reached yet happen first."""
        now = self._carrier_time(leg)
        while not leg.ended and min(leg.next_due(), leg.next_idle()) <= now:
            leg.step()
        leg.advance(now)

    def told(self, leg: Leg) -> None:
        """Time passes whether the client is quick or not."""

    def acked(self, listener: Listener) -> None:
        """As above."""

    def sweep(self, listeners: Iterable[Listener]) -> None:
        """Silence and limits are on the heap like everything else."""

    def moved(self, leg: Leg) -> None:
        due = math.inf if leg.ended else min(leg.next_due(), leg.next_idle())
        real = leg.started + due / self._speed
        if real == leg.paced:
            return
        leg.paced = real
        if real < math.inf:
            self._pushed += 1
            heapq.heappush(self._heap, (real, self._pushed, leg))
            self._arm()

    def _carrier_time(self, leg: Leg) -> float:
        return round((self._monotonic() - leg.started) * self._speed, 3)

    def _arm(self) -> None:
        due = self._heap[0][0]
        if due >= self._timer_due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._loop.call_later(max(0.0, due - self._monotonic()), self._tick)

    def _tick(self) -> None:
        self._timer, self._timer_due = None, -math.inf  # what moves meanwhile need not arm it
        try:
            while self._heap and self._heap[0][0] <= self._monotonic():
                real, _, leg = heapq.heappop(self._heap)
                if real == leg.paced:
                    self._step(leg)
        finally:  # whatever went wrong with one leg, the others go on
            self._timer_due = math.inf
            if self._heap:
                self._arm()

    def _step(self, leg: Leg) -> None:
        """The leg's entry was taken from the heap. What is due next may be due at the same moment."""
        leg.paced = math.inf
        try:
            if not leg.ended:
                leg.step()
        finally:
            self.moved(leg)


class FreePace:
    """What is due happens at once.

    A live leg is held in its owner's `waiting`, or parked: `paced` is then the number of its parking, and 0
    when it is not parked. Parkings of any other number mean nothing.
    """

    least_patience = 0.0

    def __init__(self, monotonic: Monotonic = time.monotonic) -> None:
        self._monotonic = monotonic
        self._parked: deque[tuple[float, float, Leg]] = deque()
        self._parkings = 0.0

    def begin(self, leg: Leg) -> None:
        leg.started = self._monotonic()
        self.moved(leg)

    def catch_up(self, leg: Leg) -> None:
        """The leg's clock stands while it waits, so a command comes at the moment of what drew it."""

    def told(self, leg: Leg) -> None:
        owner = leg.owner
        if owner is not None:
            leg.held = owner.sent
            leg.paced = 0.0
            owner.waiting.append((owner.sent, self._monotonic(), leg))

    def moved(self, leg: Leg) -> None:
        """Run the leg until it ends, tells something that may draw a command, or only waits."""
        leg.paced = 0.0
        while not leg.ended and (leg.owner is None or leg.held <= leg.owner.acked):
            if leg.next_due() == math.inf:
                self._parkings += 1.0
                leg.paced = self._parkings
                self._parked.append((self._monotonic() + GRACE_S, leg.paced, leg))
                return
            leg.step()

    def acked(self, listener: Listener) -> None:
        waiting = listener.waiting
        while waiting and waiting[0][0] <= listener.acked:
            leg = waiting.popleft()[2]
            if leg.owner is listener:
                self.moved(leg)

    def sweep(self, listeners: Iterable[Listener]) -> None:
        now = self._monotonic()
        while self._parked and self._parked[0][0] <= now:
            _, parking, leg = self._parked.popleft()
            if leg.paced == parking and not leg.ended:
                leg.step()
                self.moved(leg)
        for listener in listeners:
            waiting = listener.waiting
            while waiting and waiting[0][1] + HOLD_S <= now:
                leg = waiting.popleft()[2]
                if leg.owner is listener:
                    leg.held = 0
                    self.moved(leg)


def pace_for(speed: float, loop: Timers, monotonic: Monotonic = time.monotonic) -> Pace:
    """Raises ValueError for a speed that is no speed."""
    if not speed > 0:
        raise ValueError("the carrier's speed must be above 0")
    return FreePace(monotonic) if speed >= FULL_SPEED else TimedPace(loop, speed, monotonic)
