"""Piper's program as a child: a process per voice, started again when it dies, gone with its owner."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from tests.fakes import piper as program

from tongdai.adapters.piper import PiperSpeaker
from tongdai.ports.speech import SpeechFailedError

pytestmark = pytest.mark.anyio

VOICE = "vi_VN-north-medium"


@pytest.fixture
def voices(tmp_path: Path) -> Path:
    for name in (VOICE, "a", "b", "c", "d"):
        (tmp_path / f"{name}.onnx").write_bytes(b"model")
        (tmp_path / f"{name}.onnx.json").write_text("{}")
    return tmp_path


@asynccontextmanager
async def speaking(voices: Path, *, timeout_s: float = 20.0) -> AsyncIterator[PiperSpeaker]:
    runner = voices / "piper"
    runner.write_text(
        f"#!{sys.executable}\nimport runpy\nrunpy.run_path({program.__file__!r}, run_name='__main__')\n"
    )
    runner.chmod(0o755)
    speaker = PiperSpeaker(str(runner), voices, timeout_s=timeout_s, load_s=0.0)
    await speaker.start()
    try:
        yield speaker
    finally:
        await speaker.stop()


async def refused(speaker: PiperSpeaker, text: str, voice: str = VOICE) -> SpeechFailedError:
    with pytest.raises(SpeechFailedError) as caught:
        await speaker.speak(text, voice)
    return caught.value


async def test_texts_become_sound_one_by_one_by_one_process(voices: Path) -> None:
    async with speaking(voices) as speaker:
        told = await asyncio.gather(*(speaker.speak("từ " * words, VOICE) for words in range(1, 9)))
        process = speaker.pid(VOICE)
        assert [round(pcm.seconds, 1) for pcm in told] == [words / 10 for words in range(1, 9)]
        assert speaker.pid(VOICE) == process


async def test_a_text_of_several_lines_is_one_text(voices: Path) -> None:
    async with speaking(voices) as speaker:
        assert round((await speaker.speak("một\nhai\r\n\n ba\0", VOICE)).seconds, 1) == 0.3


async def test_a_speaker_within_a_voice_is_chosen_by_its_number(voices: Path) -> None:
    async with speaking(voices) as speaker:
        assert (await speaker.speak("một", f"{VOICE}+7")).samples[:2] == (8007).to_bytes(2, "little")


async def test_a_process_that_was_killed_is_started_again(voices: Path) -> None:
    async with speaking(voices) as speaker:
        await speaker.speak("một", VOICE)
        first = speaker.pid(VOICE)
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert (await speaker.speak("một", VOICE)).seconds > 0
        assert speaker.pid(VOICE) != first


async def test_a_text_that_kills_it_twice_is_given_up_and_the_next_is_spoken(voices: Path) -> None:
    async with speaking(voices) as speaker:
        assert (await refused(speaker, "die")).retry
        assert (await speaker.speak("một", VOICE)).seconds > 0


async def test_one_that_hangs_is_ended_in_time(voices: Path) -> None:
    async with speaking(voices, timeout_s=3.0) as speaker:
        assert (await refused(speaker, "hang")).retry
        assert (await speaker.speak("một", VOICE)).seconds > 0


async def test_a_file_that_is_not_there_is_no_sound(voices: Path) -> None:
    async with speaking(voices) as speaker:
        assert (await refused(speaker, "nothing")).retry


@pytest.mark.parametrize("voice", ["", "none", "../x", f"{VOICE}+x"])
async def test_a_voice_that_is_no_file_is_refused(voices: Path, voice: str) -> None:
    async with speaking(voices) as speaker:
        assert not (await refused(speaker, "một", voice)).retry


async def test_a_program_that_is_not_there_is_told(voices: Path) -> None:
    speaker = PiperSpeaker(str(voices / "no-piper"), voices)
    error = await refused(speaker, "một")
    assert not error.retry
    assert "piper_program" in error.reason
    await speaker.stop()


async def test_only_some_voices_are_in_memory_at_once_and_nothing_is_left(voices: Path) -> None:
    async with speaking(voices) as speaker:
        pids = []
        for voice in ("a", "b", "c", "d"):
            await speaker.speak("một", voice)
            pids.append(speaker.pid(voice))
        assert speaker.pid("a") is None
        assert not psutil.pid_exists(pids[0] or 0)
    assert not any(psutil.pid_exists(pid or 0) for pid in pids)


async def test_another_file_of_the_same_name_is_another_edition(voices: Path) -> None:
    async with speaking(voices) as speaker:
        before = speaker.edition(VOICE)
        (voices / f"{VOICE}.onnx").write_bytes(b"another model")
        assert speaker.edition(VOICE) != before
