"""A child process that ends when its owner does, however the owner ends. Linux only."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

log = logging.getLogger(__name__)

LAUNCHER = Path(__file__).with_name("pg_launcher.py")
FAST_SHUTDOWN_S = 60.0

# Nothing of the owner's: neither its secrets nor PG* variables or a language that changes messages.
ENVIRONMENT: Mapping[str, str] = MappingProxyType({"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath})


def launched(command: Sequence[str]) -> list[str]:
    """The command line that runs `command` through the launcher, owned by the thread that will start it."""
    return [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), *command]


class KeptProcess:
    """A process whose starting thread lives as long as it does.

    The kernel's "your parent is gone" signal belongs to the thread that forked (prctl(2)), so that thread
    must not end before the owner: it stays and waits for the process. `inherited` is a file that the process
    keeps open.
    """

    def __init__(self, command: Sequence[str], output: BinaryIO, inherited: BinaryIO) -> None:
        self.dead = threading.Event()
        self._born = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._error: OSError | None = None
        thread = threading.Thread(
            target=self._keep, args=(command, output, inherited), name="process-keeper", daemon=True
        )
        thread.start()
        self._born.wait()
        if self._error is not None:
            raise self._error

    def _keep(self, command: Sequence[str], output: BinaryIO, inherited: BinaryIO) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[inherited.fileno()],
                # Ctrl-C is for the owner, who stops the server after everything that uses it.
                start_new_session=True,
            )
        except OSError as error:
            self._error = error
            self.dead.set()
            return
        finally:
            self._born.set()
        self._process.wait()
        self.dead.set()

    @property
    def alive(self) -> bool:
        return not self.dead.is_set()

    @property
    def was_killed(self) -> bool:
        """True once it has ended because somebody sent it a signal."""
        return not self.alive and self._process is not None and (self._process.returncode or 0) < 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def shut_down(self) -> None:
        """SIGINT with patience, then SIGQUIT, then SIGKILL: fast, immediate and by force to PostgreSQL."""
        for wanted, patience_s in (
            (signal.SIGINT, FAST_SHUTDOWN_S),
            (signal.SIGQUIT, 10.0),
            (signal.SIGKILL, None),
        ):
            if self.alive:
                assert self._process is not None
                self._process.send_signal(wanted)
            if self.dead.wait(patience_s):
                return
            log.warning("a process does not end", extra={"signal": wanted.name, "seconds": patience_s})
