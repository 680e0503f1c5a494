"""SQL that finds and shows calls."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.rows import class_row

from tongdai.domain.calls.model import Attempt, Call, CallFilter, Leg
from tongdai.kit.db import Sql, Tx

_COLUMNS: Sql = """
    c.id, c.account_id, c.campaign_id, c.user_id, c.state, c.number, c.number_given, c.fields, c.created_at,
    c.due_at, c.expires_at, c.attempts, c.max_attempts, c.deferred_reason, c.outcome, c.called_at,
    c.duration_s, c.key_press, c.caller, c.note, c.done_at"""

# One call. By primary key.
GET_CALL: Sql = f"SELECT {_COLUMNS} FROM calls AS c WHERE c.id = %(id)s AND c.account_id = %(account_id)s"  # noqa: S608

# The attempts of one call. Index attempts_call.
GET_ATTEMPTS: Sql = """
    SELECT id, ordinal, hotline_id, dialled_at, ended_at, outcome, ring_s, duration_s, key_press, timeline
      FROM attempts WHERE call_id = %(id)s AND account_id = %(account_id)s ORDER BY ordinal"""

# The legs of some attempts. Index legs_attempt.
GET_LEGS: Sql = """
    SELECT id, attempt_id, kind, state, trunk_id, hotline_id, engine, node, dial_at, ended_at, outcome
      FROM legs WHERE attempt_id = ANY(%(attempts)s) AND account_id = %(account_id)s ORDER BY id"""

_FILTERS: Sql = """
    (%(state)s::text IS NULL OR c.state = %(state)s)
    AND (%(outcome)s::text IS NULL OR c.outcome = %(outcome)s)"""

# The last of the ids that one request examines, of a campaign's calls: null when they come to an end before.
# Index calls_by_campaign alone.
LAST_EXAMINED_OF_CAMPAIGN: Sql = """
    SELECT id FROM calls
     WHERE campaign_id = %(campaign_id)s AND id > %(after)s
       AND EXISTS (SELECT FROM campaigns WHERE id = %(campaign_id)s AND account_id = %(account_id)s)
     ORDER BY id OFFSET %(examine)s::bigint - 1 LIMIT 1"""

# The same of an account's calls to one number. Index calls_by_number alone.
LAST_EXAMINED_OF_NUMBER: Sql = """
    SELECT id FROM calls
     WHERE account_id = %(account_id)s AND number = %(number)s AND id > %(after)s
     ORDER BY id OFFSET %(examine)s::bigint - 1 LIMIT 1"""

# Calls of one campaign in id order. Index calls_by_campaign.
LIST_OF_CAMPAIGN: Sql = f"""
    SELECT {_COLUMNS} FROM calls AS c
     WHERE c.campaign_id = %(campaign_id)s AND c.account_id = %(account_id)s
       AND c.id > %(after)s AND c.id <= %(through)s AND {_FILTERS}
     ORDER BY c.id LIMIT %(limit)s"""  # noqa: S608

# Calls of one account in id order: the next page of each of its campaigns, merged. Index calls_by_campaign.
LIST_OF_ACCOUNT: Sql = f"""
    SELECT c.* FROM campaigns AS p
     CROSS JOIN LATERAL (
           SELECT {_COLUMNS} FROM calls AS c
            WHERE c.campaign_id = p.id AND c.account_id = p.account_id AND c.id > %(after)s
            ORDER BY c.id LIMIT %(limit)s) AS c
     WHERE p.account_id = %(account_id)s
     ORDER BY c.id LIMIT %(limit)s"""  # noqa: S608

# Calls of one account to one number, in id order. Index calls_by_number.
LIST_OF_NUMBER: Sql = f"""
    SELECT {_COLUMNS} FROM calls AS c
     WHERE c.account_id = %(account_id)s AND c.number = %(number)s
       AND c.id > %(after)s AND c.id <= %(through)s AND {_FILTERS}
       AND (%(campaign_id)s::bigint IS NULL OR c.campaign_id = %(campaign_id)s)
     ORDER BY c.id LIMIT %(limit)s"""  # noqa: S608


async def get_call(tx: Tx, account_id: int, call_id: int) -> Call | None:
    async with tx.cursor(row_factory=class_row(Call)) as cursor:
        await cursor.execute(GET_CALL, {"id": call_id, "account_id": account_id})
        return await cursor.fetchone()


async def get_attempts(tx: Tx, account_id: int, call_id: int) -> list[Attempt]:
    async with tx.cursor(row_factory=class_row(Attempt)) as cursor:
        await cursor.execute(GET_ATTEMPTS, {"id": call_id, "account_id": account_id})
        return await cursor.fetchall()


async def get_legs(tx: Tx, account_id: int, attempt_ids: Sequence[int]) -> list[Leg]:
    async with tx.cursor(row_factory=class_row(Leg)) as cursor:
        await cursor.execute(GET_LEGS, {"attempts": list(attempt_ids), "account_id": account_id})
        return await cursor.fetchall()


async def last_examined(tx: Tx, account_id: int, wanted: CallFilter, after: int, examine: int) -> int | None:
    """The id of the `examine`-th call after `after` of the number or campaign; None: there are fewer."""
    query = LAST_EXAMINED_OF_CAMPAIGN if wanted.number is None else LAST_EXAMINED_OF_NUMBER
    cursor = await tx.execute(query, _parameters(account_id, wanted, after) | {"examine": examine})
    row = await cursor.fetchone()
    return None if row is None else int(row[0])


async def list_calls(
    tx: Tx, account_id: int, wanted: CallFilter, *, after: int, through: int, limit: int
) -> list[Call]:
    """Calls whose ids are above `after`, and up to `through` where a number or a campaign is wanted."""
    query = LIST_OF_ACCOUNT
    if wanted.number is not None:
        query = LIST_OF_NUMBER
    elif wanted.campaign_id is not None:
        query = LIST_OF_CAMPAIGN
    parameters = _parameters(account_id, wanted, after) | {"through": through, "limit": limit}
    async with tx.cursor(row_factory=class_row(Call)) as cursor:
        await cursor.execute(query, parameters)
        return await cursor.fetchall()


def _parameters(account_id: int, wanted: CallFilter, after: int) -> dict[str, object]:
    return {
        "account_id": account_id,
        "campaign_id": wanted.campaign_id,
        "state": wanted.state,
        "outcome": wanted.outcome,
        "number": wanted.number,
        "after": after,
    }
