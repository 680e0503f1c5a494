"""Sounds on disk, by what they are: found in microseconds, written once, the longest unused gone first.

A file's time of change is when it was last used, by any process. A process notes a use at most every
`NOTED_EVERY_S`, so a file that nobody has noted for `GRACE_S` is in no call: only such files are removed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tongdai.kit.clock import Clock
from tongdai.ports.speech import Sound

log = logging.getLogger(__name__)

EXTENSION: Final = ".alaw"
BYTES_A_SECOND: Final = 8000
NOTED_EVERY_S: Final = 300.0
GRACE_S: Final = 3600.0
"""From a file's being handed out to its being played to the end, and more: a call takes less."""
ROOM_EVERY_S: Final = 10.0
KEPT_SHARE: Final = 0.9
"""Of the cap, what an eviction leaves."""
MOST_REMEMBERED: Final = 100_000
SCRATCH: Final = ".new-"
# Another user may run the engine that reads them.
FILE_MODE: Final = 0o644
FOLDER_MODE: Final = 0o755


@dataclass(slots=True)
class _Entry:
    sound: Sound
    noted_at: float


class SoundCache:
    """Files `<folder>/<key>.alaw`. Methods that touch the disk say so: call them from a thread."""

    def __init__(self, folder: Path, *, max_bytes: int, clock: Clock) -> None:
        self.folder = folder.absolute()
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes: int | None = None
        """About how much is on disk; None: not counted yet."""
        self._room_made_at = 0.0

    def now(self) -> float:
        return self._clock.now().timestamp()

    def remembered(self, key: str) -> Sound | None:
        """A sound whose file was there less than `NOTED_EVERY_S` ago. Does not touch the disk."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or self.now() - entry.noted_at >= NOTED_EVERY_S:
                return None
            self._entries.move_to_end(key)
            return entry.sound

    def look_up(self, keys: Sequence[str]) -> dict[str, Sound]:
        """Those of the sounds that are on disk, noted as used. Touches the disk."""
        found = {}
        for key in keys:
            sound = self.remembered(key) or self._on_disk(key)
            if sound is not None:
                found[key] = sound
        return found

    def _on_disk(self, key: str) -> Sound | None:
        path = self._path(key)
        now = self.now()
        try:
            os.utime(path, (now, now))
            size = path.stat().st_size
        except OSError:
            with self._lock:
                self._entries.pop(key, None)
            return None
        # A power cut may leave a file that was renamed before its content was written.
        return self._remember(key, size, now) if size else None

    def _remember(self, key: str, size: int, now: float) -> Sound:
        sound = Sound(key, size / BYTES_A_SECOND)
        with self._lock:
            self._entries[key] = _Entry(sound, now)
            self._entries.move_to_end(key)
            while len(self._entries) > MOST_REMEMBERED:
                self._entries.popitem(last=False)
        return sound

    def keep(self, key: str, data: bytes) -> Sound:
        """Write a sound, whole or not at all; makes room where there is none. Touches the disk.

        Raises OSError.
        """
        path = self._path(key)
        now = self.now()
        self._write(path, data, now)
        sound = self._remember(key, len(data), now)
        self._count(len(data))
        return sound

    def _write(self, path: Path, data: bytes, now: float) -> None:
        self._make(self.folder)
        self._make(path.parent)
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=SCRATCH)
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(file.fileno(), FILE_MODE)
                file.write(data)
            os.utime(scratch, (now, now))
            os.replace(scratch, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(scratch)
            raise

    @staticmethod
    def _make(folder: Path) -> None:
        """Whatever the umask: what an engine of another user cannot enter, it cannot play."""
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(FOLDER_MODE)

    def _count(self, size: int) -> None:
        self._bytes = self._used() if self._bytes is None else self._bytes + size
        # Where all are in use, looking again at each new one finds nothing and takes long.
        if self._bytes > self._max_bytes and self.now() - self._room_made_at >= ROOM_EVERY_S:
            self._room_made_at = self.now()
            self._bytes = self.make_room()

    def make_room(self) -> int:
        """Remove what was not used for longest until there is room. Returns what is left, in bytes.

        One process at a time; a second one returns at once. Touches the disk.
        """
        with self._alone() as alone:
            if not alone:
                return self._max_bytes
            files = sorted(self._files())
            left = sum(size for _, size, _ in files)
            wanted = int(self._max_bytes * KEPT_SHARE)
            unused_since = self.now() - GRACE_S
            gone = 0
            for used_at, size, path in files:
                if left <= wanted or used_at > unused_since:
                    break
                with suppress(OSError):
                    if path.stat().st_mtime <= unused_since:  # not taken up meanwhile
                        path.unlink()
                        left -= size
                        gone += 1
        if left > self._max_bytes:
            log.warning("sounds in use take more room than they may", extra={"bytes": left, "gone": gone})
        else:
            log.info("removed sounds that were not used for long", extra={"gone": gone, "left": left})
        return left

    def _used(self) -> int:
        return sum(size for _, size, _ in self._files())

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """(last used, bytes, path) of each, with what a process left that died while it wrote."""
        for folder in self._folders():
            with suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    with suppress(OSError):
                        if entry.is_file(follow_symlinks=False):
                            known = entry.stat(follow_symlinks=False)
                            yield known.st_mtime, known.st_size, Path(entry.path)

    def _folders(self) -> list[str]:
        """Ours alone: somebody may keep other sounds beside them."""
        try:
            with os.scandir(self.folder) as entries:
                return [
                    one.path for one in entries if len(one.name) == 2 and one.is_dir(follow_symlinks=False)
                ]
        except OSError:
            return []

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        self._make(self.folder)
        with (self.folder / ".lock").open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{EXTENSION}"
