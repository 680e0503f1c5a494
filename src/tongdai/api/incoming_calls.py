"""Calls that came in: who called which hotline, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import get
from litestar.params import QueryParameter

from tongdai.api.auth import CalledBy, Wired
from tongdai.api.bodies import MAX_ID
from tongdai.api.call_shapes import TimelineEvent
from tongdai.api.numbers import canonical
from tongdai.api.paging import Cursor, Limit, after, to_cursor
from tongdai.api.params import IncomingCallId
from tongdai.api.problems import answers
from tongdai.api.times import shown_time
from tongdai.domain import calls, inbound, recordings, routing
from tongdai.domain.contacts import shown
from tongdai.domain.inbound import Disposition, IncomingFilter, Kind
from tongdai.domain.recordings import Links

TAGS = ["Incoming calls"]

IncomingState = Literal["ringing", "talking", "ended"]

OfHotline = Annotated[int | None, QueryParameter(ge=1, le=MAX_ID, description="Only calls to this hotline.")]
OfCall = Annotated[
    int | None,
    QueryParameter(ge=1, le=MAX_ID, description="Only calls that answer this call of a campaign."),
]
OfKind = Annotated[Kind | None, QueryParameter(description="Only answered calls, or only missed ones.")]
InState = Annotated[
    IncomingState | None, QueryParameter(name="state", description="Only calls in this state.")
]
FromNumber = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=100,
        description="Only calls from this number, however people write it.",
    ),
]


class RungPhone(msgspec.Struct, frozen=True):
    """A phone that a call was transferred to."""

    target: str
    """`0…`, or a SIP address."""
    disposition: Disposition
    """`ANSWER`: it had the call. `SOMEONEANSWERED`: another one of its group was quicker."""
    seconds: int
    """Of talk."""


class IncomingCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that came in to a hotline."""

    id: int
    hotline_id: int
    hotline: str
    """Its number, `0…`."""
    trunk_id: int
    """The trunk that brought the call."""
    caller: str
    """`0…`; "" when it is withheld, or no Vietnamese number."""
    caller_given: str
    """As the carrier wrote it."""
    called_given: str
    """As the carrier wrote it."""
    state: IncomingState
    came_at: datetime
    answered_at: datetime | None
    """When it was picked up."""
    ended_at: datetime | None
    kind: Kind | None
    """`CALLIN`: somebody, or the script, spoke with the caller. `MISSCALL`: nobody did. Null: it goes on."""
    disposition: Disposition | None
    """Why, in VBot's words."""
    ring_s: float | None
    """Seconds until it was picked up, or ended."""
    duration_s: int | None
    """Seconds from the moment it was picked up."""
    billable_s: int | None
    key_press: str | None
    """`1 (29)`: each key with its second since it was picked up, joined by a comma and a space."""
    answers: dict[str, str]
    """What was entered last at each gather, by step."""
    end_code: str | None
    """What the script came to."""
    transfers: list[RungPhone]
    """Every phone that it was transferred to, in the order of ringing."""
    campaign_call_id: int | None
    """The call of a campaign that it answers: the account rang this number in the seven days before."""
    campaign_id: int | None

    @classmethod
    def of(cls, row: inbound.IncomingCall) -> IncomingCall:
        return cls(**_values(row))


class IncomingCallDetail(IncomingCall, frozen=True, kw_only=True):
    """A call that came in, second by second."""

    timeline: list[TimelineEvent]
    record_files: list[str]
    """Links to what the caller said, good without a key for an hour unless the operator says otherwise. The
    sound may be there some seconds after the call."""

    @classmethod
    def with_files(cls, row: inbound.IncomingCall, record_files: list[str]) -> IncomingCallDetail:
        timeline = [TimelineEvent(*event) for event in row.timeline or ()]
        return cls(**_values(row), timeline=timeline, record_files=record_files)


class IncomingCallPage(msgspec.Struct, frozen=True):
    """Calls that came in, newest first. With filters it may hold few or none although `next` is set."""

    items: list[IncomingCall]
    next: str | None
    """Cursor of the next page, of older ones; null on the last."""


@get(
    "/incoming-calls",
    operation_id="listIncomingCalls",
    summary="List incoming calls",
    tags=TAGS,
    responses=answers(404),
)
async def list_incoming_calls(
    services: Wired,
    caller: CalledBy,
    hotline_id: OfHotline = None,
    campaign_call_id: OfCall = None,
    kind: OfKind = None,
    in_state: InState = None,
    number: FromNumber = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> IncomingCallPage:
    """The calls that came in to the account's hotlines, newest first; those that match every filter.

    Each request looks at no more than 20,000 calls, so that a page may hold few items or none: go on with
    `next` until it is null.
    """
    wanted = IncomingFilter(hotline_id, canonical(number), kind, in_state, campaign_call_id)
    async with services.db.transaction() as tx:
        if hotline_id is not None:
            await routing.get_hotline(tx, caller.account_id, hotline_id)
        if campaign_call_id is not None:
            await calls.get_call(tx, caller.account_id, campaign_call_id)
        found = await inbound.list_incoming_calls(
            tx, caller.account_id, wanted, before=after(cursor) or None, limit=limit
        )
    further = None if found.further is None else to_cursor(found.further)
    return IncomingCallPage([IncomingCall.of(row) for row in found.calls], further)


@get(
    "/incoming-calls/{incoming_call_id:str}",
    operation_id="getIncomingCall",
    summary="Get an incoming call",
    tags=TAGS,
    responses=answers(404),
)
async def get_incoming_call(
    services: Wired, caller: CalledBy, incoming_call_id: IncomingCallId
) -> IncomingCallDetail:
    """One call that came in, with what happened on it second by second and what was recorded of it."""
    async with services.db.transaction() as tx:
        row = await inbound.get_incoming_call(tx, caller.account_id, incoming_call_id)
        recorded = await recordings.of_incoming_calls(tx, caller.account_id, [row.id])
    links = Links(services.keyring, services.recordings)
    return IncomingCallDetail.with_files(
        row, links.by_incoming(recorded, services.clock.now()).get(row.id, [])
    )


_SAME = (
    "id",
    "hotline_id",
    "trunk_id",
    "caller_given",
    "called_given",
    "state",
    "kind",
    "disposition",
    "ring_s",
    "duration_s",
    "billable_s",
    "key_press",
    "end_code",
    "campaign_call_id",
    "campaign_id",
)


def _values(row: inbound.IncomingCall) -> dict[str, Any]:
    same = {name: getattr(row, name) for name in _SAME}
    times = {name: shown_time(getattr(row, name)) for name in ("came_at", "answered_at", "ended_at")}
    rung = [
        RungPhone(shown(one["target"]), Disposition(one["disposition"]), one["seconds"])
        for one in row.transfers or ()
    ]
    return {
        **same,
        **times,
        "hotline": shown(row.hotline),
        "caller": shown(row.caller),
        "kind": None if row.kind is None else Kind(row.kind),
        "disposition": None if row.disposition is None else Disposition(row.disposition),
        "answers": row.answers or {},
        "transfers": rung,
    }


HANDLERS = [list_incoming_calls, get_incoming_call]
