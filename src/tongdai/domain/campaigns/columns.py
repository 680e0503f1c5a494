"""What the columns of a contact file mean, and a contact out of each row. Pure.

The column with the numbers is found by its header, in Vietnamese or English, with or without accents; where
no header tells, by what stands in it. A few headers are special; every other column is a field by its header.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from tongdai.domain.campaigns.declared import DeclaredField
from tongdai.domain.campaigns.file_model import (
    MAX_CELL_CHARS,
    MAX_ROWS,
    FileOptions,
    FileRefusedError,
    Layout,
)
from tongdai.domain.campaigns.model import NewContact
from tongdai.domain.campaigns.spreadsheet import Cell, Row, Table, sampled
from tongdai.domain.contacts import normalise
from tongdai.domain.scripts.template import is_field_name
from tongdai.kit.clock import VIETNAM
from tongdai.kit.text import composed, decomposed

NUMBER: Final = "number"
SPECIAL: Final[Mapping[str, str]] = {
    "max attempts": "max_attempts",
    "so lan goi": "max_attempts",
    "call after": "call_after",
    "goi tu": "call_after",
    "call before": "call_before",
    "goi den": "call_before",
    "person ref": "person_ref",
}
"""Headers, as `folded`, that say something about the contact itself."""

_HEADER_WITHIN: Final = 20
"""Rows that a title and remarks may take above the header."""

_EXACT: Final = frozenset(
    {
        "sdt", "so dt", "dt", "so dien thoai", "dien thoai", "so may", "so di dong", "di dong", "so phone",
        "so lien he", "phone", "phones", "phone number", "phonenumber", "mobile", "mobile phone",
        "mobile number", "telephone", "tel", "cell", "cell phone", "number", "msisdn",
    }
)  # fmt: skip
_WITHIN: Final = re.compile(r"\b(?:sdt|so dien thoai|dien thoai|so dt|so di dong|phone|mobile|tel|msisdn)\b")
_WORDS: Final = re.compile(r"[a-z0-9]+")
_LETTERS: Final = re.compile(r"[A-Za-z]{1,3}").fullmatch
_NOT_IN_NAMES: Final = re.compile(r"[^\w .-]|(?<=[ .-])[ .-]+")
_GROUPED: Final = re.compile(r"([+-]?[1-9][0-9]{0,2})((?:\.[0-9]{3})+|(?:,[0-9]{3})+)").fullmatch
_DECIMAL_COMMA: Final = re.compile(r"[+-]?[0-9]{1,15},[0-9]{1,15}").fullmatch
_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-4]) ?(?:[:hHgG.] ?([0-5][0-9])?)(?::[0-5][0-9])?").fullmatch
_YES: Final = frozenset({"1", "x", "co", "yes", "y", "true", "dung"})
_NO: Final = frozenset({"0", "khong", "no", "n", "false", "sai"})
_MAX_DAY_FRACTION: Final = 1.0


# A row is (its number in the file, the contact that it is).
FileContact = tuple[int, NewContact]


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds what."""

    number: int
    fields: Mapping[int, str]
    special: Mapping[int, str]
    header_row: int
    """0: none."""
    layout: Layout
    readers: Mapping[int, Callable[[Cell], Any]]
    """How the cells of declared fields are read."""

    def contacts(self, table: Table, after_row: int = 0) -> Iterator[FileContact]:
        """The contacts below the header, from the first row after `after_row` on. Raises FileRefusedError."""
        first = max(self.header_row, after_row)
        return ((row, self._contact(cells)) for row, cells in table.rows() if row > first)

    def count(self, table: Table) -> int:
        """Raises FileRefusedError (too_many_rows, no_rows)."""
        count = 0
        for row, _ in table.rows():
            count += row > self.header_row
            if count > MAX_ROWS:
                raise FileRefusedError("too_many_rows")
        if count == 0:
            raise FileRefusedError("no_rows")
        return count

    def _contact(self, cells: Sequence[Cell]) -> NewContact:
        width = len(cells)
        given = number_text(cells[self.number]) if self.number < width else ""
        readers = self.readers
        fields = {
            name: readers[at](cells[at]) if at in readers else _plain(cells[at])
            for at, name in self.fields.items()
            if at < width and cells[at] != ""
        }
        if not self.special:
            return NewContact(given, fields)
        own, problem = _own(self.special, cells)
        return NewContact(given, fields, **own, problem=problem)


def find_columns(table: Table, options: FileOptions, declared: Sequence[DeclaredField] = ()) -> Columns:
    """Which column of a table holds what: as its owner chose, else as its headers and contents say.

    Raises FileRefusedError (no_phone_column, column_not_found, no_rows, and what reading a row may raise).
    """
    sample = sampled(table.rows())
    if not sample:
        raise FileRefusedError("no_rows")
    header_at = _header_at(sample, options)
    header_row, headers = (0, []) if header_at is None else _headers(sample[header_at])
    below = sample if header_at is None else sample[header_at + 1 :]
    width = max(len(cells) for _, cells in sample)
    names = [headers[at] if at < len(headers) and headers[at] else letters(at) for at in range(width)]
    wanted = {_named(names, column): target for column, target in options.mapping.items()}
    number = _number_column(names, headers, below, options, wanted)
    targets = _targets(names, headers, wanted, declared, number)
    special = {at: name for at, name in targets.items() if name in _SPECIAL_NAMES}
    fields = {at: name for at, name in targets.items() if at not in special}
    types = {one.name: one.type for one in declared}
    layout = Layout(
        phone_column=names[number],
        fields={name: names[at] for at, name in fields.items()},
        special={name: names[at] for at, name in special.items()},
        header_row=header_row,
        sheet=table.sheet,
        encoding=table.encoding,
        delimiter=table.delimiter,
    )
    readers = {at: _READERS[types[name]] for at, name in fields.items() if types.get(name) in _READERS}
    return Columns(number, fields, special, header_row, layout, readers)


def folded(text: str) -> str:
    """A header as it is compared: `Số Điện-Thoại (*)` as `so dien thoai`."""
    plain = decomposed(text.casefold().replace("đ", "d"))
    plain = "".join(mark for mark in plain if not unicodedata.combining(mark))
    return " ".join(_WORDS.findall(plain))


def letters(at: int) -> str:
    """Excel's name of a column: 0 is A, 26 is AA."""
    name = ""
    at += 1
    while at:
        at, rest = divmod(at - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


def number_text(cell: Cell) -> str:
    """A cell of the number column as text: `912345678` for the float that Excel made of a number."""
    if isinstance(cell, str):
        return cell[:MAX_CELL_CHARS]
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e18:
        return str(int(cell))
    return str(cell)


# --------------------------------------------------------------------------- finding


def _header_at(sample: Sequence[Row], options: FileOptions) -> int | None:
    """Index in the sample of the row with the headers; None: the numbers begin at once."""
    chosen = [name for name in (options.phone_column, *options.mapping) if name]
    for index, (_, cells) in enumerate(sample[:_HEADER_WITHIN]):
        if any(_is_callable(cell) for cell in cells):
            return _above(sample, index)
        texts = [_header_text(cell) for cell in cells]
        if any(_rank(text) for text in texts) or any(_same(text, name) for text in texts for name in chosen):
            return index
    return None


def _above(sample: Sequence[Row], first_number: int) -> int | None:
    """The row just above the first number is its header, where it is as wide and not a title alone."""
    if first_number == 0:
        return None
    filled = [sum(cell != "" for cell in cells) for _, cells in sample[first_number - 1 : first_number + 1]]
    return first_number - 1 if filled[0] >= max(1, min(2, filled[1])) else None


def _headers(row: Row) -> tuple[int, list[str]]:
    number, cells = row
    return number, [_header_text(cell) for cell in cells]


def _header_text(cell: Cell) -> str:
    return " ".join(number_text(cell).split())[:200]


def _is_callable(cell: Cell) -> bool:
    text = number_text(cell)
    return len(text) >= 8 and normalise(text).callable


def _rank(header: str) -> int:
    """How surely a header says that numbers stand below: 2, 1 or 0."""
    words = folded(header)
    if words in _EXACT:
        return 2
    return 1 if _WITHIN.search(words) else 0


def _same(header: str, name: str) -> bool:
    name = " ".join(name.split())
    return header == name or (folded(header) == folded(name) != "")


def _named(names: Sequence[str], wanted: str) -> int:
    """The column that a person names. Raises FileRefusedError."""
    for at, name in enumerate(names):
        if name == wanted:
            return at
    for at, name in enumerate(names):
        if _same(name, wanted):
            return at
    if _LETTERS(wanted):
        for at in range(len(names)):
            if letters(at) == wanted.upper():
                return at
    raise FileRefusedError("column_not_found", column=wanted[:100])


def _number_column(
    names: Sequence[str],
    headers: Sequence[str],
    below: Sequence[Row],
    options: FileOptions,
    wanted: Mapping[int, str],
) -> int:
    if options.phone_column is not None:
        return _named(names, options.phone_column)
    for at, target in wanted.items():
        if target == NUMBER:
            return at
    free = [at for at in range(len(names)) if at not in wanted]
    callable_ = {at: sum(_is_callable(cells[at]) for _, cells in below if at < len(cells)) for at in free}
    ranks = {at: _rank(headers[at]) for at in free if at < len(headers)}
    # A header that says so wins even over nothing but bad numbers; of two, the one that can be called.
    best = max(
        (at for at in free if ranks.get(at)),
        key=lambda at: (callable_[at] > 0, ranks[at], callable_[at], -at),
        default=None,
    )
    if best is None:
        best = max(free, key=lambda at: (callable_[at], -at), default=None)
        if best is None or callable_[best] == 0:
            raise FileRefusedError("no_phone_column")
    return best


def _targets(
    names: Sequence[str],
    headers: Sequence[str],
    wanted: Mapping[int, str],
    declared: Sequence[DeclaredField],
    number: int,
) -> dict[int, str]:
    """What each column but the one with the numbers fills; the first of two that would fill the same does."""
    by_folded = {folded(one.name): one.name for one in declared}
    targets: dict[int, str] = {}
    taken: set[str] = set()
    order = sorted(range(len(names)), key=lambda at: (at not in wanted, at))
    for at in order:
        if at == number:
            continue
        target = wanted.get(at)
        if target is None:
            key = folded(names[at])
            target = by_folded.get(key) or SPECIAL.get(key) or _field_name(names[at])
        if target in ("", NUMBER):
            continue
        targets[at] = _untaken(target, taken)
        taken.add(targets[at])
    return {at: targets[at] for at in sorted(targets)}


def _field_name(header: str) -> str:
    """A header as a name that scripts can use: `Họ tên (đầy đủ)` as `Họ tên đầy đủ`."""
    name = " ".join(_NOT_IN_NAMES.sub(" ", composed(header)).split()).strip(" .-")[:60]
    name = name.strip(" .-")
    return name if is_field_name(name) else re.sub(r"\W+", "_", name).strip("_")


def _untaken(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    return next(f"{name} {n}" for n in range(2, len(taken) + 3) if f"{name} {n}" not in taken)


# --------------------------------------------------------------------------- reading cells


def _plain(cell: Cell) -> Any:
    """A field's value: text, number or truth value as it is; what only Excel has, as text."""
    if isinstance(cell, str):
        return cell[:MAX_CELL_CHARS]
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return int(cell)
    if isinstance(cell, (bool, int, float)):
        return cell
    return _moment(cell)


def _moment(cell: date | datetime | time | timedelta) -> str:
    if isinstance(cell, datetime):
        return (
            cell.date().isoformat() if cell.time() == time() else cell.isoformat(sep=" ", timespec="minutes")
        )
    if isinstance(cell, time):
        return cell.isoformat(timespec="minutes")
    return cell.isoformat() if isinstance(cell, date) else str(cell)


def _number(cell: Cell) -> Any:
    """`1.500.000` and `1,500,000` have groups of thousands, `12,5` a decimal comma, as people write here."""
    text = cell.strip() if isinstance(cell, str) else ""
    grouped = _GROUPED(text)
    if grouped:
        return int(grouped[1] + re.sub("[.,]", "", grouped[2]))
    return text.replace(",", ".") if _DECIMAL_COMMA(text) else _plain(cell)


def _boolean(cell: Cell) -> Any:
    word = folded(number_text(cell))
    return True if word in _YES else False if word in _NO else _plain(cell)


_READERS: Final[Mapping[str, Callable[[Cell], Any]]] = {
    "number": _number,
    "integer": _number,
    "boolean": _boolean,
}
"""By the declared type; the other types are read when the contacts are imported."""


def _own(special: Mapping[int, str], cells: Sequence[Cell]) -> tuple[dict[str, Any], str | None]:
    """What a contact brings for itself, and what is wrong with it."""
    own: dict[str, Any] = {}
    problem = None
    for at, name in special.items():
        cell = cells[at] if at < len(cells) else ""
        if cell == "":
            continue
        if name == "max_attempts":
            text = number_text(cell).strip()
            if re.fullmatch("[0-9]{1,4}", text):
                own[name] = int(text)
            else:
                problem = "max_attempts_invalid"
        elif name == "person_ref":
            own[name] = number_text(cell)
        else:
            own[name] = _time_text(cell)
    return own, problem


def _time_text(cell: Cell) -> str:
    """`8h30`, `8:30`, Excel's time and its fraction of a day as `08:30`; a moment as ISO 8601 in Vietnam."""
    if isinstance(cell, float) and 0 <= cell <= _MAX_DAY_FRACTION:
        minutes = round(cell * 24 * 60)
        return f"{minutes // 60:02d}:{minutes % 60:02d}"
    if isinstance(cell, datetime):
        return cell.replace(tzinfo=VIETNAM).isoformat()
    if isinstance(cell, time):
        return f"{cell.hour:02d}:{cell.minute:02d}"
    text = number_text(cell).strip()
    clock = _CLOCK(text)
    return f"{int(clock[1]):02d}:{clock[2] or '00'}" if clock else text


_SPECIAL_NAMES: Final = frozenset(SPECIAL.values())
