"""Signs, abbreviations and what else stands for words in a text. Pure."""

from __future__ import annotations

import re
from typing import Final

from tongdai.domain.prompts import moments, rows
from tongdai.domain.prompts.context import Place
from tongdai.domain.prompts.reading import group_digits, read_digits, read_int, read_ordinal, read_whole
from tongdai.domain.prompts.spelling import read_capitals, read_code, roman_value, spell_letters
from tongdai.domain.prompts.vocabulary import CURRENCIES

TITLES: Final = {
    "ths": "thạc sĩ", "pgs": "phó giáo sư", "gs": "giáo sư", "ts": "tiến sĩ", "bs": "bác sĩ", "ks": "kỹ sư",
    "ls": "luật sư", "mr": "ông", "mrs": "bà", "ms": "cô", "dr": "tiến sĩ",
}  # fmt: skip
_PLACES: Final = {
    "q": "quận", "p": "phường", "h": "huyện", "x": "xã", "tx": "thị xã", "tt": "thị trấn", "đ": "đường",
    "tp": "thành phố", "kp": "khu phố", "ql": "quốc lộ", "tl": "tỉnh lộ", "no": "số",
}  # fmt: skip
SHORT: Final = {
    "cty": "công ty", "sđt": "số điện thoại", "đt": "điện thoại", "vd": "ví dụ", "stk": "số tài khoản",
    "tphcm": "thành phố Hồ Chí Minh", "tp": "thành phố", "vv": "vân vân", "v.v": "vân vân", "đ/c": "địa chỉ",
}  # fmt: skip
_SYMBOLS: Final = {
    "&": "và", "@": "a còng", "+": "cộng", "=": "bằng", "%": "phần trăm", "‰": "phần nghìn", "<": "nhỏ hơn",
    ">": "lớn hơn", "≤": "nhỏ hơn hoặc bằng", "≥": "lớn hơn hoặc bằng", "×": "nhân", "÷": "chia",
    "^": "mũ", "±": "cộng trừ", "≈": "xấp xỉ", "°": "độ", **dict.fromkeys("()[]{}|", ","),
    **{sign: CURRENCIES[sign] for sign in "$€£¥₫"},
}  # fmt: skip


def read_sign(text: str, place: Place) -> str:
    sign = text[0]
    if sign in ")]}" and not place.after.strip():
        return ""
    if sign in "#*":
        if place.last_word in ("phím", "dấu", "nút", "bấm", "nhấn", "ấn"):
            return "thăng" if sign == "#" else "sao"
        return ""
    if sign == "~":
        return "khoảng" if place.after[:1].isdecimal() else ""
    return _SYMBOLS.get(sign, "")


_TELEPHONE = re.compile(r"0\d{8}")
_TIME = re.compile(r"(?:giây|phút|giờ|ngày|tuần|tháng|quý|năm|lần|người|lượt)(?!\w)")
_MEASURED = re.compile(r"\d ?\w{1,8}$")


def read_slash(text: str, place: Place) -> str:
    """`anh/chị` is `anh chị`; after an amount, `/tháng` is `một tháng`."""
    before = place.text[place.start - 1 : place.start]
    if not place.after[:1].isdecimal():
        per_one = before.isdecimal() and place.after[:1].islower()
        return "một" if per_one or place.follows_money() or _is_rate(place) else ""
    if before.isupper():
        return ""
    if _TELEPHONE.match(place.after):
        return ","
    return "cho" if place.follows_money() else "trên"


def _is_rate(place: Place) -> bool:
    """`200GB/tháng`."""
    return _TIME.match(place.after) is not None and _MEASURED.search(place.before[-10:]) is not None


_DASH_TO = re.compile(r"(?:(?!0\d+(?![\dhg:/.-]))\d|t[2-7]|\$|thứ |ngày |tháng |cn(?!\w))", re.IGNORECASE)
_DASH_FROM = re.compile(
    r"(?:\d ?(?:h|p|k|tr|đ|₫|%|vnđ|vnd|usd|\$|am|pm|sa|ch)?|thứ \w{1,7}|sáng|trưa|chiều|tối|đêm"
    r"|\d ?(?:triệu|nghìn|ngàn|tỷ|tỉ|đồng|ngày|tháng|năm|tuổi|phút|giờ))$"
)


def read_dash(text: str, place: Place) -> str:
    """`từ … đến`, a pause between words, nothing within a word."""
    if _DASH_TO.match(place.after) and _DASH_FROM.search(place.before[-16:].rstrip()):
        return "đến"
    between_digits = place.before[-1:].isdecimal() and place.after[:1].isdecimal()
    return "," if len(text) > 1 or between_digits else ""


def read_keys(text: str, place: Place) -> str:
    """`*101#`, as it is keyed."""
    words = {"*": "sao", "#": "thăng"}
    return " ".join(words.get(key) or read_digits(key) for key in text)


def read_abbreviation(text: str, place: Place) -> str:
    word = text.lower().rstrip(". ")
    if len(word) == 1 and "." not in text and place.kind() in ("code", "secret"):
        return spell_letters(word)
    return SHORT.get(word) or TITLES.get(word) or _PLACES.get(word) or text


def read_weekday(text: str, place: Place) -> str:
    return f"thứ {read_ordinal(int(text[1:]))}"


def read_hyphened(text: str, place: Place) -> str:
    """`1234-5678-9012`: rows of digits."""
    return ", ".join(group_digits(part) for part in re.findall(r"\d+", text))


def read_dong(text: str, place: Place) -> str:
    """`100 ngàn đ`."""
    return "đồng" if place.follows_money() else text


def read_weekdays(text: str, place: Place) -> str:
    """`T2-T4-T6`, `2-4-6`: more than two are no period."""
    return ", ".join(
        read_whole(day) if "T" not in text else read_weekday(day, place) for day in text.split("-")
    )


def read_masked(text: str, place: Place) -> str:
    """`****1234`: what is left of a card's number."""
    return f", {read_digits(text)}"


def read_short_month(text: str, place: Place) -> str:
    return moments.read_month_of_year(text[1:], place)


def read_quarter(text: str, place: Place) -> str:
    quarter, year = text.split("/")
    number = int(quarter[1]) if quarter[0] == "Q" else roman_value(quarter)
    return f"{'' if place.last_word == 'quý' else 'quý '}{read_int(number)} năm {read_int(int(year))}"


def read_iso_time(text: str, place: Place) -> str:
    return f", {moments.read_clock(text[1:6], place)}"


def read_network(text: str, place: Place) -> str:
    return f"{read_int(int(text[0]))} gờ"


def read_ratio(text: str, place: Place) -> str:
    words = " trên ".join(read_whole(number) for number in re.findall(r"\d+", text))
    return f"{words} giờ" if text[-1] in "hH" else words


def read_day_or_ratio(text: str, place: Place) -> str:
    words = moments.read_date_or_ratio(text.rstrip("hH"), place)
    return f"{words} giờ" if text[-1] in "hH" else words


def read_dotted(text: str, place: Place) -> str:
    """`1.2.3`; an account number with points is a row of digits."""
    parts = text.split(".")
    if place.kind() in ("code", "secret", "item") or any(len(part) > 1 and part[0] == "0" for part in parts):
        return read_hyphened(text, place)
    return " chấm ".join(read_whole(number) for number in text.split("."))


def read_code_in_text(text: str, place: Place) -> str:
    return read_code(text, in_full=place.kind() in ("code", "secret"))


def read_mixed(text: str, place: Place) -> str:
    """`iPhone15`, `covid19`: letters stay, digits are read; after `mã` all of it is spelled."""
    if place.kind() in ("code", "secret"):
        return read_code(text, in_full=True)
    runs = re.findall(r"\d+|\D+", text)
    return " ".join(_run(run, place) for run in runs)


def _run(run: str, place: Place) -> str:
    if run.isdecimal():
        return rows.read_plain(run, place)
    return read_capitals(run, place) if run.isupper() and len(run) > 1 else run


def read_times(text: str, place: Place) -> str:
    return "nhân"


_WEEKDAY_BEFORE = re.compile(r"(?:thứ \w{2,4}|t[2-7])(?: |,|và|&|-){0,4}$")
_DAY_AFTER = re.compile(r",? ?\(?(?:ngày )?\d{1,2}/\d")


def read_capitals_in_text(text: str, place: Place) -> str:
    if text == "CN" and (_WEEKDAY_BEFORE.search(place.before[-16:]) or _DAY_AFTER.match(place.after)):
        return "chủ nhật"
    return read_capitals(text, place)
