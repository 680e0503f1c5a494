"""Fields of requests by the rules of proto3's JSON mapping, leniently.

Both vendors' pages describe messages of one backend that was generated from such definitions: integers may
be strings, enums are in any case, names are snake_case or lowerCamelCase, null and a type's zero are "not
given", and unknown fields are of no interest. What is of a wrong type raises `InvalidError` with its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import Any, Final, NoReturn, TypeVar

from tongdai.kit.clock import VIETNAM
from tongdai.kit.errors import InvalidError

MAX_INT64: Final = 2**63 - 1
MAX_INT32: Final = 2**31 - 1
LONGEST_TEXT: Final = 10_000
"""Characters of one text."""
_DEEPEST: Final = 32
"""Objects and lists within each other, in data that is kept as it is."""
_MOST_VALUES: Final = 1000
"""Names and values of such data in all: looking at each takes time, in which no other request is served."""
_YEARS: Final = (1970, 2999)

_integer: Final = re.compile(r"-?[0-9]{1,30}").fullmatch
_day: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch

Choice = TypeVar("Choice")


class Fields:
    """One object of a request."""

    __slots__ = ("_data", "_place")

    def __init__(self, data: Mapping[str, Any], place: str = "") -> None:
        self._data = data
        self._place = place

    def text(self, name: str, *, longest: int = LONGEST_TEXT) -> str:
        """A text, "" where it is not given. Numbers are taken as they are written."""
        value = self.raw(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.refuse(name, "must be a string")
        if len(value) > longest:
            self.refuse(name, f"must have at most {longest} characters")
        if "\x00" in value:
            self.refuse(name, "must not contain the character NUL")
        return value

    def integer(self, name: str, *, most: int = MAX_INT64) -> int | None:
        """A whole number from 1 to `most`, as a number or in digits; None where it is not given, or zero."""
        value = self.raw(name)
        if isinstance(value, str):
            digits = value.strip()
            value = int(digits) if _integer(digits) else digits or None
        elif isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            self.refuse(name, "must be an integer, as a number or a string of digits")
        if not 0 <= value <= most:
            self.refuse(name, f"must be from 0 to {most}")
        return value or None

    def flag(self, name: str) -> bool | None:
        """True or false, also as a string; None where it is not given."""
        value = self.raw(name)
        if isinstance(value, str):
            value = {"true": True, "false": False, "": None}.get(value.strip().lower(), value)
        if value is not None and not isinstance(value, bool):
            self.refuse(name, "must be true or false")
        return value

    def choice(self, name: str, choices: Mapping[str, Choice]) -> Choice | None:
        """What a word stands for, whatever its case; None where it is not given, or "unknown".

        `choices` are in lower case.
        """
        word = self.text(name).strip().lower()
        if not word or (word == "unknown" and word not in choices):
            return None
        if word not in choices:
            self.refuse(name, f"must be one of {', '.join(choices)}")
        return choices[word]

    def moment(self, name: str, *, ends: bool = False) -> datetime | None:
        """A time as RFC 3339 has it, or a day alone; None where it is not given.

        One without a zone is Vietnam's. A day is its beginning, with `ends` its end.
        """
        text = self.text(name, longest=64).strip()
        if not text:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.refuse(name, "must be a time, such as 2026-01-31T08:30:00Z")
        if ends and _day(text) and 1 < moment.year < _YEARS[1]:
            moment = datetime.combine(moment, time()) + timedelta(days=1)
        if moment.year == 1:
            # How programs in Go write a time that they do not give.
            return None
        if not _YEARS[0] < moment.year < _YEARS[1]:
            # There is nothing out there, and the arithmetic of dates ends somewhere.
            return datetime(_YEARS[0] if moment.year <= _YEARS[0] else _YEARS[1], 1, 1, tzinfo=UTC)
        return (moment if moment.tzinfo else moment.replace(tzinfo=VIETNAM)).astimezone(UTC)

    def inner(self, name: str) -> Fields:
        """An object within this one, empty where it is not given."""
        value = self.raw(name)
        if value is not None and not isinstance(value, dict):
            self.refuse(name, "must be an object")
        return Fields(value or {}, f"{self._place}{name}.")

    def data(self, name: str) -> dict[str, Any]:
        """An object that is kept as it is, empty where it is not given."""
        value = self.raw(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.refuse(name, "must be an object")
        fault = _unkeepable(value)
        if fault:
            self.refuse(name, fault)
        return value

    def raw(self, name: str) -> Any:
        """As it came; None where it is not given."""
        value = self._data.get(name)
        return self._data.get(_camel(name)) if value is None else value

    def refuse(self, name: str, fault: str) -> NoReturn:
        """Raises InvalidError: this field is not valid."""
        place = f"{self._place}{name}"
        raise InvalidError(f"{place} {fault}", errors=[(place, fault)])

    def require(self, *names: str) -> None:
        """Raises InvalidError unless each of these is there and neither empty nor zero."""
        for name in names:
            if self.raw(name) in (None, "", 0, "0"):
                self.refuse(name, "is required")

    def agreed(self, names: Sequence[str]) -> bool | None:
        """The flag that goes by several names."""
        values = {value for name in names if (value := self.flag(name)) is not None}
        if len(values) > 1:
            self.refuse(names[0], f"disagrees with {' and '.join(names[1:])}")
        return values.pop() if values else None


@cache
def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _unkeepable(data: dict[str, Any]) -> str:
    """What the database could not keep of it; "" if it can."""
    rows: list[tuple[Any, int]] = [(data, 1)]
    left = _MOST_VALUES
    while rows:
        value, depth = rows.pop()
        if depth > _DEEPEST:
            return "is nested too deeply"
        left -= len(value) if isinstance(value, (dict, list)) else 0
        if left < 0:
            return f"holds more than {_MOST_VALUES} values"
        if isinstance(value, dict):
            rows += ((part, depth + 1) for pair in value.items() for part in pair)
        elif isinstance(value, list):
            rows += ((part, depth + 1) for part in value)
        elif isinstance(value, str) and "\x00" in value:
            return "must not contain the character NUL"
    return ""
