"""What is said on a call, as files that an engine plays. Each distinct piece is spoken once and kept.

A prompt that is known costs a look into a dictionary. One that is not is read as words, cut into pieces, and
each piece that is not on disk is asked of its voice. When a voice fails, the whole prompt is spoken by the
fallback, so that it does not change its voice in the middle; without one, nothing is said, and whoever asked
is told: a call is never silent by accident.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

from tongdai.domain.prompts import levels
from tongdai.domain.prompts.cache import NOTED_EVERY_S, SoundCache
from tongdai.domain.prompts.errors import AudioFileInvalidError
from tongdai.domain.prompts.pieces import Piece, every_digit, pieces_of_code, pieces_of_speech
from tongdai.kit.clock import Clock, SystemClock
from tongdai.ports.speech import Sound, Speaker, SpeechFailedError
from tongdai.ports.storage import Storage, StoredFileMissingError
from tongdai.ports.telephony import AudioClip, PromptItem, Speech, SpokenCode

log = logging.getLogger(__name__)

VERSION: Final = 1
"""Of what is made of a voice's sound. Another one, and everything is made anew."""

TRIES: Final = 2
BETWEEN_TRIES_S: Final = 0.2
REST_S: Final = 5.0
"""A voice that failed is not asked again for so long: nobody on the line waits for one that is away."""
PROMPTS_KNOWN: Final = 50_000
SHORTEST_SYLLABLE_S: Final = 0.04
"""Sound that is shorter than so much for each word was cut off: a syllable takes four times as long."""
LEVELLED_AT_ONCE: Final = 2
NOTHING_S: Final = 0.1
"""What is played for a text in which nothing has a sound."""


@dataclass(slots=True)
class SpeechCounts:
    """What a book did since it was made."""

    known: int = 0
    """Prompts whose sounds were at hand."""
    looked_up: int = 0
    """Prompts that were put together."""
    spoken: int = 0
    """Pieces that a voice was asked for and gave."""
    failed: int = 0
    """Pieces that a voice could not give."""
    fell_back: int = 0
    """Prompts that the fallback spoke."""


@dataclass(frozen=True, slots=True)
class _Known:
    sounds: tuple[Sound, ...]
    until: float


class SoundBook:
    """Satisfies `ports.speech.Sounds`. For one event loop; start it before its first use.

    `voice` and `fallback` are `provider:name`; "" as fallback: there is none. `speakers` are by provider.
    """

    def __init__(
        self,
        speakers: Mapping[str, Speaker],
        storage: Storage,
        sounds_dir: Path,
        *,
        voice: str,
        fallback: str = "",
        max_bytes: int,
        clock: Clock | None = None,
        rest_s: float = REST_S,
        between_tries_s: float = BETWEEN_TRIES_S,
    ) -> None:
        self.counts = SpeechCounts()
        self._speakers = speakers
        self._storage = storage
        self._voice = voice
        self._fallback = fallback
        self._rest_s = rest_s
        self._between_tries_s = between_tries_s
        self._cache = SoundCache(sounds_dir, max_bytes=max_bytes, clock=clock or SystemClock())
        self._prompts: OrderedDict[Speech | AudioClip, _Known] = OrderedDict()
        self._flights: dict[str, asyncio.Task[Sound]] = {}
        self._away: dict[str, float] = {}
        """Voices that failed last, and until when none is asked again."""
        self._levelling = asyncio.Semaphore(LEVELLED_AT_ONCE)

    async def start(self) -> None:
        for speaker in self._speakers.values():
            await speaker.start()

    async def stop(self) -> None:
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        for speaker in self._speakers.values():
            await speaker.stop()

    async def sounds(self, items: Sequence[PromptItem]) -> Sequence[Sound]:
        """Raises SpeechFailedError; then nothing was said."""
        known = self.known(items)
        if known is not None:
            self.counts.known += 1
            return known
        self.counts.looked_up += 1
        try:
            return await self._put_together(items, "")
        except SpeechFailedError as error:
            if not self._fallback:
                raise
            log.warning("a prompt is spoken by the fallback", extra={"reason": error.reason})
            sounds = await self._put_together(items, self._fallback)
            self.counts.fell_back += 1
            return sounds

    async def prepare(self, items: Sequence[PromptItem]) -> None:
        """Have what a call may say at hand; of a code, every digit. Raises SpeechFailedError."""
        for code in {item.voice: item for item in items if isinstance(item, SpokenCode)}.values():
            await self._digits(code)
        await self.sounds([item for item in items if not isinstance(item, SpokenCode)])

    async def _digits(self, code: SpokenCode) -> None:
        voice = code.voice or self._voice
        try:
            await self._pieces(voice, every_digit())
        except SpeechFailedError:
            if not self._fallback:
                raise
            await self._pieces(self._fallback, every_digit())

    def known(self, items: Sequence[PromptItem]) -> list[Sound] | None:
        """The same, if all is at hand; without waiting."""
        sounds: list[Sound] = []
        now = self._cache.now()
        for item in items:
            if isinstance(item, SpokenCode):
                digits = self._known_code(item)
                if digits is None:
                    return None
                sounds += digits
                continue
            known = self._prompts.get(item)
            if known is None or known.until <= now:
                return None
            sounds += known.sounds
        return sounds

    def _known_code(self, code: SpokenCode) -> list[Sound] | None:
        """Codes are no keys of anything that is kept: each is put together of its digits."""
        sounds = []
        try:
            for piece in pieces_of_code(code):
                sound = self._cache.remembered(self._key(code.voice or self._voice, piece))
                if sound is None:
                    return None
                sounds.append(sound)
        except SpeechFailedError:
            return None
        return sounds

    # ------------------------------------------------------------------ putting together

    async def _put_together(self, items: Sequence[PromptItem], instead: str) -> list[Sound]:
        """`instead`: the voice that speaks in the place of each item's own."""
        parts = await asyncio.gather(*(self._item(item, instead) for item in items))
        return [sound for part in parts for sound in part]

    async def _item(self, item: PromptItem, instead: str) -> tuple[Sound, ...]:
        if isinstance(item, SpokenCode):
            return await self._pieces(instead or item.voice or self._voice, pieces_of_code(item))
        if isinstance(item, AudioClip):
            sounds: tuple[Sound, ...] = (await self._clip(item),)
        else:
            sounds = await self._pieces(instead or item.voice or self._voice, pieces_of_speech(item))
            # An engine that is told to play nothing refuses; somebody wrote a text that has no sound.
            sounds = sounds or (await self._once(_NOTHING, _moment),)
            if instead:
                return sounds
        self._prompts[item] = _Known(sounds, self._cache.now() + NOTED_EVERY_S)
        self._prompts.move_to_end(item)
        while len(self._prompts) > PROMPTS_KNOWN:
            self._prompts.popitem(last=False)
        return sounds

    async def _pieces(self, voice: str, pieces: Sequence[Piece]) -> tuple[Sound, ...]:
        speaker, name = self._speaker(voice)
        keys = [self._key(voice, piece) for piece in pieces]
        found = {key: sound for key in keys if (sound := self._cache.remembered(key)) is not None}
        missing = list(dict.fromkeys(key for key in keys if key not in found))
        if missing:
            found |= await asyncio.to_thread(self._cache.look_up, missing)
        wanted = {
            key: partial(self._spoken, voice, speaker, name, piece)
            for key, piece in zip(keys, pieces, strict=True)
            if key not in found
        }
        if wanted and self._is_away(voice):
            # Somebody is on the line: the fallback speaks at once, and meanwhile this voice is tried again.
            if self._cache.now() >= self._away[voice]:
                self._flight(*next(iter(wanted.items())))
            raise SpeechFailedError("the voice is away", retry=True)
        made = await asyncio.gather(*(self._once(key, make) for key, make in wanted.items()))
        found |= dict(zip(wanted, made, strict=True))
        return tuple(found[key] for key in keys)

    def _is_away(self, voice: str) -> bool:
        """True: it failed last, and there is another to speak in its place."""
        return voice in self._away and self._fallback not in ("", voice)

    def _speaker(self, voice: str) -> tuple[Speaker, str]:
        provider, _, name = voice.partition(":")
        speaker = self._speakers.get(provider)
        if speaker is None:
            raise SpeechFailedError(f"there is no provider of voices {provider[:20]!r}", retry=False)
        return speaker, name

    def _key(self, voice: str, piece: Piece) -> str:
        speaker, name = self._speaker(voice)
        what = "\0".join((str(VERSION), voice, speaker.edition(name), *piece.identity()))
        return _key_of(what.encode())

    async def _once(self, key: str, make: Callable[[], Awaitable[bytes]]) -> Sound:
        """The sound of this key, made once however many ask for it at the same time."""
        # Whoever gives up waiting does not take the others' sound away.
        return await asyncio.shield(self._flight(key, make))

    def _flight(self, key: str, make: Callable[[], Awaitable[bytes]]) -> asyncio.Task[Sound]:
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._make(key, make))
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        return flight

    def _landed(self, key: str, flight: asyncio.Task[Sound]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # each of those who waited has it; perhaps nobody waits any more

    async def _make(self, key: str, make: Callable[[], Awaitable[bytes]]) -> Sound:
        data = levels.whole_frames(await make())
        try:
            return await asyncio.to_thread(self._cache.keep, key, data)
        except OSError as error:
            raise SpeechFailedError(f"the sound cannot be written: {error.strerror}", retry=True) from error

    # ------------------------------------------------------------------ speaking

    async def _spoken(self, voice: str, speaker: Speaker, name: str, piece: Piece) -> bytes:
        if self._cache.now() < self._away.get(voice, 0.0):
            raise SpeechFailedError("the voice failed a moment ago", retry=True)
        for left in range(TRIES - 1, -1, -1):
            try:
                sound = await self._asked(speaker, name, piece)
            except SpeechFailedError as error:
                self.counts.failed += 1
                log.warning("a voice fails", extra={"voice": voice, "reason": error.reason})
                if error.retry and left:
                    await asyncio.sleep(self._between_tries_s)
                    continue
                if error.retry:
                    self._away[voice] = self._cache.now() + self._rest_s
                raise
            self._away.pop(voice, None)
            self.counts.spoken += 1
            return sound + levels.silence(piece.after_s)
        raise AssertionError("the last try returns or raises")

    async def _asked(self, speaker: Speaker, name: str, piece: Piece) -> bytes:
        """One try. Raises SpeechFailedError, also for sound that is none or too little."""
        pcm = await speaker.speak(piece.words, name)
        try:
            async with self._levelling:
                sound = await asyncio.to_thread(levels.line_sound, pcm)
        except levels.SilentError as error:
            raise SpeechFailedError("the voice gave silence", retry=True) from error
        if len(sound) < SHORTEST_SYLLABLE_S * levels.LINE_RATE * len(piece.words.split()):
            raise SpeechFailedError("the voice gave too little sound", retry=True)
        return sound

    # ------------------------------------------------------------------ audio files

    async def _clip(self, clip: AudioClip) -> Sound:
        key = _key_of(f"{VERSION}\0clip\0{clip.storage_key}".encode())
        found = await asyncio.to_thread(self._cache.look_up, [key])
        return found[key] if found else await self._once(key, lambda: self._levelled(clip))

    async def _levelled(self, clip: AudioClip) -> bytes:
        try:
            data = await self._storage.get(clip.storage_key)
            async with self._levelling:
                return await asyncio.to_thread(levels.line_file, data)
        except (StoredFileMissingError, AudioFileInvalidError) as error:
            raise SpeechFailedError("an audio file of the script cannot be played", retry=False) from error
        except OSError as error:
            raise SpeechFailedError(f"an audio file cannot be read: {error.strerror}", retry=True) from error


async def _moment() -> bytes:
    return levels.silence(NOTHING_S)


def _key_of(what: bytes) -> str:
    """In 256 folders, none of which gets too full to be looked through."""
    digest = sha256(what).hexdigest()[:40]
    return f"{digest[:2]}/{digest}"


_NOTHING: Final = _key_of(f"{VERSION}\0nothing".encode())
