"""One parent, several child processes: started in order, restarted when they die, ended together.

Everything happens in the main thread: the kernel's "your parent is gone" signal belongs to the thread that
forked (prctl(2)), and only the main thread is told of signals.
"""

from __future__ import annotations

import ctypes
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
RESTART_AFTER_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_AFTER_S = 30.0
"""A child that lived so long is restarted without delay again."""
TICK_S = 1.0
"""The longest that anything is left unlooked at, should a signal be missed."""
GRACE_S = 15.0
"""From SIGTERM to SIGKILL for one rank of children."""


class StopRequested(BaseException):
    """SIGTERM or SIGINT came during something slow. Not an Exception, so that nobody swallows it."""


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when `parent` ends, however it ends. Exits when it already has.

    SIGKILL, because a process that hangs must not outlive its supervisor either; every process of ours may be
    killed at any moment.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL.value, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit(1)


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A process to keep running. `rank`: lower ones start earlier and end later."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    rank: int = 0
    output: Path | None = None
    """Where its output is appended to; None: the supervisor's own."""


class Child:
    """One process of a spec, and when it may be started next."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._failures = 0
        self._start_at = 0.0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def look(self, now: float) -> None:
        """Notice a death, and start what is due. `now` is monotonic seconds."""
        if self._process is not None and self._process.poll() is not None:
            self._bury(self._process.returncode, now)
        if self._process is None and now >= self._start_at:
            self._start(now)

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def gone(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _start(self, now: float) -> None:
        output = (
            os.open(self.spec.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            if self.spec.output
            else None
        )
        try:
            self._process = subprocess.Popen(  # noqa: S603
                list(self.spec.command),
                env=dict(self.spec.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C is for the supervisor, which ends its children in order.
                start_new_session=True,
            )
        finally:
            if output is not None:
                os.close(output)
        self._started_at = now
        logger.debug("started a process", extra={"process_name": self.spec.name, "pid": self._process.pid})

    def _bury(self, status: int, now: float) -> None:
        steady = now - self._started_at >= STEADY_AFTER_S
        self._failures = 1 if steady else self._failures + 1
        delay = RESTART_AFTER_S[min(self._failures, len(RESTART_AFTER_S)) - 1]
        self._start_at = now + delay
        self._process = None
        logger.warning(
            "a process ended and will be restarted",
            extra={"process_name": self.spec.name, "status": status, "delay_s": delay},
        )


class Supervisor:
    """Runs children until SIGTERM or SIGINT. `watch` is called at every turn, for what is no child of ours.

    Use inside `with stop_signals() as stop`, which must be around slow preparations too.
    """

    def __init__(self, stop: Stop, watch: Callable[[], None] | None = None) -> None:
        self._stop = stop
        self._watch = watch
        self._children: list[Child] = []

    def add(self, spec: ChildSpec) -> None:
        """Start one more child; those of lower rank first."""
        child = Child(spec)
        self._children.append(child)
        child.look(time.monotonic())

    def pids(self) -> dict[str, int | None]:
        return {child.spec.name: child.pid for child in self._children}

    def run(self, until: Callable[[], bool] | None = None) -> bool:
        """Keep everything running. False: a stop was requested; True: `until` came true first."""
        while not self._stop.requested:
            if self._watch is not None:
                self._watch()
            for child in self._children:
                child.look(time.monotonic())
            if until is not None and until():
                return True
            self._stop.wait(0.1 if until is not None else TICK_S)
        return False

    def end(self) -> None:
        """SIGTERM to the children, the highest rank first, and SIGKILL to those that outstay `GRACE_S`."""
        for rank in sorted({child.spec.rank for child in self._children}, reverse=True):
            self._end([child for child in self._children if child.spec.rank == rank])
        self._children.clear()

    def _end(self, children: Sequence[Child]) -> None:
        for child in children:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        while not all(child.gone() for child in children):
            if time.monotonic() > deadline:
                self._kill([child for child in children if not child.gone()])
            self._stop.wait(0.1)

    def _kill(self, children: Sequence[Child]) -> None:
        for child in children:
            logger.warning("a process does not end and is killed", extra={"process_name": child.spec.name})
            child.signal(signal.SIGKILL)


class Stop:
    """Whether a stop was requested, and a wait that any signal interrupts."""

    def __init__(self) -> None:
        self.requested = False
        self._slow = False
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)

    def fileno(self) -> int:
        """Where the interpreter reports signals to."""
        return self._write.fileno()

    def close(self) -> None:
        self._read.close()
        self._write.close()

    def wait(self, timeout: float) -> None:
        """Until a signal comes (the death of a child is one), at most `timeout` seconds."""
        select.select([self._read], [], [], timeout)
        try:
            while self._read.recv(4096):
                pass
        except BlockingIOError:
            return

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Around something slow: a stop raises StopRequested inside, also one that was requested before."""
        if self.requested:
            raise StopRequested
        self._slow = True
        try:
            yield
        finally:
            self._slow = False

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if self._slow:
            self._slow = False
            raise StopRequested


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Take over SIGTERM, SIGINT and SIGCHLD for the time being. Main thread only."""
    stop = Stop()
    before = {number: signal.signal(number, stop._on_stop) for number in STOP_SIGNALS}
    before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda number, frame: None)
    wakeup = signal.set_wakeup_fd(stop.fileno(), warn_on_full_buffer=False)
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.close()
