"""Two nodes beside one: calls carried in the same time, each node with 50 channels."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from benchmarks.exchange import exchange, phones
from benchmarks.exchange_shop import dialers, shop
from benchmarks.figures import Figure
from benchmarks.stage import Stage

CHANNELS = 50
PROMPT_S = 3.0
WARM_UP_S = 5.0
SECONDS = 20.0
CALLS = 2000


async def measure(stage: Stage) -> list[Figure]:
    one, two = await _carried(stage, 1), await _carried(stage, 2)
    return [
        Figure(
            name=f"calls carried by two nodes of {CHANNELS} channels each",
            value=two,
            unit="/s",
            limit=one,
            limit_is=f"one node of {CHANNELS} channels",
            target=1.9,
            note=f"calls of {PROMPT_S:.0f} s, for {SECONDS:.0f} s after {WARM_UP_S:.0f} s, one machine",
        )
    ]


async def _carried(stage: Stage, nodes: int) -> float:
    async with stage.database() as bench, AsyncExitStack() as stack:
        ones = [await stack.enter_async_context(exchange()) for _ in range(nodes)]
        far = stack.enter_context(phones(ones[0].folder))
        here = await shop(bench, ones, far.port, prompt_s=PROMPT_S, node_channels=CHANNELS)
        await stack.enter_async_context(dialers(here))
        campaign = await here.campaign(CALLS, first=0)
        await here.start(campaign)
        await asyncio.sleep(WARM_UP_S)
        before, began = (await here.ended(campaign))[1], here.now()
        await asyncio.sleep(SECONDS)
        after, ended = (await here.ended(campaign))[1], here.now()
        await here.stop(campaign)
    return (after - before) / (ended - began)
