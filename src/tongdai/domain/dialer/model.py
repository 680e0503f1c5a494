"""Capacity, fair sharing and dial slots. Pure: what a claim may take, given locked limits and the time.

A limit is a cap on channels and on calls per second of a trunk, a hotline, a campaign, an account or a node;
every call needs room in all of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from tongdai.domain.billing.pricing import Price
from tongdai.domain.campaigns.model import CampaignConfig
from tongdai.domain.contacts.model import DialFormat
from tongdai.domain.live.pacing import LEAD, PACE, UNPACED_LATENESS
from tongdai.domain.routing.model import may_call, network_distance
from tongdai.kit.clock import VIETNAM

NODE_PACE = 0.9
"""As `PACE`, over a node, which puts an INVITE on the wire some milliseconds after it was asked to, and some
tens of them when it is busy: so much may the ways of two calls differ without a second holding one too
many."""

UNCAPPED = 1_000_000
"""Stands for 'no cap' where a number is needed."""

LATENESS = timedelta(milliseconds=15)
"""How late a paced call may be sent. A slot missed by more is given up and claimed anew. With `TRANSIT` it is
within what `PACE` leaves: (1 + 0.015 + 0.015) * 0.97 < 1."""

TRANSIT = timedelta(milliseconds=15)
"""How long after its last moment to be sent a call may still reach its engine; an engine that can refuse a
later one is told so."""

LONGEST_SPACING_S = 1000.0


@dataclass(slots=True)
class Limit:
    """One locked row of `limits`, counted down while a claim is laid out."""

    id: int
    max_channels: int | None
    max_cps: float | None
    live: int
    next_slot_at: datetime
    daily_cap: int | None = None
    used: int = 0
    """Dials on the present day of Vietnam."""
    cooling_until: datetime | None = None

    def room(self, kept: int = 0) -> int:
        """Free channels, but for those that are kept for others; never more than is left of the day."""
        channels = UNCAPPED if self.max_channels is None else self.max_channels - self.live - kept
        today = UNCAPPED if self.daily_cap is None else self.daily_cap - self.used
        return max(0, min(channels, today))

    def is_cooling(self, now: datetime) -> bool:
        return self.cooling_until is not None and self.cooling_until > now

    @property
    def is_spent(self) -> bool:
        """True: it was used as often as the day allows."""
        return self.daily_cap is not None and self.used >= self.daily_cap

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

    def take(self, slot: datetime, pace: float = PACE) -> None:
        self.live += 1
        self.used += 1
        if self.max_cps is not None:
            self.next_slot_at = slot + timedelta(seconds=min(LONGEST_SPACING_S, 1 / (self.max_cps * pace)))


@dataclass(frozen=True, slots=True)
class Station:
    """Where an engine's calls go out: the engine itself, or one of its nodes."""

    engine: str
    """As a leg names it."""
    limit_id: int | None = None
    """The node's cap; None: it has none."""


Stations = Callable[[str, Collection[int] | None], Sequence[Station]]
"""The stations of an engine as a trunk names it, among these nodes (None: all of them)."""


def without_nodes(engine: str, node_ids: Collection[int] | None) -> Sequence[Station]:
    """As `Stations`, of engines that have no nodes."""
    return (Station(engine),)


@dataclass(frozen=True, slots=True)
class Line:
    """One way out: a hotline with its trunk and, where its engine has nodes, one of them.

    A hotline on several nodes is several lines.
    """

    hotline_id: int
    trunk_id: int
    engine: str
    """As a leg names it: with the node, `asterisk/7`."""
    number: str
    network: str | None
    dial_format: DialFormat
    presented_format: DialFormat
    hotline_limit: int
    trunk_limit: int
    trunk_networks: frozenset[str] | None = None
    """The routing groups that its trunk carries; None: all."""
    node_limit: int | None = None
    """The cap of the node behind `engine`; None: the engine has no nodes."""

    def may_call(self, network: str) -> bool:
        return may_call(self.network, self.trunk_networks, network)


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
    configured: tuple[Line, ...] = ()
    """All of its hotlines, whether they may be used now or not."""
    served: frozenset[str] | None = None
    """The routing groups that the account's trunks carry; None: all."""
    purpose: str = "transactional"
    advertiser: str = ""
    attestation_id: int | None = None
    refuses_unpaid: bool = False
    """True: a call that nobody can pay for is refused; False: it waits for the money."""

    def until(self, horizon: datetime) -> datetime:
        """How far ahead its calls may be laid."""
        return horizon if self.closes_at is None else min(horizon, self.closes_at)

    def limit_ids(self) -> set[int]:
        return set().union(*(self.limit_ids_of(line) for line in self.lines))

    def lines_to(self, network: str, tried_trunk_ids: tuple[int, ...]) -> list[Line]:
        """Those that may call the network, but of trunks that failed the call before."""
        return [
            line for line in self.lines if line.trunk_id not in tried_trunk_ids and line.may_call(network)
        ]

    def limit_ids_of(self, line: Line) -> tuple[int, ...]:
        """The caps that a call on this line needs room in."""
        four = (self.campaign_limit, self.account_limit, line.hotline_limit, line.trunk_limit)
        return four if line.node_limit is None else (*four, line.node_limit)


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
    call_after: str | None = None
    call_before: str | None = None
    person_ref: str | None = None
    open_attempt_id: int | None = None
    """Set: it is queued for another trunk, and this attempt goes on."""
    tried_trunk_ids: tuple[int, ...] = ()

    @property
    def ordinal(self) -> int:
        """Of the attempt that dialling it now belongs to."""
        return self.attempts + (self.open_attempt_id is None)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a call may cost, and how long it may talk for that."""

    talk_s: int
    reserved: Decimal = Decimal(0)
    price: Price | None = None
    """None: nobody is charged."""


Afford = Callable[[DueCall, Plan, Line], Terms | None]
"""Takes what a call needs from its wallet. None: nobody can pay for it, and whoever was asked knows why."""


def free_of_charge(call: DueCall, plan: Plan, line: Line) -> Terms:
    """As `Afford`, where nobody pays."""
    return Terms(int(plan.config.max_call_seconds))


@dataclass(frozen=True, slots=True)
class Slot:
    """A call with the line it goes out on and the moment of its dial."""

    call: DueCall
    plan: Plan
    line: Line
    dial_at: datetime
    dial_before: datetime
    limit_ids: tuple[int, ...]
    terms: Terms = Terms(0)
    network: str = ""
    more_trunks: bool = False
    """True: should this trunk fail, there is another that may carry it."""


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
        """Channels of this cap that a call of the campaign may take; none while it cools down."""
        limit = self.limits[limit_id]
        if limit.is_cooling(self.now):
            return 0
        return limit.room(0 if plan.is_otp else self.reserve.get(limit_id, 0))

    def room(self, plan: Plan) -> int:
        """How many calls of a campaign could go out until the horizon if it had all of it to itself."""
        by_trunk: dict[int, list[Line]] = {}
        for line in plan.lines:
            by_trunk.setdefault(line.trunk_limit, []).append(line)
        on_lines = sum(
            min(
                self._open(trunk, plan),
                sum(self._open(hotline, plan) for hotline in {line.hotline_limit for line in lines}),
                self._on_nodes(lines, plan),
            )
            for trunk, lines in by_trunk.items()
        )
        return min(on_lines, self._open(plan.campaign_limit, plan), self._open(plan.account_limit, plan))

    def _on_nodes(self, lines: Iterable[Line], plan: Plan) -> int:
        """How many calls the nodes of these lines could take."""
        nodes = {line.node_limit for line in lines}
        return sum(UNCAPPED if node is None else self._open(node, plan) for node in nodes)

    def has_channel(self, plan: Plan) -> bool:
        """True: some line of the campaign has a free channel in all its caps."""
        return any(min(self.free(id_, plan) for id_ in plan.limit_ids_of(line)) for line in plan.lines)

    def why_full(self, plan: Plan) -> tuple[str, datetime | None]:
        """Why no line of the campaign has room, and when that ends by itself."""
        chains = [[self.limits[id_] for id_ in plan.limit_ids_of(line)] for line in plan.lines]
        cooling = [
            max(one.cooling_until for one in chain if one.cooling_until is not None)
            for chain in chains
            if any(one.is_cooling(self.now) for one in chain)
        ]
        if len(cooling) == len(chains):
            return "trunks_cooling", min(cooling)
        if all(any(one.is_spent for one in chain) for chain in chains):
            return "daily_cap_reached", next_midnight(self.now)
        return "channels_full", None

    def room_for(self, plan: Plan, network: str, tried_trunk_ids: tuple[int, ...]) -> int:
        """How many calls to one network the lines that may call it could take until the horizon, at most."""
        by_hotline: dict[int, list[Line]] = {}
        for line in plan.lines_to(network, tried_trunk_ids):
            by_hotline.setdefault(line.hotline_limit, []).append(line)
        shared = min(self._open(plan.campaign_limit, plan), self._open(plan.account_limit, plan))
        return sum(
            min(
                shared,
                self._open(hotline, plan),
                self._open(lines[0].trunk_limit, plan),
                self._on_nodes(lines, plan),
            )
            for hotline, lines in by_hotline.items()
        )

    def why_shut(
        self, plan: Plan, network: str, tried_trunk_ids: tuple[int, ...]
    ) -> tuple[str, datetime] | None:
        """Why each line to that network rests, and until when the first of them does; None: not all do."""
        shut: list[tuple[datetime, str]] = []
        for line in plan.lines_to(network, tried_trunk_ids):
            chain = [self.limits[id_] for id_ in plan.limit_ids_of(line)]
            cooling = [one.cooling_until for one in chain if one.is_cooling(self.now) and one.cooling_until]
            if any(one.is_spent for one in chain):
                shut.append((next_midnight(self.now), "daily_cap_reached"))
            elif cooling:
                shut.append((max(cooling), "trunks_cooling"))
            else:
                return None
        if not shut:
            return None
        ends_at, reason = min(shut)
        return reason, ends_at

    def _open(self, limit_id: int, plan: Plan) -> int:
        slots = self.limits[limit_id].slots_until(self.now, plan.until(self.horizon))
        return min(self.free(limit_id, plan), slots)

    def lay_out(
        self,
        calls: Sequence[tuple[DueCall, Plan]],
        networks: Mapping[str, str],
        afford: Afford = free_of_charge,
    ) -> tuple[list[Slot], list[DueCall]]:
        """Give each call a line and a slot, in the given order; the second list is what found no room.

        Only lines that may call the number's network are asked, and no trunk that has failed the call before.
        The line nearest to the number's network comes first (`routing.network_distance`); among equals the
        one with the earliest slot, then the least used of the day, then the node with the most room. Counts
        the caps down. What `afford` does not pay for is in neither list.
        """
        taken: list[Slot] = []
        left: list[DueCall] = []
        for call, plan in calls:
            network = networks.get(call.number, "")
            line = self._best(call, plan, network)
            if line is None:
                left.append(call)
                continue
            terms = afford(call, plan, line)
            if terms is not None:
                taken.append(self._take(call, plan, line, network, terms))
        return taken, left

    def _best(self, call: DueCall, plan: Plan, network: str) -> Line | None:
        best: tuple[tuple[int, datetime, int, int, int, float], Line] | None = None
        for line in plan.lines_to(network, call.tried_trunk_ids):
            chain = plan.limit_ids_of(line)
            moment = self._moment(chain)
            if (
                moment >= plan.until(self.horizon)
                or min(self.free(limit_id, plan) for limit_id in chain) == 0
            ):
                continue
            hotline = self.limits[line.hotline_limit]
            distance = network_distance(line.network, network)
            rank = (distance, moment, hotline.used, hotline.live, line.hotline_id, self._load(line))
            if best is None or rank < best[0]:
                best = (rank, line)
        return None if best is None else best[1]

    def _load(self, line: Line) -> float:
        """How busy the line's node is; of nodes without a cap those that have one go first."""
        if line.node_limit is None:
            return 0.0
        node = self.limits[line.node_limit]
        return 1.0 + node.live if node.max_channels is None else node.live / max(1, node.max_channels)

    def _moment(self, chain: tuple[int, ...]) -> datetime:
        """The earliest slot that all of these caps have."""
        paced = [limit.next_slot_at for limit in map(self.limits.__getitem__, chain) if limit.paced()]
        return max([self.now, *paced])

    def _take(self, call: DueCall, plan: Plan, line: Line, network: str, terms: Terms) -> Slot:
        chain = plan.limit_ids_of(line)
        moment = self._moment(chain)
        latest = max(moment, self.now + self.lead)
        for limit_id in chain:
            self.limits[limit_id].take(latest, PACE if line.node_limit is None else NODE_PACE)
        paced = any(self.limits[limit_id].paced() for limit_id in chain)
        before = plan.until(latest + (LATENESS if paced else UNPACED_LATENESS))
        spent = {line.trunk_id, *call.tried_trunk_ids}
        more = any(one.trunk_id not in spent and one.may_call(network) for one in plan.lines)
        return Slot(call, plan, line, moment, before, tuple(sorted(chain)), terms, network, more)


def next_midnight(now: datetime) -> datetime:
    """When the day of Vietnam ends that `now` is in."""
    local = now.astimezone(VIETNAM)
    return (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)


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
