"""Accounts that pay for their calls: a tariff for every network, a plan, a full wallet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from benchmarks.stage import Bench, Tenant
from tongdai.domain import billing
from tongdai.domain.billing import ANY_NETWORK, NewRate

NETWORKS = ("viettel", "vinaphone", "mobifone", "vietnamobile", "gmobile", "fixed")
TOP_UP = Decimal(1_000_000_000)


async def make_prepaid(bench: Bench, tenants: Sequence[Tenant]) -> None:
    """Blocks of 6 s and 1 s, cheaper inside a network than between two, a fee for an answer, VAT on both."""
    now = datetime.now(UTC)
    since = now - timedelta(days=30)
    rates = [
        NewRate(
            network=network,
            on_net=on_net,
            per_minute=Decimal(per_minute),
            per_answer=Decimal(50),
            valid_from=since,
        )
        for network in NETWORKS
        for on_net, per_minute in ((True, 550), (False, 780))
    ]
    rates.append(NewRate(network=ANY_NETWORK, per_minute=Decimal(891), valid_from=since))
    async with bench.db.transaction() as tx:
        tariff = await billing.create_tariff(tx, "tariff", rates)
        plan = await billing.create_plan(tx, "plan", tariff.id)
        for tenant in tenants:
            await billing.set_billing(tx, tenant.account_id, "prepaid")
            await billing.subscribe(tx, tenant.account_id, plan.id, valid_from=since)
            await billing.top_up(tx, tenant.account_id, TOP_UP, by="bench", reason="bench", now=now)


async def require_paid(bench: Bench, tenants: Sequence[Tenant]) -> None:
    """Raises RuntimeError unless each of these paid something, and every wallet agrees with its ledger."""
    for tenant in tenants:
        async with bench.db.transaction() as tx:
            found = await billing.audit(tx, tenant.account_id)
        if found is None or not found.agrees or found.held or found.balance >= TOP_UP:
            raise RuntimeError(f"a wallet is not as it should be: {found}")
