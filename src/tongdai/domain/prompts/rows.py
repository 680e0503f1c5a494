"""Rows of digits without a unit: the words around them say what they are. Pure."""

from __future__ import annotations

import re
from typing import Final

from tongdai.domain.prompts.amounts import NUMBER, SIGN, SIGN_WORDS, read_number
from tongdai.domain.prompts.context import Kind, Place
from tongdai.domain.prompts.moments import day_and_month, is_day
from tongdai.domain.prompts.reading import (
    MOST_DIGITS,
    group_digits,
    read_day,
    read_digits,
    read_int,
    read_month,
    read_ordinal,
    read_whole,
    spell_digits,
)

PLAIN: Final = rf"(?<!\d[.,]){SIGN}{NUMBER}(?: ?- ?{NUMBER})?"
_PARTS = re.compile(rf"([-+]?)({NUMBER})(?: ?- ?({NUMBER}))?")
_CALENDAR: Final = frozenset(
    {"ngày", "tháng", "năm", "giờ", "phút", "mùng", "mồng", "tuần", "quý", "thứ", "lúc"}
)


def read_plain(text: str, place: Place) -> str:
    """A number, or two with a dash, that has no unit: the words around it say what it is."""
    found = _PARTS.fullmatch(text)
    if found is None:
        return read_digits(text)
    sign, first, second = found.groups()
    if second:
        return SIGN_WORDS[sign] + _read_pair(first, second, place)
    if not first.isdecimal():
        return SIGN_WORDS[sign] + _read_marked(first, place)
    return SIGN_WORDS[sign] + _read_row(first, place)


_DATED: Final = frozenset({"ngày", "sale", "deal"})
_OF_A_LIST = re.compile(r"(?:thứ|tháng) [0-9]{1,2}(?:(?:, ?| và |, và )[0-9]{1,2}){0,6}(?:, ?| và |, và )$")


def _read_marked(number: str, place: Place) -> str:
    """A number with points or commas: after `ngày` a day may be among these, after `phiên bản` no decimal."""
    leading_zero = number[0] == "0" and number[1].isdecimal()
    if leading_zero or (place.kind() in ("code", "secret") and not place.counts()):
        return ", ".join(group_digits(part) for part in re.split(r"[.,]", number))
    first, *rest = re.split(r"[.]", number)
    if len(rest) == 1 and rest[0].isdecimal():
        if place.last_word in _DATED and not place.is_money() and _is_date_pair(first, rest[0]):
            return day_and_month(int(first), int(rest[0]), place)
        if place.last_word in ("bản", "version"):
            return f"{read_whole(first)} chấm {read_whole(rest[0])}"
    return read_number(number)


def _read_pair(first: str, second: str, place: Place) -> str:
    if not (first.isdecimal() and second.isdecimal()):
        return f"{read_number(first)} đến {read_number(second)}"
    if place.last_word == "ngày" and "tháng" not in place.after[:7] and _is_date_pair(first, second):
        return day_and_month(int(first), int(second), place)
    kind = place.kind()
    if kind in ("code", "secret", "phone") and not place.counts():
        return f"{group_digits(first)}, {group_digits(second)}"
    if _is_range(first, second, place):
        again = f"{place.last_word} " if place.last_word in ("tháng", "thứ") else ""
        return f"{_read_row(first, place)} đến {again}{_read_row(second, place)}"
    if "0" in (first[0], second[0]) and len(first + second) > 2:
        return f"{group_digits(first)}, {group_digits(second)}"
    return f"{read_whole(first)}, {read_whole(second)}"


def _is_range(first: str, second: str, place: Place) -> bool:
    if max(len(first), len(second)) > MOST_DIGITS or int(first) >= int(second):
        return False
    without_zeros = (first[0] != "0" or first == "0") and second[0] != "0"
    return without_zeros or place.last_word in _CALENDAR or place.counts()


def _is_date_pair(first: str, second: str) -> bool:
    return len(first) <= 2 and len(second) <= 2 and is_day(int(first), int(second))


def _read_row(digits: str, place: Place) -> str:
    """Digits without a mark."""
    if place.is_money():
        return read_whole(digits)
    if place.last_word in _CALENDAR and len(digits) <= 4:
        return _after_calendar_word(int(digits), place)
    if digits == "4" and _OF_A_LIST.search(place.before[-32:]):
        return "tư"
    kind = place.is_named_after() or place.kind()
    if place.counts() and len(digits) <= (4 if kind in ("secret", "code") else 2 if digits[0] == "0" else 15):
        return read_whole(digits)
    if _is_code(digits, kind, place):
        return spell_digits(digits) if kind == "secret" else group_digits(digits)
    return read_whole(digits)


def _is_code(digits: str, kind: Kind, place: Place) -> bool:
    if digits[0] == "0" and len(digits) > 1:
        return True
    if kind in ("secret", "code", "amount"):
        return kind != "amount"
    if kind == "phone":
        return len(digits) >= 3
    if kind == "item" or place.last_word == "số":
        return len(digits) >= 5 and not digits.endswith("000")
    return len(digits) >= 6 and not digits.endswith("00")


def _after_calendar_word(number: int, place: Place) -> str:
    word = place.last_word
    if word == "thứ":
        return read_ordinal(number)
    if word == "tháng":
        return read_month(number)
    if word == "ngày" and 1 <= number <= 10 and _names_a_day(place):
        return read_day(number)
    return read_int(number)


_END_OF_A_DAY = re.compile(r" ?(?:tháng|này|âm lịch|hàng tháng|(?:và|đến|hoặc|hay) \d|[.,;!?)]|$)")


def _names_a_day(place: Place) -> bool:
    """`ngày 5 tháng 11`, `vào ngày 5.`; not `mỗi ngày 5 lần`."""
    if re.search(r"(?:mỗi|một|hai|ba|\d|hàng|hằng) ngày ?$", place.before):
        return False
    return (
        re.match(r" ?(?:tháng|này|âm lịch|hàng tháng|(?:và|đến|hoặc|hay) \d|[.,;!?)]|$)", place.after)
        is not None
    )


def read_spaced(text: str, place: Place) -> str:
    """Rows of digits with a space between: one number, one code in groups, or several numbers."""
    rows = text.split(" ")
    kind = place.kind()
    thousands = len(rows[0]) <= 3 and rows[0][0] != "0" and all(len(row) == 3 for row in rows[1:])
    if thousands and (place.is_money() or kind == "amount"):
        return read_whole("".join(rows))
    if kind in ("secret", "code", "phone") or text[0] == "0" or sum(map(len, rows)) >= 9:
        return ", ".join(group_digits(row) for row in rows)
    return " ".join(read_whole(row) if row[0] != "0" else group_digits(row) for row in rows)
