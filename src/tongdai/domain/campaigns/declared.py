"""The fields that a template declares, and what a contact brings for them. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final, Literal

import msgspec

from tongdai.domain.scripts.template import field_name, is_field_name

FieldType = Literal["text", "number", "integer", "boolean", "date"]
FieldValue = str | int | float | bool | None

MAX_FIELDS: Final = 100
"""That one template declares."""

MAX_DEFAULT: Final = 1000
"""Characters of a text that stands for what a contact does not bring."""

_RESERVED: Final = "otp_code"
_whole_text: Final = re.compile(r"[+-]?[0-9]{1,18}").fullmatch
_number_text: Final = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,15})?").fullmatch
_day_first: Final = re.compile(r"([0-9]{1,2})[/.-]([0-9]{1,2})[/.-]([0-9]{4})").fullmatch
_unstorable: Final = re.compile("[\x00\ud800-\udfff]").search
_year_first: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})").fullmatch


class DeclaredField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field that a contact brings, or should. What a template does not declare is kept as it is given."""

    name: str
    type: FieldType = "text"
    required: bool = False
    """True: a contact without it is not called."""
    default: FieldValue = None
    """What a contact has that brings nothing for it; of the declared type. None: nothing."""


class _Wrong:
    """What no reader makes of any value."""


_WRONG: Final = _Wrong()
Reader = Callable[[Any], Any]


class FieldReader:
    """Reads the declared fields of one contact after another, in one pass over what is declared.

    A value is taken in its own type or as text that says it, as forms and spreadsheets send it, and is kept
    in the declared type; a date is kept as it was written. Blank text and null are no value.
    """

    def __init__(self, declared: Sequence[DeclaredField]) -> None:
        self._rows = [(one.name, _READERS[one.type], one.required, _default(one)) for one in declared]

    def read(self, given: Mapping[str, Any]) -> tuple[Mapping[str, Any], str | None]:
        """The contact's fields with defaults filled in, and why it is not called, if so.

        The reason is `field_missing: name` or `field_invalid: name`, for the first such field.
        """
        read: dict[str, Any] | None = None
        for name, reader, required, default in self._rows:
            key = name if name in given else _key_of(name, given)
            value = given.get(key)
            if value is None or (isinstance(value, str) and not value.strip()):
                if required:
                    return given, f"field_missing: {name}"
                if default is None:
                    continue
                kept = default
            else:
                kept = reader(value)
                if kept is value:
                    continue
                if kept is _WRONG:
                    return given, f"field_invalid: {name}"
            read = dict(given) if read is None else read
            read[key] = kept
        return given if read is None else read, None


def declared_faults(declared: Sequence[DeclaredField]) -> Iterator[tuple[str, str]]:
    """(path, message) of each fault of a declaration."""
    if len(declared) > MAX_FIELDS:
        yield "fields", f"must be at most {MAX_FIELDS}"
    seen: set[str] = set()
    for index, one in enumerate(declared):
        yield from ((f"fields[{index}].{path}", message) for path, message in _faults(one))
        if one.name in seen:
            yield f"fields[{index}].name", "is declared twice"
        seen.add(one.name)


def _faults(one: DeclaredField) -> Iterator[tuple[str, str]]:
    if not is_field_name(one.name) or field_name(one.name) != one.name:
        yield "name", "must be 1 to 64 letters, digits and _, its words joined by a space, dot or hyphen"
    elif one.name == _RESERVED:
        yield "name", "is the code of an OTP campaign, and never among the fields"
    if one.default is not None and one.required:
        yield "default", "is never used where the field is required"
    elif isinstance(one.default, str) and (len(one.default) > MAX_DEFAULT or _unstorable(one.default)):
        yield "default", f"must be at most {MAX_DEFAULT} characters that can be stored"
    elif _default(one) is _WRONG:
        yield "default", f"must be of the type {one.type}"


def _default(one: DeclaredField) -> Any:
    if one.default is None or (isinstance(one.default, str) and not one.default.strip()):
        return None
    return _READERS[one.type](one.default)


def _key_of(name: str, given: Mapping[str, Any]) -> str:
    """The key that a script would take for this name: composed Unicode, without spaces around it."""
    return next((key for key in given if field_name(key) == name), name)


# --------------------------------------------------------------------------- one value


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return _WRONG
    if isinstance(value, int):
        return str(value) if -(10**18) < value < 10**18 else _WRONG
    if isinstance(value, float) and math.isfinite(value):
        # A spreadsheet has no whole numbers: 204118 comes as 204118.0.
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else str(value)
    return _WRONG


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        return _WRONG
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _WRONG
    text = value.strip() if isinstance(value, str) else ""
    if _whole_text(text):
        return int(text)
    return float(text) if _number_text(text) else _WRONG


def _integer(value: Any) -> Any:
    number = _number(value)
    if isinstance(number, float):
        return int(number) if number.is_integer() and abs(number) < 1e15 else _WRONG
    return number


def _boolean(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    return {"true": True, "false": False}.get(word, _WRONG)


def _date(value: Any) -> Any:
    text = value.strip() if isinstance(value, str) else ""
    if found := _year_first(text):
        year, month, day = found.groups()
    elif found := _day_first(text):
        day, month, year = found.groups()
    else:
        return _WRONG
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return _WRONG
    return value


_READERS: Final[Mapping[FieldType, Reader]] = {
    "text": _text,
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "date": _date,
}
