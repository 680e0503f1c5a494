"""Numbers as Vietnamese words. Pure.

Northern standard words: `nghìn`, `lẻ`, `tỷ`. A group of three digits after a larger one is read in full, with
`không trăm`, as in CLDR's spell-out rules for thousands and as banks read amounts.
"""

from __future__ import annotations

from typing import Final

DIGITS: Final = ("không", "một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám", "chín")
MOST_DIGITS: Final = 36
"""Longest number that is read as one; what is longer is read digit by digit."""

_BILLION: Final = 10**9
_GROUP_NAMES: Final = ("", "nghìn", "triệu")
# How a row of digits is said in groups, by its length: as telephone numbers and card numbers are said.
_GROUPS: Final = {
    5: (2, 3), 6: (3, 3), 7: (3, 4), 8: (4, 4), 9: (3, 3, 3), 10: (4, 3, 3), 11: (3, 4, 4), 12: (4, 4, 4),
}  # fmt: skip


def read_int(number: int) -> str:
    """`1500000` → `một triệu năm trăm nghìn`. Any size and sign; from 10^18 on `tỷ tỷ`."""
    if number < 0:
        return "âm " + read_int(-number)
    if number == 0:
        return DIGITS[0]
    high, low = divmod(number, _BILLION)
    words = [read_int(high), "tỷ"] if high else []
    return " ".join(words + _below_billion(low, after_more=high > 0))


def _below_billion(number: int, *, after_more: bool) -> list[str]:
    words: list[str] = []
    for place in (2, 1, 0):
        group = number // 1000**place % 1000
        if group:
            words += _three(group, in_full=after_more or bool(words))
            words += [_GROUP_NAMES[place]] if place else []
    return words


def _three(number: int, *, in_full: bool) -> list[str]:
    """One group of three digits, 1 to 999."""
    hundreds, tens, ones = number // 100, number // 10 % 10, number % 10
    words = [DIGITS[hundreds], "trăm"] if hundreds or in_full else []
    if tens == 0:
        if ones:
            words += ["lẻ"] if words else []
            words.append(DIGITS[ones])
        return words
    words += ["mười"] if tens == 1 else [DIGITS[tens], "mươi"]
    if ones:
        words.append(_ones_after_tens(tens, ones))
    return words


def _ones_after_tens(tens: int, ones: int) -> str:
    if ones == 5:
        return "lăm"
    if tens > 1:
        return {1: "mốt", 4: "tư"}.get(ones, DIGITS[ones])
    return DIGITS[ones]


def read_whole(digits: str) -> str:
    """A row of ASCII digits as a number; one that is too long to grasp, digit by digit."""
    if len(digits) > MOST_DIGITS:
        return group_digits(digits)
    return read_int(int(digits or "0"))


def read_decimal(whole: str, fraction: str) -> str:
    """`1`, `5` → `một phẩy năm`.

    A fraction of one or two digits is read as a number (`phẩy hai mươi lăm`); one that begins with a zero or
    has more digits is read digit by digit.
    """
    as_number = len(fraction) <= 2 and not fraction.startswith("0")
    return f"{read_whole(whole)} phẩy {read_whole(fraction) if as_number else read_digits(fraction)}"


def read_digits(digits: str) -> str:
    """Digit by digit without a pause: `115` → `một một năm`. What is no ASCII digit is left out."""
    return " ".join(DIGITS[int(digit)] for digit in digits if digit in "0123456789")


def spell_digits(digits: str) -> str:
    """Digit by digit with a pause after each, as a secret code is read: `105` → `một, không, năm`.

    What is no ASCII digit is left out.
    """
    return read_digits(digits).replace(" ", ", ")


def group_digits(digits: str) -> str:
    """Digit by digit with a pause between groups, as people say long numbers: `0912345678` → 4, 3 and 3."""
    sizes = _GROUPS.get(len(digits)) or _sizes(len(digits))
    groups, place = [], 0
    for size in sizes:
        groups.append(read_digits(digits[place : place + size]))
        place += size
    return ", ".join(group for group in groups if group)


def _sizes(length: int) -> tuple[int, ...]:
    """Groups of four, the last one of one to four."""
    return (4,) * (length // 4) + ((length % 4,) if length % 4 else ())


def read_month(month: int) -> str:
    """The word after `tháng`: the fourth month is `tư`."""
    return "tư" if month == 4 else read_int(month)


def read_day(day: int) -> str:
    """The words after `ngày`: the first ten days of a month are `mùng`."""
    return f"mùng {read_int(day)}" if day <= 10 else read_int(day)


def read_ordinal(number: int) -> str:
    """The word after `thứ`: `nhất`, `hai`, `ba`, `tư`, `năm`; a day of the week likewise."""
    return {1: "nhất", 4: "tư"}.get(number, read_int(number))
