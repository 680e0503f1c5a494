"""Telephone numbers as words, in the groups in which people say them. Pure."""

from __future__ import annotations

import re
from typing import Final

from tongdai.domain.prompts.context import Place
from tongdai.domain.prompts.reading import group_digits, read_digits, read_whole, spell_digits

MOBILE: Final = r"(?:\(?\+84\)?|0084|84|0)[ .-]?(?:\(0\)[ .-]?)?[35789](?:[ .-]?\d){8}(?!\d)"
FIXED: Final = (
    r"\(?(?:\+84\)?|0084|84|0)[ .-]?(?:\(0\)[ .-]?)?2(?:[48]\)?(?:[ .-]?\d){8}|\d{2}\)?(?:[ .-]?\d){7})(?!\d)"
)
SERVICE: Final = r"1[89]00[ .]?\d(?:[ .]?\d){3}(?:(?:[ .-]?\d){2})?(?!\d)"
_COUNTRY = re.compile(r"\(?(?:\+|00)84\)?")


def read_phone(text: str, place: Place) -> str:
    """A telephone number in the groups in which it is written; else in those in which people say it."""
    if place.is_money() or (text[0] in "18" and text.isdecimal() and place.kind() == "amount"):
        return read_whole(re.sub(r"\D", "", text))
    if place.kind() == "secret":
        return spell_digits(text)
    country = _COUNTRY.match(text)
    words, rest = (
        ([], text) if country is None else (["cộng tám bốn"], text[country.end() :].replace("(0)", ""))
    )
    groups = re.findall(r"\d+", rest)
    if len(groups) == 1:
        return ", ".join([*words, _in_groups(groups[0])])
    return ", ".join(words + [group_digits(group) for group in groups])


def _in_groups(number: str) -> str:
    if number.startswith(("024", "028")):
        return f"{read_digits(number[:3])}, {group_digits(number[3:])}"
    if number.startswith("02"):
        return f"{read_digits(number[:4])}, {group_digits(number[4:])}"
    return group_digits(number)
