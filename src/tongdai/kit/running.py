"""The life of one process with an event loop: started, told to stop, ended."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

import uvloop

from tongdai.kit.db import DatabaseError

log = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
CANCEL_AGAIN_S = 1.0
GO_ON_AFTER_S = 0.5
OPEN_FILES = 65_536
COLLECT_AFTER = (20_000, 20, 20)
"""How many objects more than were freed have the collector look for cycles among the youngest, and how often
it goes on to the older ones. Almost all that a call or a request makes is freed by counting; looking as often
as Python does by itself took a twentieth to a fifth of a busy dialer's time."""


def run_until_stopped(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `main(stop)` in a new event loop; SIGTERM and SIGINT set `stop`."""
    _allow_open_files()
    gc.set_threshold(*COLLECT_AFTER)
    spare_what_stays()
    uvloop.run(_run(main))


def spare_what_stays() -> None:
    """Call it once everything is imported and built: the collector looks at none of that again."""
    gc.collect()
    gc.freeze()


def _allow_open_files() -> None:
    """As many as one may have: the usual 1,024 are too few for connections to a thousand customers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    await main(stop)


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel until they are done, whatever they end with: `asyncio.wait_for` before Python 3.12, which the
    pool of connections uses, loses a cancellation that comes together with what it waits for."""
    every = list(tasks)
    pending = set(every)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*every, return_exceptions=True)


async def keep_going(name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a loop again and again, whatever it ends with, until cancelled: neither a database that is away nor
    one bad row may stop everybody's calls or deliveries."""
    while True:
        await _sound(name, loop)
        await asyncio.sleep(GO_ON_AFTER_S)


async def repeat(
    name: str, work: Callable[[], Awaitable[bool | None]], stop: asyncio.Event, pause_s: float
) -> None:
    """Do some work again and again, whatever it ends with, until `stop` is set, with a pause after each turn
    but those after which it says that more is due already."""
    while not stop.is_set():
        if not await _sound(name, work):
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_s)


async def _sound(name: str, work: Callable[[], Awaitable[bool | None]]) -> bool | None:
    """What the work says; None where it failed, which is logged."""
    try:
        return await work()
    except DatabaseError:
        log.warning("the database did not answer", extra={"loop": name}, exc_info=True)
    except Exception:
        log.exception("a loop failed and goes on", extra={"loop": name})
    return None
