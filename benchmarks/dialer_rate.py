"""Attempts completed per second by one dialer on the sandbox carrier at full speed, all writes included."""

from __future__ import annotations

import asyncio
import time

from benchmarks import data
from benchmarks.figures import Figure, median_of
from benchmarks.limits import PlainDialer
from benchmarks.stage import Bench, Stage, Tenant

CALLS = 4000
WARM_UP = 1000
REPETITIONS = 5
FULL_SPEED = 1_000_000.0

_DONE = "SELECT coalesce(sum(calls), 0) FROM outcome_counts WHERE campaign_id = %(campaign)s"


async def measure(stage: Stage) -> list[Figure]:
    ours: list[float] = []
    plain: list[float] = []
    async with stage.database() as dialled, stage.database() as looped:
        tenant, other = await dialled.tenant(), await looped.tenant()
        await dialled.analyze()
        await looped.analyze()
        async with dialled.carrier(speed=FULL_SPEED) as carrier, dialled.dialer(carrier):
            await _dial(dialled, tenant, 0, WARM_UP)
            await _loop(looped, other, 0, WARM_UP)
            for repetition in range(REPETITIONS):
                first = WARM_UP + repetition * CALLS
                ours.append(await _dial(dialled, tenant, first, CALLS))
                plain.append(await _loop(looped, other, first, CALLS))
    return [
        Figure(
            name="attempts completed by one dialer",
            value=median_of(ours),
            unit="/s",
            limit=median_of(plain),
            limit_is="plain loop over one connection, the same statements in batches of 100",
            target=0.5,
        )
    ]


async def _dial(bench: Bench, tenant: Tenant, first: int, calls: int) -> float:
    """Attempts per second from the start of the campaign until its last call is done."""
    campaign = await bench.campaign(tenant, state="draft")
    await data.queue(bench, tenant, campaign, calls, first=first)
    async with bench.connection() as connection:
        await connection.execute("UPDATE campaigns SET state = 'running' WHERE id = %s", [campaign])
        await connection.execute("SELECT pg_notify('tongdai_dial', %s)", [str(campaign)])
        began = time.perf_counter()
        deadline = began + 120
        done = 0
        while done < calls:
            if time.perf_counter() > deadline:
                raise RuntimeError(f"the dialer ended {done} of {calls} calls")
            await asyncio.sleep(0.02)
            row = await (await connection.execute(_DONE, {"campaign": campaign})).fetchone()
            assert row is not None
            done = int(row[0])
        took = time.perf_counter() - began
        await connection.execute("UPDATE campaigns SET state = 'stopped' WHERE id = %s", [campaign])
    return calls / took


async def _loop(bench: Bench, tenant: Tenant, first: int, calls: int) -> float:
    campaign = await bench.campaign(tenant)
    await data.queue(bench, tenant, campaign, calls, first=first)
    async with bench.connection() as connection:
        rate = await (await PlainDialer.of(connection, campaign)).run(calls)
        await connection.execute("UPDATE campaigns SET state = 'stopped' WHERE id = %s", [campaign])
    return rate
