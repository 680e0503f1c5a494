"""What is known of a leg while it lives, and what is left of it when it ends. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

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
    advertiser: str = ""
    expires_at: datetime | None = None
    """When a one-time code is worth nothing any more: no retry after it."""

    def ref(self) -> LegRef:
        return LegRef(self.leg_id, self.dial_at)


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


def outcome_of(ended: Ended, by: AnsweredBy | None) -> Outcome:
    """The domain's word for how a leg ended (ARCHITECTURE section 4)."""
    if ended.answered_at is not None:
        return Outcome.VOICEMAIL if by is AnsweredBy.MACHINE else Outcome.ANSWERED
    return _OUTCOME_OF_CAUSE[ended.cause]


def key_press_text(presses: list[tuple[str, int]]) -> str:
    """`1 (29), 2 (31)`: digit and second since the answer, in the order pressed."""
    return ", ".join(f"{digit} ({second})" for digit, second in presses)
