"""Copies all that one PostgreSQL cluster holds into a new one of our major, and takes stock of both."""

from __future__ import annotations

import logging
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, BinaryIO
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from tongdai.kit.embedded import USER, make_socket_folder, socket_folder
from tongdai.kit.kept_process import ENVIRONMENT, launched
from tongdai.kit.pg_server import EmbeddedPostgresError, PgServer, Progress, run_initdb
from tongdai.kit.private_files import open_private, write_private

log = logging.getLogger(__name__)

LOG_NAME = "upgrade.log"
OLD_PORT, NEW_PORT = "5432", "5433"
# They are in every new cluster, so they are filled and not created.
ALWAYS_THERE = ("postgres", "template1")

# Understood by every major. Whatever connects to the old server, it stays as it is.
OLD_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": "",
        "port": OLD_PORT,
        "unix_socket_permissions": "0700",
        "default_transaction_read_only": "on",
        "autovacuum": "off",
        "logging_collector": "off",
        "log_min_messages": "log",
        "log_error_verbosity": "terse",
    }
)
# Not durable while it is filled: it is synchronised as a whole before it gets its name.
NEW_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        **OLD_SETTINGS,
        "port": NEW_PORT,
        "default_transaction_read_only": "off",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_wal_size": "1GB",
        "shared_buffers": "256MB",
        "maintenance_work_mem": "256MB",
    }
)

Key = tuple[str, str, str]
"""Database (empty: of the whole cluster), kind, name."""
Stock = dict[Key, object]
Connection = psycopg.Connection[TupleRow]

DATABASES = "SELECT datname, datallowconn FROM pg_database ORDER BY datname"
ROLES = "SELECT rolname, rolsuper, rolcanlogin, rolpassword FROM pg_authid WHERE rolname !~ '^pg_'"
# Tables, indexes, sequences, views and so on, parent and child alike.
RELATIONS = """
SELECT c.relkind::text, n.nspname, c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"""
COUNT = sql.SQL("SELECT count(*) FROM {}")
SEQUENCE = sql.SQL("SELECT last_value, is_called FROM {}")
MIGRATIONS = sql.SQL("SELECT t::text FROM {} t ORDER BY 1")


class CopyFailedError(EmbeddedPostgresError):
    """The database could not be copied into a new one."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two servers, and how to log in to it."""

    server: PgServer
    settings: Mapping[str, str]
    sockets: Path
    passfile: Path

    def url(self, database: str) -> str:
        query = {"host": str(self.sockets), "port": self.settings["port"], "passfile": str(self.passfile)}
        return f"postgresql://{USER}@/{quote(database, safe='')}?{urlencode(query, quote_via=quote)}"

    def start(self, server_lock: BinaryIO) -> None:
        where = {"unix_socket_directories": f'"{self.sockets}"'}
        self.server.start({**self.settings, **where}, server_lock)


class Copy:
    """Fills `work/cluster` from the cluster of `data`. `server_lock` is held until nothing runs any more."""

    def __init__(
        self, data: Path, work: Path, old_programs: Path, new_programs: Path, server_lock: BinaryIO
    ) -> None:
        self._work = work
        self._cluster = work / "cluster"
        self._programs = new_programs
        self._lock = server_lock
        self._log_path = data / LOG_NAME
        make_socket_folder(work)
        sockets = socket_folder(work)
        # The old one's roles come with their passwords, so the old one's file opens the new one as well.
        self._old, self._new = (
            Side(PgServer(programs, cluster, self._log_path), settings, sockets, data / "pgpass")
            for programs, cluster, settings in (
                (old_programs, data / "postgres", OLD_SETTINGS),
                (new_programs, self._cluster, NEW_SETTINGS),
            )
        )

    def run(self) -> tuple[Stock, Stock]:
        """What the old one and the new one hold, the new one on disk and stopped. Raises CopyFailedError."""
        temporary = self._make_cluster()
        with ExitStack() as stopping:
            for side in (self._old, self._new):
                stopping.callback(side.server.stop)
                side.start(self._lock)
            self._copy_roles(temporary)
            for database in self._databases():
                self._copy_database(database)
            log.info("gathering statistics")
            self._tool("vacuumdb", "--all", "--analyze-only", "--quiet", "--jobs=2",
                       f"--maintenance-db={self._new.url('postgres')}")  # fmt: skip
            log.info("comparing the new database with the old one")
            with ThreadPoolExecutor(2) as both:
                before, after = both.map(take_stock, (self._old, self._new))
        log.info("writing the new database to disk")
        self._tool("initdb", "--sync-only", f"--pgdata={self._cluster}")
        return before, after

    def _make_cluster(self) -> Side:
        """The empty new cluster, as it is logged in to until it has the old one's passwords."""
        password = secrets.token_urlsafe(32)
        words, passfile = self._work / "password", self._work / "pgpass"
        write_private(words, password)
        write_private(passfile, f"*:*:*:{USER}:{password}\n")
        run_initdb(self._programs, self._cluster, user=USER, password_file=words, durable=False)
        return Side(self._new.server, self._new.settings, self._new.sockets, passfile)

    def _copy_roles(self, temporary: Side) -> None:
        roles = self._work / "roles.sql"
        self._tool(
            "pg_dumpall",
            "--globals-only",
            "--no-sync",
            f"--file={roles}",
            f"--dbname={self._old.url('postgres')}",
        )
        # initdb has made this one; the line after it gives it the rest, its password too.
        roles.write_text(roles.read_text().replace(f"\nCREATE ROLE {USER};\n", "\n"))
        self._tool("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null",
                   f"--file={roles}", f"--dbname={temporary.url('postgres')}")  # fmt: skip

    def _databases(self) -> list[str]:
        with psycopg.connect(self._old.url("postgres")) as connection:
            return [name for name, open_ in connection.execute(DATABASES) if open_]

    def _copy_database(self, database: str) -> None:
        """Through a pipe: no dump on disk, and both servers work at the same time."""
        log.info("copying a database", extra={"database": database})
        known = database in ALWAYS_THERE
        dump = ["pg_dump", "--format=custom", "--compress=none", f"--dbname={self._old.url(database)}"]
        restore = ["pg_restore", "--exit-on-error", *([] if known else ["--create"]),
                   f"--dbname={self._new.url(database if known else 'postgres')}"]  # fmt: skip
        with open_private(self._log_path) as output, ExitStack() as ending:
            dumping = self._started(dump, output, stdout=subprocess.PIPE)
            ending.callback(_end, dumping)
            assert dumping.stdout is not None
            restoring = self._started(restore, output, stdin=dumping.stdout)
            ending.callback(_end, restoring)
            # Ours would keep pg_dump writing after pg_restore has ended.
            dumping.stdout.close()
            self._wait(restoring)
            failed = [
                name
                for name, process in (("pg_dump", dumping), ("pg_restore", restoring))
                if process.wait() != 0
            ]
        if failed:
            raise self._failure(f"{' and '.join(failed)} of {database}")

    def _tool(self, program: str, *arguments: str) -> None:
        with open_private(self._log_path) as output, ExitStack() as ending:
            process = self._started([program, *arguments], output, stdout=output)
            ending.callback(_end, process)
            self._wait(process)
        if process.returncode != 0:
            raise self._failure(program)

    def _started(
        self,
        command: Sequence[str],
        errors: BinaryIO,
        *,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        # The lock goes along, so that the next run waits for the last of these too.
        return subprocess.Popen(  # noqa: S603
            launched([str(self._programs / command[0]), *command[1:]]),
            env=ENVIRONMENT,
            stdin=stdin,
            stdout=stdout,
            stderr=errors,
            pass_fds=[self._lock.fileno()],
        )

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        progress = Progress()
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
                return
            if progress.due():
                facts = {"seconds": progress.seconds, "megabytes": size_of(self._cluster) >> 20}
                log.info("the new database is being made", extra=facts)

    def _failure(self, what: str) -> CopyFailedError:
        # What a program says may quote customers' values: it stays in a file that is ours alone.
        return CopyFailedError(
            f"{what} failed; the old database is in place as it was. See {self._log_path}.", failed=what
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends what an error or a stop of ours leaves running."""
    if process.poll() is None:
        process.terminate()
    process.wait()


def take_stock(side: Side) -> Stock:
    """Everything of a server that must be the same after an upgrade."""
    with psycopg.connect(side.url("postgres"), autocommit=True) as connection:
        databases: list[tuple[str, bool]] = list(connection.execute(DATABASES))
        stock: Stock = {("", "database", name): open_ for name, open_ in databases}
        stock.update({("", "role", name): rest for name, *rest in connection.execute(ROLES)})
    for database, open_ in databases:
        if open_:
            with psycopg.connect(side.url(database), autocommit=True) as connection:
                stock.update({(database, kind, name): value for kind, name, value in _holds(connection)})
    return stock


def _holds(connection: Connection) -> Iterator[tuple[str, str, object]]:
    """Kind, name, and what is to be compared."""
    for relkind, schema, relation in connection.execute(RELATIONS).fetchall():
        name, identifier = f"{schema}.{relation}", sql.Identifier(schema, relation)
        yield "relation", name, relkind
        if relkind in ("r", "m"):
            yield "rows", name, connection.execute(COUNT.format(identifier)).fetchall()[0][0]
        if relkind == "S":
            yield "sequence", name, connection.execute(SEQUENCE.format(identifier)).fetchall()
        if relkind == "r" and relation == "schema_migrations":
            yield "migrations", name, connection.execute(MIGRATIONS.format(identifier)).fetchall()


def differences(before: Mapping[Key, object], after: Mapping[Key, object]) -> list[str]:
    """What is not the same, without its values: `rows tongdai/public.calls`."""
    missing = object()
    return [
        f"{kind} {database}/{name}" if database else f"{kind} {name}"
        for database, kind, name in sorted({*before, *after})
        if before.get((database, kind, name), missing) != after.get((database, kind, name), missing)
    ]


def size_of(folder: Path) -> int:
    """Bytes on disk, also of a folder whose files come and go."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.lstat().st_blocks * 512
    return total
