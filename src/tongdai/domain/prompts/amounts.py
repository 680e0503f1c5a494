"""Amounts: numbers with a sign for money, a measure or a multiple, and ranges of these, as words. Pure."""

from __future__ import annotations

import re
from typing import Final

from tongdai.domain.prompts.context import Place
from tongdai.domain.prompts.reading import read_decimal, read_digits, read_whole
from tongdai.domain.prompts.vocabulary import CURRENCIES, MULTIPLES, UNITS

GROUPED: Final = r"\d{1,3}(?:(?:\.\d{3})+(?:,\d+)?|(?:,\d{3})+(?:\.\d+)?)(?![.,]?\d)"
NUMBER: Final = rf"(?:{GROUPED}|\d+(?:[.,]\d+)?(?![.,]?\d))"

# Vietnamese words among the units stay where they are in the text.
_WORDS: Final = {"đồng", "triệu", "nghìn", "ngàn", "tỷ", "tỉ"}
_SIGNS: Final = {
    **UNITS,
    **{unit.upper(): said for unit, said in UNITS.items() if unit in ("km", "cm", "mm", "kg", "km/h")},
    **{form: said for unit, said in CURRENCIES.items() for form in (unit, unit.upper())},
    **{form: said for unit, said in MULTIPLES.items() for form in (unit, unit.upper(), unit.capitalize())},
    "h": "giờ", "H": "giờ",
}  # fmt: skip
# After a space these are rather letters or words of their own.
_GLUED_ONLY: Final = frozenset({"k", "K", "p", "s", "l", "L", "g", "V", "W", "'", "ha", "h", "H", "m", "Đ"})


def _one_of(signs: list[str]) -> str:
    return "|".join(re.escape(sign) for sign in sorted(signs, key=len, reverse=True))


_SHORT = [sign for sign in _SIGNS if sign.lower() not in _WORDS and sign not in ("d", "D")]
# `500d` is money, `2D` is not.
_SIGN = rf"(?<=\d{{3}})d|{_one_of(_SHORT)}"
_SPACED = _one_of([sign for sign in _SHORT if sign not in _GLUED_ONLY])
SUFFIX: Final = rf"(?:(?:{_SIGN})|\s(?:{_SPACED}))(?![\w])"
PREFIX: Final = r"(?:(?:US|us)?\$|[€£¥₫]|(?<!\w)(?:VND|VNĐ|USD|EUR)) ?"
SIGN: Final = r"(?:(?<![\w.,)%])(?<![\d%đkKh₫] )[-+])?"
QUANTITY: Final = (
    rf"(?<!\d[.,]){SIGN}(?:{PREFIX}{NUMBER}(?:{SUFFIX})?(?: ?- ?(?:{PREFIX})?{NUMBER}(?:{SUFFIX})?)?"
    rf"|{NUMBER}(?: ?- ?{NUMBER})?{SUFFIX}|\d+(?:[.,]\d+)?(?:tr|Tr|TR|k|m)(?:\d{{1,3}}|\d{{3}}k)(?!\w))"
)
PER_UNIT: Final = rf" ?/ ?(?:{_one_of([*UNITS, 'h'])})(?!\w)"
IN_SPACED_GROUPS: Final = rf"\d{{1,3}}(?: \d{{3}})+{SUFFIX}"

_QUANTITY = re.compile(
    rf"(?P<sign>[-+]?)(?P<before>(?:{PREFIX})?)(?P<first>{NUMBER})(?P<unit>(?:{SUFFIX})?)"
    rf"(?: ?- ?(?:{PREFIX})?(?P<second>{NUMBER})(?P<second_unit>(?:{SUFFIX})?))?"
)
_MIXED = re.compile(r"(\d+(?:[.,]\d+)?)(tr|k|m)(\d{1,3})k?", re.IGNORECASE)
SIGN_WORDS: Final = {"-": "âm ", "+": "cộng ", "": ""}


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
    words = [SIGN_WORDS[found["sign"]] + first]
    if found["second"]:
        unit_between = unit if unit != found["second_unit"].strip() else ""
        words += [_unit(unit_between), "đến", read_number(found["second"])]
        unit = found["second_unit"].strip()
    if before and place.is_money():
        # `USD 25.400 đồng`: what the number counts comes after it.
        words = [_unit(before), *words, _unit(unit)]
    else:
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
    if rest == "5" and unit.lower() != "m":
        return f"{read_number(first)} {name} rưỡi"
    return f"{read_number(first)} {name} {read_digits(rest) if rest[0] == '0' else read_whole(rest)}"


def read_unit(text: str, place: Place) -> str:
    """A unit by itself, as after a fraction: `nửa kg`."""
    return _unit(text)


def read_per_unit(text: str, place: Place) -> str:
    """`đồng/kg`: `một ki lô gam`; `mg/l`: `trên lít`."""
    return f"{'một' if place.follows_money() else 'trên'} {_unit(text.strip('/ '))}"


def read_money_in_spaced_groups(text: str, place: Place) -> str:
    """`1 500 000đ`."""
    return read_quantity(re.sub(r"(?<=\d) (?=\d)", "", text), place)
