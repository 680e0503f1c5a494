"""Telephone numbers that are given as filters."""

from __future__ import annotations

from typing import overload

from tongdai.domain import contacts
from tongdai.kit.errors import InvalidError


@overload
def canonical(number: str) -> str: ...
@overload
def canonical(number: str | None) -> str | None: ...
def canonical(number: str | None) -> str | None:
    """As it is stored, however it is written; None for none. Raises InvalidError."""
    if number is None:
        return None
    read = contacts.normalise(number)
    if not read.number:
        raise InvalidError("This is not a telephone number.", errors=[("number", str(read.reason))])
    return read.number
