"""What becomes of a message, and of the place and the money that it holds. Each is one transaction's work.

Locks are taken from left to right: quotas, templates, journeys, messages, wallets. A message's state is
looked at again once it is locked, so that Zalo's answer, its event and a follower may come in any order, and
twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from tongdai.domain import billing
from tongdai.domain.zalo import journeys, quotas, rules, telling
from tongdai.domain.zalo.model import MessageState, ZnsMessage
from tongdai.domain.zalo.store import messages as store
from tongdai.domain.zalo.store.messages import Kept
from tongdai.kit.db import Tx
from tongdai.ports.zalo import Sent

ORDINARY_TIMEOUT: Final = timedelta(hours=2)
"""Zalo's promise for all but one-time codes, where a template's own is not known."""
SILENCE: Final = timedelta(hours=3)
"""After the time-out, until a message of which nothing was heard is taken for lost: Zalo tells an event again
for two hours."""

_ENDED: Final = (MessageState.DELIVERED, MessageState.REFUSED)


def timeout_of(message: ZnsMessage) -> timedelta:
    """In which time it is to arrive, and to be paid."""
    if not message.timeout_ms:
        return ORDINARY_TIMEOUT
    return timedelta(milliseconds=message.timeout_ms)


async def accepted(tx: Tx, kept: Kept, sent: Sent, mark: int | None, now: datetime) -> ZnsMessage:
    """Zalo took it. `mark`: of the quota, before Zalo was asked; None: the message is of no quota."""
    locked = await _lock(tx, kept)
    if locked.counted:
        await quotas.settle(tx, quotas.place_of(locked), back=False)
    if sent.quota is not None and mark is not None:
        message = locked.message
        await quotas.told(
            tx,
            message.account_id,
            message.oa_ref,
            sent.quota,
            mark=mark,
            asked_at=message.created_at,
            now=now,
        )
    sent_at = sent.sent_at or now
    updated = await store.accept(
        tx, locked, sent.msg_id, sent_at, now + timeout_of(locked.message), now
    ) or await store.note_sent(tx, locked, sent.msg_id, sent_at, now)
    await _enable_journey(tx, locked, now)
    return (updated or locked).message


async def refused(tx: Tx, kept: Kept, code: int, said: str, now: datetime) -> ZnsMessage:
    """Zalo did not take it: its place and its money are for others."""
    locked = await _lock(tx, kept)
    place = quotas.place_of(locked)
    updated = await store.refuse(tx, locked, code, said, now)
    if updated is None:
        return locked.message
    if locked.counted:
        await quotas.settle(tx, place, back=True)
        await quotas.refused_by_zalo(tx, place, code)
    await _release(tx, locked)
    if code == rules.TOKEN_EXPIRED and locked.journey_ref is not None:
        account_id = locked.message.account_id
        await journeys.expire_journey(tx, account_id, journey_ref=locked.journey_ref, now=now)
    return updated.message


async def doubted(tx: Tx, kept: Kept, now: datetime) -> ZnsMessage:
    """Whether Zalo took it is not known. It is never sent again; its place and its money stay held."""
    follow_at = now + timeout_of(kept.message) + SILENCE
    updated = await store.doubt(tx, kept, follow_at, now)
    return (updated or kept).message


async def arrived(
    tx: Tx, kept: Kept, msg_id: str | None, delivered_at: datetime, now: datetime
) -> ZnsMessage | None:
    """It was delivered: paid for if that was in time. None: it was known to be."""
    locked = await _lock(tx, kept)
    message = locked.message
    if message.state in _ENDED:
        return None
    if locked.counted:
        await quotas.settle(tx, quotas.place_of(locked), back=False)
    in_time = delivered_at <= (message.sent_at or message.created_at) + timeout_of(message)
    charged = in_time and locked.held > 0
    updated = await store.arrive(tx, locked, msg_id, delivered_at, charged=charged, now=now)
    assert updated is not None, "it is locked"
    await _enable_journey(tx, locked, now)
    if charged:
        await billing.charge_fee(tx, message.account_id, _fee(locked), message_id=message.id, now=now)
    else:
        await _release(tx, locked)
    await telling.tell_message(tx, "zalo.message.delivered", updated.message, now)
    return updated.message


async def undelivered(tx: Tx, kept: Kept, now: datetime) -> ZnsMessage | None:
    """It did not arrive in time, or nothing was heard of it. None: it has another end already.

    Its place stays taken where Zalo may have counted it: what Zalo says of the quota puts that right.
    """
    locked = await _lock(tx, kept)
    updated = await store.give_up(tx, locked, now)
    if updated is None:
        return None
    if locked.counted:
        await quotas.settle(tx, quotas.place_of(locked), back=False)
    await _release(tx, locked)
    await telling.tell_message(tx, "zalo.message.undelivered", updated.message, now)
    return updated.message


async def _lock(tx: Tx, kept: Kept) -> Kept:
    """The message as it is now, and before it whatever its end changes."""
    account_id = kept.message.account_id
    if kept.counted:
        await quotas.lock(tx, quotas.place_of(kept))
    if kept.journey_ref is not None:
        await store.lock_journey(tx, account_id, kept.journey_ref)
    locked = await store.lock(tx, account_id, kept.id)
    assert locked is not None, "messages are never deleted"
    return locked


async def _enable_journey(tx: Tx, kept: Kept, now: datetime) -> None:
    """A message to a tester charges no journey."""
    if kept.journey_ref is not None and not kept.message.development:
        await journeys.enable_journey(tx, kept.message.account_id, journey_ref=kept.journey_ref, now=now)


async def _release(tx: Tx, kept: Kept) -> None:
    if kept.held:
        await billing.release_fee(tx, kept.message.account_id, kept.held)


def _fee(kept: Kept) -> billing.Fee:
    return billing.Fee(kept.net, kept.vat, kept.vat_percent or Decimal(0))
