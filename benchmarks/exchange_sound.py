"""Sound under load: what of the due frames reaches the far ends, and whether recordings have gaps."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.fakes.asterisk import AsteriskInstance

from benchmarks.exchange import exchange, listener, phones
from benchmarks.exchange_shop import Shop, dialers, shop
from benchmarks.figures import Figure
from benchmarks.stage import Stage

CALLS = 300
RECORDED = 100
PROMPT_S = 20.0
FRAMES_A_SECOND = 50
FRAME = 160
"""Samples of 20 ms."""
SET_UP_CPS = 40.0
MARGIN_S = 0.5
"""At both ends of a recording: it may begin before the prompt and end after it."""


async def measure(stage: Stage) -> list[Figure]:
    async with stage.database() as bench, exchange() as one, listener("frames") as sink:
        with phones(one.folder, media_port=sink.port) as far:
            here = await shop(bench, [one], far.port, prompt_s=PROMPT_S, cps=SET_UP_CPS)
            async with dialers(here):
                most = await _call(here, one)
        streams = list((await sink.told()).values())
        gaps = [_gaps(path) for path in recordings(one)]
    if len(gaps) != RECORDED or most < CALLS:
        raise RuntimeError(f"{len(gaps)} recordings were made, and {most} calls were up at once")
    due = PROMPT_S * FRAMES_A_SECOND
    return [
        Figure(
            name=f"frames of sound at the far end, {CALLS} calls at once, of those due: all calls",
            value=sum(min(stream["packets"], due) for stream in streams) / (CALLS * due),
            unit="of them",
            target=0.99,
            note=f"{RECORDED} of the calls were recorded at the same time; a prompt of {PROMPT_S:.0f} s each",
        ),
        Figure(
            name="the same: the call with the fewest",
            value=min(stream["packets"] for stream in streams) / due,
            unit="of them",
        ),
        Figure(
            name=f"silent frames of 20 ms in {RECORDED} recordings of a tone",
            value=sum(gaps),
            unit="frames",
            sense="at most",
            target=0,
        ),
    ]


async def _call(here: Shop, one: AsteriskInstance) -> int:
    """Both campaigns side by side. Returns the most calls that were up at one time."""
    plain = await here.campaign(CALLS - RECORDED, first=0)
    recorded = await here.campaign(RECORDED, first=10_000, record=True)
    await here.start(plain)
    await here.start(recorded)
    ending = asyncio.gather(
        here.all_ended(plain, CALLS - RECORDED, 120), here.all_ended(recorded, RECORDED, 120)
    )
    most = 0
    while not ending.done():
        live = (
            "SELECT live FROM limits JOIN trunks ON trunks.limit_id = limits.id WHERE trunks.id = %(trunk)s"
        )
        [[now]] = await here.bench.run(live, {"trunk": here.tenant.trunk_id})
        most = max(most, now)
        await asyncio.sleep(0.1)
    if sum(await ending) != CALLS:
        raise RuntimeError("not every call was answered")
    return most


def recordings(one: AsteriskInstance) -> Iterable[Path]:
    """As the node keeps them."""
    return sorted((one.folder / "spool" / "recording").glob("**/*.wav"))


def _gaps(path: Path) -> int:
    """Frames without sound between the first and the last that have some, but for a margin."""
    with wave.open(str(path)) as sound:
        samples: Any = memoryview(sound.readframes(sound.getnframes())).cast("h")
    loud = [any(samples[at : at + FRAME]) for at in range(0, len(samples) - FRAME, FRAME)]
    if True not in loud:
        return len(loud)
    first, last = loud.index(True), len(loud) - loud[::-1].index(True)
    margin = round(MARGIN_S * FRAMES_A_SECOND)
    if last - first < PROMPT_S * FRAMES_A_SECOND * 0.95:
        return len(loud)
    return loud[first + margin : last - margin].count(False)
