"""Attempts completed per second by one dialer on the sandbox carrier at full speed, all writes included."""

from __future__ import annotations

from benchmarks import data
from benchmarks.dialling import FULL_SPEED, dial
from benchmarks.figures import Figure, median_of
from benchmarks.limits import PlainDialer
from benchmarks.stage import Bench, Stage, Tenant

CALLS = 4000
WARM_UP = 1000
REPETITIONS = 5


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
    campaign = await bench.campaign(tenant, state="draft")
    await data.queue(bench, tenant, campaign, calls, first=first)
    return await dial(bench, [campaign], calls)


async def _loop(bench: Bench, tenant: Tenant, first: int, calls: int) -> float:
    campaign = await bench.campaign(tenant)
    await data.queue(bench, tenant, campaign, calls, first=first)
    async with bench.connection() as connection:
        rate = await (await PlainDialer.of(connection, campaign)).run(calls)
        await connection.execute("UPDATE campaigns SET state = 'stopped' WHERE id = %s", [campaign])
    return rate
