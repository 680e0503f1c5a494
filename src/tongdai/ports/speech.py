"""The speech ports: words to sound, and what is said on a call to files that an engine plays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tongdai.ports.telephony import PromptItem


class SpeechFailedError(Exception):
    """A text could not be spoken. `retry` says whether asking again may help; the message holds no text."""

    def __init__(self, reason: str, *, retry: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry = retry


@dataclass(frozen=True, slots=True)
class Pcm:
    """Sound: 16-bit signed little-endian mono."""

    samples: bytes
    rate: int
    """Samples a second."""

    @property
    def seconds(self) -> float:
        return len(self.samples) / 2 / self.rate


class Speaker(Protocol):
    """One provider of voices. Safe for several requests at once."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def edition(self, voice: str) -> str:
        """What its sound depends on besides text and voice: what was kept of another edition is not used."""
        ...

    async def speak(self, text: str, voice: str) -> Pcm:
        """A text of plain words (numbers and dates written out), by the voice of that name ("": its own).

        Raises SpeechFailedError.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sound:
    """A file that an engine can play."""

    key: str
    """Below the sounds folder, without the extension that the engine chooses by itself."""
    seconds: float


class Sounds(Protocol):
    """What is said, as files. Each distinct piece is synthesised once."""

    async def sounds(self, items: Sequence[PromptItem]) -> Sequence[Sound]:
        """In the order in which they are played. Raises SpeechFailedError; then nothing was said."""
        ...
