"""`python -m tongdai.adapters.lame.encode IN.wav OUT.mp3`: the child that encodes, a piece at a time."""

from __future__ import annotations

import os
import sys
import wave
from typing import Final

import lameenc  # type: ignore[import-not-found]  # it has no types

KBIT_PER_S: Final = 24
"""A telephone call is as clear as its wav at this rate; a minute takes 180 KB."""
_QUALITY: Final = 5
"""Of LAME's 2 (best) to 7 (fastest)."""
_FRAMES: Final = 64 * 1024
_NICE: Final = 10
"""Calls go first."""


def encode(source: str, target: str) -> None:
    """Raises wave.Error for what is not 16-bit PCM."""
    with wave.open(source, "rb") as sound, open(target, "wb") as out:
        if sound.getsampwidth() != 2:
            raise wave.Error("only 16-bit sound is taken")
        encoder = lameenc.Encoder()
        encoder.set_bit_rate(KBIT_PER_S)
        encoder.set_in_sample_rate(sound.getframerate())
        encoder.set_channels(sound.getnchannels())
        encoder.set_quality(_QUALITY)
        encoder.silence()
        while frames := sound.readframes(_FRAMES):
            out.write(encoder.encode(frames))
        out.write(encoder.flush())


def main() -> None:
    os.nice(_NICE)
    try:
        encode(sys.argv[1], sys.argv[2])
    except (OSError, EOFError, RuntimeError, wave.Error) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
