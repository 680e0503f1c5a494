"""Calls that come in to a hotline: who takes them, what they hear, and what is left of them."""

from tongdai.domain.inbound.desk import Desk, DeskConfig
from tongdai.domain.inbound.errors import AnsweringScriptInvalidError, IncomingCallNotFoundError
from tongdai.domain.inbound.model import (
    FIELDS,
    TIED_FOR,
    Arrival,
    Disposition,
    InboundFacts,
    InboundResult,
    IncomingCall,
    IncomingFilter,
    IncomingList,
    Kind,
    Rules,
    Rung,
    Taken,
)
from tongdai.domain.inbound.service import (
    answering_script,
    call_backs,
    end_calls,
    get_incoming_call,
    history_page,
    list_incoming_calls,
    take,
)
from tongdai.domain.inbound.session import InboundSession

__all__ = [
    "FIELDS",
    "TIED_FOR",
    "AnsweringScriptInvalidError",
    "Arrival",
    "Desk",
    "DeskConfig",
    "Disposition",
    "InboundFacts",
    "InboundResult",
    "InboundSession",
    "IncomingCall",
    "IncomingCallNotFoundError",
    "IncomingFilter",
    "IncomingList",
    "Kind",
    "Rules",
    "Rung",
    "Taken",
    "answering_script",
    "call_backs",
    "end_calls",
    "get_incoming_call",
    "history_page",
    "list_incoming_calls",
    "take",
]
