"""The answers of VBot's API: one envelope for all, and the rows of what can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType, structs

from tongdai.domain import contacts
from tongdai.domain.accounts import LoginTokens
from tongdai.domain.calls import HistoryRow
from tongdai.domain.inbound import IncomingCall
from tongdai.domain.routing import Hotline
from tongdai.domain.webhooks import RungPhone
from tongdai.facades.vbot.callbacks import (
    HistoryCall,
    Party,
    clock_text,
    history_call,
    incoming_history_call,
)
from tongdai.facades.vbot.errors import Failure

SUCCESS: Final = "success"
FAILED_DATA: Final = "-1"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What every endpoint but the token's answers.

    `data` is a number, a list, or the text "-1" of a refusal, the only one that the vendor documents.
    """

    status: int
    """1: done, 0: refused."""
    error: int
    msg: str
    data: object
    message: str | UnsetType = UNSET
    """The same as `msg`, which later generations call so."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    token_type: str = "bearer"  # noqa: S105 - a kind of token
    expires_in: int
    """Seconds."""
    refresh_token: str


class TokenRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal as OAuth 2 has it (RFC 6749, section 5.2)."""

    error: str
    error_description: str


class Callee(Party, frozen=True, kw_only=True):
    duration_call: str
    """`HH:mm:ss` from the dial to the end, ringing included."""


class HotlineRow(msgspec.Struct, frozen=True):
    hotline_name: str
    """The brand name; the number where there is none."""
    hotline_number: str
    hotline_code: str
    hotline_type: str = "HOTLINE"


def succeeded(data: object, *, message_field: bool) -> Answer:
    return Answer(status=1, error=0, msg=SUCCESS, data=data, message=SUCCESS if message_field else UNSET)


def refused(failure: Failure, *, message_field: bool) -> Answer:
    return Answer(
        status=0,
        error=failure.error,
        msg=failure.msg,
        data=FAILED_DATA,
        message=failure.msg if message_field else UNSET,
    )


def token(tokens: LoginTokens) -> Token:
    return Token(
        access_token=tokens.access_token, expires_in=tokens.expires_in, refresh_token=tokens.refresh_token
    )


def hotline_row(hotline: Hotline) -> HotlineRow:
    number = contacts.shown(hotline.number)
    return HotlineRow(hotline.brand_name or number, number, f"HL_{hotline.id}")


RecordFiles = Mapping[int, list[str]]
"""Where what was recorded can be heard, by attempt or by call that came in."""
_NONE: Final[list[str]] = []


def history(
    rows: Sequence[HistoryRow | IncomingCall],
    date_format: str,
    of_attempts: RecordFiles,
    of_incoming: RecordFiles,
) -> list[HistoryCall]:
    """Calls of campaigns and calls that came in, as the call history has them."""
    return [
        _incoming_row(row, date_format, of_incoming.get(row.id, _NONE))
        if isinstance(row, IncomingCall)
        else _history_row(row, date_format, of_attempts.get(row.attempt_id, _NONE))
        for row in rows
    ]


def _incoming_row(row: IncomingCall, date_format: str, record_files: list[str]) -> HistoryCall:
    duration_s = row.duration_s or 0
    call = incoming_history_call(
        kind=row.kind or "",
        disposition=row.disposition or "",
        hotline=row.hotline,
        caller=contacts.shown(row.caller) or row.caller_given,
        came_at=row.came_at,
        duration_s=duration_s,
        rung=msgspec.convert(row.transfers or [], list[RungPhone]),
        record_files=record_files,
        options={"date_format": date_format},
    )
    return _with_duration(call, (row.ring_s or 0) + duration_s)


def _history_row(row: HistoryRow, date_format: str, record_files: list[str]) -> HistoryCall:
    call = history_call(
        hotline=row.hotline,
        phone=contacts.shown(row.number),
        called_at=row.dialled_at,
        duration_s=row.duration_s,
        postage=row.postage,
        outcome=row.outcome,
        record_files=record_files,
        options={"date_format": date_format},
    )
    return _with_duration(call, row.ring_s + row.duration_s)


def _with_duration(call: HistoryCall, seconds: float) -> HistoryCall:
    duration = clock_text(round(seconds))
    callees = tuple(Callee(**structs.asdict(callee), duration_call=duration) for callee in call.callee)
    return structs.replace(call, callee=callees)
