"""Webhooks delivered per second to one receiver: beside a bare loop, and with 100,000 retries waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from benchmarks import hooks
from benchmarks.figures import Figure, median_of
from benchmarks.stage import Bench, Receiver, Stage, Tenant, receiver

IN_FLIGHT = 32
"""Requests that are under way at a time: of the endpoint, and of the bare loop."""
DELIVERIES = 8000
WARM_UP = 1000
REPETITIONS = 5
RETRIES = 100_000


@dataclass
class Sending:
    """One endpoint in a database of its own, with a worker that sends to it."""

    bench: Bench
    to: Receiver
    tenant: Tenant
    campaign_id: int
    endpoint_id: int
    calls: int = 0

    async def deliver(self, count: int) -> float:
        """Deliveries per second, each of a call of its own."""
        first, self.calls = self.calls + 1, self.calls + count
        events = [hooks.event(self.tenant, self.campaign_id, call) for call in range(first, first + count)]
        return await hooks.deliver(self.bench, self.to, events, count)


async def measure(stage: Stage) -> list[Figure]:
    bare: list[float] = []
    free: list[float] = []
    laden: list[float] = []
    async with AsyncExitStack() as stack:
        to = await stack.enter_async_context(receiver())
        alone = await stack.enter_async_context(_sending(stage, to))
        busy = await stack.enter_async_context(_sending(stage, to))
        body = await hooks.rendered_body(alone.bench)
        await hooks.retries_waiting(busy.bench, busy.endpoint_id, RETRIES)
        await busy.bench.analyze()
        for repetition in range(REPETITIONS):
            stage.checkpoint()
            turns = [(alone, free), (busy, laden)]
            for sending, rates in turns if repetition % 2 else reversed(turns):
                rates.append(await sending.deliver(DELIVERIES))
            bare.append(await hooks.bare(to, tasks=IN_FLIGHT, requests=2 * DELIVERIES, body=body))
        await hooks.require_waiting(busy.bench, RETRIES)
    return [
        Figure(
            name="webhooks delivered to one receiver",
            value=median_of(free),
            unit="/s",
            limit=median_of(bare),
            limit_is="bare loop of the same HTTP client",
            target=0.5,
            note=f"{IN_FLIGHT} requests in flight",
        ),
        Figure(
            name="webhooks delivered while 100,000 retries wait",
            value=median_of(laden),
            unit="/s",
            limit=median_of(free),
            limit_is="the same with no retry waiting",
            target=0.9,
        ),
    ]


@asynccontextmanager
async def _sending(stage: Stage, to: Receiver) -> AsyncIterator[Sending]:
    """Warm: connections are open, and some deliveries were made."""
    async with stage.database() as bench:
        tenant = await bench.tenant()
        campaign = await bench.campaign(tenant, state="draft")
        [endpoint] = await hooks.endpoints(bench, tenant, to.url("ok/1"), max_in_flight=IN_FLIGHT)
        async with bench.worker():
            sending = Sending(bench, to, tenant, campaign, endpoint)
            await sending.deliver(WARM_UP)
            await bench.analyze()
            yield sending
