"""The storage port on a local disk, or on one that several hosts mount."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tongdai.ports.storage import StoredFileMissingError, checked_key

FILE_MODE = 0o600
FOLDER_MODE = 0o700
CHUNK_BYTES = 256 * 1024


class FileStorage:
    """Keeps the file of key `a/b` as `root/a/b`. Makes folders when it first writes, for the owner alone."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def path(self, key: str) -> Path:
        return self._root.joinpath(*checked_key(key).split("/"))

    async def put(self, key: str, data: bytes) -> None:
        await asyncio.to_thread(_write, self.path(key), data)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        size = 0
        with _replacing(self.path(key)) as file:
            async for chunk in chunks:
                size += len(chunk)
                await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(_settle, file)
        return size

    async def get(self, key: str) -> bytes:
        try:
            return await asyncio.to_thread(self.path(key).read_bytes)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise StoredFileMissingError(key) from None

    async def stream(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        try:
            file = await asyncio.to_thread(self.path(key).open, "rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise StoredFileMissingError(key) from None
        left = -1 if length is None else length
        with file:
            await asyncio.to_thread(file.seek, start)
            while left and (chunk := await asyncio.to_thread(file.read, _at_most(left))):
                left -= len(chunk) if left > 0 else 0
                yield chunk

    async def delete(self, key: str) -> None:
        path = self.path(key)
        await asyncio.to_thread(path.unlink, missing_ok=True)

    async def exists(self, key: str) -> bool:
        return await asyncio.to_thread(self.path(key).is_file)


def _at_most(left: int) -> int:
    """How much to read next of what is left; below 0: all there is."""
    return CHUNK_BYTES if left < 0 else min(CHUNK_BYTES, left)


def _write(path: Path, data: bytes) -> None:
    with _replacing(path) as file:
        file.write(data)


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file beside the target, renamed over it at the end: a reader sees the old one or the new, whole."""
    _make_folder(path.parent)
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), FILE_MODE)
            yield file
            _settle(file)
        os.replace(scratch, path)
    except BaseException:
        os.unlink(scratch)
        raise
    _sync_folder(path.parent)


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _make_folder(folder: Path) -> None:
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        # Another process may make it first, and the umask may be wider than we want.
        place.mkdir(mode=FOLDER_MODE, exist_ok=True)
        _sync_folder(place.parent)


def _sync_folder(folder: Path) -> None:
    """A rename or a new folder survives a power cut only once its parent was synced."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
