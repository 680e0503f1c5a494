"""The body that AICallCenter posts to its customers.

It is in no document of the vendor's: the shape is what public receivers of it read. The columns are those of
the export, so that a receiver that compares both finds the same values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tongdai.domain.calls import Outcome
from tongdai.domain.contacts import shown
from tongdai.domain.webhooks import CallEvent
from tongdai.facades.aicallcenter.responses import note_of, state_of
from tongdai.kit.clock import vietnam_text

MASKED_CODE: Final = "******"
_OTP: Final = "otp"

# What receivers compare `end_code` with when the script itself came to nothing.
_END_CODES: Final[Mapping[str, str]] = {Outcome.BUSY: "BUSY", Outcome.VOICEMAIL: "VOICEMAIL"}


class CallData(msgspec.Struct, frozen=True, kw_only=True):
    """How the call went, or why it was not made."""

    call_id: int
    campaign_id: int
    caller_id: str
    """The hotline, `0…`; "" when nothing was dialled."""
    callee_id: str
    """The number as it was imported."""
    called_at: str
    """`YYYY-MM-DD HH:MM:SS` in Vietnam."""
    duration: int
    """Seconds listened."""
    state: int
    """40: answered, by a machine too; 50: not."""
    key_press: str
    """`1 (29), 2 (35)`: each key with its second since the answer; "" when none was pressed."""
    note: str
    """The switch's words, as in the export: `VOICEMAIL_DETECTION` for a machine."""
    end_code: str
    """What the script came to, `BUSY` or `VOICEMAIL` without one; else ""."""
    record_audio: str
    """Where the first recording is; "" without one."""


class Callback(msgspec.Struct, frozen=True):
    """A call's result with the contact that it was for."""

    data: CallData
    import_data: dict[str, Any]
    """As it was imported; a code is never sent."""


_to_json = msgspec.json.Encoder(decimal_format="number").encode


def render(event: CallEvent, options: Mapping[str, Any]) -> bytes:
    """One attempt, or one refusal. There are no options."""
    data = CallData(
        call_id=event.call_id,
        campaign_id=event.campaign_id,
        caller_id=shown(event.hotline or ""),
        callee_id=event.number_given,
        called_at=vietnam_text(event.called_at),
        duration=event.duration_s,
        state=state_of(event.outcome),
        key_press=event.key_presses,
        note=note_of(event.outcome, event.note),
        end_code=event.end_code or _END_CODES.get(event.outcome, ""),
        record_audio=event.record_files[0] if event.record_files else "",
    )
    return _to_json(Callback(data, _as_imported(event)))


def _as_imported(event: CallEvent) -> dict[str, Any]:
    """The contact with the names of the import: its number, its own fields, and that it had a code."""
    contact = {"phone_number": "", **event.fields}
    contact["phone_number"] = event.number_given
    if event.purpose == _OTP or "otp_code" in contact:
        contact["otp_code"] = MASKED_CODE
    return contact
