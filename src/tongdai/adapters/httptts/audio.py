"""Sound as providers send it: WAV, MP3 or plain samples, told apart by how it begins. Pure."""

from __future__ import annotations

from array import array
from typing import Final

import miniaudio  # type: ignore[import-untyped]

from tongdai.kit.wav import WavError, is_wav, pcm16_mono
from tongdai.ports.speech import Pcm, SpeechFailedError

_OTHERS: Final = (b"{", b"[", b"<", b"OggS", b"fLaC")
"""How what is neither begins: words about a failure, or a file that we do not read."""


def decoded(data: bytes, content_type: str, rate: int) -> Pcm:
    """`rate`: of plain samples. Raises SpeechFailedError."""
    try:
        if is_wav(data):
            return Pcm(*pcm16_mono(data))
        if _is_mp3(data):
            return _mp3(data)
    except (WavError, miniaudio.MiniaudioError) as error:
        raise SpeechFailedError("the provider's sound cannot be read", retry=True) from error
    kind = content_type.partition(";")[0].strip().lower()
    if data.lstrip()[:4].startswith(_OTHERS) or kind.startswith("text/") or kind.endswith("json"):
        raise SpeechFailedError("the provider answered without sound", retry=True)
    if len(data) < 2:
        raise SpeechFailedError("the provider gave nothing", retry=True)
    return Pcm(data[: len(data) // 2 * 2], rate)


def _is_mp3(data: bytes) -> bool:
    """An ID3 tag, or a frame's eleven set bits with layer III (ISO/IEC 11172-3, 2.4.1.3)."""
    return data[:3] == b"ID3" or (len(data) > 2 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2)


def _mp3(data: bytes) -> Pcm:
    sound = miniaudio.mp3_read_s16(data)
    samples: array[int] = sound.samples
    if not samples or sound.nchannels < 1:
        raise miniaudio.MiniaudioError("no frames")
    return Pcm(samples[:: sound.nchannels].tobytes(), sound.sample_rate)
