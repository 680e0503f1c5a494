"""Sound of any rate and level becomes what a telephone line carries."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.speakers import tone

from tongdai.domain.prompts import levels
from tongdai.kit.wav import Coding, wav_of
from tongdai.ports.speech import Pcm

RATES = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000)


def g711_a_law(code: int) -> int:
    """ITU-T G.711, table 1a, written down by its segments: the value of a code on a scale of 4096."""
    code ^= 0x55
    sign = 1 if code & 0x80 else -1
    starts = (0, 32, 64, 128, 256, 512, 1024, 2048)
    steps = (2, 2, 4, 8, 16, 32, 64, 128)
    segment = (code >> 4) & 7
    return sign * (starts[segment] + steps[segment] * (code & 15) + steps[segment] // 2)


def spoken(seconds: float, rate: int, level: float = 0.2) -> Pcm:
    return tone(seconds, rate, level=level)


def samples(pcm: Pcm) -> levels.Samples:
    return np.frombuffer(pcm.samples, "<i2").astype(np.float32) / np.float32(32768)


def wav_file(coding: int, bits: int, channels: int, rate: int, sound: bytes) -> bytes:
    frame = channels * bits // 8
    fmt = struct.pack("<HHIIHH", coding, channels, rate, rate * frame, frame, bits)
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(sound)) + sound
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def test_every_code_of_a_law_is_worth_what_g711_says() -> None:
    decoded = levels.from_a_law(bytes(range(256)))
    assert [round(float(value) * 4096) for value in decoded] == [g711_a_law(code) for code in range(256)]


@given(st.floats(-1, 1, width=32))
def test_each_sample_gets_the_nearest_code(value: float) -> None:
    (code,) = levels.a_law(np.array([value], np.float32))
    error = abs(g711_a_law(code) / 4096 - value)
    assert error <= min(abs(g711_a_law(other) / 4096 - value) for other in range(256)) + 1e-6


def test_silence_is_the_code_of_nothing() -> None:
    quiet = levels.silence(0.5)
    assert len(quiet) == 4000
    assert max(abs(levels.from_a_law(quiet))) < 1 / 2000


@pytest.mark.parametrize("rate", RATES)
def test_every_rate_becomes_8_khz_with_the_same_length_and_pitch(rate: int) -> None:
    narrow = levels.to_line_rate(samples(spoken(1.7, rate)), rate)
    assert len(narrow) == round(1.7 * 8000)
    spectrum = abs(np.fft.rfft(narrow))
    assert abs(int(spectrum.argmax()) * 8000 / len(narrow) - 440) < 1


@pytest.mark.parametrize("rate", [16000, 22050, 48000])
def test_what_8_khz_cannot_hold_does_not_fold_back(rate: int) -> None:
    high = samples(tone(1.0, rate, hz=5200, level=0.5))
    assert max(abs(levels.to_line_rate(high, rate))[800:-800]) < 0.001


def test_hum_and_a_constant_offset_are_taken_out() -> None:
    hum = samples(tone(1.0, 16000, hz=50, level=0.3)) + np.float32(0.2)
    narrow = levels.to_line_rate(hum, 16000)
    assert max(abs(narrow)[2000:-2000]) < 0.2


def test_long_sound_in_blocks_is_the_same_as_in_one() -> None:
    rate = 22050
    long = levels.to_line_rate(samples(tone(23.0, rate, hz=1000, level=0.3)), rate)
    moments = np.arange(len(long)) / 8000
    exact = 0.3 * np.sin(2 * np.pi * 1000 * moments)
    assert max(abs(long - exact)[4000:-4000]) < 0.001


@pytest.mark.parametrize("level", [0.02, 0.2, 0.9])
def test_loud_and_soft_voices_come_out_equally_loud(level: float) -> None:
    out = levels.from_a_law(levels.line_sound(spoken(2.0, 22050, level)))
    assert levels.speech_level(out) == pytest.approx(levels.TARGET_DBOV, abs=0.3)


def test_pauses_do_not_count_as_speech_when_it_is_levelled() -> None:
    word = spoken(0.5, 16000).samples
    text = Pcm(word + bytes(2 * 16000 * 2) + word, 16000)
    out = levels.from_a_law(levels.line_sound(text))
    assert levels.speech_level(out) == pytest.approx(levels.TARGET_DBOV, abs=0.5)


def test_no_sample_passes_the_limit_however_sudden_a_sound_is() -> None:
    quiet = samples(tone(1.0, 8000, level=0.05))
    bursts = quiet.copy()
    bursts[::997] = 0.99
    limited = levels.limited(bursts)
    assert max(abs(limited)) <= 10 ** (levels.PEAK_DBOV / 20) + 1e-6
    assert levels.speech_level(limited) == pytest.approx(levels.speech_level(bursts), abs=1.5)


def test_silence_around_speech_is_cut() -> None:
    pcm = Pcm(bytes(2 * 16000) + spoken(1.0, 16000).samples + bytes(4 * 16000), 16000)
    assert len(levels.line_sound(pcm)) / 8000 == pytest.approx(1.1, abs=0.06)


@pytest.mark.parametrize("pcm", [Pcm(b"", 16000), Pcm(bytes(32000), 16000), Pcm(b"\1", 16000)])
def test_silence_is_no_speech(pcm: Pcm) -> None:
    with pytest.raises(levels.SilentError):
        levels.line_sound(pcm)


def test_sound_begins_and_ends_without_a_click() -> None:
    out = levels.from_a_law(levels.line_sound(spoken(1.0, 16000, 0.5)))
    assert abs(out[0]) < 0.01
    assert abs(out[-1]) < 0.01


@pytest.mark.parametrize(
    ("coding", "bits", "channels"),
    [
        (Coding.PCM, 16, 1),
        (Coding.PCM, 16, 2),
        (Coding.PCM, 8, 1),
        (Coding.PCM, 8, 2),
        (Coding.ALAW, 8, 1),
        (Coding.MULAW, 8, 2),
    ],
)
def test_every_audio_file_that_is_taken_can_be_played(coding: int, bits: int, channels: int) -> None:
    one = samples(tone(1.0, 16000, level=0.4))
    if coding == Coding.ALAW:
        raw = np.frombuffer(levels.a_law(one), np.uint8)
    elif coding == Coding.MULAW:
        table = levels._FROM_MULAW
        raw = np.array([int(abs(table - value).argmin()) for value in one], np.uint8)
    elif bits == 8:
        raw = (one * 127 + 128).astype(np.uint8)
    else:
        raw = (one * 32767).astype("<i2").view(np.uint8).reshape(-1, 2)
    sound = np.repeat(raw, channels, axis=0).tobytes()
    read, rate = levels.file_samples(wav_file(coding, bits, channels, 16000, sound))
    assert rate == 16000
    assert max(abs(read - one)) < 0.02
    out = levels.line_file(wav_file(coding, bits, channels, 16000, sound))
    assert len(out) / 8000 == pytest.approx(1.0, abs=0.01)
    assert levels.speech_level(levels.from_a_law(out)) == pytest.approx(levels.TARGET_DBOV, abs=0.5)


def test_a_file_without_sound_stays_a_pause_of_its_length() -> None:
    assert levels.line_file(wav_of(bytes(32000), 16000)) == levels.silence(1.0)


def test_a_customers_pause_before_and_after_stays_up_to_half_a_second() -> None:
    quiet = bytes(2 * 16000 * 3)
    out = levels.line_file(wav_of(quiet + spoken(1.0, 16000).samples + quiet, 16000))
    assert len(out) / 8000 == pytest.approx(2.1, abs=0.1)


@given(st.binary(max_size=4000), st.sampled_from(RATES))
def test_no_sound_whatever_breaks_it(noise: bytes, rate: int) -> None:
    try:
        out = levels.line_sound(Pcm(noise, rate))
    except levels.SilentError:
        return
    assert 0 < len(out) <= len(noise) / 2 / rate * 8000 + 1
