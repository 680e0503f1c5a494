"""Two dialer processes on one trunk of 50 calls per second and 100 channels, judged by the carrier's log."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from benchmarks.figures import Figure
from benchmarks.stage import Bench, Stage
from tongdai.adapters.sandbox.log import Line, busiest_second, mean_channels, most_channels, read_log

CALLS_PER_SECOND = 50
CHANNELS = 100
RAMP_S = 5.0
"""Real seconds until the channels may be expected to be full: 100 calls at 50 a second take two."""

_QUEUED = """
INSERT INTO calls (account_id, campaign_id, user_id, number, number_given, due_at)
SELECT %(account)s, %(campaign)s, %(user)s, '8490' || lpad((i %% 10000)::text, 4, '0') || %(ending)s, 'x',
       now() - interval '1 hour' + i * interval '1 ms'
FROM generate_series(1, %(count)s) AS i
"""


async def measure(stage: Stage) -> list[Figure]:
    # Engaged after 1 to 2 carrier seconds: 50 a second are up for half a second each, far from 100 channels.
    rate = await _watch(stage, "003", speed=3.0, calls=1800)
    # Declined after 4 to 10 carrier seconds: 100 channels would be done with some 29 calls a second.
    channels = await _watch(stage, "004", speed=2.0, calls=1000)
    return [
        *_caps("bound by the rate", rate, used_rate(rate)),
        *_caps("bound by channels", channels, used_channels(channels)),
    ]


async def _watch(stage: Stage, ending: str, *, speed: float, calls: int) -> list[Line]:
    """The carrier's log of so many calls to numbers with this ending."""
    async with stage.database() as bench:
        tenant = await bench.tenant(max_channels=CHANNELS, max_cps=CALLS_PER_SECOND)
        campaign = await bench.campaign(tenant, state="draft")
        values = {"account": tenant.account_id, "campaign": campaign, "user": tenant.user_id}
        await bench.run(_QUEUED, values | {"count": calls, "ending": ending})
        await bench.analyze()
        async with bench.carrier(speed=speed) as carrier, bench.dialer(carrier), bench.dialer(carrier):
            await bench.run("UPDATE campaigns SET state = 'running'")
            await _done(bench, calls)
            return read_log(carrier.log)


async def _done(bench: Bench, calls: int) -> None:
    deadline = time.monotonic() + 180
    done = 0
    while done < calls:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the dialers ended {done} of {calls} calls")
        await asyncio.sleep(0.25)
        rows = await bench.run("SELECT coalesce(sum(calls), 0) FROM outcome_counts")
        done = int(rows[0][0])


def used_rate(lines: Sequence[Line]) -> float:
    """The part of the calls per second that was used between the first and the last call."""
    moments = [line.mono for line in lines if line.event == "INVITE"]
    return (len(moments) - 1) / (moments[-1] - moments[0]) / CALLS_PER_SECOND


def used_channels(lines: Sequence[Line]) -> float:
    """The part of the channels used on average, from `RAMP_S` after the first call to the last one."""
    moments = [line.mono for line in lines if line.event == "INVITE"]
    return max(mean_channels(lines, moments[0] + RAMP_S, moments[-1]).values()) / CHANNELS


def busiest_calendar_second(lines: Sequence[Line]) -> int:
    """The most calls that were begun in a second of the clock on the wall."""
    return max(Counter(int(line.ts) for line in lines if line.event == "INVITE").values())


def _caps(name: str, lines: Sequence[Line], used: float) -> list[Figure]:
    any_second = max(max(busiest_second(lines).values()), busiest_calendar_second(lines))
    return [
        Figure(
            name=f"most calls in any second, {name}",
            value=any_second,
            unit="calls",
            sense="at most",
            target=CALLS_PER_SECOND,
            note="any second of the carrier's log, wherever it begins, and those of the clock on the wall",
        ),
        Figure(
            name=f"most channels at any moment, {name}",
            value=max(most_channels(lines).values()),
            unit="channels",
            sense="at most",
            target=CHANNELS,
        ),
        Figure(name=f"cap used, {name}", value=used, unit="of it", target=0.95),
    ]
