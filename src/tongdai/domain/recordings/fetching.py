"""Recordings brought from the nodes that made them to the store, and what follows: their nodes forget them,
mp3 files are made, deleted ones go.

Any number of processes may do it. What is due is claimed for a while, and whatever one writes looks at the
recording's state and at whose turn it is again. A file is forgotten by its node only when it is in the store
and the database says so; whoever dies in between leaves work to be repeated, and never a gap.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Final

from tongdai.domain.recordings import wav
from tongdai.domain.recordings.model import Mp3Task, Task, leg_of, mp3_key
from tongdai.domain.recordings.store import recordings, work
from tongdai.kit.clock import Clock
from tongdai.kit.db import TRANSIENT_ERRORS, Database
from tongdai.kit.running import repeat
from tongdai.ports.mp3 import MakeMp3, Mp3FailedError
from tongdai.ports.storage import Storage, StoredFileMissingError
from tongdai.ports.telephony import EngineRefusedError, EngineUnreachableError, RecordingStore

logger = logging.getLogger(__name__)

Stores = Callable[[], Awaitable[Mapping[str, RecordingStore]]]
"""The engines that keep recordings now, by what legs call them."""

MOST_DOUBTS: Final = 6
"""So often a node may have no such file, or a broken one, until that is believed: a disk may be late."""
MOST_MP3_TRIES: Final = 5
_LONGEST_WAY_S: Final = 240.0
"""From the node, and to the store: both together are shorter than a claim lasts, so that nobody writes a file
that another has been given to delete."""
_HEARD_BY_THEN: Final = timedelta(minutes=1)
"""After its end: whoever drives a leg has written down its recordings long before."""
_PIECE_BYTES: Final = 256 * 1024
_NAMES_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class FetcherConfig:
    batch: int = 50
    """Recordings per pass."""
    at_once: int = 8
    """Files under way at a time, per process."""
    poll_s: float = 2.0
    look_around_s: float = 60.0
    """Between two looks for files that no row knows."""


@dataclass(frozen=True, slots=True)
class _Pass:
    """What the tasks of one pass share."""

    stores: Mapping[str, RecordingStore]
    slots: asyncio.Semaphore
    away: set[str] = field(default_factory=set)
    """Engines that gave no answer: one that lets every question run into its time-out must not keep all
    others waiting."""


class Fetcher:
    """Looks after whatever recordings there is something to do with, of every account."""

    def __init__(
        self,
        db: Database,
        stores: Stores,
        storage: Storage,
        clock: Clock,
        *,
        make_mp3: MakeMp3 | None = None,
        config: FetcherConfig | None = None,
    ) -> None:
        """`make_mp3`: None where nothing is installed that can."""
        self._db = db
        self._stores = stores
        self._storage = storage
        self._clock = clock
        self._make_mp3 = make_mp3
        self._config = config or FetcherConfig()

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop. What is under way then is taken up again when its claim has passed."""
        config = self._config
        async with asyncio.TaskGroup() as group:
            group.create_task(repeat("fetching recordings", self._do_some, stop, config.poll_s))
            group.create_task(repeat("finding recordings", self._find_some, stop, config.look_around_s))
            if self._make_mp3 is not None:
                group.create_task(repeat("making mp3 files", self._make_some, stop, config.poll_s))

    async def _do_some(self) -> bool:
        return await self.do_due() == self._config.batch

    async def _find_some(self) -> None:
        await self.find_unknown()

    async def _make_some(self) -> bool:
        return await self.make_due_mp3s() > 0

    # ----------------------------------------------------------------------- fetching and clearing away

    async def do_due(self) -> int:
        """One pass over what is to be fetched, forgotten by its node or deleted. Returns how many were due,
        `FetcherConfig.batch` at most."""
        async with self._db.transaction() as tx:
            due = await work.claim(tx, self._clock.now(), self._config.batch)
        if due:
            one_pass = _Pass(await self._stores(), asyncio.Semaphore(self._config.at_once))
            await asyncio.gather(*(self._guarded(task, one_pass) for task in due))
        return len(due)

    async def _guarded(self, task: Task, one_pass: _Pass) -> None:
        """Whatever goes wrong with one recording is its own, and it is taken up again."""
        facts = {"recording_id": task.id, "account_id": task.account_id}
        async with one_pass.slots:
            try:
                await (self._fetch if task.state == "pending" else self._clear)(task, one_pass)
            except TRANSIENT_ERRORS:
                logger.warning("a recording was not looked after", extra=facts, exc_info=True)
            except Exception:
                logger.exception("a recording could not be looked after", extra=facts)
                await self._postpone(task)

    async def _fetch(self, task: Task, one_pass: _Pass) -> None:
        node = one_pass.stores.get(task.engine)
        if node is None:
            # Ids of nodes are not used again, so it does not come back; but one is slow to believe that.
            return await self._doubt(task, "node_removed")
        if task.engine in one_pass.away:
            return await self._postpone(task)
        with tempfile.TemporaryFile(prefix="tongdai-recording-") as file:
            try:
                async with asyncio.timeout(_LONGEST_WAY_S):
                    await _spool(await node.fetch(task.name), file)
            except (EngineUnreachableError, TimeoutError):
                one_pass.away.add(task.engine)
                return await self._postpone(task)
            except EngineRefusedError:
                return await self._doubt(task, "not_at_node")
            kept = await self._keep(task, file)
        if kept:
            await self._clear(replace(task, state="stored"), one_pass)
        return None

    async def _keep(self, task: Task, file: BinaryIO) -> bool:
        """Put what was fetched into the store. False: it is not, or no more."""
        reason = None
        try:
            sound = await asyncio.to_thread(wav.read_wav, file)
        except wav.WavError:
            await self._doubt(task, "not_a_wav")
            return False
        if not sound.present:
            await self._doubt(task, "empty")
            return False
        if not sound.whole:
            # Its writer may still be at it; one that is not done by the last time is dead, and this is all.
            if task.doubts + 1 < MOST_DOUBTS:
                await self._doubt(task, "cut_off")
                return False
            sound, reason = await asyncio.to_thread(wav.mend, file, sound), "cut_off"
        digest = hashlib.sha256()
        async with asyncio.timeout(_LONGEST_WAY_S):
            size = await self._storage.put_stream(task.storage_key, _pieces(file, digest.update))
        async with self._db.transaction() as tx:
            stored = await work.stored(
                tx,
                task,
                self._clock.now(),
                seconds=sound.seconds,
                size=size,
                sha256=digest.digest(),
                reason=reason,
            )
            deleted = not stored and await work.is_deleted(tx, task.id)
        if deleted:
            await self._storage.delete(task.storage_key)
        return stored

    async def _clear(self, task: Task, one_pass: _Pass) -> None:
        """Of what is stored, let its node forget it; of what was deleted, also delete the files."""
        if task.state == "deleted" and task.has_files:
            await self._storage.delete(task.storage_key)
            await self._storage.delete(mp3_key(task.storage_key))
        if task.at_node and not await self._forgotten(task, one_pass):
            return await self._postpone(task)
        async with self._db.transaction() as tx:
            await work.done(tx, task)
        return None

    async def _forgotten(self, task: Task, one_pass: _Pass) -> bool:
        node = one_pass.stores.get(task.engine)
        if node is None:
            # At a node that was removed nothing can be deleted.
            return True
        if task.engine in one_pass.away:
            return False
        try:
            await node.forget(task.name)
        except EngineUnreachableError:
            one_pass.away.add(task.engine)
            return False
        return True

    async def _postpone(self, task: Task) -> None:
        async with self._db.transaction() as tx:
            await work.postpone(tx, task, self._clock.now())

    async def _doubt(self, task: Task, reason: str) -> None:
        """What its node has is nothing, or no good; the last time that is how it stays."""
        last = task.doubts + 1 >= MOST_DOUBTS
        async with self._db.transaction() as tx:
            if not last:
                return await work.postpone(tx, task, self._clock.now(), doubtful=True)
            lost = await work.lost(tx, task, reason)
        if lost:
            facts = {"recording_id": task.id, "account_id": task.account_id, "engine": task.engine}
            logger.error("a recording is lost", extra={**facts, "reason": reason})
        return None

    # ----------------------------------------------------------------------- files that no row knows

    async def find_unknown(self) -> int:
        """Take in the files of nodes whose legs' ends nobody heard. Returns how many."""
        found = 0
        for engine, node in (await self._stores()).items():
            try:
                names = [(name, leg_id) for name in await node.names() if (leg_id := leg_of(name))]
            except EngineUnreachableError:
                continue
            for start in range(0, len(names), _NAMES_AT_ONCE):
                found += await self._take_in(engine, names[start : start + _NAMES_AT_ONCE])
        return found

    async def _take_in(self, engine: str, names: list[tuple[str, int]]) -> int:
        before = self._clock.now() - _HEARD_BY_THEN
        async with self._db.transaction() as tx:
            taken = await recordings.take_in(
                tx, engine, [name for name, _ in names], [leg_id for _, leg_id in names], before
            )
        if taken:
            logger.warning("recordings of unheard ends were found", extra={"engine": engine, "number": taken})
        return taken

    # ----------------------------------------------------------------------- mp3

    async def make_due_mp3s(self) -> int:
        """Make an mp3 or two. Returns how many were due."""
        async with self._db.transaction() as tx:
            due = await work.claim_mp3(tx, self._clock.now(), 2)
        for task in due:
            try:
                await self._make(task)
            except (Mp3FailedError, StoredFileMissingError):
                await self._no_mp3(task)
            except TRANSIENT_ERRORS:
                logger.warning("an mp3 was not made", extra={"recording_id": task.id}, exc_info=True)
            except Exception:
                logger.exception("an mp3 could not be made", extra={"recording_id": task.id})
                await self._mp3_later(task)
        return len(due)

    async def _make(self, task: Mp3Task) -> None:
        assert self._make_mp3 is not None
        key = mp3_key(task.storage_key)
        with tempfile.TemporaryDirectory(prefix="tongdai-mp3-") as folder:
            source, target = Path(folder, "sound.wav"), Path(folder, "sound.mp3")
            with await asyncio.to_thread(source.open, "wb") as file:
                await _spool(self._storage.stream(task.storage_key), file)
            await self._make_mp3(source, target)
            with await asyncio.to_thread(target.open, "rb") as file:
                size = await self._storage.put_stream(key, _pieces(file))
        async with self._db.transaction() as tx:
            made = await work.mp3_made(tx, task, size)
            deleted = not made and await work.is_deleted(tx, task.id)
        if deleted:
            await self._storage.delete(key)

    async def _no_mp3(self, task: Mp3Task) -> None:
        logger.warning("no mp3 can be made of a recording", extra={"recording_id": task.id})
        async with self._db.transaction() as tx:
            await work.mp3_made(tx, task, None)

    async def _mp3_later(self, task: Mp3Task) -> None:
        if task.tries >= MOST_MP3_TRIES:
            return await self._no_mp3(task)
        async with self._db.transaction() as tx:
            await work.postpone_mp3(tx, task, self._clock.now())
        return None


async def _spool(pieces: AsyncIterator[bytes], file: BinaryIO) -> None:
    async for piece in pieces:
        await asyncio.to_thread(file.write, piece)
    await asyncio.to_thread(file.flush)


async def _pieces(file: BinaryIO, also: Callable[[bytes], None] | None = None) -> AsyncIterator[bytes]:
    file.seek(0)
    while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
        if also is not None:
            also(piece)
        yield piece
