"""SQL of tariffs, rates, VAT, plans and subscriptions. All few rows, but for subscriptions, which are few for
each account.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from psycopg.errors import UniqueViolation
from psycopg.rows import class_row, dict_row

from tongdai.domain.billing.errors import PlanNameTakenError
from tongdai.domain.billing.model import NewRate, Plan, Subscription, Tariff, VatLine, VatRate
from tongdai.domain.billing.pricing import Rate
from tongdai.kit.db import Sql, Tx

ADD_TARIFF: Final[Sql] = """
INSERT INTO tariffs (name) VALUES (%s) ON CONFLICT (name) DO NOTHING RETURNING id, name, revision, created_at
"""

# By primary key; in pages too.
TARIFF: Final[Sql] = "SELECT id, name, revision, created_at FROM tariffs WHERE id = %s"
TARIFFS: Final[Sql] = "SELECT id, name, revision, created_at FROM tariffs WHERE id > %s ORDER BY id LIMIT %s"

# New rates, and a new revision with them: whoever keeps the rates reads them again. Nobody sees one without
# the other. Locks the tariff, so that revisions follow each other.
ADD_RATES: Final[Sql] = """
WITH changed AS (UPDATE tariffs SET revision = gen_random_uuid() WHERE id = %(tariff_id)s RETURNING id)
INSERT INTO tariff_rates (tariff_id, network, on_net, per_minute, initial_s, increment_s, free_s,
                          per_answer, per_attempt, valid_from)
SELECT changed.id, r.network, r.on_net, r.per_minute, r.initial_s, r.increment_s, r.free_s,
       r.per_answer, r.per_attempt, r.valid_from
FROM changed, unnest(%(network)s::text[], %(on_net)s::boolean[], %(per_minute)s::numeric[],
                     %(initial_s)s::int[], %(increment_s)s::int[], %(free_s)s::int[],
                     %(per_answer)s::numeric[], %(per_attempt)s::numeric[],
                     %(valid_from)s::timestamptz[]) WITH ORDINALITY
     AS r (network, on_net, per_minute, initial_s, increment_s, free_s, per_answer, per_attempt, valid_from,
           place)
ORDER BY r.place
RETURNING id, tariff_id, network, on_net, per_minute, initial_s, increment_s, free_s, per_answer, per_attempt,
          valid_from, created_at
"""

# Of one tariff, in pages (tariff_rates_tariff).
RATES: Final[Sql] = """
SELECT id, tariff_id, network, on_net, per_minute, initial_s, increment_s, free_s, per_answer, per_attempt,
       valid_from, created_at
FROM tariff_rates WHERE tariff_id = %s AND id > %s ORDER BY id LIMIT %s
"""

# Everything of some tariffs, each with the revision that it makes up: one statement, so one moment. A tariff
# without rates gives one row without a rate.
RATES_OF: Final[Sql] = """
SELECT t.id AS of_tariff, t.revision, r.id, r.tariff_id, r.network, r.on_net, r.per_minute, r.initial_s,
       r.increment_s, r.free_s, r.per_answer, r.per_attempt, r.valid_from, r.created_at
FROM tariffs t LEFT JOIN tariff_rates r ON r.tariff_id = t.id
WHERE t.id = ANY(%s)
"""

ADD_PLAN: Final[Sql] = """
INSERT INTO plans (name, tariff_id) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING
RETURNING id, name, tariff_id, created_at
"""
PLAN: Final[Sql] = "SELECT id, name, tariff_id, created_at FROM plans WHERE id = %s"
PLANS: Final[Sql] = "SELECT id, name, tariff_id, created_at FROM plans WHERE id > %s ORDER BY id LIMIT %s"
SET_PLAN: Final[Sql] = """
UPDATE plans SET name = coalesce(%s, name), tariff_id = coalesce(%s, tariff_id) WHERE id = %s
RETURNING id, name, tariff_id, created_at
"""

ADD_SUBSCRIPTION: Final[Sql] = """
INSERT INTO subscriptions (account_id, plan_id, valid_from, valid_until) VALUES (%s, %s, %s, %s) RETURNING id
"""

# Of one account, one of them or in pages (subscriptions_account).
SUBSCRIPTIONS: Final[Sql] = """
SELECT s.id, s.account_id, s.plan_id, p.name AS plan_name, p.tariff_id, s.valid_from, s.valid_until,
       s.created_at
FROM subscriptions s JOIN plans p ON p.id = s.plan_id
WHERE s.account_id = %s AND s.id > %s ORDER BY s.id LIMIT %s
"""
SUBSCRIPTION: Final[Sql] = """
SELECT s.id, s.account_id, s.plan_id, p.name AS plan_name, p.tariff_id, s.valid_from, s.valid_until,
       s.created_at
FROM subscriptions s JOIN plans p ON p.id = s.plan_id
WHERE s.account_id = %s AND s.id = %s
"""

# The one that is valid at a moment; of two, the one that began last.
SUBSCRIPTION_AT: Final[Sql] = """
SELECT s.id, s.account_id, s.plan_id, p.name AS plan_name, p.tariff_id, s.valid_from, s.valid_until,
       s.created_at
FROM subscriptions s JOIN plans p ON p.id = s.plan_id
WHERE s.account_id = %(account_id)s AND s.valid_from <= %(now)s
  AND (s.valid_until IS NULL OR s.valid_until > %(now)s)
ORDER BY s.valid_from DESC, s.id DESC LIMIT 1
"""

# Ends it earlier or later; nothing where that would be before it began.
END_SUBSCRIPTION: Final[Sql] = """
UPDATE subscriptions SET valid_until = %(valid_until)s
WHERE account_id = %(account_id)s AND id = %(id)s
  AND (%(valid_until)s::timestamptz IS NULL OR %(valid_until)s >= valid_from)
"""

ADD_VAT_RATE: Final[Sql] = """
INSERT INTO vat_rates (line, percent, valid_from, valid_until, source) VALUES (%s, %s, %s, %s, %s)
RETURNING id, line, percent, valid_from, valid_until, source, created_at
"""
VAT_RATES: Final[Sql] = """
SELECT id, line, percent, valid_from, valid_until, source, created_at
FROM vat_rates WHERE id > %s ORDER BY id LIMIT %s
"""


async def add_tariff(tx: Tx, name: str) -> Tariff | None:
    """None: another has this name."""
    async with tx.cursor(row_factory=class_row(Tariff)) as cursor:
        await cursor.execute(ADD_TARIFF, (name,))
        return await cursor.fetchone()


async def tariff(tx: Tx, tariff_id: int) -> Tariff | None:
    async with tx.cursor(row_factory=class_row(Tariff)) as cursor:
        await cursor.execute(TARIFF, (tariff_id,))
        return await cursor.fetchone()


async def tariffs(tx: Tx, after: int, limit: int) -> list[Tariff]:
    async with tx.cursor(row_factory=class_row(Tariff)) as cursor:
        await cursor.execute(TARIFFS, (after, limit))
        return await cursor.fetchall()


async def add_rates(tx: Tx, tariff_id: int, rates: Sequence[NewRate]) -> list[Rate]:
    """In the order given; none when there is no such tariff."""
    values: dict[str, object] = {name: [getattr(rate, name) for rate in rates] for name in RATE}
    async with tx.cursor(row_factory=class_row(Rate)) as cursor:
        await cursor.execute(ADD_RATES, values | {"tariff_id": tariff_id})
        return await cursor.fetchall()


RATE: Final = (
    "network",
    "on_net",
    "per_minute",
    "initial_s",
    "increment_s",
    "free_s",
    "per_answer",
    "per_attempt",
    "valid_from",
)
"""What a rate is made of."""


async def rates(tx: Tx, tariff_id: int, after: int, limit: int) -> list[Rate]:
    async with tx.cursor(row_factory=class_row(Rate)) as cursor:
        await cursor.execute(RATES, (tariff_id, after, limit))
        return await cursor.fetchall()


async def rates_of(tx: Tx, tariff_ids: Collection[int]) -> dict[int, tuple[UUID, list[Rate]]]:
    """The revision and all rates of each tariff."""
    found: dict[int, tuple[UUID, list[Rate]]] = {}
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(RATES_OF, (list(tariff_ids),))
        async for row in cursor:
            of_tariff, revision = row.pop("of_tariff"), row.pop("revision")
            rates = found.setdefault(of_tariff, (revision, []))[1]
            if row["id"] is not None:
                rates.append(Rate(**row))
    return found


async def add_plan(tx: Tx, name: str, tariff_id: int) -> Plan | None:
    """None: another has this name."""
    async with tx.cursor(row_factory=class_row(Plan)) as cursor:
        await cursor.execute(ADD_PLAN, (name, tariff_id))
        return await cursor.fetchone()


async def plan(tx: Tx, plan_id: int) -> Plan | None:
    async with tx.cursor(row_factory=class_row(Plan)) as cursor:
        await cursor.execute(PLAN, (plan_id,))
        return await cursor.fetchone()


async def plans(tx: Tx, after: int, limit: int) -> list[Plan]:
    async with tx.cursor(row_factory=class_row(Plan)) as cursor:
        await cursor.execute(PLANS, (after, limit))
        return await cursor.fetchall()


async def set_plan(tx: Tx, plan_id: int, name: str | None, tariff_id: int | None) -> Plan | None:
    """None: there is no such plan. Raises PlanNameTakenError; the transaction is then of no further use."""
    async with tx.cursor(row_factory=class_row(Plan)) as cursor:
        try:
            await cursor.execute(SET_PLAN, (name, tariff_id, plan_id))
        except UniqueViolation as error:
            raise PlanNameTakenError from error
        return await cursor.fetchone()


async def add_subscription(
    tx: Tx, account_id: int, plan_id: int, valid_from: datetime, valid_until: datetime | None
) -> int:
    row = await (
        await tx.execute(ADD_SUBSCRIPTION, (account_id, plan_id, valid_from, valid_until))
    ).fetchone()
    assert row is not None
    return int(row[0])


async def subscription(tx: Tx, account_id: int, subscription_id: int) -> Subscription | None:
    async with tx.cursor(row_factory=class_row(Subscription)) as cursor:
        await cursor.execute(SUBSCRIPTION, (account_id, subscription_id))
        return await cursor.fetchone()


async def subscriptions(tx: Tx, account_id: int, after: int, limit: int) -> list[Subscription]:
    async with tx.cursor(row_factory=class_row(Subscription)) as cursor:
        await cursor.execute(SUBSCRIPTIONS, (account_id, after, limit))
        return await cursor.fetchall()


async def subscription_at(tx: Tx, account_id: int, now: datetime) -> Subscription | None:
    async with tx.cursor(row_factory=class_row(Subscription)) as cursor:
        await cursor.execute(SUBSCRIPTION_AT, {"account_id": account_id, "now": now})
        return await cursor.fetchone()


async def end_subscription(
    tx: Tx, account_id: int, subscription_id: int, valid_until: datetime | None
) -> bool:
    """False: there is none, or it began later."""
    values = {"account_id": account_id, "id": subscription_id, "valid_until": valid_until}
    return (await tx.execute(END_SUBSCRIPTION, values)).rowcount == 1


async def add_vat_rate(
    tx: Tx, line: VatLine, percent: Decimal, valid_from: date, valid_until: date | None, source: str
) -> VatRate:
    async with tx.cursor(row_factory=class_row(VatRate)) as cursor:
        await cursor.execute(ADD_VAT_RATE, (line, percent, valid_from, valid_until, source))
        made = await cursor.fetchone()
    assert made is not None
    return made


async def vat_rates(tx: Tx, after: int, limit: int) -> list[VatRate]:
    async with tx.cursor(row_factory=class_row(VatRate)) as cursor:
        await cursor.execute(VAT_RATES, (after, limit))
        return await cursor.fetchall()
