"""Importing contacts: read, check and de-duplicate them, then store them as queued calls.

An import costs one statement when it is small and one COPY when it is big. What cannot be stored is reported,
never fatal: one bad contact does not fail the others.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tongdai.domain import calls
from tongdai.domain.calls import Outcome, ResultMove
from tongdai.domain.campaigns.errors import CampaignNotFoundError, CampaignStoppedError
from tongdai.domain.campaigns.model import ImportReport, NewContact
from tongdai.domain.campaigns.store import intake as store
from tongdai.domain.contacts import normalise
from tongdai.kit.clock import Clock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Tx

FEW = 50
"""Up to so many contacts go in one statement; above, COPY is faster in spite of its five round trips."""

_BIGINT_MAX = 2**63 - 1

MAX_FIELDS_BYTES = 64 * 1024
"""Of one contact's fields as JSON. A dialer holds those of every call that it claims, and what a person can
be told in a call fits many times."""
_CHUNK = 1000
"""Contacts between two moments in which other requests get their turn: a few milliseconds of work."""
_LONGEST_INVALID = 100
"""Characters that are kept of a text that is no number."""

_is_code = re.compile("[0-9]{6}").fullmatch
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
# A NUL in JSON text: an odd number of backslashes before u0000, which jsonb refuses.
_escaped_nul = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000").search
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(slots=True)
class _Prepared:
    """Contacts that may be stored, column by column, and the others with their reasons."""

    indexes: list[int] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    givens: list[str] = field(default_factory=list)
    fields: list[bytes] = field(default_factory=list)
    secrets: list[bytes | None] = field(default_factory=list)
    rejected: list[tuple[int, str]] = field(default_factory=list)
    invalid: list[tuple[int, str, str, bytes]] = field(default_factory=list)
    """Those that are no number, to be kept all the same: (index, reason, given, fields)."""

    spares: dict[str, tuple[int, str, bytes, bytes]] = field(default_factory=dict)
    """Where a number's first contact has no valid code, the next one: (index, given, fields, secret)."""

    def append(self, index: int, number: str, given: str, fields: bytes, secret: bytes | None) -> None:
        self.indexes.append(index)
        self.numbers.append(number)
        self.givens.append(given)
        self.fields.append(fields)
        self.secrets.append(secret)

    def use_spares(self) -> None:
        """An OTP campaign skips a contact without a valid code, so another of its number comes first."""
        for at, number in enumerate(self.numbers):
            if number in self.spares:
                self.rejected.append((self.indexes[at], "otp_invalid"))
                self.indexes[at], self.givens[at], self.fields[at], self.secrets[at] = self.spares[number]
                self.rejected.remove((self.indexes[at], "duplicate"))

    def keep_where(self, kept: Sequence[bool], reason: str) -> None:
        """Rejects the contacts that are not kept."""
        if all(kept):
            return
        self.rejected += [(index, reason) for index, keep in zip(self.indexes, kept, strict=True) if not keep]
        for name in ("indexes", "numbers", "givens", "fields", "secrets"):
            column = getattr(self, name)
            setattr(self, name, [value for value, keep in zip(column, kept, strict=True) if keep])


async def import_contacts(
    tx: Tx,
    keyring: Keyring,
    clock: Clock,
    account_id: int,
    campaign_id: int,
    contacts: Sequence[NewContact],
    *,
    keep_invalid: bool = False,
) -> ImportReport:
    """Stores contacts as queued calls. After the commit, wake the dialer: `Hinter.wake(campaign_id)`.

    Of contacts with one canonical number the first is taken that may be stored. Numbers of earlier imports
    are refused only where the campaign's `allow_duplicates` is false. In an OTP campaign each contact needs a
    code of six digits, 000001 to 999999; it is sealed, and never kept among the fields. `keep_invalid` stores
    what is no number as a finished call with outcome `invalid_number`, and reports it as accepted. A big
    import gives its transaction a longer time limit.

    Raises:
        CampaignNotFoundError: no such campaign in this account.
        CampaignStoppedError: it takes no contacts in its present state: any but running for an OTP campaign,
            finished for every campaign, stopped where its `refuse_when_stopped` says so.
    """
    if not 0 < campaign_id <= _BIGINT_MAX:
        raise CampaignNotFoundError(campaign_id=campaign_id)
    prepared = await _prepare(contacts, keyring, keep_invalid)
    if prepared.spares and await store.is_otp(tx, account_id, campaign_id):
        prepared.use_spares()
    if len(prepared.numbers) <= FEW and not prepared.invalid:
        accepted = await _add_few(tx, account_id, campaign_id, prepared)
    else:
        accepted = await _add_many(tx, clock, account_id, campaign_id, prepared)
    return ImportReport(len(contacts), sorted(accepted), sorted(prepared.rejected))


# --------------------------------------------------------------------------- reading contacts


async def _prepare(contacts: Sequence[NewContact], keyring: Keyring, keep_invalid: bool) -> _Prepared:
    prepared = _Prepared()
    places: dict[str, int] = {}
    for index, contact in enumerate(contacts):
        if index % _CHUNK == _CHUNK - 1:
            await asyncio.sleep(0)
        read = normalise(contact.given)
        encoded = _encode(contact.fields)
        if encoded is None:
            prepared.rejected.append((index, "fields_invalid"))
        elif len(encoded) > MAX_FIELDS_BYTES:
            prepared.rejected.append((index, "fields_too_large"))
        elif read.reason is not None:
            if keep_invalid:
                prepared.invalid.append((index, read.reason, contact.given, encoded))
            else:
                prepared.rejected.append((index, read.reason))
        else:
            secret = _sealed(contact.otp_code, keyring) if contact.otp_code else None
            place = places.setdefault(read.number, len(prepared.numbers))
            if place < len(prepared.numbers):
                prepared.rejected.append((index, "duplicate"))
                if secret is not None and prepared.secrets[place] is None:
                    prepared.spares.setdefault(read.number, (index, contact.given, encoded, secret))
            else:
                prepared.append(index, read.number, contact.given, encoded, secret)
    return prepared


def _sealed(code: str, keyring: Keyring) -> bytes | None:
    """The sealed code; None when it is not one of 000001 to 999999."""
    if not _is_code(code) or code == "000000":
        return None
    return keyring.seal(code.encode(), context="otp")


def _encode(fields: Mapping[str, Any]) -> bytes | None:
    """Fields as JSON that jsonb takes; None for what it would refuse or change."""
    if not fields:
        return b"{}"
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


# --------------------------------------------------------------------------- few


async def _add_few(tx: Tx, account_id: int, campaign_id: int, prepared: _Prepared) -> list[tuple[int, int]]:
    added = await store.add_few(
        tx,
        account_id,
        campaign_id,
        numbers=prepared.numbers,
        givens=prepared.givens,
        fields=prepared.fields,
        secrets=prepared.secrets,
    )
    if added is None:
        raise CampaignNotFoundError(campaign_id=campaign_id)
    _require_open(campaign_id, added.open, added.state)
    _require_codes(added.kind, prepared)
    ids = dict(zip(added.numbers, added.ids, strict=True))
    prepared.keep_where([number in ids for number in prepared.numbers], "duplicate_earlier")
    return [(index, ids[number]) for index, number in zip(prepared.indexes, prepared.numbers, strict=True)]


def _require_open(campaign_id: int, is_open: bool, state: str) -> None:
    if not is_open:
        raise CampaignStoppedError(campaign_id=campaign_id, state=state)


def _require_codes(kind: str, prepared: _Prepared) -> None:
    if kind == "otp":
        prepared.keep_where([secret is not None for secret in prepared.secrets], "otp_invalid")


# --------------------------------------------------------------------------- many


async def _add_many(
    tx: Tx, clock: Clock, account_id: int, campaign_id: int, prepared: _Prepared
) -> list[tuple[int, int]]:
    timeout_ms = 60_000 + len(prepared.numbers) + len(prepared.invalid)
    campaign = await store.begin_many(tx, account_id, campaign_id, timeout_ms)
    if campaign is None:
        raise CampaignNotFoundError(campaign_id=campaign_id)
    _require_open(campaign_id, campaign.open, campaign.state)
    _require_codes(campaign.kind, prepared)
    if not campaign.allow_duplicates:
        fresh = await store.claim_numbers(tx, account_id, campaign_id, prepared.numbers)
        prepared.keep_where([number in fresh for number in prepared.numbers], "duplicate_earlier")
    ids = await store.take_ids(tx, len(prepared.numbers) + len(prepared.invalid))
    is_otp = campaign.kind == "otp"
    statement = store.COPY_OTPS if is_otp else store.COPY_CALLS
    if prepared.numbers:
        rows = _otp_chunks(campaign, ids, prepared) if is_otp else _chunks(campaign, ids, prepared)
        await store.copy_rows(tx, statement, rows)
    kept = ids[len(prepared.numbers) :]
    now = clock.now()
    if kept:
        await store.copy_rows(tx, store.COPY_INVALID, _invalid_chunks(campaign, kept, prepared, now))
    if not await store.end_many(tx, campaign, len(ids)):
        raise CampaignStoppedError(campaign_id=campaign_id, state=campaign.state)
    await _count_invalid(tx, campaign, len(kept), now)
    indexes = prepared.indexes + [index for index, *_ in prepared.invalid]
    return list(zip(indexes, ids, strict=True))


async def _count_invalid(tx: Tx, campaign: store.Opened, count: int, now: datetime) -> None:
    move = ResultMove(campaign.account_id, campaign.id, campaign.user_id, None, now)
    await calls.count_results(tx, [move] * count)
    if count:
        final = (campaign.account_id, campaign.id, Outcome.INVALID_NUMBER, count)
        await calls.count_finals(tx, [final])


def _owner(campaign: store.Opened) -> bytes:
    return b"%d\t%d\t%d" % (campaign.account_id, campaign.id, campaign.user_id)


async def _chunks(campaign: store.Opened, ids: Sequence[int], prepared: _Prepared) -> AsyncIterator[bytes]:
    owner = _owner(campaign)
    numbers, givens, fields = prepared.numbers, prepared.givens, prepared.fields
    for start in range(0, len(numbers), _CHUNK):
        await asyncio.sleep(0)
        yield b"".join(
            b"%d\t%b\t%b\t%b\t%b\n"
            % (ids[at], owner, numbers[at].encode(), _escaped(givens[at]), fields[at].replace(b"\\", b"\\\\"))
            for at in range(start, min(start + _CHUNK, len(numbers)))
        )


async def _otp_chunks(
    campaign: store.Opened, ids: Sequence[int], prepared: _Prepared
) -> AsyncIterator[bytes]:
    expires_at = (campaign.began_at + timedelta(seconds=campaign.otp_seconds)).isoformat().encode()
    at = 0
    async for chunk in _chunks(campaign, ids, prepared):
        rows = []
        for row in chunk.splitlines():
            secret = prepared.secrets[at]
            assert secret is not None
            rows.append(b"%b\t\\\\x%b\t%b\n" % (row, secret.hex().encode(), expires_at))
            at += 1
        yield b"".join(rows)


async def _invalid_chunks(
    campaign: store.Opened, ids: Sequence[int], prepared: _Prepared, now: datetime
) -> AsyncIterator[bytes]:
    owner, at = _owner(campaign), now.isoformat().encode()
    outcome = Outcome.INVALID_NUMBER.encode()
    for start in range(0, len(ids), _CHUNK):
        await asyncio.sleep(0)
        rows = []
        for call_id, (_, reason, given, fields) in zip(
            ids[start : start + _CHUNK], prepared.invalid[start : start + _CHUNK], strict=True
        ):
            shown = _UNSTORABLE.sub("\ufffd", given[:_LONGEST_INVALID])
            values = (owner, b"", _escaped(shown), fields.replace(b"\\", b"\\\\"), b"done", outcome, at, at)
            rows.append(b"%d\t%b\t%b\n" % (call_id, b"\t".join(values), reason.encode()))
        yield b"".join(rows)


def _escaped(text: str) -> bytes:
    """Text as COPY takes it. Nearly every number is made of digits and needs nothing."""
    return text.encode() if text.isdecimal() else text.translate(_ESCAPES).encode()
