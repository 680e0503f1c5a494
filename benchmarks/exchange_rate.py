"""The highest rate of calls sustained without a failure: ours, a bare client's, and Asterisk's spool's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from benchmarks.exchange import a_law_tone, bare_client, exchange, phones, spool
from benchmarks.exchange_shop import Shop, dialers, shop
from benchmarks.figures import Figure
from benchmarks.stage import Stage

RATES = (60, 80, 100, 120, 140, 160, 180, 200, 220, 240, 260, 280, 300, 340, 380, 420, 460, 500)
SECONDS = 8.0
PROMPT_S = 0.5
LATE = 1.15
"""A rate is sustained when all calls were answered and the last was over by then, in parts of its time."""
SETTLE_S = 1.0
"""What the first call takes to go out and the last end to be written, at any rate."""
MOST_S = SECONDS * LATE + PROMPT_S + SETTLE_S

Sustains = Callable[[int], Awaitable[bool]]


async def measure(stage: Stage) -> list[Figure]:
    found = {
        "tongdai, everything written and billed": await _ours(stage),
        "a bare client of ARI": await _bare(stage),
        "Asterisk's call files, blind": await _spool(stage),
    }
    return [
        Figure(
            name=f"highest rate without a failure: {who}",
            value=rate,
            unit="calls/s",
            limit=found["Asterisk's call files, blind"] if who.startswith("tongdai") else None,
            limit_is="the rate of Asterisk's call files" if who.startswith("tongdai") else "",
            note=f"for {SECONDS:.0f} s, all answered at once, a prompt of {PROMPT_S} s, all on one machine",
        )
        for who, rate in found.items()
    ]


async def _highest(sustains: Sustains) -> float:
    """The last of the rates before the first that is not sustained; looked for by halves, then confirmed."""
    low, high = -1, len(RATES)
    while high - low > 1:
        middle = (low + high) // 2
        if await sustains(RATES[middle]):
            low = middle
        else:
            high = middle
    return float(RATES[low]) if low >= 0 else 0.0


async def _ours(stage: Stage) -> float:
    async with stage.database() as bench, exchange() as one:
        with phones(one.folder) as far:
            here = await shop(bench, [one], far.port, prompt_s=PROMPT_S)
            tried = 0
            async with dialers(here, dialer_max_calls=4000):

                async def sustains(rate: int) -> bool:
                    nonlocal tried
                    tried += 1
                    return await _dials(here, rate, first=tried * 100_000)

                return await _highest(sustains)


async def _dials(here: Shop, rate: int, *, first: int) -> bool:
    calls = round(rate * SECONDS)
    await here.pace(rate)
    campaign = await here.campaign(calls, first=first)
    began = here.now()
    await here.start(campaign)
    try:
        answered = await here.all_ended(campaign, calls, SECONDS * 4 + 30)
    except RuntimeError:
        return False
    finally:
        await here.stop(campaign)
    return answered == calls and here.now() - began <= MOST_S


async def _bare(stage: Stage) -> float:
    async with exchange() as one:
        sound = a_law_tone(one.sounds / "bare.alaw", PROMPT_S)
        with phones(one.folder) as far:

            async def sustains(rate: int) -> bool:
                out = await bare_client(one, far, sound, rate=rate, seconds=SECONDS)
                return not out.failed and out.seconds <= MOST_S

            return await _highest(sustains)


async def _spool(stage: Stage) -> float:
    async with exchange() as one:
        sound = a_law_tone(one.sounds / "bare.alaw", PROMPT_S)
        with phones(one.folder) as far:

            async def sustains(rate: int) -> bool:
                out = await spool(one, far, sound, rate=rate, seconds=SECONDS)
                return not out.failed and out.seconds <= MOST_S

            return await _highest(sustains)
