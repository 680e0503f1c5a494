"""What many tasks ask for at the same time is done together, and each is answered for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tongdai.kit.batching import Batches

pytestmark = pytest.mark.anyio


class Work:
    """Doubles numbers, one batch at a time, when it is let; fails for negative ones."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.let = asyncio.Event()
        self.begun = asyncio.Event()

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.seen.append(list(items))
        self.begun.set()
        await self.let.wait()
        if any(item < 0 for item in items):
            raise ValueError(min(items))
        return [2 * item for item in items]


async def begun(work: Work, batches: Batches[int, int], first: int) -> asyncio.Task[int]:
    """A task whose item is being worked at."""
    task = asyncio.create_task(batches.do(first))
    await work.begun.wait()
    return task


async def test_one_alone_is_served_at_once() -> None:
    work = Work()
    work.let.set()
    assert await Batches(work).do(21) == 42


async def test_those_who_come_meanwhile_are_served_together_in_their_order() -> None:
    work = Work()
    batches = Batches(work, most=3)
    first = await begun(work, batches, 1)
    others = asyncio.gather(*(batches.do(item) for item in (2, 3, 4, 5)))
    await asyncio.wait([first], timeout=0)
    work.let.set()
    assert (await first, await others) == (2, [4, 6, 8, 10])
    assert work.seen == [[1], [2, 3, 4], [5]]


async def test_a_fault_reaches_whoever_caused_it_and_nobody_else() -> None:
    work = Work()
    batches = Batches(work)
    first = await begun(work, batches, 1)
    others = asyncio.gather(*(batches.do(item) for item in (2, -3, 4)), return_exceptions=True)
    await asyncio.wait([first], timeout=0)
    work.let.set()
    good, fault, also_good = await others
    assert (good, also_good) == (4, 8)
    assert isinstance(fault, ValueError)
    assert await batches.do(5) == 10


async def test_what_was_begun_is_brought_to_its_end_when_its_task_is_cancelled() -> None:
    work = Work()
    batches = Batches(work)
    first = await begun(work, batches, 1)
    second = asyncio.create_task(batches.do(2))
    await asyncio.wait([second], timeout=0)
    first.cancel()
    work.let.set()
    assert await second == 4
    assert work.seen == [[1], [2]]
    assert first.cancelled()
