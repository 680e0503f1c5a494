"""A call while it lives: drives runner and engine, and writes its end."""

from tongdai.domain.live.commands import Commands
from tongdai.domain.live.ender import EndWriter
from tongdai.domain.live.guests import Guest
from tongdai.domain.live.model import (
    LegFacts,
    LegRecording,
    LegResult,
    Talk,
    TimelineEntry,
    key_press_text,
    outcome_of,
)
from tongdai.domain.live.script_cache import LoadScript, ScriptCache
from tongdai.domain.live.service import end_legs, mark_unknown
from tongdai.domain.live.session import NumberedCommand, Session
from tongdai.domain.live.transfers import Transfers, end_orphans

__all__ = [
    "Commands",
    "EndWriter",
    "Guest",
    "LegFacts",
    "LegRecording",
    "LegResult",
    "LoadScript",
    "NumberedCommand",
    "ScriptCache",
    "Session",
    "Talk",
    "TimelineEntry",
    "Transfers",
    "end_legs",
    "end_orphans",
    "key_press_text",
    "mark_unknown",
    "outcome_of",
]
