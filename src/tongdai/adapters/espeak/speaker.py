"""The speaking port on eSpeak NG: requests to a child process, which is started again when it dies."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from typing import Final

from tongdai.adapters.espeak.child import ANSWER, NO_VOICE, NOT_HERE, SPOKEN
from tongdai.ports.speech import Pcm, SpeechFailedError

log = logging.getLogger(__name__)

OWN_VOICE: Final = "vi"
WORDS_A_MINUTE: Final = 150
"""Slower than eSpeak NG's own 175: a telephone line takes the consonants."""
MOST_SOUND: Final = 64 * 1024 * 1024
"""Bytes of one answer: 25 minutes."""
STARTS: Final = 2
"""Of a child for one request: what kills two children in a row is the text."""

_VOICE: Final = re.compile(r"[A-Za-z0-9_+-]{1,64}")
_ENVIRONMENT: Final = {"LC_ALL": "C.UTF-8", "PATH": os.defpath}
HOW_TO_GET_IT: Final = (
    "eSpeak NG is not here: install tongdai[espeak], or the program espeak-ng of your distribution"
)


class _DiedError(Exception):
    """The child ended before it had answered."""


class EspeakSpeaker:
    """Satisfies `ports.speech.Speaker`. Requests wait for one another; each takes some milliseconds.

    The child is started with the first request, and dies with this process however it ends.
    """

    def __init__(self, *, timeout_s: float = 10.0, wpm: int = WORDS_A_MINUTE) -> None:
        self._timeout_s = timeout_s
        self._wpm = wpm
        self._child: Process | None = None
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Of the child, while it is there."""
        return None if self._child is None or self._child.returncode is not None else self._child.pid

    async def start(self) -> None:
        """Nothing: who never speaks needs no child."""

    async def stop(self) -> None:
        async with self._turn:
            await self._end()

    def edition(self, voice: str) -> str:
        return f"{self._wpm} words a minute"

    async def speak(self, text: str, voice: str) -> Pcm:
        voice = voice or OWN_VOICE
        if not _VOICE.fullmatch(voice):
            raise SpeechFailedError("this is no name of a voice of eSpeak NG", retry=False)
        raw = json.dumps({"text": text.replace("\0", " "), "voice": voice, "wpm": self._wpm}).encode()
        async with self._turn:
            for _ in range(STARTS):
                try:
                    async with asyncio.timeout(self._timeout_s):
                        return await self._ask(raw)
                except _DiedError:
                    await self._end()
                except TimeoutError:
                    await self._end()
                    raise SpeechFailedError("eSpeak NG takes too long", retry=True) from None
                except BaseException:
                    # Half an answer may be left in the pipe: the next request would take it for its own.
                    await self._end()
                    raise
        raise SpeechFailedError("eSpeak NG dies", retry=True)

    async def _ask(self, raw: bytes) -> Pcm:
        child = await self._started()
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(len(raw).to_bytes(4, "big") + raw)
            await child.stdin.drain()
            status, rate, length = ANSWER.unpack(await child.stdout.readexactly(ANSWER.size))
            if length > MOST_SOUND:
                raise SpeechFailedError("eSpeak NG gave too much sound", retry=False)
            sound = await child.stdout.readexactly(length)
        except (ConnectionError, asyncio.IncompleteReadError):
            if await child.wait() == NOT_HERE:
                raise SpeechFailedError(HOW_TO_GET_IT, retry=False) from None
            log.warning("eSpeak NG died and is started again", extra={"status": child.returncode})
            raise _DiedError from None
        if status == SPOKEN:
            return Pcm(sound, rate)
        if status == NO_VOICE:
            raise SpeechFailedError("eSpeak NG has no such voice", retry=False)
        raise SpeechFailedError("eSpeak NG could not speak", retry=True)

    async def _started(self) -> Process:
        if self._child is None or self._child.returncode is not None:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-m",
                "tongdai.adapters.espeak.child",
                str(os.getpid()),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env=_ENVIRONMENT,
                limit=MOST_SOUND,
            )
        return self._child

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            with suppress(ProcessLookupError):
                child.kill()
            # Read to its end, or its pipes stay open; and waited for, or it stays a zombie.
            await child.communicate()
