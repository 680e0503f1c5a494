"""Reading single values of Zalo's answers, whose types differ between pages, years and hosts. Pure.

Each function raises ZaloGarbledError for what makes no sense, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from tongdai.ports.zalo import ZaloGarbledError

Answer = Mapping[str, Any]

_MOST_WHOLE: Final = 2**63 - 1
_MOST_COUNT: Final = 2**31 - 1
_LONGEST_NUMBER: Final = 24
_LONGEST_ID: Final = 500
_LONGEST_TEXT: Final = 10_000
_LONGEST_HEADER: Final = 8_000
_MOST_PRICE: Final = 10**12
_NO_AMOUNT: Final = Decimal("NaN")
_MOST_TIME_MS: Final = 4_102_444_800_000
"""2100: a time can be reckoned with, added to and shown in any zone."""
_MOST_DURATION_MS: Final = 366 * 86_400_000


def pick(answer: Answer, *names: str) -> Any:
    """The value of the first of these names that is there and not null."""
    return next((answer[name] for name in names if answer.get(name) is not None), None)


def whole(value: Any, what: str) -> int:
    """A number, or one in quotes, of 64 bits."""
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER:
        value = _parsed(value.strip())
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST_WHOLE:
        return value
    raise ZaloGarbledError(f"{what} is no number")


def id_of(value: Any, what: str) -> int:
    """An id of Zalo's: a number above zero."""
    number = whole(value, what)
    if number > 0:
        return number
    raise ZaloGarbledError(f"{what} is none")


def _parsed(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() else None


def count(value: Any, what: str) -> int | None:
    """Of messages or people. None: absent, empty or below zero, so Zalo does not say. 31 bits at most."""
    if value is None or value == "":
        return None
    number = whole(value, what)
    return None if number < 0 else min(number, _MOST_COUNT)


def text(value: Any, what: str) -> str:
    """ "": absent. Without NUL, which no database keeps, and cut to what lists of it can hold."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return value.replace("\0", "")[:_LONGEST_TEXT]
    raise ZaloGarbledError(f"{what} is no text")


def needed(value: Any, what: str) -> str:
    """A text that is there, and no longer than an id or a name can be."""
    found = text(value, what)
    if 0 < len(found) <= _LONGEST_ID:
        return found
    raise ZaloGarbledError(f"{what} is {'too long' if found else 'missing'}")


def token(value: Any, what: str) -> str:
    """A text that can stand in a header."""
    if isinstance(value, str) and is_header(value):
        return value
    raise ZaloGarbledError(f"{what} is missing" if value in (None, "") else f"{what} is no token")


def is_header(value: str) -> bool:
    fits = 0 < len(value) <= _LONGEST_HEADER
    return fits and value.isascii() and value.isprintable() and value == value.strip()


def flag(value: Any, what: str) -> bool:
    """A truth value, also as 0, 1 or a word. False: absent."""
    if value is None or value == "":
        return False
    if isinstance(value, str):
        value = {"true": True, "false": False, "1": True, "0": False}.get(value.lower())
    if isinstance(value, bool | int) and value in (0, 1):
        return bool(value)
    raise ZaloGarbledError(f"{what} is neither true nor false")


def moment(value: Any, what: str) -> datetime | None:
    """Milliseconds since 1970, as a number or in quotes. None: absent, empty or 0."""
    if value in (None, ""):
        return None
    milliseconds = whole(value, what)
    if not 0 <= milliseconds <= _MOST_TIME_MS:
        raise ZaloGarbledError(f"{what} is no time")
    if milliseconds == 0:
        return None
    return datetime.fromtimestamp(milliseconds // 1000, UTC) + timedelta(milliseconds=milliseconds % 1000)


def duration(value: Any, what: str) -> timedelta | None:
    """Milliseconds, of a year at most. None: absent or empty."""
    if value in (None, ""):
        return None
    milliseconds = whole(value, what)
    if not 0 <= milliseconds <= _MOST_DURATION_MS:
        raise ZaloGarbledError(f"{what} is no duration")
    return timedelta(milliseconds=milliseconds)


def price(value: Any) -> str | None:
    """đồng, as a decimal number in plain notation. None: absent or empty."""
    if value in (None, ""):
        return None
    written = "" if isinstance(value, bool | list | dict) else str(value)
    with suppress(InvalidOperation):
        amount = Decimal(written) if len(written) <= _LONGEST_NUMBER else _NO_AMOUNT
        if amount.is_finite() and 0 <= amount < _MOST_PRICE:
            return f"{amount:f}"
    raise ZaloGarbledError("the price is no amount")


def objects(value: Any, what: str) -> list[Answer]:
    """A list of objects; empty where it is absent."""
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        return value
    raise ZaloGarbledError(f"{what} is no list of objects")


def mapping(value: Any, what: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ZaloGarbledError(f"{what} is no object")
