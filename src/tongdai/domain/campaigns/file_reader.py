"""Reading a contact file in a process of its own, which has little memory, little time and no secrets.

A spreadsheet's reader is a library that allocates what a file asks for: 1 KB can name a cell in the last row
and column and so ask for half a terabyte, at which the library aborts its process. Here that ends a child,
and the file is told as too large. The child also keeps seconds of parsing off the loop that sends webhooks.

The child is this module, run with `-m`; it is told what to do on its standard input, and answers on its
standard output with messages of MessagePack, each after four bytes of length. Where it fails otherwise, its
standard error says in which line of the program, and nothing of what the file holds.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import traceback
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final

import msgspec

from tongdai.domain.campaigns.columns import FileContact, find_columns
from tongdai.domain.campaigns.declared import DeclaredField
from tongdai.domain.campaigns.file_model import FileOptions, FileRefusedError, Format, Layout
from tongdai.domain.campaigns.spreadsheet import open_table
from tongdai.kit.supervisor import die_with_parent
from tongdai.ports.storage import StoredFileMissingError

MEMORY_BYTES: Final = 2 * 1024**3
"""Address space of a child. 200,000 rows of 20 columns as .xlsx need 0.7 GB of it."""
CPU_S: Final = 300
BATCH_BYTES: Final = 8 * 1024 * 1024
"""Of one message, about: a batch with long cells is cut before its rows are."""

MOST_SAID_CHARS: Final = 2_000
"""Of what a child says on its standard error: the last of it."""

_LENGTH_BYTES: Final = 4
_ENVIRONMENT: Final = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PATH": os.defpath, "RUST_BACKTRACE": "0"}
# What a library does that is refused memory or time.
_LIMIT_SIGNALS: Final = frozenset({signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGXCPU})


class ReadingTask(msgspec.Struct, frozen=True):
    """What a child is to read. `after_row`: the rows up to this one are known already."""

    path: str
    format: Format
    options: FileOptions
    declared: tuple[DeclaredField, ...]
    after_row: int
    batch_rows: int


class Found(msgspec.Struct, frozen=True, tag=True):
    """What a file holds: first of all messages."""

    layout: Layout
    rows: int


class Batch(msgspec.Struct, frozen=True, tag=True):
    """Some of its rows, in order: (row number, contact)."""

    contacts: list[FileContact]


class Refused(msgspec.Struct, frozen=True, tag=True):
    """It cannot be read; the last of all messages."""

    code: str
    details: dict[str, Any]


class Missing(msgspec.Struct, frozen=True, tag=True):
    """There is no such file any more; the last of all messages."""


Message = Found | Batch | Refused | Missing


class ReaderDiedError(Exception):
    """The child ended before its time, and not because of the file: somebody killed it, or it is broken."""


# --------------------------------------------------------------------------- the parent


@dataclass(frozen=True, slots=True)
class FileReader:
    """A file that is being read."""

    found: Found
    _process: Process

    async def batches(self) -> AsyncIterator[Batch]:
        """Raises FileRefusedError, ReaderDiedError, StoredFileMissingError."""
        while (message := await _received(self._process)) is not None:
            assert isinstance(message, Batch)
            yield message


@asynccontextmanager
async def reading(task: ReadingTask) -> AsyncIterator[FileReader]:
    """A child that reads; it is gone when the block ends.

    Raises FileRefusedError, ReaderDiedError; StoredFileMissingError where the file has gone before the child
    could open it.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        # The package imports this module before it is run, of which there would be a warning.
        "-Wignore::RuntimeWarning:runpy",
        "-m",
        "tongdai.domain.campaigns.file_reader",
        str(os.getpid()),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=_ENVIRONMENT,
    )
    try:
        assert process.stdin is not None
        with suppress(ConnectionError):
            process.stdin.write(msgspec.msgpack.encode(task))
            await process.stdin.drain()
            process.stdin.close()
        found = await _received(process)
        if not isinstance(found, Found):
            raise ReaderDiedError("it ended before it had found anything")
        yield FileReader(found, process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        # Read to its end, or its pipes stay open; and waited for, or it stays a zombie.
        await process.communicate()


async def _received(process: Process) -> Message | None:
    """The child's next message; None when it has said all. Raises as `reading` does."""
    assert process.stdout is not None
    try:
        length = int.from_bytes(await process.stdout.readexactly(_LENGTH_BYTES), "big")
        raw = await process.stdout.readexactly(length)
    except asyncio.IncompleteReadError:
        code = await process.wait()
        if code == 0:
            return None
        if -code in _LIMIT_SIGNALS:
            raise FileRefusedError("too_large_inside") from None
        raise ReaderDiedError(f"it ended with {code}: {await _said(process)}") from None
    message: Message = msgspec.msgpack.decode(raw, type=Message)
    if isinstance(message, Refused):
        raise FileRefusedError(message.code, **message.details)
    if isinstance(message, Missing):
        raise StoredFileMissingError
    return message


async def _said(process: Process) -> str:
    """What a child that has ended had to say about it."""
    assert process.stderr is not None
    said = (await process.stderr.read()).decode(errors="replace").strip()
    return said[-MOST_SAID_CHARS:] or "nothing was said"


# --------------------------------------------------------------------------- the child


def main() -> int:
    """Reads one file. Returns what the process exits with."""
    die_with_parent(int(sys.argv[1]))
    _say_no_content()
    _limit()
    task = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=ReadingTask)
    with suppress(BrokenPipeError):
        try:
            for message in answer(task):
                _send(sys.stdout.buffer, message)
        except MemoryError:
            # Of a message that there was no room for.
            _send(sys.stdout.buffer, Refused("too_large_inside", {}))
    return 0


def _say_no_content() -> None:
    """From now on the standard error tells where a failure was, and no words: those may quote the file."""
    said = os.fdopen(os.dup(2), "w")
    # Libraries write there themselves.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)

    def say(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
        number = f" {error.errno}" if isinstance(error, OSError) else ""
        places = [f"{frame.f_code.co_filename}:{line}" for frame, line in traceback.walk_tb(at)]
        said.write(f"{kind.__name__}{number} at {', '.join(places)}")
        said.flush()

    sys.excepthook = say


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def answer(task: ReadingTask) -> Iterator[Message]:
    """Everything that a child says about a file."""
    try:
        table = open_table(Path(task.path), task.format, task.options.sheet)
        columns = find_columns(table, task.options, task.declared)
        yield Found(columns.layout, columns.count(table))
        yield from _batches(columns.contacts(table, task.after_row), task.batch_rows)
    except FileRefusedError as refusal:
        yield Refused(refusal.code, refusal.details)
    except MemoryError:
        yield Refused("too_large_inside", {})
    except FileNotFoundError:
        yield Missing()
    except BaseException as error:
        # What a library of Rust panics with is no Exception. Any file that brings that about is damaged.
        if type(error).__name__ != "PanicException":
            raise
        yield Refused("damaged", {})


def _batches(contacts: Iterator[FileContact], rows: int) -> Iterator[Batch]:
    batch: list[FileContact] = []
    size = 0
    for row, contact in contacts:
        batch.append((row, contact))
        size += 64 + sum(len(value) for value in contact.fields.values() if isinstance(value, str))
        if len(batch) >= rows or size >= BATCH_BYTES:
            yield Batch(batch)
            batch, size = [], 0
    if batch:
        yield Batch(batch)


def _send(output: BinaryIO, message: Message) -> None:
    raw = msgspec.msgpack.encode(message)
    output.write(len(raw).to_bytes(_LENGTH_BYTES, "big"))
    output.write(raw)
    output.flush()


if __name__ == "__main__":
    sys.exit(main())
