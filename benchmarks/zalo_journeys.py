"""Journeys made per second through each vendor's API, beside a bare loop of the same client."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import count

from benchmarks import zalo
from benchmarks.client import rate
from benchmarks.figures import Figure, median_of
from benchmarks.paying import make_prepaid
from benchmarks.stage import Bench, Stage, Tenant, printed
from benchmarks.zalo import Emulator
from tongdai.domain import accounts, billing
from tongdai.ports.zalo import Access

CONNECTIONS = 32
"""Requests under way at a time: of the customer, and of the bare loop."""
SECONDS = 3.0
REPETITIONS = 5
DELAYS_MS = (0, 50)
"""How long the emulator takes for an answer: no time, and about as long as a server in the same country."""


async def measure(stage: Stage) -> list[Figure]:
    figures: list[Figure] = []
    async with stage.database() as bench, zalo.emulator(stage) as to:
        tenant = await bench.tenant()
        await make_prepaid(bench, [tenant])
        async with zalo.bridge(bench, to) as bridge:
            await zalo.connect(bridge, tenant, [zalo.FIRST_OA])
            through = await zalo.access(bridge, tenant)
        requests = await _requests(bench, tenant)
        async with bench.api(**to.settings()) as (port, _):
            for delay_ms in DELAYS_MS:
                await to.answer_after(delay_ms)
                figures += await _compared(stage, to, port, requests, through, delay_ms)
        await require_held(bench, tenant)
    return figures


async def _compared(
    stage: Stage,
    to: Emulator,
    port: int,
    requests: Mapping[str, Callable[[], bytes]],
    through: Access,
    delay_ms: int,
) -> list[Figure]:
    """Both APIs and the bare loop by turns, while the emulator answers after so long."""
    rates: dict[str, list[float]] = {vendor: [] for vendor in requests}
    bare: list[float] = []
    for repetition in range(REPETITIONS + 1):
        seconds = SECONDS if repetition else 1.0
        for vendor, make in requests.items():
            stage.checkpoint()
            rates[vendor].append(await rate(port, make, connections=CONNECTIONS, seconds=seconds))
        bare.append(await _bare(through, to, seconds))
    return [_figure(vendor, rates[vendor][1:], bare[1:], delay_ms) for vendor in rates]


async def _requests(bench: Bench, tenant: Tenant) -> dict[str, Callable[[], bytes]]:
    """A request of each vendor's, each for another number."""
    async with bench.db.transaction() as tx:
        _, vendor_key = await accounts.issue_vendor_key(
            tx,
            bench.keyring,
            tenant.account_id,
            tenant.user_id,
            "interits",
            "bench",
            now=datetime.now(UTC),
        )
        api_key = await accounts.issue_api_key(tx, tenant.account_id, tenant.user_id, "bench")
    numbers = count()

    def make(path: str, header: str) -> Callable[[], bytes]:
        head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{header}\r\n"

        def one() -> bytes:
            phone = f"090{next(numbers) * 7_368_787 % 9_999_000:07d}"
            body = f'{{"oa_id":"{zalo.FIRST_OA}","phone":"{phone[:-3]}001"}}'.encode()
            return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body

        return one

    return {
        "Interits": make("/api/vendor/v1/zalo/create-journey", f"API-KEY: {vendor_key}"),
        "SenCloud": make("/v1/shop.Zalo/CreateJourney", f"Authorization: Bearer {api_key.key}"),
    }


async def _bare(through: Access, to: Emulator, seconds: float) -> float:
    """Journeys per second of the bare loop: see `limits.create_journeys`."""
    environment = os.environ | {
        "BENCH_URL": to.url,
        "BENCH_TASKS": str(CONNECTIONS),
        "BENCH_SECONDS": str(seconds),
        "BENCH_ACCESS": through.token,
        "BENCH_APP": str(through.app_id),
    }
    return float(await printed(["-m", "benchmarks.limits", "journeys"], environment))


async def require_held(bench: Bench, tenant: Tenant) -> None:
    """Raises RuntimeError unless every journey that was made is held for, and the books agree."""
    [[made, open_]] = await bench.run(
        "SELECT count(*), count(*) FILTER (WHERE state = 'open' AND held > 0) FROM zalo_journeys"
    )
    async with bench.db.transaction() as tx:
        audit = await billing.audit(tx, tenant.account_id)
    if not made or made != open_ or audit is None or not audit.agrees:
        raise RuntimeError(f"{open_} of {made} journeys are held for: {audit}")


def _figure(vendor: str, ours: list[float], bare: list[float], delay_ms: int) -> Figure:
    when = f"{delay_ms} ms" if delay_ms else "at once"
    return Figure(
        name=f"journeys made through the API of {vendor}, Zalo answering {'after ' * bool(delay_ms)}{when}",
        value=median_of(ours),
        unit="/s",
        limit=median_of(bare),
        limit_is="bare loop of the same client of Zalo's",
        target=0.6,
        note=f"{CONNECTIONS} at a time; one prepaid account",
    )
