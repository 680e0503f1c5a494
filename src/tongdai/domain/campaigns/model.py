"""What a campaign is told to do, and what it may become. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tongdai.domain.calls.model import NEVER_RETRIED, RETRIED_ON_REQUEST, Outcome
from tongdai.domain.campaigns.declared import DeclaredField
from tongdai.domain.compliance.model import Schedule
from tongdai.domain.scripts.runner import RECORD_ANNOUNCEMENT

Kind = Literal["voice", "otp"]
Purpose = Literal["advertising", "customer_care", "transactional", "otp", "debt_reminder", "survey"]
WEEK_S = 7 * 24 * 3600

MAX_ATTEMPTS = 100
"""Of one call, whatever its campaign or its contact says."""


# --------------------------------------------------------------------------- configuration


class RetryRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """After an attempt that ended in a certain way: how many more tries, each after how many seconds."""

    times: Annotated[int, Meta(ge=0, le=20)]
    after_seconds: Annotated[int, Meta(ge=0, le=WEEK_S)]


LOST_RULE = RetryRule(times=1, after_seconds=60)
"""What `redial_lost` means when no rule for `lost` is given: once more, a minute later."""

VOICEMAIL_RULE = RetryRule(times=1, after_seconds=3600)
"""What the voicemail action `retry` means when no rule for `voicemail` is given: once more, an hour later."""

CONTACT_RULES: Mapping[str, RetryRule] = dict.fromkeys(
    (Outcome.NO_ANSWER, Outcome.BUSY), RetryRule(times=1, after_seconds=300)
)
"""When a contact that brings its own number of attempts is dialled again, where the campaign has no rules."""


class CampaignConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a campaign dials. Stored as jsonb; all durations in seconds."""

    schedule: Schedule | None = None
    """None: every hour of every day."""
    retries: dict[str, RetryRule] = {}
    """By outcome. Only outcomes of `RETRIED_ON_REQUEST` may have a rule."""
    max_attempts: Annotated[int, Meta(ge=1, le=MAX_ATTEMPTS)] | None = None
    """Of one call, all outcomes together. None: the rules alone decide."""
    ring_seconds: Annotated[float, Meta(ge=5, le=120)] = 30.0
    max_call_seconds: Annotated[float, Meta(ge=5, le=7200)] = 300.0
    detect_voicemail: bool = True
    """False: whoever answers is taken for a person. A call with a one-time code looks all the same."""
    voicemail_action: Literal["hang_up", "leave_message", "retry"] = "hang_up"
    """What is done about a machine. retry: it is hung up on, and dialled again by the rule for `voicemail` or
    else by `VOICEMAIL_RULE`."""
    record: bool = False
    """True: both sides are recorded from the answer to the end. Never in an OTP campaign, and no machine."""
    record_announcement: str | None = None
    """What a person hears before anything of the call is recorded. None: `scripts.RECORD_ANNOUNCEMENT`.
    Empty: nothing, because they know already."""
    allow_duplicates: bool = True
    """False: a number that was imported into this campaign before is refused."""
    refuse_when_stopped: bool = False
    """True: imports are refused while stopped. An OTP campaign refuses them whenever it does not run."""
    otp_seconds: Annotated[int, Meta(ge=5, le=3600)] = 60
    """An OTP that could not be dialled for so long ends as `expired`."""
    redial_lost: bool = False
    """True: a call whose end is unknown is dialled again, by the rule for `lost` or else by `LOST_RULE`."""
    on_unpaid: Literal["wait", "refuse"] | None = None
    """Without a valid plan, or with a wallet that cannot cover the next call: `wait` until that is mended, or
    `refuse` each call that comes due, as `plan_expired` or `no_funds`. None: an OTP campaign, whose codes are
    worth nothing later, refuses, and every other one waits."""

    def __post_init__(self) -> None:
        for outcome in self.retries:
            if outcome not in RETRIED_ON_REQUEST:
                raise ValueError(f"retries: no rule is possible for {outcome[:40]!r}")

    @property
    def announcement(self) -> str:
        """What is said before anything is recorded; "": nothing."""
        return RECORD_ANNOUNCEMENT if self.record_announcement is None else self.record_announcement


# --------------------------------------------------------------------------- retry rules


@dataclass(frozen=True, slots=True)
class Final:
    """The call is done."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """The call goes back to the queue and is due then."""

    at: datetime


def next_step(
    outcome: Outcome,
    *,
    attempts: int,
    max_attempts: int | None,
    outcome_counts: Mapping[str, int],
    config: CampaignConfig,
    now: datetime,
) -> Final | RetryAt:
    """What follows an attempt that ended as `outcome` at `now`.

    `attempts` and `outcome_counts` include that attempt. Each outcome has a budget of its own: `times` more
    tries after it, and the campaign's cap over all of them. A call with its own `max_attempts` is dialled so
    often instead: the rules then only say after which outcomes, and how long after (a rule of no times is
    none), and `CONTACT_RULES` do where the campaign has no rules at all.
    """
    rule = _rule_for(outcome, config, config.retries or (CONTACT_RULES if max_attempts else {}))
    if rule is None or rule.times == 0:
        return Final()
    if max_attempts is None:
        spent = outcome_counts.get(outcome, 0) > rule.times
        if spent or (config.max_attempts is not None and attempts >= config.max_attempts):
            return Final()
    elif attempts >= max_attempts:
        return Final()
    return RetryAt(now + timedelta(seconds=rule.after_seconds))


def _rule_for(outcome: Outcome, config: CampaignConfig, rules: Mapping[str, RetryRule]) -> RetryRule | None:
    if outcome in NEVER_RETRIED:
        return None
    if outcome is Outcome.LOST:
        return rules.get(outcome, LOST_RULE) if config.redial_lost else None
    if outcome is Outcome.VOICEMAIL and config.voicemail_action == "retry":
        return rules.get(outcome, VOICEMAIL_RULE)
    return rules.get(outcome)


# --------------------------------------------------------------------------- states


class CampaignState(StrEnum):
    DRAFT = "draft"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Transition:
    """From which states an action leads where, and the least role that may take it."""

    sources: frozenset[CampaignState]
    target: CampaignState
    role: str | None
    """None: the platform's own doing, open to no user."""


_S = CampaignState

TRANSITIONS: Mapping[str, Transition] = {
    "start": Transition(frozenset({_S.DRAFT, _S.STOPPED}), _S.RUNNING, "operator"),
    "pause": Transition(frozenset({_S.RUNNING}), _S.PAUSED, "operator"),
    "resume": Transition(frozenset({_S.PAUSED}), _S.RUNNING, "operator"),
    "stop": Transition(frozenset({_S.RUNNING, _S.PAUSED}), _S.STOPPED, "operator"),
    "finish": Transition(frozenset({_S.RUNNING}), _S.FINISHED, None),
}
"""Every change of state that there is. `finished` is final."""


# --------------------------------------------------------------------------- rows and values


@dataclass(frozen=True, slots=True)
class Campaign:
    id: int
    account_id: int
    user_id: int
    project_id: int | None
    template_id: int | None
    name: str
    kind: str
    purpose: str
    state: str
    takes_imports: bool
    """True: running dry does not finish it."""
    script_id: int
    script_version: int
    hotline_ids: list[int]
    config: CampaignConfig
    fields: tuple[DeclaredField, ...]
    """What a contact of it brings; one that does not is not called."""
    advertiser: str
    """In whose name it calls; empty: in the account's own."""
    attestation_id: int | None
    """How the consent of its contacts was obtained, where the account attested that."""
    limit_id: int
    max_channels: int | None
    max_cps: float | None
    waiting_reason: str | None
    waiting_since: datetime | None
    waiting_until: datetime | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Mandate:
    """What a campaign is for, in whose name, and on whose word that those it calls have agreed."""

    purpose: str
    advertiser: str
    attestation_id: int | None


class TemplateConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a campaign made from a template starts with. Stored as jsonb."""

    kind: Kind
    purpose: Purpose
    script_id: int
    """The script; a campaign keeps the version that is current when it is made."""
    hotline_ids: tuple[int, ...]
    fields: tuple[DeclaredField, ...] = ()
    advertiser: str = ""
    """In whose name its campaigns call; empty: in the account's own."""
    attestation_id: int | None = None
    """How the consent of their contacts was obtained, where the account attested that."""
    config: CampaignConfig = CampaignConfig()
    max_channels: int | None = None
    max_cps: float | None = None
    takes_imports: bool = True


@dataclass(frozen=True, slots=True)
class Template:
    id: int
    account_id: int
    project_id: int | None
    name: str
    config: TemplateConfig
    created_at: datetime
    archived_at: datetime | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a campaign is. `accepted = queued + dialing + done` at any moment."""

    campaign_id: int
    state: str
    accepted: int
    queued: int
    dialing: int
    done: int
    outcomes: Mapping[str, int]
    """Finished calls by outcome."""
    blocked_by: Mapping[str, int]
    """Of the finished calls those with outcome `blocked`, by the rule that forbade them."""
    next_due_at: datetime | None
    """When the earliest queued call is due; in the past when it is due now."""
    waiting_reason: str | None
    """Why a running campaign does not dial."""
    waiting_since: datetime | None
    waiting_until: datetime | None


class _Given(msgspec.Struct, frozen=True):
    given: str
    fields: Mapping[str, Any] = {}
    otp_code: str | None = None


# A struct and not a dataclass: built once per imported row, and a frozen dataclass takes many times as long.
class NewContact(_Given, frozen=True, kw_only=True):
    """One contact as it was given. `otp_code` is never stored among the fields and has no repr."""

    max_attempts: int | None = None
    """Dials in all, 1 to 100. None: the campaign's rules decide."""
    call_after: str | None = None
    """Not before: `HH:MM` of every day, or a moment in ISO 8601. None: whenever the campaign may."""
    call_before: str | None = None
    """From then on no more, in the same forms."""
    person_ref: str | None = None
    """The same for all numbers of one person, who is then counted as one."""
    problem: str | None = None
    """Why it cannot be called, where whoever read it has found that already."""

    @property
    def brings_own(self) -> bool:
        """True for the few that have attempts, times or a person of their own."""
        return not (
            self.max_attempts is None
            and self.call_after is None
            and self.call_before is None
            and self.person_ref is None
        )

    def __repr__(self) -> str:
        return f"NewContact(given={self.given!r}, fields={self.fields!r})"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of an import. Indexes are positions in the list that was given."""

    received: int
    accepted: Sequence[tuple[int, int]]
    """(index, call id), by index."""
    rejected: Sequence[tuple[int, str]]
    """(index, reason), by index: the normaliser's own reasons, what the contact's `problem` says, or
    `number_invalid`, `field_missing: name`, `field_invalid: name` (of a declared field), `fields_invalid`,
    `fields_too_large` (over 64 KiB), `max_attempts_invalid`, `call_window_invalid`, `person_ref_invalid`,
    `otp_invalid`, `duplicate` (within this import), `duplicate_earlier` (of an import before)."""
    kept: Sequence[tuple[int, int, str]] = ()
    """(index, call id, reason), by index: those of the accepted that are finished calls already, with outcome
    `invalid_number`."""
    repaired: Sequence[int] = ()
    """Indexes of the accepted whose number was read only after mending, such as a lost leading zero."""
    converted: Sequence[int] = ()
    """Indexes of the accepted whose number is of the plan before September 2018, and is called by today's."""
