"""Unicode in composed form, in a time that grows with the text and no faster.

Unicode sets no end to the marks on one letter, and `unicodedata` sorts those of each letter by insertion:
30,000 of them, 60 KB, take seconds, for which nothing else of the process runs.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import groupby
from typing import Final, Literal

MARKS_KEPT: Final = 30
"""On one letter, as the Stream-Safe Text Format has it (UAX #15, section 13); no language writes half of
them."""
_SHORT: Final = 128
"""Marks of so short a text are sorted in no time."""
_NO_MARKS_FROM: Final = 0x20000
"""From here on there are ideographs."""


def composed(text: str) -> str:
    """NFC; of more than `MARKS_KEPT` marks in a row the others are left out."""
    return _normal("NFC", text)


def decomposed(text: str) -> str:
    """NFD, likewise."""
    return _normal("NFD", text)


def _normal(form: Literal["NFC", "NFD"], text: str) -> str:
    if text.isascii():
        return text
    return unicodedata.normalize(form, text if len(text) <= _SHORT else _too_many_marks().sub(r"\1", text))


@cache
def _too_many_marks() -> re.Pattern[str]:
    """A run of marks that is too long; its beginning is the first group."""
    ranges = [
        list(points)
        for is_mark, points in groupby(range(_NO_MARKS_FROM), lambda c: unicodedata.combining(chr(c)) > 0)
        if is_mark
    ]
    mark = "[" + "".join(f"{chr(points[0])}-{chr(points[-1])}" for points in ranges) + "]"
    return re.compile(f"({mark}{{{MARKS_KEPT}}}){mark}+")
