"""Claiming from a campaign with 5 million queued calls, and for a minute under an old snapshot."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from benchmarks import data
from benchmarks.figures import Figure, median_of
from benchmarks.stage import Bench, Stage, Tenant
from tongdai.domain import compliance, contacts, dialer, live
from tongdai.domain.calls import Outcome
from tongdai.domain.dialer.model import Plan
from tongdai.domain.dialer.planner import plan as plan_now
from tongdai.domain.live import LegResult
from tongdai.kit.db import Tx

DEEP = 5_000_000
SHALLOW = 10_000
TURNS = 12
"""Claims of 100 in one block."""
BLOCKS = 8
SUSTAINED_S = 60.0


@dataclass
class Claimer:
    """Claims with the dialer's own claim, and ends what it claimed with the dialer's own end."""

    tx: Tx
    plan: Plan
    prefixes: contacts.PrefixTable
    policy: compliance.Policy
    seconds: list[float] = field(default_factory=list)

    async def turn(self) -> None:
        """Claim 100, which is timed, and end them, which is not."""
        began = time.perf_counter()
        async with self.tx.transaction():
            claimer = dialer.Claimer(0, dialer.ClaimRules(), self.prefixes, frozenset(), policy=self.policy)
            claimed = await dialer.claim(self.tx, claimer, [self.plan], turn=0)
        self.seconds.append(time.perf_counter() - began)
        legs = await claimed.read_legs()
        if len(legs) != dialer.ClaimRules().budget:
            raise RuntimeError(f"{len(legs)} calls were claimed")
        results = [LegResult(leg, Outcome.ANSWERED, True, 5.9, 16, "1 (8)") for leg in legs]
        async with self.tx.transaction():
            await live.end_legs(self.tx, results, datetime.now(UTC))


async def measure(stage: Stage) -> list[Figure]:
    async with stage.database() as bench:
        await _fill(bench, DEEP)
        await bench.analyze()
        await bench.db.close()
        sustained = await _under_snapshot(stage, bench.name)
        depth = await _by_depth(stage, bench.name)
    return [depth, sustained]


async def _fill(bench: Bench, calls: int) -> None:
    tenant = await bench.tenant()
    campaign = await bench.campaign(tenant)
    async with data.WithoutIndexes(bench):
        await data.queue(bench, tenant, campaign, calls)


async def _by_depth(stage: Stage, deep_name: str) -> Figure:
    async with stage.database(deep_name) as deep, stage.database() as shallow:
        tenant = await shallow.tenant()
        campaign = await shallow.campaign(tenant)
        await data.queue(shallow, tenant, campaign, SHALLOW)
        await shallow.analyze()
        async with _claimer(deep) as far, _claimer(shallow) as near:
            for block in range(BLOCKS + 1):
                for one in (far, near) if block % 2 else (near, far):
                    if block == 1:
                        one.seconds.clear()
                    for _ in range(TURNS):
                        await one.turn()
                await _refill(shallow, tenant, campaign, block)
    budget = dialer.ClaimRules().budget
    return Figure(
        name="claiming with 5 million queued calls",
        value=budget / median_of(far.seconds),
        unit="calls/s",
        limit=budget / median_of(near.seconds),
        limit_is="claiming with 10,000 queued calls",
        target=0.9,
    )


async def _refill(bench: Bench, tenant: Tenant, campaign: int, block: int) -> None:
    """As many queued calls as there were before the block."""
    budget = dialer.ClaimRules().budget
    first = SHALLOW + block * TURNS * budget
    await data.queue(bench, tenant, campaign, TURNS * budget, first=first)


async def _under_snapshot(stage: Stage, template: str) -> Figure:
    """Two equal databases by turns, so that both see the same noise; for twice the time, so that each has had
    its minute. A snapshot only holds back the cleaning of its own database."""
    async with (
        stage.database(template) as held,
        stage.database(template) as free,
        _claimer(held) as under,
        _claimer(free) as without,
        _old_snapshot(held),
    ):
        until = time.perf_counter() + 2 * SUSTAINED_S
        while time.perf_counter() < until:
            await under.turn()
            await without.turn()
    budget = dialer.ClaimRules().budget
    last = under.seconds[-len(under.seconds) // 6 :], without.seconds[-len(without.seconds) // 6 :]
    return Figure(
        name="claiming for 60 s under an old snapshot",
        value=budget * len(under.seconds) / sum(under.seconds),
        unit="calls/s",
        limit=budget * len(without.seconds) / sum(without.seconds),
        limit_is="the same without the snapshot",
        target=0.8,
        note=f"{len(under.seconds) * budget:,} calls from 5 million; one claim in the last sixth: median "
        f"{median_of(last[0]) * 1000:.1f} ms, without {median_of(last[1]) * 1000:.1f} ms",
    )


@asynccontextmanager
async def _old_snapshot(bench: Bench) -> AsyncIterator[None]:
    """A session that reads and stays in its transaction, as a report or a backup does."""
    async with bench.connection() as connection:
        await connection.execute("SET transaction_timeout = 0")
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await connection.execute("SELECT count(*) FROM campaigns")
        yield
        await connection.execute("ROLLBACK")


@asynccontextmanager
async def _claimer(bench: Bench) -> AsyncIterator[Claimer]:
    async with bench.connection() as tx:
        now = datetime.now(UTC)
        policy = compliance.load_policies().at(now)
        plans = await plan_now(tx, now, policy=policy, is_reachable=lambda _: True, is_holiday=_never)
        (only,) = plans.dialable.values()
        yield Claimer(tx, only, await contacts.load_prefixes(tx), policy)


def _never(_: date) -> bool:
    return False
