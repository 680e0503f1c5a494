"""What came of a script on one call. Pure."""

from __future__ import annotations

from dataclasses import dataclass


class Result:
    """What `Runner.result` says when the script named no end code of its own."""

    COMPLETED = "completed"
    NO_INPUT = "no_input"
    INVALID_INPUT = "invalid_input"
    VOICEMAIL = "voicemail"
    """A machine answered, and nothing was left on it."""
    MESSAGE_LEFT = "message_left"
    NOT_CONFIRMED = "not_confirmed"
    """Nobody pressed a key to hear the code."""
    NO_CODE = "no_code"
    """The script reads a code, and the call has none."""
    STEP_LIMIT = "step_limit"
    HUNG_UP = "hung_up"
    """The call ended while the script had more to say."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What a person said at a record step. `seconds` is its length."""

    step: str
    storage_key: str
    seconds: float
