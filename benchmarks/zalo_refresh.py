"""500 Official Accounts due at once, renewed by three workers: every refresh token is used once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack

from benchmarks import zalo
from benchmarks.figures import Figure
from benchmarks.stage import Bench, Stage
from benchmarks.zalo import Emulator

OAS = 500
WORKERS = 3
TOKENS = "/v4/oa/access_token"
LONGEST_S = 120.0

# Everything is due at the same moment, which comes when all workers run.
_DUE = "UPDATE zalo_oas SET refresh_due_at = now()"
_LEFT = "SELECT count(*) FROM zalo_oas WHERE tokens_version < 2 OR refresh_begun_at IS NOT NULL"


async def measure(stage: Stage) -> list[Figure]:
    async with stage.database() as bench, zalo.emulator(stage, OAS) as to:
        tenant = await bench.tenant()
        async with zalo.bridge(bench, to) as bridge:
            await zalo.connect(bridge, tenant, [zalo.FIRST_OA + at for at in range(OAS)])
        await bench.analyze()
        async with AsyncExitStack() as stack:
            for _ in range(WORKERS):
                await stack.enter_async_context(bench.worker(**to.settings()))
            took = await _renewed(bench)
        uses = await _uses(to)
    if len(uses) != OAS:
        raise RuntimeError(f"{len(uses)} of {OAS} refresh tokens were used")
    return [
        Figure(
            name="most uses of any of 500 refresh tokens",
            value=max(uses.values()),
            unit="uses",
            sense="at most",
            target=1,
            note=f"{OAS} Official Accounts due at once, {WORKERS} workers; by the emulator's log",
        ),
        Figure(name="tokens renewed by three workers", value=OAS / took, unit="/s"),
    ]


async def _renewed(bench: Bench) -> float:
    """Seconds until all have new tokens. Raises RuntimeError when that takes too long."""
    await bench.run(_DUE)
    began = time.perf_counter()
    while (await bench.run(_LEFT))[0][0]:
        if time.perf_counter() - began > LONGEST_S:
            raise RuntimeError("the tokens are not renewed")
        await asyncio.sleep(0.05)
    return time.perf_counter() - began


async def _uses(to: Emulator) -> Counter[str]:
    """How often each refresh token was presented."""
    asked = await to.requests(TOKENS)
    return Counter(one["refresh_token"] for one in asked if one.get("refresh_token"))
