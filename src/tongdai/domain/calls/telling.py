"""What an account's webhooks are told of its calls: a complete snapshot of each end and each refusal, written
in the transaction that made it (ARCHITECTURE section 5.9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tongdai.domain import webhooks
from tongdai.domain.calls.store import snapshots as store
from tongdai.kit.db import Tx


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """An attempt that ended just now. `next_at`: when its call is dialled again; None: never."""

    account_id: int
    call_id: int
    attempt_id: int
    next_at: datetime | None
    recording_ids: tuple[int, ...] = ()
    """Of what was recorded of it."""


async def tell_attempts(tx: Tx, ends: Sequence[AttemptEnd]) -> None:
    """One `attempt.ended` for each, where its account has an endpoint. The ends are written already."""
    heard = await _heard_of(tx, {end.account_id for end in ends})
    told = [end for end in ends if end.account_id in heard]
    if told:
        await webhooks.publish(tx, await store.of_attempts(tx, told))


async def tell_refused(tx: Tx, refused: Sequence[tuple[int, int]]) -> None:
    """One `call.refused` for each (account, call), where its account has an endpoint. The refusals are
    written already."""
    heard = await _heard_of(tx, {account_id for account_id, _ in refused})
    told = [call_id for account_id, call_id in refused if account_id in heard]
    for start in range(0, len(told), AT_ONCE):
        await webhooks.publish(tx, await store.of_refusals(tx, told[start : start + AT_ONCE]))


AT_ONCE = 2000
"""Snapshots in memory at a time: a list of 100,000 may hold nothing but bad numbers."""


async def _heard_of(tx: Tx, account_ids: set[int]) -> set[int]:
    return await webhooks.subscribed(tx, sorted(account_ids)) if account_ids else set()
