"""A call while it lives: drives runner and engine, and writes its end."""

from tongdai.domain.live.guests import Guest
from tongdai.domain.live.model import LegFacts, LegResult, TimelineEntry, key_press_text, outcome_of
from tongdai.domain.live.service import end_legs, mark_unknown
from tongdai.domain.live.session import NumberedCommand, Session

__all__ = [
    "Guest",
    "LegFacts",
    "LegResult",
    "NumberedCommand",
    "Session",
    "TimelineEntry",
    "end_legs",
    "key_press_text",
    "mark_unknown",
    "outcome_of",
]
