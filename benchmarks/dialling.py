"""Dialling a queue to its end, and how long that takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from benchmarks.stage import Bench

FULL_SPEED = 1_000_000.0
"""Of the carrier's clock: no call takes any time."""
LONGEST_TURN_S = 120.0

_DONE = "SELECT coalesce(sum(calls), 0) FROM outcome_counts WHERE campaign_id = ANY(%(campaigns)s)"
_STATE = "UPDATE campaigns SET state = %(state)s WHERE id = ANY(%(campaigns)s)"
_WAKE = "SELECT pg_notify('tongdai_dial', id::text) FROM unnest(%(campaigns)s::bigint[]) AS one (id)"


async def dial(bench: Bench, campaigns: Sequence[int], calls: int) -> float:
    """Attempts per second from the start of these campaigns until the last of their calls is done.

    The campaigns are drafts with so many calls, each of which is tried once. Raises RuntimeError when that
    takes too long.
    """
    named = {"campaigns": list(campaigns)}
    async with bench.connection() as connection:
        await connection.execute(_STATE, named | {"state": "running"})
        await connection.execute(_WAKE, named)
        began = time.perf_counter()
        done = 0
        while done < calls:
            if time.perf_counter() - began > LONGEST_TURN_S:
                raise RuntimeError(f"{done} of {calls} calls were ended")
            await asyncio.sleep(0.02)
            row = await (await connection.execute(_DONE, named)).fetchone()
            assert row is not None
            done = int(row[0])
        took = time.perf_counter() - began
        await connection.execute(_STATE, named | {"state": "stopped"})
    return calls / took
