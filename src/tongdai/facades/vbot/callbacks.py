"""The bodies that VBot posts to its customers: the auto-call history and the call history.

The vendor's page lists the fields of both. Those of the call history it lists flat; the page of its own
history call, of the same generation, shows how they nest. What is declared a String is one: "", never null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from tongdai.domain.calls import Outcome
from tongdai.domain.contacts import shown
from tongdai.domain.webhooks import CallEvent, IncomingEvent, RungPhone
from tongdai.kit.clock import VIETNAM

AUTO_STATUS: Final[Mapping[str, int]] = {
    Outcome.ANSWERED: 200,
    Outcome.VOICEMAIL: 200,
    Outcome.NO_ANSWER: 2,
    Outcome.BUSY: 3,
    Outcome.REJECTED: 3,
    Outcome.CANCELLED: 4,
    Outcome.UNREACHABLE: 2,
    Outcome.INVALID_NUMBER: 101,
    Outcome.NO_HOTLINE: 102,
    Outcome.NO_FUNDS: 103,
    Outcome.CONGESTION: 104,
    Outcome.PLAN_EXPIRED: 105,
    Outcome.NETWORK_UNSUPPORTED: 106,
    Outcome.BLOCKED: 104,
    Outcome.EXPIRED: 104,
    Outcome.FAILED: 100,
    Outcome.LOST: -100,
}
"""The auto-call history's `status` for each way that a call ends (ARCHITECTURE, section 4)."""

DISPOSITIONS: Final[Mapping[str, str]] = {
    Outcome.ANSWERED: "ANSWER",
    Outcome.VOICEMAIL: "ANSWER",
    Outcome.NO_ANSWER: "NOANSWER",
    Outcome.BUSY: "BUSY",
    Outcome.REJECTED: "BUSY",
    Outcome.CANCELLED: "CANCEL",
    Outcome.UNREACHABLE: "NOANSWER",
    Outcome.INVALID_NUMBER: "INVALIDARGS",
    Outcome.NO_HOTLINE: "CHANUNAVAIL",
    Outcome.NO_FUNDS: "DONTCALL",
    Outcome.CONGESTION: "CONGESTION",
    Outcome.PLAN_EXPIRED: "DONTCALL",
    Outcome.NETWORK_UNSUPPORTED: "CHANUNAVAIL",
    Outcome.BLOCKED: "DONTCALL",
    Outcome.EXPIRED: "DONTCALL",
    Outcome.FAILED: "MORE",
    Outcome.LOST: "MORE",
}
"""The call history's `disposition`, likewise."""

CAMPAIGN_CALL: Final = "CAMPAIGN_CALL"
HISTORY_CALL: Final = "HISTORY_CALL"

_DATE_FORMATS: Final[Mapping[str, str]] = {
    "MM/dd/yyyy": "%m/%d/%Y %H:%M:%S",
    "dd/MM/yyyy": "%d/%m/%Y %H:%M:%S",
}
_DEFAULT_DATE_FORMAT: Final = "MM/dd/yyyy"
_CALLED_BY: Final = "Campaign"
_CALLED_ON: Final = "Phone"
_CAME_TO: Final = "Hotline"

# Amounts are Doubles in the vendor's page: numbers in JSON, with the digits that were charged.
_to_json = msgspec.json.Encoder(decimal_format="number").encode


class AutoCallBody(msgspec.Struct, frozen=True):
    """The twelve fields of the auto-call history, in the order and with the types of the vendor's table."""

    campaign_id: int
    create_at: str
    """When it was dialled, or refused."""
    hotline: str
    """`0…`; "" when it was never dialled."""
    phone: str
    """`0…`; what was given, when that is no number."""
    name: str
    description: str
    status: int
    time_call: int
    """Seconds from the answer; 0 when nobody answered."""
    postage: Decimal
    service_charge: Decimal
    action_log: str
    """`1 (29), 2 (35)`: each key with its second since the answer; "" when none was pressed."""
    event_data: str = CAMPAIGN_CALL


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """Who called, or who was called."""

    phone: str
    vbot_id: str = ""
    """Of a member of the customer's; a campaign has none at either end."""
    date_create: str
    disposition: str
    time_call: str
    postage: Decimal
    source: str
    member_no: str = ""


class HistoryCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call of the call history."""

    hotline_number: str
    date_create: str
    time_call: str
    """`HH:mm:ss` from the answer to the end."""
    type_call: str = "CALLOUT"
    caller: tuple[Party, ...]
    callee: tuple[Party, ...]
    postage: str
    """A String in the vendor's table, though each party's is a number."""
    source: str = _CALLED_BY
    disposition: str
    record_file: list[str]


class CallHistoryBody(msgspec.Struct, frozen=True, kw_only=True):
    """The call history as the vendor's history call answers it, with the name of the event."""

    status: int = 1
    error: int = 0
    message: str = "success"
    event_data: str = HISTORY_CALL
    data: tuple[HistoryCall, ...]


def render_auto_call(event: CallEvent, options: Mapping[str, Any]) -> bytes:
    """One attempt, or one refusal. Option `date_format`: `MM/dd/yyyy` (unless told) or `dd/MM/yyyy`."""
    body = AutoCallBody(
        campaign_id=event.campaign_id,
        create_at=_date_text(event.called_at, options),
        hotline=shown(event.hotline or ""),
        phone=_phone(event),
        name=_text(event.fields.get("name")),
        description=_text(event.fields.get("description")),
        status=auto_status_of(event.outcome),
        time_call=event.duration_s,
        postage=event.postage,
        service_charge=event.service_charge,
        action_log=event.key_presses,
    )
    return _to_json(body)


def render_call_history(event: CallEvent | IncomingEvent, options: Mapping[str, Any]) -> bytes:
    """One ended attempt, or one call that came in. Options as for the auto-call history."""
    if isinstance(event, IncomingEvent):
        return _to_json(CallHistoryBody(data=(_incoming(event, options),)))
    call = history_call(
        hotline=event.hotline or "",
        phone=_phone(event),
        called_at=event.called_at,
        duration_s=event.duration_s,
        postage=event.postage,
        outcome=event.outcome,
        record_files=event.record_files,
        options=options,
    )
    return _to_json(CallHistoryBody(data=(call,)))


def history_call(
    *,
    hotline: str,
    phone: str,
    called_at: datetime,
    duration_s: int,
    postage: Decimal,
    outcome: str,
    record_files: list[str],
    options: Mapping[str, Any],
) -> HistoryCall:
    """One ended attempt, as a call from the hotline (84…) to the person (as it is shown).

    Both parties carry the call's whole postage, as the vendor's own samples do. Options as for the auto-call
    history.
    """
    date = _date_text(called_at, options)
    talked = clock_text(duration_s)
    disposition = disposition_of(outcome)
    caller = Party(
        phone=shown(hotline),
        date_create=date,
        disposition="",
        time_call=talked,
        postage=postage,
        source=_CALLED_BY,
    )
    callee = Party(
        phone=phone,
        date_create=date,
        disposition=disposition,
        time_call=talked,
        postage=postage,
        source=_CALLED_ON,
    )
    return HistoryCall(
        hotline_number=shown(hotline),
        date_create=date,
        time_call=talked,
        caller=(caller,),
        callee=(callee,),
        postage=format(postage, "f"),
        disposition=disposition,
        record_file=record_files,
    )


def _incoming(event: IncomingEvent, options: Mapping[str, Any]) -> HistoryCall:
    return incoming_history_call(
        kind=event.kind,
        disposition=event.disposition,
        hotline=event.hotline,
        caller=shown(event.caller) or event.caller_given,
        came_at=event.came_at,
        duration_s=event.duration_s,
        rung=event.transfers,
        record_files=event.record_files,
        options=options,
    )


def incoming_history_call(
    *,
    kind: str,
    disposition: str,
    hotline: str,
    caller: str,
    came_at: datetime,
    duration_s: int,
    rung: Sequence[RungPhone],
    record_files: list[str],
    options: Mapping[str, Any],
) -> HistoryCall:
    """One call from a person (as it is shown) to the hotline (84…): CALLIN or MISSCALL.

    Whoever its script rang are its callees, each with what became of them; the hotline itself is the only one
    where it rang nobody. Such a call costs nothing. Options as for the auto-call history.
    """
    date, talked = _date_text(came_at, options), clock_text(duration_s)

    def party(phone: str, disposition: str, time_call: str, source: str) -> Party:
        return Party(
            phone=phone,
            date_create=date,
            disposition=disposition,
            time_call=time_call,
            postage=Decimal(0),
            source=source,
        )

    callees = [
        party(shown(one.target), one.disposition, clock_text(one.seconds), _CALLED_ON) for one in rung
    ] or [party(shown(hotline), disposition, talked, _CAME_TO)]
    return HistoryCall(
        hotline_number=shown(hotline),
        date_create=date,
        time_call=talked,
        type_call=kind,
        caller=(party(caller, "", talked, _CALLED_ON),),
        callee=tuple(callees),
        postage="0",
        source=_CALLED_ON,
        disposition=disposition,
        record_file=record_files,
    )


def auto_status_of(outcome: str) -> int:
    """An outcome that VBot has no status for is an error of the system."""
    return AUTO_STATUS.get(outcome, AUTO_STATUS[Outcome.FAILED])


def disposition_of(outcome: str) -> str:
    return DISPOSITIONS.get(outcome, DISPOSITIONS[Outcome.FAILED])


def _phone(event: CallEvent) -> str:
    return shown(event.number) if event.number else event.number_given


def _date_text(moment: datetime, options: Mapping[str, Any]) -> str:
    """A moment in Vietnam. The vendor writes months first; a date in Vietnam is mostly written otherwise."""
    form = _DATE_FORMATS.get(str(options.get("date_format")), _DATE_FORMATS[_DEFAULT_DATE_FORMAT])
    return moment.astimezone(VIETNAM).strftime(form)


def clock_text(seconds: int) -> str:
    """`HH:mm:ss`."""
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}"


def _text(value: object) -> str:
    """A contact's field as text: a list from a file, or our own API, may hold numbers."""
    if value is None:
        return ""
    return value if isinstance(value, str) else _to_json(value).decode()
