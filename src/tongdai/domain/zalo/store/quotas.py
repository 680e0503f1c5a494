"""SQL of the places that Official Accounts and templates have for messages.

A place is in flight from its reservation until Zalo's answer is known. `settled` only grows: with what it was
when Zalo was asked, it tells which messages Zalo's figures may not hold yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from psycopg.rows import class_row

from tongdai.kit.db import Sql, Tx
from tongdai.ports.zalo import Quota

# The row of an Official Account, if it has none yet. By primary key.
MAKE: Sql = """
    INSERT INTO zalo_quotas (oa_ref, account_id, day) VALUES (%(oa_ref)s, %(account_id)s, %(day)s)
    ON CONFLICT DO NOTHING"""

# Another day begins with its whole quota; places in flight are counted into the new day, in which Zalo may
# count them. A month begins with what Zalo says, not with a guess. (`greatest` passes over NULL, and would
# make 0 of what Zalo did not say.)
NEXT_DAY: Sql = """
    UPDATE zalo_quotas
       SET day = %(day)s, remaining = CASE WHEN daily < in_flight THEN 0 ELSE daily - in_flight END,
           remaining_promotion = daily_promotion
     WHERE oa_ref = %(oa_ref)s AND account_id = %(account_id)s AND day < %(day)s"""

# One place, if there is one. A message over the quota takes none away. By primary key.
RESERVE: Sql = """
    UPDATE zalo_quotas
       SET remaining = remaining - CASE WHEN %(over)s THEN 0 ELSE 1 END,
           remaining_promotion = remaining_promotion - %(promotions)s,
           remaining_monthly_promotion = remaining_monthly_promotion - %(promotions)s,
           in_flight = in_flight + 1
     WHERE oa_ref = %(oa_ref)s AND account_id = %(account_id)s
       AND (%(over)s OR (remaining IS NULL OR remaining > 0)
            AND (remaining_promotion IS NULL OR remaining_promotion >= %(promotions)s)
            AND (remaining_monthly_promotion IS NULL OR remaining_monthly_promotion >= %(promotions)s))
    RETURNING settled"""

# Whether it was the quota of all messages that had no place. By primary key.
FULL: Sql = "SELECT remaining = 0 FROM zalo_quotas WHERE oa_ref = %(oa_ref)s AND account_id = %(account_id)s"

# A place is not in flight any more; it is given back if it is one of today's. By primary key.
SETTLE: Sql = """
    UPDATE zalo_quotas
       SET in_flight = greatest(in_flight - 1, 0), settled = settled + 1,
           remaining = remaining + CASE WHEN day = %(day)s THEN %(back)s ELSE 0 END,
           remaining_promotion =
               remaining_promotion + CASE WHEN day = %(day)s THEN %(promotions)s ELSE 0 END,
           remaining_monthly_promotion = remaining_monthly_promotion + %(promotions)s
     WHERE oa_ref = %(oa_ref)s AND account_id = %(account_id)s"""

# The row, held. By primary key.
HELD: Sql = """
    SELECT day, daily, remaining, in_flight, settled, daily_promotion, remaining_promotion, monthly_promotion,
           remaining_monthly_promotion
      FROM zalo_quotas WHERE oa_ref = %s AND account_id = %s FOR NO KEY UPDATE"""
MARK: Sql = "SELECT settled FROM zalo_quotas WHERE oa_ref = %s AND account_id = %s"

# What Zalo said. By primary key.
TELL: Sql = """
    UPDATE zalo_quotas
       SET day = %(day)s, daily = %(daily)s, remaining = %(remaining)s,
           daily_promotion = %(daily_promotion)s, remaining_promotion = %(remaining_promotion)s,
           monthly_promotion = %(monthly_promotion)s,
           remaining_monthly_promotion = %(remaining_monthly_promotion)s,
           estimated_next_month_promotion = coalesce(%(estimated)s, estimated_next_month_promotion),
           told_at = %(now)s
     WHERE oa_ref = %(oa_ref)s AND account_id = %(account_id)s"""

# Zalo says that there is nothing left of a day, which may be over. By primary key.
EMPTY: Sql = "UPDATE zalo_quotas SET remaining = 0 WHERE oa_ref = %s AND account_id = %s AND day = %s"
EMPTY_OF_PROMOTION: Sql = """
    UPDATE zalo_quotas SET remaining_monthly_promotion = 0 WHERE oa_ref = %s AND account_id = %s"""

# Zalo grants another number of messages a day from now on; as many more or fewer remain of today.
CHANGE_DAILY: Sql = """
    UPDATE zalo_quotas AS q
       SET daily = %(daily)s, told_at = %(now)s,
           remaining = CASE WHEN q.remaining + %(daily)s < q.daily THEN 0
                       ELSE q.remaining + %(daily)s - q.daily END
      FROM zalo_oas AS o
     WHERE o.account_id = %(account_id)s AND o.oa_id = %(oa_id)s AND q.oa_ref = o.id
       AND q.daily IS DISTINCT FROM %(daily)s"""

# The same of a template's own quota. By primary key.
NEXT_DAY_OF_TEMPLATE: Sql = """
    UPDATE zalo_templates
       SET quota_day = %(day)s,
           remaining_quota = CASE WHEN daily_quota < in_flight THEN 0 ELSE daily_quota - in_flight END
     WHERE oa_ref = %(oa_ref)s AND template_id = %(template_id)s AND quota_day < %(day)s"""
RESERVE_OF_TEMPLATE: Sql = """
    UPDATE zalo_templates
       SET remaining_quota = remaining_quota - CASE WHEN apply_quota THEN 1 ELSE 0 END,
           in_flight = in_flight + 1
     WHERE oa_ref = %(oa_ref)s AND template_id = %(template_id)s AND account_id = %(account_id)s
       AND (apply_quota IS NOT TRUE OR remaining_quota IS NULL OR remaining_quota > 0)"""
SETTLE_OF_TEMPLATE: Sql = """
    UPDATE zalo_templates
       SET in_flight = greatest(in_flight - 1, 0), settled = settled + 1,
           remaining_quota =
               remaining_quota + CASE WHEN apply_quota AND quota_day = %(day)s THEN %(back)s ELSE 0 END
     WHERE oa_ref = %(oa_ref)s AND template_id = %(template_id)s AND account_id = %(account_id)s"""
EMPTY_OF_TEMPLATE: Sql = """
    UPDATE zalo_templates SET remaining_quota = 0, apply_quota = true, quota_day = %(day)s
     WHERE oa_ref = %(oa_ref)s AND template_id = %(template_id)s AND account_id = %(account_id)s
       AND (quota_day IS NULL OR quota_day <= %(day)s)"""


@dataclass(frozen=True, slots=True)
class QuotaRow:
    day: date
    daily: int | None
    remaining: int | None
    in_flight: int
    settled: int
    daily_promotion: int | None
    remaining_promotion: int | None
    monthly_promotion: int | None
    remaining_monthly_promotion: int | None


async def make(tx: Tx, account_id: int, oa_ref: int, day: date) -> None:
    values = {"account_id": account_id, "oa_ref": oa_ref, "day": day}
    if (await tx.execute(NEXT_DAY, values)).rowcount == 0:
        await tx.execute(MAKE, values)


async def mark(tx: Tx, account_id: int, oa_ref: int) -> int:
    row = await (await tx.execute(MARK, (oa_ref, account_id))).fetchone()
    return 0 if row is None else int(row[0])


async def reserve(tx: Tx, account_id: int, oa_ref: int, *, over: bool, promotions: int) -> int | None:
    """How many places were settled so far; None: there is no place."""
    values = {"account_id": account_id, "oa_ref": oa_ref, "over": over, "promotions": promotions}
    row = await (await tx.execute(RESERVE, values)).fetchone()
    return None if row is None else int(row[0])


async def is_full(tx: Tx, account_id: int, oa_ref: int) -> bool:
    row = await (await tx.execute(FULL, {"account_id": account_id, "oa_ref": oa_ref})).fetchone()
    return row is not None and bool(row[0])


async def settle(tx: Tx, account_id: int, oa_ref: int, *, day: date, back: int, promotions_back: int) -> None:
    """`day`: the one that the place was reserved on."""
    values = {"account_id": account_id, "oa_ref": oa_ref, "day": day, "back": back}
    await tx.execute(SETTLE, values | {"promotions": promotions_back})


async def held(tx: Tx, account_id: int, oa_ref: int) -> QuotaRow | None:
    """Locks the row."""
    async with tx.cursor(row_factory=class_row(QuotaRow)) as cursor:
        await cursor.execute(HELD, (oa_ref, account_id))
        return await cursor.fetchone()


async def tell(tx: Tx, account_id: int, oa_ref: int, day: date, quota: Quota, now: datetime) -> None:
    values = {
        "account_id": account_id,
        "oa_ref": oa_ref,
        "day": day,
        "daily": quota.daily,
        "remaining": quota.remaining,
        "daily_promotion": quota.daily_promotion,
        "remaining_promotion": quota.remaining_promotion,
        "monthly_promotion": quota.monthly_promotion,
        "remaining_monthly_promotion": quota.remaining_monthly_promotion,
        "estimated": quota.estimated_next_month_promotion,
        "now": now,
    }
    await tx.execute(TELL, values)


async def empty(tx: Tx, account_id: int, oa_ref: int, day: date) -> None:
    await tx.execute(EMPTY, (oa_ref, account_id, day))


async def empty_of_promotion(tx: Tx, account_id: int, oa_ref: int) -> None:
    await tx.execute(EMPTY_OF_PROMOTION, (oa_ref, account_id))


async def change_daily(tx: Tx, account_id: int, oa_id: int, daily: int, now: datetime) -> bool:
    values = {"account_id": account_id, "oa_id": oa_id, "daily": daily, "now": now}
    return (await tx.execute(CHANGE_DAILY, values)).rowcount == 1


async def reserve_of_template(tx: Tx, account_id: int, oa_ref: int, template_id: int, day: date) -> bool:
    values = {"account_id": account_id, "oa_ref": oa_ref, "template_id": template_id, "day": day}
    await tx.execute(NEXT_DAY_OF_TEMPLATE, values)
    return (await tx.execute(RESERVE_OF_TEMPLATE, values)).rowcount == 1


async def settle_of_template(
    tx: Tx, account_id: int, oa_ref: int, template_id: int, *, day: date, back: int
) -> None:
    values = {"account_id": account_id, "oa_ref": oa_ref, "template_id": template_id}
    await tx.execute(SETTLE_OF_TEMPLATE, values | {"day": day, "back": back})


async def empty_of_template(tx: Tx, account_id: int, oa_ref: int, template_id: int, day: date) -> None:
    values = {"account_id": account_id, "oa_ref": oa_ref, "template_id": template_id, "day": day}
    await tx.execute(EMPTY_OF_TEMPLATE, values)
