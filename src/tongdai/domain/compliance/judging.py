"""Whether a person may be called now: what is known of them, held against the policy. Pure.

The order is that of ARCHITECTURE section 5.4: their own word first, then lists, consent, and how often they
were called. The contact's own hours come before frequency, so that a call which is not due yet is not refused
for what another campaign did today.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Final, Literal

from tongdai.domain.compliance.contact_window import ContactWait, check_contact_window
from tongdai.domain.compliance.policy import OTP, SPANS, FrequencyRule, Policy, Terms
from tongdai.kit.clock import VIETNAM

PersonKey = tuple[int, str, str]
"""Account, advertiser ('' is the account itself), and a number (84…) or `ref:` with a borrower's
reference."""

REF: Final = "ref:"

LOOK_AGAIN: Final = timedelta(seconds=20)
"""When to look again at a person of whom it is not known yet whether their phone rang."""
POLICY_DELAY: Final = timedelta(seconds=60)
"""When to look again where no policy is valid."""

Listed = Literal["dnc_account", "dnc_platform", "dnc_national"]


@dataclass(frozen=True, slots=True)
class Person:
    """A locked row of `persons`."""

    live_call_id: int | None = None
    """The call that they are on, as the row of the account itself ('' as advertiser) says."""
    opted_out: bool = False
    last_rang_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PersonCase:
    """A call that is about to be placed, with all that is to be known of it."""

    call_id: int
    account_id: int
    number: str
    """84…."""
    advertiser: str
    purpose: str
    person_ref: str | None
    attestation_id: int | None
    campaign_id: int
    call_after: str | None
    call_before: str | None
    persons: tuple[Person, ...] = ()
    """The locked rows of `keys_of`, in its order."""
    attempts: int = 0
    """Times that it was dialled before. A retry waits where a first call would be refused for frequency."""


@dataclass(frozen=True, slots=True)
class Go:
    """It may be placed now."""

    person_key: str | None = None
    """For `record_rings`, where the purpose has a rule on frequency; None: nothing is to be recorded."""


@dataclass(frozen=True, slots=True)
class Block:
    """It is refused for good, as `blocked`."""

    rule: str


@dataclass(frozen=True, slots=True)
class Wait:
    """It may not be placed before `until` (UTC), and is looked at again then."""

    rule: str
    until: datetime


Verdict = Go | Block | Wait


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the database knows of a person's consent for one case."""

    given: bool | None = None
    """Their own latest word: given, withdrawn, or None when there is none."""
    at: datetime | None = None
    until: datetime | None = None
    max_per_24h: int | None = None
    attested_at: datetime | None = None
    """When the consents of the attested list were obtained; None: there is no valid attestation for it."""
    attested_max_per_24h: int | None = None


@dataclass(frozen=True, slots=True)
class Ring:
    """A leg that rang somebody, or one that is under way and may."""

    at: datetime
    advertiser: str
    under_way: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What was looked up for a batch, each by call id."""

    listed: Mapping[int, Listed]
    agreements: Mapping[int, Agreement]
    rings: Mapping[int, Sequence[Ring]]


# --------------------------------------------------------------------------- keys


def keys_of(case: PersonCase) -> tuple[PersonKey, ...]:
    """The persons to lock for a case: the number in the account, in the advertiser's name, and the borrower.

    The first is the one whose `live_call_id` says whether they are on another call.
    """
    return keys_for(case.account_id, case.advertiser, case.number, case.person_ref)


def keys_for(account_id: int, advertiser: str, number: str, person_ref: str | None) -> tuple[PersonKey, ...]:
    """As `keys_of`, before there is a case."""
    if not advertiser and not person_ref:
        return ((account_id, "", number),)
    keys: list[PersonKey] = [(account_id, "", number)]
    if advertiser:
        keys.append((account_id, advertiser, number))
    if person_ref:
        keys.append((account_id, "", REF + person_ref))
    return tuple(keys)


def with_persons(case: PersonCase, locked: Mapping[PersonKey, Person]) -> PersonCase:
    """The case with its locked persons. Raises KeyError when one of them was not locked."""
    return replace(case, persons=tuple(locked[key] for key in keys_of(case)))


def ring_key(case: PersonCase, terms: Terms) -> str | None:
    """Under which key the case's calls are counted; None where nothing is counted."""
    if not terms.limits:
        return None
    return REF + case.person_ref if terms.by_person and case.person_ref else case.number


def rings_since(terms: Terms, now: datetime) -> datetime:
    """From when on calls matter to any limit of a purpose."""
    return min((_since(limit, now) for limit in terms.limits), default=now)


# --------------------------------------------------------------------------- verdicts


def decide(cases: Iterable[PersonCase], known: Known, policy: Policy, now: datetime) -> dict[int, Verdict]:
    """A verdict for each case by call id, in order: what one may do counts against those after it."""
    verdicts: dict[int, Verdict] = {}
    passed: Counter[tuple[int, str, str, str]] = Counter()
    for case in cases:
        terms = policy.terms.get(case.purpose)
        if terms is None:
            verdicts[case.call_id] = Wait("no_policy", now + POLICY_DELAY)
            continue
        verdicts[case.call_id] = _decide_one(case, terms, known, passed, now)
    return verdicts


def _decide_one(
    case: PersonCase,
    terms: Terms,
    known: Known,
    passed: Counter[tuple[int, str, str, str]],
    now: datetime,
) -> Verdict:
    agreement = known.agreements.get(case.call_id, Agreement())
    if case.purpose != OTP:
        rule = _refusal(case, terms, known.listed.get(case.call_id), agreement, now)
        if rule is not None:
            return Block(rule)
    window = check_contact_window(case.call_after, case.call_before, now)
    if window == "over":
        return Block("contact_window_over")
    if isinstance(window, ContactWait):
        return Wait("contact_window", window.until)
    return _frequency(case, terms, known.rings.get(case.call_id, ()), agreement, passed, now)


def _refusal(
    case: PersonCase, terms: Terms, listed: Listed | None, agreement: Agreement, now: datetime
) -> str | None:
    """The rule that forbids the call whatever the hour, if one does."""
    if not case.persons or any(person.opted_out for person in case.persons):
        return "opted_out"
    if listed in ("dnc_account", "dnc_platform"):
        return listed
    if terms.consent:
        rule = _consent_fault(agreement, now)
        if rule is not None:
            return rule
    return listed if terms.national_list is not None else None


def _consent_fault(agreement: Agreement, now: datetime) -> str | None:
    """Who took their consent back after an attestation has spoken last; silence is no consent."""
    attested_at = agreement.attested_at
    if agreement.given is False:
        attested_later = attested_at is not None and agreement.at is not None and attested_at > agreement.at
        return None if attested_later else "consent_withdrawn"
    in_force = agreement.given and (agreement.until is None or agreement.until > now)
    return None if in_force or attested_at is not None else "no_consent"


def _frequency(
    case: PersonCase,
    terms: Terms,
    rings: Sequence[Ring],
    agreement: Agreement,
    passed: Counter[tuple[int, str, str, str]],
    now: datetime,
) -> Verdict:
    key = ring_key(case, terms)
    if key is None:
        return Go()
    for limit in terms.limits:
        advertiser = case.advertiser if limit.per == "advertiser" else "*"
        before = passed[case.account_id, case.purpose, key, advertiser]
        verdict = _within(limit, _allowed(limit, agreement), case, rings, before, now)
        if verdict is not None:
            return verdict
    for advertiser in {case.advertiser, "*"}:
        passed[case.account_id, case.purpose, key, advertiser] += 1
    return Go(key)


def _allowed(limit: FrequencyRule, agreement: Agreement) -> int:
    if not limit.unless_agreed:
        return limit.max
    agreed = agreement.max_per_24h if agreement.given else None
    if agreed is None and agreement.attested_at is not None:
        agreed = agreement.attested_max_per_24h
    return limit.max if agreed is None else agreed


def _within(
    limit: FrequencyRule,
    allowed: int,
    case: PersonCase,
    rings: Sequence[Ring],
    before: int,
    now: datetime,
) -> Verdict | None:
    """None: the limit has room for this call, `before` others of this batch included."""
    since = _since(limit, now)
    counted = sorted(
        (ring for ring in rings if _counts(limit, ring, case, since)), key=lambda ring: ring.at, reverse=True
    )
    if len(counted) + before < allowed:
        return None
    if allowed and len([ring for ring in counted if not ring.under_way]) < allowed:
        return Wait(limit.rule, now + LOOK_AGAIN)
    if case.attempts and allowed:
        return Wait(limit.rule, _room_at(limit, counted[allowed - 1].at, now))
    return Block(limit.rule)


def _counts(limit: FrequencyRule, ring: Ring, case: PersonCase, since: datetime) -> bool:
    # Exactly 24 hours later is later: a call at `since` is out of the rolling span, and the first of a day.
    inside = ring.at >= since if limit.within == "day" else ring.at > since
    return inside and (limit.per != "advertiser" or ring.advertiser == case.advertiser)


def _since(limit: FrequencyRule, now: datetime) -> datetime:
    return _midnight(now) if limit.within == "day" else now - SPANS[limit.within]


def _room_at(limit: FrequencyRule, oldest: datetime, now: datetime) -> datetime:
    """When the oldest call that fills a limit does not count any more."""
    return _midnight(now) + timedelta(days=1) if limit.within == "day" else oldest + SPANS[limit.within]


def _midnight(now: datetime) -> datetime:
    """The beginning of a moment's day in Vietnam, in UTC."""
    return datetime.combine(now.astimezone(VIETNAM).date(), time(), VIETNAM).astimezone(UTC)
