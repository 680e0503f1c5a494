"""Voices that do as they are told, and sound to compare with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from tongdai.ports.speech import Pcm, SpeechFailedError


def tone(seconds: float, rate: int = 16000, *, hz: float = 440.0, level: float = 0.2) -> Pcm:
    """A sine; `level` is its peak, full scale being 1."""
    moments = np.arange(round(seconds * rate)) / rate
    return Pcm((32767 * level * np.sin(2 * np.pi * hz * moments)).astype("<i2").tobytes(), rate)


def sounding(text: str) -> Pcm:
    """As long as a voice takes for so many words."""
    return tone(0.2 * len(text.split()))


class PlayedSpeaker:
    """Satisfies `Speaker`. `answer` makes the sound, or raises; `hold` keeps every request waiting."""

    def __init__(self, answer: Callable[[str], Pcm] = sounding) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str]] = []
        self.edition_now = ""
        self._free = asyncio.Event()
        self._free.set()
        self._arrived = asyncio.Condition()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def edition(self, voice: str) -> str:
        return self.edition_now

    def hold(self) -> None:
        self._free.clear()

    def release(self) -> None:
        self._free.set()

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(10), self._arrived:
            await self._arrived.wait_for(lambda: len(self.asked) >= times)

    async def speak(self, text: str, voice: str) -> Pcm:
        async with self._arrived:
            self.asked.append((voice, text))
            self._arrived.notify_all()
        await self._free.wait()
        return self.answer(text)


def failing(reason: str = "away", *, retry: bool = True) -> Callable[[str], Pcm]:
    def fail(text: str) -> Pcm:
        raise SpeechFailedError(reason, retry=retry)

    return fail
