"""Use cases of wallets: what calls hold of them and pay out of them, and changes by hand.

A claim opens the tills of its accounts, takes from them, and holds what it took; the end of a leg settles.
Between the two the reservation is out of everybody's reach, so a balance never goes below zero, whoever
dials.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from tongdai.domain.accounts import AccountNotFoundError
from tongdai.domain.billing.errors import AmountInvalidError, WalletTooFullError, WalletTooLowError
from tongdai.domain.billing.model import (
    BY_HAND,
    MAX_AMOUNT,
    AccountStanding,
    Audit,
    Billing,
    Kind,
    LedgerLine,
    LedgerPage,
    LineFilter,
    Settlement,
    Till,
    Walked,
    Wallet,
    amount_faults,
    text_faults,
)
from tongdai.domain.billing.prices import rate_tables
from tongdai.domain.billing.pricing import NO_PRICES, ZERO, Charge, PriceList, within
from tongdai.domain.billing.store import ledger as ledger_store
from tongdai.domain.billing.store import wallets as store
from tongdai.kit.clock import VIETNAM
from tongdai.kit.db import Tx

EXAMINED: Final = 50_000
"""Lines that a page of one kind looks at."""

_LAST_ID: Final = 2**63 - 1


# ---------------------------------------------------------------- for the dialer


async def standings(tx: Tx, account_ids: Collection[int], now: datetime) -> dict[int, AccountStanding]:
    """Which of these accounts may dial at all. Prepaid ones only: the others are not in the answer, and pay
    nothing here. Locks nothing; it is asked every second.
    """
    priced = await _priced(tx, account_ids, now, hold=False)
    return {
        wallet.account_id: AccountStanding(
            plan=prices is not None, funded=wallet.available >= (prices or NO_PRICES).cheapest
        )
        for wallet, prices in priced
    }


async def open_tills(tx: Tx, account_ids: Collection[int], now: datetime) -> dict[int, Till]:
    """The wallets of the prepaid accounts among these, locked in account order until the transaction ends,
    with the prices of `now`. The others are not in the answer, and pay nothing here.
    """
    priced = await _priced(tx, account_ids, now, hold=True)
    return {
        wallet.account_id: Till(wallet, plan_valid=prices is not None, prices=prices or NO_PRICES)
        for wallet, prices in priced
    }


async def hold(tx: Tx, tills: Iterable[Till]) -> Callable[[], None]:
    """Write what was taken from these tills, once, in the transaction that opened them; the same amounts
    belong on the legs, in it too.

    What it returns checks that it was done: to be called once a later result of the transaction has been
    read, because until then nobody may have waited for this one.
    """
    taken = {till.account_id: till.taken for till in tills if till.taken}
    if not taken:
        return lambda: None
    changed = await store.hold(tx, taken)

    def check() -> None:
        assert changed() == len(taken), "a till is of a wallet"

    return check


async def lock_wallets(tx: Tx, account_ids: Collection[int]) -> None:
    """Lock the wallets that these accounts have, in account order: before legs, as decision 0005 says."""
    if account_ids:
        await store.lock(tx, account_ids)


async def settle(tx: Tx, settlements: Sequence[Settlement], now: datetime) -> list[Charge | None]:
    """The ends of some legs, in the order of their ledger lines: what each held is released, and what it
    costs is debited, with one change of each wallet. Once per leg, in the transaction that ends the leg, with
    its wallet locked.

    Returns what was charged for each, in the same order: never more than it held (see `within`).
    """
    bills: dict[int, _Bill] = {}
    charged = []
    for one in settlements:
        cost = None if one.charge is None else within(one.charge, one.reserved)
        charged.append(cost)
        if one.reserved or (cost is not None and cost.amount):
            bills.setdefault(one.account_id, _Bill()).add(one, cost)
    if bills:
        wallets = [(account_id, bill.spent, bill.released) for account_id, bill in sorted(bills.items())]
        lines = [line for bill in bills.values() for line in bill.lines]
        changed = await store.settle(tx, now, wallets, lines)
        assert changed == len(wallets), "what was reserved is in a wallet"
    return charged


class _Bill:
    """What the ends of a batch come to for one account."""

    __slots__ = ("lines", "released", "spent")

    def __init__(self) -> None:
        self.spent = ZERO
        self.released = ZERO
        self.lines: list[tuple[Any, ...]] = []

    def add(self, one: Settlement, cost: Charge | None) -> None:
        self.released += one.reserved
        if cost is None:
            return
        for kind, line in ((Kind.POSTAGE, cost.postage), (Kind.SERVICE_CHARGE, cost.service)):
            if amount := line.amount:
                self.spent += amount
                self.lines.append(
                    (
                        one.account_id,
                        kind.value,
                        line.net,
                        line.vat,
                        line.vat_rate,
                        self.spent,
                        one.campaign_id,
                        one.call_id,
                        one.attempt_id,
                        one.leg_id,
                        one.rate_id,
                        cost.billable_s,
                    )
                )


async def _priced(
    tx: Tx, account_ids: Collection[int], now: datetime, *, hold: bool
) -> list[tuple[Wallet, PriceList | None]]:
    """Prepaid wallets with the prices of their plan; None: no plan is valid."""
    if not account_ids:
        return []
    today = now.astimezone(VIETNAM).date()
    rows = await store.prepaid(tx, account_ids, now, today, hold=hold)
    named = {(row.tariff_id, row.revision) for row in rows if row.tariff_id and row.revision}
    tables = await rate_tables(tx, named)
    return [
        (row.wallet, None if row.tariff_id is None else tables[row.tariff_id].at(now, row.vat))
        for row in rows
    ]


# ---------------------------------------------------------------- for people


async def set_billing(tx: Tx, account_id: int, billing: Billing) -> Wallet:
    """Whether an account pays for its calls; `prepaid` gives it a wallet, which it keeps. Calls that are up
    are settled as they were reserved.

    Raises AccountNotFoundError.
    """
    if not await store.set_billing(tx, account_id, billing):
        raise AccountNotFoundError
    if billing == "prepaid":
        await store.make_wallet(tx, account_id)
    return await wallet(tx, account_id)


async def wallet(tx: Tx, account_id: int) -> Wallet:
    """What an account has; nothing, where its billing was never on. Raises AccountNotFoundError."""
    found = await store.wallet(tx, account_id)
    if found is None:
        raise AccountNotFoundError
    return found


async def top_up(
    tx: Tx, account_id: int, amount: Decimal, *, by: str, reason: str, now: datetime
) -> LedgerLine:
    """Money that came in: whole đồng, with who says so and why.

    Raises AccountNotFoundError, AmountInvalidError, WalletTooFullError.
    """
    return await _change(tx, account_id, Kind.TOP_UP, amount, least=1, by=by, reason=reason, now=now)


async def adjust(
    tx: Tx, account_id: int, amount: Decimal, *, by: str, reason: str, now: datetime
) -> LedgerLine:
    """A correction by hand, up or down: whole đồng, with who did it and why.

    Raises AccountNotFoundError, AmountInvalidError, WalletTooFullError, and WalletTooLowError where less
    would be left than calls that are up were promised.
    """
    return await _change(
        tx, account_id, Kind.ADJUSTMENT, amount, least=-MAX_AMOUNT, by=by, reason=reason, now=now
    )


async def _change(
    tx: Tx, account_id: int, kind: Kind, amount: Decimal, *, least: int, by: str, reason: str, now: datetime
) -> LedgerLine:
    faults = [*amount_faults(amount, least=least), *text_faults(by=by, reason=reason)]
    if faults:
        raise AmountInvalidError(errors=faults)
    await store.make_wallet(tx, account_id)
    line_id = await store.change(
        tx, account_id, kind.value, amount, most=MAX_AMOUNT, made_by=by, reason=reason, now=now
    )
    if line_id is None:
        await wallet(tx, account_id)
        raise WalletTooLowError if amount < 0 else WalletTooFullError
    [line] = (await ledger(tx, account_id, after=line_id - 1, limit=1)).lines
    return line


async def ledger(
    tx: Tx,
    account_id: int,
    *,
    after: int = 0,
    limit: int = 100,
    kind: Kind | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    newest_first: bool = False,
    examine: int = EXAMINED,
) -> LedgerPage:
    """An account's lines, those of one kind or all, between two moments (the second left out), oldest or
    newest first; `after`: go on behind the line of this id, in that direction.

    Of a kind that calls make there may be none among millions, so at most `examine` lines are looked at for
    it, and a page may hold few or none while there are more to come.
    """
    first = 0 if since is None else await ledger_store.first_since(tx, account_id, since)
    beyond = _LAST_ID if until is None else await ledger_store.first_since(tx, account_id, until)
    if after:
        first, beyond = (first, min(beyond, after)) if newest_first else (max(first, after + 1), beyond)
    wanted = LineFilter(account_id, first - 1, beyond, kind, newest_first)
    through = None
    if kind is not None and kind not in BY_HAND:
        through = await ledger_store.last_examined(tx, wanted, examine)
    lines = await ledger_store.lines(tx, wanted, through, limit + 1)
    if len(lines) > limit:
        return LedgerPage(lines[:limit], lines[limit - 1].id)
    return LedgerPage(lines, through)


async def walk_ledger(tx: Tx, account_id: int, so_far: Walked, *, limit: int) -> Walked:
    """Add up the next `limit` lines. Lines never change, so a long ledger is walked in short transactions."""
    return await ledger_store.walk(tx, account_id, so_far, limit)


async def audit(tx: Tx, account_id: int, *, so_far: Walked | None = None) -> Audit | None:
    """A wallet against its ledger, from where a walk left off, and against the open legs of its account;
    None: it has no wallet.
    """
    return await ledger_store.audit(tx, account_id, so_far or Walked())
