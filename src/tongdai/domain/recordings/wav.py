"""What a WAV file says of itself, and whether it is all there. The RIFF layout of Microsoft's and IBM's
"Multimedia Programming Interface and Data Specifications 1.0"."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

_FORMATS: Final = frozenset({1, 6, 7})
"""PCM, A-law, µ-law."""
_MOST_CHUNKS: Final = 100


class WavError(ValueError):
    """This is no WAV file that can be made sense of."""


@dataclass(frozen=True, slots=True)
class Wav:
    """One WAV file. Offsets and sizes are bytes."""

    byte_rate: int
    """Bytes of sound per second."""
    data_at: int
    declared: int
    """Size of the sound, as its header has it."""
    present: int
    """What there is from `data_at` on."""

    @property
    def whole(self) -> bool:
        """False: it was cut off, or whoever wrote it died before they wrote down its size."""
        return 0 < self.declared <= self.present

    @property
    def seconds(self) -> float:
        """Of the sound that there is, to the hundredth."""
        return round(min(self.declared or self.present, self.present) / self.byte_rate, 2)


def read_wav(file: BinaryIO) -> Wav:
    """Raises WavError."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise WavError("this is no WAV file")
    byte_rate = 0
    for _ in range(_MOST_CHUNKS):
        at = file.tell()
        chunk = file.read(8)
        if len(chunk) < 8:
            break
        name, length = chunk[:4], struct.unpack("<I", chunk[4:])[0]
        if name == b"fmt ":
            byte_rate = _byte_rate(file.read(16))
        elif name == b"data":
            if byte_rate == 0:
                break
            return Wav(byte_rate, at + 8, length, size - at - 8)
        file.seek(at + 8 + length + length % 2)
    raise WavError("this file has no sound")


def mend(file: BinaryIO, wav: Wav) -> Wav:
    """Write the true sizes into the header of a file that was cut off. What is behind `data` is the sound."""
    file.seek(wav.data_at - 4)
    file.write(struct.pack("<I", wav.present))
    file.seek(4)
    file.write(struct.pack("<I", wav.data_at + wav.present - 8))
    file.flush()
    return Wav(wav.byte_rate, wav.data_at, wav.present, wav.present)


def _byte_rate(fmt: bytes) -> int:
    if len(fmt) < 16:
        raise WavError("the header ends too early")
    tag, channels, rate, byte_rate = struct.unpack("<HHII", fmt[:12])
    if tag not in _FORMATS or channels not in (1, 2) or rate == 0 or byte_rate == 0:
        raise WavError("this is a kind of sound that no telephone has")
    return int(byte_rate)
