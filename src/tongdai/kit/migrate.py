"""Brings a database to the schema of this code: forward only, each migration whole or not at all.

Migrations are `NNNN_words.sql` in the package `tongdai.migrations`, run in the order of their numbers. Any
number of processes may call `migrate` at once: they take turns.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files

import psycopg
from psycopg.rows import TupleRow, class_row

from tongdai.kit.errors import TongdaiError

log = logging.getLogger(__name__)

Connection = psycopg.Connection[TupleRow]

FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
# Session locks of this pair mean "migrating". A DDL statement that waits for a table's lock makes every later
# query on the table wait behind it, so it gives up soon and tries again.
LOCK_SPACE, LOCK_MIGRATING = 7340, 2
DDL_LOCK_TIMEOUT = "2s"
TRIES = 15
PAUSE_S = 1.0

TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version     integer PRIMARY KEY,
    name        text NOT NULL,
    sha256      text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
)"""
APPLIED = "SELECT version, name, sha256 FROM schema_migrations ORDER BY version"
RECORD = "INSERT INTO schema_migrations (version, name, sha256) VALUES (%s, %s, %s)"


class MigrationError(TongdaiError):
    """The database could not be brought to the schema of this tongdai."""


class MigrationChangedError(MigrationError):
    """A migration differs from what was applied to this database."""


class DatabaseNewerError(MigrationError):
    """The database was migrated by a newer tongdai."""


class MigrationBlockedError(MigrationError):
    """Other sessions held the tables that a migration needs for too long."""


@dataclass(frozen=True, slots=True)
class Applied:
    version: int
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped() -> list[Migration]:
    """The migrations of this code, in order."""
    texts = ((entry.name, entry.read_text("utf-8")) for entry in files("tongdai.migrations").iterdir()
             if entry.name.endswith(".sql"))  # fmt: skip
    return parse(texts)


def parse(texts: Iterable[tuple[str, str]]) -> list[Migration]:
    """Orders (file name, text) pairs. Raises MigrationError on bad names or numbers other than 1, 2, 3 …"""
    found = []
    for name, sql in texts:
        match = FILE_NAME.fullmatch(name)
        if match is None:
            raise MigrationError(f"{name} is not named NNNN_words.sql.")
        found.append(Migration(int(match[1]), name, sql))
    found.sort(key=lambda migration: migration.version)
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError("The numbers of the migrations are not 1, 2, 3 …")
    return found


def migrate(url: str, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Applies what is missing and returns the names of what it applied, in order.

    Raises MigrationChangedError, DatabaseNewerError, MigrationBlockedError, or psycopg.Error where a
    migration's own SQL fails; what was applied before that stays, and the failing one leaves nothing.
    """
    wanted = shipped() if migrations is None else migrations
    with psycopg.connect(url, autocommit=True) as connection:
        # Held by the session, so that it outlives each migration's transaction and ends with a crash.
        connection.execute("SELECT pg_advisory_lock(%s, %s)", [LOCK_SPACE, LOCK_MIGRATING])
        connection.execute("SET client_min_messages = warning")
        connection.execute(TABLE)
        missing = _missing(connection, wanted)
        for migration in missing:
            _apply(connection, migration)
    return [migration.name for migration in missing]


def _missing(connection: Connection, wanted: Sequence[Migration]) -> list[Migration]:
    with connection.cursor(row_factory=class_row(Applied)) as cursor:
        applied = cursor.execute(APPLIED).fetchall()
    if len(applied) > len(wanted):
        raise DatabaseNewerError(
            f"The database has {applied[-1].name}, which this tongdai does not know: install a newer one.",
            name=applied[-1].name,
        )
    for done, known in zip(applied, wanted, strict=False):
        if (done.version, done.name, done.sha256) != (known.version, known.name, known.sha256):
            raise MigrationChangedError(
                f"{known.name} differs from {done.name} as it was applied to this database.", name=known.name
            )
    return list(wanted[len(applied) :])


def _apply(connection: Connection, migration: Migration) -> None:
    for _ in range(TRIES):
        try:
            _run(connection, migration)
        except psycopg.errors.LockNotAvailable:
            log.warning("a migration waits for other sessions", extra={"migration": migration.name})
            time.sleep(PAUSE_S)
        else:
            log.info("migrated the database", extra={"migration": migration.name})
            return
    raise MigrationBlockedError(name=migration.name)


def _run(connection: Connection, migration: Migration) -> None:
    with connection.transaction():
        connection.execute("SELECT set_config('lock_timeout', %s, true)", [DDL_LOCK_TIMEOUT])
        connection.execute(migration.sql)
        connection.execute(RECORD, [migration.version, migration.name, migration.sha256])
