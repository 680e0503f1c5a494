"""WAV files as programs and servers make them: where the sound is in one, and how it is coded. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Coding(IntEnum):
    """WAVE format tags (RFC 2361) of what telephones and voices use."""

    PCM = 0x0001
    ALAW = 0x0006
    MULAW = 0x0007


_EXTENSIBLE: Final = 0xFFFE
_LEAST_FORMAT: Final = 16
_SUBFORMAT_AT: Final = 24


class WavError(ValueError):
    """This is not a WAV file that we read. The message says why, and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Wave:
    """What a WAV file holds."""

    tag: int
    """How it is coded; one of `Coding`, if we know it."""
    bits: int
    """Of a sample."""
    channels: int
    rate: int
    """Samples a second."""
    frame_bytes: int
    """Of one moment, all channels together, as the file says."""
    sound: memoryview


def is_wav(data: bytes) -> bool:
    return len(data) >= 12 and data[:4] == b"RIFF" and data[8:12] == b"WAVE"


def parse_wav(data: bytes) -> Wave:
    """Where the sound is. Nothing is decoded, and how it is coded is not judged. Raises WavError."""
    if not is_wav(data):
        raise WavError("this is not a WAV file")
    found: dict[bytes, memoryview] = {}
    for name, inside in _chunks(data):
        found.setdefault(name, inside)
    if len(found.get(b"fmt ", b"")) < _LEAST_FORMAT:
        raise WavError("the WAV file does not say how its sound is coded")
    chunk = found[b"fmt "]
    tag, channels, rate, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == _EXTENSIBLE and len(chunk) >= _SUBFORMAT_AT + 2:
        # The true tag is the first two bytes of the sub-format's GUID.
        (tag,) = struct.unpack_from("<H", chunk, _SUBFORMAT_AT)
    return Wave(tag, bits, channels, rate, frame_bytes, found.get(b"data", memoryview(b"")))


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The chunks of a RIFF file. Nothing after the sound is looked at."""
    view = memoryview(data)
    place = 12
    while place + 8 <= len(data):
        name = data[place : place + 4]
        (size,) = struct.unpack_from("<I", data, place + 4)
        # A recorder that writes to a pipe cannot go back to fill in the size: what is there is the sound.
        yield name, view[place + 8 : place + 8 + size]
        if name == b"data":
            return
        place += 8 + size + size % 2


def pcm16_mono(data: bytes) -> tuple[bytes, int]:
    """Samples (16-bit signed little-endian) and rate of a WAV file of one or two channels of 16-bit PCM.

    Of two channels the first is taken: voices that are told to be stereo say the same on both. Raises
    WavError.
    """
    wave = parse_wav(data)
    if wave.tag != Coding.PCM or wave.bits != 16 or wave.channels not in (1, 2):
        raise WavError("the WAV file is not 16-bit PCM of one or two channels")
    if not 4_000 <= wave.rate <= 192_000:
        raise WavError(f"the WAV file has {wave.rate} samples a second")
    whole = wave.sound[: len(wave.sound) // (2 * wave.channels) * 2 * wave.channels]
    if wave.channels == 1:
        return bytes(whole), wave.rate
    return whole.cast("B").cast("h")[::2].tobytes() if whole else b"", wave.rate


def wav_of(samples: bytes, rate: int) -> bytes:
    """A WAV file of 16-bit signed little-endian mono samples."""
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF", 36 + len(samples), b"WAVE",
        b"fmt ", 16, Coding.PCM, 1, rate, rate * 2, 2, 16,
        b"data", len(samples),
    )  # fmt: skip
    return head + samples
