"""What happened, as customers' servers are told it: of calls, of those that came in, and of Zalo. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, get_args

import msgspec

CallEventType = Literal["attempt.ended", "call.refused"]
ZaloEventType = Literal[
    "zalo.oa.connected",
    "zalo.oa.needs_consent",
    "zalo.oa.token_warning",
    "zalo.oa.quota_changed",
    "zalo.oa.quality_changed",
    "zalo.journey.charged",
    "zalo.journey.expired",
    "zalo.message.delivered",
    "zalo.message.undelivered",
    "zalo.message.rated",
    "zalo.template.changed",
    "zalo.received",
]
IncomingEventType = Literal["incoming_call.ended"]
EventType = Literal[CallEventType, IncomingEventType, ZaloEventType]
Format = Literal["vbot_auto_call", "vbot_call_history", "aicallcenter", "tongdai", "zalo"]

ATTEMPT_ENDED: Final[CallEventType] = "attempt.ended"
CALL_REFUSED: Final[CallEventType] = "call.refused"
INCOMING_ENDED: Final[IncomingEventType] = "incoming_call.ended"
ZALO_RECEIVED: Final[ZaloEventType] = "zalo.received"
"""Something that Zalo told us, passed on as it came."""

OF_CALLS: Final[frozenset[EventType]] = frozenset(get_args(CallEventType))
OF_INCOMING: Final[frozenset[EventType]] = frozenset(get_args(IncomingEventType))
OF_ZALO: Final[frozenset[EventType]] = frozenset(get_args(ZaloEventType))

FORMATS: Final[Mapping[str, frozenset[EventType]]] = {
    "vbot_auto_call": OF_CALLS,
    "vbot_call_history": frozenset({ATTEMPT_ENDED, INCOMING_ENDED}),
    "aicallcenter": OF_CALLS,
    "tongdai": OF_CALLS | OF_INCOMING | OF_ZALO - {ZALO_RECEIVED},
    "zalo": frozenset({ZALO_RECEIVED}),
}
"""The body formats, each with the events that it has a body for."""


class CallEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a call at the moment of an event. Stored so; every body is made from it alone."""

    type: CallEventType
    account_id: int
    campaign_id: int
    campaign_name: str
    project_code: str | None
    template_id: int | None
    purpose: str
    call_id: int
    user_id: int
    seq: int
    """1, 2, … within the call."""
    attempt_id: int | None
    """None: the call was refused, and nothing was dialled."""
    attempt: int
    """Its ordinal in the call, from 1; of a refusal, how many attempts there were before."""
    final: bool
    """True: the call is done."""
    outcome: str
    note: str | None
    """The rule that refused it."""
    number: str
    """84…, or "" when what was given is no number."""
    number_given: str
    fields: dict[str, Any]
    """As imported, with their JSON types. A one-time code is never among them."""
    hotline: str | None
    """84…"""
    network: str | None
    called_at: datetime
    """When it was dialled, or refused."""
    ended_at: datetime
    ring_s: float | None
    duration_s: int
    key_presses: str
    """`1 (29), 2 (35)`: digit and second."""
    end_code: str | None
    """What the script came to."""
    record_files: list[str]
    """Addresses of its recordings. They are good for a while, so they are made with the body: what is kept
    has none."""
    billable_s: int
    postage: Decimal
    """đồng, VAT included."""
    service_charge: Decimal
    """đồng, VAT included."""
    next_attempt_at: datetime | None
    person_ref: str | None
    recording_ids: list[int] = []


class RungPhone(msgspec.Struct, frozen=True):
    """One phone that a call which came in was transferred to."""

    target: str
    """84…, or a SIP address."""
    disposition: str
    seconds: int
    """Of talk."""


class IncomingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a call that came in, at its end. Stored so; every body is made from it alone.

    There is one of each call, so they have no order.
    """

    type: IncomingEventType
    account_id: int
    incoming_call_id: int
    kind: str
    """CALLIN or MISSCALL."""
    disposition: str
    """In VBot's words."""
    hotline: str
    """84…"""
    caller: str
    """84…; "" when it was withheld, or no Vietnamese number."""
    caller_given: str
    """As the carrier wrote it."""
    called_given: str
    came_at: datetime
    answered_at: datetime | None
    ended_at: datetime
    ring_s: float
    duration_s: int
    """From the moment it was picked up."""
    billable_s: int
    key_presses: str
    answers: dict[str, str]
    """What was entered last at each gather, by step."""
    end_code: str | None
    transfers: list[RungPhone]
    record_files: list[str]
    campaign_call_id: int | None
    """The campaign's call that it answers."""
    campaign_id: int | None
    campaign_name: str | None
    recording_ids: list[int] = []


class ZaloEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about an Official Account, a journey, a message or a template at the moment of an event.

    Stored so; every body is made from it alone. Such events have no order among each other.
    """

    type: ZaloEventType
    account_id: int
    oa_id: int
    """Zalo's."""
    app_id: int
    """Zalo's."""
    connection_id: int
    """Ours, of the Official Account's connection."""
    at: datetime
    """When it happened."""
    data: dict[str, Any]
    """What it is about, as JSON has it: `domain.zalo.telling` says which fields. Of `zalo.received`
    further headers that came with it."""
    raw: str | None = None
    """Of `zalo.received` Zalo's body as it came."""
    signature: str | None = None
    """Zalo's `X-ZEvent-Signature` of that."""


Event = CallEvent | IncomingEvent | ZaloEvent


def zalo_headers(event: Event) -> dict[str, str]:
    """What a request that passes Zalo's body on has besides ours: the headers that the body came with."""
    assert isinstance(event, ZaloEvent)
    signature = {} if event.signature is None else {"X-ZEvent-Signature": event.signature}
    return {"Content-Type": "application/json", **event.data, **signature}
