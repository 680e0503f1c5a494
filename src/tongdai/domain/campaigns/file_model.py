"""Contact files: what was uploaded, what was found in it, and why it cannot be read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from tongdai.kit.errors import ConflictError, InvalidError, NotFoundError

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_ROWS = 200_000
"""Below the header, without the empty ones."""
MAX_COLUMNS = 200
MAX_CELL_CHARS = 32_767
"""As Excel's own limit."""

Format = Literal["csv", "xlsx"]
FileState = Literal["received", "reading", "done", "failed"]

REASONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "empty_file": ("The file is empty.", "Tệp không có dữ liệu."),
        "old_excel": (
            "This is an old .xls file or one with a password. Save it as .xlsx without a password.",
            "Đây là tệp .xls kiểu cũ hoặc tệp có mật khẩu. Hãy mở bằng Excel và lưu lại thành .xlsx, "
            "không đặt mật khẩu.",
        ),
        "other_format": (
            "This is neither .xlsx nor .csv. Save it as .xlsx.",
            "Tệp không phải .xlsx hay .csv. Hãy mở bằng Excel và lưu lại thành .xlsx.",
        ),
        "damaged": (
            "The file is damaged. Open it in Excel, save it anew and send that.",
            "Tệp bị hỏng. Hãy mở bằng Excel, lưu lại rồi gửi lại.",
        ),
        "too_large_inside": (
            "The file unpacks to more than can be read. Copy the rows into a new .xlsx, or save it as .csv.",
            "Tệp quá lớn khi mở ra. Hãy chép các dòng cần gọi sang một tệp .xlsx mới, hoặc lưu thành .csv.",
        ),
        "too_many_rows": (
            "The file has more than 200,000 rows. Divide it into several.",
            "Tệp có hơn 200.000 dòng. Hãy chia thành nhiều tệp.",
        ),
        "too_many_columns": (
            "The file has more than 200 columns. Remove those that are not needed.",
            "Tệp có hơn 200 cột. Hãy xóa các cột không cần thiết.",
        ),
        "no_rows": (
            "There is no row below the header.",
            "Tệp không có dòng dữ liệu nào dưới dòng tiêu đề.",
        ),
        "no_phone_column": (
            "No column holds telephone numbers. Head it `phone`, or name it with `phone_column`.",
            "Không tìm thấy cột số điện thoại. Hãy đặt tên cột là “Số điện thoại”, "
            "hoặc chọn cột khi tải lên.",
        ),
        "column_not_found": (
            "There is no column {column}.",
            "Không có cột “{column}” trong tệp.",
        ),
        "sheet_not_found": (
            "There is no sheet {sheet}; the sheets are: {sheets}.",
            "Không có trang tính “{sheet}”. Tệp có các trang: {sheets}.",
        ),
        "quote_open": (
            'Row {row} has a quotation mark (") that is never closed.',
            'Dòng {row} có dấu ngoặc kép (") mở mà không đóng.',
        ),
        "campaign_closed": (
            "The campaign took no more contacts. What was read before has been kept.",
            "Chiến dịch không nhận thêm liên hệ (đã dừng hoặc kết thúc). Các dòng đã đọc trước đó "
            "vẫn được giữ.",
        ),
        "internal": (
            "Something went wrong on our side. What was read before has been kept.",
            "Hệ thống gặp lỗi khi đọc tệp. Các dòng đã đọc trước đó vẫn được giữ; hãy liên hệ quản trị viên.",
        ),
    }
)
"""Why a file is not read, by code: for developers, and in Vietnamese for who made the file."""


class FileRefusedError(InvalidError):
    """The contact file cannot be read.

    `code` is a key of `REASONS`; `facts["errors"]` says in Vietnamese what to change.
    """

    def __init__(self, code: str, **details: str | int) -> None:
        self.code = code
        self.details = details
        super().__init__(REASONS[code][0].format(**details), errors=[("file", in_vietnamese(code, details))])


class ContactFileNotFoundError(NotFoundError):
    """There is no such contact file, or it is not yours."""


class ReportNotReadyError(ConflictError):
    """The report is not written before the whole file was read.

    `facts["state"]` says how far it is.
    """

    retryable = True


class ReportGoneError(NotFoundError):
    """The report was removed: it is kept for 30 days."""


class NoFilesForOtpError(ConflictError):
    """A campaign of one-time codes takes no files: a code is worthless before the file is read."""


def in_vietnamese(code: str, details: Mapping[str, Any]) -> str:
    """What the person who made the file is told."""
    return REASONS[code][1].format(**details)


class FileOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the owner of a file chose instead of leaving it to be found. Stored as jsonb."""

    sheet: str | None = None
    phone_column: str | None = None
    """By its header, or as in Excel by its letters."""
    mapping: dict[str, str] = {}
    """Column to field; to the name of a special column; to nothing: the column is passed over."""


class Layout(msgspec.Struct, frozen=True):
    """Where things are in a file. Stored as jsonb."""

    phone_column: str
    """Its header, or its letters where it has none."""
    fields: dict[str, str]
    """By field: the column that fills it."""
    special: dict[str, str]
    """By name (`max_attempts`, `call_after`, `call_before`, `person_ref`): the column."""
    header_row: int
    """Number of the row with the headers; 0: there is none."""
    sheet: str | None = None
    encoding: str | None = None
    delimiter: str | None = None


@dataclass(frozen=True, slots=True)
class ContactFile:
    id: int
    account_id: int
    campaign_id: int
    user_id: int
    name: str
    format: Format
    size_bytes: int
    storage_key: str | None
    options: FileOptions
    state: FileState
    layout: Layout | None
    rows_total: int | None
    """Below the header, without the empty ones. None: not counted yet."""
    rows_read: int
    last_row: int
    accepted: int
    repaired: int
    converted: int
    duplicate: int
    rejected: int
    tries: int
    report_key: str | None
    error_code: str | None
    error_facts: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    done_at: datetime | None
