"""Use cases of contact files: taking one in, how far it is, its report. Reading it is in `file_import.py`."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from tongdai.domain.campaigns.checks import is_id
from tongdai.domain.campaigns.columns import find_columns
from tongdai.domain.campaigns.errors import CampaignNotFoundError, CampaignStoppedError
from tongdai.domain.campaigns.file_model import (
    ContactFile,
    ContactFileNotFoundError,
    FileOptions,
    FileRefusedError,
    Format,
    NoFilesForOtpError,
    ReportGoneError,
    ReportNotReadyError,
)
from tongdai.domain.campaigns.spreadsheet import format_of, open_table
from tongdai.domain.campaigns.store import files as store
from tongdai.kit.db import Tx
from tongdai.ports.storage import Storage, StoredFileMissingError

MAX_NAME_CHARS: Final = 200
REPORT_KEPT: Final = timedelta(days=30)
"""A report names people's numbers, and is not kept longer than it may be needed."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in storage that is not a contact file yet."""

    key: str
    size_bytes: int
    format: Format


async def require_file_taker(tx: Tx, account_id: int, campaign_id: int) -> None:
    """Whether a campaign would take a file now: to be asked before the file is received.

    Raises CampaignNotFoundError, CampaignStoppedError, NoFilesForOtpError.
    """
    found = await store.hold_campaign(tx, account_id, campaign_id) if is_id(campaign_id) else None
    if found is None:
        raise CampaignNotFoundError(campaign_id=campaign_id)
    kind, state, is_open = found
    if kind == "otp":
        raise NoFilesForOtpError(campaign_id=campaign_id)
    if not is_open:
        raise CampaignStoppedError(campaign_id=campaign_id, state=state)


@asynccontextmanager
async def received_upload(
    storage: Storage, account_id: int, chunks: AsyncIterator[bytes], options: FileOptions
) -> AsyncIterator[Upload]:
    """Puts a file into storage as it arrives, and looks at what can be known of it at once.

    It is removed again when the block fails: nothing names it then. Raises FileRefusedError.
    """
    key = f"contact-files/{account_id}/{secrets.token_hex(16)}"
    size = await storage.put_stream(key, chunks)
    try:
        async with on_disk(storage, key) as path:
            format_ = await asyncio.to_thread(_looked_at, path, options)
        yield Upload(key, size, format_)
    except BaseException:
        await storage.delete(key)
        raise


def _looked_at(path: Path, options: FileOptions) -> Format:
    """A text file shows its columns at once. A .xlsx is not opened here: that takes limits of its own."""
    format_ = format_of(path)
    if format_ == "csv":
        table = open_table(path, format_)
        if next(find_columns(table, options).contacts(table), None) is None:
            raise FileRefusedError("no_rows")
    return format_


async def add_file(
    tx: Tx, account_id: int, user_id: int, campaign_id: int, upload: Upload, name: str, options: FileOptions
) -> ContactFile:
    """Has an upload read into a campaign, by whichever worker comes first.

    Raises as `require_file_taker` does.
    """
    await require_file_taker(tx, account_id, campaign_id)
    return await store.add(
        tx,
        account_id,
        campaign_id,
        user_id,
        name=shown_name(name),
        format_=upload.format,
        size_bytes=upload.size_bytes,
        storage_key=upload.key,
        options=options,
    )


def shown_name(name: str) -> str:
    """The last part of what may be a path, without what cannot be shown."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable()).strip()[:MAX_NAME_CHARS] or "contacts"


async def get_file(tx: Tx, account_id: int, campaign_id: int, file_id: int) -> ContactFile:
    """Raises ContactFileNotFoundError, for a stranger's file and for another campaign's too."""
    known = is_id(campaign_id) and is_id(file_id)
    found = await store.one(tx, account_id, campaign_id, file_id) if known else None
    if found is None:
        raise ContactFileNotFoundError(file_id=file_id)
    return found


async def list_files(
    tx: Tx, account_id: int, campaign_id: int, *, after: int = 0, limit: int = 100
) -> list[ContactFile]:
    """A campaign's files in the order of their ids, beginning after `after`."""
    return await store.page(tx, account_id, campaign_id, after, limit) if is_id(campaign_id) else []


async def report_key(tx: Tx, account_id: int, campaign_id: int, file_id: int) -> str:
    """Where a file's report is. Raises ContactFileNotFoundError, ReportNotReadyError, ReportGoneError."""
    file = await get_file(tx, account_id, campaign_id, file_id)
    if file.state in ("received", "reading"):
        raise ReportNotReadyError(file_id=file_id, state=file.state)
    if file.report_key is None:
        raise ReportGoneError(file_id=file_id)
    return file.report_key


async def forget_old_files(tx: Tx, storage: Storage, now: datetime) -> int:
    """Removes reports of more than `REPORT_KEPT` ago, and uploads that a crash left behind after their end.

    The files go before the rows that name them: what fails in between is done again. Returns how many contact
    files were seen to; call it until that is 0.
    """
    before = now - REPORT_KEPT
    stale = await store.stale(tx, before)
    for _, upload, report in stale:
        for key in (upload, report):
            if key is not None:
                await storage.delete(key)
    await store.forget_stale(tx, [file_id for file_id, _, _ in stale], before)
    return len(stale)


@asynccontextmanager
async def on_disk(storage: Storage, key: str) -> AsyncIterator[Path]:
    """A stored file as one of this host; a copy for the time being, where storage is elsewhere.

    Raises StoredFileMissingError.
    """
    path = storage.path(key)
    if path is not None:
        if not await storage.exists(key):
            raise StoredFileMissingError(key)
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="tongdai-") as copy:
        async for chunk in storage.stream(key):
            await asyncio.to_thread(copy.write, chunk)
        await asyncio.to_thread(copy.flush)
        yield Path(copy.name)
