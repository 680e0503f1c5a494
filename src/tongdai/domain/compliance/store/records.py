"""SQL of lists, opt-outs, consents and attestations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row

from tongdai.domain.compliance.calling import AgreedTerms, NationalList
from tongdai.domain.compliance.records import Attestation, Consent, DoNotCall, NewAttestation, OptOut
from tongdai.kit.db import Sql, Tx

# --------------------------------------------------------------------------- do-not-call

# The latest word about a number counts; of somebody who may not loosen the list, only as far as it forbids
# more. In key order, so that two imports never wait for each other in a circle.
LIST_NUMBERS: Final[Sql] = """
INSERT INTO do_not_call (account_id, number, voice, sms, source, reason, until, user_id)
SELECT %(account_id)s, t.number, t.voice, t.sms, %(source)s, %(reason)s, %(until)s, %(user_id)s
FROM unnest(%(number)s::text[], %(voice)s::boolean[], %(sms)s::boolean[]) AS t(number, voice, sms)
ORDER BY t.number
ON CONFLICT (number, account_id) DO UPDATE
SET voice = excluded.voice OR (do_not_call.voice AND NOT %(loosens)s),
    sms = excluded.sms OR (do_not_call.sms AND NOT %(loosens)s),
    source = excluded.source, reason = excluded.reason, user_id = excluded.user_id,
    until = CASE WHEN %(loosens)s THEN excluded.until
                 WHEN do_not_call.until IS NOT NULL AND excluded.until IS NOT NULL
                 THEN greatest(do_not_call.until, excluded.until) END
"""

_DO_NOT_CALL: Sql = "id, account_id, number, voice, sms, source, reason, until, user_id, created_at"

# Index do_not_call_account; with a number, the unique key on it.
ENTRIES: Final[Sql] = f"""
SELECT {_DO_NOT_CALL} FROM do_not_call
WHERE account_id = %(account_id)s AND id > %(after)s AND (%(number)s::text IS NULL OR number = %(number)s)
ORDER BY id LIMIT %(limit)s
"""  # noqa: S608

# By primary key.
UNLIST: Final[Sql] = f"""
DELETE FROM do_not_call WHERE id = %s AND account_id = %s RETURNING {_DO_NOT_CALL}
"""  # noqa: S608

# --------------------------------------------------------------------------- the national register

# The finished copy that was begun last: a handful of rows a day.
NATIONAL_LIST: Final[Sql] = """
SELECT as_of, connected FROM national_lists WHERE finished_at IS NOT NULL ORDER BY id DESC LIMIT 1
"""
BEGIN_NATIONAL: Final[Sql] = """
INSERT INTO national_lists (as_of, source, connected) VALUES (%s, %s, %s) RETURNING id
"""

# A number that a later import has brought meanwhile keeps that one's mark. In key order.
ADD_NATIONAL: Final[Sql] = """
INSERT INTO national_do_not_call AS kept (number, voice, sms, list_id)
SELECT t.number, t.voice, t.sms, %(list_id)s
FROM unnest(%(number)s::text[], %(voice)s::boolean[], %(sms)s::boolean[]) AS t(number, voice, sms)
ORDER BY t.number
ON CONFLICT (number) DO UPDATE SET voice = excluded.voice, sms = excluded.sms, list_id = excluded.list_id
WHERE kept.list_id <= excluded.list_id
"""
FINISH_NATIONAL: Final[Sql] = """
UPDATE national_lists SET finished_at = now(), numbers = %s WHERE id = %s AND finished_at IS NULL
"""

# What stood in older copies and not in this one any more: walked in key order, some at a time, from a number
# on.
DROP_OLD_NATIONAL: Final[Sql] = """
WITH page AS MATERIALIZED (
    SELECT number, list_id FROM national_do_not_call WHERE number > %(after)s ORDER BY number LIMIT %(limit)s
), gone AS (
    DELETE FROM national_do_not_call d USING page
    WHERE d.number = page.number AND page.list_id < %(list_id)s AND d.list_id < %(list_id)s
)
SELECT max(number) FROM page
"""

# --------------------------------------------------------------------------- opt-outs

# Under the persons' locks. Who has opted out before is not told anew. By primary key.
MARK_OPTED_OUT: Final[Sql] = """
WITH marked AS (
    UPDATE persons SET opted_out_at = %(at)s
    WHERE account_id = %(account_id)s AND advertiser = %(advertiser)s AND number = ANY(%(number)s)
      AND opted_out_at IS NULL
    RETURNING account_id, advertiser, number
)
INSERT INTO opt_outs (account_id, advertiser, number, action, source, reason, user_id, at)
SELECT account_id, advertiser, number, 'opted_out', %(source)s, %(reason)s, %(user_id)s, %(at)s FROM marked
RETURNING number
"""
LIFT_OPT_OUT: Final[Sql] = """
WITH lifted AS (
    UPDATE persons SET opted_out_at = NULL
    WHERE account_id = %(account_id)s AND advertiser = %(advertiser)s AND number = ANY(%(number)s)
      AND opted_out_at IS NOT NULL
    RETURNING account_id, advertiser, number
)
INSERT INTO opt_outs (account_id, advertiser, number, action, source, reason, user_id, at)
SELECT account_id, advertiser, number, 'lifted', %(source)s, %(reason)s, %(user_id)s, %(at)s FROM lifted
RETURNING number
"""

# Indexes opt_outs_account and opt_outs_number.
OPT_OUTS: Final[Sql] = """
SELECT id, account_id, advertiser, number, action, source, reason, user_id, at FROM opt_outs
WHERE account_id = %(account_id)s AND id > %(after)s AND (%(number)s::text IS NULL OR number = %(number)s)
ORDER BY id LIMIT %(limit)s
"""

# --------------------------------------------------------------------------- consents

ADD_CONSENTS: Final[Sql] = """
INSERT INTO consents (account_id, user_id, number, advertiser, purpose, given, at, method, wording, evidence,
                      max_per_24h, until)
SELECT %(account_id)s, %(user_id)s, t.*
FROM unnest(%(number)s::text[], %(advertiser)s::text[], %(purpose)s::text[], %(given)s::boolean[],
            %(at)s::timestamptz[], %(method)s::text[], %(wording)s::text[], %(evidence)s::text[],
            %(max_per_24h)s::int[], %(until)s::timestamptz[]) AS t
RETURNING id
"""

# Indexes consents_account and consents_number.
CONSENTS: Final[Sql] = """
SELECT id, account_id, advertiser, number, purpose, given, at, method, wording, evidence, max_per_24h, until,
       user_id, created_at
FROM consents
WHERE account_id = %(account_id)s AND id > %(after)s AND (%(number)s::text IS NULL OR number = %(number)s)
ORDER BY id LIMIT %(limit)s
"""

# --------------------------------------------------------------------------- attestations

_ATTESTATION: Sql = """
    a.id, a.account_id, a.advertiser, a.purpose, a.user_id, a.obtained_at, a.method, a.wording, a.evidence,
    a.window_start, a.window_end, a.max_per_24h, a.created_at, e.at AS ended_at, e.user_id AS ended_by,
    e.reason AS ended_reason"""

ADD_ATTESTATION: Final[Sql] = """
INSERT INTO attestations (account_id, user_id, advertiser, purpose, obtained_at, method, wording, evidence,
                          window_start, window_end, max_per_24h)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
RETURNING id
"""

# By primary keys; for a page, index attestations_account.
ATTESTATION: Final[Sql] = f"""
SELECT {_ATTESTATION} FROM attestations a LEFT JOIN attestation_ends e ON e.attestation_id = a.id
WHERE a.id = %s AND a.account_id = %s
"""  # noqa: S608
ATTESTATIONS: Final[Sql] = f"""
SELECT {_ATTESTATION} FROM attestations a LEFT JOIN attestation_ends e ON e.attestation_id = a.id
WHERE a.account_id = %s AND a.id > %s ORDER BY a.id LIMIT %s
"""  # noqa: S608
END_ATTESTATION: Final[Sql] = """
INSERT INTO attestation_ends (attestation_id, account_id, user_id, reason) VALUES (%s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""

# What the people of lists agreed to, for the dialer's look at running campaigns of every account; only of
# attestations that hold. By primary keys.
AGREED_TERMS: Final[Sql] = """
SELECT id, window_start, window_end, max_per_24h FROM attestations
WHERE id = ANY(%s) AND NOT EXISTS (SELECT FROM attestation_ends WHERE attestation_id = attestations.id)
"""


async def list_numbers(tx: Tx, values: dict[str, Any]) -> None:
    await tx.execute(LIST_NUMBERS, values)


async def entries(tx: Tx, account_id: int, number: str | None, after: int, limit: int) -> list[DoNotCall]:
    async with tx.cursor(row_factory=class_row(DoNotCall)) as cursor:
        await cursor.execute(ENTRIES, _page(account_id, number, after, limit))
        return await cursor.fetchall()


async def unlist(tx: Tx, account_id: int, entry_id: int) -> DoNotCall | None:
    async with tx.cursor(row_factory=class_row(DoNotCall)) as cursor:
        await cursor.execute(UNLIST, (entry_id, account_id))
        return await cursor.fetchone()


async def national_list(tx: Tx) -> NationalList | None:
    async with tx.cursor(row_factory=class_row(NationalList)) as cursor:
        return await (await cursor.execute(NATIONAL_LIST)).fetchone()


async def begin_national(tx: Tx, as_of: datetime, source: str, connected: bool) -> int:
    row = await (await tx.execute(BEGIN_NATIONAL, (as_of, source, connected))).fetchone()
    assert row is not None
    return int(row[0])


async def add_national(
    tx: Tx, list_id: int, numbers: Sequence[str], flags: Sequence[tuple[bool, bool]]
) -> None:
    """Numbers, and of each whether it wants no calls and whether no messages."""
    values = {
        "list_id": list_id,
        "number": list(numbers),
        "voice": [voice for voice, _ in flags],
        "sms": [sms for _, sms in flags],
    }
    await tx.execute(ADD_NATIONAL, values)


async def finish_national(tx: Tx, list_id: int, numbers: int) -> None:
    await tx.execute(FINISH_NATIONAL, (numbers, list_id))


async def drop_old_national(tx: Tx, list_id: int, after: str, limit: int) -> str | None:
    """The last number that was looked at; None: there was none after `after`."""
    values = {"list_id": list_id, "after": after, "limit": limit}
    row = await (await tx.execute(DROP_OLD_NATIONAL, values)).fetchone()
    return None if row is None else row[0]


async def mark_opted_out(tx: Tx, values: dict[str, Any]) -> list[str]:
    return [number for (number,) in await (await tx.execute(MARK_OPTED_OUT, values)).fetchall()]


async def lift_opt_out(tx: Tx, values: dict[str, Any]) -> list[str]:
    return [number for (number,) in await (await tx.execute(LIFT_OPT_OUT, values)).fetchall()]


async def opt_outs(tx: Tx, account_id: int, number: str | None, after: int, limit: int) -> list[OptOut]:
    async with tx.cursor(row_factory=class_row(OptOut)) as cursor:
        await cursor.execute(OPT_OUTS, _page(account_id, number, after, limit))
        return await cursor.fetchall()


async def add_consents(tx: Tx, values: dict[str, Any]) -> list[int]:
    return [id_ for (id_,) in await (await tx.execute(ADD_CONSENTS, values)).fetchall()]


async def consents(tx: Tx, account_id: int, number: str | None, after: int, limit: int) -> list[Consent]:
    async with tx.cursor(row_factory=class_row(Consent)) as cursor:
        await cursor.execute(CONSENTS, _page(account_id, number, after, limit))
        return await cursor.fetchall()


async def add_attestation(tx: Tx, account_id: int, user_id: int, new: NewAttestation) -> int:
    agreed = new.agreed
    values = (
        account_id,
        user_id,
        new.advertiser,
        new.purpose,
        new.obtained_at,
        new.method,
        new.wording,
        new.evidence,
        agreed.window_start,
        agreed.window_end,
        agreed.max_per_24h,
    )
    row = await (await tx.execute(ADD_ATTESTATION, values)).fetchone()
    assert row is not None
    return int(row[0])


async def attestation(tx: Tx, account_id: int, attestation_id: int) -> Attestation | None:
    async with tx.cursor(row_factory=class_row(Attestation)) as cursor:
        await cursor.execute(ATTESTATION, (attestation_id, account_id))
        return await cursor.fetchone()


async def attestations(tx: Tx, account_id: int, after: int, limit: int) -> list[Attestation]:
    async with tx.cursor(row_factory=class_row(Attestation)) as cursor:
        await cursor.execute(ATTESTATIONS, (account_id, after, limit))
        return await cursor.fetchall()


async def end_attestation(tx: Tx, account_id: int, attestation_id: int, user_id: int, reason: str) -> bool:
    """False: it was ended before."""
    return (await tx.execute(END_ATTESTATION, (attestation_id, account_id, user_id, reason))).rowcount == 1


async def agreed_terms(tx: Tx, attestation_ids: Sequence[int]) -> dict[int, AgreedTerms]:
    cursor = await tx.execute(AGREED_TERMS, (list(attestation_ids),))
    return {id_: AgreedTerms(*terms) for id_, *terms in await cursor.fetchall()}


def _page(account_id: int, number: str | None, after: int, limit: int) -> dict[str, Any]:
    return {"account_id": account_id, "number": number, "after": after, "limit": limit}
