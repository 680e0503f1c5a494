"""Why a call ended, from what Asterisk and the carrier said. Pure.

The SIP status decides, then the Q.850 cause. A carrier's statuses may mean something else: the trunk says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tongdai.ports.telephony import EndCause

REQUEST_TIMEOUT = 408
TEMPORARILY_UNAVAILABLE = 480

BY_SIP_STATUS: Mapping[int, EndCause] = {
    401: EndCause.FAILURE,
    403: EndCause.REJECTED,
    404: EndCause.UNALLOCATED,
    407: EndCause.FAILURE,
    408: EndCause.NO_ANSWER,
    410: EndCause.UNALLOCATED,
    415: EndCause.FAILURE,
    480: EndCause.UNREACHABLE,
    484: EndCause.UNALLOCATED,
    486: EndCause.BUSY,
    487: EndCause.NO_ANSWER,
    488: EndCause.FAILURE,
    500: EndCause.CONGESTION,
    502: EndCause.CONGESTION,
    503: EndCause.CONGESTION,
    504: EndCause.CONGESTION,
    600: EndCause.BUSY,
    603: EndCause.REJECTED,
    604: EndCause.UNALLOCATED,
    606: EndCause.FAILURE,
    607: EndCause.REJECTED,
    608: EndCause.REJECTED,
}
"""RFC 3261 section 21, RFC 8197 (607) and RFC 8688 (608)."""

BY_Q850_CAUSE: Mapping[int, EndCause] = {
    1: EndCause.UNALLOCATED,
    2: EndCause.UNALLOCATED,
    3: EndCause.UNREACHABLE,
    16: EndCause.NORMAL,
    17: EndCause.BUSY,
    18: EndCause.NO_ANSWER,
    19: EndCause.NO_ANSWER,
    20: EndCause.UNREACHABLE,
    21: EndCause.REJECTED,
    22: EndCause.UNALLOCATED,
    27: EndCause.UNREACHABLE,
    28: EndCause.UNALLOCATED,
    34: EndCause.CONGESTION,
    38: EndCause.CONGESTION,
    41: EndCause.CONGESTION,
    42: EndCause.CONGESTION,
    44: EndCause.CONGESTION,
    58: EndCause.FAILURE,
}
"""ITU-T Q.850, as Asterisk uses it."""


@dataclass(frozen=True, slots=True)
class Hangup:
    """How an unanswered call of ours ended."""

    cause: int
    """Q.850; 0: none was given."""
    status: int
    """Of SIP; 0: none. Asterisk writes 480 when its own ring time is over."""
    by_us: bool = False
    """We ended it while it rang."""
    rang_out: bool = False
    """Our ring time was over, and the carrier said no last word."""
    alerted: bool = False
    """The phone rang, or the carrier played something."""


def end_cause(hangup: Hangup, overrides: Mapping[int, EndCause] | None = None) -> EndCause:
    """`overrides`: what this carrier's SIP statuses mean, where they mean something else than usual."""
    if hangup.by_us:
        return EndCause.CANCELLED
    if hangup.rang_out:
        return EndCause.NO_ANSWER if hangup.alerted else EndCause.CONGESTION
    if overrides and hangup.status in overrides:
        return overrides[hangup.status]
    told = BY_SIP_STATUS.get(hangup.status) or BY_Q850_CAUSE.get(hangup.cause, EndCause.FAILURE)
    # Cleared in good order, and nobody had answered.
    return EndCause.NO_ANSWER if told is EndCause.NORMAL else told
