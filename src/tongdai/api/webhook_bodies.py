"""The bodies of our own webhook format, version 1, and of Zalo's. Their reference is
`docs/reference/webhooks.md`.

Within a version fields are added and none is changed or removed. The names of
a call's are those of `GET /v1/calls/{id}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from tongdai.api.times import shown_time
from tongdai.api.webhook_zalo import ZaloData, zalo_data
from tongdai.domain.contacts import shown
from tongdai.domain.webhooks import CallEvent, Event, IncomingEvent, ZaloEvent

VERSION: Final = 1


class CallData(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about the call as it was when this happened."""

    account_id: int
    campaign_id: int
    campaign_name: str
    project_code: str | None
    template_id: int | None
    """Of the template that the campaign was made from."""
    purpose: str
    call_id: int
    user_id: int
    """Whose campaign it is."""
    attempt_id: int | None
    """Null: it was refused, and nothing was dialled."""
    attempt: int
    """Its ordinal in the call, from 1; of a refusal, how many attempts there were before."""
    final: bool
    """True: the call is done, and this is the last event of it."""
    next_attempt_at: datetime | None
    """When it is tried again, at the earliest. Null: it is not, or it goes on at once."""
    outcome: str
    note: str | None
    """The rule that refused it, when one did."""
    number: str
    """`0…`; "" when what was given is no number."""
    number_given: str
    person_ref: str | None
    fields: dict[str, Any]
    """As imported; a one-time code is never among them."""
    caller: str | None
    """The hotline that it showed, `0…`."""
    network: str | None
    called_at: datetime
    """When it was dialled, or refused."""
    ended_at: datetime
    ring_s: float | None
    duration_s: int
    key_press: str
    end_code: str | None
    """What the script came to."""
    record_files: list[str]
    """Where its recordings can be heard without a key, for a week unless the operator says otherwise. The
    sound may be there some seconds later."""
    recording_ids: list[int]
    """Of the same, for `GET /v1/recordings/{id}`."""
    billable_s: int
    postage: Decimal
    """Đồng, VAT included; a JSON number."""
    service_charge: Decimal
    """Đồng, VAT included; a JSON number."""


class Rung(msgspec.Struct, frozen=True):
    """A phone that it was transferred to."""

    target: str
    """`0…`, or a SIP address."""
    disposition: str
    seconds: int
    """Of talk."""


class IncomingData(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a call that came in, at its end. The names are those of
    `GET /v1/incoming-calls/{id}`."""

    account_id: int
    incoming_call_id: int
    kind: str
    """`CALLIN` or `MISSCALL`."""
    disposition: str
    hotline: str
    """`0…`"""
    caller: str
    """`0…`; "" when it was withheld, or no Vietnamese number."""
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
    key_press: str
    answers: dict[str, str]
    """What was entered last at each gather, by step."""
    end_code: str | None
    transfers: list[Rung]
    record_files: list[str]
    recording_ids: list[int]
    campaign_call_id: int | None
    """The call of a campaign that it answers."""
    campaign_id: int | None
    campaign_name: str | None


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope that the Standard Webhooks specification proposes, with version and sequence number."""

    version: int = VERSION
    type: str
    timestamp: datetime
    sequence: int
    """1, 2, … within the call; 0 of what is no campaign's call."""
    data: CallData | IncomingData | ZaloData


_SAME: Final = tuple(
    name
    for name in CallData.__struct_fields__
    if name not in {"number", "caller", "called_at", "ended_at", "next_attempt_at", "key_press"}
)
_SAME_INCOMING: Final = tuple(
    name
    for name in IncomingData.__struct_fields__
    if name not in {"hotline", "caller", "came_at", "answered_at", "ended_at", "key_press", "transfers"}
)
_to_json = msgspec.json.Encoder(decimal_format="number").encode


def render(event: Event, options: Mapping[str, Any]) -> bytes:
    """One event. There are no options."""
    if isinstance(event, CallEvent):
        return _of_call(event)
    if isinstance(event, IncomingEvent):
        return _of_incoming(event)
    data = zalo_data(event)
    return _to_json(Body(type=event.type, timestamp=shown_time(event.at), sequence=0, data=data))


def render_zalo(event: ZaloEvent, options: Mapping[str, Any]) -> bytes:
    """Zalo's own body, byte for byte."""
    assert event.raw is not None
    return event.raw.encode()


def _of_incoming(event: IncomingEvent) -> bytes:
    data = IncomingData(
        **{name: getattr(event, name) for name in _SAME_INCOMING},
        hotline=shown(event.hotline),
        caller=shown(event.caller),
        came_at=shown_time(event.came_at),
        answered_at=shown_time(event.answered_at),
        ended_at=shown_time(event.ended_at),
        key_press=event.key_presses,
        transfers=[Rung(shown(one.target), one.disposition, one.seconds) for one in event.transfers],
    )
    return _to_json(Body(type=event.type, timestamp=shown_time(event.ended_at), sequence=0, data=data))


def _of_call(event: CallEvent) -> bytes:
    data = CallData(
        **{name: getattr(event, name) for name in _SAME},
        number=shown(event.number),
        caller=None if event.hotline is None else shown(event.hotline),
        called_at=shown_time(event.called_at),
        ended_at=shown_time(event.ended_at),
        next_attempt_at=shown_time(event.next_attempt_at),
        key_press=event.key_presses,
    )
    return _to_json(
        Body(type=event.type, timestamp=shown_time(event.ended_at), sequence=event.seq, data=data)
    )
