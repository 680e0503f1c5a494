"""Webhooks delivered per second to 1,000 healthy endpoints, while 50 others hang until time-out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import hooks
from benchmarks.figures import Figure, median_of
from benchmarks.stage import Bench, Receiver, Stage, Tenant, receiver
from tongdai.domain.webhooks import CallEvent

ACCOUNTS = 20
ENDPOINTS = 50
"""Of each account, the one whose endpoints hang included."""
EVENTS = 6
"""Of each account in one turn: each goes to all endpoints of the account."""
IN_FLIGHT = 8
REPETITIONS = 4
TIMEOUT_S = 60.0
"""Longer than a turn may take on a busy machine, so that what hangs does so from its beginning to its end."""

# As if the endpoints had never been tried. No worker runs meanwhile.
_FORGET = """
UPDATE webhook_endpoints
   SET failures = 0, failing_since = NULL, paused_at = NULL, paused_until = NULL, pause_reason = NULL,
       pauses = 0
"""
_PARK = "UPDATE webhook_deliveries SET state = 'parked', done_at = now() WHERE state = 'pending'"


@dataclass
class Crowd:
    """Accounts with their endpoints, the same in both databases."""

    healthy: Sequence[Tenant]
    hanging: Tenant
    hanging_endpoints: Sequence[int]
    calls: int = 0

    async def deliver(self, bench: Bench, to: Receiver, events: int) -> float:
        """Deliveries per second to the healthy endpoints: so many events of each account."""
        made = [self._event(tenant) for _ in range(events) for tenant in self.healthy]
        count = len(made) * ENDPOINTS
        return await hooks.deliver(bench, to, made, count, but=self.hanging_endpoints)

    async def hang(self, bench: Bench, to: Receiver) -> None:
        """Returns when every hanging endpoint has as many requests under way as it may have."""
        await hooks.publish(bench, [self._event(self.hanging) for _ in range(3 * IN_FLIGHT)])
        deadline = time.monotonic() + 10
        while (await to.counts())["hanging"] < ENDPOINTS * IN_FLIGHT:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{await to.counts()}: not every request hangs")
            await asyncio.sleep(0.05)

    def _event(self, tenant: Tenant) -> CallEvent:
        self.calls += 1
        return hooks.event(tenant, 1, self.calls)


async def measure(stage: Stage) -> list[Figure]:
    alone: list[float] = []
    beside: list[float] = []
    async with receiver() as to, stage.database() as healthy:
        crowd = await _crowd(healthy, to)
        await healthy.analyze()
        await healthy.db.close()
        async with stage.database(healthy.name) as first, stage.database(healthy.name) as second:
            for repetition in range(REPETITIONS):
                for hangs in (False, True) if repetition % 2 else (True, False):
                    if hangs:
                        beside.append(await _turn(second, crowd, to, hangs=True))
                    else:
                        alone.append(await _turn(first, crowd, to, hangs=False))
    return [
        Figure(
            name="webhooks to 1,000 endpoints while 50 others hang",
            value=median_of(beside),
            unit="/s",
            limit=median_of(alone),
            limit_is="the same while none hangs",
            target=0.9,
            note=f"{ENDPOINTS * IN_FLIGHT} requests hang from before the first delivery until after the last",
        )
    ]


async def _turn(bench: Bench, crowd: Crowd, to: Receiver, *, hangs: bool) -> float:
    await bench.run(_PARK)
    await bench.run(_FORGET)
    bench.stage.checkpoint()
    async with bench.worker(webhooks_timeout_s=TIMEOUT_S):
        await crowd.deliver(bench, to, 1)  # connections are open
        if hangs:
            await crowd.hang(bench, to)
        rate = await crowd.deliver(bench, to, EVENTS)
        still = (await to.counts())["hanging"]
        if hangs and still < ENDPOINTS * IN_FLIGHT:
            raise RuntimeError(f"{still} requests hang still")
    return rate


async def _crowd(bench: Bench, to: Receiver) -> Crowd:
    tenants = [await bench.tenant(f"Cửa hàng {number}") for number in range(ACCOUNTS + 1)]
    *healthy, hanging = tenants
    for tenant in tenants:
        url = to.url("hang" if tenant is hanging else f"ok/{tenant.account_id}")
        made = await hooks.endpoints(bench, tenant, url, max_in_flight=IN_FLIGHT, count=ENDPOINTS)
    return Crowd(healthy, hanging, made)
