"""The answers of AICallCenter's API, as its document writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from tongdai.domain import contacts
from tongdai.domain.calls import Outcome, ResultPage, ResultRow
from tongdai.facades.aicallcenter.errors import Failure
from tongdai.kit.clock import vietnam_text

ANSWERED: Final = 40
NOT_ANSWERED: Final = 50

# The switch's words for each way that a call ends (ARCHITECTURE, section 4).
NOTES: Final[Mapping[str, str]] = {
    Outcome.ANSWERED: "NORMAL CLEARING",
    Outcome.VOICEMAIL: "VOICEMAIL_DETECTION",
    Outcome.NO_ANSWER: "NO ANSWER",
    Outcome.BUSY: "USER BUSY",
    Outcome.REJECTED: "CALL REJECTED",
    Outcome.CANCELLED: "ORIGINATOR CANCEL",
    Outcome.UNREACHABLE: "SUBSCRIBER ABSENT",
    Outcome.INVALID_NUMBER: "UNALLOCATED NUMBER",
    Outcome.NO_HOTLINE: "NO HOTLINE",
    Outcome.NO_FUNDS: "OUT OF FUNDS",
    Outcome.CONGESTION: "NETWORK CONGESTION",
    Outcome.PLAN_EXPIRED: "PLAN EXPIRED",
    Outcome.NETWORK_UNSUPPORTED: "NETWORK NOT SUPPORTED",
    Outcome.BLOCKED: "BLOCKED",
    Outcome.EXPIRED: "OTP EXPIRED",
    Outcome.FAILED: "SYSTEM ERROR",
    Outcome.LOST: "UNKNOWN",
}
_PICKED_UP: Final = frozenset({Outcome.ANSWERED, Outcome.VOICEMAIL})


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    status: int = 0
    code: str
    message: str


class ImportedContact(msgspec.Struct, frozen=True, gc=False):
    phone_number: str
    """As it was received."""
    call_id: int


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    status: int = 1
    message: str
    results: list[ImportedContact]


class Token(msgspec.Struct, frozen=True):
    access_token: str


class TokenIssued(msgspec.Struct, frozen=True, kw_only=True):
    status: int = 1
    results: Token


class CallRow(msgspec.Struct, frozen=True, gc=False):
    call_id: int
    caller_id: str
    """The hotline, `0…`; "" when nothing was dialled."""
    callee_id: str
    """The number as it was imported."""
    called_at: str
    """`YYYY-MM-DD HH:MM:SS` in Vietnam."""
    duration: int
    """Seconds listened."""
    key_press: str
    """`digit (second)`, joined by a comma and a space; "" when no key was pressed."""
    note: str
    state: int
    """40: answered, 50: not."""


class LoggedCallRow(CallRow, frozen=True, gc=False):
    campaign_id: int


class CallPage(msgspec.Struct, frozen=True):
    limit: int
    total: int
    calls: Sequence[CallRow]


class CallsExported(msgspec.Struct, frozen=True, kw_only=True):
    status: int = 1
    results: CallPage


Answer = Refused | Imported | TokenIssued | CallsExported


def refused(failure: Failure) -> Refused:
    return Refused(code=failure.code, message=failure.message)


def imported(results: list[ImportedContact], received: int) -> Imported:
    message = f"Ghi nhận thành công {len(results)} trên {received} bản ghi"
    return Imported(message=message, results=results)


def exported(page: ResultPage, limit: int) -> CallsExported:
    """A page of a campaign's calls."""
    calls = [CallRow(*_columns(row)) for row in page.rows]
    return CallsExported(results=CallPage(limit, page.total, calls))


def logged(page: ResultPage, limit: int) -> CallsExported:
    """A page of a user's calls, each with its campaign."""
    calls = [LoggedCallRow(*_columns(row), row.campaign_id) for row in page.rows]
    return CallsExported(results=CallPage(limit, page.total, calls))


def note_of(outcome: str, rule: str | None) -> str:
    """The switch's words for an outcome; a blocked call names the rule that blocked it."""
    words = NOTES.get(outcome, NOTES[Outcome.FAILED])
    if outcome == Outcome.BLOCKED and rule:
        return f"{words} {rule.replace('_', ' ').upper()}"
    return words


def state_of(outcome: str) -> int:
    return ANSWERED if outcome in _PICKED_UP else NOT_ANSWERED


def _columns(row: ResultRow) -> tuple[int, str, str, str, int, str, str, int]:
    """The fields of `CallRow`, in its order."""
    return (
        row.id,
        contacts.shown(row.caller),
        row.number_given,
        vietnam_text(row.called_at),
        row.duration_s,
        row.key_press,
        note_of(row.outcome, row.note),
        state_of(row.outcome),
    )
