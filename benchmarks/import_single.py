"""Imports of one contact each, as many as the server answers, beside the same SQL behind a bare handler."""

from __future__ import annotations

from itertools import count

from benchmarks.client import post, rate
from benchmarks.figures import Figure, median_of
from benchmarks.limits import BARE_PATH
from benchmarks.stage import Stage, answers, free_port, import_path, running

CONNECTIONS = 16
SECONDS = 3.0
REPETITIONS = 5


async def measure(stage: Stage) -> list[Figure]:
    ours: list[float] = []
    bare: list[float] = []
    async with stage.database() as bench:
        tenant = await bench.tenant()
        campaign, twin = await bench.campaign(tenant), await bench.campaign(tenant)
        await bench.analyze()
        port = free_port()
        environment = bench.environment(port=port)
        environment["BENCH_BARE"] = f"{tenant.account_id},{tenant.user_id},{twin}"
        numbers = count()
        path = import_path(campaign, tenant)
        bare_path = path.replace(path.partition("?")[0], BARE_PATH)

        def body() -> bytes:
            number = next(numbers) * 7_368_787 % 10_000_000
            return (
                f'{{"contacts":[{{"phone_number":"090{number:07d}",'
                '"ho_ten":"Nguyễn Văn An","ma_don":"DH-204118"}]}'
            ).encode()

        async with bench.api() as (own, _):
            with running(["-m", "benchmarks.limits", "import"], environment) as process:
                await answers(port, BARE_PATH, process)
                for repetition in range(REPETITIONS + 1):
                    seconds = SECONDS if repetition else 1.0
                    ours.append(
                        await rate(own, lambda: post(path, body()), connections=CONNECTIONS, seconds=seconds)
                    )
                    bare.append(
                        await rate(
                            port, lambda: post(bare_path, body()), connections=CONNECTIONS, seconds=seconds
                        )
                    )
    return [
        Figure(
            name="imports of one contact over HTTP",
            value=median_of(ours[1:]),
            unit="/s",
            limit=median_of(bare[1:]),
            limit_is=f"the same SQL behind a bare handler; {CONNECTIONS} connections",
            target=0.6,
        )
    ]
