"""Web and e-mail addresses as words. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from tongdai.domain.prompts.reading import group_digits, read_digits
from tongdai.domain.prompts.spelling import spell_letters

_PARTS = re.compile(r"[^\W\d_]+|\d+|[.@/_=&-]")
_MARKS: Final = {
    ".": "chấm", "@": "a còng", "-": "gạch ngang", "_": "gạch dưới", "/": "gạch chéo", "=": "bằng", "&": "và",
}  # fmt: skip
_NAMES: Final = {"vn": "vê en", "gmail": "gờ meo", "www": "", "io": "i ô"}


def read_address(address: str) -> str:
    """An e-mail address or a web address; what follows `?` or `#` is left out, as nobody writes it down."""
    address = unquote(address) if "%" in address else address
    address = re.sub(r"^(?:https?://)?(?:www\.)?", "", address, flags=re.IGNORECASE)
    address = re.split(r"[?#]", address, maxsplit=1)[0].rstrip("/.")
    return " ".join(filter(None, map(_part_of_address, _PARTS.findall(address))))


def _part_of_address(part: str) -> str:
    if part in _MARKS:
        return _MARKS[part]
    if part.isdecimal():
        return group_digits(part) if len(part) > 4 else read_digits(part)
    known = _NAMES.get(part.lower())
    if known is not None:
        return known
    return part.lower() if re.search(r"[aeiouy]", part.lower()) else spell_letters(part)
