"""The emulator's memory: one SQLite file that survives restarts and `kill -9`.

Writes of one turn of the event loop, and of the few milliseconds after it, are committed together. What must
not be forgotten once it was answered (tokens) is committed by its caller before the answer.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tongdai.kit.errors import TongdaiError

COMMIT_AFTER_S: Final = 0.004
REQUESTS_KEPT: Final = 500_000
"""Of the log; those about tokens are kept for ever."""
TRIM_EVERY: Final = 50_000

SCHEMA: Final = Path(__file__).with_name("schema.sql")

USE: Final = """
    INSERT INTO used VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET number = number + excluded.number
"""
LEAVE_OUT_OLD: Final = "DELETE FROM requests WHERE id <= ? AND path NOT LIKE '/v4/oa/%'"


class StoreError(TongdaiError):
    """The emulator's file cannot be used; another emulator may have it open."""


class Store:
    """One connection that is the file's only one. For one event loop."""

    def __init__(self, path: Path | str) -> None:
        """Raises StoreError."""
        try:
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, cached_statements=256, timeout=1.0)
            for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
                self._db.execute(f"PRAGMA {pragma}")
            self._db.executescript(SCHEMA.read_text())
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{path}: {error}") from None
        self._timer: asyncio.TimerHandle | None = None
        self._logged = 0

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._db.execute(sql, parameters).fetchone()
        return row

    def all(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._db.execute(sql, parameters).fetchall()

    def write(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """The number of rows written. Committed soon."""
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")
            self._timer = asyncio.get_running_loop().call_later(COMMIT_AFTER_S, self.commit)
        return self._db.execute(sql, parameters).rowcount

    def commit(self) -> None:
        """Now, whatever was written before."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._db.in_transaction:
            self._db.execute("COMMIT")

    def recall(self, name: str) -> str | None:
        row = self.one("SELECT value FROM meta WHERE name = ?", (name,))
        return row[0] if row else None

    def remember(self, name: str, value: str) -> None:
        self.write("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def used(self, what: str, whose: object, period: int) -> float:
        row = self.one(
            "SELECT number FROM used WHERE (what, whose, period) = (?, ?, ?)", (what, str(whose), period)
        )
        return row[0] if row else 0

    def use(self, what: str, whose: object, period: int, number: float = 1) -> None:
        self.write(USE, (what, str(whose), period, number))

    def log(self, row: Sequence[Any]) -> None:
        """A request: at_ms, method, path, app_id, oa_id, error, fault, detail."""
        self.write("INSERT INTO requests VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        self._logged += 1
        if self._logged % TRIM_EVERY == 0:
            last = self.one("SELECT max(id) FROM requests")
            self.write(LEAVE_OUT_OLD, ((last[0] if last else 0) - REQUESTS_KEPT,))

    def abandon(self) -> None:
        """Close, and forget what is not committed yet."""
        if self._timer is not None:
            self._timer.cancel()
        self._db.close()

    def close(self) -> None:
        self.commit()
        self._db.close()
