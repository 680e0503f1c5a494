"""Claim with capacity and persons, in one transaction (ARCHITECTURE section 5, steps 3 to 5).

Order of locks, the same for everybody: limits by id, the campaign, its calls (skipping what others hold),
persons by key. What comes out are legs that are committed with the transaction and may then be sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tongdai.domain import calls, contacts
from tongdai.domain.calls import Outcome, Refusal
from tongdai.domain.campaigns import CampaignConfig
from tongdai.domain.dialer.model import LEAD, Capacity, DueCall, Limit, OtpReserve, Plan, Slot, shares
from tongdai.domain.dialer.store import claiming as store
from tongdai.domain.live import LegFacts
from tongdai.kit.db import Tx

FLOOR_MARGIN = timedelta(seconds=10)
"""How far a floor stays behind the clock: twice what a transaction may live."""

PERSON_BUSY_DELAY = timedelta(seconds=20)
"""When to look again at a call whose person is on another call of ours."""


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """How much one claim takes: at most `budget` calls, with slots up to `horizon` after it has committed."""

    budget: int = 100
    horizon: timedelta = timedelta(milliseconds=250)
    otp_reserve: OtpReserve = field(default_factory=lambda: OtpReserve(0.1))
    end_margin: timedelta = timedelta(seconds=60)
    """Beyond ring and talk limits, how long a leg may be unaccounted for before it is given up as lost."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim came to."""

    legs: tuple[LegFacts, ...] = ()
    dry: frozenset[int] = frozenset()
    """Campaigns that had fewer due calls than they had room for."""
    full: frozenset[int] = frozenset()
    """Campaigns without a free channel, and none of their own calls up."""
    handled: int = 0
    """Calls that were sent on their way, deferred or refused."""
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


async def claim(tx: Tx, claimer: Claimer, plans: Sequence[Plan], *, turn: int) -> Claim:
    """Claim due calls of these campaigns within all caps. Empty when there is no room or nothing due."""
    limits, now = await store.lock_limits(tx, set().union(*(plan.limit_ids() for plan in plans)))
    reserve = {
        id_: claimer.rules.otp_reserve.channels(limits[id_]) for id_ in claimer.code_limits & limits.keys()
    }
    horizon = now + claimer.lead + claimer.rules.horizon
    capacity = Capacity(limits, reserve, now, horizon, claimer.lead)
    rooms = [(plan, capacity.room(plan)) for plan in plans]
    full = frozenset(plan.campaign_id for plan, room in rooms if room == 0 and _is_full(plan, capacity))
    wanted = shares(rooms, claimer.rules.budget, turn)
    paced = any(limit.paced() for limit in limits.values())
    if not wanted:
        return Claim(full=full, paced=paced)
    claimed = await store.claim(tx, wanted, now)
    by_id = {plan.campaign_id: plan for plan in plans}
    callable_now = _interleaved(await _gate(tx, claimed, now), by_id)
    slots, left = capacity.lay_out(
        [(item.call, by_id[item.call.campaign_id]) for item in callable_now],
        _networks(callable_now, claimer.prefixes),
    )
    legs = await _commit(tx, slots, limits, claimer) if slots else []
    dry = _dry(wanted, claimed)
    await _move_floors(tx, claimed, left, dry, now - FLOOR_MARGIN)
    return Claim(tuple(legs), dry, full, len(claimed) - len(left), paced and bool(left or not slots))


def _is_full(plan: Plan, capacity: Capacity) -> bool:
    return not capacity.has_channel(plan) and capacity.limits[plan.campaign_limit].live == 0


def _dry(wanted: Sequence[tuple[Plan, int]], claimed: Sequence[store.Claimed]) -> frozenset[int]:
    found: dict[int, int] = {}
    for item in claimed:
        found[item.call.campaign_id] = found.get(item.call.campaign_id, 0) + 1
    return frozenset(plan.campaign_id for plan, number in wanted if found.get(plan.campaign_id, 0) < number)


async def _gate(tx: Tx, claimed: Sequence[store.Claimed], now: datetime) -> list[store.Claimed]:
    """Decide about each person under their lock: opted out is final, on another call is a deferral."""
    if not claimed:
        return []
    persons = await store.lock_persons(tx, [item.call for item in claimed])
    passed: list[store.Claimed] = []
    busy: list[int] = []
    refused: list[Refusal] = []
    taken: set[tuple[int, str]] = set()
    for item in claimed:
        key = (item.call.account_id, item.call.number)
        person = persons[key]
        if person.opted_out:
            refused.append(Refusal(item.call.id, Outcome.BLOCKED, "opted_out"))
        elif person.live_call_id is not None or key in taken:
            busy.append(item.call.id)
        else:
            taken.add(key)
            passed.append(item)
    if busy:
        await store.defer(tx, busy, now + PERSON_BUSY_DELAY, "person_busy")
    if refused:
        await calls.refuse_calls(tx, refused, now)
    return passed


def _networks(claimed: Iterable[store.Claimed], prefixes: contacts.PrefixTable) -> dict[str, str]:
    return {
        item.call.number: item.override or prefixes.network(item.call.number).routing_group
        for item in claimed
    }


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
    tx: Tx, slots: Sequence[Slot], limits: Mapping[int, Limit], claimer: Claimer
) -> list[LegFacts]:
    gives_up = [slot.dial_at + _longest(slot.plan.config) + claimer.rules.end_margin for slot in slots]
    touched = {id_: limits[id_] for id_ in sorted({id_ for slot in slots for id_ in slot.limit_ids})}
    ids = await store.commit_slots(tx, slots, touched, claimer.dialer_id, gives_up)
    return [_facts(slot, *ids[slot.call.id], at) for slot, at in zip(slots, gives_up, strict=True)]


def _longest(config: CampaignConfig) -> timedelta:
    return timedelta(seconds=config.ring_seconds + config.max_call_seconds)


def _facts(slot: Slot, leg_id: int, attempt_id: int, gives_up_at: datetime) -> LegFacts:
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
        attempts=call.attempts + 1,
        max_attempts=call.max_attempts,
        outcome_counts=call.outcome_counts,
        called_before=call.called_before,
        script_id=plan.script_id,
        script_version=plan.script_version,
        config=plan.config,
        fields=call.fields,
        secret=call.secret,
        expires_at=call.expires_at,
    )


async def _move_floors(
    tx: Tx,
    claimed: Sequence[store.Claimed],
    left: Sequence[DueCall],
    dry: frozenset[int],
    ceiling: datetime,
) -> None:
    """A floor goes to the first call that was left, or else to the last one claimed, or else, where nothing
    more was due, to the ceiling; never beyond that."""
    floors = dict.fromkeys(dry, (ceiling, 0))
    for item in claimed:
        if item.call.campaign_id not in dry:
            floors[item.call.campaign_id] = min((item.call.due_at, item.call.id), (ceiling, 0))
    for call in left:
        floors[call.campaign_id] = min(floors[call.campaign_id], (call.due_at, call.id))
    if floors:
        await store.move_floors(tx, floors)
