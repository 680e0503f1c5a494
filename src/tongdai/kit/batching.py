"""Doing together what many tasks of a process ask for at the same time: one transaction instead of many.

Nothing waits for company. Whoever comes first is served at once; those who come meanwhile are served together
right after, so a batch grows with the load, and alone everybody is as fast as without.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_TOGETHER: Final = 100


class UnknownOutcomeError(Exception):
    """The work may be done: it is never done again. Its cause is what the tasks are told."""


class Batches(Generic[Item, Result]):
    """Items of one sort, and the work that is done for some of them at once.

    `work` is given the items in the order in which they came and returns a result for each. Where it fails
    for several, each is tried alone, so that a fault reaches whoever caused it and nobody else; but after an
    UnknownOutcomeError all are told its cause. What was begun for a task that is cancelled is brought to its
    end.
    """

    def __init__(
        self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], most: int = MOST_TOGETHER
    ) -> None:
        self._work = work
        self._most = most
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def do(self, item: Item) -> Result:
        """Its result. Raises what the work raises for it."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            if not await self._served(batch, alone=len(batch) == 1):
                for one in batch:
                    await self._served([one], alone=True)

    async def _served(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]], *, alone: bool) -> bool:
        try:
            results = await self._work([item for item, _ in batch])
        except UnknownOutcomeError as unknown:
            for _, future in batch:
                _settle(future, unknown.__cause__ or unknown)
            return True
        except Exception as error:
            if alone:
                _settle(batch[0][1], error)
            return alone
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
        return True


def _settle(future: asyncio.Future[Result], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
