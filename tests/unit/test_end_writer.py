"""Ends that come close together are written together, once, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from tongdai.domain.live.ender import HURRIED_S, LINGER_S, MANY, EndWriter
from tongdai.kit.db import TRANSIENT_ERRORS

pytestmark = pytest.mark.anyio


class Book:
    """Where ends are written; each is a number. `fails` may raise for a batch."""

    def __init__(self, fails: Callable[[list[int]], None] = lambda _: None) -> None:
        self.fails = fails
        self.batches: list[list[int]] = []
        self.at: list[float] = []
        self.open = asyncio.Event()
        self.open.set()

    async def write(self, batch: list[int]) -> None:
        await self.open.wait()
        self.fails(batch)
        self.batches.append(batch)
        self.at.append(asyncio.get_running_loop().time())


def writer(book: Book, *, is_awaited: bool = True, batch: int = 200) -> EndWriter[int]:
    return EndWriter(book.write, lambda one: one, is_awaited=lambda: is_awaited, batch=batch)


@asynccontextmanager
async def writing(one: EndWriter[int]) -> AsyncIterator[None]:
    task = asyncio.create_task(one.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_first_end_after_a_pause_is_written_at_once_and_those_after_it_together() -> None:
    book = Book()
    one = writer(book, is_awaited=False)
    async with writing(one):
        began = asyncio.get_running_loop().time()
        one.put(1)
        await one.drained()
        one.put(2)
        one.put(3)
        await one.drained()
    assert book.batches == [[1], [2, 3]]
    assert book.at[0] - began < LINGER_S
    assert book.at[1] - book.at[0] >= LINGER_S * 0.9


async def test_while_calls_wait_for_channels_ends_are_hurried() -> None:
    book = Book()
    one = writer(book, is_awaited=True)
    async with writing(one):
        for end in range(4):
            one.put(end)
            await one.drained()
    pauses = [after - before for before, after in zip(book.at, book.at[1:], strict=False)]
    assert all(pause >= HURRIED_S * 0.9 for pause in pauses)
    assert min(pauses) < LINGER_S / 2


async def test_many_ends_wait_for_nothing_and_go_in_batches() -> None:
    book = Book()
    one = writer(book, is_awaited=False, batch=MANY)
    async with writing(one):
        one.put(-1)
        await one.drained()
        for end in range(2 * MANY):
            one.put(end)
        await one.drained()
    assert book.batches[1:] == [list(range(MANY)), list(range(MANY, 2 * MANY))]
    assert book.at[-1] - book.at[1] < LINGER_S


async def test_of_one_thing_one_end_is_written() -> None:
    book = Book()
    one = writer(book)
    one.put(1)
    one.put(1)
    assert one.holds(1)
    async with writing(one):
        await one.drained()
    assert (book.batches, one.holds(1)) == ([[1]], False)


async def test_an_end_that_can_never_be_written_is_given_up_and_the_others_are_written() -> None:
    def fails(batch: list[int]) -> None:
        if 3 in batch:
            raise ValueError("never")

    book = Book(fails)
    one = writer(book)
    for end in range(7):
        one.put(end)
    async with writing(one):
        await one.drained()
    assert sorted(end for batch in book.batches for end in batch) == [0, 1, 2, 4, 5, 6]
    assert not any(one.holds(end) for end in range(7))


async def test_ends_are_kept_while_the_database_is_away() -> None:
    away = [TRANSIENT_ERRORS[0]("away"), TRANSIENT_ERRORS[1]("away")]

    def fails(_: list[int]) -> None:
        if away:
            raise away.pop()

    book = Book(fails)
    one = writer(book)
    one.put(1)
    async with writing(one):
        await one.drained()
    assert (book.batches, away) == ([[1]], [])


async def test_ends_that_were_being_written_at_a_stop_are_written_by_the_next_run() -> None:
    book = Book()
    book.open.clear()
    one = writer(book)
    one.put(1)
    async with writing(one):
        await asyncio.sleep(0)
        one.put(2)
    book.open.set()
    async with writing(one):
        await one.drained()
    assert sorted(end for batch in book.batches for end in batch) == [1, 2]


async def test_what_fails_when_it_is_told_of_ends_leaves_them_written_once() -> None:
    book = Book()
    told: list[int] = []

    def on_written() -> None:
        told.append(len(book.batches))
        if len(told) == 1:
            raise RuntimeError("a defect")

    one: EndWriter[int] = EndWriter(book.write, lambda end: end, on_written=on_written, batch=10)
    one.put(1)
    with pytest.raises(RuntimeError):
        await one.run()
    one.put(2)
    async with writing(one):
        await one.drained()
    assert (book.batches, told) == ([[1], [2]], [1, 2])
