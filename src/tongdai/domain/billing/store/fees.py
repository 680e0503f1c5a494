"""SQL of fees: what wallets hold and pay for Zalo's journeys and messages.

Wallets are locked in account order, after journeys and messages and before the ledger (decision 0005).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Protocol

from tongdai.kit.db import Sql, Tx

# Prepaid accounts and their wallets, which are locked; the VAT of today; and the prices of the tariff of the
# plan that is valid now (subscriptions_account), else those of all tariffs (zalo_prices_found).
PAYERS: Final[Sql] = """
SELECT w.account_id, w.balance - w.reserved, t.tariff_id IS NOT NULL,
       (SELECT percent FROM vat_rates
        WHERE line = 'zalo' AND valid_from <= %(today)s AND (valid_until IS NULL OR valid_until >= %(today)s)
        ORDER BY valid_from DESC, id DESC LIMIT 1),
       j.net, m.net
FROM wallets w JOIN accounts a ON a.id = w.account_id
LEFT JOIN LATERAL (
    SELECT p.tariff_id FROM subscriptions s JOIN plans p ON p.id = s.plan_id
    WHERE s.account_id = a.id AND s.valid_from <= %(now)s
      AND (s.valid_until IS NULL OR s.valid_until > %(now)s)
    ORDER BY s.valid_from DESC, s.id DESC LIMIT 1
) t ON true
CROSS JOIN LATERAL (
    SELECT net FROM zalo_prices
    WHERE item = 'journey' AND (tariff_id = t.tariff_id OR tariff_id IS NULL) AND valid_from <= %(now)s
    ORDER BY tariff_id IS NULL, valid_from DESC, id DESC LIMIT 1
) j
CROSS JOIN LATERAL (
    SELECT net FROM zalo_prices
    WHERE item = 'message_fee' AND (tariff_id = t.tariff_id OR tariff_id IS NULL) AND valid_from <= %(now)s
    ORDER BY tariff_id IS NULL, valid_from DESC, id DESC LIMIT 1
) m
WHERE w.account_id = ANY(%(accounts)s) AND a.billing = 'prepaid'
ORDER BY w.account_id
FOR NO KEY UPDATE OF w
"""

# What one item costs an account, found the same way.
PRICE: Final[Sql] = """
SELECT p.net FROM accounts a
LEFT JOIN LATERAL (
    SELECT p.tariff_id FROM subscriptions s JOIN plans p ON p.id = s.plan_id
    WHERE s.account_id = a.id AND s.valid_from <= %(now)s
      AND (s.valid_until IS NULL OR s.valid_until > %(now)s)
    ORDER BY s.valid_from DESC, s.id DESC LIMIT 1
) t ON true
JOIN zalo_prices p ON p.item = %(item)s AND (p.tariff_id = t.tariff_id OR p.tariff_id IS NULL)
                  AND p.valid_from <= %(now)s
WHERE a.id = %(account_id)s
ORDER BY p.tariff_id IS NULL, p.valid_from DESC, p.id DESC LIMIT 1
"""

# The rows are locked by whoever looked what is in them.
HOLD: Final[Sql] = """
UPDATE wallets w SET reserved = w.reserved + t.amount
FROM unnest(%s::bigint[], %s::numeric[]) AS t (account_id, amount)
WHERE w.account_id = t.account_id
"""

# Wallets are locked in account order before they are written, because an UPDATE takes them in any order.
RELEASE: Final[Sql] = """
WITH wallet AS MATERIALIZED (
    SELECT w.account_id, t.amount
    FROM wallets w JOIN unnest(%s::bigint[], %s::numeric[]) AS t (account_id, amount) USING (account_id)
    ORDER BY w.account_id FOR NO KEY UPDATE OF w
)
UPDATE wallets w SET reserved = w.reserved - wallet.amount FROM wallet WHERE w.account_id = wallet.account_id
"""

# What was held becomes a line of the ledger.
CHARGE: Final[Sql] = """
WITH wallet AS (
    UPDATE wallets
       SET balance = balance - %(amount)s::numeric, reserved = reserved - %(amount)s::numeric,
           last_at = greatest(last_at, %(now)s)
     WHERE account_id = %(account_id)s
    RETURNING account_id, balance, last_at
)
INSERT INTO ledger (account_id, at, kind, amount, net, vat, vat_percent, balance_after,
                    zalo_journey_id, zalo_message_id)
SELECT account_id, last_at,
       CASE WHEN %(journey_id)s::bigint IS NULL THEN 'zalo_message' ELSE 'zalo_journey' END,
       -%(amount)s::numeric, -%(net)s::numeric, -%(vat)s::numeric, %(vat_percent)s, balance,
       %(journey_id)s, %(message_id)s
FROM wallet
"""

# All prices in id order, a page at a time.
PRICES: Final[Sql] = """
SELECT id, tariff_id, item, net, valid_from, source, created_at FROM zalo_prices
WHERE id > %s ORDER BY id LIMIT %s
"""

# A price from a moment on.
ADD_PRICE: Final[Sql] = """
INSERT INTO zalo_prices (tariff_id, item, net, valid_from, source) VALUES (%s, %s, %s, %s, %s)
RETURNING id, tariff_id, item, net, valid_from, source, created_at
"""

# Whether there is a tariff.
HAS_TARIFF: Final[Sql] = "SELECT FROM tariffs WHERE id = %s"


class FeeAmounts(Protocol):
    """The parts of a fee."""

    @property
    def net(self) -> Decimal: ...
    @property
    def vat(self) -> Decimal: ...
    @property
    def vat_percent(self) -> Decimal: ...
    @property
    def amount(self) -> Decimal: ...


@dataclass(frozen=True, slots=True)
class Payer:
    """A prepaid account: what its wallet still has, and what things cost it, without VAT."""

    account_id: int
    available: Decimal
    has_plan: bool
    vat_percent: Decimal
    prices: Mapping[str, Decimal]


async def payers(tx: Tx, accounts: Collection[int], now: datetime, today: date) -> list[Payer]:
    """Those of the accounts that pay, in order; their wallets are locked."""
    values = {"accounts": sorted(accounts), "now": now, "today": today}
    rows = await (await tx.execute(PAYERS, values)).fetchall()
    return [
        Payer(account_id, available, has_plan, vat, {"journey": journey, "message_fee": fee})
        for account_id, available, has_plan, vat, journey, fee in rows
    ]


async def price(tx: Tx, account_id: int, item: str, now: datetime) -> Decimal:
    row = await (await tx.execute(PRICE, {"account_id": account_id, "item": item, "now": now})).fetchone()
    assert row is not None, "every item has a price of all tariffs, and the account is there"
    return Decimal(row[0])


async def hold(tx: Tx, amounts: Mapping[int, Decimal]) -> None:
    if amounts:
        changed = await tx.execute(HOLD, (list(amounts), list(amounts.values())))
        assert changed.rowcount == len(amounts), "these wallets are locked"


async def release(tx: Tx, amounts: Mapping[int, Decimal]) -> None:
    if amounts:
        changed = await tx.execute(RELEASE, (list(amounts), list(amounts.values())))
        assert changed.rowcount == len(amounts), "what was held is in a wallet"


async def charge(
    tx: Tx, account_id: int, fee: FeeAmounts, *, journey_id: int | None, message_id: int | None, now: datetime
) -> None:
    values = {
        "account_id": account_id,
        "amount": fee.amount,
        "net": fee.net,
        "vat": fee.vat,
        "vat_percent": fee.vat_percent,
        "journey_id": journey_id,
        "message_id": message_id,
        "now": now,
    }
    changed = await tx.execute(CHARGE, values)
    assert changed.rowcount == 1, "what was held is in a wallet"


async def prices(tx: Tx, after: int, limit: int) -> list[tuple[Any, ...]]:
    return await (await tx.execute(PRICES, (after, limit))).fetchall()


async def add_price(
    tx: Tx, tariff_id: int | None, item: str, net: Decimal, valid_from: datetime, source: str
) -> tuple[Any, ...]:
    row = await (await tx.execute(ADD_PRICE, (tariff_id, item, net, valid_from, source))).fetchone()
    assert row is not None
    return row


async def has_tariff(tx: Tx, tariff_id: int) -> bool:
    return (await tx.execute(HAS_TARIFF, (tariff_id,))).rowcount == 1
