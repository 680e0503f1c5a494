"""The process that speaks with eSpeak NG. Run with `-m`; its argument is its owner's process id.

eSpeak NG is under the GPL, so it is loaded here and nowhere else. It is found as the library that the package
`espeakng-loader` brings, or else as the program `espeak-ng`.

A request on standard input is four bytes of length and a JSON object `{"text": …, "voice": …, "wpm": …}`. The
answer on standard output is a byte (0: sound, 1: no such voice, 2: failed), four bytes of sample rate, four
bytes of length, and 16-bit samples. Numbers are big-endian. One request is answered before the next is read.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, Final, Protocol

from tongdai.kit.supervisor import die_with_parent
from tongdai.kit.wav import WavError, pcm16_mono

ANSWER: Final = struct.Struct(">BII")
SPOKEN, NO_VOICE, FAILED = 0, 1, 2
NOT_HERE: Final = 3
"""Exit status when there is neither the library nor the program."""

# speak_lib.h of eSpeak NG 1.52.
_SYNCHRONOUS: Final = 2
_DO_NOT_EXIT: Final = 0x8000
_BUFFER_MS: Final = 200
_RATE: Final = 1
_BY_CHARACTER: Final = 1
_UTF8: Final = 1
_PROGRAM_LIMIT_S: Final = 20


class Engine(Protocol):
    def speak(self, text: str, voice: str, wpm: int) -> tuple[int, int, bytes]:
        """(status, sample rate, samples)."""
        ...


class Library:
    """eSpeak NG loaded into this process. Raises ImportError or OSError when it is not there."""

    def __init__(self) -> None:
        import espeakng_loader  # type: ignore[import-untyped]

        self._lib = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self._lib.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        self._rate = int(self._lib.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, data, _DO_NOT_EXIT))
        if self._rate <= 0:
            raise OSError("eSpeak NG does not find its data")
        self._lib.espeak_Synth.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int,
            ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        self._sound: list[bytes] = []
        taking = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._take = taking(self._taken)  # kept: the library calls it for as long as we live
        self._lib.espeak_SetSynthCallback(self._take)
        self._set: tuple[str, int] | None = None

    def _taken(self, samples: Callable[..., object] | None, count: int, _: int | None) -> int:
        if samples and count > 0:
            self._sound.append(ctypes.string_at(samples, 2 * count))  # type: ignore[arg-type]
        return 0

    def speak(self, text: str, voice: str, wpm: int) -> tuple[int, int, bytes]:
        if self._set != (voice, wpm):
            self._set = None
            if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
                return NO_VOICE, 0, b""
            self._lib.espeak_SetParameter(_RATE, wpm, 0)
            self._set = (voice, wpm)
        self._sound.clear()
        said = text.encode() + b"\0"
        status = self._lib.espeak_Synth(said, len(said), 0, _BY_CHARACTER, 0, _UTF8, None, None)
        sound = b"".join(self._sound)
        self._sound.clear()
        return (SPOKEN, self._rate, sound) if status == 0 else (FAILED, 0, b"")


class Program:
    """The program `espeak-ng`, started for each text. Raises OSError when it is not there."""

    def __init__(self) -> None:
        path = shutil.which("espeak-ng")
        if path is None:
            raise FileNotFoundError("espeak-ng")
        self._path = path

    def speak(self, text: str, voice: str, wpm: int) -> tuple[int, int, bytes]:
        command = [self._path, "--stdin", "--stdout", "-b", "1", "-v", voice, "-s", str(wpm)]
        try:
            done = subprocess.run(  # noqa: S603
                command, input=text.encode(), capture_output=True, timeout=_PROGRAM_LIMIT_S, check=False
            )
            if done.returncode != 0:
                return (NO_VOICE if b"voice" in done.stderr else FAILED), 0, b""
            sound, rate = pcm16_mono(done.stdout)
        except (WavError, OSError, subprocess.TimeoutExpired):
            return FAILED, 0, b""
        return SPOKEN, rate, sound


def engine() -> Engine | None:
    with suppress(ImportError, OSError):
        return Library()
    try:
        return Program()
    except OSError:
        return None


def serve(one: Engine, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the owner closes its end."""
    while len(head := requests.read(4)) == 4:
        asked = json.loads(requests.read(int.from_bytes(head, "big")))
        status, rate, sound = one.speak(asked["text"], asked["voice"], asked["wpm"])
        answers.write(ANSWER.pack(status, rate, len(sound)))
        answers.write(sound)
        answers.flush()


def main() -> int:
    die_with_parent(int(sys.argv[1]))
    one = engine()
    if one is None:
        return NOT_HERE
    # The owner may be gone, or both were told to stop.
    with suppress(BrokenPipeError, KeyboardInterrupt):
        serve(one, sys.stdin.buffer, sys.stdout.buffer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
