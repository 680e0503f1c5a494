"""Reading an event of Zalo's: who signed it, when, and what its fields hold, whatever comes. Pure."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from tongdai.kit import zalo_signs

log = logging.getLogger(__name__)

SIGNATURE: Final = "x-zevent-signature"
TIMESTAMP: Final = "x-zevent-timestamp"
SERVER: Final = "x-zevent-server"
"""`ZNS`: it is about a message by template."""

OLDEST: Final = timedelta(hours=2, minutes=30)
"""Zalo tries for not quite two hours."""
NEWEST: Final = timedelta(minutes=5)
"""How far Zalo's clock may be ahead of ours."""

MAX_ID: Final = 2**63 - 1
LONGEST_ID: Final = 200
LONGEST_TEXT: Final = 4000
_LONGEST_NUMBER: Final = 19
_LATEST_MS: Final = 4_102_444_800_000
"""2100."""

Json = Mapping[str, Any]


# ---------------------------------------------------------------- fields


def decoded(body: bytes) -> Json | None:
    """None: it is no JSON object."""
    try:
        value = msgspec.json.decode(body)
    except (
        ValueError,
        RecursionError,
    ):  # bad JSON and UTF-8 are ValueErrors; deep nesting exhausts the stack
        return None
    return value if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True)
class Fields:
    """An event's fields, by paths with dots. The first of several that is there counts; what is not of its
    type is not there. What is found can be stored."""

    whole: Json

    def id(self, *paths: str) -> str | None:
        """A name of something of Zalo's, given as text or number."""
        for value in self._values(paths):
            text = str(value) if _is_number(value) else value
            if isinstance(text, str) and 0 < len(text) <= LONGEST_ID and text.isprintable():
                return text
        return None

    def number(self, *paths: str) -> int | None:
        """A whole number, given as text or number, of 64 bits at most."""
        return next((one for value in self._values(paths) if (one := as_number(value)) is not None), None)

    def text(self, *paths: str) -> str | None:
        """What somebody wrote, cut to a bounded length."""
        for value in self._values(paths):
            if isinstance(value, str):
                return value.replace("\0", "")[:LONGEST_TEXT]
        return None

    def texts(self, path: str, most: int) -> list[str]:
        """Some texts of a list."""
        values = next(iter(self._values([path])), None)
        found = values[:most] if isinstance(values, list) else []
        return [one.replace("\0", "")[:LONGEST_TEXT] for one in found if isinstance(one, str)]

    def moment(self, *paths: str) -> datetime | None:
        """A time, in milliseconds since 1970."""
        number = self.number(*paths)
        return None if number is None else as_moment(number)

    def _values(self, paths: Sequence[str]) -> Iterator[Any]:
        for path in paths:
            value: Any = self.whole
            for name in path.split("."):
                value = value.get(name) if isinstance(value, dict) else None
            if value is not None:
                yield value


def as_number(value: object) -> int | None:
    """A whole number of 64 bits at most, given as text or number; None: it is none."""
    if isinstance(value, str):
        is_one = value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER
        value = int(value) if is_one else None
    return value if isinstance(value, int) and _is_number(value) and abs(value) <= MAX_ID else None


def as_moment(ms: int) -> datetime | None:
    """None: it is outside the times that anything can have happened at."""
    return datetime.fromtimestamp(ms / 1000, UTC) if 0 <= ms <= _LATEST_MS else None


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_ID


# ---------------------------------------------------------------- whose it is


def named_oas(fields: Fields) -> list[int]:
    """Which Official Account it is about, by Zalo's id, the likeliest first.

    Events of users have it for their recipient, those of Official Accounts and of messages by template for
    their sender, the others name it.
    """
    named = fields.number("oa_id", "oaId")
    if named is not None:
        return [named]
    both = (fields.number("recipient.id"), fields.number("sender.id"))
    return [one for one in both if one is not None and one > 0]


# ---------------------------------------------------------------- who signed it


def signed_at(
    body: bytes, fields: Fields, headers: Mapping[str, str], app_id: int, key: str
) -> datetime | None:
    """The time that was signed with it; None: nobody who knows the key has signed this body.

    Zalo's page signs the body's own `timestamp`; receivers that work read the header's, so either will do
    where they differ. An Official Account's id in the place of the app's is taken too, and noted.
    """
    given = headers.get(SIGNATURE, "").strip().removeprefix(zalo_signs.SIGNATURE_PREFIX).lower().encode()
    times = dict.fromkeys(_digits(one) for one in (fields.whole.get("timestamp"), headers.get(TIMESTAMP)))
    own = fields.number("app_id", "appId") or app_id
    for signer in dict.fromkeys((own, *named_oas(fields))):
        for time in filter(None, times):
            signature = zalo_signs.event_signature(signer, body, time, key)
            if hmac.compare_digest(signature.removeprefix(zalo_signs.SIGNATURE_PREFIX).encode(), given):
                if signer != own:
                    log.warning("an event is signed for its Official Account", extra={"app": app_id})
                return as_moment(int(time))
    return None


def is_timely(at: datetime, now: datetime) -> bool:
    """Whether Zalo may be sending it still."""
    return now - OLDEST <= at <= now + NEWEST


def _digits(value: object) -> str | None:
    """A time as it was signed."""
    number = as_number(value.strip() if isinstance(value, str) else value)
    return None if number is None or number < 0 else str(value).strip()
