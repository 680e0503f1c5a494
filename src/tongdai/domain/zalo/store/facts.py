"""SQL of what Zalo says of Official Accounts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from psycopg.rows import class_row

from tongdai.domain.zalo.store.permissions import profile_values
from tongdai.kit.db import Sql, Tx
from tongdai.ports.zalo import Profile, Qualities

# What is due first, and nobody else is taking; others do not take it for a while. Index zalo_oas_facts.
TAKE_DUE: Sql = """
    UPDATE zalo_oas AS o SET facts_due_at = %(again_at)s
     WHERE o.id = (
           SELECT id FROM zalo_oas WHERE state = 'connected' AND facts_due_at <= %(now)s
            ORDER BY facts_due_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING o.account_id, o.oa_id, o.facts_failures AS failures"""

SET_PROFILE: Sql = """
    UPDATE zalo_oas
       SET name = %(name)s, description = %(description)s, avatar = %(avatar)s, cover = %(cover)s,
           is_verified = %(is_verified)s, oa_type = %(oa_type)s, category = %(category)s,
           followers = %(followers)s, package_name = %(package_name)s,
           package_valid_through = %(package_valid_through)s, linked_zca = %(linked_zca)s
     WHERE account_id = %(account_id)s AND id = %(oa_ref)s"""

SET_QUALITIES: Sql = """
    UPDATE zalo_oas SET current_quality = %s, last_week_quality = %s WHERE account_id = %s AND id = %s"""

# How it went. `facts_at` is of the last time that all was told.
SET_END: Sql = """
    UPDATE zalo_oas
       SET facts_at = coalesce(%(at)s, facts_at), facts_due_at = %(due_at)s, facts_error = %(error)s,
           facts_failures = CASE WHEN %(error)s::text IS NULL THEN 0 ELSE facts_failures + 1 END,
           updated_at = %(now)s
     WHERE account_id = %(account_id)s AND id = %(oa_ref)s"""

# To be asked for now. By primary key.
DUE_NOW: Sql = """
    UPDATE zalo_oas SET facts_due_at = least(facts_due_at, %s) WHERE id = %s AND account_id = %s"""

# Another day begins with its whole quota, as in `store.quotas`. One row for each Official Account. Those that
# somebody holds are passed over: whoever has them waits for nobody, and the next look finds them.
NEXT_DAY: Sql = """
    WITH over AS MATERIALIZED (
        SELECT oa_ref FROM zalo_quotas WHERE day < %(day)s ORDER BY oa_ref FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE zalo_quotas AS q
       SET day = %(day)s, remaining = CASE WHEN daily < in_flight THEN 0 ELSE daily - in_flight END,
           remaining_promotion = daily_promotion
      FROM over WHERE q.oa_ref = over.oa_ref"""


@dataclass(frozen=True, slots=True)
class Due:
    account_id: int
    oa_id: int
    failures: int


async def take_due(tx: Tx, now: datetime, again_after: timedelta) -> Due | None:
    async with tx.cursor(row_factory=class_row(Due)) as cursor:
        await cursor.execute(TAKE_DUE, {"now": now, "again_at": now + again_after})
        return await cursor.fetchone()


async def set_profile(tx: Tx, account_id: int, oa_ref: int, profile: Profile) -> None:
    await tx.execute(SET_PROFILE, profile_values(profile) | {"account_id": account_id, "oa_ref": oa_ref})


async def set_qualities(tx: Tx, account_id: int, oa_ref: int, qualities: Qualities) -> None:
    await tx.execute(SET_QUALITIES, (qualities.current, qualities.last_week, account_id, oa_ref))


async def set_end(
    tx: Tx, account_id: int, oa_ref: int, *, due_at: datetime, error: str | None, now: datetime
) -> None:
    at = now if error is None else None
    values = {"account_id": account_id, "oa_ref": oa_ref, "due_at": due_at, "error": error}
    await tx.execute(SET_END, values | {"at": at, "now": now})


async def due_now(tx: Tx, account_id: int, oa_ref: int, now: datetime) -> None:
    await tx.execute(DUE_NOW, (now, oa_ref, account_id))


async def next_day(tx: Tx, day: date) -> int:
    """Returns how many begin it."""
    return (await tx.execute(NEXT_DAY, {"day": day})).rowcount
