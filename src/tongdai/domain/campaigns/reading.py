"""Reading contacts: which of them can be calls, which cannot and why, in columns as they are stored."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from tongdai.domain.campaigns.declared import FieldReader
from tongdai.domain.campaigns.model import MAX_ATTEMPTS, NewContact
from tongdai.domain.compliance import contact_window_fault
from tongdai.domain.contacts import Normalised, normalise
from tongdai.kit.crypto import Keyring

CHUNK: Final = 1000
"""Contacts between two moments in which other requests get their turn: a few milliseconds of work."""

MAX_FIELDS_BYTES: Final = 64 * 1024
"""Of one contact's fields as JSON. A dialer holds those of every call that it claims, and what a person can
be told in a call fits many times."""

_LONGEST_REF: Final = 100
_NO_FIELDS: Final = b"{}"

_is_code = re.compile("[0-9]{6}").fullmatch
# A NUL in JSON text: an odd number of backslashes before u0000, which jsonb refuses.
_escaped_nul = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000").search


@dataclass(frozen=True, slots=True)
class Rules:
    """How the contacts of one import are read."""

    keyring: Keyring
    keep_invalid: bool
    fields: FieldReader | None
    """None: the campaign declares no fields."""


class Kept(NamedTuple):
    """A contact that cannot be called, and is kept all the same."""

    place: int
    """In the list that was given."""
    reason: str
    number: str
    """Canonical, or empty when it is no number that may be called."""
    contact: NewContact
    fields: bytes


@dataclass(slots=True)
class Prepared:
    """Contacts that may be stored, column by column, and the others with their reasons."""

    indexes: list[int] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    contacts: list[NewContact] = field(default_factory=list)
    fields: list[bytes] = field(default_factory=list)
    secrets: list[bytes | None] = field(default_factory=list)
    rejected: list[tuple[int, str]] = field(default_factory=list)
    invalid: list[Kept] = field(default_factory=list)
    repaired: list[int] = field(default_factory=list)
    converted: list[int] = field(default_factory=list)
    """As `repaired`: of all contacts with a good number, accepted or not."""
    spares: dict[str, tuple[int, NewContact, bytes, bytes]] = field(default_factory=dict)
    """Where a number's first contact has no valid code, the next one: (index, contact, fields, secret)."""
    brings_own: bool = False
    """True: some contact has attempts, times or a person of its own."""

    _places: dict[str, int] = field(default_factory=dict)

    def take(
        self, index: int, read: Normalised, contact: NewContact, fields: bytes, keyring: Keyring
    ) -> None:
        """A contact that can be called, unless one of its number was taken before."""
        if read.repaired:
            self.repaired.append(index)
        if read.converted:
            self.converted.append(index)
        secret = _sealed(contact.otp_code, keyring) if contact.otp_code else None
        place = self._places.setdefault(read.number, len(self.numbers))
        if place < len(self.numbers):
            self.rejected.append((index, "duplicate"))
            if secret is not None and self.secrets[place] is None:
                self.spares.setdefault(read.number, (index, contact, fields, secret))
            return
        self.indexes.append(index)
        self.numbers.append(read.number)
        self.contacts.append(contact)
        self.fields.append(fields)
        self.secrets.append(secret)
        self.brings_own = self.brings_own or contact.brings_own

    def use_spares(self) -> None:
        """An OTP campaign skips a contact without a valid code, so another of its number comes first."""
        for at, number in enumerate(self.numbers):
            if number in self.spares:
                self.rejected.append((self.indexes[at], "otp_invalid"))
                self.indexes[at], self.contacts[at], self.fields[at], self.secrets[at] = self.spares[number]
                self.rejected.remove((self.indexes[at], "duplicate"))
                self.brings_own = self.brings_own or self.contacts[at].brings_own

    def keep_where(self, kept: Sequence[bool], reason: str) -> None:
        """Rejects the contacts that are not kept."""
        if all(kept):
            return
        self.rejected += [(index, reason) for index, keep in zip(self.indexes, kept, strict=True) if not keep]
        for name in ("indexes", "numbers", "contacts", "fields", "secrets"):
            column = getattr(self, name)
            setattr(self, name, [value for value, keep in zip(column, kept, strict=True) if keep])


async def prepare(contacts: Sequence[NewContact], rules: Rules) -> Prepared:
    """Every contact read, in one pass. Of one number the first that can be called is taken."""
    prepared = Prepared()
    for index, contact in enumerate(contacts):
        if index % CHUNK == CHUNK - 1:
            await asyncio.sleep(0)
        read = normalise(contact.given)
        fields, reason = _judge(contact, read.reason, rules.fields)
        if reason is None:
            prepared.take(index, read, contact, fields, rules.keyring)
        elif rules.keep_invalid:
            number = "" if read.reason else read.number
            prepared.invalid.append(Kept(index, reason, number, contact, fields))
        else:
            prepared.rejected.append((index, reason))
    return prepared


def _judge(contact: NewContact, reason: str | None, reader: FieldReader | None) -> tuple[bytes, str | None]:
    """The fields as they are stored, and why the contact cannot be called; its number is told first."""
    fields = contact.fields
    if reason is None:
        reason = contact.problem
        if reason is None and reader is not None:
            fields, reason = reader.read(fields)
        if reason is None and contact.brings_own:
            reason = _own_fault(contact)
    encoded = _encode(fields)
    if encoded is None:
        return _NO_FIELDS, reason or "fields_invalid"
    if len(encoded) > MAX_FIELDS_BYTES:
        return _NO_FIELDS, reason or "fields_too_large"
    return encoded, reason


def _own_fault(contact: NewContact) -> str | None:
    attempts, ref = contact.max_attempts, contact.person_ref
    if attempts is not None and not 1 <= attempts <= MAX_ATTEMPTS:
        return "max_attempts_invalid"
    if ref is not None and not (0 < len(ref) <= _LONGEST_REF and ref.isprintable() and not ref.isspace()):
        return "person_ref_invalid"
    if contact_window_fault(contact.call_after, contact.call_before) is not None:
        return "call_window_invalid"
    return None


def _sealed(code: str, keyring: Keyring) -> bytes | None:
    """The sealed code; None when it is not one of 000001 to 999999."""
    if not _is_code(code) or code == "000000":
        return None
    return keyring.seal(code.encode(), context="otp")


def _encode(fields: Mapping[str, Any]) -> bytes | None:
    """Fields as JSON that jsonb takes; None for what it would refuse or change."""
    if not fields:
        return _NO_FIELDS
    if "otp_code" in fields:
        fields = {name: value for name, value in fields.items() if name != "otp_code"}
    try:
        encoded = msgspec.json.encode(fields)
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError):
        return None
    if b"\\u0000" in encoded and _escaped_nul(encoded):
        return None
    # Infinity and NaN become null, silently.
    if b"null" in encoded and not _is_finite(fields):
        return None
    return encoded


def _is_finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(_is_finite(one) for one in value.values())
    if isinstance(value, list | tuple):
        return all(_is_finite(one) for one in value)
    return True
