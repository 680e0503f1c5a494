"""What an Asterisk engine needs beside a node: trunks by number, and sounds as long as they ought to be."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from tests.fakes.sound import save_alaw, tone

from tongdai.ports.sip import SipTrunk, UnknownTrunkError
from tongdai.ports.speech import Sound, SpeechFailedError
from tongdai.ports.telephony import AudioClip, PromptItem, Speech, SpokenCode

UNSPEAKABLE = "\N{BELL}"


class Trunks:
    """A `TrunkBook` of settings that a test gives and changes."""

    def __init__(self, *trunks: SipTrunk) -> None:
        self.by_id = {trunk.trunk_id: trunk for trunk in trunks}

    async def trunk(self, trunk_id: int) -> SipTrunk:
        if trunk_id not in self.by_id:
            raise UnknownTrunkError
        return self.by_id[trunk_id]

    async def trunks_of(self, node_id: int) -> list[SipTrunk]:
        return list(self.by_id.values())

    async def registers_on(self, node_id: int) -> frozenset[int]:
        return frozenset()


class Tones:
    """`Sounds` in a folder: a tone for each item, `pace` times as fast as somebody would speak it."""

    def __init__(self, folder: Path, *, pace: float = 10.0) -> None:
        self.pace = pace
        self.asked: list[Sequence[PromptItem]] = []
        self._folder = folder
        self._made: dict[str, float] = {}

    async def sounds(self, items: Sequence[PromptItem]) -> Sequence[Sound]:
        self.asked.append(items)
        return [self._sound(item) for item in items]

    def _sound(self, item: PromptItem) -> Sound:
        match item:
            case Speech():
                if item.text == UNSPEAKABLE:
                    raise SpeechFailedError("nobody can say that", retry=False)
                name, seconds = item.text, len(item.text) / 14 + 0.3
            case AudioClip():
                name, seconds = item.storage_key, item.duration_s
            case SpokenCode():
                name, seconds = f"code of {len(item.digits)}", 0.9 * len(item.digits)
        key = hashlib.sha256(name.encode()).hexdigest()[:16]
        if key not in self._made:
            self._made[key] = seconds / self.pace
            save_alaw(self._folder / f"{key}.alaw", [tone(400, seconds / self.pace)])
        return Sound(key, self._made[key])
