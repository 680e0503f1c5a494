"""Sound as a telephone line wants it: 8 kHz, mono, as loud as all other prompts, G.711 A-law. Pure.

Every prompt comes through here, spoken or recorded, so that a call does not jump in loudness between a voice
and an audio file. Imports numpy, which takes a tenth of a second: imported where sound is made, not by all.
"""

from __future__ import annotations

from math import gcd
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tongdai.domain.prompts.errors import AudioFormatError
from tongdai.domain.prompts.model import read_sound
from tongdai.kit.wav import Coding, parse_wav
from tongdai.ports.speech import Pcm

Samples = NDArray[np.float32]
"""Of one channel; full scale is 1."""

LINE_RATE: Final = 8000
"""Samples a second of G.711 (ITU-T G.711, 3)."""

TARGET_DBOV: Final = -20.0
"""Level of speech while it is speech. 6 dB above the -26 dBov at which ITU-T P.800 tests listening: a prompt
is heard in the street, and its loudest moments still pass the limiter untouched."""
PEAK_DBOV: Final = -3.0
MOST_GAIN_DB: Final = 30.0
"""A whisper is raised by so much at most; what is quieter is noise."""

LOWEST_HZ: Final = 100.0
"""Below it is hum and rumble, which no telephone plays (the band begins at 300 Hz)."""
PASS_HZ: Final = 3400.0
STOP_HZ: Final = 3900.0
"""Between the two the low pass falls from all to nothing; at 4,000 Hz it would fold back."""

SILENCE_DBOV: Final = -50.0
"""A frame that is quieter is silence, however loud the rest."""
ACTIVE_RANGE_DB: Final = 30.0
"""A frame that is quieter by so much than the loudest is a pause between words."""
HEARD_RANGE_DB: Final = 42.0
"""And by so much: nothing of it is heard. Between the two are the consonants that words begin and end
with."""

_FRAME: Final = LINE_RATE // 50
"""20 ms."""
_SILENT: Final = b"\xd5"
_LEAD_FRAMES: Final = 1
_TAIL_FRAMES: Final = 3
"""What is kept before the first and after the last frame with speech: soft consonants, and the fading."""
_LIMIT_FRAME: Final = 20
"""Samples over which the limiter's gain is constant or on its way: 2.5 ms."""
_FADE: Final = LINE_RATE // 200
_BLOCK_S: Final = 10
_MARGIN_S: Final = 0.1
"""Sound is filtered in blocks, so that ten minutes do not take a gigabyte, with so much around each."""


class SilentError(ValueError):
    """There is no sound in it."""


def line_sound(pcm: Pcm) -> bytes:
    """Speech as A-law at 8 kHz: levelled, without the silence around it. Raises SilentError."""
    samples = np.frombuffer(pcm.samples[: len(pcm.samples) // 2 * 2], "<i2").astype(np.float32) / np.float32(
        32768
    )
    return a_law(prepared(samples, pcm.rate))


def line_file(data: bytes, *, kept_silence_s: float = 0.5) -> bytes:
    """A customer's WAV file as A-law at 8 kHz. Silence around it is cut to `kept_silence_s`.

    A file without any sound stays as long as it is: somebody wants a pause. Raises AudioFormatError,
    AudioTooLargeError, AudioTooLongError.
    """
    samples, rate = file_samples(data)
    try:
        return a_law(prepared(samples, rate, kept_silence_s=kept_silence_s))
    except SilentError:
        return silence(len(samples) / rate)


def file_samples(data: bytes) -> tuple[Samples, int]:
    """Samples and rate of a WAV file, its channels mixed into one. Raises what `read_sound` raises."""
    sound = read_sound(data)
    wave = parse_wav(data)
    raw = np.frombuffer(wave.sound[: len(wave.sound) // wave.frame_bytes * wave.frame_bytes], np.uint8)
    samples: Samples
    if wave.tag == Coding.ALAW:
        samples = _FROM_ALAW[raw]
    elif wave.tag == Coding.MULAW:
        samples = _FROM_MULAW[raw]
    elif wave.bits == 8:
        samples = (raw.astype(np.float32) - np.float32(128)) / np.float32(128)
    elif wave.bits == 16:
        samples = raw.view("<i2").astype(np.float32) / np.float32(32768)
    else:  # read_sound lets nothing else through
        raise AudioFormatError("the sound is coded in an unknown way")
    return samples.reshape(-1, sound.channels).mean(axis=1, dtype=np.float32), wave.rate


def prepared(samples: Samples, rate: int, *, kept_silence_s: float = 0.0) -> Samples:
    """At 8 kHz, filtered, trimmed, levelled and limited. Raises SilentError."""
    narrow = to_line_rate(samples, rate)
    levels = _levels(narrow)
    loudest = float(levels.max(initial=-200.0))
    # What is only very quiet is judged by its own loudest moment.
    floor = SILENCE_DBOV if loudest > SILENCE_DBOV else SILENCE_DBOV - MOST_GAIN_DB
    if loudest <= floor:
        raise SilentError("there is no sound in it")
    active = levels[levels > max(floor, loudest - ACTIVE_RANGE_DB)]
    level = 10 * float(np.log10(np.mean(10 ** (active / 10))))
    gain = 10 ** (min(TARGET_DBOV - level, MOST_GAIN_DB) / 20)
    heard = levels > max(floor, loudest - HEARD_RANGE_DB)
    return _faded(limited(_trimmed(narrow, heard, kept_silence_s) * np.float32(gain)))


def speech_level(samples: Samples) -> float:
    """Level in dBov of the frames that are no pause; -200 when there is no sound."""
    levels = _levels(samples)
    active = levels > max(SILENCE_DBOV, float(levels.max(initial=-200.0)) - ACTIVE_RANGE_DB)
    return 10 * float(np.log10(np.mean(10 ** (levels[active] / 10)))) if active.any() else -200.0


def silence(seconds: float) -> bytes:
    """A-law silence (0xD5: zero, its even bits inverted as G.711 says)."""
    return _SILENT * round(seconds * LINE_RATE)


def whole_frames(coded: bytes) -> bytes:
    """With silence up to a whole frame of 20 ms: engines send frames, and a part of one is a stumble."""
    return coded + _SILENT * (-len(coded) % _FRAME)


# --------------------------------------------------------------------------- rate


def to_line_rate(samples: Samples, rate: int) -> Samples:
    """At 8 kHz, with nothing below `LOWEST_HZ` or above what 8 kHz can hold.

    The spectrum is cut and read at another rate: exact for every ratio, and without a delay.
    """
    step = rate // gcd(rate, LINE_RATE)
    # Blocks begin and end at moments at which both rates have a sample.
    margin = -(-int(_MARGIN_S * rate) // step) * step
    block = min(_BLOCK_S * rate, max(len(samples), 1)) + 2 * margin
    block = _quick(-(-block // step)) * step - 2 * margin
    wanted = round(len(samples) * LINE_RATE / rate)
    padded = np.pad(samples, (margin, margin + block))
    blocks = [
        _narrowed(padded[start : start + block + 2 * margin], rate, margin)
        for start in range(0, max(len(samples), 1), block)
    ]
    return np.concatenate(blocks)[:wanted]


def _quick(size: int) -> int:
    """The next size that is a product of 2, 3 and 5: a transform over a prime takes many times as long."""
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 1


def _narrowed(samples: Samples, rate: int, margin: int) -> Samples:
    """One block with its margins at 8 kHz, without them."""
    spectrum = np.fft.rfft(samples)
    hz = np.arange(len(spectrum), dtype=np.float32) * (rate / len(samples))
    length = len(samples) * LINE_RATE // rate
    cut = (spectrum * _passed(hz))[: length // 2 + 1]
    narrow = np.fft.irfft(cut, length) * (LINE_RATE / rate)
    skip = margin * LINE_RATE // rate
    return narrow[skip : length - skip].astype(np.float32)


def _passed(hz: Samples) -> Samples:
    """How much of each frequency is let through: raised cosines at both ends, which hardly ring."""
    low = np.clip(hz / LOWEST_HZ, 0, 1)
    high = np.clip((STOP_HZ - hz) / (STOP_HZ - PASS_HZ), 0, 1)
    passed: Samples = (0.25 * (1 - np.cos(np.pi * low)) * (1 - np.cos(np.pi * high))).astype(np.float32)
    return passed


# --------------------------------------------------------------------------- loudness


def _levels(samples: Samples) -> Samples:
    """Of each 20 ms, in dBov (a full-scale square wave is 0)."""
    frames = np.pad(samples, (0, -len(samples) % _FRAME)).reshape(-1, _FRAME)
    power = np.mean(frames * frames, axis=1)
    levels: Samples = (10 * np.log10(np.maximum(power, 1e-20))).astype(np.float32)
    return levels


def _trimmed(samples: Samples, heard: NDArray[np.bool_], kept_silence_s: float) -> Samples:
    spoken = np.flatnonzero(heard)
    kept = int(kept_silence_s * LINE_RATE)
    first = max(0, (int(spoken[0]) - _LEAD_FRAMES) * _FRAME - kept)
    return samples[first : (int(spoken[-1]) + 1 + _TAIL_FRAMES) * _FRAME + kept]


def limited(samples: Samples) -> Samples:
    """No sample above `PEAK_DBOV`: what would be is turned down with what is around it, not cut off."""
    limit = 10 ** (PEAK_DBOV / 20)
    frames = np.pad(np.abs(samples), (0, -len(samples) % _LIMIT_FRAME)).reshape(-1, _LIMIT_FRAME)
    peaks = frames.max(axis=1)
    if not len(peaks) or float(peaks.max()) <= limit:
        return samples
    gains = np.minimum(1.0, limit / np.maximum(peaks, 1e-9))
    around = np.pad(gains, 1, mode="edge")
    # The least of three neighbours, so that a straight line between two of them lies below each own gain.
    least = np.minimum(np.minimum(around[:-2], around[1:-1]), around[2:])
    centres = np.arange(len(least)) * _LIMIT_FRAME + (_LIMIT_FRAME - 1) / 2
    turned: Samples = (samples * np.interp(np.arange(len(samples)), centres, least)).astype(np.float32)
    return turned


def _faded(samples: Samples) -> Samples:
    """Without a click at its ends."""
    width = min(_FADE, len(samples) // 2)
    if width:
        ramp = np.linspace(0, 1, width, dtype=np.float32)
        samples = samples.copy()
        samples[:width] *= ramp
        samples[-width:] *= ramp[::-1]
    return samples


# --------------------------------------------------------------------------- G.711


def _decoded_a_law() -> Samples:
    """What each code of A-law stands for (ITU-T G.711, table 1), full scale being 1."""
    codes = np.arange(256) ^ 0x55
    segment, step = (codes >> 4) & 7, codes & 15
    magnitude = np.where(segment == 0, step * 2 + 1, (step * 2 + 33) << np.maximum(segment - 1, 0))
    return (np.where(codes & 0x80, magnitude, -magnitude) / 4096).astype(np.float32)


def _decoded_mu_law() -> Samples:
    """Of µ-law (table 2)."""
    codes = ~np.arange(256) & 0xFF
    segment, step = (codes >> 4) & 7, codes & 15
    magnitude = ((step * 2 + 33) << segment) - 33
    return (np.where(codes & 0x80, -magnitude, magnitude) / 8192).astype(np.float32)


_FROM_ALAW: Final = _decoded_a_law()
_FROM_MULAW: Final = _decoded_mu_law()
_BY_VALUE: Final = np.argsort(_FROM_ALAW)
_BETWEEN: Final = (_FROM_ALAW[_BY_VALUE][1:] + _FROM_ALAW[_BY_VALUE][:-1]) / 2


def a_law(samples: Samples) -> bytes:
    """Each sample as the code whose value is nearest."""
    return _BY_VALUE[np.searchsorted(_BETWEEN, samples, side="right")].astype(np.uint8).tobytes()


def from_a_law(coded: bytes) -> Samples:
    return _FROM_ALAW[np.frombuffer(coded, np.uint8)]
