"""What is said for what is written."""

from __future__ import annotations

import re
import time
import unicodedata
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.number_words import NotANumberError, cldr, digits, value

from tongdai.domain.prompts.reading import (
    MOST_DIGITS,
    group_digits,
    read_decimal,
    read_int,
    read_whole,
    spell_digits,
)
from tongdai.domain.prompts.speakable import speakable, speakable_pieces

CASES = [
    tuple(part.strip() for part in line.split("=>"))
    for line in Path(__file__).with_name("speakable_cases.txt").read_text(encoding="utf-8").splitlines()
    if "=>" in line and not line.startswith("# ")
]
SYLLABLES = [
    "xin", "chào", "quý", "khách", "đơn", "của", "bạn", "đã", "được", "giao", "ngay", "hôm", "nay", "nhé",
    "cảm", "ơn", "Lan", "Nguyễn", "Ỷ", "Đức", "nghiêng", "khuỷu", "thuở", "ưỡn", "quạnh", "giữa", "yêu",
    "oải", "loắt", "choắt", "Đắk", "Ê", "Đê", "ăn", "uống", "ừ", "ạ", "năm", "tháng", "đồng", "mã", "số",
]  # fmt: skip
WRITTEN = st.text(max_size=60) | st.text(
    alphabet="0123456789.,:/-+ đkhtrTQIVXAĐB%$₫*#'\"()@_&<>;!?năm mã ngày\u0301\u0323\u200b\n", max_size=60
)
SAID = re.compile(r"(?:[^\W\d_]|[\s.,;:!?'\u0300-\u036f]|[^\x00-\u1fff])*")
"""Letters and pauses; of other scripts anything that is written in them."""


# Written cases


def test_there_are_two_hundred_written_cases_and_each_is_another() -> None:
    assert len(CASES) >= 200
    assert len({written for written, _ in CASES}) == len(CASES)


@pytest.mark.parametrize(("written", "said"), CASES)
def test_text_is_read_as_a_vietnamese_speaker_reads_it(written: str, said: str) -> None:
    assert speakable(written) == said


def test_the_reference_says_what_is_said() -> None:
    reference = (Path(__file__).parents[2] / "docs/reference/speech.md").read_text(encoding="utf-8")
    tables = reference[reference.index("## How text is read") : reference.index("### Sentences in pieces")]
    rows = re.findall(r"^\| `([^`]+)`.*? \| (.+) \|$", tables, re.MULTILINE)
    # What these rows say is a rule, without the words of their first example.
    rules = {"1.500.000đ", "5/12", "11/21/2026", "11/2026", "(miễn phí)"}
    assert len(rows) > 30
    assert {written for written, said in rows if speakable(written) not in said} == rules


def test_text_in_decomposed_letters_is_read_like_composed() -> None:
    decomposed = [(unicodedata.normalize("NFD", written), said) for written, said in CASES]
    assert [(written, said) for written, said in decomposed if speakable(written) != said] == []


def test_what_was_made_speakable_stays_as_it_is() -> None:
    assert [said for _, said in CASES if speakable(said) != said] == []


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Xin chào 😀 anh 👨‍👩‍👧 Nam 🇻🇳!", "Xin chào anh Nam!"),
        ("Phím 1️⃣ và phím 2️⃣", "Phím một và phím hai"),
        ("Xin\u200bchào\ufeff, anh\u00ad", "Xinchào, anh"),
        ("Xin\u0000 chào\x07\x1b", "Xin chào"),
        ("Xin\u00a0chào\t\tanh", "Xin chào anh"),
        ("Xin chào\nHẹn gặp lại", "Xin chào. Hẹn gặp lại"),
        ("Xin chào,\r\n\r\nHẹn gặp lại.\n", "Xin chào, Hẹn gặp lại."),
        ("０９１２３４５６７８", "không chín một hai, ba bốn năm, sáu bảy tám"),
        ("١٢٣", "một trăm hai mươi ba"),
        ("<p>Xin <b>chào</b></p><p>Anh Nam</p>", "Xin chào. Anh Nam"),
        ("Xin chào<br/>anh", "Xin chào. anh"),
        ("Tôm &amp; Cua", "Tôm và Cua"),
        ("5&nbsp;kg", "năm ki lô gam"),
        ("&lt;b&gt;Chào&lt;/b&gt;", "Chào"),
        ("a < b", "a nhỏ hơn b"),
        ("\ud800 chào", "chào"),
    ],
)
def test_what_has_no_sound_is_left_out(written: str, said: str) -> None:
    assert speakable(written) == said


# Numbers


@pytest.mark.parametrize(
    "words",
    [
        "hai mươi một", "mười năm", "ba mươi năm", "hai mươi bốn", "một trăm năm", "một nghìn năm",
        "một triệu lẻ năm", "không trăm lẻ một", "một mươi hai", "mốt", "lăm", "", "tỷ", "nghìn",
        "một trăm lẻ mười",
    ],
)  # fmt: skip
def test_the_reader_that_ours_is_held_against_refuses_what_nobody_says(words: str) -> None:
    with pytest.raises(NotANumberError):
        value(words)


@given(st.integers(-(10**36), 10**36) | st.integers(0, 10**6) | st.integers(0, 18).map(lambda n: 10**n))
@example(10**18)
@example(10**18 + 5)
@example(10**27)
@example(1_000_000_001_000_000_000)
def test_every_number_is_heard_as_what_it_is(number: int) -> None:
    assert value(read_int(number)) == number


def test_every_number_below_a_hundred_thousand_is_heard_as_what_it_is() -> None:
    assert all(value(read_int(number)) == number for number in range(100_000))


@given(st.integers(0, 10**6 - 1))
def test_numbers_below_a_million_are_read_as_unicode_publishes_it(number: int) -> None:
    assert read_int(number) == cldr(number)


@given(st.lists(st.integers(100, 999), min_size=1, max_size=3), st.integers(0, 3))
def test_larger_numbers_are_read_as_unicode_publishes_it(groups: list[int], zeros: int) -> None:
    # With a group below a hundred after a million CLDR says `một triệu lẻ năm`; people and banks say
    # `một triệu không trăm lẻ năm`.
    number = int("".join(map(str, groups)) + "000" * min(zeros, 3 - len(groups)))
    assert read_int(number) == cldr(number)


@given(st.integers(1_000, 10**12))
def test_a_sum_is_the_same_however_it_is_written(number: int) -> None:
    said = f"{read_int(number)} đồng"
    dots, commas = f"{number:,}".replace(",", "."), f"{number:,}"
    for written in (number, dots, commas):
        for unit in ("đ", " đ", " đồng", "VND", " VNĐ", "₫"):
            assert speakable(f"{written}{unit}") == said
    for pieces in ([str(number), "đồng"], [dots, " đồng"], ["", commas, "đ"]):
        assert " ".join(filter(None, speakable_pieces(pieces))) == said


@given(st.integers(0, 10**9), st.from_regex(r"[0-9]{1,6}", fullmatch=True))
def test_a_decimal_is_heard_as_what_it_is(whole: int, fraction: str) -> None:
    before, _, after = read_decimal(str(whole), fraction).partition(" phẩy ")
    assert value(before) == whole
    as_number = len(fraction) <= 2 and fraction[0] != "0"
    assert str(value(after)) == fraction if as_number else digits(after) == fraction


@given(st.text(alphabet="0123456789", min_size=1, max_size=40))
def test_a_row_of_digits_is_said_digit_by_digit(row: str) -> None:
    assert digits(spell_digits(row)) == digits(group_digits(row)) == row
    assert spell_digits(row).count(",") == len(row) - 1
    assert max(len(group.split()) for group in group_digits(row).split(",")) <= 4


def test_what_is_no_digit_is_left_out_of_a_code() -> None:
    assert spell_digits("1-2 a٣") == "một, hai"
    assert spell_digits("") == ""


@given(st.integers(MOST_DIGITS + 1, 6_000))
@settings(max_examples=5)
def test_a_number_too_long_to_grasp_is_said_digit_by_digit(length: int) -> None:
    row = "9" * length
    assert digits(read_whole(row)) == digits(speakable(row)) == row


@given(st.from_regex(r"[0-9]{4,10}", fullmatch=True))
def test_a_code_is_said_digit_by_digit_and_a_secret_with_a_pause_after_each(code: str) -> None:
    for words in ("Mã OTP của quý khách là", "OTP:", "Mã xác thực"):
        assert speakable_pieces([words, code])[1] == spell_digits(code)
    for words in ("Mã đơn hàng của bạn là", "Số tài khoản:", "CCCD", "Mã khách hàng"):
        assert digits(speakable_pieces([words, code])[1]) == code


@given(st.from_regex(r"0(?:[35789][0-9]|2[48][0-9]|236)[0-9]{7}", fullmatch=True))
def test_a_telephone_number_is_said_digit_by_digit(number: str) -> None:
    assert digits(speakable(number)) == number
    for written in (f"{number[:4]} {number[4:7]} {number[7:]}", f"{number[:4]}.{number[4:7]}.{number[7:]}"):
        assert digits(speakable(written)) == number
    assert speakable(f"+84{number[1:]}").startswith("cộng tám bốn, ")


# Days and hours


def heard(words: str) -> tuple[int, int, int | None]:
    """Day, month and year of what is said. `năm` is both five and year: the year is what has a thousand."""
    day, _, rest = words.removeprefix("ngày ").partition(" tháng ")
    year = re.search(r" năm (\w+ nghìn.*)$", rest)
    month = rest[: year.start()] if year else rest
    mung = day.startswith("mùng ")
    number = value(day.removeprefix("mùng "))
    assert mung == (number <= 10)
    assert month != "bốn"
    return number, 4 if month == "tư" else value(month), value(year[1]) if year else None


@given(st.dates(date(1950, 1, 1), date(2099, 12, 31)))
def test_a_date_is_heard_as_what_it_is_however_it_is_written(day: date) -> None:
    d, m, y = day.day, day.month, day.year
    for written in (
        f"{d}/{m}/{y}",
        f"{d:02}/{m:02}/{y}",
        f"{d:02}-{m:02}-{y}",
        f"{d}.{m}.{y}",
        day.isoformat(),
    ):
        assert heard(speakable(written)) == (d, m, y)
        assert heard(speakable(f"ngày {written}")) == (d, m, y)
    assert heard(speakable(f"đến {d}/{m}").removeprefix("đến ")) == (d, m, None)
    assert speakable(f"ngày {d}/{m}") == speakable(f"đến {d}/{m}").removeprefix("đến ")


@given(st.times())
def test_a_time_of_day_is_heard_as_what_it_is(at: object) -> None:
    hour, minute = at.hour, at.minute  # type: ignore[attr-defined]
    for written in (
        f"{hour}:{minute:02}",
        f"{hour:02}:{minute:02}",
        f"{hour}h{minute:02}",
        f"{hour}g{minute:02}",
    ):
        hours, _, minutes = speakable(written).removesuffix(" phút").partition(" giờ")
        assert (value(hours), value(minutes.strip() or "không")) == (hour, minute)


@given(st.dates(date(2000, 1, 1), date(2040, 1, 1)), st.integers(1, 40))
def test_a_period_goes_from_one_day_to_another(first: date, days: int) -> None:
    last = first + timedelta(days)
    words = speakable(f"từ {first:%d/%m/%Y} - {last:%d/%m/%Y}").removeprefix("từ ").split(" đến ")
    assert [heard(day) for day in words] == [(day.day, day.month, day.year) for day in (first, last)]


# Any text


@given(st.lists(st.sampled_from(SYLLABLES), min_size=1, max_size=30), st.sampled_from(["", ".", "!", "?"]))
def test_plain_words_pass_through_untouched(words: list[str], end: str) -> None:
    text = " ".join(words) + end
    assert speakable(text) == text
    assert speakable(", ".join(words) + end) == ", ".join(words) + end


@given(WRITTEN)
@settings(max_examples=400)
def test_whatever_the_text_words_and_pauses_come_out(text: str) -> None:
    said = speakable(text)
    assert SAID.fullmatch(said), said
    assert not re.search(r"[0-9]|[.,;:!?] ?[.,;:!?]|  |\s$|^[\s.,;:!?]", said)


@pytest.mark.parametrize(
    "text",
    [
        "9" * 20_000, "1 " * 10_000, "1." * 10_000, "1-" * 10_000, "12/" * 7_000, "A1-" * 7_000,
        "a." * 10_000,
        "a" * 20_000 + "@", "<" * 20_000, "<a" * 10_000, "(" * 20_000, " " * 20_000 + "x", "0 9" * 7_000,
        "a\u0301\u0316" * 7_000, "- " * 10_000, "a-" * 10_000 + ".com", "http://" * 3_000, "\n \n" * 7_000,
        "Mã 1 " * 4_000, "+84" * 7_000, "a.b-c+" * 4_000, "&amp;" * 4_000, "1,5tr5 " * 3_000, "'1" * 7_000,
    ],
    ids=lambda text: f"{text[:6]!r}…",
)  # fmt: skip
def test_no_text_keeps_a_process_from_its_work(text: str) -> None:
    began = time.process_time()
    speakable(text)
    assert time.process_time() - began < 2


def test_a_sentence_costs_less_than_a_millisecond() -> None:
    # Measured: 0.05 to 0.25 ms. The bound leaves room for a busy machine.
    sentences = [written for written, _ in CASES]
    began = time.process_time()
    for sentence in sentences:
        speakable(sentence)
    assert (time.process_time() - began) / len(sentences) < 0.001


# Sentences in pieces

TEMPLATES = [
    ["Xin chào ", ". Đơn hàng ", " dự kiến giao ngày ", ", số tiền ", " đồng."],
    ["Mã OTP của bạn là ", ", hết hạn sau ", " phút. Gọi ", " (nhánh ", ") để được hỗ trợ."],
    ["KH ", "/", " nợ ", "đ - hạn ", ""],
    ["", "", " ", "-", "%"],
]
VALUES = st.sampled_from(
    [
        "Lan", "NGUYỄN VĂN A", "1500000", "1.500.000", "21/11/2026", "21", "0912345678", "123456",
        "AB12-3456", "8:30", "", " ", "50k", "TP.HCM", "5", "-5", "2,5", "Q.1", "!", "a@b.vn",
    ]
)  # fmt: skip


def words(text: str) -> list[str]:
    return re.findall(r"[^\s.,;:!?]+", text)


@given(st.sampled_from(TEMPLATES), st.lists(VALUES, min_size=4, max_size=4))
@settings(max_examples=400)
def test_a_sentence_in_pieces_is_heard_as_the_whole(fixed: list[str], values: list[str]) -> None:
    pieces = [piece for pair in zip(fixed, values, strict=False) for piece in pair] + fixed[4:]
    # Digits of two fields that touch are kept apart in pieces: nobody means one number by them.
    touching = any(a[-1:].isalnum() and b[:1].isalnum() for a, b in pairwise(filter(None, pieces)))
    said = speakable_pieces(pieces)
    assert len(said) == len(pieces)
    if not touching:
        assert words(" ".join(said)) == words(speakable("".join(pieces)))


@given(st.lists(WRITTEN, max_size=6))
def test_as_many_pieces_come_out_as_went_in_whatever_they_are(pieces: list[str]) -> None:
    said = speakable_pieces(pieces)
    assert len(said) == len(pieces)
    for piece in said:
        assert SAID.fullmatch(piece), piece
        assert not re.search(r"[0-9]|[.,;:!?] ?[.,;:!?]|  |\s$|^[\s.,;:!?]", piece)


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (["Mã đơn hàng của bạn là", "123456"], ["Mã đơn hàng của bạn là", "một hai ba, bốn năm sáu"]),
        (["Số tiền", "1500000", "đồng"], ["Số tiền", "một triệu năm trăm nghìn", "đồng"]),
        (["Số tiền ", "123456", " đồng"],
         ["Số tiền", "một trăm hai mươi ba nghìn bốn trăm năm mươi sáu", "đồng"]),
        (["lúc", "8:30"], ["lúc", "tám giờ ba mươi phút"]),
        (["vào ngày ", "5/11", "."], ["vào ngày", "mùng năm tháng mười một.", ""]),
        (["vào ", "5/11", "."], ["vào", "ngày mùng năm tháng mười một.", ""]),
        (["Xin chào ", "Lan", ". Hẹn gặp lại."], ["Xin chào", "Lan.", "Hẹn gặp lại."]),
        (["giảm ", "50", "k nhé"], ["giảm", "năm mươi nghìn", "nhé"]),
        (["giảm ", "10", "%."], ["giảm", "mười phần trăm.", ""]),
        (["giá $", "50", "."], ["giá", "năm mươi đô la.", ""]),
        (["mã DH", "1234"], ["mã", "dê hát một hai ba bốn"]),
        (["ngày ", "21", "/", "11", "/", "2026"],
         ["ngày", "hai mươi mốt tháng mười một năm hai nghìn không trăm hai mươi sáu", "", "", "", ""]),
        (["", "Lan", ""], ["", "Lan", ""]),
        (["Xin chào ", "", ", hẹn gặp lại"], ["Xin chào,", "", "hẹn gặp lại"]),
        ([], []),
        (["", " "], ["", ""]),
        (["thứ ", "4"], ["thứ", "tư"]),
        (["mã OTP ", "0105"], ["mã ô tê pê", "không, một, không, năm"]),
    ],
)  # fmt: skip
def test_a_piece_is_read_with_its_neighbours_in_mind(pieces: list[str], said: list[str]) -> None:
    assert speakable_pieces(pieces) == said


@pytest.mark.parametrize("value_", ["1500000", "2350000", "123456", "5"])
def test_fixed_pieces_sound_the_same_for_everybody(value_: str) -> None:
    fixed = ["Số tiền ", " đồng, hạn ngày ", ". Xin cảm ơn."]
    said = speakable_pieces([fixed[0], value_, fixed[1], "21/11/2026", fixed[2]])
    assert (said[0], said[2], said[4]) == ("Số tiền", "đồng, hạn ngày", "Xin cảm ơn.")
