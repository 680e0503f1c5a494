"""One PostgreSQL for a whole test run, and cheap copies of a migrated database in it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from tongdai.kit.embedded import EmbeddedPostgres, connection_url
from tongdai.kit.migrate import migrate

Connection = psycopg.Connection[TupleRow]

PREFIX = "tongdai-tests-"
IN_MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 4 * 2**30
"""Bytes. A run takes a few hundred megabytes."""
TEMPLATE = "tongdai_template"
# A test run's database needs no durability: whatever kills the server ends the run. Tests of durability start
# a server of their own.
FORGETFUL = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
}


class PostgresForTests:
    """Owned by the process that pytest was started as, which the workers of xdist do not outlive.

    It holds a lock on its folder for as long as there is one, so that no other run takes it for abandoned.
    """

    def __init__(self) -> None:
        remove_abandoned()
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_roomy_folder()))
        self._held = os.open(self.folder, os.O_RDONLY)
        fcntl.flock(self._held, fcntl.LOCK_EX)
        self._server = EmbeddedPostgres(self.folder, settings=FORGETFUL)

    def start(self) -> None:
        self._server.start()
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE}")
            # Hashed 4096 times, the password takes a client longer than most of what it then asks for.
            connection.execute("SET scram_iterations = 1")
            words = sql.Literal((self.folder / "pgpass").read_text().strip().rpartition(":")[2])
            connection.execute(sql.SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(words))
        migrate(self._server.url_of(TEMPLATE))

    def stop(self) -> None:
        """Ends the server and, when the last of its processes is gone, which write to the end, its folder."""
        self._server.stop()
        with (self.folder / "postgres.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.rmtree(self.folder)
        os.close(self._held)


def create_clone(folder: Path, template: str = TEMPLATE) -> str:
    """A new database, by default with the schema and nothing else. Returns its name."""
    with psycopg.connect(connection_url(folder), autocommit=True) as connection:
        return _create(connection, template)


def drop_clone(folder: Path, name: str) -> None:
    with psycopg.connect(connection_url(folder), autocommit=True) as connection:
        _drop(connection, name)


def _create(connection: Connection, template: str) -> str:
    name = f"test_{uuid4().hex[:16]}"
    # FILE_COPY needs two checkpoints, which without fsync cost less than sending the pages through the WAL:
    # 85 to 120 ms against 220 ms measured with two cores.
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
    connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
    return name


def _drop(connection: Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


class Clones:
    """Databases for one test after the other. While a test has one, the next is made and the last dropped."""

    def __init__(self, folder: Path) -> None:
        # A new connection for each would cost half as much as what is asked for.
        self._connection = psycopg.connect(connection_url(folder), autocommit=True)
        self._hand = ThreadPoolExecutor(1, "clones")
        self._next = self._hand.submit(_create, self._connection, TEMPLATE)
        self._dropped: Future[None] | None = None

    def take(self) -> str:
        name = self._next.result()
        self._next = self._hand.submit(_create, self._connection, TEMPLATE)
        return name

    def give_back(self, name: str) -> None:
        if self._dropped is not None:
            self._dropped.result()
        self._dropped = self._hand.submit(_drop, self._connection, name)

    def close(self) -> None:
        """What is left goes with the server."""
        self._hand.shutdown()
        self._connection.close()
        if self._dropped is not None:
            self._dropped.result()


def remove_abandoned() -> None:
    """Deletes the folders of earlier runs that were killed: those of ours that nobody holds."""
    for place in (Path(tempfile.gettempdir()), IN_MEMORY):
        for folder in place.glob(f"{PREFIX}*"):
            if not _is_held(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _roomy_folder() -> Path:
    """In memory, where there is enough of it: a database is hundreds of small files, and making and dropping
    one for each test takes 0.2 s there against 1.2 s on a busy disk."""
    try:
        roomy = os.access(IN_MEMORY, os.W_OK) and shutil.disk_usage(IN_MEMORY).free >= MEMORY_NEEDED
    except OSError:
        roomy = False
    return IN_MEMORY if roomy else Path(tempfile.gettempdir())


def _is_held(folder: Path) -> bool:
    """By its run, by its supervisor, or by a process of its server."""
    try:
        if folder.stat().st_uid != os.geteuid():
            return True
        for path in (folder, folder / "supervisor.lock", folder / "postgres.lock"):
            lock = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            finally:
                os.close(lock)
    except (BlockingIOError, FileNotFoundError):
        # Not found: another run is just starting, or just removing it.
        return True
    return False
