"""Reading contact files into their campaigns, a batch of rows at a time.

A batch, its counts, its part of the report and the numbers that later rows may repeat are one transaction,
which begins by checking that the file is as far as we think. So a process may die at any moment: whoever goes
on does it after the last row that was committed, and no row is lost or taken twice.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from tongdai.domain.campaigns.errors import CampaignNotFoundError, CampaignStoppedError
from tongdai.domain.campaigns.file_model import ContactFile, FileRefusedError
from tongdai.domain.campaigns.file_reader import Batch, FileReader, ReaderDiedError, ReadingTask, reading
from tongdai.domain.campaigns.file_report import Entry, head_of_report, part_of_report, told_code
from tongdai.domain.campaigns.files import on_disk
from tongdai.domain.campaigns.importing import import_contacts
from tongdai.domain.campaigns.model import ImportReport, NewContact
from tongdai.domain.campaigns.service import get_campaign
from tongdai.domain.campaigns.store import files as store
from tongdai.domain.contacts import normalise
from tongdai.kit.clock import Clock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import TRANSIENT_ERRORS, Database, Tx
from tongdai.kit.hints import Hinter
from tongdai.ports.storage import Storage, StoredFileMissingError

logger = logging.getLogger(__name__)

MAX_TRIES: Final = 5
"""Begun so often without a batch committed, a file is given up: it may be what kills its readers."""


@dataclass(frozen=True, slots=True)
class FileImportConfig:
    batch_rows: int = 3_000
    """Rows per transaction. Tens of milliseconds, so that a campaign dials at once and nobody waits."""
    files_at_once: int = 2
    """Per process; files of one account are read one after another."""
    poll_s: float = 1.0
    retry_s: float = 5.0
    """Before a file is tried again after an error that may pass."""


class _TakenOverError(Exception):
    """Another process has gone on with the file."""


class FileImporter:
    """Reads whatever contact files wait, of every account. Several processes may each run one."""

    def __init__(
        self,
        db: Database,
        storage: Storage,
        keyring: Keyring,
        clock: Clock,
        hinter: Hinter,
        config: FileImportConfig | None = None,
    ) -> None:
        self._db = db
        self._storage = storage
        self._keyring = keyring
        self._clock = clock
        self._hinter = hinter
        self._config = config or FileImportConfig()
        self._locks: Tx | None = None
        self._running: dict[int, asyncio.Task[None]] = {}
        """By account."""
        self._not_before: dict[int, float] = {}
        """By account that failed: when to try again, on the loop's clock."""

    async def run(self, stop: asyncio.Event) -> None:
        """Read files until told to stop. What is under way then is gone on with by the next process."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                try:
                    await self._start_some()
                except TRANSIENT_ERRORS:
                    logger.warning("contact files could not be looked for", exc_info=True)
                    await self._drop_locks()
                await asyncio.wait(
                    [stopping, *self._running.values()],
                    timeout=self._config.poll_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
        finally:
            stopping.cancel()
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(stopping, *self._running.values(), return_exceptions=True)
            await self._drop_locks()

    # ------------------------------------------------------------------ which

    async def _start_some(self) -> None:
        for account_id in [account_id for account_id, task in self._running.items() if task.done()]:
            del self._running[account_id]
            await self._unlock(account_id)
        if len(self._running) >= self._config.files_at_once:
            return
        async with self._db.autocommit() as connection:
            waiting = await store.waiting(connection)
        now = asyncio.get_running_loop().time()
        for file_id, account_id in waiting:
            if account_id in self._running or self._not_before.get(account_id, 0.0) > now:
                continue
            if await self._lock(account_id):
                self._running[account_id] = asyncio.create_task(self._guarded(account_id, file_id))
                if len(self._running) >= self._config.files_at_once:
                    return

    async def _lock(self, account_id: int) -> bool:
        if self._locks is None:
            self._locks = await self._db.dedicated()
        return await store.try_lock(self._locks, account_id)

    async def _unlock(self, account_id: int) -> None:
        if self._locks is not None:
            await store.unlock(self._locks, account_id)

    async def _drop_locks(self) -> None:
        locks, self._locks = self._locks, None
        if locks is not None:
            with suppress(*TRANSIENT_ERRORS):
                await locks.close()

    # ------------------------------------------------------------------ one file

    async def _guarded(self, account_id: int, file_id: int) -> None:
        """Reads a file; whatever goes wrong is this file's, and it is tried again later."""
        facts = {"file_id": file_id, "account_id": account_id}
        try:
            await self.read_file(account_id, file_id)
        except (*TRANSIENT_ERRORS, ReaderDiedError):
            logger.warning("a contact file was not read to its end", extra=facts, exc_info=True)
        except Exception:
            logger.exception("a contact file could not be read", extra=facts)
        else:
            self._not_before.pop(account_id, None)
            return
        self._not_before[account_id] = asyncio.get_running_loop().time() + self._config.retry_s

    async def read_file(self, account_id: int, file_id: int) -> None:
        """Read one file from where it stands to its end. Raises ReaderDiedError, and database errors."""
        async with self._db.transaction() as tx:
            file = await store.begin(tx, account_id, file_id, self._clock.now())
        if file is None:
            return
        code, facts = None, {}
        try:
            if file.tries > MAX_TRIES:
                raise FileRefusedError("internal")
            await self._read(file)
        except FileRefusedError as refusal:
            code, facts = refusal.code, refusal.details
        except (CampaignStoppedError, CampaignNotFoundError):
            code = "campaign_closed"
        except StoredFileMissingError:
            logger.exception("a contact file is not in storage", extra={"file_id": file_id})
            code = "internal"
        except _TakenOverError:
            logger.info("another process reads this contact file", extra={"file_id": file_id})
            return
        await self._end(file, code, facts)

    async def _read(self, file: ContactFile) -> None:
        assert file.storage_key is not None
        async with self._db.transaction() as tx:
            campaign = await get_campaign(tx, file.account_id, file.campaign_id)
            known = await store.numbers(tx, file.account_id, file.id)
        progress = _Progress(file, known, file.last_row)
        try:
            async with on_disk(self._storage, file.storage_key) as path:
                task = ReadingTask(
                    str(path),
                    file.format,
                    file.options,
                    campaign.fields,
                    file.last_row,
                    self._config.batch_rows,
                )
                async with reading(task) as reader:
                    await self._go_through(reader, progress)
        except StoredFileMissingError:
            # Whoever has read it to its end has removed it.
            async with self._db.transaction() as tx:
                await _hold(tx, progress)
            raise

    async def _go_through(self, reader: FileReader, progress: _Progress) -> None:
        file = progress.file
        async with self._db.transaction() as tx:
            await store.set_layout(tx, file.account_id, file.id, reader.found.layout, reader.found.rows)
        async for batch in reader.batches():
            async with self._db.transaction() as tx:
                sorted_ = await self._take(tx, progress, batch)
            progress.last_row = batch.contacts[-1][0]
            progress.known.update(sorted_.numbers)
            await self._hinter.wake(file.campaign_id)

    async def _take(self, tx: Tx, progress: _Progress, batch: Batch) -> _Sorted:
        file = progress.file
        await _hold(tx, progress)
        sorted_ = _Sorted(batch.contacts)
        fresh = sorted_.without_known(progress.known)
        if fresh:
            report = await import_contacts(
                tx, self._keyring, self._clock, file.account_id, file.campaign_id, fresh
            )
            sorted_.take_in(report)
        await store.advance(
            tx,
            file.account_id,
            file.id,
            sorted_.counts(),
            first_row=batch.contacts[0][0],
            last_row=batch.contacts[-1][0],
            numbers=list(sorted_.numbers),
            rows=list(sorted_.numbers.values()),
            report=part_of_report(sorted(sorted_.entries)),
        )
        return sorted_

    async def _end(self, file: ContactFile, code: str | None, facts: dict[str, Any]) -> None:
        """Write the report, then the end; the upload is removed, for it holds personal data."""
        key = f"contact-files/{file.account_id}/{file.id}-{secrets.token_hex(8)}.csv"
        await self._storage.put_stream(key, self._report(file))
        async with self._db.transaction() as tx:
            now = self._clock.now()
            ended = await store.end(tx, file.account_id, file.id, now, report_key=key, code=code, facts=facts)
        if not ended:
            await self._storage.delete(key)
            return
        if file.storage_key is not None:
            await self._storage.delete(file.storage_key)
        async with self._db.transaction() as tx:
            await store.forget_upload(tx, file.account_id, file.id)

    async def _report(self, file: ContactFile) -> AsyncIterator[bytes]:
        yield head_of_report()
        after = 0
        while True:
            async with self._db.transaction() as tx:
                parts = await store.report_parts(tx, file.account_id, file.id, after)
            if not parts:
                return
            yield b"".join(part for _, part in parts)
            after = parts[-1][0]


@dataclass(slots=True)
class _Progress:
    """How far a file is, as this process knows it."""

    file: ContactFile
    known: dict[int, int]
    """Numbers of the rows so far, each with the row that it was first in."""
    last_row: int


async def _hold(tx: Tx, progress: _Progress) -> None:
    """The file is ours as far as we know it, until the commit. Raises _TakenOverError."""
    file = progress.file
    if not await store.hold(tx, file.account_id, file.id, progress.last_row):
        raise _TakenOverError


@dataclass(slots=True)
class _Sorted:
    """What becomes of the rows of a batch."""

    contacts: Sequence[tuple[int, NewContact]]
    entries: list[Entry] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)
    """Those that this batch brings, each with its row."""
    accepted: int = 0
    repaired: int = 0
    converted: int = 0
    duplicate: int = 0
    _fresh: list[tuple[int, str, str]] = field(default_factory=list)
    """(row, given, canonical) of what is imported."""

    def without_known(self, known: dict[int, int]) -> list[NewContact]:
        """The contacts to import: those whose numbers no earlier batch of the file brought."""
        fresh: list[NewContact] = []
        for row, contact in self.contacts:
            number = normalise(contact.given).number
            other = known.get(int(number)) if number else None
            if other is None:
                self._fresh.append((row, contact.given, number))
                fresh.append(contact)
            else:
                self._say_duplicate(row, contact.given, number, "duplicate", other)
        return fresh

    def take_in(self, report: ImportReport) -> None:
        """What the import has made of them."""
        first_rows: dict[str, int] = {}
        rejected = dict(report.rejected)
        for index, (row, _, number) in enumerate(self._fresh):
            if rejected.get(index) in (None, "duplicate_earlier"):
                first_rows[number] = row
        self.numbers = {int(number): row for number, row in first_rows.items()}
        self.accepted = len(report.accepted)
        for index, reason in report.rejected:
            row, given, number = self._fresh[index]
            if reason in ("duplicate", "duplicate_earlier"):
                other = first_rows.get(number, 0) if reason == "duplicate" else 0
                self._say_duplicate(row, given, number, reason, other)
            else:
                self.entries.append(Entry(row, given, "rejected", "", told_code(given, reason)))
        repaired, converted = set(report.repaired), set(report.converted)
        self.repaired, self.converted = len(repaired), len(converted)
        for index in repaired | converted:
            row, given, number = self._fresh[index]
            self.entries.append(Entry(row, given, "converted" if index in converted else "repaired", number))

    def counts(self) -> store.Counts:
        rows = len(self.contacts)
        rejected = rows - self.accepted - self.duplicate
        return store.Counts(rows, self.accepted, self.repaired, self.converted, self.duplicate, rejected)

    def _say_duplicate(self, row: int, given: str, number: str, code: str, other: int) -> None:
        self.duplicate += 1
        self.entries.append(Entry(row, given, "duplicate", number, code, other))
