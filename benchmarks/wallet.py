"""Calls settled by two dialers: all of one account, beside those of a hundred."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from benchmarks import data, paying
from benchmarks.dialling import FULL_SPEED, dial
from benchmarks.figures import Figure, median_of
from benchmarks.stage import Bench, Stage, Tenant

CALLS = 10_000
MANY = 100
WARM_UP = 1000
REPETITIONS = 3


@dataclass
class Payers:
    """Accounts in a database of their own, with two dialers on a carrier of their own."""

    bench: Bench
    tenants: Sequence[Tenant]
    rates: list[float] = field(default_factory=list)

    async def turn(self, first: int, calls: int) -> None:
        """So many calls, in one campaign of each account."""
        each = calls // len(self.tenants)
        campaigns = []
        for number, tenant in enumerate(self.tenants):
            campaign = await self.bench.campaign(tenant, state="draft")
            await data.queue(self.bench, tenant, campaign, each, first=first + number * each)
            campaigns.append(campaign)
        self.rates.append(await dial(self.bench, campaigns, calls))


async def measure(stage: Stage) -> list[Figure]:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(_payers(stage, 1))
        many = await stack.enter_async_context(_payers(stage, MANY))
        for repetition in range(REPETITIONS):
            stage.checkpoint()
            for payers in (one, many) if repetition % 2 else (many, one):
                await payers.turn(WARM_UP + repetition * CALLS, CALLS)
        for payers in (one, many):
            await paying.require_paid(payers.bench, payers.tenants)
    return [
        Figure(
            name="calls of one account settled from two dialers",
            value=median_of(one.rates[1:]),
            unit="/s",
            limit=median_of(many.rates[1:]),
            limit_is=f"as many calls of {MANY} accounts",
            target=0.7,
            note=f"{CALLS:,} calls until the last is settled; every wallet agrees with its ledger",
        )
    ]


@asynccontextmanager
async def _payers(stage: Stage, accounts: int) -> AsyncIterator[Payers]:
    """Warm: the dialers have dialled."""
    async with stage.database() as bench:
        tenants = [await bench.tenant(f"Cửa hàng {number}") for number in range(accounts)]
        await paying.make_prepaid(bench, tenants)
        await bench.analyze()
        payers = Payers(bench, tenants)
        async with (
            bench.carrier(speed=FULL_SPEED) as carrier,
            bench.dialer(carrier),
            bench.dialer(carrier),
        ):
            await payers.turn(0, WARM_UP)
            yield payers
