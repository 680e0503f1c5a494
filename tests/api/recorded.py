"""A recording of a call, as it is when its leg has ended and, if wanted, when it was fetched."""

from __future__ import annotations

import hashlib
import io
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from tests.api.world import World

from tongdai.domain import recordings
from tongdai.domain.recordings import Fetcher, NewRecording
from tongdai.kit.db import Database
from tongdai.ports.services import Services
from tongdai.ports.telephony import EngineRefusedError, EngineUnreachableError, RecordingStore

NODE = "asterisk/1"


def sound(seconds: float = 1.0) -> bytes:
    """A wav as Asterisk writes it: 16-bit, mono, 8 kHz. No two seconds are the same."""
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(8000)
        digest = b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(int(seconds * 500)))
        made.writeframes(digest)
    return file.getvalue()


@dataclass
class Shelf:
    """A node's recordings, in the memory of the test."""

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

    async def forget(self, name: str) -> None:
        self._ask(f"forget {name}")
        self.files.pop(name, None)

    async def names(self) -> list[str]:
        self._ask("names")
        return list(self.files)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.away:
            raise EngineUnreachableError("away")


async def note(db: Database, one: NewRecording) -> int | None:
    async with db.transaction() as tx:
        [recording_id] = await recordings.note(tx, [one])
    return recording_id


async def with_recording(services: Services, account_id: int, world: World, *, stored: bool = True) -> World:
    """The world with a second of recording of its call."""
    shelf = Shelf({"td-7-1": sound()})
    recording_id = await note(
        services.db,
        NewRecording(
            account_id=account_id,
            leg_id=7,
            engine=NODE,
            name="td-7-1",
            kind="call",
            seconds=1.0,
            at=services.clock.now(),
            call_id=world.call_id,
            campaign_id=world.campaign_id,
        ),
    )
    assert recording_id is not None
    if stored:
        await fetcher(services, {NODE: shelf}).do_due()
    return replace(world, recording_id=recording_id)


def fetcher(services: Services, stores: dict[str, RecordingStore]) -> Fetcher:
    async def now() -> dict[str, RecordingStore]:
        return stores

    return Fetcher(services.db, now, services.recorded, services.clock)
