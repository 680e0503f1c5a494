"""What a claimed call must pass before it gets a line: its person's rules, then a hotline for its network.

Each gate lets a call through, refuses it for good, or puts it off; docs/reference/compliance.md has the
table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tongdai.domain import compliance, contacts
from tongdai.domain.calls import Outcome, Refusal
from tongdai.domain.compliance import Block, Person, PersonCase, PersonKey, Policy, Wait
from tongdai.domain.dialer.model import DueCall, Plan
from tongdai.domain.dialer.store.claiming import Claimed
from tongdai.kit.db import Later, Tx

PERSON_BUSY_DELAY = timedelta(seconds=20)
"""When to look again at a call whose person is on another call of ours."""

LINE_DELAY = timedelta(seconds=60)
"""When to look again at a call whose network has hotlines, but none that may be used now."""

Deferral = tuple[int, datetime, str]
"""(call, until, reason)."""


@dataclass(slots=True)
class Gated:
    """What came of the gates so far. `person_keys` are of calls whose dial counts for a frequency rule."""

    passed: list[Claimed] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    deferred: list[Deferral] = field(default_factory=list)
    person_keys: dict[int, str] = field(default_factory=dict)

    def refuse(self, call: DueCall, outcome: Outcome, note: str | None = None) -> None:
        self.refused.append(Refusal(call.id, outcome, note))


async def lock_persons(
    tx: Tx, claimed: Sequence[Claimed], plans: Mapping[int, Plan]
) -> Later[dict[PersonKey, Person]]:
    """Locks who would be called, and whose rules count. What it returns reads them."""
    keys = {key for item in claimed for key in _keys(item.call, plans[item.call.campaign_id])}
    return await compliance.lock_persons_later(tx, sorted(keys))


async def ask_persons(
    tx: Tx,
    claimed: Sequence[Claimed],
    persons: Mapping[PersonKey, Person],
    plans: Mapping[int, Plan],
    policy: Policy,
    now: datetime,
) -> Gated:
    """Decide about each person under their lock (ARCHITECTURE section 5, step 4)."""
    gated = Gated()
    if not claimed:
        return gated
    keys = [_keys(item.call, plans[item.call.campaign_id]) for item in claimed]
    cases = [
        _case(item.call, plans[item.call.campaign_id], tuple(persons[key] for key in own))
        for item, own in zip(claimed, keys, strict=True)
    ]
    verdicts = await compliance.judge(tx, cases, policy, now)
    taken: set[tuple[int, str]] = set()
    for item, case in zip(claimed, cases, strict=True):
        call, verdict = item.call, verdicts[item.call.id]
        live = persons[call.account_id, "", call.number].live_call_id
        if isinstance(verdict, Block):
            gated.refuse(call, Outcome.BLOCKED, verdict.rule)
        elif isinstance(verdict, Wait):
            gated.deferred.append((call.id, verdict.until, verdict.rule))
        elif live is not None or not taken.isdisjoint(_persons_of(case, verdict.person_key)):
            gated.deferred.append((call.id, now + PERSON_BUSY_DELAY, "person_busy"))
        else:
            taken.update(_persons_of(case, verdict.person_key))
            gated.passed.append(item)
            if verdict.person_key is not None:
                gated.person_keys[call.id] = verdict.person_key
    return gated


def _keys(call: DueCall, plan: Plan) -> tuple[PersonKey, ...]:
    return compliance.keys_for(call.account_id, plan.advertiser, call.number, call.person_ref)


def _case(call: DueCall, plan: Plan, persons: tuple[Person, ...]) -> PersonCase:
    return PersonCase(
        call_id=call.id,
        account_id=call.account_id,
        number=call.number,
        advertiser=plan.advertiser,
        purpose=plan.purpose,
        person_ref=call.person_ref,
        attestation_id=plan.attestation_id,
        campaign_id=plan.campaign_id,
        call_after=call.call_after,
        call_before=call.call_before,
        persons=persons,
        attempts=call.attempts,
    )


def _persons_of(case: PersonCase, person_key: str | None) -> set[tuple[int, str]]:
    """Who must not be called twice by one claim: the number, and the person that a frequency rule counts."""
    found = {(case.account_id, case.number)}
    if person_key is not None:
        found.add((case.account_id, person_key))
    return found


def find_networks(claimed: Iterable[Claimed], prefixes: contacts.PrefixTable) -> dict[str, str]:
    """The routing group of each number: what is known of it alone, or else its prefix's."""
    return {
        item.call.number: item.override or prefixes.network(item.call.number).routing_group
        for item in claimed
    }


def ask_routes(gated: Gated, plans: Mapping[int, Plan], networks: Mapping[str, str], now: datetime) -> None:
    """Keeps what some line of the campaign may call now, be it full.

    No hotline for the network is final (102), as is a network that no trunk of the account carries (106). A
    hotline that is disabled, out of its contract or on an engine that is away is waited for.
    """
    passed, gated.passed = gated.passed, []
    for item in passed:
        call, plan = item.call, plans[item.call.campaign_id]
        network = networks[call.number]
        if plan.lines_to(network, call.tried_trunk_ids):
            gated.passed.append(item)
        elif any(
            line.may_call(network) and line.trunk_id not in call.tried_trunk_ids for line in plan.configured
        ):
            gated.deferred.append((call.id, now + LINE_DELAY, "hotline_unavailable"))
        elif call.open_attempt_id is not None:
            # Its trunk failed, and the campaign has lost the one that it was to go out on instead.
            gated.refuse(call, Outcome.CONGESTION)
        elif plan.served is not None and network not in plan.served:
            gated.refuse(call, Outcome.NETWORK_UNSUPPORTED)
        else:
            gated.refuse(call, Outcome.NO_HOTLINE)
