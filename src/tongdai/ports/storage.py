"""The storage port: files by key, for audio, recordings and spreadsheets.

A key is parts joined by `/`; a part has the characters A-Z a-z 0-9 . _ - and does not begin with a dot. Keys
are made by the domain and never by a customer, but every adapter refuses any other.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

MAX_KEY_CHARS = 512
_KEY = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}/)*[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")


class StorageKeyError(ValueError):
    """This is not a storage key."""


class StoredFileMissingError(Exception):
    """There is no file under this key."""


def checked_key(key: str) -> str:
    """The key itself. Raises StorageKeyError."""
    if len(key) > MAX_KEY_CHARS or _KEY.fullmatch(key) is None:
        raise StorageKeyError("a storage key has parts of A-Z a-z 0-9 . _ - joined by /")
    return key


class Storage(Protocol):
    """Safe to use from several processes at once. Every method raises StorageKeyError for a bad key."""

    async def put(self, key: str, data: bytes) -> None:
        """Keep `data`, durably and all or nothing, in the place of what the key held."""
        ...

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """Keep what arrives, durably and all or nothing, without holding it in memory; returns its size.

        Whatever `chunks` raises is raised, and nothing is kept.
        """
        ...

    async def get(self, key: str) -> bytes:
        """Raises StoredFileMissingError."""
        ...

    def stream(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The file in pieces, or `length` bytes of it from `start` on. Raises StoredFileMissingError when the
        first is asked for.

        Who asks for a part knows the size: one that begins behind the end is an error of any kind.
        """
        ...

    async def delete(self, key: str) -> None:
        """Harmless when there is no such file."""
        ...

    async def exists(self, key: str) -> bool: ...

    def path(self, key: str) -> Path | None:
        """Where a program on this host can read the file. None: not on this host."""
        ...
