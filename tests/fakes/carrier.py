"""The sandbox carrier as a real process, for tests and benchmarks. It is always ended by its context."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tongdai.adapters.sandbox.log import Line, read_log

FULL_SPEED = 10_000.0


class CarrierProcess:
    """`with CarrierProcess(folder) as carrier`: clients go to `carrier.address`; `lines()` reads its log."""

    def __init__(self, folder: Path, *, speed: float = FULL_SPEED, seed: int = 1, listen: str | None = None):
        self.log_path = folder / "carrier.log"
        self.address = listen or str(folder / "carrier.sock")
        self._listen = self.address
        self._speed = speed
        self._seed = seed
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns once it listens."""
        command = [sys.executable, "-m", "tongdai.adapters.sandbox.carrier", "--listen", self._listen]
        command += ["--log", str(self.log_path), "--speed", str(self._speed), "--seed", str(self._seed)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        assert ready.startswith("sandbox carrier: "), f"the carrier did not start: {ready!r}"
        self.address = ready.removeprefix("sandbox carrier: ").strip()

    def freeze(self) -> None:
        """It is there, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """As `kill -9` does, with every call that was up."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        return self._end(signal.SIGTERM)

    def lines(self) -> list[Line]:
        return read_log(self.log_path)

    def events_of(self, leg_id: int) -> list[str]:
        """What the log says of a leg, in order."""
        return [line.event for line in self.lines() if line.leg == leg_id]

    def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        code = process.wait(timeout=20)
        assert process.stdout is not None
        process.stdout.close()
        return code

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
