"""What a node keeps to be fetched, in the memory of the test, and sound to put there."""

from __future__ import annotations

import hashlib
import io
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tongdai.ports.telephony import EngineRefusedError, EngineUnreachableError

HEADER_BYTES = 44


def sound(seconds: float = 1.0) -> bytes:
    """A wav as Asterisk writes it: 16-bit, mono, 8 kHz. No two seconds are the same."""
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(8000)
        made.writeframes(
            b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(int(seconds * 500)))
        )
    return file.getvalue()


def unfinished(data: bytes) -> bytes:
    """The same, as it is when its writer died: the header says that there is nothing."""
    return data[:4] + b"\x24\0\0\0" + data[8:40] + b"\0\0\0\0" + data[HEADER_BYTES:]


@dataclass
class Shelf:
    """Satisfies `ports.telephony.RecordingStore`."""

    files: dict[str, bytes] = field(default_factory=dict)
    away: bool = False
    asked: list[str] = field(default_factory=list)

    async def fetch(self, name: str) -> AsyncIterator[bytes]:
        self._ask(f"fetch {name}")
        if name not in self.files:
            raise EngineRefusedError("none")
        return self._pieces(name)

    async def _pieces(self, name: str) -> AsyncIterator[bytes]:
        data = self.files[name]
        for start in range(0, len(data), 5000):
            yield data[start : start + 5000]
            if self.away:
                raise EngineUnreachableError("cut off")

    async def forget(self, name: str) -> None:
        self._ask(f"forget {name}")
        self.files.pop(name, None)

    async def names(self) -> list[str]:
        self._ask("names")
        return list(self.files)

    def times(self, what: str) -> int:
        return self.asked.count(what)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.away:
            raise EngineUnreachableError("away")
