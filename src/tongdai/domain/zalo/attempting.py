"""One refresh that was begun: Zalo is asked once, and what came of it is written (decision 0011).

Whoever begins one has committed a row that says so. A refresh token is good for one use: it is presented by
whoever holds that row, within a few seconds, or not at all. Where the outcome is not known the row stays as
it is, and is looked into (`refreshing.probe_due`).
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from tongdai.domain.zalo.bridge import Bridge
from tongdai.domain.zalo.oas import get_oa
from tongdai.domain.zalo.seals import open_app, open_token, seal_token
from tongdai.domain.zalo.store import refreshing as store
from tongdai.domain.zalo.store.refreshing import Begun, NewPair
from tongdai.domain.zalo.telling import OaNews, tell_oa
from tongdai.kit.crypto import SealBrokenError
from tongdai.kit.db import TRANSIENT_ERRORS, Tx
from tongdai.ports.zalo import (
    REFRESH_LIFE,
    Access,
    AppSecret,
    Refusal,
    TokenPair,
    ZaloAwayError,
    ZaloError,
    ZaloGarbledError,
    ZaloRefusedError,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

BEGUN_GOOD_S: Final = 5.0
"""Zalo is asked within this of the beginning, or not at all. With the longest time-out of a request it is
well below `PROBE_AFTER`: when that is over, nothing is on its way any more."""
PROBE_AFTER: Final = timedelta(seconds=30)
SHORTEST_PAUSE: Final = timedelta(seconds=30)
LONGEST_PAUSE: Final = timedelta(minutes=30)
REFRESHED_AT: Final = (0.76, 0.80)
"""Which part of an access token's life is over when it is renewed, drawn evenly: hours 19 to 20 of 25."""

_under_way: Final[set[asyncio.Task[Any]]] = set()


# ---------------------------------------------------------------- times


def next_refresh(now: datetime, life: timedelta) -> datetime:
    """When a token of this life is to be renewed; spread, so that those of one hour do not stay together."""
    return now + life * random.uniform(*REFRESHED_AT)  # noqa: S311 - no secret


def pause_after(failures: int) -> timedelta:
    """How long to wait after so many failures in a row, 1 or more."""
    longest: timedelta = min(SHORTEST_PAUSE * 2 ** min(failures - 1, 10), LONGEST_PAUSE)
    return longest * random.uniform(0.8, 1.0)  # noqa: S311 - no secret


# ---------------------------------------------------------------- not to be broken off


async def sheltered(work: Coroutine[Any, Any, T]) -> T:
    """Wait for work that goes on when whoever waits for it is cancelled: tokens that Zalo has given must be
    written, though the customer who happened to wait for them has hung up."""
    task = asyncio.create_task(work)
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    return await asyncio.shield(task)


async def settled(within_s: float) -> None:
    """Wait for what is sheltered in this event loop, before a process ends."""
    loop = asyncio.get_running_loop()
    ours = {task for task in _under_way if task.get_loop() is loop}
    if ours:
        await asyncio.wait(ours, timeout=within_s)


async def insisted(bridge: Bridge, write: Callable[[Tx], Awaitable[T]], *, within_s: float = math.inf) -> T:
    """Write what Zalo has done, however long the database is away: nobody else knows it. `within_s`: no
    further try is begun after that, and what the last one raised is raised."""
    give_up = asyncio.get_running_loop().time() + within_s
    pause = 0.1
    while True:
        try:
            async with bridge.db.transaction() as tx:
                return await write(tx)
        except TRANSIENT_ERRORS:
            if asyncio.get_running_loop().time() > give_up:
                raise
            log.warning("the database did not take what Zalo answered, trying again", exc_info=True)
        await asyncio.sleep(pause)
        pause = min(pause * 2, 2.0)


# ---------------------------------------------------------------- the attempt


def opened(bridge: Bridge, begun: Begun) -> tuple[AppSecret, str, Access]:
    """The app, the refresh token and what the access token opens. Raises SealBrokenError."""
    app = AppSecret(begun.app_id, open_app(bridge.keyring, begun.account_id, begun.secret))
    access = Access(
        open_token(bridge.keyring, begun.account_id, begun.access_token),
        begun.app_id,
        app.secret if begun.use_proof else None,
    )
    return app, open_token(bridge.keyring, begun.account_id, begun.refresh_token), access


async def attempt(bridge: Bridge, begun: Begun, begun_s: float) -> None:
    """Ask Zalo for a new pair and write what came of it. `begun_s`: the loop's time before it was begun."""
    try:
        app, refresh_token, _ = opened(bridge, begun)
    except SealBrokenError:
        log.error("the tokens of an Official Account cannot be opened", extra={"oa": begun.oa_ref})
        await give_back(bridge, begun, "the platform's master key does not open its tokens")
        return
    if asyncio.get_running_loop().time() - begun_s > BEGUN_GOOD_S:
        await give_back(bridge, begun, "the platform was too busy to renew the access")
        return
    try:
        pair = await bridge.client.refresh(app, refresh_token)
    except ZaloAwayError:
        await give_back(bridge, begun, "Zalo cannot be reached")
    except ZaloRefusedError as error:
        await _refused(bridge, begun, error)
    except ZaloError as error:
        await _doubtful(bridge, begun, error)
    else:
        await _store(bridge, begun, pair)


async def _refused(bridge: Bridge, begun: Begun, error: ZaloRefusedError) -> None:
    if error.refusal is Refusal.TRANSIENT:
        await give_back(bridge, begun, f"Zalo answered {error.code}: {error.said}")
    else:
        reason = f"Zalo refuses to renew the access, with {error.code}: {error.said}"
        await lapse(bridge, begun, reason, lost=False)


async def _doubtful(bridge: Bridge, begun: Begun, error: ZaloError) -> None:
    log.warning(
        "whether Zalo renewed an Official Account's tokens is not known, and is looked into",
        extra={"oa": begun.oa_ref, "error": error.message},
    )
    used = isinstance(error, ZaloGarbledError) and error.empty
    text = f"whether Zalo renewed the access is not known, and is looked into: {error.message}"
    await insisted(bridge, lambda tx: store.doubt(tx, begun, text, used=used))


async def _store(bridge: Bridge, begun: Begun, pair: TokenPair) -> None:
    before = await insisted(bridge, lambda tx: _store_in(tx, bridge, begun, pair))
    if before is None:
        log.warning("new tokens came too late to be of use", extra={"oa": begun.oa_ref})
    elif pair.refresh_token is None:
        log.warning("Zalo gave no new refresh token: the one before is kept", extra={"oa": begun.oa_ref})


async def _store_in(tx: Tx, bridge: Bridge, begun: Begun, pair: TokenPair) -> str | None:
    now = bridge.clock.now()
    before = await store.store(tx, begun, sealed_pair(bridge, begun.account_id, pair, now), now)
    if before == "needs_consent":
        await tell(tx, "zalo.oa.connected", begun, now)
    if before is not None and pair.refresh_token is None:
        await tell(tx, "zalo.oa.token_warning", begun, now)
    return before


def sealed_pair(bridge: Bridge, account_id: int, pair: TokenPair, now: datetime) -> NewPair:
    refresh = pair.refresh_token
    return NewPair(
        access_token=seal_token(bridge.keyring, account_id, pair.access_token),
        refresh_token=None if refresh is None else seal_token(bridge.keyring, account_id, refresh),
        access_expires_at=now + pair.expires_in,
        expires_at=None if refresh is None else now + REFRESH_LIFE,
        due_at=next_refresh(now, pair.expires_in),
    )


# ---------------------------------------------------------------- what came of it


async def give_back(bridge: Bridge, begun: Begun, why: str, *, good: bool = False) -> None:
    """Nothing happened at Zalo: it is tried again after a while. `good`: the pair was seen to be good."""
    due_at = bridge.clock.now() + pause_after(begun.failures + 1)
    await insisted(bridge, lambda tx: store.give_back(tx, begun, due_at, why, good=good))
    log.warning("tokens were not renewed yet", extra={"oa": begun.oa_ref, "why": why})


async def lapse(bridge: Bridge, begun: Begun, reason: str, *, lost: bool) -> None:
    """Its tokens are of no use: its owner is told, and must have access granted again."""

    async def write(tx: Tx) -> bool:
        now = bridge.clock.now()
        lapsed = await store.lapse(tx, begun, reason, now, lost=lost)
        if lapsed:
            await tell(tx, "zalo.oa.needs_consent", begun, now)
        return lapsed

    if await insisted(bridge, write):
        log.warning("an Official Account needs consent", extra={"oa": begun.oa_ref, "reason": reason})


async def tell(tx: Tx, type: OaNews, begun: Begun, now: datetime) -> None:
    await tell_oa(tx, type, await get_oa(tx, begun.account_id, begun.oa_id), now)
