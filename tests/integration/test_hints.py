"""Hints wake dialers soon, together and at no cost to whoever gives them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from tongdai.kit.db import Database
from tongdai.kit.hints import CHANNEL, MAX_NAMED, Hinter, campaigns_of, payload_of

pytestmark = pytest.mark.anyio

PATIENCE_S = 10.0
Next = Callable[[], Awaitable[str]]


@pytest.fixture
async def hinter(db: Database) -> AsyncIterator[Hinter]:
    made = Hinter(db)
    yield made
    await made.stop()


@pytest.fixture
async def next_hint(db: Database) -> AsyncIterator[Next]:
    """What a listener hears next."""
    connection = await db.dedicated()
    await connection.execute(f"LISTEN {CHANNEL}")
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def listen() -> None:
        async for notify in connection.notifies():
            heard.put_nowait(notify.payload)

    task = asyncio.create_task(listen())

    async def one() -> str:
        return await asyncio.wait_for(heard.get(), PATIENCE_S)

    yield one
    task.cancel()
    await asyncio.wait([task])
    await connection.close()


@contextmanager
def log_of(name: str) -> Iterator[asyncio.Queue[str]]:
    """The messages of a logger, as they come."""
    told: asyncio.Queue[str] = asyncio.Queue()
    handler = logging.Handler()
    handler.emit = lambda record: told.put_nowait(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger(name).addHandler(handler)
    yield told
    logging.getLogger(name).removeHandler(handler)


async def test_a_wake_reaches_a_listener(hinter: Hinter, next_hint: Next) -> None:
    await hinter.start()
    await hinter.wake(7)
    assert campaigns_of(await next_hint()) == frozenset({7})


async def test_wakes_that_come_together_are_one_notification(hinter: Hinter, next_hint: Next) -> None:
    await hinter.start()
    await asyncio.gather(*(hinter.wake(campaign_id) for campaign_id in (3, 1, 3, 2)))
    assert await next_hint() == "1,2,3"


async def test_a_wake_while_one_is_in_flight_is_sent_afterwards(hinter: Hinter, next_hint: Next) -> None:
    await hinter.start()
    await hinter.wake(1)
    assert await next_hint() == "1"
    await hinter.wake(2)
    assert await next_hint() == "2"


async def test_a_wake_from_before_the_start_is_not_lost(hinter: Hinter, next_hint: Next) -> None:
    await hinter.wake(5)
    await hinter.start()
    assert await next_hint() == "5"


async def test_what_waits_is_sent_at_the_end(hinter: Hinter, next_hint: Next) -> None:
    await hinter.start()
    await hinter.wake(9)
    await hinter.stop()
    assert await next_hint() == "9"


async def test_a_failure_is_logged_and_the_next_wake_is_sent(
    db: Database, hinter: Hinter, next_hint: Next
) -> None:
    await db.close()
    await hinter.start()
    with log_of("tongdai.kit.hints") as told:
        await hinter.wake(1)
        assert "dropped" in await asyncio.wait_for(told.get(), PATIENCE_S)

    working = Database(db.url)
    await working.open()
    hinter._db = working
    await hinter.wake(2)
    assert await next_hint() == "2"
    await hinter.stop()
    await working.close()


async def test_more_campaigns_than_a_payload_holds_wake_everyone() -> None:
    many = {10**18 + n for n in range(MAX_NAMED)}
    assert len(payload_of(many)) < 8000
    assert campaigns_of(payload_of(many)) == frozenset(many)
    assert campaigns_of(payload_of(many | {1})) is None


async def test_a_payload_that_nobody_understands_wakes_everyone() -> None:
    assert campaigns_of("") is None
    assert campaigns_of("1,x") is None
