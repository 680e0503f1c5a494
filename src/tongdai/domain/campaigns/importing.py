"""Importing contacts: read, check and de-duplicate them, then store them as queued calls.

An import costs one statement when it is small and one COPY when it is big. What cannot be stored is reported,
never fatal: one bad contact does not fail the others.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from tongdai.domain import calls
from tongdai.domain.calls import Outcome, ResultMove
from tongdai.domain.campaigns.declared import DeclaredField, FieldReader
from tongdai.domain.campaigns.errors import CampaignNotFoundError, CampaignStoppedError
from tongdai.domain.campaigns.model import ImportReport, NewContact
from tongdai.domain.campaigns.reading import CHUNK, Kept, Prepared, Rules, prepare
from tongdai.domain.campaigns.store import intake as store
from tongdai.kit.clock import Clock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Tx

FEW = 50
"""Up to so many contacts go in one statement; above, COPY is faster in spite of its five round trips."""

_BIGINT_MAX = 2**63 - 1
_NONE_DECLARED = "[]"
_LONGEST_INVALID = 100
"""Characters that are kept of a text that is no number."""

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_NULL = b"\\N"


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

    Of contacts with one canonical number the first is taken that can be called. Numbers of earlier imports
    are refused only where the campaign's `allow_duplicates` is false. What the campaign declares of a
    contact's fields is checked and filled in. In an OTP campaign each contact needs a code of six digits,
    000001 to 999999; it is sealed, and never kept among the fields. `keep_invalid` stores a contact that is
    wrong for itself (its number, a field, its `problem`) as a finished call with outcome `invalid_number` and
    the reason as its note, and reports it as accepted and as kept. A big import gives its transaction a
    longer time limit.

    Raises:
        CampaignNotFoundError: no such campaign in this account.
        CampaignStoppedError: it takes no contacts in its present state: any but running for an OTP campaign,
            finished for every campaign, stopped where its `refuse_when_stopped` says so.
    """
    if not 0 < campaign_id <= _BIGINT_MAX:
        raise CampaignNotFoundError(campaign_id=campaign_id)
    batch = _Batch(tx, keyring, clock, account_id, campaign_id, contacts, keep_invalid)
    done = await _few(batch) if len(contacts) <= FEW else None
    prepared, accepted = done or await _many(batch)
    took = {index for index, _ in accepted}
    ids = dict(accepted) if prepared.invalid else {}
    return ImportReport(
        len(contacts),
        sorted(accepted),
        sorted(prepared.rejected),
        kept=[(one.place, ids[one.place], one.reason) for one in prepared.invalid],
        repaired=[index for index in prepared.repaired if index in took],
        converted=[index for index in prepared.converted if index in took],
    )


@dataclass(frozen=True, slots=True)
class _Batch:
    """What is imported, whereto, and with what."""

    tx: Tx
    keyring: Keyring
    clock: Clock
    account_id: int
    campaign_id: int
    contacts: Sequence[NewContact]
    keep_invalid: bool

    async def prepared(self, declared: str) -> Prepared:
        """The contacts, read by what the campaign declares (as jsonb says it)."""
        fields = None
        if declared != _NONE_DECLARED:
            fields = FieldReader(msgspec.json.decode(declared, type=tuple[DeclaredField, ...]))
        return await prepare(self.contacts, Rules(self.keyring, self.keep_invalid, fields))


_Done = tuple[Prepared, list[tuple[int, int]]]
"""The contacts, and (index, call id) of those that became calls."""


# --------------------------------------------------------------------------- few


async def _few(batch: _Batch) -> _Done | None:
    """One statement, which adds nothing when the campaign declares other fields than it was told; then the
    contacts are read by those and it is sent again. None: some contacts are to be kept as finished calls."""
    declared = _NONE_DECLARED
    while True:
        prepared = await batch.prepared(declared)
        if prepared.spares and await store.is_otp(batch.tx, batch.account_id, batch.campaign_id):
            prepared.use_spares()
        if prepared.invalid:
            return None
        added = await store.add_few(batch.tx, batch.account_id, batch.campaign_id, prepared, declared)
        if added is None:
            raise CampaignNotFoundError(campaign_id=batch.campaign_id)
        _require_open(batch.campaign_id, added.open, added.state)
        if added.as_declared:
            break
        declared = added.declared
    _require_codes(added.kind, prepared)
    ids = dict(zip(added.numbers, added.ids, strict=True))
    prepared.keep_where([number in ids for number in prepared.numbers], "duplicate_earlier")
    pairs = zip(prepared.indexes, prepared.numbers, strict=True)
    return prepared, [(index, ids[number]) for index, number in pairs]


def _require_open(campaign_id: int, is_open: bool, state: str) -> None:
    if not is_open:
        raise CampaignStoppedError(campaign_id=campaign_id, state=state)


def _require_codes(kind: str, prepared: Prepared) -> None:
    if kind == "otp":
        prepared.keep_where([secret is not None for secret in prepared.secrets], "otp_invalid")


# --------------------------------------------------------------------------- many


async def _many(batch: _Batch) -> _Done:
    tx, contacts = batch.tx, batch.contacts
    campaign = await store.begin_many(tx, batch.account_id, batch.campaign_id, 60_000 + len(contacts))
    if campaign is None:
        raise CampaignNotFoundError(campaign_id=batch.campaign_id)
    _require_open(campaign.id, campaign.open, campaign.state)
    prepared = await batch.prepared(campaign.declared)
    if prepared.spares and campaign.kind == "otp":
        prepared.use_spares()
    _require_codes(campaign.kind, prepared)
    if not campaign.allow_duplicates:
        fresh = await store.claim_numbers(tx, campaign.account_id, campaign.id, prepared.numbers)
        prepared.keep_where([number in fresh for number in prepared.numbers], "duplicate_earlier")
    ids = await store.take_ids(tx, len(prepared.numbers) + len(prepared.invalid))
    if prepared.numbers:
        statement = store.copy_calls(with_code=campaign.kind == "otp", with_own=prepared.brings_own)
        await store.copy_rows(tx, statement, _chunks(campaign, ids, prepared))
    kept = ids[len(prepared.numbers) :]
    now = batch.clock.now()
    if kept:
        await store.copy_rows(tx, store.COPY_INVALID, _invalid_chunks(campaign, kept, prepared.invalid, now))
    # Telling of thousands takes seconds, so it comes before the lock that claims wait for (the campaign).
    await calls.tell_refused(tx, [(campaign.account_id, call_id) for call_id in kept])
    if not await store.end_many(tx, campaign, len(ids)):
        raise CampaignStoppedError(campaign_id=campaign.id, state=campaign.state)
    await _count_invalid(tx, campaign, len(kept), now)
    indexes = prepared.indexes + [one.place for one in prepared.invalid]
    return prepared, list(zip(indexes, ids, strict=True))


async def _count_invalid(tx: Tx, campaign: store.Opened, count: int, now: datetime) -> None:
    move = ResultMove(campaign.account_id, campaign.id, campaign.user_id, None, now)
    await calls.count_results(tx, [move] * count)
    if count:
        final = (campaign.account_id, campaign.id, Outcome.INVALID_NUMBER, "", count)
        await calls.count_finals(tx, [final])


def _owner(campaign: store.Opened) -> bytes:
    return b"%d\t%d\t%d" % (campaign.account_id, campaign.id, campaign.user_id)


async def _chunks(campaign: store.Opened, ids: Sequence[int], prepared: Prepared) -> AsyncIterator[bytes]:
    owner, tail = _owner(campaign), _tail(campaign, prepared)
    numbers, contacts, fields = prepared.numbers, prepared.contacts, prepared.fields
    for start in range(0, len(numbers), CHUNK):
        await asyncio.sleep(0)
        yield b"".join(
            b"%d\t%b\t%b\t%b\t%b%b\n"
            % (
                ids[at],
                owner,
                numbers[at].encode(),
                _escaped(contacts[at].given),
                fields[at].replace(b"\\", b"\\\\"),
                b"" if tail is None else tail(at),
            )
            for at in range(start, min(start + CHUNK, len(numbers)))
        )


def _tail(campaign: store.Opened, prepared: Prepared) -> Callable[[int], bytes] | None:
    """What follows the columns that every row has; None where nothing does."""
    tails: list[Callable[[int], bytes]] = []
    if campaign.kind == "otp":
        expires_at = (campaign.began_at + timedelta(seconds=campaign.otp_seconds)).isoformat().encode()
        tails.append(lambda at: _code_columns(prepared.secrets[at], expires_at))
    if prepared.brings_own:
        tails.append(lambda at: _own_columns(prepared.contacts[at]))
    return (lambda at: b"".join(tail(at) for tail in tails)) if tails else None


def _code_columns(secret: bytes | None, expires_at: bytes) -> bytes:
    assert secret is not None
    return b"\t\\\\x%b\t%b" % (secret.hex().encode(), expires_at)


def _own_columns(contact: NewContact) -> bytes:
    attempts = _NULL if contact.max_attempts is None else b"%d" % contact.max_attempts
    texts = (contact.call_after, contact.call_before, contact.person_ref)
    return b"".join(
        b"\t" + column
        for column in (attempts, *(_NULL if text is None else _escaped(text) for text in texts))
    )


async def _invalid_chunks(
    campaign: store.Opened, ids: Sequence[int], invalid: Sequence[Kept], now: datetime
) -> AsyncIterator[bytes]:
    owner, at = _owner(campaign), now.isoformat().encode()
    outcome = Outcome.INVALID_NUMBER.encode()
    for start in range(0, len(ids), CHUNK):
        await asyncio.sleep(0)
        rows = []
        for call_id, kept in zip(ids[start : start + CHUNK], invalid[start : start + CHUNK], strict=True):
            given = _UNSTORABLE.sub("\ufffd", kept.contact.given[:_LONGEST_INVALID])
            fields = kept.fields.replace(b"\\", b"\\\\")
            values = (owner, kept.number.encode(), _escaped(given), fields, b"done", outcome, at, at)
            rows.append(b"%d\t%b\t%b\n" % (call_id, b"\t".join(values), _escaped(kept.reason)))
        yield b"".join(rows)


def _escaped(text: str) -> bytes:
    """Text as COPY takes it. Nearly every number is made of digits and needs nothing."""
    return text.encode() if text.isdecimal() else text.translate(_ESCAPES).encode()
