"""Files survive Excel, Windows and people, and what a stranger may send instead."""

from __future__ import annotations

import codecs
import struct
import unicodedata
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.fakes.xlsx import Raw, Value, package, workbook, workbook_of

from tongdai.domain.campaigns import FileOptions, FileRefusedError, Layout, NewContact
from tongdai.domain.campaigns.columns import find_columns, folded, letters
from tongdai.domain.campaigns.declared import DeclaredField
from tongdai.domain.campaigns.file_model import MAX_COLUMNS, MAX_ROWS, REASONS, in_vietnamese
from tongdai.domain.campaigns.file_report import Entry, head_of_report, part_of_report, safe_cell, told_code
from tongdai.domain.campaigns.spreadsheet import Table, format_of, open_table

Read = tuple[Layout, list[tuple[int, NewContact]]]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Read]:
    """Reads a file as it would be imported."""

    def reader(data: bytes, *declared: DeclaredField, after_row: int = 0, **options: Any) -> Read:
        path = tmp_path / "file"
        path.write_bytes(data)
        chosen = FileOptions(**options)
        table = open_table(path, format_of(path), chosen.sheet)
        columns = find_columns(table, chosen, declared)
        columns.count(table)
        return columns.layout, list(columns.contacts(table, after_row))

    return reader


def numbers(read: Read) -> list[str]:
    return [contact.given for _, contact in read[1]]


def refusal(read: Callable[..., Read], data: bytes, **options: Any) -> str:
    with pytest.raises(FileRefusedError) as caught:
        read(data, **options)
    return caught.value.code


def csv(text: str, encoding: str = "utf-8") -> bytes:
    return text.encode(encoding)


# ---------------------------------------------------------------- text files

LIST = "Họ tên,Số điện thoại\nNguyễn Văn Đức,0912345678\nTrần Thị Mỹ Ưng,0987654321\n"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (csv(LIST), "utf-8"),
        (codecs.BOM_UTF8 + csv(LIST), "utf-8-sig"),
        (csv(LIST, "utf-16"), "utf-16"),
        (codecs.BOM_UTF16_BE + csv(LIST, "utf-16-be"), "utf-16"),
        (csv(LIST, "utf-16-le"), "utf-16-le"),
        (csv(LIST, "utf-16-be"), "utf-16-be"),
    ],
)
def test_every_unicode_that_excel_writes_is_read(
    read: Callable[..., Read], data: bytes, encoding: str
) -> None:
    layout, contacts = read(data)
    assert (layout.encoding, layout.phone_column) == (encoding, "Số điện thoại")
    assert contacts == [
        (2, NewContact("0912345678", {"Họ tên": "Nguyễn Văn Đức"})),
        (3, NewContact("0987654321", {"Họ tên": "Trần Thị Mỹ Ưng"})),
    ]


def windows_1258(text: str) -> bytes:
    """As Windows writes Vietnamese: the letter with its hat or horn, then the tone as a mark of its own."""
    tones = str.maketrans(dict.fromkeys("\u0300\u0301\u0303\u0309\u0323"))
    letters = []
    for letter in unicodedata.normalize("NFC", text):
        parts = unicodedata.normalize("NFD", letter)
        tone = "".join(mark for mark in parts if mark != mark.translate(tones))
        letters.append(unicodedata.normalize("NFC", parts.translate(tones)) + tone)
    return "".join(letters).encode("cp1258")


def test_windows_1258_with_its_separate_tones_becomes_composed_vietnamese(
    read: Callable[..., Read],
) -> None:
    layout, contacts = read(windows_1258(LIST))
    assert (layout.encoding, layout.phone_column) == ("cp1258", "Số điện thoại")
    assert [contact.fields["Họ tên"] for _, contact in contacts] == ["Nguyễn Văn Đức", "Trần Thị Mỹ Ưng"]


def test_windows_1252_is_read_where_1258_would_put_tones_on_nothing(read: Callable[..., Read]) -> None:
    layout, contacts = read("phone;ort\n0912345678;Ìle de Ré\n".encode("cp1252"))
    assert (layout.encoding, contacts[0][1].fields) == ("cp1252", {"ort": "Ìle de Ré"})


def test_a_few_broken_characters_do_not_make_utf8_something_else(read: Callable[..., Read]) -> None:
    data = csv(LIST) + "Lê Thị".encode()[:-1] + b",0911111111\n"
    layout, contacts = read(data)
    assert layout.encoding == "utf-8"
    assert contacts[0][1].fields == {"Họ tên": "Nguyễn Văn Đức"}
    assert contacts[2][1].fields == {"Họ tên": "Lê Th\ufffd"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_delimiter_is_found_and_quoted_newlines_stay_in_their_cell(
    read: Callable[..., Read], delimiter: str
) -> None:
    lan = '"Lan, ở; Huế\t|\nquê ""Huế"""'
    text = f"tên{delimiter}sdt\r\n{lan}{delimiter}0912345678\r\nMai{delimiter}0912345679\r\n"
    layout, contacts = read(csv(text))
    assert layout.delimiter == delimiter
    assert contacts == [
        (2, NewContact("0912345678", {"tên": 'Lan, ở; Huế\t|\nquê "Huế"'})),
        (3, NewContact("0912345679", {"tên": "Mai"})),
    ]


def test_excels_own_word_about_the_delimiter_is_followed(read: Callable[..., Read]) -> None:
    layout, contacts = read(csv("sep=;\r\nsdt;số tiền\r\n0912345678;1,5\r\n"))
    assert layout.delimiter == ";"
    assert contacts == [(2, NewContact("0912345678", {"số tiền": "1,5"}))]


def test_one_column_alone_needs_no_delimiter_and_no_header(read: Callable[..., Read]) -> None:
    layout, contacts = read(csv("0912345678\n0912345679\r\n\r\n0912345680"))
    assert (layout.phone_column, layout.header_row, layout.fields) == ("A", 0, {})
    assert [row for row, _ in contacts] == [1, 2, 4]


def test_zeros_that_were_kept_by_a_formula_are_kept(read: Callable[..., Read]) -> None:
    _, contacts = read(csv('phone,mã\n="0912345678",="00123"\n\'0912345679,x\n'))
    assert contacts[0] == (2, NewContact("0912345678", {"mã": "00123"}))
    assert contacts[1][1].given == "'0912345679"


def test_rows_are_numbered_as_excel_shows_them_and_empty_ones_passed_over(
    read: Callable[..., Read],
) -> None:
    _, contacts = read(csv('\nDANH SÁCH\n\n"Họ\ntên",SĐT\n,\nLan,0912345678\n\n ,\nMai,1\n'))
    assert [(row, contact.given) for row, contact in contacts] == [(6, "0912345678"), (9, "1")]


def test_a_row_shorter_or_longer_than_the_header_is_read(read: Callable[..., Read]) -> None:
    _, contacts = read(csv("sdt,tên\n0912345678\n0912345679,Lan,thêm\n0912345680,\n"))
    assert [contact.fields for _, contact in contacts] == [{}, {"tên": "Lan", "C": "thêm"}, {}]


# ---------------------------------------------------------------- workbooks


def test_what_excel_made_of_numbers_dates_and_truth_is_undone(read: Callable[..., Read]) -> None:
    header: list[Value] = ["SĐT", "Mã", "Số tiền", "Ngày", "Lúc", "Giờ", "VIP", "Lỗi"]
    row: list[Value | Raw] = [
        912345678,
        204118,
        1.5,
        date(2026, 3, 15),
        datetime(2026, 3, 15, 12, 30),  # noqa: DTZ001
        time(6, 45),
        True,
        Raw('t="e"', "<v>#N/A</v>"),
    ]
    layout, contacts = read(workbook(header, row, ["8.4912E+10"], [84912345678.0], ["0912 345 678"]))
    assert layout.sheet == "Sheet1"
    assert contacts[0] == (
        2,
        NewContact(
            "912345678",
            {
                "Mã": 204118,
                "Số tiền": 1.5,
                "Ngày": "2026-03-15",
                "Lúc": "2026-03-15 12:30",
                "Giờ": "06:45",
                "VIP": True,
            },
        ),
    )
    assert [contact.given for _, contact in contacts[1:]] == ["8.4912E+10", "84912345678", "0912 345 678"]


def test_a_table_may_stand_anywhere_on_its_sheet(read: Callable[..., Read]) -> None:
    layout, contacts = read(
        workbook(
            [],
            [None, None, "DANH SÁCH KHÁCH HÀNG THÁNG 3"],
            [],
            [None, None, "Họ tên", "Di động"],
            [None, None, "Lan", 912345678],
            [],
            [None, None, "Mai", "0912345679"],
        )
    )
    assert (layout.header_row, layout.phone_column) == (4, "Di động")
    assert [(row, contact.given) for row, contact in contacts] == [(5, "912345678"), (7, "0912345679")]
    assert contacts[0][1].fields == {"Họ tên": "Lan"}


def test_formatting_down_to_the_last_row_is_no_content(read: Callable[..., Read]) -> None:
    data = workbook(["sdt"], ["0912345678"])
    styled = b'<row r="1048576"><c r="XFD1048576" s="1"/></row></sheetData>'
    assert numbers(read(_with_sheet(data, lambda xml: xml.replace(b"</sheetData>", styled)))) == [
        "0912345678"
    ]


def test_the_first_visible_sheet_is_read_or_the_one_that_is_named(read: Callable[..., Read]) -> None:
    data = workbook_of(
        {"Ẩn": [["sdt"], ["0911111111"]], "Một": [["sdt"], ["0912345678"]], "Hai": [["sdt"], ["0987654321"]]},
        hidden=["Ẩn"],
    )
    assert numbers(read(data)) == ["0912345678"]
    assert numbers(read(data, sheet=" hai ")) == ["0987654321"]
    with pytest.raises(FileRefusedError) as caught:
        read(data, sheet="Ba")
    assert caught.value.facts["errors"] == [
        ("file", "Không có trang tính “Ba”. Tệp có các trang: Ẩn, Một, Hai.")
    ]


# ---------------------------------------------------------------- which column


@pytest.mark.parametrize(
    "header",
    [
        "SĐT", "sdt", "Số điện thoại", "SO DIEN THOAI", "Điện thoại", "ĐT", "Di động", "Số ĐT", "Phone",
        "phone_number", "PhoneNumber", "Mobile", "TEL", "Số điện thoại khách hàng (*)", "number",
        "Số ĐT người nhận", "So\u0302\u0301 đt",
    ],
)  # fmt: skip
def test_the_column_of_numbers_is_known_by_its_header(read: Callable[..., Read], header: str) -> None:
    layout, contacts = read(csv(f"mã,{header},ghi chú\n0911111111,12,x\n0911111112,0912345678,\n"))
    assert numbers((layout, contacts)) == ["12", "0912345678"]
    assert contacts[0][1].fields == {"mã": "0911111111", "ghi chú": "x"}


def test_of_two_headers_the_one_with_numbers_below_is_taken(read: Callable[..., Read]) -> None:
    layout, _ = read(csv("Điện thoại,Mobile,Tên\n,0912345678,Lan\n-,0912345679,Mai\n"))
    assert layout.phone_column == "Mobile"


def test_without_a_header_that_tells_the_contents_do(read: Callable[..., Read]) -> None:
    layout, contacts = read(csv("Mã KH,Liên hệ,Tên\n1,0912345678,Lan\n2,0912345679,Mai\n"))
    assert (layout.phone_column, layout.header_row) == ("Liên hệ", 1)
    assert contacts[0][1].fields == {"Mã KH": "1", "Tên": "Lan"}


def test_without_any_header_columns_have_their_letters(read: Callable[..., Read]) -> None:
    layout, contacts = read(csv("Lan,0912345678,1\nMai,0912345679,2\n"))
    assert (layout.phone_column, layout.header_row) == ("B", 0)
    assert contacts[0] == (1, NewContact("0912345678", {"A": "Lan", "C": "1"}))


@pytest.mark.parametrize("chosen", ["Liên hệ 2", "lien he 2", "C", "c"])
def test_the_column_of_numbers_may_be_chosen(read: Callable[..., Read], chosen: str) -> None:
    layout, contacts = read(csv("SĐT,Tên,Liên hệ 2\n0912345678,Lan,0987654321\n"), phone_column=chosen)
    assert layout.phone_column == "Liên hệ 2"
    assert contacts[0] == (2, NewContact("0987654321", {"SĐT": "0912345678", "Tên": "Lan"}))


def test_columns_may_be_given_other_fields_or_passed_over(read: Callable[..., Read]) -> None:
    mapping = {"Họ và tên": "ten", "D": "", "Liên hệ": "number", "Lần": "max_attempts"}
    layout, contacts = read(
        csv("Họ và tên,Liên hệ,Lần,Ghi chú,SĐT\nLan,0912345678,3,x,0987654321\n"), mapping=mapping
    )
    assert contacts == [(2, NewContact("0912345678", {"ten": "Lan", "SĐT": "0987654321"}, max_attempts=3))]
    assert layout.special == {"max_attempts": "Lần"}


def test_a_column_that_is_chosen_and_not_there_is_told(read: Callable[..., Read]) -> None:
    data = csv("SĐT,Tên\n0912345678,Lan\n")
    assert refusal(read, data, phone_column="Mobile") == "column_not_found"
    assert refusal(read, data, mapping={"Tuổi": "tuoi"}) == "column_not_found"


def test_a_declared_field_takes_the_column_that_is_called_like_it(read: Callable[..., Read]) -> None:
    declared = (DeclaredField("ho_ten"), DeclaredField("so_tien", "number"), DeclaredField("vip", "boolean"))
    layout, contacts = read(
        csv("SĐT;HỌ TÊN;Số tiền;VIP;Khác\n0912345678;Lan;1.500.000;Có;1.500.000\n0912345679;;12,5;không;\n"),
        *declared,
    )
    assert layout.fields == {"ho_ten": "HỌ TÊN", "so_tien": "Số tiền", "vip": "VIP", "Khác": "Khác"}
    assert contacts[0][1].fields == {"ho_ten": "Lan", "so_tien": 1500000, "vip": True, "Khác": "1.500.000"}
    assert contacts[1][1].fields == {"so_tien": "12.5", "vip": False}


def test_headers_become_names_that_scripts_can_use(read: Callable[..., Read]) -> None:
    layout, _ = read(csv('sdt,Họ tên (đầy đủ),"Số\n tiền",Tên,Tên,,{x}\n0912345678,1,2,3,4,5,6\n'))
    assert list(layout.fields) == ["Họ tên đầy đủ", "Số tiền", "Tên", "Tên 2", "F", "x"]


def test_attempts_times_and_the_person_are_read_from_their_own_columns(read: Callable[..., Read]) -> None:
    header = ["sdt", "max_attempts", "call_after", "Gọi đến", "person_ref"]
    moment = datetime(2026, 3, 15, 9, 0)  # noqa: DTZ001
    rows: list[list[Value]] = [
        [912345678, 3.0, time(8, 30), "17h", 100200],
        [912345679, None, moment, 0.75, "HĐ-7"],
        [912345680, "ba", None, None, None],
        [912345681, None, "sáng", None, None],
        [912345682, None, None, "8:05", None],
    ]
    _, contacts = read(workbook(header, *rows))
    assert [contact for _, contact in contacts] == [
        NewContact(
            "912345678", {}, max_attempts=3, call_after="08:30", call_before="17:00", person_ref="100200"
        ),
        NewContact(
            "912345679",
            {},
            call_after="2026-03-15T09:00:00+07:00",
            call_before="18:00",
            person_ref="HĐ-7",
        ),
        NewContact("912345680", {}, problem="max_attempts_invalid"),
        NewContact("912345681", {}, call_after="sáng"),
        NewContact("912345682", {}, call_before="08:05"),
    ]


def test_reading_goes_on_after_the_last_row_that_is_known(read: Callable[..., Read]) -> None:
    data = csv("sdt\n" + "".join(f"09123456{n:02d}\n" for n in range(10)))
    assert [row for row, _ in read(data, after_row=8)[1]] == [9, 10, 11]


# ---------------------------------------------------------------- what is refused


def _with_sheet(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The workbook with another sheet's XML."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["xl/worksheets/sheet1.xml"] = change(parts["xl/worksheets/sheet1.xml"])
    return package(parts)


def _end_of_directory(entries: int, size: int) -> bytes:
    return b"PK\x03\x04" + b"\0" * 100 + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, entries, size, 0, 0)


def _end_of_directory_64(entries: int, size: int) -> bytes:
    """What the records with 64 bits say counts, whatever the old one does."""
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, size, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 104, 1)
    old = _end_of_directory(1, 46)
    return old[:104] + record + locator + old[104:]


def _unpacking_to(size: int) -> bytes:
    """A workbook whose directory says that its last part is so large."""
    data = bytearray(workbook(["sdt"], ["0912345678"]))
    struct.pack_into("<L", data, data.rindex(b"PK\x01\x02") + 24, size)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_file"),
        (codecs.BOM_UTF8 + b" \r\n\r\n", "empty_file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "old_excel"),
        (b"%PDF-1.7\n1 0 obj", "other_format"),
        (b"<html><table><tr><td>0912345678</td></tr></table></html>", "other_format"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)), "other_format"),
        (package({"content.xml": b"<office/>"}), "other_format"),
        (package({"xl/workbook.bin": b"\0"}), "other_format"),
        (package({"xl/workbook.xml": b"<workbook/>"}), "damaged"),
        (workbook(["sdt"], ["0912345678"])[:-30], "damaged"),
        (b"PK\x03\x04" + b"\0" * 50, "damaged"),
        (_end_of_directory(60_000, 1000), "too_large_inside"),
        (_end_of_directory(10, 50_000_000), "too_large_inside"),
        (_end_of_directory_64(60_000, 1000), "too_large_inside"),
        (_end_of_directory_64(10, 50_000_000), "too_large_inside"),
        (_unpacking_to(600_000_000), "too_large_inside"),
        (csv("sdt,tên\n"), "no_rows"),
        (workbook(["sdt"]), "no_rows"),
        (workbook(), "no_rows"),
        (csv("mã,tên\n1,Lan\n2,Mai\n"), "no_phone_column"),
        (csv("sdt,tên\n0912345678,Lan\n" + 'x,"' + "dài " * 40_000), "quote_open"),
        (csv("sdt" + ",x" * (MAX_COLUMNS + 5) + "\n0912345678\n"), "too_many_columns"),
        (
            workbook([None] * (MAX_COLUMNS + 5) + ["sdt"], [None] * (MAX_COLUMNS + 5) + ["1"]),
            "too_many_columns",
        ),
        # Nothing stands in them, and reading one would take a hundred times its size of memory.
        (csv("sdt\n" + "," * 2_000_000 + "\n0912345678\n"), "too_many_columns"),
        (csv("sdt\n" + '"\n",' * 500_000 + "\n0912345678\n"), "too_many_columns"),
        (csv("sdt\n" + "0912345678\n" * (MAX_ROWS + 1)), "too_many_rows"),
        (csv("sdt\n0912345678\n" + "\n" * 3_000_000), "too_many_rows"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_cannot_be_read_says_what_to_do_in_vietnamese(
    read: Callable[..., Read], data: bytes, code: str
) -> None:
    with pytest.raises(FileRefusedError) as caught:
        read(data)
    assert caught.value.code == code
    assert caught.value.facts["errors"] == [("file", in_vietnamese(code, caught.value.details))]


def test_the_row_limit_does_not_count_what_is_above_the_first_row_or_empty(
    read: Callable[..., Read],
) -> None:
    _, contacts = read(csv("DANH SÁCH\n\nsdt\n" + "0912345678\n\n" * MAX_ROWS))
    assert len(contacts) == MAX_ROWS


@pytest.mark.parametrize("code", list(REASONS))
def test_every_reason_can_be_told(code: str) -> None:
    details = {"column": "B", "sheet": "Hai", "sheets": "Một", "row": 7}
    assert all("{" not in text.format(**details) for text in REASONS[code])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
@example(b"PK\x05\x06" + b"\0" * 18)
@example(b"sep=,")
@example(b'"')
@example(b"\xff\xfe\x00")
@example(b"\x00\xd8")
def test_no_bytes_break_the_reader(read: Callable[..., Read], noise: bytes) -> None:
    for data in (noise, b"sdt,x\n0912345678," + noise, b"PK\x03\x04" + noise):
        try:
            assert read(data)[1]
        except FileRefusedError as error:
            assert error.code in REASONS  # noqa: PT017 - either way is right for random bytes


def test_headers_are_compared_without_case_accents_and_marks() -> None:
    assert folded("  Số ĐIỆN-thoại (*)") == "so dien thoai"
    assert [letters(at) for at in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


# ---------------------------------------------------------------- the report


def test_a_report_is_a_csv_that_excel_opens_with_the_zeros_of_its_numbers() -> None:
    entries = [
        Entry(2, "912345678", "repaired", "84912345678"),
        Entry(3, "01234567890", "converted", "84834567890"),
        Entry(9, "0912345678", "duplicate", "84912345678", "duplicate", 2),
        Entry(10, "113", "rejected", "", "short_code"),
        Entry(11, "0912345679", "rejected", "", "field_missing: ho_ten"),
        Entry(12, "02838212345", "duplicate", "842838212345", "duplicate_earlier"),
    ]
    report = head_of_report() + part_of_report(entries)
    assert report.startswith(codecs.BOM_UTF8)
    assert report.decode("utf-8-sig").split("\r\n") == [
        "Dòng,Số trong tệp,Kết quả,Số sẽ gọi,Lý do,Mã",
        "2,912345678,Đã sửa,0912 345 678,"
        '"Số được viết khác thường, ví dụ mất số 0 ở đầu; đã sửa lại",repaired',
        "3,01234567890,Đã đổi đầu số,0834 567 890,Số di động 11 chữ số cũ; đã đổi sang đầu số mới,converted",
        "9,0912345678,Trùng,0912 345 678,Trùng với dòng 2,duplicate",
        '10,113,Không nhận,,"Số ngắn (khẩn cấp hoặc dịch vụ), không gọi được",short_code',
        "11,0912345679,Không nhận,,Thiếu thông tin bắt buộc: ho_ten,field_missing: ho_ten",
        "12,02838212345,Trùng,02838 212 345,Số đã có trong chiến dịch từ trước,duplicate_earlier",
        "",
    ]


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+84912345678", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "\u00a0=cmd|' /C calc'!A0"],
)
def test_no_cell_of_a_report_is_a_formula(text: str) -> None:
    assert safe_cell(text).startswith("'")
    assert b",'" in part_of_report([Entry(1, text, "rejected", "", "foreign")]).replace(b'"', b"")


@given(st.text(max_size=50))
def test_no_text_can_begin_a_formula_or_break_a_row(text: str) -> None:
    cell = safe_cell(text)
    assert not cell.lstrip(" \u00a0").startswith(("=", "+", "-", "@", "\t", "\r"))
    assert part_of_report([Entry(1, text, "rejected", "", "foreign")]).endswith(b",foreign\r\n")


@pytest.mark.parametrize(
    ("given_", "code", "told"),
    [
        ("8.4912E+10", "not_a_number", "digits_lost"),
        ("8,49E10", "not_a_number", "digits_lost"),
        ("  ", "not_a_number", "number_missing"),
        ("Tổng cộng", "not_a_number", "not_a_number"),
        ("8.4912E+10", "duplicate", "duplicate"),
    ],
)
def test_digits_that_excel_lost_and_empty_cells_are_named(given_: str, code: str, told: str) -> None:
    assert told_code(given_, code) == told


def test_a_table_can_be_gone_through_again(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(csv(LIST))
    table: Table = open_table(path, "csv")
    assert list(table.rows()) == list(table.rows())
