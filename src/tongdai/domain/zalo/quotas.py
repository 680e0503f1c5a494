"""Places for messages: reserved before Zalo is asked, so that parallel senders never overrun a quota.

Zalo's figures are taken over as soon as it says them. They come late and out of order: a figure may or may
not hold each message that was in flight when Zalo was asked, so of what Zalo says is left, up to that many
may be gone already. Our own count is kept where that explains the difference; otherwise the lower end is
taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from tongdai.domain.zalo import rules
from tongdai.domain.zalo.store import quotas as store
from tongdai.domain.zalo.store import templates
from tongdai.domain.zalo.store.messages import Kept
from tongdai.kit.clock import VIETNAM
from tongdai.kit.db import Tx
from tongdai.ports.zalo import Quota

OVER_QUOTA: Final = "3"
"""Zalo's sending mode for those whom it lets go over their quota."""


@dataclass(frozen=True, slots=True)
class Place:
    """Held by one message of a template, in the quotas of its OA and of its template."""

    account_id: int
    oa_ref: int
    template_id: int
    day: date
    promotion: bool
    over: bool = False
    """Over the quota, by Zalo's leave: it takes nothing away."""
    mark: int = 0
    """What `mark` said when it was reserved."""


def day_of(now: datetime) -> date:
    """The day in Vietnam, in which Zalo's quotas are assumed to begin at midnight."""
    return now.astimezone(VIETNAM).date()


async def reserve(
    tx: Tx, account_id: int, oa_ref: int, template_id: int, *, tag: str, over: bool, now: datetime
) -> Place | rules.Refused:
    """Take a place in both quotas, or say which has none. What Zalo did not tell is not counted."""
    day = day_of(now)
    promotion = rules.purpose_of(tag) == "promotion" and not over
    await store.make(tx, account_id, oa_ref, day)
    mark = await store.reserve(tx, account_id, oa_ref, over=over, promotions=int(promotion))
    if mark is None:
        if await store.is_full(tx, account_id, oa_ref):
            return rules.Refused(rules.OA_QUOTA, "OA has reached its daily quota")
        return rules.Refused(rules.PROMOTION_QUOTA, "OA has reached its promotion quota")
    place = Place(account_id, oa_ref, template_id, day, promotion, over, mark)
    if await store.reserve_of_template(tx, account_id, oa_ref, template_id, day):
        return place
    await _settle_of_oa(tx, place, back=True)
    return rules.Refused(rules.TEMPLATE_QUOTA, "Template has reached its daily quota")


def place_of(kept: Kept) -> Place:
    """What a message holds."""
    message = kept.message
    return Place(
        message.account_id,
        message.oa_ref,
        message.template_id,
        day_of(message.created_at),
        kept.promotion,
        message.sending_mode == OVER_QUOTA,
    )


async def lock(tx: Tx, place: Place) -> None:
    """Both quotas of a place, before journeys and messages."""
    await store.held(tx, place.account_id, place.oa_ref)
    await templates.held_quota(tx, place.account_id, place.oa_ref, place.template_id)


async def settle(tx: Tx, place: Place, *, back: bool) -> None:
    """A place is not in flight any more. `back`: the message took none, so another may have it."""
    await _settle_of_oa(tx, place, back=back)
    await store.settle_of_template(
        tx,
        place.account_id,
        place.oa_ref,
        place.template_id,
        day=place.day,
        back=int(back and not place.over),
    )


async def _settle_of_oa(tx: Tx, place: Place, *, back: bool) -> None:
    await store.settle(
        tx,
        place.account_id,
        place.oa_ref,
        day=place.day,
        back=int(back and not place.over),
        promotions_back=int(back and place.promotion),
    )


async def refused_by_zalo(tx: Tx, place: Place, code: int) -> None:
    """Zalo itself says that a quota is used up: we believe it until it says otherwise."""
    if code == rules.OA_QUOTA:
        await store.empty(tx, place.account_id, place.oa_ref, place.day)
    elif code == rules.PROMOTION_QUOTA:
        await store.empty_of_promotion(tx, place.account_id, place.oa_ref)
    elif code == rules.TEMPLATE_QUOTA:
        await store.empty_of_template(tx, place.account_id, place.oa_ref, place.template_id, place.day)


async def mark(tx: Tx, account_id: int, oa_ref: int) -> int:
    """To be read before Zalo is asked for a quota, and handed to `told` with its answer."""
    return await store.mark(tx, account_id, oa_ref)


async def told(
    tx: Tx,
    account_id: int,
    oa_ref: int,
    quota: Quota,
    *,
    mark: int,
    asked_at: datetime | None = None,
    now: datetime,
) -> None:
    """Take over what Zalo says of an Official Account's quotas. `mark`: of before it was asked. `asked_at`:
    when that was, if it may have been yesterday; what was left of a day that is over tells nothing.

    Nothing that Zalo leaves out is forgotten: the answer to a message tells of the day's quota alone.
    """
    day = day_of(now)
    await store.make(tx, account_id, oa_ref, day)
    row = await store.held(tx, account_id, oa_ref)
    if row is None or (asked_at is not None and day_of(asked_at) < row.day):
        return
    doubtful = row.in_flight + row.settled - mark
    agreed = Quota(
        daily=_said(quota.daily, row.daily),
        remaining=agree(row.remaining, quota.remaining, doubtful),
        daily_promotion=_said(quota.daily_promotion, row.daily_promotion),
        remaining_promotion=agree(row.remaining_promotion, quota.remaining_promotion, doubtful),
        monthly_promotion=_said(quota.monthly_promotion, row.monthly_promotion),
        remaining_monthly_promotion=agree(
            row.remaining_monthly_promotion, quota.remaining_monthly_promotion, doubtful
        ),
        estimated_next_month_promotion=quota.estimated_next_month_promotion,
    )
    await store.tell(tx, account_id, oa_ref, row.day, agreed, now)


def agree(ours: int | None, zalos: int | None, doubtful: int) -> int | None:
    """What is left, by our own count and by what Zalo said; `doubtful`: how many messages that Zalo may not
    have counted yet. A figure below zero is read as no limit, which is None."""
    if zalos is None:
        return ours
    if zalos < 0:
        return None
    lowest = max(zalos - doubtful, 0)
    if ours is not None and lowest <= ours <= zalos:
        return ours
    return lowest


def _said(zalos: int | None, ours: int | None) -> int | None:
    if zalos is None:
        return ours
    return None if zalos < 0 else zalos


async def quota_changed(tx: Tx, account_id: int, oa_id: int, daily: int, now: datetime) -> bool:
    """Zalo's event: another number of messages a day. False: it is known already."""
    if not 0 <= daily < 2**31:
        return False
    return await store.change_daily(tx, account_id, oa_id, daily, now)
