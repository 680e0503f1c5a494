"""The speaking port on Piper: a process for each voice, which keeps its model in memory.

Piper is under the GPL and is the user's own: a setting names its program. Told `--output_dir`, it writes
a WAV file for each line of its standard input and then names the file in a line of its own output; so do the
C++ program of 2023 and the Python package `piper-tts`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tongdai.adapters.piper.child import NOT_HERE
from tongdai.kit.wav import WavError, pcm16_mono
from tongdai.ports.speech import Pcm, SpeechFailedError

log = logging.getLogger(__name__)

VOICES_LOADED: Final = 3
"""At once; each takes some hundred megabytes. The one that was not used for longest is unloaded."""
STARTS: Final = 2
"""Of a process for one request: what kills two in a row is the text."""
_VOICE: Final = re.compile(r"([A-Za-z0-9_.-]{1,100})(?:\+([0-9]{1,4}))?")
_SPACE: Final = re.compile(r"\s+")
_WROTE: Final = re.compile(rb"\.wav\b")
_ENVIRONMENT: Final = {"LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1"}


class _DiedError(Exception):
    """The process ended before it had answered."""


@dataclass(slots=True)
class _Voice:
    """One process, and the folder that it writes to."""

    model: Path
    speaker: str | None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    process: Process | None = None
    folder: Path | None = None


class PiperSpeaker:
    """Satisfies `ports.speech.Speaker`.

    A voice is the name of a file NAME.onnx in `voices`, and where it holds several speakers `NAME+7` is the
    one of number 7. `timeout_s` is for one text; the first of each voice has `load_s` more.
    """

    def __init__(self, program: str, voices: Path, *, timeout_s: float = 20.0, load_s: float = 40.0) -> None:
        self._program = program
        self._voices = voices.absolute()
        self._timeout_s = timeout_s
        self._load_s = load_s
        self._loaded: OrderedDict[str, _Voice] = OrderedDict()

    async def start(self) -> None:
        """Nothing: a voice is loaded when it is first asked for."""

    async def stop(self) -> None:
        for voice in list(self._loaded.values()):
            async with voice.turn:
                await _end(voice)
        self._loaded.clear()

    def pid(self, voice: str) -> int | None:
        """Of the process that speaks this voice, while it is there."""
        one = self._loaded.get(voice)
        return None if one is None or one.process is None else one.process.pid

    def edition(self, voice: str) -> str:
        try:
            known = self._files(voice)[0].stat()
        except (OSError, SpeechFailedError):
            return ""
        return f"{known.st_size} {known.st_mtime_ns}"

    async def speak(self, text: str, voice: str) -> Pcm:
        line = _SPACE.sub(" ", text.replace("\0", " ")).strip()
        one = await self._voice(voice)
        async with one.turn:
            for _ in range(STARTS):
                limit_s = self._timeout_s + (0.0 if one.process else self._load_s)
                try:
                    async with asyncio.timeout(limit_s):
                        return await self._ask(one, line)
                except _DiedError:
                    await _end(one)
                except TimeoutError:
                    await _end(one)
                    raise SpeechFailedError("Piper takes too long", retry=True) from None
                except BaseException:
                    # The answer may still come: the next request would take it for its own.
                    await _end(one)
                    raise
        raise SpeechFailedError("Piper dies", retry=True)

    # ------------------------------------------------------------------ voices

    def _files(self, voice: str) -> tuple[Path, str | None]:
        """Model and speaker. Raises SpeechFailedError."""
        named = _VOICE.fullmatch(voice)
        if named is None:
            raise SpeechFailedError("a voice of Piper is named by its file", retry=False)
        model = self._voices / f"{named.group(1)}.onnx"
        if not model.is_file() or not model.with_name(model.name + ".json").is_file():
            raise SpeechFailedError("there is no such voice in piper_voices (.onnx, .onnx.json)", retry=False)
        return model, named.group(2)

    async def _voice(self, name: str) -> _Voice:
        one = self._loaded.get(name)
        if one is None:
            model, speaker = self._files(name)
            one = self._loaded[name] = _Voice(model, speaker)
        self._loaded.move_to_end(name)
        while len(self._loaded) > VOICES_LOADED:
            _, oldest = self._loaded.popitem(last=False)
            async with oldest.turn:
                await _end(oldest)
        return one

    # ------------------------------------------------------------------ one process

    async def _ask(self, voice: _Voice, line: str) -> Pcm:
        if voice.process is None:
            await self._start(voice)
        process, folder = voice.process, voice.folder
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        assert folder is not None
        try:
            process.stdin.write(line.encode() + b"\n")
            await process.stdin.drain()
            while not _WROTE.search(said := await process.stdout.readline()):
                if not said:
                    raise ConnectionResetError
        except ConnectionError:
            if await process.wait() == NOT_HERE:
                reason = "the program piper is not here (piper_program)"
                raise SpeechFailedError(reason, retry=False) from None
            log.warning("Piper died and is started again", extra={"status": process.returncode})
            raise _DiedError from None
        return await asyncio.to_thread(_taken, folder)

    async def _start(self, voice: _Voice) -> None:
        voice.folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="tongdai-piper-"))
        command = [self._program, "--model", str(voice.model), "--output_dir", str(voice.folder)]
        if voice.speaker is not None:
            command += ["--speaker", voice.speaker]
        voice.process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-m", "tongdai.adapters.piper.child", str(os.getpid()), *command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=STDOUT,
            env={**_ENVIRONMENT, "PATH": os.environ.get("PATH", os.defpath)},
            cwd=voice.folder,
        )  # fmt: skip


def _taken(folder: Path) -> Pcm:
    """The one file that is there, which is then gone. Raises SpeechFailedError."""
    files = list(folder.glob("*.wav"))
    try:
        sound = [pcm16_mono(path.read_bytes()) for path in files]
    except (WavError, OSError) as error:
        raise SpeechFailedError("Piper's sound cannot be read", retry=True) from error
    finally:
        for path in files:
            path.unlink(missing_ok=True)
    if len(sound) != 1:
        raise SpeechFailedError("Piper gave no sound", retry=True)
    return Pcm(*sound[0])


async def _end(voice: _Voice) -> None:
    process, voice.process = voice.process, None
    folder, voice.folder = voice.folder, None
    if process is not None:
        with suppress(ProcessLookupError):
            process.kill()
        # Read to its end, or its pipes stay open; and waited for, or it stays a zombie.
        await process.communicate()
    if folder is not None:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
