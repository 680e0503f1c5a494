"""What Zalo refuses of a message, found before Zalo is asked. Pure.

Every rule answers with Zalo's own code, because the customer knows those. Lengths are in characters.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

from tongdai.kit.clock import VIETNAM
from tongdai.ports.zalo import TemplateParam

Purpose = Literal["transaction", "customer_care", "promotion"]

MAX_TRACKING: Final = 48
"""Characters of a tracking id (Zalo's page on sending)."""
MAX_ID: Final = 2**63 - 1
MAX_VALUE: Final = 4000
"""Characters of one parameter, whatever its template says or does not say: ten times what Zalo shows."""

DATA_EMPTY: Final = -111
TOO_LONG: Final = -1121
MISSING: Final = -1122
BAD_FORMAT: Final = -1124
NOT_APPROVED: Final = -131
NIGHT: Final = -133
OA_QUOTA: Final = -144
PROMOTION_QUOTA: Final = -1441
LOW_QUALITY: Final = -146
TEMPLATE_QUOTA: Final = -147
TOKEN_INVALID: Final = -149
TOKEN_EXPIRED: Final = -150
MODE_NOT_ALLOWED: Final = -162

ONE_TIME_TIMEOUT: Final = timedelta(seconds=15)
"""Zalo's promise for one-time codes, and for nothing else that is as quick."""

_PURPOSES: Final[Mapping[str, Purpose]] = {
    "TRANSACTION": "transaction",
    "OTP": "transaction",
    "IN_TRANSACTION": "transaction",
    "POST_TRANSACTION": "transaction",
    "CUSTOMER_CARE": "customer_care",
    "ACCOUNT_UPDATE": "customer_care",
    "GENERAL_UPDATE": "customer_care",
    "PROMOTION": "promotion",
    "FOLLOW_UP": "promotion",
}
"""Zalo's three tags, and the six of before 2024-04-16 (Zalo's notice on simpler tags)."""

_HOURS: Final[Mapping[Purpose, tuple[time, time] | None]] = {
    "transaction": None,
    "customer_care": (time(6), time(22)),
    "promotion": (time(8), time(20)),
}
"""In Vietnam, the end exclusive; None: at any time.

Zalo's night is 22:00 to 06:00; what is narrower is our choice.
"""

# Text that neither Zalo nor the database takes.
_unstorable: Final = re.compile("[\x00\ud800-\udfff]").search
_number: Final = re.compile(r"[-+]?\d+(?:[.,]\d+)*").fullmatch
# At the beginning or end of a word: otpCode and maOTP, but not hotphone.
_otp_word: Final = re.compile(r"(?:^|[^a-z])otp|otp(?:[^a-z]|$)").search


@dataclass(frozen=True, slots=True)
class Refused:
    """A rule's no, as Zalo would say it."""

    code: int
    message: str


def purpose_of(tag: str) -> Purpose:
    """What a template's tag stands for. A tag that nobody knows may not be sent at night either."""
    return _PURPOSES.get(tag.upper(), "customer_care")


def is_one_time_code(tag: str, params: Sequence[TemplateParam], timeout: timedelta | None) -> bool:
    """Whether a template carries one-time codes. Since 2024 their tag is that of all transactions, so the
    name of a parameter and the promised time tell as much; in doubt, it does."""
    if tag.upper() == "OTP":
        return True
    if purpose_of(tag) != "transaction":
        return False
    quick = timeout is not None and timedelta(0) < timeout <= ONE_TIME_TIMEOUT
    return quick or any(_otp_word(param.name.lower()) for param in params)


def storable(text: str) -> bool:
    return _unstorable(text) is None


def storable_id(number: int) -> bool:
    return 0 < number <= MAX_ID


# ---------------------------------------------------------------- whether it may go now


def check_status(status: str, quality: str, *, development: bool) -> Refused | None:
    """A template goes out only while it is approved, and to testers while it waits for that; -146: it was
    stopped for its quality."""
    if status == "ENABLE" or (development and status == "PENDING_REVIEW"):
        return None
    if status == "DISABLE" and quality == "LOW":
        return Refused(LOW_QUALITY, "Template is disabled because of its low quality")
    return Refused(NOT_APPROVED, "Template is not approved")


def check_hour(tag: str, now: datetime) -> Refused | None:
    """-133 outside the hours of its kind."""
    hours = _HOURS[purpose_of(tag)]
    if hours is None or hours[0] <= now.astimezone(VIETNAM).time() < hours[1]:
        return None
    return Refused(NIGHT, f"Not sent at night: {hours[0]:%H:%M} to {hours[1]:%H:%M} in Vietnam only")


def check_mode(tag: str, over_quota: bool) -> Refused | None:
    """-162: sending over the quota is for promotions alone."""
    if over_quota and purpose_of(tag) != "promotion":
        return Refused(MODE_NOT_ALLOWED, "This sending mode is not allowed for tag 1 and 2")
    return None


# ---------------------------------------------------------------- what goes into it


def prepare_data(params: Sequence[TemplateParam], data: Mapping[str, Any]) -> dict[str, str | None] | Refused:
    """What is sent for a template: its own parameters, as texts, in its own order.

    What the template does not know is left out: Zalo would not show it, existing customers send one set of
    data to several templates, and what is not needed does not leave the house.
    """
    if not data and any(param.required for param in params):
        return Refused(DATA_EMPTY, "Template data is empty")
    prepared: dict[str, str | None] = {}
    for param in params:
        if param.name not in data:
            if param.required:
                return Refused(MISSING, f"Parameter {param.name} is missing")
            continue
        value = _prepare(param, data[param.name])
        if isinstance(value, Refused):
            return value
        prepared[param.name] = value
    return prepared


def _prepare(param: TemplateParam, given: object) -> str | Refused | None:
    if given is None:
        if param.accept_null:
            return None
        return Refused(MISSING, f"Parameter {param.name} may not be null")
    text = _text(given)
    if text is None or not storable(text):
        return Refused(BAD_FORMAT, f"Parameter {param.name} must be a text or a number")
    if not text:
        return _empty(param)
    return _measured(param, text)


def _empty(param: TemplateParam) -> str | Refused:
    if param.required and not param.accept_null:
        return Refused(MISSING, f"Parameter {param.name} is empty")
    return ""


def _measured(param: TemplateParam, text: str) -> str | Refused:
    longest = MAX_VALUE if param.max_length is None else min(param.max_length, MAX_VALUE)
    if len(text) > longest:
        return Refused(TOO_LONG, f"Parameter {param.name} has more than {longest} characters")
    if param.min_length is not None and len(text) < param.min_length:
        return Refused(BAD_FORMAT, f"Parameter {param.name} has fewer than {param.min_length} characters")
    if param.type.upper() == "NUMBER" and not _number(text):
        return Refused(BAD_FORMAT, f"Parameter {param.name} must be a number")
    return text


def _text(given: object) -> str | None:
    """A value as the text that Zalo is sent; None: it is none."""
    if isinstance(given, str):
        return given
    if isinstance(given, bool):
        return None
    if isinstance(given, int):
        # Python refuses to print integers beyond 4,300 digits.
        return str(given) if given.bit_length() < 1024 else None
    if isinstance(given, float):
        return _plain(Decimal(repr(given))) if math.isfinite(given) else None
    return None


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
