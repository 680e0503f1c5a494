"""Use cases of lists, opt-outs, consents and attestations.

What takes somebody's consent away, or puts a number on a list, locks the persons first, as a claim does: once
it has been answered, no claim that began before is still to come.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from tongdai.domain.compliance.calling import AgreedTerms, NationalList
from tongdai.domain.compliance.errors import (
    AttestationEndedError,
    AttestationNotFoundError,
    DoNotCallNotFoundError,
    OptOutNotFoundError,
    RecordInvalidError,
)
from tongdai.domain.compliance.persons import lock_persons
from tongdai.domain.compliance.records import (
    PLATFORM,
    Attestation,
    Consent,
    ConsentReport,
    DoNotCall,
    ListReport,
    NewAttestation,
    NewConsent,
    NewDoNotCall,
    OptOut,
    attestation_faults,
    consent_fault,
    in_range,
)
from tongdai.domain.compliance.store import records as store
from tongdai.domain.contacts import normalise
from tongdai.kit.db import Tx

LOCKED_AT_ONCE = 1000
"""Persons whose locks one listing takes. A longer list is no answer to one person, and takes none."""

_BIGINT_MAX = 2**63 - 1

# --------------------------------------------------------------------------- do-not-call


async def list_numbers(
    tx: Tx,
    account_id: int,
    entries: Sequence[NewDoNotCall],
    *,
    source: str,
    reason: str | None = None,
    until: datetime | None = None,
    user_id: int | None = None,
    loosens: bool = True,
) -> ListReport:
    """Puts numbers on the account's do-not-call list, or on everybody's (`PLATFORM`).

    A number that is there already takes the new flags, source and end. Without `loosens`, for whoever may not
    take a number off, it takes only those that forbid more. What is no number is reported.

    Raises RecordInvalidError when `until` is a slip.
    """
    if not in_range(until):
        raise RecordInvalidError([("until", "must be between 1970 and 2199")])
    rejected: list[tuple[int, str]] = []
    taken: dict[str, NewDoNotCall] = {}
    for index, entry in enumerate(entries):
        read = normalise(entry.given)
        if read.reason is not None:
            rejected.append((index, read.reason))
        else:
            taken[read.number] = entry
    if account_id != PLATFORM and len(taken) <= LOCKED_AT_ONCE:
        await lock_persons(tx, [(account_id, "", number) for number in taken])
    if taken:
        await store.list_numbers(
            tx,
            {
                "account_id": account_id,
                "number": list(taken),
                "voice": [entry.voice for entry in taken.values()],
                "sms": [entry.sms for entry in taken.values()],
                "source": source,
                "reason": reason,
                "until": until,
                "user_id": user_id,
                "loosens": loosens,
            },
        )
    return ListReport(len(entries), len(taken), tuple(rejected))


async def do_not_call_entries(
    tx: Tx, account_id: int, *, number: str | None = None, after: int, limit: int
) -> list[DoNotCall]:
    """Entries of an account, or of the platform, in id order; of one canonical number where it is given."""
    return await store.entries(tx, account_id, number, after, limit)


async def unlist(tx: Tx, account_id: int, entry_id: int) -> DoNotCall:
    """Takes a number off the list. Raises DoNotCallNotFoundError."""
    found = await store.unlist(tx, account_id, entry_id) if 0 < entry_id <= _BIGINT_MAX else None
    if found is None:
        raise DoNotCallNotFoundError
    return found


async def national_list(tx: Tx) -> NationalList | None:
    """How old our copy of the national register is; None: there never was one."""
    return await store.national_list(tx)


# --------------------------------------------------------------------------- opt-outs


async def mark_opted_out(
    tx: Tx,
    account_id: int,
    numbers: Iterable[str],
    advertiser: str,
    source: str,
    now: datetime,
    *,
    reason: str | None = None,
    user_id: int | None = None,
) -> list[str]:
    """Nobody calls these canonical numbers again in this advertiser's name ('': the account's, so not at
    all).

    Holds their locks until the transaction ends. Returns those that had not opted out before. What is queued
    is the business of `calls.opt_out`.
    """
    wanted = sorted(set(numbers))
    if not wanted:
        return []
    await lock_persons(tx, [(account_id, advertiser, number) for number in wanted])
    values = _opt_out_values(account_id, wanted, advertiser, source, now, reason, user_id)
    return await store.mark_opted_out(tx, values)


async def lift_opt_out(
    tx: Tx,
    account_id: int,
    number: str,
    advertiser: str,
    source: str,
    now: datetime,
    *,
    reason: str,
    user_id: int | None,
) -> None:
    """The person wants to be called again, and said so. Raises OptOutNotFoundError."""
    await lock_persons(tx, [(account_id, advertiser, number)])
    values = _opt_out_values(account_id, [number], advertiser, source, now, reason, user_id)
    if not await store.lift_opt_out(tx, values):
        raise OptOutNotFoundError


def _opt_out_values(
    account_id: int,
    numbers: list[str],
    advertiser: str,
    source: str,
    now: datetime,
    reason: str | None,
    user_id: int | None,
) -> dict[str, object]:
    return {
        "account_id": account_id,
        "number": numbers,
        "advertiser": advertiser,
        "source": source,
        "reason": reason,
        "user_id": user_id,
        "at": now,
    }


async def list_opt_outs(
    tx: Tx, account_id: int, *, number: str | None = None, after: int, limit: int
) -> list[OptOut]:
    """Opt-outs and what lifted them, in id order; of one canonical number where it is given."""
    return await store.opt_outs(tx, account_id, number, after, limit)


# --------------------------------------------------------------------------- consents


async def record_consents(
    tx: Tx, account_id: int, user_id: int | None, consents: Sequence[NewConsent], now: datetime
) -> ConsentReport:
    """Writes down consents and withdrawals; what cannot be one is reported.

    Reasons are the normaliser's own, and `purpose_invalid`, `at_in_future`, `evidence_missing` (a consent
    without proof is none), `until_before_at`,
    `max_per_24h_invalid`, `time_out_of_range`.
    """
    rejected: list[tuple[int, str]] = []
    taken: list[tuple[int, str, NewConsent]] = []
    for index, new in enumerate(consents):
        read = normalise(new.given_number)
        fault = read.reason or consent_fault(new, now)
        if fault is not None:
            rejected.append((index, fault))
        else:
            taken.append((index, read.number, new))
    withdrawn = [(account_id, new.advertiser, number) for _, number, new in taken if not new.given]
    await lock_persons(tx, withdrawn)
    ids = await store.add_consents(tx, _consent_columns(account_id, user_id, taken, now)) if taken else []
    accepted = tuple((index, id_) for (index, _, _), id_ in zip(taken, ids, strict=True))
    return ConsentReport(accepted, tuple(rejected))


def _consent_columns(
    account_id: int, user_id: int | None, taken: Sequence[tuple[int, str, NewConsent]], now: datetime
) -> dict[str, object]:
    return {
        "account_id": account_id,
        "user_id": user_id,
        "number": [number for _, number, _ in taken],
        "advertiser": [new.advertiser for _, _, new in taken],
        "purpose": [new.purpose for _, _, new in taken],
        "given": [new.given for _, _, new in taken],
        "at": [min(new.at or now, now) for _, _, new in taken],
        "method": [new.method for _, _, new in taken],
        "wording": [new.wording for _, _, new in taken],
        "evidence": [new.evidence for _, _, new in taken],
        "max_per_24h": [new.max_per_24h for _, _, new in taken],
        "until": [new.until for _, _, new in taken],
    }


async def list_consents(
    tx: Tx, account_id: int, *, number: str | None = None, after: int, limit: int
) -> list[Consent]:
    """Records of consent in id order; of one canonical number where it is given."""
    return await store.consents(tx, account_id, number, after, limit)


# --------------------------------------------------------------------------- attestations


async def attest(tx: Tx, account_id: int, user_id: int, new: NewAttestation, now: datetime) -> Attestation:
    """Writes down that a user answers for a list's consent. Raises RecordInvalidError."""
    faults = list(attestation_faults(new, now))
    if faults:
        raise RecordInvalidError(faults)
    return await get_attestation(tx, account_id, await store.add_attestation(tx, account_id, user_id, new))


async def get_attestation(tx: Tx, account_id: int, attestation_id: int) -> Attestation:
    """Raises AttestationNotFoundError."""
    found = None
    if 0 < attestation_id <= _BIGINT_MAX:
        found = await store.attestation(tx, account_id, attestation_id)
    if found is None:
        raise AttestationNotFoundError(attestation_id=attestation_id)
    return found


async def list_attestations(tx: Tx, account_id: int, *, after: int, limit: int) -> list[Attestation]:
    """Attestations in id order."""
    return await store.attestations(tx, account_id, after, limit)


async def end_attestation(
    tx: Tx, account_id: int, attestation_id: int, *, user_id: int, reason: str
) -> Attestation:
    """From now on the attestation stands for nobody. Raises AttestationNotFoundError,
    AttestationEndedError."""
    await get_attestation(tx, account_id, attestation_id)
    if not await store.end_attestation(tx, account_id, attestation_id, user_id, reason):
        raise AttestationEndedError(attestation_id=attestation_id)
    return await get_attestation(tx, account_id, attestation_id)


async def agreed_terms(tx: Tx, attestation_ids: Sequence[int]) -> dict[int, AgreedTerms]:
    """What the people of lists agreed to, by attestation; those that have ended are left out.

    For a loop of the platform, which knows the ids from campaigns: it asks for no account.
    """
    return await store.agreed_terms(tx, attestation_ids) if attestation_ids else {}
