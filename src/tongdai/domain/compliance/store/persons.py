"""SQL of a claim's look at persons: their locks, what is known of them, and the calls that rang them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from tongdai.domain.compliance.judging import Agreement, Known, Listed, Person, PersonCase, PersonKey, Ring
from tongdai.kit.db import Later, Sql, Tx, sent_at_once

# Persons are made when they are first claimed or first opt out.
ENSURE_PERSONS: Final[Sql] = """
INSERT INTO persons (account_id, advertiser, number)
SELECT DISTINCT * FROM unnest(%b::bigint[], %b::text[], %b::text[]) AS t(account_id, advertiser, number)
ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING
"""

# In key order, the same for everybody. By primary key.
LOCK_PERSONS: Final[Sql] = """
SELECT account_id, advertiser, number, live_call_id, opted_out_at IS NOT NULL, last_rang_at
FROM persons
WHERE (account_id, advertiser, number) IN (SELECT * FROM unnest(%b::bigint[], %b::text[], %b::text[]))
ORDER BY account_id, advertiser, number FOR UPDATE
"""

# Which numbers are on a list that counts: the account's, the platform's (account 0), and for purposes that
# need it the national register. One probe of a key per number and list; LIMIT keeps the lists from being read
# whole.
LISTED: Final[Sql] = """
SELECT i.call_id, found.list
FROM unnest(%(call_id)b::bigint[], %(account_id)b::bigint[], %(number)b::text[], %(national)b::boolean[])
     AS i(call_id, account_id, number, national)
CROSS JOIN LATERAL (
    (SELECT 1 AS ord, CASE account_id WHEN 0 THEN 'dnc_platform' ELSE 'dnc_account' END AS list
     FROM do_not_call
     WHERE number = i.number AND account_id IN (0, i.account_id) AND voice
       AND (until IS NULL OR until > %(now)s)
     ORDER BY account_id DESC LIMIT 1)
    UNION ALL
    (SELECT 2, 'dnc_national' FROM national_do_not_call
     WHERE i.national AND number = i.number AND voice LIMIT 1)
    ORDER BY ord LIMIT 1
) found
"""

# Each person's latest word on a purpose, and the attestation of their list while it holds. A withdrawal
# towards the account ('' as advertiser) counts for every advertiser; a consent for its own alone. Index
# consents_number and primary keys.
AGREEMENTS: Final[Sql] = """
SELECT i.call_id, c.given, c.at, c.until, c.max_per_24h, a.obtained_at, a.max_per_24h
FROM unnest(%(call_id)b::bigint[], %(account_id)b::bigint[], %(number)b::text[], %(advertiser)b::text[],
            %(purpose)b::text[], %(attestation_id)b::bigint[])
     AS i(call_id, account_id, number, advertiser, purpose, attestation_id)
LEFT JOIN LATERAL (
    SELECT given, at, until, max_per_24h FROM consents
    WHERE account_id = i.account_id AND number = i.number AND purpose = i.purpose
      AND (at <= %(now)s OR NOT given)
      AND (advertiser = i.advertiser OR (advertiser = '' AND NOT given))
    ORDER BY at DESC, id DESC LIMIT 1
) c ON true
LEFT JOIN LATERAL (
    SELECT obtained_at, max_per_24h FROM attestations
    WHERE id = i.attestation_id AND account_id = i.account_id AND advertiser = i.advertiser
      AND purpose = i.purpose AND obtained_at <= %(now)s
      AND NOT EXISTS (SELECT FROM attestation_ends WHERE attestation_id = attestations.id)
) a ON true
"""

# The legs that rang each person, or may yet: those that have not ended. By primary keys.
RINGS: Final[Sql] = """
SELECT i.call_id, r.at, r.advertiser,
       EXISTS (SELECT FROM legs WHERE legs.id = r.leg_id AND legs.state <> 'ended') AS under_way
FROM unnest(%(call_id)b::bigint[], %(account_id)b::bigint[], %(person_key)b::text[], %(purpose)b::text[],
            %(since)b::timestamptz[])
     AS i(call_id, account_id, person_key, purpose, since)
CROSS JOIN LATERAL (
    SELECT leg_id, at, advertiser FROM person_rings
    WHERE account_id = i.account_id AND person_key = i.person_key AND purpose = i.purpose AND at >= i.since
    LIMIT 1000
) r
"""

RECORD_RINGS: Final[Sql] = """
INSERT INTO person_rings (account_id, person_key, advertiser, purpose, leg_id, at)
SELECT * FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::text[], %b::bigint[], %b::timestamptz[])
ON CONFLICT DO NOTHING
"""

# By primary key.
FORGET_RINGS: Final[Sql] = """
DELETE FROM person_rings
WHERE (account_id, person_key, leg_id) IN (SELECT * FROM unnest(%b::bigint[], %b::text[], %b::bigint[]))
"""

# Of every account: a loop of the platform. Index person_rings_old.
PURGE_RINGS: Final[Sql] = """
DELETE FROM person_rings
WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM person_rings WHERE at < %s ORDER BY at LIMIT %s FOR UPDATE SKIP LOCKED))
"""


async def lock_persons(tx: Tx, keys: Iterable[PersonKey]) -> Later[dict[PersonKey, Person]]:
    columns = _columns(sorted(set(keys)), 3)
    async with sent_at_once(tx):
        await tx.execute(ENSURE_PERSONS, columns)
        found = await tx.execute(LOCK_PERSONS, columns)

    async def read() -> dict[PersonKey, Person]:
        return {
            (account, advertiser, number): Person(*rest)
            for account, advertiser, number, *rest in await found.fetchall()
        }

    return read


async def look_up(
    tx: Tx,
    listable: Sequence[tuple[PersonCase, bool]],
    needing_consent: Sequence[PersonCase],
    counted: Sequence[tuple[PersonCase, str, datetime]],
    now: datetime,
) -> Known:
    """What is known of the cases, in as many statements as have anything to ask, sent at once.

    Each of `listable` comes with whether the national register counts, each of `counted` with the key of its
    calls and the moment from which on they matter.
    """
    async with sent_at_once(tx), tx.cursor() as lists, tx.cursor() as consents, tx.cursor() as rings:
        if listable:
            await lists.execute(LISTED, _listed_columns(listable, now))
        if needing_consent:
            await consents.execute(AGREEMENTS, _agreement_columns(needing_consent, now))
        if counted:
            await rings.execute(RINGS, _ring_columns(counted))
        listed: dict[int, Listed] = dict(await lists.fetchall()) if listable else {}
        agreements = await consents.fetchall() if needing_consent else []
        rang = await rings.fetchall() if counted else []
    found: dict[int, list[Ring]] = {}
    for call_id, *ring in rang:
        found.setdefault(call_id, []).append(Ring(*ring))
    return Known(listed, {call_id: Agreement(*rest) for call_id, *rest in agreements}, found)


def _listed_columns(cases: Sequence[tuple[PersonCase, bool]], now: datetime) -> dict[str, Any]:
    return {
        "call_id": [case.call_id for case, _ in cases],
        "account_id": [case.account_id for case, _ in cases],
        "number": [case.number for case, _ in cases],
        "national": [national for _, national in cases],
        "now": now,
    }


def _agreement_columns(cases: Sequence[PersonCase], now: datetime) -> dict[str, Any]:
    return {
        "call_id": [case.call_id for case in cases],
        "account_id": [case.account_id for case in cases],
        "number": [case.number for case in cases],
        "advertiser": [case.advertiser for case in cases],
        "purpose": [case.purpose for case in cases],
        "attestation_id": [case.attestation_id for case in cases],
        "now": now,
    }


def _ring_columns(cases: Sequence[tuple[PersonCase, str, datetime]]) -> dict[str, Any]:
    return {
        "call_id": [case.call_id for case, _, _ in cases],
        "account_id": [case.account_id for case, _, _ in cases],
        "person_key": [key for _, key, _ in cases],
        "purpose": [case.purpose for case, _, _ in cases],
        "since": [since for _, _, since in cases],
    }


async def record_rings(tx: Tx, rings: Sequence[tuple[int, str, str, str, int, datetime]]) -> None:
    await tx.execute(RECORD_RINGS, _columns(rings, 6))


async def forget_rings(tx: Tx, rings: Sequence[tuple[int, str, int]]) -> None:
    await tx.execute(FORGET_RINGS, _columns(rings, 3))


async def purge_rings(tx: Tx, before: datetime, limit: int) -> int:
    return (await tx.execute(PURGE_RINGS, (before, limit))).rowcount


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows as one list per column."""
    return [[row[place] for row in rows] for place in range(width)]
