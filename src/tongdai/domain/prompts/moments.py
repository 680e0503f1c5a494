"""Dates and times of day as words. Pure."""

from __future__ import annotations

import re
from typing import Final

from tongdai.domain.prompts.context import Place
from tongdai.domain.prompts.reading import group_digits, read_day, read_int, read_month, read_whole

_NUMBERS = re.compile(r"\d+")
_DAY_WORDS: Final = frozenset({"ngày", "mùng", "mồng", "hôm"})
_DATE_WORDS: Final = frozenset({
    "ngày", "mùng", "mồng", "hôm", "sáng", "trưa", "chiều", "tối", "đêm", "lễ", "dịp", "từ", "đến", "tới",
    "trước", "sau", "hạn", "vào", "nhật", "nghỉ", "tết", "qua", "khánh",
})  # fmt: skip
_AFTER_A_DAY = re.compile(r"\d/\d{1,2} ?(?:-|và|,|đến|hoặc|hay) ?$")
_OF_A_YEAR: Final = frozenset({"quý", "lần", "đợt", "số", "khóa", "khoá"})
_BARE: Final = frozenset({"mùng", "mồng", "đường", "phố", "cầu"})
_PART_OF: Final = frozenset({
    "kỳ", "đợt", "trang", "bài", "tập", "điểm", "bước", "lượt", "thứ", "số", "nhà", "ngõ", "hẻm", "ngách",
})  # fmt: skip
_WEEKDAY = re.compile(r"thứ (?:hai|ba|tư|năm|sáu|bảy|[2-7]),? ?$")
_NO_MINUTE_WORD = re.compile(r" ?(?:phút|')")
_HALVES: Final = {"am": "sáng", "sa": "sáng", "pm": "", "ch": ""}


def is_day(day: int, month: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= (29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31)


def full_year(year: str) -> int:
    """Two digits are a year of 1950 to 2049."""
    if len(year) != 2:
        return int(year)
    return int(year) + (2000 if int(year) < 50 else 1900)


def read_date(text: str, place: Place) -> str:
    """Day, month and year in any order of these that is a date; else three numbers."""
    first, second, third = _NUMBERS.findall(text)[:3]
    if len(first) == 4:
        first, third = third, first
    day, month = int(first), int(second)
    if not is_day(day, month) and is_day(month, day):
        day, month = month, day
    if not is_day(day, month):
        if place.kind() in ("code", "secret"):
            return ", ".join(group_digits(row) for row in _NUMBERS.findall(text)[:3])
        apart = " trên " if "/" in text else ", "
        return apart.join(read_whole(number) for number in _NUMBERS.findall(text)[:3])
    return f"{day_and_month(day, month, place)} năm {read_int(full_year(third))}"


def day_and_month(day: int, month: int, place: Place) -> str:
    return f"{_day(day, place)} tháng {read_month(month)}"


def _day(day: int, place: Place) -> str:
    """With `ngày` before it, unless the text has it; a street is named after the bare day."""
    if place.last_word in _BARE:
        return read_int(day)
    return read_day(day) if place.last_word == "ngày" else f"ngày {read_day(day)}"


def read_days_of_month(text: str, place: Place) -> str:
    """`10-15/11` and `10-15/11/2026`; days that do not follow each other are not one period."""
    first, second, month, *year = _NUMBERS.findall(text)
    if not (is_day(int(second), int(month)) and 1 <= int(first) < int(second)):
        rest = Place.of(place.text, place.start + len(first), place.end)
        return f"{read_whole(first)}, {read_date_or_ratio(f'{second}/{month}', rest)}"
    words = f"{_day(int(first), place)} đến ngày {read_day(int(second))} tháng {read_month(int(month))}"
    return f"{words} năm {read_int(full_year(year[0]))}" if year else words


def read_month_of_year(text: str, place: Place) -> str:
    """`11/2026`; what is no month is a ratio (`91/2020`)."""
    month, year = _NUMBERS.findall(text)
    if place.last_word in _OF_A_YEAR and place.after[:1] != "/":
        return f"{read_whole(month)} năm {read_int(int(year))}"
    if not 1 <= int(month) <= 12:
        return f"{read_whole(month)} trên {read_whole(year)}"
    before = "" if place.last_word in ("tháng", "t") else "tháng "
    return f"{before}{read_month(int(month))} năm {read_int(int(year))}"


def read_months_of_year(text: str, place: Place) -> str:
    """`01-04/2026`."""
    first, second, year = _NUMBERS.findall(text)
    if not 1 <= int(first) < int(second) <= 12:
        return f"{read_whole(first)}, {read_whole(second)} trên {read_whole(year)}"
    before = "" if place.last_word == "tháng" else "tháng "
    return f"{before}{read_month(int(first))} đến tháng {read_month(int(second))} năm {read_int(int(year))}"


def read_date_or_ratio(text: str, place: Place) -> str:
    """`21/11` is a day; `1/2` a fraction, unless the words around it speak of days; `24/7` a ratio."""
    first, second = _NUMBERS.findall(text)
    left, right = int(first), int(second)
    if place.last_word in _PART_OF or place.after.startswith(" điểm"):
        return f"{read_whole(first)} trên {read_whole(second)}"
    if is_day(left, right) and (_speaks_of_days(place) or _must_be_a_day(first, second)):
        return day_and_month(left, right, place)
    if 0 < left < right <= 10 and first[0] != "0":
        return f"{read_int(left)} phần {'tư' if right == 4 else read_int(right)}"
    return f"{read_whole(first)} trên {read_whole(second)}"


def _must_be_a_day(first: str, second: str) -> bool:
    proper_fraction = int(first) < int(second) <= 10
    return "0" in (first[0], second[0]) or not (proper_fraction or (first, second) == ("24", "7"))


def _speaks_of_days(place: Place) -> bool:
    return (
        place.last_word in _DATE_WORDS
        or place.last_word in _BARE
        or _AFTER_A_DAY.search(place.before[-16:]) is not None
        or _WEEKDAY.search(place.before[-16:]) is not None
        or re.match(r" ?(?:năm \d{4}|âm lịch|dương lịch|này|tới|- ?\d{1,2}/\d)", place.after) is not None
    )


def read_clock(text: str, place: Place) -> str:
    """`08:30`, `8h30`, `8h`, `8:30 PM`, `08:30:15`. What is no time of day is a ratio or a duration."""
    hour, minute, second, *_ = [*map(int, _NUMBERS.findall(text)), 0, 0]
    if ":" in text and (hour > 24 or minute > 59):
        return " trên ".join(read_whole(number) for number in _NUMBERS.findall(text))
    half = re.search(r"(am|pm|sa|ch)$", text.lower())
    part_of_day = ""
    if half:
        hour, part_of_day = _twelve_hours(hour, half[1])
    words = f"{read_int(hour)} giờ"
    if minute or second:
        minute_word = "" if _NO_MINUTE_WORD.match(place.after) else " phút"
        words += f" {read_int(minute)}{minute_word}"
    if second:
        words += f" {read_int(second)} giây"
    return f"{words} {part_of_day}".rstrip()


def _twelve_hours(hour: int, half: str) -> tuple[int, str]:
    """The hour as said and the part of the day: 8 PM → 8, `tối`; what is beyond 12 says it by itself."""
    if hour > 12:
        return hour, ""
    if _HALVES[half]:
        return hour, _HALVES[half]
    if hour in (12, 1):
        return hour, "trưa"
    return hour, "chiều" if hour < 6 else "tối"
