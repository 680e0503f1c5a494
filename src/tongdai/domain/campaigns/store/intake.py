"""SQL about imports: a handful of contacts in one statement, many through COPY."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from tongdai.domain.campaigns.reading import Prepared
from tongdai.kit.db import Sql, Tx

SHARDS = 16
"""Rows that hold one campaign's intake: a connection counts into one of them."""

# Whether a campaign takes contacts now. A finished one never dials again; an OTP is worthless later.
_OPEN: Sql = """
    (state <> 'finished' AND (kind <> 'otp' OR state = 'running')
     AND (state <> 'stopped' OR NOT coalesce((config ->> 'refuse_when_stopped')::boolean, false)))"""

_FACTS: Sql = f"""
    id, account_id, user_id, kind, state, {_OPEN} AS open,
    coalesce((config ->> 'allow_duplicates')::boolean, true) AS allow_duplicates,
    coalesce((config ->> 'otp_seconds')::integer, 60) AS otp_seconds, fields::text AS declared"""


def _add_few(arrays: Sql, own: Sql) -> Sql:
    return f"""
        WITH found AS MATERIALIZED (
            SELECT {_FACTS}, fields = %(declared)s::jsonb AS as_declared
              FROM campaigns WHERE id = %(campaign_id)s AND account_id = %(account_id)s
        ), given AS MATERIALIZED (
            SELECT g.*
              FROM found AS c,
                   unnest(%(numbers)s::text[], %(givens)s::text[], %(fields)s::text[], %(secrets)s::bytea[]
                          {arrays})
                   WITH ORDINALITY AS g (number, number_given, fields, secret{own}, ord)
             WHERE c.open AND c.as_declared AND (c.kind <> 'otp' OR g.secret IS NOT NULL)
        ), fresh AS (
            INSERT INTO campaign_numbers (campaign_id, number, account_id)
            SELECT c.id, g.number, c.account_id FROM given AS g, found AS c
             WHERE NOT c.allow_duplicates ORDER BY g.number
                ON CONFLICT DO NOTHING
            RETURNING number
        ), closable AS MATERIALIZED (
            SELECT {_FACTS} FROM campaigns
             WHERE id = %(campaign_id)s AND account_id = %(account_id)s AND NOT takes_imports
               AND (SELECT count(*) FROM fresh) >= 0 FOR SHARE
        ), campaign AS MATERIALIZED (
            SELECT f.id, f.account_id, f.user_id, f.kind, coalesce(c.state, f.state) AS state,
                   f.open AND coalesce(c.open, true) AS open, f.allow_duplicates, f.otp_seconds,
                   f.declared, f.as_declared
              FROM found AS f LEFT JOIN closable AS c ON true
        ), added AS (
            INSERT INTO calls (account_id, campaign_id, user_id, number, number_given, fields, secret,
                               expires_at{own})
            SELECT c.account_id, c.id, c.user_id, g.number, g.number_given, g.fields::jsonb,
                   CASE WHEN c.kind = 'otp' THEN g.secret END,
                   CASE WHEN c.kind = 'otp' THEN clock_timestamp() + make_interval(secs => c.otp_seconds) END
                   {own}
              FROM given AS g, campaign AS c
             WHERE c.open AND (c.allow_duplicates OR g.number IN (SELECT number FROM fresh))
             ORDER BY g.ord
            RETURNING id, number
        ), counted AS (
            INSERT INTO campaign_intake AS kept (campaign_id, shard, account_id, calls)
            SELECT c.id, pg_backend_pid() %% {SHARDS}, c.account_id, n.calls
              FROM campaign AS c, (SELECT count(*) AS calls FROM added) AS n
             WHERE n.calls > 0
                ON CONFLICT (campaign_id, shard) DO UPDATE SET calls = kept.calls + excluded.calls
        )
        SELECT kind, state, open, declared, as_declared,
               ARRAY(SELECT id FROM added) AS ids, ARRAY(SELECT number FROM added) AS numbers
          FROM campaign"""  # noqa: S608


# What a contact brings for itself alone; most bring nothing.
_OWN: Sql = ", max_attempts, call_after, call_before, person_ref"

# A small import in one round trip: is the campaign there and open, which numbers are new to it (only where it
# forbids duplicates), the calls, and their count. Nothing is added to a campaign that declares other fields
# than the contacts were read by. A campaign that finishes by running dry is locked, so that it does not
# finish over our calls; after its numbers, in the order of a big import. By primary keys.
ADD_FEW: Sql = _add_few("", "")
ADD_FEW_WITH_OWN: Sql = _add_few(
    ", %(max_attempts)s::smallint[], %(call_after)s::text[], %(call_before)s::text[], %(person_ref)s::text[]",
    _OWN,
)

# Whether the codes of a campaign's contacts matter. By primary key.
IS_OTP: Sql = """
    SELECT FROM campaigns WHERE id = %(campaign_id)s AND account_id = %(account_id)s AND kind = 'otp'"""

# What a big import must know, the moment it began, and a longer time limit for its transaction alone. A limit
# that is already running is not prolonged by a new value: it must be switched off first.
BEGIN_MANY: Sql = f"""
    SELECT {_FACTS}, clock_timestamp() AS began_at,
           set_config('transaction_timeout', '0', true)
           || set_config('transaction_timeout', %(timeout_ms)s::text, true) AS timeout
      FROM campaigns WHERE id = %(campaign_id)s AND account_id = %(account_id)s"""  # noqa: S608

# Which of these numbers the campaign was not given before. In key order, so that two imports never wait for
# each other in a circle. By primary key of campaign_numbers.
CLAIM_NUMBERS: Sql = """
    INSERT INTO campaign_numbers (campaign_id, number, account_id)
    SELECT %(campaign_id)s, number, %(account_id)s FROM unnest(%(numbers)s::text[]) AS g (number)
     ORDER BY number
        ON CONFLICT DO NOTHING
 RETURNING number"""

# That many call ids, as runs of consecutive ones: (first, how many). Others draw from the sequence too.
TAKE_IDS: Sql = """
    SELECT min(id), count(*)
      FROM (SELECT id, id - row_number() OVER () AS run
              FROM (SELECT nextval('call_ids') AS id FROM generate_series(1, %s)) AS drawn) AS numbered
     GROUP BY run ORDER BY 1"""

_CALL: Sql = "id, account_id, campaign_id, user_id, number, number_given, fields"
_CODE: Sql = ", secret, expires_at"
COPY_INVALID: Sql = f"COPY calls ({_CALL}, state, outcome, called_at, done_at, note) FROM STDIN"


def copy_calls(*, with_code: bool, with_own: bool) -> Sql:
    """COPY of queued calls, with the columns that they need. Without any more it is the fastest."""
    return f"COPY calls ({_CALL}{_CODE if with_code else ''}{_OWN if with_own else ''}) FROM STDIN"


# Ends a big import: the floor goes down to where it began, because the dialer may have moved it past that
# meanwhile; and the calls are counted. Nothing where the campaign has closed since. By primary keys.
END_MANY: Sql = f"""
    WITH campaign AS (
        UPDATE campaigns
           SET floor_at = least(floor_at, %(began_at)s),
               floor_id = CASE WHEN floor_at < %(began_at)s THEN floor_id ELSE 0 END
         WHERE id = %(campaign_id)s AND account_id = %(account_id)s AND {_OPEN}
        RETURNING id, account_id
    )
    INSERT INTO campaign_intake AS kept (campaign_id, shard, account_id, calls)
    SELECT id, pg_backend_pid() %% {SHARDS}, account_id, %(calls)s FROM campaign
        ON CONFLICT (campaign_id, shard) DO UPDATE SET calls = kept.calls + excluded.calls"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class FewAdded:
    kind: str
    state: str
    open: bool
    declared: str
    """The fields that the campaign declares, as JSON."""
    as_declared: bool
    """False: the contacts were read by others, and nothing was added."""
    ids: list[int]
    numbers: list[str]


@dataclass(frozen=True, slots=True)
class Opened:
    id: int
    account_id: int
    user_id: int
    kind: str
    state: str
    open: bool
    allow_duplicates: bool
    otp_seconds: int
    declared: str
    """The fields that it declares, as JSON."""
    began_at: datetime
    timeout: str


async def add_few(
    tx: Tx, account_id: int, campaign_id: int, contacts: Prepared, declared: str
) -> FewAdded | None:
    """`declared`: the fields by which the contacts were read, as JSON. None: no such campaign."""
    values: dict[str, object] = {
        "account_id": account_id,
        "campaign_id": campaign_id,
        "numbers": contacts.numbers,
        "givens": [one.given for one in contacts.contacts],
        "fields": [one.decode() for one in contacts.fields],
        "secrets": contacts.secrets,
        "declared": declared,
    }
    if contacts.brings_own:
        for name in ("max_attempts", "call_after", "call_before", "person_ref"):
            values[name] = [getattr(one, name) for one in contacts.contacts]
    async with tx.cursor(row_factory=class_row(FewAdded)) as cursor:
        await cursor.execute(ADD_FEW_WITH_OWN if contacts.brings_own else ADD_FEW, values)
        return await cursor.fetchone()


async def is_otp(tx: Tx, account_id: int, campaign_id: int) -> bool:
    cursor = await tx.execute(IS_OTP, {"account_id": account_id, "campaign_id": campaign_id})
    return await cursor.fetchone() is not None


async def begin_many(tx: Tx, account_id: int, campaign_id: int, timeout_ms: int) -> Opened | None:
    """None: the account has no such campaign."""
    values = {"account_id": account_id, "campaign_id": campaign_id, "timeout_ms": timeout_ms}
    async with tx.cursor(row_factory=class_row(Opened)) as cursor:
        await cursor.execute(BEGIN_MANY, values)
        return await cursor.fetchone()


async def claim_numbers(tx: Tx, account_id: int, campaign_id: int, numbers: Sequence[str]) -> set[str]:
    values = {"account_id": account_id, "campaign_id": campaign_id, "numbers": list(numbers)}
    cursor = await tx.execute(CLAIM_NUMBERS, values)
    return {row[0] for row in await cursor.fetchall()}


async def take_ids(tx: Tx, count: int) -> list[int]:
    cursor = await tx.execute(TAKE_IDS, (count,))
    return [first + n for first, length in await cursor.fetchall() for n in range(length)]


async def copy_rows(tx: Tx, statement: Sql, chunks: AsyncIterator[bytes]) -> None:
    async with tx.cursor() as cursor, cursor.copy(statement) as copy:
        async for chunk in chunks:
            await copy.write(chunk)


async def end_many(tx: Tx, campaign: Opened, calls: int) -> bool:
    """False: the campaign has closed since the import began."""
    values = {
        "account_id": campaign.account_id,
        "campaign_id": campaign.id,
        "began_at": campaign.began_at,
        "calls": calls,
    }
    return (await tx.execute(END_MANY, values)).rowcount == 1
