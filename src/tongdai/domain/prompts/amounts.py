"""Numbers with and without a unit, ranges, telephone numbers and rows of digits as words. Pure."""

from __future__ import annotations

import re
from typing import Final

from tongdai.domain.prompts.context import Kind, Place
from tongdai.domain.prompts.moments import day_and_month, is_day
from tongdai.domain.prompts.reading import (
    group_digits,
    read_day,
    read_decimal,
    read_digits,
    read_int,
    read_month,
    read_ordinal,
    read_whole,
    spell_digits,
)
from tongdai.domain.prompts.vocabulary import CURRENCIES, MULTIPLES, UNITS

GROUPED: Final = r"\d{1,3}(?:(?:\.\d{3})+(?:,\d+)?|(?:,\d{3})+(?:\.\d+)?)(?![.,]?\d)"
NUMBER: Final = rf"(?:{GROUPED}|\d+(?:[.,]\d+)?(?![.,]?\d))"

# Vietnamese words among the units stay where they are in the text.
_WORDS: Final = {"đồng", "triệu", "nghìn", "ngàn", "tỷ", "tỉ"}
_SIGNS: Final = {
    **UNITS,
    **{unit.upper(): said for unit, said in UNITS.items() if unit in ("km", "cm", "mm", "kg", "mb", "gb")},
    **{form: said for unit, said in CURRENCIES.items() for form in (unit, unit.upper())},
    **{form: said for unit, said in MULTIPLES.items() for form in (unit, unit.upper(), unit.capitalize())},
    "h": "giờ", "H": "giờ",
}  # fmt: skip
# After a space these are rather letters or words of their own.
_GLUED_ONLY: Final = frozenset(
    {"k", "K", "p", "s", "l", "L", "g", "V", "W", "'", "ha", "h", "H", "m", "Đ", "d"}
)


def _one_of(signs: list[str]) -> str:
    return "|".join(re.escape(sign) for sign in sorted(signs, key=len, reverse=True))


# `500d` is money, `2D` is not.
_SIGN = r"(?<=\d{3})d|" + _one_of(
    [sign for sign in _SIGNS if sign.lower() not in _WORDS and sign not in ("d", "D")]
)
_SPACED = _one_of(
    [sign for sign in _SIGNS if sign.lower() not in _WORDS and sign not in _GLUED_ONLY and sign != "D"]
)
SUFFIX: Final = rf"(?:(?:{_SIGN})|\s(?:{_SPACED}))(?![\w])"
PREFIX: Final = r"(?:(?:US|us)?\$|[€£¥₫]) ?"
SIGN: Final = r"(?:(?<![\w.,)%])(?<![\d%đkKh₫] )[-+])?"
QUANTITY: Final = (
    rf"(?<!\d[.,]){SIGN}(?:{PREFIX}{NUMBER}(?:{SUFFIX})?(?: ?- ?(?:{PREFIX})?{NUMBER}(?:{SUFFIX})?)?"
    rf"|{NUMBER}(?: ?- ?{NUMBER})?{SUFFIX}|\d+(?:[.,]\d+)?(?:tr|Tr|TR|k|m)\d{{1,3}}(?!\w))"
)
PER_UNIT: Final = rf" ?/ ?(?:{_one_of([*UNITS, 'h'])})(?!\w)"
IN_SPACED_GROUPS: Final = rf"\d{{1,3}}(?: \d{{3}})+{SUFFIX}"
PLAIN: Final = rf"(?<!\d[.,]){SIGN}{NUMBER}(?: ?- ?{NUMBER})?"

_QUANTITY = re.compile(
    rf"(?P<sign>[-+]?)(?P<before>(?:{PREFIX})?)(?P<first>{NUMBER})(?P<unit>(?:{SUFFIX})?)"
    rf"(?: ?- ?(?:{PREFIX})?(?P<second>{NUMBER})(?P<second_unit>(?:{SUFFIX})?))?"
)
_MIXED = re.compile(r"(\d+(?:[.,]\d+)?)(tr|k|m)(\d{1,3})", re.IGNORECASE)
_PARTS = re.compile(rf"([-+]?)({NUMBER})(?: ?- ?({NUMBER}))?")
_SIGN_WORDS: Final = {"-": "âm ", "+": "cộng ", "": ""}
_CALENDAR: Final = frozenset(
    {"ngày", "tháng", "năm", "giờ", "phút", "mùng", "mồng", "tuần", "quý", "thứ", "lúc"}
)


def read_number(number: str) -> str:
    """`1.500.000`, `1,500,000`, `1.500` (thousands), `1,5`, `12.5`, `1.500.000,5`."""
    whole, fraction = split_number(number)
    return read_decimal(whole, fraction) if fraction else read_whole(whole)


def split_number(number: str) -> tuple[str, str]:
    """The digits before and after the decimal mark. One mark before exactly three digits groups thousands."""
    if "." in number and "," in number:
        decimal = max(number.rfind("."), number.rfind(","))
        return re.sub(r"[.,]", "", number[:decimal]), number[decimal + 1 :].rstrip("0")
    parts = re.split(r"[.,]", number)
    if len(parts) == 2 and (len(parts[1]) != 3 or len(parts[0]) > 3 or parts[0][0] == "0"):
        # A spreadsheet writes an amount as 1500000.0.
        return parts[0], "" if len(parts[0]) > 3 and not parts[1].strip("0") else parts[1]
    return "".join(parts), ""


def read_quantity(text: str, place: Place) -> str:
    """A number with its sign for money, a measure or a multiple; two of them with a dash are a range."""
    mixed = _MIXED.fullmatch(text.lstrip("+-"))
    if mixed and not _QUANTITY.fullmatch(text):
        return _read_mixed(*mixed.groups())
    found = _QUANTITY.fullmatch(text)
    if found is None:
        return read_digits(text)
    first = read_number(found["first"])
    unit, before = _closing_quote_off(found["unit"].strip(), place), found["before"].strip()
    words = [_SIGN_WORDS[found["sign"]] + first]
    if found["second"]:
        unit_between = unit if unit != found["second_unit"].strip() else ""
        words += [_unit(unit_between), "đến", read_number(found["second"])]
        unit = found["second_unit"].strip()
    words += [_unit(unit), _unit(before)]
    return " ".join(filter(None, words))


def _closing_quote_off(unit: str, place: Place) -> str:
    """A quote after a number is minutes, unless another one stands open before it."""
    return "" if unit == "'" and place.text.count("'", 0, place.start) % 2 else unit


def _unit(sign: str) -> str:
    return _SIGNS.get(sign) or _SIGNS.get(sign.lower(), "")


def _read_mixed(first: str, unit: str, rest: str) -> str:
    """`1tr5` → `một triệu rưỡi`, `1tr500` → `một triệu năm trăm nghìn`, `1m75` → `một mét bảy mươi lăm`."""
    name = _SIGNS[unit.lower()]
    smaller = {"tr": " nghìn", "k": "", "m": ""}[unit.lower()]
    if len(rest) == 3:
        return f"{read_number(first)} {name} {read_whole(rest)}{smaller}"
    said = (
        "rưỡi"
        if rest == "5" and unit.lower() != "m"
        else read_digits(rest)
        if rest[0] == "0"
        else read_whole(rest)
    )
    return f"{read_number(first)} {name} {said}"


def read_per_unit(text: str, place: Place) -> str:
    """`đồng/kg`: `một ki lô gam`; `mg/l`: `trên lít`."""
    return f"{'một' if place.follows_money() else 'trên'} {_unit(text.strip('/ '))}"


def read_money_in_spaced_groups(text: str, place: Place) -> str:
    """`1 500 000đ`."""
    return read_quantity(re.sub(r"(?<=\d) (?=\d)", "", text), place)


def read_plain(text: str, place: Place) -> str:
    """A number, or two with a dash, that has no unit: the words around it say what it is."""
    found = _PARTS.fullmatch(text)
    if found is None:
        return read_digits(text)
    sign, first, second = found.groups()
    if second:
        return _SIGN_WORDS[sign] + _read_pair(first, second, place)
    if not first.isdecimal():
        return _SIGN_WORDS[sign] + _read_marked(first, place)
    return _SIGN_WORDS[sign] + _read_row(first, place)


def _read_marked(number: str, place: Place) -> str:
    """A number with points or commas: after `ngày` a day may be among these, after `phiên bản` no decimal."""
    first, *rest = re.split(r"[.]", number)
    if len(rest) == 1 and rest[0].isdecimal():
        if (
            place.last_word == "ngày"
            and len(first) <= 2
            and len(rest[0]) <= 2
            and is_day(int(first), int(rest[0]))
        ):
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
    if int(first) >= int(second):
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
    if place.counts() and not (digits[0] == "0" and len(digits) > 2):
        return read_whole(digits)
    kind = place.kind()
    if kind == "amount" and digits[0] != "0":
        return read_whole(digits)
    if _is_code(digits, kind, place):
        return spell_digits(digits) if kind == "secret" else group_digits(digits)
    return read_whole(digits)


def _is_code(digits: str, kind: Kind, place: Place) -> bool:
    if digits[0] == "0" and len(digits) > 1:
        return True
    if kind in ("secret", "code"):
        return True
    if kind == "phone":
        return len(digits) >= 3
    if kind == "item" or place.last_word == "số":
        return len(digits) >= 5
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


def _names_a_day(place: Place) -> bool:
    """`ngày 5 tháng 11`, `vào ngày 5.`; not `mỗi ngày 5 lần`."""
    if re.search(r"(?:mỗi|một|hai|ba|\d|hàng|hằng) ngày ?$", place.before):
        return False
    return re.match(r" ?(?:tháng|này|âm lịch|hàng tháng|[.,;!?)]|$)", place.after) is not None


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
