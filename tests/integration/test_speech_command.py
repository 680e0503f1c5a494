"""`tongdai speech`: words and level as on a call, in a file that anybody can play."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tongdai.cli import cli
from tongdai.domain.prompts import levels
from tongdai.kit.wav import pcm16_mono


def run(monkeypatch: pytest.MonkeyPatch, *words: str, **settings: str) -> Result:
    for name, value in settings.items():
        monkeypatch.setenv(f"TONGDAI_{name.upper()}", value)
    return CliRunner().invoke(cli, ["speech", *words])


def test_a_text_becomes_a_file_as_it_would_be_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "x.wav"
    told = run(
        monkeypatch, "say", "Số tiền 10.410.000 đồng", "--voice", "espeak:vi-vn-x-south", "--out", str(out)
    )
    assert told.exit_code == 0, told.output
    assert "mười triệu bốn trăm mười nghìn đồng" in told.output
    samples, rate = pcm16_mono(out.read_bytes())
    heard = np.frombuffer(samples, "<i2").astype(np.float32) / np.float32(32768)
    assert rate == 8000
    assert 1.5 < len(heard) / rate < 5
    assert levels.speech_level(heard) == pytest.approx(levels.TARGET_DBOV, abs=0.5)


def test_one_may_only_read_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    told = run(monkeypatch, "say", "21/11/2026")
    assert told.output == "ngày hai mươi mốt tháng mười một năm hai nghìn không trăm hai mươi sáu\n"


def test_one_may_hear_what_the_voice_gave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "x.wav"
    assert run(monkeypatch, "say", "Xin chào", "--wide", "--out", str(out)).exit_code == 0
    assert pcm16_mono(out.read_bytes())[1] == 22050


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["say", "Xin chào", "--voice", "nobody:x"], "espeak:…"),
        (["say", "Xin chào", "--voice", "espeak:xx"], "no such voice"),
        (["say", "..."], "nothing in this text"),
    ],
)
def test_what_cannot_be_spoken_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], reason: str
) -> None:
    out = tmp_path / "x.wav"
    told = run(monkeypatch, *words, "--out", str(out))
    assert told.exit_code != 0
    assert reason in str(told.exception)
    assert not out.exists()


def test_the_voices_that_are_set_up_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vi_VN-vais1000-medium.onnx").touch()
    told = run(monkeypatch, "voices", piper_voices=str(tmp_path), httptts_provider="fpt")
    assert told.output.split() == ["espeak:…", "piper:…", "http:…", "piper:vi_VN-vais1000-medium"]
