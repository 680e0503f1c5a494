"""One clock for the time-outs of all requests: a timer for each takes an eighth of what a request costs."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Deadline:
    """Ends the block that it is around when its time is up, with a TimeoutError. Made by `Deadlines`."""

    __slots__ = ("_all", "_asked", "_expired", "_task", "at")

    def __init__(self, all_: Deadlines, at: float) -> None:
        self._all = all_
        self._task: asyncio.Task[object] | None = None
        self._asked = 0
        self._expired = False
        self.at = at

    def expire(self) -> None:
        assert self._task is not None
        self._expired = True
        self._task.cancel()

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        assert self._task is not None
        self._asked = self._task.cancelling()
        self._all.add(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """As `asyncio.timeout` does: who else has cancelled the task is not robbed of it."""
        self._all.discard(self)
        if self._expired and self._task is not None:
            ours = self._task.uncancel() <= self._asked
            if ours and kind is asyncio.CancelledError:
                raise TimeoutError from error


class Deadlines:
    """Of blocks that may all take `limit_s` seconds, and at most a fiftieth more."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._tick_s = limit_s / 50
        self._open: dict[Deadline, None] = {}
        """In the order in which they expire."""
        self._timer: asyncio.TimerHandle | None = None

    def next(self) -> Deadline:
        return Deadline(self, asyncio.get_running_loop().time() + self._limit_s)

    def add(self, deadline: Deadline) -> None:
        self._open[deadline] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._tick_s, self._look)

    def discard(self, deadline: Deadline) -> None:
        self._open.pop(deadline, None)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._open and (first := next(iter(self._open))).at <= now:
            del self._open[first]
            first.expire()
        self._timer = loop.call_later(self._tick_s, self._look) if self._open else None

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
