"""Sound of a telephone line in tests: made, written, read, and compared with what was sent.

Samples are 16 bit integers, 8,000 a second, one channel.
"""

from __future__ import annotations

import math
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 8_000
FRAME = 160
"""Samples in 20 ms, what an RTP packet carries."""
QUIET = 60.0
"""RMS below which a frame counts as silent: -55 dB of full scale. A line's A-law silence is 8."""

Samples = NDArray[np.int16]


# ------------------------------------------------------------------ made


def tone(hertz: float, seconds: float, *, rms: float = 5_000.0) -> Samples:
    times = np.arange(round(seconds * RATE)) / RATE
    return (rms * math.sqrt(2) * np.sin(2 * math.pi * hertz * times)).astype(np.int16)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.int16)


def speech(seconds: float, *, seed: int = 1, rms: float = 3_000.0) -> Samples:
    """Noise in syllables: as unlike itself at another moment as talk is, so that a shift is found exactly."""
    chance = np.random.default_rng(seed)
    noise = chance.normal(size=round(seconds * RATE))
    shaped = np.convolve(noise, np.hamming(8), "same")
    syllables = 0.25 + 0.75 * np.abs(np.sin(np.arange(shaped.size) * 2 * math.pi * 2.1 / RATE))
    shaped *= syllables
    shaped *= rms / math.sqrt(float(np.mean(shaped**2)))
    return np.clip(shaped, -32_000, 32_000).astype(np.int16)


# ------------------------------------------------------------------ files


def _alaw_values() -> Samples:
    """ITU-T G.711: what each of the 256 codes stands for."""
    codes = np.arange(256) ^ 0x55
    exponent, mantissa = (codes >> 4) & 7, codes & 15
    size = np.where(exponent == 0, mantissa * 16 + 8, (mantissa * 16 + 264) << np.maximum(exponent - 1, 0))
    return np.where(codes & 0x80, size, -size).astype(np.int16)


ALAW = _alaw_values()
_ORDER = np.argsort(ALAW, kind="stable")
_BETWEEN = (ALAW[_ORDER][1:].astype(np.int32) + ALAW[_ORDER][:-1]) / 2


def to_alaw(samples: Samples) -> bytes:
    nearest = np.searchsorted(_BETWEEN, samples, side="right")
    return _ORDER[nearest].astype(np.uint8).tobytes()


def from_alaw(data: bytes) -> Samples:
    return ALAW[np.frombuffer(data, np.uint8)]


def save_alaw(path: Path, parts: Iterable[Samples]) -> None:
    """Raw A-law, as Asterisk plays it without changing it."""
    path.write_bytes(to_alaw(np.concatenate(list(parts))))


def load_alaw(path: Path) -> Samples:
    return from_alaw(path.read_bytes())


def save_wav(path: Path, parts: Iterable[Samples]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.concatenate(list(parts)).astype("<i2").tobytes())


def load_wav(path: Path) -> Samples:
    """Of 8,000 samples a second, one channel; anything else fails."""
    with wave.open(str(path), "rb") as file:
        shape = (file.getnchannels(), file.getsampwidth(), file.getframerate())
        assert shape == (1, 2, RATE), f"not a telephone's sound: {shape}"
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


# ------------------------------------------------------------------ measured


def rms(samples: Samples) -> float:
    """Root mean square; full scale is 32,768."""
    return math.sqrt(float(np.mean(samples.astype(np.float64) ** 2))) if samples.size else 0.0


def frames(samples: Samples) -> NDArray[np.float64]:
    """RMS of every whole frame of 20 ms."""
    whole = samples[: samples.size // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    levels: NDArray[np.float64] = np.sqrt(np.mean(whole**2, axis=1))
    return levels


def silent_frames(samples: Samples, below: float = QUIET) -> int:
    return int(np.count_nonzero(frames(samples) < below))


def gaps(samples: Samples, *, below: float = QUIET) -> list[tuple[float, float]]:
    """Silences between the first and the last sound: (when it begins, how long it is), seconds."""
    loud = np.flatnonzero(frames(samples) >= below)
    breaks = np.flatnonzero(np.diff(loud) > 1)
    return [(float(loud[at] + 1) * 0.02, float(loud[at + 1] - loud[at] - 1) * 0.02) for at in breaks]


@dataclass(frozen=True, slots=True)
class Match:
    """Where in what was heard something that was sent is, and how like it is."""

    lag_s: float
    """Seconds from the beginning of what was heard."""
    similarity: float
    """1: the same, up to loudness; 0: nothing in common."""
    gain: float
    """How much louder than sent."""


def find(sent: Samples, heard: Samples) -> Match:
    """The place of `sent` in `heard` by normalised cross-correlation. Both hold at least one sample."""
    likeness, gains = _likeness(sent, heard)
    at = int(np.argmax(likeness))
    return Match(at / RATE, float(likeness[at]), float(gains[at]))


def _likeness(sent: Samples, heard: Samples) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How like it is at each place, and how much louder."""
    first, second = sent.astype(np.float64), heard.astype(np.float64)
    if second.size < first.size:
        second = np.concatenate([second, np.zeros(first.size - second.size)])
    size = 1 << (first.size + second.size - 1).bit_length()
    crossed = np.fft.irfft(np.fft.rfft(second, size) * np.conj(np.fft.rfft(first, size)), size)
    crossed = crossed[: second.size - first.size + 1]
    power = np.concatenate([[0.0], np.cumsum(second**2)])
    there = np.maximum(power[first.size :] - power[: -first.size], 1.0)
    own = max(float(np.sum(first**2)), 1.0)
    return crossed / np.sqrt(there * own), crossed / own


def similarity_by_part(sent: Samples, heard: Samples, *, part_s: float = 0.2) -> list[float]:
    """How like each part of what was sent is to what was heard there, once the whole is found.

    A dropped packet shows in one of them. Parts in which nothing was sent count as 1.
    """
    start = round(find(sent, heard).lag_s * RATE)
    length = round(part_s * RATE)
    likes = []
    for begin in range(0, sent.size - length + 1, length):
        own = sent[begin : begin + length].astype(np.float64)
        other = heard[start + begin : start + begin + length].astype(np.float64)
        other = np.concatenate([other, np.zeros(own.size - other.size)])
        size = math.sqrt(float(np.sum(own**2)) * float(np.sum(other**2)))
        is_sound = rms(sent[begin : begin + length]) > QUIET
        likes.append(float(np.sum(own * other)) / max(size, 1.0) if is_sound else 1.0)
    return likes


def share_heard(sent: Samples, heard: Samples, *, part_s: float = 0.2, drift_s: float = 0.3) -> float:
    """How much of what was sent, by parts, is heard in its order and place; a part is, if it is 0.9 alike.

    A busy machine loses a packet, or has one come late, and all that follows is shifted by it. So a part may
    be so far from where the one before it lets expect it. Parts in which nothing was sent do not count.
    """
    place = round(find(sent, heard).lag_s * RATE)
    length, drift = round(part_s * RATE), round(drift_s * RATE)
    found = []
    for begin in range(0, sent.size - length + 1, length):
        part = sent[begin : begin + length]
        if rms(part) > QUIET:
            first = max(0, place + begin - drift)
            likeness, _ = _likeness(part, heard[first : first + length + 2 * drift])
            found.append(bool(np.max(likeness) > 0.9))
            if found[-1]:
                # A tone is alike at every wave of it: the nearest counts.
                alike = np.flatnonzero(likeness > np.max(likeness) - 0.02) + first - begin
                place = int(alike[np.argmin(np.abs(alike - place))])
    return sum(found) / len(found)


def share_of_tone(samples: Samples, hertz: float) -> float:
    """How much of the power is within 20 Hz of a frequency: near 1 for that tone, near 0 for others."""
    power = np.abs(np.fft.rfft(samples.astype(np.float64) * np.hanning(samples.size))) ** 2
    near = np.abs(np.fft.rfftfreq(samples.size, 1 / RATE) - hertz) <= 20.0
    total = float(np.sum(power[1:]))
    return float(np.sum(power[near])) / total if total else 0.0


def tone_lasts(samples: Samples, hertz: float, *, share: float = 0.8) -> float:
    """For how many seconds a tone of that frequency is heard in all, to some 60 ms."""
    window = 4 * FRAME
    heard = [
        rms(samples[at : at + window]) > QUIET and share_of_tone(samples[at : at + window], hertz) >= share
        for at in range(0, samples.size - window + 1, FRAME)
    ]
    return (sum(heard) + 3) * 0.02 if any(heard) else 0.0
