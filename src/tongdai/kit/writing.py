"""Writing what must be written: again while the database is away, and without what never can be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tongdai.kit.db import TRANSIENT_ERRORS

log = logging.getLogger(__name__)

One = TypeVar("One")

AGAIN_AFTER_S = 0.05
AGAIN_AFTER_AT_MOST_S = 2.0


async def write_all(
    batch: list[One],
    write: Callable[[list[One]], Awaitable[None]],
    *,
    done: Callable[[list[One]], None],
    cannot: Callable[[One], None],
) -> None:
    """Returns once each of these is `done` or was given to `cannot`, however long that lasts.

    `write` writes some, all or none, and may be asked to write them again: a commit whose answer was lost is
    repeated. Where it refuses some, halves are tried by themselves, so that one which can never be written
    holds up no other. `cannot` is called where the error can be logged.
    """
    pause = AGAIN_AFTER_S
    while True:
        try:
            await write(batch)
        except TRANSIENT_ERRORS:
            log.warning("what could not be written is kept", extra={"kept": len(batch)}, exc_info=True)
            await asyncio.sleep(pause)
            pause = min(pause * 2, AGAIN_AFTER_AT_MOST_S)
        except Exception:
            if len(batch) == 1:
                cannot(batch[0])
                return
            break
        else:
            done(batch)
            return
    half = len(batch) // 2
    for part in (batch[:half], batch[half:]):
        await write_all(part, write, done=done, cannot=cannot)
