"""A person wants no more calls: it is written down, and what is queued for them ends."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from tongdai.domain import compliance
from tongdai.domain.calls.model import Outcome, Refusal
from tongdai.domain.calls.service import CANCEL_LIMIT, refuse_calls
from tongdai.domain.calls.store import suppressing as store
from tongdai.kit.db import Tx

OPTED_OUT = "opted_out"


async def opt_out(
    tx: Tx,
    account_id: int,
    numbers: Iterable[str],
    *,
    advertiser: str = "",
    source: str,
    now: datetime,
    reason: str | None = None,
    user_id: int | None = None,
    limit: int = CANCEL_LIMIT,
) -> list[int]:
    """Nobody calls these canonical numbers again for this advertiser ('': for the whole account), but with
    one-time codes. Returns the ids of queued calls that were refused for it, as `blocked` with rule
    `opted_out`.

    Takes the persons' locks, as a claim does: a claim that holds them has placed its call before, and one
    that comes later finds them opted out. Of what is queued at most `limit` is refused here; the rest is
    refused as it comes up. May be repeated.
    """
    wanted = sorted(set(numbers))
    if not wanted:
        return []
    await compliance.mark_opted_out(
        tx, account_id, wanted, advertiser, source, now, reason=reason, user_id=user_id
    )
    return await refuse_opted_out(tx, account_id, wanted, advertiser, now, limit=limit)


async def refuse_opted_out(
    tx: Tx,
    account_id: int,
    numbers: Iterable[str],
    advertiser: str,
    now: datetime,
    *,
    limit: int = CANCEL_LIMIT,
) -> list[int]:
    """Ends what is queued for persons who are opted out already. Returns the ids of the calls, at most
    `limit`."""
    ids = await store.lock_queued_of_persons(tx, account_id, sorted(set(numbers)), advertiser, limit)
    if not ids:
        return []
    return await refuse_calls(tx, [Refusal(call_id, Outcome.BLOCKED, OPTED_OUT) for call_id in ids], now)
