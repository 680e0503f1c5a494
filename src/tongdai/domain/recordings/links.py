"""Addresses of recordings that open without a login, for a while. Pure.

Whoever has the address may hear the recording until it expires, so it is signed (HMAC-SHA256, with a key for
this purpose alone), names one recording and its own end, and is to be written into no log.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tongdai.domain.recordings.model import Format, Recording
from tongdai.kit.crypto import Keyring
from tongdai.ports.services import RecordingOptions

_CONTEXT: Final = "recording-link"
_LAST_MOMENT: Final = 253_402_300_799
"""9999-12-31: more digits than that are no time."""


@dataclass(frozen=True, slots=True)
class Links:
    """Makes addresses, and tells its own from others."""

    keyring: Keyring
    options: RecordingOptions

    def address(self, recording_id: int, now: datetime, format: Format = "wav") -> str:
        """For whoever asks. It may be good some seconds before there is a file behind it."""
        return self._address(recording_id, now + self.options.link_life, format)

    def told_address(self, recording_id: int, now: datetime) -> str:
        """For a customer's server, which may come for it days later."""
        return self._address(recording_id, now + self.options.webhook_link_life, "wav")

    def by_attempt(self, recorded: Iterable[Recording], now: datetime) -> dict[int, list[str]]:
        """The addresses of what can be heard of each attempt, now or soon, for whoever asks."""
        return _grouped(recorded, lambda row: row.attempt_id, lambda row: self.address(row.id, now))

    def by_incoming(self, recorded: Iterable[Recording], now: datetime) -> dict[int, list[str]]:
        """The same of calls that came in."""
        return _grouped(recorded, lambda row: row.incoming_call_id, lambda row: self.address(row.id, now))

    def told_by_attempt(self, recorded: Iterable[Recording], now: datetime) -> dict[int, list[str]]:
        """The same for a customer's server."""
        return _grouped(recorded, lambda row: row.attempt_id, lambda row: self.told_address(row.id, now))

    def told_by_incoming(self, recorded: Iterable[Recording], now: datetime) -> dict[int, list[str]]:
        """The same of calls that came in."""
        return _grouped(
            recorded, lambda row: row.incoming_call_id, lambda row: self.told_address(row.id, now)
        )

    def expires_at(self, now: datetime) -> datetime:
        """Until when an address that is made now is good."""
        return (now + self.options.link_life).replace(microsecond=0)

    def opens(self, recording_id: int, expires: str, signature: str, now: datetime) -> bool:
        """Whether what came with a request is an address that was given out and is good still."""
        if not expires.isascii() or not expires.isdigit() or len(expires) > len(str(_LAST_MOMENT)):
            return False
        right = self._signature(recording_id, expires)
        signed = hmac.compare_digest(right.encode(), signature.encode("utf-8", "surrogatepass"))
        return signed and int(expires) > now.timestamp()

    def _address(self, recording_id: int, until: datetime, format: Format) -> str:
        expires = str(int(until.timestamp()))
        query = f"expires={expires}&signature={self._signature(recording_id, expires)}"
        other = "" if format == "wav" else f"&format={format}"
        return f"{self.options.public_url}/v1/recordings/{recording_id}/file?{query}{other}"

    def _signature(self, recording_id: int, expires: str) -> str:
        key = self.keyring.signing_key(_CONTEXT)
        digest = hmac.digest(key, f"{recording_id}.{expires}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _grouped(
    recorded: Iterable[Recording], by: Callable[[Recording], int | None], to: Callable[[Recording], str]
) -> dict[int, list[str]]:
    grouped: dict[int, list[str]] = {}
    for row in recorded:
        key = by(row)
        if key is not None and row.state in ("pending", "stored"):
            grouped.setdefault(key, []).append(to(row))
    return grouped
