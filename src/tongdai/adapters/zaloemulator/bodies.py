"""What requests to the message API carry."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from tongdai.adapters.zaloemulator.exchange import Ask, RefusedError

NATIONAL: Final = re.compile(r"84[1-9]\d{8,9}")
HASHED: Final = re.compile(r"[0-9a-f]{64}")

NO_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding JSON may raise."""

decode = msgspec.json.Decoder().decode


def json_object(ask: Ask) -> dict[str, Any]:
    """Raises RefusedError: -121 for nothing, -122 for what is no JSON object."""
    if not ask.body.strip():
        raise RefusedError(-121)
    try:
        document = decode(ask.body)
    except NO_JSON:
        raise RefusedError(-122) from None
    if not isinstance(document, dict):
        raise RefusedError(-122)
    return document


def phone_of(told: object) -> str:
    """`84…` of 84…, +84…, 0… and the bare nine digits. Raises RefusedError."""
    text = str(told).strip() if isinstance(told, (str, int)) else ""
    digits = text.removeprefix("+")
    if digits.startswith("0"):
        digits = "84" + digits[1:]
    elif len(digits) == 9:
        digits = "84" + digits
    if not digits.isascii() or not NATIONAL.fullmatch(digits):
        raise RefusedError(-108)
    return digits


def hash_of_phone(told: object) -> str:
    """Raises RefusedError."""
    if not isinstance(told, str) or not HASHED.fullmatch(told):
        raise RefusedError(-108)
    return told


def whole_number(told: str | None, default: int | None, code: int, said: str | None = None) -> int:
    """Of a query. Raises RefusedError with `code`."""
    if told is None and default is not None:
        return default
    if told is None or not told.isascii() or not told.isdigit() or len(told) > 18:
        raise RefusedError(code, said)
    return int(told)
