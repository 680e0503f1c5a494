"""Which campaigns may dial now, and why the others may not (ARCHITECTURE section 5, step 2).

Reads no row of a campaign that may not dial, but one probe for its next due call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import msgspec

from tongdai.domain import compliance
from tongdai.domain.dialer.model import Plan
from tongdai.domain.dialer.store import claiming as store
from tongdai.domain.dialer.store.claiming import CampaignRow, LineRow
from tongdai.kit.db import Tx

YIELD_EVERY = 100
"""Campaigns judged in one go, because calls that are due in between do not wait."""

Waiting = tuple[str | None, datetime | None]
"""(reason or None when it dials, moment when that ends by itself)."""


@dataclass(frozen=True, slots=True)
class Plans:
    dialable: Mapping[int, Plan]
    due: frozenset[int]
    """Those of them that have a call due now."""
    waiting: Mapping[int, Waiting]

    def code_limits(self) -> frozenset[int]:
        """Caps that a running one-time-code campaign shares with others."""
        codes = [one for one in self.dialable.values() if one.is_otp]
        return frozenset(id_ for one in codes for id_ in one.limit_ids() - {one.campaign_limit})

    def without(self, campaign_ids: Iterable[int], reason: str) -> Plans:
        """The same, but these campaigns wait for this reason."""
        gone = set(campaign_ids)
        dialable = {id_: one for id_, one in self.dialable.items() if id_ not in gone}
        waiting = {**self.waiting, **dict.fromkeys(gone, (reason, None))}
        return Plans(dialable, self.due - gone, waiting)


async def plan(
    tx: Tx, now: datetime, *, is_reachable: Callable[[str], bool], is_holiday: Callable[[date], bool]
) -> Plans:
    """Look at every running campaign once."""
    campaigns = await store.running_campaigns(tx)
    lines = await store.lines(tx, [id_ for row in campaigns for id_ in row.hotline_ids])
    dialable: dict[int, Plan] = {}
    waiting: dict[int, Waiting] = {}
    due: set[int] = set()
    for number, row in enumerate(campaigns):
        if number % YIELD_EVERY == YIELD_EVERY - 1:
            await asyncio.sleep(0)
        plan_or_reason = _judge(row, lines, now, is_reachable, is_holiday)
        if isinstance(plan_or_reason, Plan):
            dialable[row.id] = plan_or_reason
            waiting[row.id] = _nothing_due(row, now)
            if row.next_due_at is not None and row.next_due_at <= now:
                due.add(row.id)
        else:
            waiting[row.id] = plan_or_reason
    return Plans(dialable, frozenset(due), waiting)


def _judge(
    row: CampaignRow,
    lines: Mapping[int, LineRow],
    now: datetime,
    is_reachable: Callable[[str], bool],
    is_holiday: Callable[[date], bool],
) -> Plan | Waiting:
    try:
        config = store.decode_config(row.config)
    except msgspec.MsgspecError:
        return "configuration_invalid", None
    opening = compliance.check_schedule(config.schedule, now, holidays=is_holiday)
    if isinstance(opening, compliance.ClosedUntil):
        return f"schedule_closed: {opening.reason}", opening.until
    if isinstance(opening, compliance.ClosedForever):
        wrong = opening.reason == "bad_schedule"
        return ("configuration_invalid" if wrong else f"schedule_over: {opening.reason}"), None
    own = [lines[id_] for id_ in row.hotline_ids if id_ in lines]
    usable = [line for line in own if line.enabled and is_reachable(line.engine)]
    if not usable:
        return _why_no_line(own), None
    return Plan(
        campaign_id=row.id,
        account_id=row.account_id,
        user_id=row.user_id,
        is_otp=row.kind == "otp",
        script_id=row.script_id,
        script_version=row.script_version,
        config=config,
        campaign_limit=row.limit_id,
        account_limit=row.account_limit_id,
        lines=tuple(line.line() for line in usable),
        closes_at=opening.until,
    )


def _why_no_line(own: Sequence[LineRow]) -> str:
    if not own:
        return "no_hotline"
    return "engine_unreachable" if any(line.enabled for line in own) else "hotlines_disabled"


def _nothing_due(row: CampaignRow, now: datetime) -> Waiting:
    if row.next_due_at is None:
        return "nothing_queued", None
    if row.next_due_at > now:
        return "next_call_later", row.next_due_at
    return None, None
