"""The law as dated data: which rules hold for a purpose on a day. Pure, and closed whenever in doubt.

Rules ship in `policies.toml`, each with its source and how sure that is. An operator's own file changes rules
by their id, for the days that it names. Where no policy is valid, or a file cannot be understood, `CLOSED` is
in force: nothing but one-time codes is dialled.
"""

from __future__ import annotations

import logging
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from tongdai.kit.clock import VIETNAM

log = logging.getLogger(__name__)

PURPOSES: Final = ("advertising", "customer_care", "transactional", "otp", "debt_reminder", "survey")
"""Of a campaign. A purpose that is not among them is never dialled."""

OTP: Final = "otp"

Minutes = tuple[int, int]
"""Of a day: from the first minute up to, and not at, the second; 1440 is the end of the day."""

WHOLE_DAY: Final[tuple[Minutes, ...]] = ((0, 1440),)
_VIETNAM_OFFSET: Final = timedelta(hours=7)
_is_time: Final = re.compile(r"(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)").fullmatch

Span = Literal["minute", "hour", "3h", "24h", "day"]
SPANS: Final[Mapping[str, timedelta]] = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "3h": timedelta(hours=3),
    "24h": timedelta(hours=24),
}
"""Rolling spans; `day` is a calendar day of Vietnam and no span."""


class _Rule(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", cache_hash=True
):
    id: Annotated[str, Meta(min_length=1, max_length=100)]
    purpose: Literal["advertising", "customer_care", "transactional", "otp", "debt_reminder", "survey"]
    on: bool
    confidence: Literal["A", "B", "C", "D"]
    source: Annotated[str, Meta(min_length=1)]


class WindowRule(_Rule, frozen=True, kw_only=True, tag="window", cache_hash=True):
    """Hours of every day in which a call may start."""

    start: str
    end: str
    unless_agreed: bool = False
    """True: a window that the persons agreed to takes its place."""


class PauseRule(_Rule, frozen=True, kw_only=True, tag="pause", cache_hash=True):
    """Hours of every day in which no call may start."""

    start: str
    end: str


class HolidaysRule(_Rule, frozen=True, kw_only=True, tag="holidays", cache_hash=True):
    """No call on public holidays."""


class FrequencyRule(_Rule, frozen=True, kw_only=True, tag="frequency", cache_hash=True):
    """At most so many calls that rang, over all campaigns of the account."""

    max: Annotated[int, Meta(ge=0, le=1000)]
    within: Span
    per: Literal["advertiser", "person", "number"]
    """advertiser: to a number, by one advertiser. person: to all numbers of one borrower (`person_ref`), or
    else to the number. number: to the number, by whatever advertiser."""
    unless_agreed: bool = False
    """True: the number that the person agreed to takes the place of `max`; for a span of 24 hours alone."""

    @property
    def rule(self) -> str:
        """What a refusal by it is called."""
        return f"freq_{self.within}"


class ConsentRule(_Rule, frozen=True, kw_only=True, tag="consent", cache_hash=True):
    """The person's consent, or an attestation for the list, must be there."""


class NationalListRule(_Rule, frozen=True, kw_only=True, tag="national_list", cache_hash=True):
    """Nobody on the national do-not-call register, of which a fresh copy must be there."""

    max_age_connected_h: Annotated[float, Meta(gt=0)]
    max_age_file_h: Annotated[float, Meta(gt=0)]


class BrandNameRule(_Rule, frozen=True, kw_only=True, tag="brand_name", cache_hash=True):
    """Only from a hotline with a valid brand name."""


Rule = WindowRule | PauseRule | HolidaysRule | FrequencyRule | ConsentRule | NationalListRule | BrandNameRule


@dataclass(frozen=True, slots=True)
class Terms:
    """What the rules of one purpose come to."""

    fixed: tuple[Minutes, ...] = WHOLE_DAY
    """Open minutes of each day, whatever was agreed."""
    lawful: tuple[Minutes, ...] = WHOLE_DAY
    """Open minutes of each day unless other ones were agreed."""
    closed_on_holidays: bool = False
    limits: tuple[FrequencyRule, ...] = ()
    consent: bool = False
    national_list: NationalListRule | None = None
    brand_name: bool = False

    @property
    def by_person(self) -> bool:
        """True: calls are counted per borrower, over all their numbers."""
        return any(limit.per == "person" for limit in self.limits)


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules that are in force on some days."""

    id: str
    """Shown beside decisions; "" where none is valid."""
    valid_from: date = date.min
    valid_until: date | None = None
    """The last day, if there is one."""
    rules: tuple[Rule, ...] = ()
    """All, those that are off too."""
    terms: Mapping[str, Terms] = field(default_factory=dict)
    """By purpose. A purpose without terms is not dialled."""


CLOSED: Final = Policy("", terms={OTP: Terms()})
"""No policy: one-time codes alone, which no rule but number limits concerns."""


class PolicyInvalidError(ValueError):
    """A file of policies cannot be used; the message says why."""


class _ShippedPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(min_length=1, max_length=100)]
    valid_from: date
    rule: list[dict[str, Any]]
    valid_until: date | None = None


class _ShippedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    policy: Annotated[list[_ShippedPolicy], Meta(min_length=1)]


class _OwnFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An operator's: changes to whatever shipped policy is in force."""

    id: Annotated[str, Meta(min_length=1, max_length=100)]
    valid_from: date
    rule: Annotated[list[dict[str, Any]], Meta(min_length=1)]
    valid_until: date | None = None


@dataclass(frozen=True, slots=True)
class PolicyBook:
    """Every policy that is known, to be asked for the one of a moment."""

    shipped: tuple[Policy, ...] = ()
    own: tuple[Policy, ...] = ()
    """Each shipped policy as the operator's file changes it, in the same order; empty without a file."""

    def at(self, now: datetime) -> Policy:
        """The policy in force at a moment; `CLOSED` when there is none, or when the day cannot be told."""
        local = now.astimezone(VIETNAM)
        if now.tzinfo is None or local.utcoffset() != _VIETNAM_OFFSET:
            return CLOSED
        day = local.date()
        begun = [index for index, policy in enumerate(self.shipped) if policy.valid_from <= day]
        if not begun:
            return CLOSED
        newest = max(begun, key=lambda index: self.shipped[index].valid_from)
        # A policy that has ended was replaced by nothing: what it had replaced itself is no law any more.
        if not _holds(self.shipped[newest], day):
            return CLOSED
        changed = self.own[newest] if self.own else None
        return changed if changed is not None and _holds(changed, day) else self.shipped[newest]


def _holds(policy: Policy, day: date) -> bool:
    return policy.valid_from <= day and (policy.valid_until is None or day <= policy.valid_until)


# --------------------------------------------------------------------------- reading


def load_policies(own: Path | None = None) -> PolicyBook:
    """The shipped policies, with an operator's file if there is one. Never raises: what cannot be read leaves
    no policy at all, which is logged."""
    try:
        shipped = resources.files("tongdai.domain.compliance").joinpath("policies.toml").read_text("utf-8")
        return parse_policies(shipped, None if own is None else own.read_text("utf-8"))
    except (PolicyInvalidError, OSError, UnicodeDecodeError) as error:
        log.error("no compliance policy: nothing but one-time codes is dialled", exc_info=error)
        return PolicyBook()


def parse_policies(shipped: str, own: str | None = None) -> PolicyBook:
    """Policies from TOML, and an operator's changes to them. Raises PolicyInvalidError."""
    bases = _converted(shipped, _ShippedFile).policy
    policies = tuple(_policy(one.id, one.valid_from, one.valid_until, one.rule) for one in bases)
    if own is None:
        return PolicyBook(policies)
    mine = _converted(own, _OwnFile)
    changed = tuple(
        _policy(f"{base.id}+{mine.id}", mine.valid_from, mine.valid_until, _merged(base.rule, mine.rule))
        for base in bases
    )
    return PolicyBook(policies, changed)


def _converted(text: str, kind: type[Any]) -> Any:
    try:
        return msgspec.convert(tomllib.loads(text), kind)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise PolicyInvalidError(str(error)) from error


def _merged(base: Sequence[dict[str, Any]], own: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rules of `base`, each with the fields that `own` gives the rule of its id; then those that are
    new."""
    changes = {str(rule.get("id")): rule for rule in own}
    if len(changes) != len(own):
        raise PolicyInvalidError("two rules of one id")
    merged = [rule | changes.pop(rule["id"], {}) for rule in base]
    return merged + list(changes.values())


def _policy(
    policy_id: str, valid_from: date, valid_until: date | None, raw: Sequence[dict[str, Any]]
) -> Policy:
    try:
        rules = tuple(msgspec.convert(list(raw), list[Rule]))
    except msgspec.ValidationError as error:
        raise PolicyInvalidError(f"{policy_id}: {error}") from error
    if len({rule.id for rule in rules}) != len(rules):
        raise PolicyInvalidError(f"{policy_id}: two rules of one id")
    for rule in rules:
        for fault in _faults(rule):
            raise PolicyInvalidError(f"{policy_id}: {rule.id}: {fault}")
    terms = {purpose: _terms([rule for rule in rules if rule.purpose == purpose]) for purpose in PURPOSES}
    return Policy(policy_id, valid_from, valid_until, rules, terms)


def _faults(rule: Rule) -> Iterator[str]:
    if isinstance(rule, WindowRule | PauseRule):
        if not (_is_time(rule.start) and _is_time(rule.end)):
            yield "start and end are HH:MM"
        elif rule.start >= rule.end:
            yield "end must be after start"
    if isinstance(rule, FrequencyRule) and rule.unless_agreed and rule.within != "24h":
        yield "only a number of calls in 24 hours can be agreed"
    if rule.purpose == OTP and not isinstance(rule, FrequencyRule):
        yield "one-time codes have limits per number and no other rule"


def _terms(rules: Iterable[Rule]) -> Terms:
    terms = Terms()
    for rule in rules:
        if rule.on:
            terms = _narrowed(terms, rule)
    return terms


def _narrowed(terms: Terms, rule: Rule) -> Terms:
    """The terms with one more rule."""
    match rule:
        case WindowRule(unless_agreed=True):
            return replace(terms, lawful=intersection(terms.lawful, (minutes(rule.start, rule.end),)))
        case WindowRule():
            return replace(terms, fixed=intersection(terms.fixed, (minutes(rule.start, rule.end),)))
        case PauseRule():
            start, end = minutes(rule.start, rule.end)
            return replace(terms, fixed=intersection(terms.fixed, ((0, start), (end, 1440))))
        case FrequencyRule():
            return replace(terms, limits=(*terms.limits, rule))
        case NationalListRule():
            return replace(terms, national_list=rule)
        case HolidaysRule():
            return replace(terms, closed_on_holidays=True)
        case ConsentRule():
            return replace(terms, consent=True)
        case BrandNameRule():
            return replace(terms, brand_name=True)


def minutes(start: str, end: str) -> Minutes:
    """Minutes of a day from two `HH:MM`."""
    return _minute(start), _minute(end)


def _minute(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def intersection(some: Sequence[Minutes], others: Sequence[Minutes]) -> tuple[Minutes, ...]:
    """What lies in both, in order; each is in order and without overlap."""
    found = ((max(a, c), min(b, d)) for a, b in some for c, d in others)
    return tuple(sorted((start, end) for start, end in found if start < end))
