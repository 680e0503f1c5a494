"""Workbooks as Excel writes them, made from rows by hand: nothing that is shipped can write one."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from html import escape
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

Value = str | int | float | bool | date | datetime | time | None

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_STYLES = {date: 1, datetime: 2, time: 3}
"""Cell formats in the style sheet, by what is shown with them."""


@dataclass(frozen=True)
class Raw:
    """A cell whose XML is given: `Raw('t="e"', "<v>#N/A</v>")`."""

    attributes: str
    inside: str


Cells = Sequence[Value | Raw]


def workbook(*rows: Cells, sheet: str = "Sheet1") -> bytes:
    """A .xlsx with one sheet. None leaves a cell out; an empty row is left out."""
    return workbook_of({sheet: rows})


def workbook_of(
    sheets: Mapping[str, Iterable[Cells]], *, hidden: Sequence[str] = (), into: BinaryIO | None = None
) -> bytes:
    """A .xlsx with these sheets, in memory or written to `into`."""
    target = into or BytesIO()
    names = list(sheets)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("[Content_Types].xml", _content_types(len(names)))
        package.writestr("_rels/.rels", _relations([("officeDocument", "xl/workbook.xml")]))
        package.writestr("xl/workbook.xml", _book(names, hidden))
        parts = [("worksheet", f"worksheets/sheet{n}.xml") for n in range(1, len(names) + 1)]
        package.writestr("xl/_rels/workbook.xml.rels", _relations([*parts, ("styles", "styles.xml")]))
        formats = "".join(f'<xf numFmtId="{number}"/>' for number in (0, 14, 22, 20))
        package.writestr(
            "xl/styles.xml", f'<styleSheet xmlns="{_MAIN}"><cellXfs>{formats}</cellXfs></styleSheet>'
        )
        for n, rows in enumerate(sheets.values(), 1):
            with package.open(f"xl/worksheets/sheet{n}.xml", "w", force_zip64=False) as part:
                part.write(f'<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
                for number, cells in enumerate(rows, 1):
                    part.write(_row(number, cells).encode())
                part.write(b"</sheetData></worksheet>")
    return target.getvalue() if isinstance(target, BytesIO) else b""


def write_workbook(path: Path, rows: Iterable[Cells]) -> None:
    """A big one, row by row."""
    with path.open("wb") as file:
        workbook_of({"Sheet1": rows}, into=file)


def package(parts: Mapping[str, bytes]) -> bytes:
    """Any ZIP archive."""
    target = BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return target.getvalue()


def _content_types(sheets: int) -> str:
    spreadsheet = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    overrides = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{spreadsheet}.worksheet+xml"/>'
        for n in range(1, sheets + 1)
    )
    return (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{spreadsheet}.sheet.main+xml"/>'
        f"{overrides}</Types>"
    )


def _relations(targets: Sequence[tuple[str, str]]) -> str:
    one = "".join(
        f'<Relationship Id="rId{n}" Type="{_RELATIONS}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{one}</Relationships>'


def _book(names: Sequence[str], hidden: Sequence[str]) -> str:
    hides = dict.fromkeys(hidden, ' state="hidden"')
    sheets = "".join(
        f'<sheet name="{escape(name)}" sheetId="{n}" r:id="rId{n}"{hides.get(name, "")}/>'
        for n, name in enumerate(names, 1)
    )
    return f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>{sheets}</sheets></workbook>'


def _row(number: int, cells: Cells) -> str:
    inside = "".join(_cell(f"{column(at)}{number}", value) for at, value in enumerate(cells))
    return f'<row r="{number}">{inside}</row>' if inside else ""


def _cell(place: str, value: Value | Raw) -> str:
    if value is None:
        return ""
    if isinstance(value, Raw):
        return f'<c r="{place}" {value.attributes}>{value.inside}</c>'
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
    if isinstance(value, (int, float)):
        return f'<c r="{place}"><v>{value}</v></c>'
    return f'<c r="{place}" s="{_STYLES[type(value)]}"><v>{_serial(value)}</v></c>'


def _serial(value: date | datetime | time) -> float:
    """Days since the end of 1899, as Excel counts."""
    if isinstance(value, time):
        return (value.hour * 60 + value.minute) / 1440
    midnight = datetime(value.year, value.month, value.day)  # noqa: DTZ001
    days = (midnight - datetime(1899, 12, 30)).days  # noqa: DTZ001
    return days + (_serial(value.time()) if isinstance(value, datetime) else 0)


def column(at: int) -> str:
    """A, B, … Z, AA, …"""
    name = ""
    at += 1
    while at:
        at, rest = divmod(at - 1, 26)
        name = chr(65 + rest) + name
    return name
