"""Capacity, fair sharing and dial slots. Pure: what a claim may take, given locked limits and the time.

A limit is a cap on channels and on calls per second of a trunk, a hotline, a campaign or an account; every
call needs room in all four.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tongdai.domain.campaigns.model import CampaignConfig
from tongdai.domain.contacts.model import DialFormat

PACE = 0.98
"""Slots are laid at this part of the calls per second that a cap allows. What is left lets a call be late by
`LATENESS` without any second, wherever it begins, holding one call too many: (1 + 0.02) * 0.98 < 1."""

UNCAPPED = 1_000_000
"""Stands for 'no cap' where a number is needed."""

LATENESS = timedelta(milliseconds=20)
"""How late a paced call may be sent. A slot missed by more is given up and claimed anew."""

LEAD = timedelta(milliseconds=30)
"""What a claim may take to commit. A slot that begins sooner may be used up to then, and the next one is
spaced from there: on an idle trunk a call goes out at once, and our own commit makes none miss its slot."""

UNPACED_LATENESS = timedelta(seconds=5)
"""How late a call may be sent where no cap on calls per second applies."""


@dataclass(slots=True)
class Limit:
    """One locked row of `limits`, counted down while a claim is laid out."""

    id: int
    max_channels: int | None
    max_cps: float | None
    live: int
    next_slot_at: datetime

    def room(self) -> int:
        """Free channels."""
        return UNCAPPED if self.max_channels is None else max(0, self.max_channels - self.live)

    def slots_until(self, now: datetime, horizon: datetime) -> int:
        """Dial slots from now to the horizon."""
        if self.max_cps is None:
            return UNCAPPED
        first = max(now, self.next_slot_at)
        if first >= horizon:
            return 0
        return 1 + int((horizon - first).total_seconds() * self.max_cps * PACE)

    def paced(self) -> bool:
        return self.max_cps is not None

    def take(self, slot: datetime) -> None:
        self.live += 1
        if self.max_cps is not None:
            self.next_slot_at = slot + timedelta(seconds=1 / (self.max_cps * PACE))


@dataclass(frozen=True, slots=True)
class Line:
    """A hotline with its trunk, as the planner read them."""

    hotline_id: int
    trunk_id: int
    engine: str
    number: str
    network: str | None
    dial_format: DialFormat
    presented_format: DialFormat
    hotline_limit: int
    trunk_limit: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A running campaign that may dial now, with the lines it may use."""

    campaign_id: int
    account_id: int
    user_id: int
    is_otp: bool
    script_id: int
    script_version: int
    config: CampaignConfig
    campaign_limit: int
    account_limit: int
    lines: tuple[Line, ...]
    closes_at: datetime | None = None
    """When its schedule closes next. No call starts at or after that."""

    def until(self, horizon: datetime) -> datetime:
        """How far ahead its calls may be laid."""
        return horizon if self.closes_at is None else min(horizon, self.closes_at)

    def limit_ids(self) -> set[int]:
        own = {self.campaign_limit, self.account_limit}
        return own.union(*((line.hotline_limit, line.trunk_limit) for line in self.lines))


@dataclass(frozen=True, slots=True)
class DueCall:
    """A call claimed under lock and not yet given a line."""

    id: int
    account_id: int
    campaign_id: int
    user_id: int
    number: str
    fields: dict[str, str] = field(repr=False)
    secret: bytes | None = field(repr=False)
    due_at: datetime
    attempts: int
    max_attempts: int | None
    outcome_counts: dict[str, int]
    called_before: datetime | None


@dataclass(frozen=True, slots=True)
class Slot:
    """A call with the line it goes out on and the moment of its dial."""

    call: DueCall
    plan: Plan
    line: Line
    dial_at: datetime
    dial_before: datetime
    limit_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OtpReserve:
    """The part of each trunk's channels that only one-time codes may use while a code campaign runs on it."""

    share: float

    def channels(self, trunk: Limit) -> int:
        if trunk.max_channels is None or trunk.max_channels < 2:
            return 0
        return max(1, int(trunk.max_channels * self.share))


def room_of(
    plan: Plan, limits: Mapping[int, Limit], now: datetime, horizon: datetime, reserve: Mapping[int, int]
) -> int:
    """How many calls of a campaign could go out until the horizon if it had all capacity to itself."""

    def open_in(limit: Limit) -> int:
        return min(limit.room(), limit.slots_until(now, plan.until(horizon)))

    by_trunk: dict[int, int] = {}
    for line in plan.lines:
        by_trunk[line.trunk_limit] = by_trunk.get(line.trunk_limit, 0) + open_in(limits[line.hotline_limit])
    on_lines = sum(
        min(hotlines, open_in(limits[trunk]), _unreserved(limits[trunk], plan, reserve))
        for trunk, hotlines in by_trunk.items()
    )
    return min(on_lines, open_in(limits[plan.campaign_limit]), open_in(limits[plan.account_limit]))


def _unreserved(trunk: Limit, plan: Plan, reserve: Mapping[int, int]) -> int:
    return trunk.room() if plan.is_otp else max(0, trunk.room() - reserve.get(trunk.id, 0))


def shares(rooms: Sequence[tuple[Plan, int]], budget: int, turn: int) -> list[tuple[Plan, int]]:
    """Due calls to take of each campaign: one-time codes first and in full, the others in equal parts.

    `turn` moves from claim to claim, so that where there are fewer places than campaigns each gets its turn.
    """
    wanted = [(plan, room) for plan, room in rooms if room > 0]
    codes = [(plan, min(room, budget)) for plan, room in wanted if plan.is_otp]
    others = [(plan, room) for plan, room in wanted if not plan.is_otp]
    if not others:
        return codes
    start = turn % len(others)
    others = others[start:] + others[:start]
    part = max(1, -(-budget // len(others)))
    return codes + [(plan, min(room, part)) for plan, room in others[:budget]]


def lay_out(
    calls: Sequence[tuple[DueCall, Plan]],
    networks: Mapping[str, str],
    limits: Mapping[int, Limit],
    now: datetime,
    horizon: datetime,
    reserve: Mapping[int, int],
) -> tuple[list[Slot], list[DueCall]]:
    """Give each call a line and a slot, in the given order; the second list is what found no room.

    A line of the number's own network comes first, then any other; among equals the one with the earliest
    slot. Counts the limits down.
    """
    taken: list[Slot] = []
    left: list[DueCall] = []
    for call, plan in calls:
        slot = _place(call, plan, networks.get(call.number, ""), limits, now, horizon, reserve)
        if slot is None:
            left.append(call)
        else:
            taken.append(slot)
    return taken, left


def _place(
    call: DueCall,
    plan: Plan,
    network: str,
    limits: Mapping[int, Limit],
    now: datetime,
    horizon: datetime,
    reserve: Mapping[int, int],
) -> Slot | None:
    own = (limits[plan.campaign_limit], limits[plan.account_limit])
    best: tuple[tuple[bool, datetime, int], Line] | None = None
    for line in plan.lines:
        hotline, trunk = limits[line.hotline_limit], limits[line.trunk_limit]
        chain = (*own, hotline, trunk)
        moment = max(now, *(limit.next_slot_at for limit in chain if limit.paced()), now)
        full = min(limit.room() for limit in chain) == 0 or _unreserved(trunk, plan, reserve) == 0
        rank = (line.network != network, moment, hotline.live)
        if not full and moment < plan.until(horizon) and (best is None or rank < best[0]):
            best = (rank, line)
    if best is None:
        return None
    (_, moment, _), line = best
    return _take(call, plan, line, moment, now, (*own, limits[line.hotline_limit], limits[line.trunk_limit]))


def _take(
    call: DueCall, plan: Plan, line: Line, moment: datetime, now: datetime, chain: tuple[Limit, ...]
) -> Slot:
    latest = max(moment, now + LEAD)
    for limit in chain:
        limit.take(latest)
    lateness = LATENESS if any(limit.paced() for limit in chain) else UNPACED_LATENESS
    return Slot(
        call, plan, line, moment, plan.until(latest + lateness), tuple(sorted(limit.id for limit in chain))
    )
