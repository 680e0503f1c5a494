"""Renewing tokens: what is due, what somebody waits for, and what was begun and not ended (decision 0011)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeVar

from tongdai.domain.zalo.attempting import (
    PROBE_AFTER,
    SHORTEST_PAUSE,
    attempt,
    give_back,
    lapse,
    opened,
    sheltered,
)
from tongdai.domain.zalo.bridge import Bridge
from tongdai.domain.zalo.errors import ConsentLapsedError, OaNotFoundError
from tongdai.domain.zalo.model import OaState
from tongdai.domain.zalo.store import refreshing as store
from tongdai.domain.zalo.store.refreshing import Begun, Stand
from tongdai.kit.crypto import SealBrokenError
from tongdai.ports.zalo import Refusal, ZaloAwayError, ZaloError, ZaloRefusedError

log = logging.getLogger(__name__)

T = TypeVar("T")

AT_ONCE: Final = 16
"""Refreshes under way in one process."""
WAIT_S: Final = 5.0
"""How long a request waits for a renewal that another process began."""
LOOK_AGAIN_S: Final = 0.1
LONGEST_LOOK_S: Final = 1.0
"""It looks less and less often, so that a thousand who wait keep the database free for others."""
PROBE_AGAIN: Final = timedelta(seconds=15)
"""After a look into an unknown outcome that told nothing."""
RUNNING_OUT: Final = timedelta(minutes=5)
"""So close to its end, an access token may have run out by Zalo's clock."""

WAS_LOST: Final = (
    "Zalo renewed the access and its answer did not arrive, so that nobody has the new tokens: "
    "access must be granted again"
)
RAN_OUT: Final = (
    "the access ran out while whether Zalo had renewed it was not known, and Zalo does not renew it any "
    "more: access must be granted again"
)


# ---------------------------------------------------------------- what is due


async def refresh_due(bridge: Bridge, *, at_once: int = AT_ONCE, stop: asyncio.Event | None = None) -> int:
    """Renew all that is due, `at_once` at a time. Any number of processes may do so. Returns how many were
    begun here."""

    async def begin() -> tuple[Begun, float] | None:
        begun_s = asyncio.get_running_loop().time()
        async with bridge.db.transaction() as tx:
            begun = await store.begin_due(tx, bridge.clock.now(), PROBE_AFTER)
        return None if begun is None else (begun, begun_s)

    async def run(one: tuple[Begun, float]) -> None:
        await attempt(bridge, *one)

    return await run_all(begin, run, at_once, stop)


async def probe_due(bridge: Bridge, *, at_once: int = AT_ONCE, stop: asyncio.Event | None = None) -> int:
    """Look into all refreshes that should have ended long ago. Returns how many were looked into here."""

    async def begin() -> Begun | None:
        async with bridge.db.transaction() as tx:
            return await store.probe_due(tx, bridge.clock.now(), PROBE_AGAIN)

    async def run(begun: Begun) -> None:
        await _probe(bridge, begun)

    return await run_all(begin, run, at_once, stop)


async def run_all(
    begin: Callable[[], Awaitable[T | None]],
    run: Callable[[T], Coroutine[Any, Any, None]],
    at_once: int,
    stop: asyncio.Event | None,
) -> int:
    """Begin and run as long as there is something to begin; each is run at once when it was begun."""
    number = 0
    running: set[asyncio.Task[None]] = set()
    try:
        while not (stop and stop.is_set()):
            if len(running) >= at_once:
                _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                continue
            one = await begin()
            if one is None:
                break
            number += 1
            running.add(asyncio.create_task(_sound(sheltered(run(one)))))
    finally:
        if running:
            await asyncio.wait(running)
    return number


async def _sound(work: Awaitable[None]) -> None:
    """What goes wrong with one must not stop the others."""
    try:
        await work
    except Exception:
        log.exception("one of many Official Accounts could not be looked after")


# ---------------------------------------------------------------- unknown outcomes


async def _probe(bridge: Bridge, begun: Begun) -> None:
    """Which pair is good? A new access token kills the one before: while that one works, Zalo gave no new
    one, and the refresh token was not used."""
    seen = await _look(bridge, begun)
    if seen == "works":
        await give_back(bridge, begun, "an earlier try did not reach Zalo", good=True)
    elif seen == "later":
        return
    elif _has_run_out(begun, bridge.clock.now()):
        await _once_more(bridge, begun)
    elif seen == "dead":
        await lapse(bridge, begun, WAS_LOST, lost=True)


async def _look(bridge: Bridge, begun: Begun) -> Literal["works", "dead", "unsaid", "later"]:
    """Does the old access token work? "unsaid": Zalo refuses for another reason; "later": it may tell."""
    try:
        await bridge.client.profile(opened(bridge, begun)[2])
    except ZaloRefusedError as error:
        if error.refusal is Refusal.ACCESS:
            return "dead"
        return "later" if error.refusal is Refusal.TRANSIENT else "unsaid"
    except (ZaloError, SealBrokenError):
        return "later"
    return "works"


def _has_run_out(begun: Begun, now: datetime) -> bool:
    return begun.access_expires_at is None or begun.access_expires_at <= now + RUNNING_OUT


async def _once_more(bridge: Bridge, begun: Begun) -> None:
    """Nothing can be told from an access token that ran out: the refresh token is tried one last time."""
    begun_s = asyncio.get_running_loop().time()
    async with bridge.db.transaction() as tx:
        last = await store.begin_last(tx, begun, bridge.clock.now(), PROBE_AFTER)
    if last is not None:
        await attempt(bridge, last, begun_s)
    elif begun.last_try:
        await lapse(bridge, begun, RAN_OUT, lost=True)


# ---------------------------------------------------------------- on demand


async def renew(bridge: Bridge, account_id: int, oa_ref: int, version: int) -> None:
    """Return when there is a newer pair than the one of this version, which Zalo did not take. Whoever comes
    first gets it; all others, here and in other processes, wait for that.

    Raises OaNotFoundError. ConsentLapsedError: there is no way to a newer pair but consent. ZaloAwayError:
    there is none for now.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + WAIT_S
    pause_s = LOOK_AGAIN_S
    tried = False
    while True:
        begun_s = loop.time()
        async with bridge.db.transaction() as tx:
            now_at = await store.stand(tx, account_id, oa_ref)
            if _is_newer(now_at, version):
                return
            begun = (
                None
                if tried
                else await store.begin_one(tx, account_id, oa_ref, version, bridge.clock.now(), PROBE_AFTER)
            )
        if begun is not None:
            tried = True
            await sheltered(attempt(bridge, begun, begun_s))
        elif now_at is None or now_at.begun_at is None or tried or loop.time() > until:
            raise ZaloAwayError("Zalo did not renew the access yet")
        else:
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, LONGEST_LOOK_S)


def _is_newer(stand: Stand | None, version: int) -> bool:
    if stand is None:
        raise OaNotFoundError
    if stand.state != OaState.CONNECTED:
        raise ConsentLapsedError
    return stand.version > version


async def refused_again(bridge: Bridge, account_id: int, oa_ref: int) -> None:
    """Zalo refuses a new access token, too: none is got for a while, or each request would get one."""
    due_at = bridge.clock.now() + SHORTEST_PAUSE
    async with bridge.db.transaction() as tx:
        await store.refused_again(tx, account_id, oa_ref, due_at, "Zalo refuses the new access, too")
