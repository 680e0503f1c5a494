"""Brings a data folder's cluster to the major version of PostgreSQL that this tongdai runs.

A dump of the old server is restored into a new one beside it, both on a private socket; why not pg_upgrade:
docs/decisions/0001-postgresql-embedded.md. The names in the data folder are the whole state, and each may be
the last that is reached:

    postgres/ is old                                  in place and usable; a next run starts anew
    postgres.upgrading-*/                             the new one, unfinished: removed by the next run
    postgres/ is old, postgres.upgraded/              verified, but the old may have been used since: removed
    postgres.<major>-<date>/, postgres.upgraded/      whoever comes next, also `EmbeddedPostgres`, renames it
    postgres.<major>-<date>/, postgres/ is new        done; nothing of ours ever deletes the old one
"""

from __future__ import annotations

import itertools
import logging
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import BinaryIO

from tongdai.kit.embedded import (
    MAJOR,
    UPGRADED,
    EmbeddedPostgresError,
    binaries,
    forget_socket_folder,
    major_of,
    put_upgraded_in_place,
    take_folder,
    wheel,
)
from tongdai.kit.pg_copy import Copy, Stock, differences, size_of
from tongdai.kit.pg_server import wait_for_previous_server
from tongdai.kit.private_files import sync_folder

log = logging.getLogger(__name__)

UNFINISHED = "postgres.upgrading-"
# The new cluster's journal: pg_copy's max_wal_size beside its data.
JOURNAL_BYTES = 1024**3


class UpgradeError(EmbeddedPostgresError):
    """The database could not be upgraded; the old one is in place as it was."""


class ProgramsMissingError(UpgradeError):
    """The programs of the major version that wrote the data folder are not here."""


class DatabaseTooNewError(UpgradeError):
    """The data folder was written by a newer major version than this tongdai brings."""


class NoRoomError(UpgradeError):
    """The disk has no room for the new database beside the old one."""


class NotTheSameError(UpgradeError):
    """The new database does not hold what the old one holds."""


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What was done. `kept_bytes` is what the old cluster takes on disk."""

    major: str
    kept: Path
    kept_bytes: int
    tables: int
    rows: int
    seconds: float


def upgrade(data_dir: Path, *, programs: Path | None = None) -> Upgraded | None:
    """Upgrades the stopped cluster of `data_dir`; None when it has this tongdai's major already.

    `programs`: a folder with the old major's programs, for one that the wheel does not bring. Logs progress.
    Raises DataFolderInUseError, EmbeddedUnavailableError, EmbeddedPostgresError where there is no cluster or
    its server does not start, CopyFailedError, or one of the errors here.
    """
    data, new_programs = data_dir.resolve(), binaries()
    with take_folder(data), wait_for_previous_server(data / "postgres.lock") as server_lock:
        put_upgraded_in_place(data)
        major = major_of(data / "postgres")
        remove_unfinished(data)
        if major == MAJOR:
            return None
        if int(major) > int(MAJOR):
            raise DatabaseTooNewError(
                f"The database was written by PostgreSQL {major}, this tongdai brings {MAJOR}: "
                "install a newer one.",
                major=major,
            )
        return _upgrade(data, major, programs_of(major, programs), new_programs, server_lock)


def _upgrade(
    data: Path, major: str, old_programs: Path, new_programs: Path, server_lock: BinaryIO
) -> Upgraded:
    started, size = time.monotonic(), size_of(data / "postgres")
    check_room(size, shutil.disk_usage(data).free)
    log.info("upgrading the database", extra={"major": major, "to": MAJOR, "megabytes": size >> 20})
    work = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=data))
    try:
        before, after = Copy(data, work, old_programs, new_programs, server_lock).run()
        refuse_differences(before, after)
        kept = put_in_place(data, work, major)
    finally:
        remove_work(work)
    rows = [value for (_, kind, _), value in before.items() if kind == "rows" and isinstance(value, int)]
    return Upgraded(major, kept, size_of(kept), len(rows), sum(rows), round(time.monotonic() - started, 1))


# ---------------------------------------------------------------- before


def programs_of(major: str, given: Path | None = None) -> Path:
    """The folder of a major version's programs: `given`, or one of the wheel. Raises ProgramsMissingError."""
    candidates = [given] if given else sorted(wheel().glob("pginstall*/bin"))
    for folder in candidates:
        if version_of(folder / "postgres") == major:
            return folder
    missing = f"are not in {given}" if given else "do not come with this tongdai"
    raise ProgramsMissingError(
        f"The database was written by PostgreSQL {major}, whose programs {missing}. "
        f"Install PostgreSQL {major} and name its programs: `--programs /usr/lib/postgresql/{major}/bin`. "
        "Or run the tongdai that wrote it, export with `pg_dump`, and restore with `pg_restore` into a new "
        "data folder.",
        major=major,
    )


def version_of(postgres: Path) -> str | None:
    """The major version of a `postgres` program, None where there is none that runs."""
    try:
        said = subprocess.run(  # noqa: S603
            [postgres, "--version"], capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return None
    return major_in(said)


def major_in(said: str) -> str | None:
    """The major version in the answer to `postgres --version`: `postgres (PostgreSQL) 16.14`, `… 19beta1`."""
    found = re.match(r"postgres \(PostgreSQL\) (\d+)", said)
    return found[1] if found else None


def check_room(old_bytes: int, free_bytes: int) -> None:
    """Raises NoRoomError. A restored database is no larger than the old one, which has its gaps."""
    needed = old_bytes + JOURNAL_BYTES
    if free_bytes < needed:
        raise NoRoomError(
            f"The upgrade needs {needed >> 20} MB on the data folder's disk, {free_bytes >> 20} MB are free.",
            needed=needed,
            free=free_bytes,
        )


def remove_unfinished(data: Path) -> None:
    """Removes what an earlier run left; a verified one too, beside an old one that may be newer by now."""
    for work in data.glob(f"{UNFINISHED}*"):
        remove_work(work)
    if (data / "postgres").exists() and (data / UPGRADED).exists():
        shutil.rmtree(data / UPGRADED)


def remove_work(work: Path) -> None:
    forget_socket_folder(work)
    if work.exists():
        shutil.rmtree(work)


# ---------------------------------------------------------------- after


def refuse_differences(before: Stock, after: Stock) -> None:
    """Raises NotTheSameError with what differs, without the values."""
    found = differences(before, after)
    if found:
        named = ", ".join(found[:5]) + (" …" if len(found) > 5 else "")
        raise NotTheSameError(
            f"The new database does not hold what the old one holds, which stays in place: {named}.",
            found=found,
        )


def put_in_place(data: Path, work: Path, major: str) -> Path:
    """Renames the verified cluster in `work` to `postgres`; returns where the old one is kept.

    Two renames exchange them, because not every file system can do it in one. Between the two there is no
    `postgres`, and `put_upgraded_in_place` ends what was cut off there.
    """
    upgraded, old = data / UPGRADED, data / "postgres"
    (work / "cluster").rename(upgraded)
    sync_folder(data)
    remove_work(work)
    kept = kept_folder(data, major, datetime.now(UTC).date())
    old.rename(kept)
    sync_folder(data)
    put_upgraded_in_place(data)
    return kept


def kept_folder(data: Path, major: str, day: date) -> Path:
    """A free name for the old cluster: `postgres.16-20261122`, then `postgres.16-20261122-2` and so on."""
    name = f"postgres.{major}-{day:%Y%m%d}"
    names = itertools.chain([name], (f"{name}-{count}" for count in itertools.count(2)))
    return next(data / free for free in names if not (data / free).exists())


def kept_folders(data: Path) -> list[Path]:
    """The clusters that earlier upgrades put aside."""
    return [path for path in sorted(data.glob("postgres.*-*")) if re.match(r"postgres\.\d+-", path.name)]
