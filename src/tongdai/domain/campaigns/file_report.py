"""The report of a contact file: a CSV that Excel opens, with each row that was not simply taken. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from tongdai.domain.contacts import shown

Result = Literal["repaired", "converted", "duplicate", "rejected"]

HEADER: Final = ("Dòng", "Số trong tệp", "Kết quả", "Số sẽ gọi", "Lý do", "Mã")
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""Without it Excel reads UTF-8 as something else."""

_RESULTS: Final[Mapping[Result, str]] = MappingProxyType(
    {
        "repaired": "Đã sửa",
        "converted": "Đã đổi đầu số",
        "duplicate": "Trùng",
        "rejected": "Không nhận",
    }
)

_WHY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "repaired": "Số được viết khác thường, ví dụ mất số 0 ở đầu; đã sửa lại",
        "converted": "Số di động 11 chữ số cũ; đã đổi sang đầu số mới",
        "duplicate": "Trùng với dòng {}",
        "duplicate_earlier": "Số đã có trong chiến dịch từ trước",
        "number_missing": "Ô số điện thoại để trống",
        "digits_lost": "Excel đã làm mất các chữ số cuối; hãy định dạng cột là Văn bản (Text) và nhập lại số",
        "too_short": "Thiếu chữ số",
        "too_long": "Thừa chữ số, hoặc một ô có nhiều số",
        "unknown_prefix": "Đầu số không tồn tại",
        "foreign": "Số nước ngoài",
        "service": "Số dịch vụ 1800/1900, không gọi ra được",
        "short_code": "Số ngắn (khẩn cấp hoặc dịch vụ), không gọi được",
        "not_a_number": "Không phải số điện thoại",
        "field_missing": "Thiếu thông tin bắt buộc: {}",
        "field_invalid": "Thông tin không đúng kiểu: {}",
        "fields_invalid": "Thông tin kèm theo có ký tự không lưu được",
        "fields_too_large": "Thông tin kèm theo quá dài",
        "max_attempts_invalid": "Số lần gọi phải là số nguyên từ 1 đến 100",
        "call_window_invalid": "Giờ gọi không đúng; hãy viết như 08:30",
        "person_ref_invalid": "Mã người không hợp lệ (1 đến 100 ký tự)",
    }
)
_UNKNOWN: Final = "Không nhận được"

_LONGEST_GIVEN: Final = 100
_lost_digits: Final = re.compile(r"[0-9]+(?:[.,][0-9]+)?[eE]\+?[0-9]{1,2}").fullmatch
# What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection").
_BEGINS_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_UNSHOWABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


class Entry(NamedTuple):
    """A row of a report."""

    row: int
    """Number of the row in the file."""
    given: str
    result: Result
    number: str = ""
    """Canonical, where the row has one."""
    code: str = ""
    """Why: what an import says of a contact, `field_missing: name` for one. Empty: the result says it."""
    other_row: int = 0
    """Of a duplicate: the row with the same number before it."""


def told_code(given: str, code: str) -> str:
    """The reason of an import, told more exactly where the text shows what happened to the number."""
    if code != "not_a_number":
        return code
    text = given.strip()
    if not text:
        return "number_missing"
    return "digits_lost" if _lost_digits(text) else code


def head_of_report() -> bytes:
    """What a report begins with."""
    return BYTE_ORDER_MARK + _csv([HEADER])


def part_of_report(entries: Iterable[Entry]) -> bytes:
    """Rows of a report, safe to open in a spreadsheet."""
    return _csv(_line(entry) for entry in entries)


def _line(entry: Entry) -> tuple[str, ...]:
    code = entry.code or entry.result
    name, _, what = code.partition(": ")
    known = _WHY.get(name, _UNKNOWN)
    if entry.result == "duplicate" and entry.other_row:
        what = str(entry.other_row)
    return (
        str(entry.row),
        safe_cell(entry.given[:_LONGEST_GIVEN]),
        _RESULTS[entry.result],
        _spaced(entry.number),
        safe_cell(known.format(what)),
        safe_cell(code),
    )


def safe_cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula: one that looks like it gets an apostrophe in front."""
    shown_text = _UNSHOWABLE.sub("\ufffd", text)
    return "'" + shown_text if text.lstrip(" \u00a0").startswith(_BEGINS_FORMULA) else shown_text


def _spaced(number: str) -> str:
    """`0912 345 678`: with spaces it stays a text in Excel and keeps its zero, and can be imported again."""
    national = shown(number)
    if not national:
        return ""
    return f"{national[:-6]} {national[-6:-3]} {national[-3:]}"


def _csv(lines: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(lines)
    return text.getvalue().encode()
