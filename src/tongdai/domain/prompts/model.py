"""Audio files: what a telephone can play. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tongdai.domain.prompts.errors import (
    AudioFileInvalidError,
    AudioFormatError,
    AudioTooLargeError,
    AudioTooLongError,
)
from tongdai.kit.wav import Coding, Wave, WavError, parse_wav

MAX_BYTES = 20_000_000
MAX_SECONDS = 600
MIN_RATE, MAX_RATE = 8_000, 48_000
MAX_NAME_CHARS = 200

HOW_TO_CONVERT = "convert it, for example with: ffmpeg -i input -ar 8000 -ac 1 -c:a pcm_s16le output.wav"

# The sample widths that telephone engines read.
_WIDTHS: Mapping[int, tuple[int, ...]] = {Coding.PCM: (8, 16), Coding.ALAW: (8,), Coding.MULAW: (8,)}


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
    try:
        wave = parse_wav(data)
    except WavError as error:
        raise AudioFormatError(f"{error}; {HOW_TO_CONVERT}") from None
    _check_format(wave)
    frames = len(wave.sound) // wave.frame_bytes
    if frames == 0:
        raise AudioFormatError("the WAV file holds no sound; record or export it again")
    duration_ms = max(1, round(frames * 1000 / wave.rate))
    if duration_ms > MAX_SECONDS * 1000:
        raise AudioTooLongError(
            f"the sound lasts {duration_ms // 1000} seconds; {MAX_SECONDS} are allowed: make it shorter"
        )
    return Sound(wave.rate, wave.channels, duration_ms)


def _check_format(wave: Wave) -> None:
    """Raises AudioFormatError."""
    if wave.bits not in _WIDTHS.get(wave.tag, ()):
        raise AudioFormatError(f"the sound is neither PCM of 8 or 16 bits, A-law nor µ-law; {HOW_TO_CONVERT}")
    if wave.channels not in (1, 2):
        raise AudioFormatError(
            f"the sound has {wave.channels} channels; mono and stereo are taken; {HOW_TO_CONVERT}"
        )
    if not MIN_RATE <= wave.rate <= MAX_RATE:
        raise AudioFormatError(
            f"the sound has {wave.rate} samples a second; {MIN_RATE} to {MAX_RATE} are taken; "
            f"{HOW_TO_CONVERT}"
        )
    if wave.frame_bytes != wave.channels * wave.bits // 8:
        raise AudioFormatError(f"the WAV file contradicts itself; {HOW_TO_CONVERT}")
