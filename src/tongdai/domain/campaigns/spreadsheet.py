"""Reading rows out of .xlsx and of text files that spreadsheets and people write.

Nothing here knows what a row means. A row is told with its number as Excel shows it, and rows without any
content are passed over. What is read comes from strangers: `tongdai.domain.campaigns.file_reader` runs this
in a process with limits of its own, because a file of a kilobyte can ask for half a terabyte.
"""

from __future__ import annotations

import codecs
import csv
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import IO, Final

import python_calamine

from tongdai.domain.campaigns.file_model import MAX_COLUMNS, FileRefusedError, Format
from tongdai.kit.text import composed

Cell = str | int | float | bool | date | datetime | time | timedelta
"""An empty cell is the empty text."""
Row = tuple[int, Sequence[Cell]]
"""The row's number in the file, from 1, and its cells from column A on."""

SAMPLE_BYTES: Final = 256 * 1024
SAMPLE_ROWS: Final = 200
MAX_UNPACKED_BYTES: Final = 512 * 1024 * 1024
"""All that a .xlsx unpacks to. 200,000 rows of 20 columns come to 200 MB."""
_MAX_PARTS: Final = 5_000
_MAX_DIRECTORY_BYTES: Final = 1024 * 1024
_END_OF_DIRECTORY: Final = struct.Struct("<4s4H2LH")
# The same with 64 bits, and what says that it is there: they stand right before it, and count instead of it.
_END_OF_DIRECTORY_64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64: Final = struct.Struct("<4sLQL")
_LONGEST_COMMENT: Final = 65_535

_DELIMITERS: Final = (",", ";", "\t", "|")
# Excel's own way to say which delimiter a file has; it shows no such row.
_SEPARATOR_LINE: Final = re.compile(r"sep=([,;\t|])\r?\n?", re.IGNORECASE).fullmatch
# Written so that Excel keeps the zeros of a number: ="0912345678".
_TEXT_FORMULA: Final = re.compile(r'="([^"]*)"').fullmatch
_CONTROLS: Final = re.compile("[\x01-\x08\x0b\x0c\x0e-\x19\x1b-\x1f]")
_COMBINING: Final = re.compile("[\u0300\u0301\u0303\u0309\u0323]")
_LONGEST_ROW: Final = 1024 * 1024
"""Characters of a row of a text file. The reader makes a row as long as it is given, and stops the process
meanwhile: a row of 60 MB of commas takes a gigabyte. Excel's 200 longest cells are no contact either."""
_LAST_ROW: Final = 2 * 1_048_576
"""Rows of a text file, empty ones too: twice what a sheet of Excel has."""
# Longer cells come from a quotation mark that is never closed, or hold no contact.
csv.field_size_limit(131_072)


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one sheet, to be gone through as often as needed."""

    rows: Callable[[], Iterator[Row]]
    """Those that hold anything. Raises FileRefusedError on the way."""
    sheet: str | None = None
    encoding: str | None = None
    delimiter: str | None = None


def format_of(path: Path) -> Format:
    """What a file is by its content, whatever its name says; a .xlsx is checked for what it unpacks to.

    Raises FileRefusedError (empty_file, old_excel, other_format, damaged, too_large_inside).
    """
    with path.open("rb") as file:
        head = file.read(SAMPLE_BYTES)
    if not head.strip(b"\xef\xbb\xbf \t\r\n\x00"):
        raise FileRefusedError("empty_file")
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise FileRefusedError("old_excel")
    if head.startswith(b"PK"):
        _check_package(path)
        return "xlsx"
    if re.match(rb"(?:\xef\xbb\xbf)?\s*(?:<|%PDF|\{\\rtf)", head) or _is_binary(head):
        raise FileRefusedError("other_format")
    return "csv"


def open_table(path: Path, format_: Format, sheet: str | None = None) -> Table:
    """The rows of the named sheet, or of the first that shows. Text files have no sheets: `sheet` is ignored.

    Raises FileRefusedError, FileNotFoundError.
    """
    return _open_workbook(path, sheet) if format_ == "xlsx" else _open_text(path)


def _filled(rows: Iterable[Sequence[Cell]]) -> Iterator[Row]:
    for number, cells in enumerate(rows, 1):
        if any(cell != "" for cell in cells):
            if len(cells) > MAX_COLUMNS and any(cell != "" for cell in cells[MAX_COLUMNS:]):
                raise FileRefusedError("too_many_columns")
            yield number, cells


# --------------------------------------------------------------------------- .xlsx


def _check_package(path: Path) -> None:
    """Looks at a ZIP archive's directory alone, and at that only once its size is known."""
    size = path.stat().st_size
    with path.open("rb") as file:
        before = _END_OF_DIRECTORY_64.size + _LOCATOR_64.size
        file.seek(max(0, size - before - _END_OF_DIRECTORY.size - _LONGEST_COMMENT))
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END_OF_DIRECTORY.size:
        raise FileRefusedError("damaged")
    for parts, directory_bytes in _directory_sizes(tail, at):
        if parts > _MAX_PARTS or directory_bytes > _MAX_DIRECTORY_BYTES:
            raise FileRefusedError("too_large_inside")
    try:
        with zipfile.ZipFile(path) as package:
            listed = package.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OSError, OverflowError):
        raise FileRefusedError("damaged") from None
    names = {part.filename.lower() for part in listed}
    if "xl/workbook.xml" not in names:
        raise FileRefusedError("other_format")
    if sum(part.file_size for part in listed) > MAX_UNPACKED_BYTES:
        raise FileRefusedError("too_large_inside")


def _directory_sizes(tail: bytes, at: int) -> Iterator[tuple[int, int]]:
    """(parts, bytes) as each record at the end of an archive says that there is; its last one is at `at`."""
    yield _END_OF_DIRECTORY.unpack_from(tail, at)[4:6]
    locator = at - _LOCATOR_64.size
    record = locator - _END_OF_DIRECTORY_64.size
    if record >= 0 and tail.startswith(b"PK\x06\x07", locator):
        yield _END_OF_DIRECTORY_64.unpack_from(tail, record)[7:9]


def _open_workbook(path: Path, wanted: str | None) -> Table:
    try:
        with path.open("rb") as file:
            book = python_calamine.CalamineWorkbook.from_filelike(file)
            name = _sheet_name(book, wanted)
            sheet = book.get_sheet_by_name(name)
    except FileNotFoundError:
        raise
    except python_calamine.PasswordError:
        raise FileRefusedError("old_excel") from None
    except (python_calamine.CalamineError, OSError, ValueError):
        raise FileRefusedError("damaged") from None
    # The reader leaves out empty columns on the left, but not empty rows above.
    padding = [""] * (sheet.start[1] if sheet.start else 0)
    if len(padding) > MAX_COLUMNS:
        raise FileRefusedError("too_many_columns")

    def rows() -> Iterator[Row]:
        return _filled(padding + [_tidy(cell) for cell in cells] for cells in sheet.iter_rows())

    return Table(rows, sheet=name)


def _sheet_name(book: python_calamine.CalamineWorkbook, wanted: str | None) -> str:
    names = book.sheet_names
    if wanted is not None:
        for name in names:
            if _same(name, wanted):
                return name
        shown = ", ".join(name[:40] for name in names[:10])
        raise FileRefusedError("sheet_not_found", sheet=wanted[:40], sheets=shown)
    visible = [
        one.name
        for one in book.sheets_metadata
        if one.typ == python_calamine.SheetTypeEnum.WorkSheet
        and one.visible == python_calamine.SheetVisibleEnum.Visible
    ]
    if not (visible or names):
        raise FileRefusedError("empty_file")
    return (visible or names)[0]


def _same(one: str, other: str) -> bool:
    return composed(one).strip().casefold() == composed(other).strip().casefold()


def _tidy(cell: Cell) -> Cell:
    return _tidy_text(cell) if isinstance(cell, str) else cell


def _tidy_text(text: str) -> str:
    """Composed, as Windows-1258 and macOS do not write it, and without the quoting that only Excel needs."""
    if text.isascii():
        text = text.strip()
        quoted = _TEXT_FORMULA(text) if text.startswith("=") else None
        return quoted[1] if quoted else text
    return composed(text).strip().strip("\ufeff\u200b\u00a0 ")


# --------------------------------------------------------------------------- text


def _open_text(path: Path) -> Table:
    encoding = _encoding_of(path)
    with _text_of(path, encoding) as file:
        sample = file.read(SAMPLE_BYTES)
    separator = _SEPARATOR_LINE(sample.partition("\n")[0] + "\n")
    delimiter = separator[1] if separator else _delimiter_of(sample)

    def rows() -> Iterator[Row]:
        with _text_of(path, encoding) as file:
            if separator:
                file.readline()
            lines = _Lines(file)
            reader = csv.reader(lines, delimiter=delimiter)
            try:
                yield from _filled(_tidy_rows(reader, lines))
            except csv.Error:
                # The cell grew until it was longer than any: what opened it was never closed.
                raise FileRefusedError("quote_open", row=reader.line_num) from None

    return Table(rows, encoding=encoding, delimiter=delimiter)


class _Lines:
    """The lines of a text, for a reader that makes rows of them. Raises FileRefusedError for a row that is
    too long."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._of_this_row = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline(_LONGEST_ROW + 1)
        if not line:
            raise StopIteration
        self._of_this_row += len(line)
        if self._of_this_row > _LONGEST_ROW:
            raise FileRefusedError("too_many_columns")
        return line

    def begin_row(self) -> None:
        self._of_this_row = 0


def _tidy_rows(reader: Iterator[list[str]], lines: _Lines) -> Iterator[list[Cell]]:
    for number, cells in enumerate(reader, 1):
        if number > _LAST_ROW:
            raise FileRefusedError("too_many_rows")
        lines.begin_row()
        yield [_tidy_text(cell) for cell in cells]


def sampled(rows: Iterator[Row]) -> list[Row]:
    """The first rows, from which everything about a table is guessed."""
    return list(islice(rows, SAMPLE_ROWS))


def _text_of(path: Path, encoding: str) -> IO[str]:
    return path.open(encoding=encoding, errors="replace", newline="")


def _encoding_of(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(SAMPLE_BYTES)
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    silent = _utf16_without_mark(head)
    if silent is not None:
        return silent
    return "utf-8" if _is_utf8(path) else _windows_page(head)


def _utf16_without_mark(head: bytes) -> str | None:
    """Digits and delimiters have a zero byte each in UTF-16, always on the same side."""
    half = max(1, len(head) // 2)
    if head[1::2].count(0) > half * 0.4:
        return "utf-16-le"
    return "utf-16-be" if head[0::2].count(0) > half * 0.4 else None


def _is_utf8(path: Path) -> bool:
    """True also with a few broken characters, as of a text that was cut by its bytes."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    good = bad = 0
    with path.open("rb") as file:
        while block := file.read(1024 * 1024):
            if block.isascii():
                continue
            text = decoder.decode(block)
            broken = text.count("\ufffd")
            bad += broken
            good += len(text) - len(text.encode("ascii", "ignore")) - broken
    return bad * 10 <= good


def _windows_page(head: bytes) -> str:
    """Windows-1258 writes a tone as a mark of its own behind the vowel. Where the marks would stand anywhere
    else, the same bytes are letters of Windows-1252."""
    try:
        text = head.decode("cp1258")
    except UnicodeDecodeError:
        return "cp1252"
    return "cp1252" if _COMBINING.search(composed(text)) else "cp1258"


def _is_binary(head: bytes) -> bool:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or _utf16_without_mark(head):
        return False
    text = head.decode("latin-1")
    return "\x00" in text or len(_CONTROLS.findall(text)) * 100 > len(text)


def _delimiter_of(sample: str) -> str:
    """The character that cuts most rows into the same number of cells, two at least; else the comma."""
    lines = sample.splitlines(keepends=True)[:SAMPLE_ROWS]
    best, best_score = ",", (0.0, 0)
    for delimiter in _DELIMITERS:
        try:
            widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if row)
        except csv.Error:
            continue
        width, rows = max(
            ((width, rows) for width, rows in widths.items() if width > 1),
            key=lambda one: one[1],
            default=(0, 0),
        )
        score = (round(rows / max(1, widths.total()), 1), width)
        if score > best_score:
            best, best_score = delimiter, score
    return best
