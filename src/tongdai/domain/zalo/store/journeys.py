"""SQL of journeys, and of the keys that requests for them name themselves by.

Locked after Official Accounts, quotas and templates, before messages and wallets (decision 0005).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from psycopg.rows import args_row

from tongdai.domain.zalo.model import JourneyFilter
from tongdai.domain.zalo.store import spans
from tongdai.domain.zalo.store.spans import Span
from tongdai.kit.db import Sql, Tx

# Whatever is asked of a journey shows it as the clock has it: a job notes what has expired a little later.
_SHOWN: Final[Sql] = """
    j.id, j.account_id, j.oa_ref, j.oa_id, j.user_id, j.phone, j.token_type,
    CASE WHEN j.state IN ('open', 'enabled') AND j.expires_at <= %(now)s THEN 'expired' ELSE j.state END,
    j.journey_id, j.token, j.error_code, j.error_message, j.charged, j.charged_at,
    j.held, j.net, j.vat, j.vat_percent, j.created_at, j.expires_at, j.updated_at
"""

# What Zalo answered, or refused, of one or many requests, in their order.
ADD: Final[Sql] = """
INSERT INTO zalo_journeys
       (account_id, oa_ref, oa_id, user_id, phone, token_type, state, journey_id, token, error_code,
        error_message, held, net, vat, vat_percent, created_at, expires_at, updated_at)
SELECT * FROM unnest(
    %(account_ids)s::bigint[], %(oa_refs)s::bigint[], %(oa_ids)s::bigint[], %(user_ids)s::bigint[],
    %(phones)s::text[], %(token_types)s::text[], %(states)s::text[], %(journey_ids)s::text[],
    %(tokens)b::bytea[], %(error_codes)s::int[], %(error_messages)s::text[], %(held)s::numeric[],
    %(nets)s::numeric[], %(vats)s::numeric[], %(vat_percents)s::numeric[], %(created_ats)s::timestamptz[],
    %(expires_ats)s::timestamptz[], %(created_ats)s::timestamptz[])
RETURNING id
"""

_NAMED: Final[Sql] = """
FROM zalo_journeys j
WHERE j.account_id = %(account_id)s AND (%(oa_id)s::bigint IS NULL OR j.oa_id = %(oa_id)s)
  AND j.id = coalesce(
      (SELECT z.id FROM zalo_journeys z
       WHERE z.account_id = %(account_id)s AND z.journey_id = %(zalo_id)s
       ORDER BY z.id DESC LIMIT 1), %(id)s)
"""
# One journey by Zalo's id (zalo_journeys_zalo_id) or by ours (the primary key); Zalo's goes first.
FIND: Final[Sql] = "SELECT " + _SHOWN + _NAMED

# One journey by our id: the primary key.
GET: Final[Sql] = (
    "SELECT " + _SHOWN + "FROM zalo_journeys j WHERE j.account_id = %(account_id)s AND j.id = %(id)s"
)

_FILTERS: Final[Sql] = """
  AND j.id > %(above)s AND j.id < %(below)s
  AND (%(oa_id)s::bigint IS NULL OR j.oa_id = %(oa_id)s)
  AND (%(journey_id)s::text IS NULL OR j.journey_id = %(journey_id)s)
  AND (%(phone)s::text IS NULL OR j.phone = %(phone)s)
  AND (%(charged)s::boolean IS NULL OR j.charged = %(charged)s)
  AND (%(since)s::timestamptz IS NULL OR j.created_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR j.created_at < %(until)s)
  AND (%(states)s::text[] IS NULL
       OR CASE WHEN j.state IN ('open', 'enabled') AND j.expires_at <= %(now)s THEN 'expired'
          ELSE j.state END = ANY(%(states)s))
"""
_OF_ACCOUNT: Final[Sql] = "FROM zalo_journeys j WHERE j.account_id = %(account_id)s "

# An account's journeys between two ids, in either direction. What is named most narrowly has an index of its
# own: the plan of a query that could be any of them would read the whole account for one number.
_SCOPES: Final[Mapping[str, Sql]] = {
    "journey_id": _OF_ACCOUNT + "AND j.journey_id = %(journey_id)s ",  # zalo_journeys_zalo_id
    "phone": _OF_ACCOUNT + "AND j.phone = %(phone)s ",  # zalo_journeys_phone
    "oa_id": _OF_ACCOUNT + "AND j.oa_id = %(oa_id)s ",  # zalo_journeys_of_oa
    "account_id": _OF_ACCOUNT,  # the primary key
}
_LISTED: Final[Mapping[str, Sql]] = {
    name: "SELECT " + _SHOWN + scope + _FILTERS + "ORDER BY j.id" for name, scope in _SCOPES.items()
}
_LAST_EXAMINED: Final = {
    name: spans.last_examined_of("SELECT id " + scope + "AND j.id > %(above)s AND j.id < %(below)s")
    for name, scope in _SCOPES.items()
}
FIRST_SINCE: Final[Sql] = spans.first_since_of("zalo_journeys")

# Its first message went out: once, whoever says so first and however often. What has expired meanwhile is
# charged for as long as its price is held for it, and stays expired. The plan of one statement for either id
# would read the whole account, so there are two.
_ENABLE: Final[Sql] = """
UPDATE zalo_journeys
   SET state = CASE state WHEN 'open' THEN 'enabled' ELSE state END,
       charged = true, charged_at = %(now)s, held = 0, updated_at = %(now)s
 WHERE account_id = %(account_id)s
   AND NOT charged AND (state IN ('open', 'enabled') OR (state = 'expired' AND held > 0))
"""
# By our id: the primary key.
ENABLE_OWN: Final[Sql] = _ENABLE + "AND id = %(id)s RETURNING id"
# By Zalo's: zalo_journeys_zalo_id.
_ZALOS: Final[Sql] = """AND id = (
    SELECT z.id FROM zalo_journeys z
    WHERE z.account_id = %(account_id)s AND z.journey_id = %(zalo_id)s
    ORDER BY z.id DESC LIMIT 1)
"""
ENABLE_ZALOS: Final[Sql] = _ENABLE + _ZALOS + "RETURNING id"

# Zalo says that it is over.
_EXPIRE: Final[Sql] = """
UPDATE zalo_journeys
   SET state = 'expired', expires_at = least(expires_at, %(now)s), updated_at = %(now)s
 WHERE account_id = %(account_id)s AND state IN ('open', 'enabled')
"""
# By our id: the primary key. By Zalo's: zalo_journeys_zalo_id.
EXPIRE_OWN: Final[Sql] = _EXPIRE + "AND id = %(id)s RETURNING id"
EXPIRE_ZALOS: Final[Sql] = _EXPIRE + "AND journey_id = %(zalo_id)s RETURNING id"

# The clock says so (zalo_journeys_expiring). Each is taken by one process.
EXPIRE_DUE: Final[Sql] = """
UPDATE zalo_journeys j SET state = 'expired', updated_at = %(now)s
FROM (SELECT account_id, id FROM zalo_journeys
      WHERE state IN ('open', 'enabled') AND expires_at <= %(now)s
      ORDER BY expires_at LIMIT %(most)s FOR NO KEY UPDATE SKIP LOCKED) due
WHERE j.account_id = due.account_id AND j.id = due.id
RETURNING j.account_id, j.id
"""

# What is still held for journeys that have been over for so long that no event of theirs is on its way any
# more (zalo_journeys_let_go).
LET_GO: Final[Sql] = """
UPDATE zalo_journeys j SET held = 0, updated_at = %(now)s
FROM (SELECT account_id, id, held FROM zalo_journeys
      WHERE state = 'expired' AND held > 0 AND expires_at <= %(before)s
      ORDER BY expires_at LIMIT %(most)s FOR NO KEY UPDATE SKIP LOCKED) over
WHERE j.account_id = over.account_id AND j.id = over.id
RETURNING j.account_id, over.held
"""

# ---------------------------------------------------------------- keys of requests

# The first to come makes the journey, all by the primary key.
BEGIN_KEY: Final[Sql] = """
INSERT INTO zalo_journey_keys (account_id, key, asked, begun_at)
VALUES (%(account_id)s, %(key)s, %(asked)s, %(now)s)
ON CONFLICT (account_id, key) DO UPDATE SET begun_at = excluded.begun_at
WHERE zalo_journey_keys.journey_ref IS NULL AND zalo_journey_keys.begun_at < %(dead)s
  AND zalo_journey_keys.asked = excluded.asked
RETURNING begun_at
"""
KEY: Final[Sql] = "SELECT asked, journey_ref FROM zalo_journey_keys WHERE account_id = %s AND key = %s"
END_KEY: Final[Sql] = """
UPDATE zalo_journey_keys SET journey_ref = %(journey_ref)s
WHERE account_id = %(account_id)s AND key = %(key)s AND begun_at = %(begun_at)s AND journey_ref IS NULL
"""
DROP_KEY: Final[Sql] = """
DELETE FROM zalo_journey_keys
WHERE account_id = %(account_id)s AND key = %(key)s AND begun_at = %(begun_at)s AND journey_ref IS NULL
"""
# Too old to be repeated (zalo_journey_keys_old).
FORGET_KEYS: Final[Sql] = """
DELETE FROM zalo_journey_keys WHERE (account_id, key) IN (
    SELECT account_id, key FROM zalo_journey_keys WHERE begun_at < %s ORDER BY begun_at LIMIT %s)
"""


@dataclass(frozen=True, slots=True)
class JourneyRow:
    """A journey with its token sealed, and its price as it was when it was made."""

    id: int
    account_id: int
    oa_ref: int
    oa_id: int
    user_id: int
    phone: str
    token_type: str
    state: str
    journey_id: str | None
    token: bytes | None
    error_code: int
    error_message: str
    charged: bool
    charged_at: datetime | None
    held: Decimal
    net: Decimal
    vat: Decimal
    vat_percent: Decimal | None
    created_at: datetime
    expires_at: datetime | None
    updated_at: datetime


async def add(tx: Tx, rows: Sequence[JourneyRow]) -> list[int]:
    """Their ids, in the same order. What they have of an id is not looked at."""
    values = {
        "account_ids": [row.account_id for row in rows],
        "oa_refs": [row.oa_ref for row in rows],
        "oa_ids": [row.oa_id for row in rows],
        "user_ids": [row.user_id for row in rows],
        "phones": [row.phone for row in rows],
        "token_types": [row.token_type for row in rows],
        "states": [row.state for row in rows],
        "journey_ids": [row.journey_id for row in rows],
        "tokens": [row.token for row in rows],
        "error_codes": [row.error_code for row in rows],
        "error_messages": [row.error_message for row in rows],
        "held": [row.held for row in rows],
        "nets": [row.net for row in rows],
        "vats": [row.vat for row in rows],
        "vat_percents": [row.vat_percent for row in rows],
        "created_ats": [row.created_at for row in rows],
        "expires_ats": [row.expires_at for row in rows],
    }
    made = await (await tx.execute(ADD, values)).fetchall()
    return [int(id) for (id,) in made]


async def find(
    tx: Tx, account_id: int, name: str, own_id: int | None, oa_id: int | None, now: datetime
) -> JourneyRow | None:
    """`own_id`: what the name is where it may be an id of ours."""
    values = {"account_id": account_id, "zalo_id": name, "id": own_id, "oa_id": oa_id, "now": now}
    return await _one(tx, FIND, values)


async def get(tx: Tx, account_id: int, id: int, now: datetime) -> JourneyRow | None:
    return await _one(tx, GET, {"account_id": account_id, "id": id, "now": now})


async def span_of_times(
    tx: Tx, account_id: int, wanted: JourneyFilter, before: timedelta, after: timedelta
) -> tuple[int | None, int | None]:
    """See `spans.span_of_times`."""
    return await spans.span_of_times(tx, FIRST_SINCE, account_id, wanted, before, after)


async def last_examined(
    tx: Tx, account_id: int, wanted: JourneyFilter, span: Span, examine: int
) -> int | None:
    """The id of the last of so many journeys, of those that an index finds; None: there are fewer."""
    values = _values(account_id, wanted)
    return await spans.last_examined(tx, _LAST_EXAMINED[_scope(values)], values, span, examine)


async def list_(
    tx: Tx, account_id: int, wanted: JourneyFilter, span: Span, limit: int, now: datetime
) -> list[JourneyRow]:
    """In the order of the span."""
    values = _values(account_id, wanted)
    ends = {"above": span.above, "below": span.below, "now": now, "limit": limit}
    order: Sql = " DESC LIMIT %(limit)s" if span.newest_first else " LIMIT %(limit)s"
    async with tx.cursor(row_factory=args_row(JourneyRow)) as cursor:
        await cursor.execute(_LISTED[_scope(values)] + order, values | ends)
        return await cursor.fetchall()


def _values(account_id: int, wanted: JourneyFilter) -> dict[str, Any]:
    return {
        "account_id": account_id,
        "oa_id": wanted.oa_id,
        "journey_id": wanted.journey_id,
        "phone": wanted.phone,
        "charged": wanted.charged,
        "since": wanted.since,
        "until": wanted.until,
        "states": None if wanted.states is None else sorted(wanted.states),
    }


def _scope(values: Mapping[str, Any]) -> str:
    return next(name for name in _SCOPES if values[name] is not None)


async def enable(
    tx: Tx, account_id: int, *, zalo_id: str | None, own_id: int | None, now: datetime
) -> int | None:
    """By Zalo's id, or by ours where that is given."""
    values = {"account_id": account_id, "zalo_id": zalo_id, "id": own_id, "now": now}
    statement = ENABLE_ZALOS if own_id is None else ENABLE_OWN
    return _id(await (await tx.execute(statement, values)).fetchone())


async def expire(
    tx: Tx, account_id: int, *, zalo_id: str | None, own_id: int | None, now: datetime
) -> int | None:
    """By Zalo's id, or by ours where that is given."""
    values = {"account_id": account_id, "zalo_id": zalo_id, "id": own_id, "now": now}
    statement = EXPIRE_ZALOS if own_id is None else EXPIRE_OWN
    return _id(await (await tx.execute(statement, values)).fetchone())


async def expire_due(tx: Tx, now: datetime, most: int) -> list[tuple[int, int]]:
    """(account, id) of each."""
    return [(a, i) for a, i in await (await tx.execute(EXPIRE_DUE, {"now": now, "most": most})).fetchall()]


async def let_go(tx: Tx, now: datetime, before: datetime, most: int) -> list[tuple[int, Decimal]]:
    """(account, what was held) of each."""
    done = await tx.execute(LET_GO, {"now": now, "before": before, "most": most})
    return [(account_id, held) for account_id, held in await done.fetchall()]


async def begin_key(
    tx: Tx, account_id: int, key: str, asked: bytes, now: datetime, dead: datetime
) -> datetime | None:
    """When it was begun, which is whose it is; None: there is one already."""
    values = {"account_id": account_id, "key": key, "asked": asked, "now": now, "dead": dead}
    row = await (await tx.execute(BEGIN_KEY, values)).fetchone()
    return None if row is None else row[0]


async def key(tx: Tx, account_id: int, key: str) -> tuple[bytes, int | None] | None:
    """What was asked for, and the journey that was made."""
    row: Any = await (await tx.execute(KEY, (account_id, key))).fetchone()
    return None if row is None else (bytes(row[0]), row[1])


async def end_key(tx: Tx, account_id: int, key: str, begun_at: datetime, journey_ref: int) -> bool:
    values = {"account_id": account_id, "key": key, "begun_at": begun_at, "journey_ref": journey_ref}
    return (await tx.execute(END_KEY, values)).rowcount == 1


async def drop_key(tx: Tx, account_id: int, key: str, begun_at: datetime) -> None:
    await tx.execute(DROP_KEY, {"account_id": account_id, "key": key, "begun_at": begun_at})


async def forget_keys(tx: Tx, before: datetime, most: int) -> int:
    return (await tx.execute(FORGET_KEYS, (before, most))).rowcount


async def _one(tx: Tx, statement: Sql, values: dict[str, object]) -> JourneyRow | None:
    async with tx.cursor(row_factory=args_row(JourneyRow)) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchone()


def _id(row: Any) -> int | None:
    return None if row is None else int(row[0])
