"""What is known of a leg while it lives, and what is left of it when it ends. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from tongdai.domain.billing.pricing import Charge, Price, charge
from tongdai.domain.calls.model import Outcome
from tongdai.domain.campaigns.model import CampaignConfig
from tongdai.ports.telephony import AnsweredBy, EndCause, Ended, LegRef

TimelineEntry = tuple[float, str, str | None]
"""(second on the call's own clock, what happened, detail)."""

_OUTCOME_OF_CAUSE = {
    EndCause.NORMAL: Outcome.NO_ANSWER,
    EndCause.NO_ANSWER: Outcome.NO_ANSWER,
    EndCause.BUSY: Outcome.BUSY,
    EndCause.REJECTED: Outcome.REJECTED,
    EndCause.CANCELLED: Outcome.CANCELLED,
    EndCause.UNREACHABLE: Outcome.UNREACHABLE,
    EndCause.UNALLOCATED: Outcome.INVALID_NUMBER,
    EndCause.CONGESTION: Outcome.CONGESTION,
    EndCause.FAILURE: Outcome.FAILED,
}


@dataclass(frozen=True, slots=True)
class LegFacts:
    """A committed leg with all that its session and its end need. `attempts` counts this attempt already."""

    leg_id: int
    attempt_id: int
    call_id: int
    account_id: int
    campaign_id: int
    user_id: int
    trunk_id: int
    engine: str
    number: str
    dialled_number: str
    """In the trunk's dial format."""
    caller: str
    presented_caller: str
    """In the trunk's format for the number it shows."""
    dial_at: datetime
    dial_before: datetime
    gives_up_at: datetime
    limit_ids: tuple[int, ...]
    attempts: int
    max_attempts: int | None
    outcome_counts: dict[str, int]
    called_before: datetime | None
    """`called_at` of the call before this attempt, so that its result moves between the counters."""
    script_id: int
    script_version: int
    config: CampaignConfig
    fields: dict[str, str] = field(repr=False)
    secret: bytes | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    """When a one-time code is worth nothing any more: no retry after it."""
    advertiser: str = ""
    """In whose name the campaign calls; '': the account's own."""
    purpose: str = "transactional"
    person_key: str | None = None
    """Set: this dial counts for a frequency rule under this key, unless it turns out not to have rung."""
    talk_s: int | None = None
    """Seconds of talk that are paid for; None: as many as the campaign allows."""
    reserved: Decimal = Decimal(0)
    """What the leg holds of the account's wallet, in đồng."""
    price: Price | None = None
    """What the attempt is charged by; None: nothing."""
    tried_trunk_ids: tuple[int, ...] = ()
    """Trunks that failed this attempt before."""
    more_trunks: bool = False
    """True: should this trunk fail too, there is another that may carry it."""

    def ref(self) -> LegRef:
        return LegRef(self.leg_id, self.dial_at)


@dataclass(frozen=True, slots=True)
class LegRecording:
    """What an engine recorded of a leg, and still keeps."""

    kind: Literal["call", "step"]
    name: str
    """What the engine calls it (`RecordingStore.fetch`)."""
    seconds: float
    step_id: str | None = None
    """The script's step that recorded it; None: of the whole call."""


@dataclass(frozen=True, slots=True)
class Talk:
    """A transfer that was answered."""

    transfer_id: int
    """The command that rang it."""
    seconds: float
    leg_id: int | None
    """The leg that had it; None: the engine did not say, so it was the only one."""


@dataclass(frozen=True, slots=True)
class LegResult:
    """How a leg ended. `outcome` None: it was never sent, so the call is as if this attempt had not been."""

    facts: LegFacts
    outcome: Outcome | None
    rang: bool = False
    ring_s: float | None = None
    duration_s: int = 0
    key_press: str = ""
    timeline: tuple[TimelineEntry, ...] = ()
    final: bool = False
    """True: no retry whatever the rules say, because the person was reached."""
    answered: bool = False
    """True: the carrier connected the call, so it is charged from then on."""
    end_code: str | None = None
    """What the script came to."""
    opted_out: bool = False
    """True: the person asked not to be called any more."""
    recordings: tuple[LegRecording, ...] = ()
    talks: tuple[Talk, ...] = ()
    """Its transfers that were answered."""
    transferred: bool = True
    """False: it was certainly never asked to be transferred, so no legs of transfers end with it."""

    @property
    def fails_over(self) -> bool:
        """The trunk failed before their phone rang, and there is another; the attempt goes on there."""
        return self.outcome is Outcome.CONGESTION and not self.rang and self.facts.more_trunks

    @property
    def returns(self) -> bool:
        """The call takes its old place in the queue: it was not sent, or goes on over another trunk."""
        return self.outcome is None or self.fails_over

    def charge(self) -> Charge | None:
        """What the attempt costs. None: nothing, because nobody pays, or because it came to nothing by our
        own fault or the carrier's."""
        if self.facts.price is None or self.outcome in _NOT_CHARGED:
            return None
        if self.outcome is Outcome.LOST and not self.answered:
            return None
        return charge(self.facts.price, answered=self.answered, seconds=self.duration_s)


_NOT_CHARGED = frozenset({None, Outcome.CONGESTION, Outcome.FAILED})


def outcome_of(ended: Ended, by: AnsweredBy | None) -> Outcome:
    """The domain's word for how a leg ended (ARCHITECTURE section 4)."""
    if ended.answered_at is not None:
        if ended.cause is EndCause.FAILURE:
            # A prompt could not be spoken: what was answered was not our call as it was meant to be.
            return Outcome.FAILED
        return Outcome.VOICEMAIL if by is AnsweredBy.MACHINE else Outcome.ANSWERED
    return _OUTCOME_OF_CAUSE[ended.cause]


def key_press_text(presses: list[tuple[str, int]]) -> str:
    """`1 (29), 2 (31)`: digit and second since the answer, in the order pressed."""
    return ", ".join(f"{digit} ({second})" for digit, second in presses)
