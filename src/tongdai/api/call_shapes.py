"""Shapes of calls, their attempts and legs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tongdai.api.bodies import Id
from tongdai.api.times import shown_time
from tongdai.domain import calls
from tongdai.domain.contacts import shown
from tongdai.domain.inbound import Disposition, IncomingCall, Kind

CANCEL_BATCH = 1000
"""Calls that one request cancels at most, so that its transaction stays short."""

CallState = Literal["queued", "dialing", "done"]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One number to be reached in one campaign."""

    id: int
    campaign_id: int
    state: CallState
    number: str
    """`0…`; empty when what was given is no number."""
    number_given: str
    """As it was imported."""
    fields: dict[str, Any]
    attempts: int
    """So many were dialled."""
    max_attempts: int | None
    """Of this contact alone. Null: the campaign's rules."""
    deferred_reason: str | None
    """Why it was put off, when it was."""
    outcome: str | None
    """Of its latest attempt that ended, or why it was never dialled."""
    note: str | None
    """The rule that refused it, when one did."""
    called_at: datetime | None
    """Start of that attempt, or the time of the refusal."""
    duration_s: int | None
    """Seconds from the answer; 0 when nobody answered."""
    key_press: str | None
    """`1 (29)`: each key with its second since the answer, joined by a comma and a space."""
    caller: str | None
    """The hotline that it showed, `0…`."""
    created_at: datetime
    due_at: datetime
    """When it may be dialled, at the earliest."""
    expires_at: datetime | None
    """An OTP is not dialled after it. One that never was ends as `expired`, another with its last outcome."""
    done_at: datetime | None

    @classmethod
    def of(cls, row: calls.Call) -> Call:
        return cls(**_call_values(row))


class CallPage(msgspec.Struct, frozen=True):
    """Calls, oldest first. With filters it may hold few or none although `next` is set."""

    items: list[Call]
    next: str | None
    """Cursor of the next page; null on the last."""


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One originate on one trunk."""

    id: int
    kind: Literal["outbound", "inbound", "transfer"]
    state: Literal["committed", "unknown", "ended"]
    """`unknown`: the engine cannot be asked; it is asked again when it is back."""
    trunk_id: int
    hotline_id: int
    engine: str
    node: str
    dial_at: datetime
    """Its place in the trunk's calls per second."""
    ended_at: datetime | None
    outcome: str | None

    @classmethod
    def of(cls, row: calls.Leg) -> Leg:
        plain = {name: getattr(row, name) for name in _SAME_IN_LEG}
        return cls(**plain, dial_at=shown_time(row.dial_at), ended_at=shown_time(row.ended_at))


_SAME_IN_LEG = ("id", "kind", "state", "trunk_id", "hotline_id", "engine", "node", "outcome")


class TimelineEvent(msgspec.Struct, frozen=True):
    """Something that happened on an attempt."""

    second: float
    """On the call's own clock."""
    event: str
    detail: Any


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try to reach the person."""

    id: int
    ordinal: int
    """1, 2, … within the call."""
    hotline_id: int
    dialled_at: datetime
    ended_at: datetime | None
    outcome: str | None
    ring_s: float | None
    """Seconds that it rang."""
    duration_s: int | None
    key_press: str | None
    record_files: list[str]
    """Links to what was recorded of it, good without a key for an hour unless the operator says otherwise.
    The sound may be there some seconds after the call."""
    timeline: list[TimelineEvent]
    legs: list[Leg]

    @classmethod
    def of(cls, detail: calls.AttemptDetail, record_files: list[str]) -> Attempt:
        row = detail.attempt
        plain = {name: getattr(row, name) for name in _SAME_IN_ATTEMPT}
        return cls(
            **plain,
            dialled_at=shown_time(row.dialled_at),
            ended_at=shown_time(row.ended_at),
            record_files=record_files,
            timeline=[TimelineEvent(*event) for event in row.timeline or ()],
            legs=[Leg.of(leg) for leg in detail.legs],
        )


_SAME_IN_ATTEMPT = ("id", "ordinal", "hotline_id", "outcome", "ring_s", "duration_s", "key_press")


class CallBack(msgspec.Struct, frozen=True, kw_only=True):
    """A call that came in from this number within seven days of an attempt to reach it."""

    id: int
    """Of the incoming call."""
    hotline_id: int
    came_at: datetime
    kind: Kind | None
    """Null: it is not over."""
    disposition: Disposition | None
    duration_s: int | None

    @classmethod
    def of(cls, row: IncomingCall) -> CallBack:
        return cls(
            id=row.id,
            hotline_id=row.hotline_id,
            came_at=shown_time(row.came_at),
            kind=None if row.kind is None else Kind(row.kind),
            disposition=None if row.disposition is None else Disposition(row.disposition),
            duration_s=row.duration_s,
        )


class CallDetail(Call, frozen=True, kw_only=True):
    """One call with everything that was tried."""

    history: list[Attempt]
    """Its attempts, first to last."""
    call_backs: list[CallBack]
    """The newest hundred, newest first."""

    @classmethod
    def with_history(
        cls,
        detail: calls.CallDetail,
        record_files: Mapping[int, list[str]],
        call_backs: Sequence[IncomingCall],
    ) -> CallDetail:
        """`record_files`: by attempt."""
        history = [Attempt.of(one, record_files.get(one.attempt.id, [])) for one in detail.attempts]
        return cls(
            **_call_values(detail.call), history=history, call_backs=[CallBack.of(row) for row in call_backs]
        )


class CancelRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which queued calls to cancel: by id, by number, by campaign, or by number within a campaign."""

    call_ids: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=CANCEL_BATCH)] | None = None
    """Not together with the others. Ids that are unknown, or whose calls are not queued, are passed over."""
    number: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    """However people write it."""
    campaign_id: Id | None = None


class Cancelled(msgspec.Struct, frozen=True):
    """What was cancelled."""

    call_ids: list[int]
    """The calls that were queued and are now done, with outcome `cancelled`."""
    more: bool
    """True: as many were cancelled as one request may; send it again for the rest."""


_SAME_IN_CALL = (
    "id",
    "campaign_id",
    "state",
    "number_given",
    "fields",
    "attempts",
    "max_attempts",
    "deferred_reason",
    "outcome",
    "note",
    "duration_s",
    "key_press",
)
_TIMES_IN_CALL = ("called_at", "created_at", "due_at", "expires_at", "done_at")


def _call_values(row: calls.Call) -> dict[str, Any]:
    plain = {name: getattr(row, name) for name in _SAME_IN_CALL}
    times = {name: shown_time(getattr(row, name)) for name in _TIMES_IN_CALL}
    caller = None if row.caller is None else shown(row.caller)
    return plain | times | {"number": shown(row.number), "caller": caller}
