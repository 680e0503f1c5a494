"""One PostgreSQL server over one cluster: made, started, waited for, shut down."""

from __future__ import annotations

import logging
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from tongdai.kit.errors import TongdaiError
from tongdai.kit.kept_process import ENVIRONMENT, KeptProcess, launched
from tongdai.kit.private_files import open_private, try_lock

log = logging.getLogger(__name__)

LARGEST_LOG = 16 * 1024 * 1024
PROGRESS_EVERY_S = 3.0
START_TRIES = 5


class EmbeddedPostgresError(TongdaiError):
    """The embedded PostgreSQL could not be started."""


class Progress:
    """Says when it is time for the next line about something that takes long."""

    def __init__(self) -> None:
        self._started = self._said = time.monotonic()

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self._started, 1)

    def due(self) -> bool:
        now = time.monotonic()
        if now - self._said < PROGRESS_EVERY_S:
            return False
        self._said = now
        return True


class PgServer:
    """Runs the programs of one major version over a cluster of that version, as a child that dies with us."""

    def __init__(self, programs: Path, cluster: Path, log_path: Path) -> None:
        self._programs = programs
        self._cluster = cluster
        self._log_path = log_path
        self._log_start = 0
        self._process: KeptProcess | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id, None while it does not run."""
        return self._process.pid if self._process is not None and self._process.alive else None

    def wait_or_dead(self, timeout: float | None = None) -> bool:
        """Waits at most `timeout` seconds for the server's end. True: it does not run."""
        return self._process is None or self._process.dead.wait(timeout)

    def start(self, settings: Mapping[str, str], server_lock: BinaryIO) -> None:
        """Launch until it answers. One that somebody killed while it started is launched again.

        `server_lock` is held: no other server runs over the cluster. Raises EmbeddedPostgresError.
        """
        forget_stale_pid(self._cluster)
        for tries_left in reversed(range(START_TRIES)):
            self._process = process = self._launch(settings, server_lock)
            try:
                self._wait_until_it_answers(process)
            except EmbeddedPostgresError:
                if not (tries_left and process.was_killed):
                    raise
                log.warning("the database server was killed at its start and is started again")
            else:
                return

    def stop(self) -> None:
        """Cuts the sessions and ends the server with everything committed on disk."""
        if self._process is not None:
            self._process.shut_down()
            self._process = None

    def _launch(self, settings: Mapping[str, str], server_lock: BinaryIO) -> KeptProcess:
        command = [str(self._programs / "postgres"), "-D", str(self._cluster)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        if self._log_path.exists() and self._log_path.stat().st_size > LARGEST_LOG:
            self._log_path.replace(self._log_path.with_suffix(".log.1"))
        with open_private(self._log_path) as output:
            self._log_start = output.seek(0, os.SEEK_END)
            return KeptProcess(launched(command), output, server_lock)

    def _wait_until_it_answers(self, process: KeptProcess) -> None:
        progress = Progress()
        while not self._ready(process.pid):
            if process.dead.wait(0.02):
                raise EmbeddedPostgresError(f"PostgreSQL ended at its start: {self._last_words(5)}")
            if progress.due():
                log.info(
                    "the database is starting: %s", self._last_words(1), extra={"seconds": progress.seconds}
                )

    def _ready(self, pid: int) -> bool:
        """Whether the server says so in its pid file: line 1 its pid, line 8 its state, as pg_ctl reads it.

        Connecting to ask would write a line about a refused session into the log for every try.
        """
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _last_words(self, count: int) -> str:
        with self._log_path.open(errors="replace") as text:
            text.seek(self._log_start)
            return " | ".join(line.strip() for line in text.readlines()[-count:])


def run_initdb(programs: Path, cluster: Path, *, user: str, password_file: Path, durable: bool) -> None:
    """Makes a cluster whose text sorts the same everywhere. Raises EmbeddedPostgresError in its words."""
    command = [
        str(programs / "initdb"), f"--pgdata={cluster}", f"--username={user}",
        f"--pwfile={password_file}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
        "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
    ]  # fmt: skip
    if not durable:
        command.append("--no-sync")
    done = subprocess.run(  # noqa: S603
        launched(command), env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise EmbeddedPostgresError(f"initdb failed: {done.stderr.strip()}", folder=str(cluster))


def wait_for_previous_server(lock_path: Path) -> BinaryIO:
    """The lock that all processes of a server inherit: free only when the last of them is gone."""
    lock = open_private(lock_path)
    progress = Progress()
    while not try_lock(lock):
        if progress.due():
            log.info(
                "waiting for the previous database server to shut down",
                extra={"seconds": progress.seconds},
            )
        time.sleep(0.05)
    return lock


def forget_stale_pid(cluster: Path) -> None:
    """Removes a dead server's pid file when its number now belongs to an unrelated process.

    PostgreSQL would take that process for a server and refuse to start: usual after a container's restart.
    Called with the server lock held, so no server of ours runs; one that somebody started by hand has its
    working folder in the cluster and is left alone.
    """
    path = cluster / "postmaster.pid"
    try:
        pid = int(path.read_text().splitlines()[0])
        working_folder = Path(f"/proc/{pid}/cwd").readlink()
    except PermissionError:
        pass  # somebody else's process: it cannot read our cluster
    except (FileNotFoundError, ValueError, IndexError):
        return  # no pid file, or no such process: PostgreSQL judges that well itself
    else:
        if working_folder == cluster:
            return
    path.unlink(missing_ok=True)
