"""Time-outs that share a timer end like those that have their own."""

from __future__ import annotations

import asyncio

import pytest

from tongdai.kit.deadlines import Deadlines

pytestmark = pytest.mark.anyio


async def waits(deadlines: Deadlines) -> str:
    try:
        with deadlines.next():
            await asyncio.Event().wait()
    except TimeoutError:
        return "timeout"
    raise AssertionError("an event that nobody sets was set")


async def test_a_block_that_takes_too_long_ends_with_a_timeout_and_nothing_else_of_its_task() -> None:
    async with asyncio.timeout(10):
        assert await waits(Deadlines(0.05)) == "timeout"
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0


async def test_a_block_that_ends_in_time_is_left_alone() -> None:
    deadlines = Deadlines(0.05)
    with deadlines.next():
        await asyncio.sleep(0)
    await waits(deadlines)  # the first one's time is over by now, too


async def test_many_have_each_their_own_time() -> None:
    deadlines = Deadlines(0.05)
    loop = asyncio.get_running_loop()

    async def timed() -> float:
        began = loop.time()
        await waits(deadlines)
        return loop.time() - began

    async with asyncio.timeout(20):
        first = [asyncio.create_task(timed()) for _ in range(50)]
        await asyncio.sleep(0)
        second = [asyncio.create_task(timed()) for _ in range(50)]
        assert min(await asyncio.gather(*first, *second)) >= 0.05


async def test_whoever_cancels_the_task_from_outside_cancels_it() -> None:
    task = asyncio.create_task(waits(Deadlines(60)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_that_comes_together_with_the_timeout_is_not_lost() -> None:
    deadlines = Deadlines(60)
    deadline = deadlines.next()

    async def waiting() -> None:
        with deadline:
            await asyncio.Event().wait()

    task = asyncio.create_task(waiting())
    await asyncio.sleep(0)
    deadline.expire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    deadlines.stop()
