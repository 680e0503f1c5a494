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
from tongdai.domain.routing.model import network_distance

PACE = 0.97
"""Slots are laid at this part of the calls per second that a cap allows. What is left lets a call be sent
late by `LATENESS`, and be another `TRANSIT` on its way, without any second, wherever it begins, holding one
call too many: (1 + 0.015 + 0.015) * 0.97 < 1."""

UNCAPPED = 1_000_000
"""Stands for 'no cap' where a number is needed."""

LATENESS = timedelta(milliseconds=15)
"""How late a paced call may be sent. A slot missed by more is given up and claimed anew."""

TRANSIT = timedelta(milliseconds=15)
"""How long after its last moment to be sent a call may still reach its engine; an engine that can refuse a
later one is told so."""

LONGEST_SPACING_S = 1000.0

LEAD = timedelta(milliseconds=30)
"""What a claim is expected to take to commit, until it has been measured. A slot that begins sooner may be
used up to then, and the next one is spaced from there: on an idle trunk a call goes out at once, and our own
commit makes none miss its slot."""

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

    def room(self, kept: int = 0) -> int:
        """Free channels, but for those that are kept for others."""
        return UNCAPPED if self.max_channels is None else max(0, self.max_channels - self.live - kept)

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
            self.next_slot_at = slot + timedelta(seconds=min(LONGEST_SPACING_S, 1 / (self.max_cps * PACE)))


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
        return set().union(*(self.limit_ids_of(line) for line in self.lines))

    def limit_ids_of(self, line: Line) -> tuple[int, int, int, int]:
        """The four caps that a call on this line needs room in."""
        return self.campaign_limit, self.account_limit, line.hotline_limit, line.trunk_limit


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
    expires_at: datetime | None = None


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
    """The part of every cap's channels that only one-time codes may use while a code campaign needs it."""

    share: float

    def channels(self, limit: Limit) -> int:
        if limit.max_channels is None or limit.max_channels < 2:
            return 0
        return max(1, int(limit.max_channels * self.share))


@dataclass(frozen=True, slots=True)
class Capacity:
    """All that a claim lays its calls into: the locked caps, and the time until which there are slots."""

    limits: Mapping[int, Limit]
    reserve: Mapping[int, int]
    """Channels of a cap that are kept for one-time codes."""
    now: datetime
    horizon: datetime
    lead: timedelta = LEAD
    """What this claim will take to commit."""

    def free(self, limit_id: int, plan: Plan) -> int:
        """Channels of this cap that a call of the campaign may take."""
        return self.limits[limit_id].room(0 if plan.is_otp else self.reserve.get(limit_id, 0))

    def room(self, plan: Plan) -> int:
        """How many calls of a campaign could go out until the horizon if it had all of it to itself."""
        by_trunk: dict[int, int] = {}
        for line in plan.lines:
            open_here = self._open(line.hotline_limit, plan)
            by_trunk[line.trunk_limit] = by_trunk.get(line.trunk_limit, 0) + open_here
        on_lines = sum(min(hotlines, self._open(trunk, plan)) for trunk, hotlines in by_trunk.items())
        return min(on_lines, self._open(plan.campaign_limit, plan), self._open(plan.account_limit, plan))

    def has_channel(self, plan: Plan) -> bool:
        """True: some line of the campaign has a free channel in all four caps."""
        return any(min(self.free(id_, plan) for id_ in plan.limit_ids_of(line)) for line in plan.lines)

    def _open(self, limit_id: int, plan: Plan) -> int:
        slots = self.limits[limit_id].slots_until(self.now, plan.until(self.horizon))
        return min(self.free(limit_id, plan), slots)

    def lay_out(
        self, calls: Sequence[tuple[DueCall, Plan]], networks: Mapping[str, str]
    ) -> tuple[list[Slot], list[DueCall]]:
        """Give each call a line and a slot, in the given order; the second list is what found no room.

        The line nearest to the number's network comes first (`routing.network_distance`); among equals the
        one with the earliest slot, then the one with the fewest calls up. Counts the caps down.
        """
        taken: list[Slot] = []
        left: list[DueCall] = []
        for call, plan in calls:
            slot = self._place(call, plan, networks.get(call.number, ""))
            if slot is None:
                left.append(call)
            else:
                taken.append(slot)
        return taken, left

    def _place(self, call: DueCall, plan: Plan, network: str) -> Slot | None:
        best: tuple[tuple[int, datetime, int, int], Line] | None = None
        for line in plan.lines:
            chain = plan.limit_ids_of(line)
            moment = self._moment(chain)
            full = min(self.free(limit_id, plan) for limit_id in chain) == 0
            distance = network_distance(line.network, network)
            rank = (distance, moment, self.limits[line.hotline_limit].live, line.hotline_id)
            if not full and moment < plan.until(self.horizon) and (best is None or rank < best[0]):
                best = (rank, line)
        return None if best is None else self._take(call, plan, best[1])

    def _moment(self, chain: tuple[int, ...]) -> datetime:
        """The earliest slot that all of these caps have."""
        paced = [limit.next_slot_at for limit in map(self.limits.__getitem__, chain) if limit.paced()]
        return max([self.now, *paced])

    def _take(self, call: DueCall, plan: Plan, line: Line) -> Slot:
        chain = plan.limit_ids_of(line)
        moment = self._moment(chain)
        latest = max(moment, self.now + self.lead)
        for limit_id in chain:
            self.limits[limit_id].take(latest)
        paced = any(self.limits[limit_id].paced() for limit_id in chain)
        before = plan.until(latest + (LATENESS if paced else UNPACED_LATENESS))
        return Slot(call, plan, line, moment, before, tuple(sorted(chain)))


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
