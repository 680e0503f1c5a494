"""Audio files: what a telephone can play. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tongdai.domain.prompts.errors import (
    AudioFileInvalidError,
    AudioFormatError,
    AudioTooLargeError,
    AudioTooLongError,
)

MAX_BYTES = 20_000_000
MAX_SECONDS = 600
MIN_RATE, MAX_RATE = 8_000, 48_000
MAX_NAME_CHARS = 200

HOW_TO_CONVERT = "convert it, for example with: ffmpeg -i input -ar 8000 -ac 1 -c:a pcm_s16le output.wav"

# WAVE format tags (RFC 2361) and the sample widths that telephone engines read.
_PCM, _ALAW, _MULAW, _EXTENSIBLE = 0x0001, 0x0006, 0x0007, 0xFFFE
_WIDTHS = {_PCM: (8, 16), _ALAW: (8,), _MULAW: (8,)}


@dataclass(frozen=True, slots=True)
class AudioFile:
    id: int
    account_id: int
    name: str
    sha256: bytes
    size_bytes: int
    sample_rate: int
    """Samples per second."""
    duration_ms: int
    storage_key: str
    created_at: datetime

    @property
    def duration_s(self) -> float:
        return self.duration_ms / 1000


@dataclass(frozen=True, slots=True)
class Sound:
    """What a WAV file holds."""

    sample_rate: int
    channels: int
    duration_ms: int


def storage_key(account_id: int, sha256: bytes) -> str:
    """Where a file is kept: by its content, within its account."""
    return f"audio/{account_id}/{sha256.hex()}.wav"


def checked_name(name: str) -> str:
    """The name without space around it. Raises AudioFileInvalidError."""
    name = name.strip()
    if not name or len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise AudioFileInvalidError(f"a name has 1 to {MAX_NAME_CHARS} printable characters", field="name")
    return name


def read_sound(data: bytes) -> Sound:
    """Check a WAV file: 8- or 16-bit PCM, A-law or µ-law, mono or stereo, 8 to 48 kHz, at most 10 minutes.

    Raises AudioTooLargeError, AudioFormatError or AudioTooLongError.
    """
    if len(data) > MAX_BYTES:
        raise AudioTooLargeError(
            f"the file has {len(data)} bytes; {MAX_BYTES} are allowed: make it shorter, or {HOW_TO_CONVERT}"
        )
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise AudioFormatError(f"this is not a WAV file; {HOW_TO_CONVERT}")
    chunks = dict(_chunks(data))
    if b"fmt " not in chunks or len(chunks[b"fmt "]) < 16:
        raise AudioFormatError(f"the WAV file does not say how its sound is coded; {HOW_TO_CONVERT}")
    sample_rate, channels, frame_bytes = _format(chunks[b"fmt "])
    frames = len(chunks.get(b"data", b"")) // frame_bytes
    if frames == 0:
        raise AudioFormatError("the WAV file holds no sound; record or export it again")
    duration_ms = max(1, round(frames * 1000 / sample_rate))
    if duration_ms > MAX_SECONDS * 1000:
        raise AudioTooLongError(
            f"the sound lasts {duration_ms // 1000} seconds; {MAX_SECONDS} are allowed: make it shorter"
        )
    return Sound(sample_rate, channels, duration_ms)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The chunks of a RIFF file; the first of each name counts, and nothing after the sound is looked at."""
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


def _format(chunk: memoryview) -> tuple[int, int, int]:
    """Sample rate, channels and bytes per frame of a `fmt ` chunk. Raises AudioFormatError."""
    tag, channels, rate, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        # The true tag is the first two bytes of the sub-format's GUID.
        (tag,) = struct.unpack_from("<H", chunk, 24)
    if bits not in _WIDTHS.get(tag, ()):
        raise AudioFormatError(f"the sound is neither PCM of 8 or 16 bits, A-law nor µ-law; {HOW_TO_CONVERT}")
    if channels not in (1, 2):
        raise AudioFormatError(
            f"the sound has {channels} channels; mono and stereo are taken; {HOW_TO_CONVERT}"
        )
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioFormatError(
            f"the sound has {rate} samples a second; {MIN_RATE} to {MAX_RATE} are taken; {HOW_TO_CONVERT}"
        )
    if frame_bytes != channels * bits // 8:
        raise AudioFormatError(f"the WAV file contradicts itself; {HOW_TO_CONVERT}")
    return rate, channels, frame_bytes
