"""What a call costs the processor at a steady 100 calls a second: ours with the database, and Asterisk's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.fakes.asterisk import AsteriskInstance

from benchmarks import hooks
from benchmarks.exchange import FarEnd, a_law_tone, bare_client, exchange, phones, spent
from benchmarks.exchange_shop import Shop, dialers, shop
from benchmarks.figures import Figure
from benchmarks.paying import require_paid
from benchmarks.stage import Stage, receiver

RATE = 100
SECONDS = 20
WARM_UP_S = 5
PROMPT_S = 1.0


@dataclass(frozen=True, slots=True)
class Spent:
    """Milliseconds of processor for each call."""

    ours: float
    database: float
    asterisk: float


async def measure(stage: Stage) -> list[Figure]:
    async with stage.database() as bench, exchange() as one, receiver() as to:
        with phones(one.folder) as far:
            here = await shop(bench, [one], far.port, prompt_s=PROMPT_S, cps=RATE)
            await hooks.endpoints(bench, here.tenant, to.url("ok"), max_in_flight=32)
            async with dialers(here) as pids, bench.worker(**here.settings()) as worker:
                pids.append(worker)
                await _call(here, one, pids, WARM_UP_S, first=0)
                ours = await _call(here, one, pids, SECONDS, first=100_000)
                await require_paid(bench, [here.tenant])
            bare = await _bare(one, far, a_law_tone(one.sounds / "bare.alaw", PROMPT_S))
    what = (
        f"at {RATE} calls a second for {SECONDS} s, each answered at once, with a prompt of {PROMPT_S:.0f} s"
    )
    return [
        Figure(
            name="processor per call, tongdai with its database",
            value=ours.ours + ours.database,
            unit="ms",
            limit=ours.asterisk,
            limit_is="Asterisk's own for the same calls",
            sense="at most",
            target=1.0,
            note=what,
        ),
        Figure(
            name="processor per call, tongdai alone",
            value=ours.ours,
            unit="ms",
            limit=bare,
            limit_is="a bare client of ARI at the same rate with the same sound",
            sense="at most",
            target=3.0,
        ),
    ]


async def _call(here: Shop, one: AsteriskInstance, pids: list[int], seconds: float, *, first: int) -> Spent:
    """Everything is dialled, written, billed and told before the processes are asked again."""
    calls = round(RATE * seconds)
    campaign = await here.campaign(calls, first=first)
    before = spent(pids), spent([here.bench.stage.postgres_pid]), spent([one.pid])
    await here.start(campaign)
    answered = await here.all_ended(campaign, calls, seconds + 60)
    await here.all_told()
    after = spent(pids), spent([here.bench.stage.postgres_pid]), spent([one.pid])
    await here.stop(campaign)
    if answered != calls:
        raise RuntimeError(f"{answered} of {calls} calls were answered")
    used = [(late - early) * 1000 / calls for early, late in zip(before, after, strict=True)]
    return Spent(*used)


async def _bare(one: AsteriskInstance, far: FarEnd, sound: Path) -> float:
    """Milliseconds of processor for each call of the bare client."""
    await bare_client(one, far, sound, rate=RATE, seconds=WARM_UP_S)
    out = await bare_client(one, far, sound, rate=RATE, seconds=SECONDS)
    if out.failed:
        raise RuntimeError(f"{out.failed} of {out.offered} calls of the bare client failed")
    return out.cpu_s * 1000 / out.offered
