"""Claim with capacity and persons, in one transaction (ARCHITECTURE section 5, steps 3 to 5).

Order of locks, the same for everybody: limits by id, the campaign, its calls (skipping what others hold),
persons by key, wallets by account. What comes out are legs that are committed with the transaction and may
then be sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tongdai.domain import billing, calls, compliance, contacts
from tongdai.domain.campaigns import CampaignConfig
from tongdai.domain.dialer.bench import Bench
from tongdai.domain.dialer.cashier import Cashier
from tongdai.domain.dialer.gates import Gated, ask_persons, ask_routes, find_networks, lock_persons
from tongdai.domain.dialer.model import Capacity, DueCall, Limit, OtpReserve, Plan, Slot, shares
from tongdai.domain.dialer.store import claiming as store
from tongdai.domain.live import LegFacts
from tongdai.domain.live.pacing import LEAD
from tongdai.kit.db import Later, Tx

FLOOR_MARGIN = timedelta(seconds=10)
"""How far a floor stays behind the clock: twice what a transaction may live."""

SHUT_AT_MOST = timedelta(minutes=10)
"""When to look again at a call whose lines rest, for the day or until they have cooled down, at the latest:
somebody may have raised the cap."""

CODES_AHEAD = 10
"""Of one campaign, looked for in the turn in which the caps are locked: few enough to lock in vain."""

Full = tuple[str, datetime | None]
"""(why no line has room, when that ends by itself)."""


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """How much one claim takes: at most `budget` calls, with slots up to `horizon` after it has committed."""

    budget: int = 100
    horizon: timedelta = timedelta(milliseconds=250)
    floors_apart: timedelta = timedelta(seconds=10)
    """Floors are moved so often where few calls are claimed: a claim of one call, perhaps of a code that
    somebody waits for, is quicker without."""
    otp_reserve: OtpReserve = field(default_factory=lambda: OtpReserve(0.1))
    end_margin: timedelta = timedelta(seconds=60)
    """Beyond ring and talk limits, how long a leg may be unaccounted for before it is given up as lost."""


async def no_legs() -> Sequence[LegFacts]:
    """Where nothing was given a slot."""
    return []


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim came to."""

    read_legs: Later[Sequence[LegFacts]] = no_legs
    """The legs that are committed with the transaction. Read once it has ended, they cost it no wait."""
    dry: frozenset[int] = frozenset()
    """Campaigns that had fewer due calls than they had room for."""
    full: Mapping[int, Full] = field(default_factory=dict)
    """Campaigns without a line that has room, and none of their own calls up."""
    unpaid: frozenset[int] = frozenset()
    """Campaigns of which nothing went out, because calls wait for money."""
    handled: int = 0
    """Calls that were sent on their way, deferred, refused, or are looked past from now on."""
    filled: bool = False
    """True: it used all the room that there is until time moves on or a channel comes free."""
    starved: bool = False
    """True: some campaign has no free channel to go out on."""
    paced: bool = False
    """True: slots up to the horizon were used up, so there is more to claim when time has moved on."""


@dataclass(frozen=True, slots=True)
class Claimer:
    """What stays the same from claim to claim."""

    dialer_id: int
    rules: ClaimRules
    prefixes: contacts.PrefixTable
    code_limits: frozenset[int]
    """Caps that one-time-code campaigns run under, due or not: a share of each is kept for codes."""
    lead: timedelta = LEAD
    policy: compliance.Policy = compliance.CLOSED
    bench: Bench = field(default_factory=Bench)
    moves_floors: bool = True
    """False: the floors stay where they are, which costs nothing but a look at calls that are gone."""


async def claim(tx: Tx, claimer: Claimer, plans: Sequence[Plan], *, turn: int) -> Claim:
    """Claim due calls of these campaigns within all caps. Empty when there is no room or nothing due.

    What it came to is known before the transaction ends, but for the ids of the legs (`Claim.read_legs`).
    """
    due = await _take_due(tx, claimer, plans, turn)
    paced = any(limit.paced() for limit in due.capacity.limits.values())
    if not due.wanted:
        return Claim(full=due.full, paced=paced, starved=_starved(due.capacity, plans))
    by_id = {plan.campaign_id: plan for plan in plans}
    networks = find_networks(due.claimed, claimer.prefixes)
    gated, tills = await _ask(tx, due, by_id, claimer.policy)
    ask_routes(gated, by_id, networks, due.capacity.now)
    laid = await _lay_out(tx, due.capacity, gated, tills, by_id, networks)
    read_legs = await _commit(tx, laid, due.capacity, claimer, gated) if laid.slots else no_legs
    await _turn_away(tx, gated, due.capacity.now)
    if claimer.moves_floors:
        await _move_floors(tx, due, laid.left)
    filled = len(laid.slots) >= sum(room for _, room in due.rooms)
    benched = _seat(claimer.bench, due.claimed, laid.left, by_id, networks)
    behind = _behind_busy_lines(claimer.bench, due.capacity, [plan for plan, _ in due.wanted])
    return Claim(
        read_legs=read_legs,
        dry=due.dry,
        full={**due.full, **behind},
        unpaid=laid.unpaid,
        handled=len(due.claimed) - len(laid.left) + benched,
        filled=filled,
        starved=_starved(due.capacity, plans),
        paced=paced and (filled or bool(laid.left or not laid.slots)),
    )


@dataclass(frozen=True, slots=True)
class _Due:
    """What there is room for, and the calls that were found for it and locked."""

    capacity: Capacity
    rooms: Sequence[tuple[Plan, int]]
    full: Mapping[int, Full]
    wanted: Sequence[tuple[Plan, int]]
    past: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """Calls of the campaigns that were looked past."""
    claimed: Sequence[store.Claimed] = ()
    dry: frozenset[int] = frozenset()


async def _take_due(tx: Tx, claimer: Claimer, plans: Sequence[Plan], turn: int) -> _Due:
    limit_ids = set().union(*(plan.limit_ids() for plan in plans))
    ahead = _ahead(claimer, plans)
    claimed: list[store.Claimed] = []
    if ahead:
        limits, now, claimed = await store.lock_and_claim(tx, limit_ids, ahead)
    else:
        limits, now = await store.lock_limits(tx, limit_ids)
    due = _room(claimer, plans, limits, now, turn)
    if not due.wanted:
        return due
    if ahead:
        wanted = [(plan, min(number, CODES_AHEAD)) for plan, number in due.wanted]
        return replace(due, wanted=wanted, claimed=_first(claimed, wanted), dry=_dry(wanted, claimed))
    past = {plan.campaign_id: claimer.bench.keeps(plan, due.capacity) for plan, _ in due.wanted}
    claimed = await store.claim(tx, due.wanted, now, [id_ for kept in past.values() for id_ in kept])
    dry = _dry(due.wanted, claimed) - {campaign for campaign, kept in past.items() if kept}
    return replace(due, past=past, claimed=claimed, dry=dry)


def _ahead(claimer: Claimer, plans: Sequence[Plan]) -> list[tuple[Plan, int]]:
    """What to look for before it is known whether there is room: where there are codes alone, somebody waits
    for each of them, and they are few. None is to be looked past."""
    if any(not plan.is_otp or claimer.bench.waits_for(plan) for plan in plans):
        return []
    return [(plan, min(CODES_AHEAD, claimer.rules.budget)) for plan in plans]


def _room(
    claimer: Claimer, plans: Sequence[Plan], limits: Mapping[int, Limit], now: datetime, turn: int
) -> _Due:
    codes = claimer.code_limits & limits.keys()
    reserve = {id_: claimer.rules.otp_reserve.channels(limits[id_]) for id_ in codes}
    capacity = Capacity(limits, reserve, now, now + claimer.lead + claimer.rules.horizon, claimer.lead)
    rooms = [(plan, capacity.room(plan)) for plan in plans]
    full = {
        plan.campaign_id: capacity.why_full(plan)
        for plan, room in rooms
        if room == 0 and _is_full(plan, capacity)
    }
    return _Due(capacity, rooms, full, shares(rooms, claimer.rules.budget, turn))


def _first(claimed: Sequence[store.Claimed], wanted: Sequence[tuple[Plan, int]]) -> list[store.Claimed]:
    """So many of each campaign as there is room for. The others stay as they are."""
    room = {plan.campaign_id: number for plan, number in wanted}
    kept = []
    for item in claimed:
        campaign = item.call.campaign_id
        room[campaign] = room.get(campaign, 0) - 1
        if room[campaign] >= 0:
            kept.append(item)
    return kept


async def _ask(
    tx: Tx, due: _Due, plans: Mapping[int, Plan], policy: compliance.Policy
) -> tuple[Gated, dict[int, billing.Till]]:
    """What the persons' rules say, and the wallets: both are locked, in this order, before one is read."""
    read_persons = await lock_persons(tx, due.claimed, plans)
    accounts = {item.call.account_id for item in due.claimed}
    tills = await billing.open_tills(tx, sorted(accounts), due.capacity.now)
    persons = await read_persons()
    return await ask_persons(tx, due.claimed, persons, plans, policy, due.capacity.now), tills


def _starved(capacity: Capacity, plans: Iterable[Plan]) -> bool:
    return any(not capacity.has_channel(plan) for plan in plans)


def _behind_busy_lines(bench: Bench, capacity: Capacity, plans: Iterable[Plan]) -> dict[int, Full]:
    """Campaigns with nothing up whose due calls may take full lines alone, though they have others."""
    waiting = [replace(plan, lines=bench.waits_for(plan)) for plan in plans]
    return {
        plan.campaign_id: capacity.why_full(plan)
        for plan in waiting
        if plan.lines and _is_full(plan, capacity)
    }


def _seat(
    bench: Bench,
    claimed: Sequence[store.Claimed],
    left: Sequence[DueCall],
    plans: Mapping[int, Plan],
    networks: Mapping[str, str],
) -> int:
    """Has the next claims look past what found no line. Returns how many calls are new among those."""
    without = {call.id for call in left}
    bench.get_up(item.call for item in claimed if item.call.id not in without)
    return sum(bench.sit(plans[call.campaign_id], call, networks[call.number]) for call in left)


def _is_full(plan: Plan, capacity: Capacity) -> bool:
    return not capacity.has_channel(plan) and capacity.limits[plan.campaign_limit].live == 0


def _dry(wanted: Sequence[tuple[Plan, int]], claimed: Sequence[store.Claimed]) -> frozenset[int]:
    found: dict[int, int] = {}
    for item in claimed:
        found[item.call.campaign_id] = found.get(item.call.campaign_id, 0) + 1
    return frozenset(plan.campaign_id for plan, number in wanted if found.get(plan.campaign_id, 0) < number)


@dataclass(frozen=True, slots=True)
class _Laid:
    """What of the calls that passed has a line, and what has none yet."""

    slots: list[Slot] = field(default_factory=list)
    left: list[DueCall] = field(default_factory=list)
    unpaid: frozenset[int] = frozenset()
    check_held: Callable[[], None] = lambda: None
    """Of the money for these slots; as `billing.hold` returns it."""


async def _lay_out(
    tx: Tx,
    capacity: Capacity,
    gated: Gated,
    tills: Mapping[int, billing.Till],
    plans: Mapping[int, Plan],
    networks: Mapping[str, str],
) -> _Laid:
    """A line, a slot and what it costs for each call that passed, as far as there is room."""
    if not gated.passed:
        return _Laid()
    cashier = Cashier(tills, networks, gated, capacity.now)
    slots, without = capacity.lay_out(
        [(item.call, plans[item.call.campaign_id]) for item in _interleaved(gated.passed, plans)],
        networks,
        cashier.afford,
    )
    check_held = await billing.hold(tx, tills.values())
    left = []
    for call in without:
        shut = capacity.why_shut(plans[call.campaign_id], networks[call.number], call.tried_trunk_ids)
        if shut is None:
            left.append(call)
        else:
            gated.deferred.append((call.id, min(shut[1], capacity.now + SHUT_AT_MOST), shut[0]))
    unpaid = frozenset(cashier.unpaid - {slot.call.campaign_id for slot in slots})
    return _Laid(slots, left, unpaid, check_held)


async def _turn_away(tx: Tx, gated: Gated, now: datetime) -> None:
    if gated.deferred:
        await store.defer(tx, gated.deferred)
    if gated.refused:
        await calls.refuse_calls(tx, gated.refused, now)


def _interleaved(claimed: Sequence[store.Claimed], plans: Mapping[int, Plan]) -> list[store.Claimed]:
    """One-time codes first, then one call of each campaign in turn: scarce slots are shared evenly."""
    position: dict[int, int] = {}
    keyed = []
    for item in claimed:
        campaign = item.call.campaign_id
        position[campaign] = position.get(campaign, 0) + 1
        keyed.append((not plans[campaign].is_otp, position[campaign], item))
    keyed.sort(key=lambda entry: entry[:2])
    return [item for _, _, item in keyed]


async def _commit(
    tx: Tx, laid: _Laid, capacity: Capacity, claimer: Claimer, gated: Gated
) -> Later[Sequence[LegFacts]]:
    slots, keys = laid.slots, gated.person_keys
    gives_up = [slot.dial_at + _longest(slot.plan.config) + claimer.rules.end_margin for slot in slots]
    touched = {id_: capacity.limits[id_] for id_ in sorted({id_ for slot in slots for id_ in slot.limit_ids})}
    read_ids = await store.commit_slots(tx, slots, touched, claimer.dialer_id, gives_up, keys, capacity.now)

    async def read_legs() -> Sequence[LegFacts]:
        ids = await read_ids()
        laid.check_held()
        return [
            _facts(slot, *ids[slot.call.id], at, keys.get(slot.call.id))
            for slot, at in zip(slots, gives_up, strict=True)
        ]

    return await _recorded(tx, await read_legs()) if keys else read_legs


async def _recorded(tx: Tx, legs: Sequence[LegFacts]) -> Later[Sequence[LegFacts]]:
    """These legs again, once those that count for a frequency rule are kept for it."""
    rings = [
        (leg.account_id, leg.person_key, leg.advertiser, leg.purpose, leg.leg_id, leg.dial_at)
        for leg in legs
        if leg.person_key is not None
    ]
    await compliance.record_rings(tx, rings)

    async def read_again() -> Sequence[LegFacts]:
        return legs

    return read_again


def _longest(config: CampaignConfig) -> timedelta:
    return timedelta(seconds=config.ring_seconds + config.max_call_seconds)


def _facts(
    slot: Slot, leg_id: int, attempt_id: int, gives_up_at: datetime, person_key: str | None
) -> LegFacts:
    call, plan, line = slot.call, slot.plan, slot.line
    return LegFacts(
        leg_id=leg_id,
        attempt_id=attempt_id,
        call_id=call.id,
        account_id=call.account_id,
        campaign_id=call.campaign_id,
        user_id=call.user_id,
        trunk_id=line.trunk_id,
        engine=line.engine,
        number=call.number,
        dialled_number=contacts.dial_form(call.number, line.dial_format),
        caller=line.number,
        presented_caller=contacts.dial_form(line.number, line.presented_format),
        dial_at=slot.dial_at,
        dial_before=slot.dial_before,
        gives_up_at=gives_up_at,
        limit_ids=slot.limit_ids,
        attempts=call.ordinal,
        max_attempts=call.max_attempts,
        outcome_counts=call.outcome_counts,
        called_before=call.called_before,
        script_id=plan.script_id,
        script_version=plan.script_version,
        config=plan.config,
        fields=call.fields,
        secret=call.secret,
        expires_at=call.expires_at,
        advertiser=plan.advertiser,
        purpose=plan.purpose,
        person_key=person_key,
        talk_s=slot.terms.talk_s,
        reserved=slot.terms.reserved,
        price=slot.terms.price,
        tried_trunk_ids=call.tried_trunk_ids,
        more_trunks=slot.more_trunks,
    )


async def _move_floors(tx: Tx, due: _Due, left: Sequence[DueCall]) -> None:
    """A floor goes to the first call that was left, or else to the last one claimed, or else, where nothing
    more was due, to the ceiling; never beyond that, nor past calls that were not looked at."""
    ceiling = due.capacity.now - FLOOR_MARGIN
    floors = dict.fromkeys(due.dry, (ceiling, 0))
    for item in due.claimed:
        if item.call.campaign_id not in due.dry:
            floors[item.call.campaign_id] = min((item.call.due_at, item.call.id), (ceiling, 0))
    for call in left:
        floors[call.campaign_id] = min(floors[call.campaign_id], (call.due_at, call.id))
    floors = {campaign: floor for campaign, floor in floors.items() if not due.past.get(campaign)}
    if floors:
        await store.move_floors(tx, floors)
