"""Long lists of numbers: an account's own, the platform's, and the national register.

Each goes in pages, every page a transaction of its own. Of the national register the numbers of the copy
before stay in force until the new one is complete, so an import that breaks off lets nobody be called.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, TypeVar

from tongdai.domain.compliance.calling import AHEAD, NationalList
from tongdai.domain.compliance.errors import NationalListOldError, RecordInvalidError
from tongdai.domain.compliance.records import ListReport, NewDoNotCall, in_range
from tongdai.domain.compliance.service import list_numbers
from tongdai.domain.compliance.store import records as store
from tongdai.domain.contacts import normalise
from tongdai.kit.db import Database

PAGE = 10_000
MOST_LINES: Final = 1_000_000
"""Of an account's list, or everybody's, in one import: as many numbers as a small country's operator has."""

_T = TypeVar("_T")

_SPLIT = re.compile(r"[,;\t]")
# As `str.splitlines` has them, but one after the other: a body of line ends alone would be millions.
_LINE = re.compile("[^\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")
_FLAGS = {"": (True, True), "V": (True, False), "S": (False, True), "VS": (True, True), "SV": (True, True)}


def read_list(text: str, most: int | None = None) -> list[NewDoNotCall]:
    """A list as text: one number a line, and after a comma `V` (no calls), `S` (no messages) or both.

    Without a letter it is both; a letter that is none of these is read as both too, since a list says what is
    forbidden. Empty lines and a byte order mark are passed over.

    Takes a microsecond or two for each line. Raises RecordInvalidError for more than `most` lines.
    """
    entries = []
    for count, line in enumerate(_LINE.finditer(text.removeprefix("\ufeff")), 1):
        if most is not None and count > most:
            raise RecordInvalidError([("", f"has more than {most:,} lines; send it in parts")])
        parts = [part.strip().strip('"') for part in _SPLIT.split(line.group())]
        if any(parts):
            voice, sms = _FLAGS.get(parts[1].upper() if len(parts) > 1 else "", (True, True))
            entries.append(NewDoNotCall(parts[0], voice, sms))
    return entries


async def import_numbers(
    db: Database,
    account_id: int,
    entries: Sequence[NewDoNotCall],
    *,
    source: str,
    user_id: int | None,
    loosens: bool = True,
) -> ListReport:
    """Puts a long list on the account's do-not-call list, or on everybody's (`PLATFORM`).

    `loosens` is as in `list_numbers`. Sent again after it broke off, the same list leaves the same numbers.

    Raises RecordInvalidError when no line holds a number: this is no list.
    """
    listed = 0
    rejected: list[tuple[int, str]] = []
    for start, page in _pages(entries):
        async with db.transaction() as tx:
            report = await list_numbers(tx, account_id, page, source=source, user_id=user_id, loosens=loosens)
        listed += report.listed
        rejected += [(start + index, reason) for index, reason in report.rejected]
    if not listed:
        raise RecordInvalidError([("", "no line holds a number")])
    return ListReport(len(entries), listed, tuple(rejected))


async def import_national_list(
    db: Database,
    entries: Sequence[NewDoNotCall],
    *,
    as_of: datetime,
    source: str,
    connected: bool = False,
    now: datetime,
) -> ListReport:
    """Replaces our copy of the national register by this one, which is the register as it was at `as_of`.

    Raises:
        RecordInvalidError: no line holds a number, or `as_of` is in the future.
        NationalListOldError: a newer copy is here already.
    """
    numbers, rejected = await asyncio.to_thread(_read, entries)
    if not in_range(as_of) or as_of > now + AHEAD:
        raise RecordInvalidError([("as_of", "must be a moment since 1970 and not in the future")])
    if not numbers:
        raise RecordInvalidError([("", "no line holds a number: an empty list forbids nothing")])
    async with db.transaction() as tx:
        before: NationalList | None = await store.national_list(tx)
        if before is not None and before.as_of > as_of:
            raise NationalListOldError
        list_id = await store.begin_national(tx, as_of, source, connected)
    for _, page in _pages(sorted(numbers)):
        async with db.transaction() as tx:
            await store.add_national(tx, list_id, page, [numbers[number] for number in page])
    async with db.transaction() as tx:
        await store.finish_national(tx, list_id, len(numbers))
    await _drop_old(db, list_id)
    return ListReport(len(entries), len(numbers), tuple(rejected))


def _read(
    entries: Sequence[NewDoNotCall],
) -> tuple[dict[str, tuple[bool, bool]], list[tuple[int, str]]]:
    """Flags by number, those of a number that stands twice joined, and what is no number that can be
    called."""
    numbers: dict[str, tuple[bool, bool]] = {}
    rejected: list[tuple[int, str]] = []
    for index, entry in enumerate(entries):
        read = normalise(entry.given)
        if read.reason is not None:
            rejected.append((index, read.reason))
            continue
        voice, sms = numbers.get(read.number, (False, False))
        numbers[read.number] = (voice or entry.voice, sms or entry.sms)
    return numbers, rejected


async def _drop_old(db: Database, list_id: int) -> None:
    after: str | None = ""
    while after is not None:
        async with db.transaction() as tx:
            after = await store.drop_old_national(tx, list_id, after, PAGE)


def _pages(values: Sequence[_T]) -> Iterator[tuple[int, Sequence[_T]]]:
    for start in range(0, len(values), PAGE):
        yield start, values[start : start + PAGE]
