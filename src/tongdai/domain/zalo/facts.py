"""What Zalo says of Official Accounts, asked about once an hour: profile, quota and both qualities."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from tongdai.domain.zalo import quotas
from tongdai.domain.zalo.bridge import Bridge
from tongdai.domain.zalo.errors import ConsentLapsedError, OaNotFoundError
from tongdai.domain.zalo.model import Oa
from tongdai.domain.zalo.oas import get_oa
from tongdai.domain.zalo.refreshing import run_all
from tongdai.domain.zalo.store import facts as store
from tongdai.domain.zalo.store import oas as oa_store
from tongdai.domain.zalo.store.facts import Due
from tongdai.domain.zalo.telling import tell_oa
from tongdai.domain.zalo.tokens import HeldOa, ask, held_oa
from tongdai.kit.db import Tx
from tongdai.ports.zalo import Access, Profile, Qualities, Quota, ZaloError

log = logging.getLogger(__name__)

T = TypeVar("T")

FRESH: Final = timedelta(hours=1)
SHORTEST_PAUSE: Final = timedelta(minutes=1)
TAKEN: Final = timedelta(minutes=5)
"""For how long nobody else asks about one that somebody is asking about."""
AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class Facts:
    """None: Zalo did not tell."""

    profile: Profile | None
    quota: Quota | None
    quota_mark: int
    """Of before the quota was asked for."""
    asked_at: datetime
    """Before any of it was asked for."""
    qualities: Qualities | None
    error: str | None
    """Why one of them was not told."""


async def freshen_due(bridge: Bridge, *, stop: asyncio.Event | None = None) -> int:
    """Ask about all that are due. Any number of processes may do so. Returns how many were asked about."""

    async def begin() -> Due | None:
        async with bridge.db.transaction() as tx:
            return await store.take_due(tx, bridge.clock.now(), TAKEN)

    async def run(due: Due) -> None:
        await freshen(bridge, due.account_id, due.oa_id, failures=due.failures)

    return await run_all(begin, run, AT_ONCE, stop)


async def begin_day(bridge: Bridge) -> None:
    """Give every Official Account the whole quota of a day that has begun, until Zalo says what is left."""
    async with bridge.db.transaction() as tx:
        await store.next_day(tx, quotas.day_of(bridge.clock.now()))


async def freshen(
    bridge: Bridge, account_id: int, oa_id: int, *, profile: Profile | None = None, failures: int = 0
) -> None:
    """Ask Zalo, keep what it says, and tell its owner what changed. What Zalo leaves out stays as it is, and
    is asked for again before the hour is over. `profile`: told just now. `failures`: in a row, before."""
    async with bridge.db.transaction() as tx:
        held = await held_oa(tx, bridge.keyring, account_id, oa_id)
        mark = await quotas.mark(tx, account_id, held.oa_ref)
    if held.access is None:
        return
    try:
        found = await _asked(bridge, held, mark, profile)
    except (ConsentLapsedError, OaNotFoundError):
        return  # whoever found that has told its owner
    now = bridge.clock.now()
    async with bridge.db.transaction() as tx:
        await _write(tx, held, found, _due_at(now, failures, found.error), now)


async def _asked(bridge: Bridge, held: HeldOa, mark: int, profile: Profile | None) -> Facts:
    """Raises ConsentLapsedError, OaNotFoundError."""
    client = bridge.client
    asked_at = bridge.clock.now()
    errors: list[str] = []

    async def told(call: Callable[[Access], Awaitable[T]]) -> T | None:
        try:
            return await ask(bridge, held, call)
        except ZaloError as error:
            errors.append(error.message)
            return None

    if profile is None:
        profile = await told(client.profile)
    return Facts(
        profile=profile,
        quota=await told(client.quota),
        quota_mark=mark,
        asked_at=asked_at,
        qualities=await told(client.qualities),
        error=errors[0] if errors else None,
    )


def _due_at(now: datetime, failures: int, error: str | None) -> datetime:
    pause = FRESH if error is None else min(SHORTEST_PAUSE * 2 ** min(failures, 10), FRESH)
    return now + pause * random.uniform(0.8, 1.0)  # noqa: S311 - no secret


async def _write(tx: Tx, held: HeldOa, found: Facts, due_at: datetime, now: datetime) -> None:
    account_id, oa_ref = held.account_id, held.oa_ref
    await oa_store.hold(tx, account_id, held.oa_id)
    before = await get_oa(tx, account_id, held.oa_id)
    if found.profile is not None:
        await store.set_profile(tx, account_id, oa_ref, found.profile)
    if found.qualities is not None:
        await store.set_qualities(tx, account_id, oa_ref, found.qualities)
    await store.set_end(tx, account_id, oa_ref, due_at=due_at, error=found.error, now=now)
    if found.quota is not None:
        await quotas.told(
            tx,
            account_id,
            oa_ref,
            found.quota,
            mark=found.quota_mark,
            asked_at=found.asked_at,
            now=now,
        )
    await _tell_changes(tx, before, await get_oa(tx, account_id, held.oa_id), now)


async def _tell_changes(tx: Tx, before: Oa, after: Oa, now: datetime) -> None:
    if before.facts_at is None:
        return  # the first time nothing changes
    if before.daily_quota != after.daily_quota:
        await tell_oa(tx, "zalo.oa.quota_changed", after, now)
    if (before.current_quality, before.last_week_quality) != (after.current_quality, after.last_week_quality):
        await tell_oa(tx, "zalo.oa.quality_changed", after, now)
