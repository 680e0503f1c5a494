"""eSpeak NG as a child: real Vietnamese speech, and a process that may die at any moment."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import numpy as np
import psutil
import pytest

from tongdai.adapters.espeak import EspeakSpeaker
from tongdai.adapters.espeak.child import Library, Program
from tongdai.domain.prompts import levels
from tongdai.ports.speech import Pcm, SpeechFailedError

pytestmark = pytest.mark.anyio

SENTENCE = "Xin chào quý khách, đây là cuộc gọi từ công ty điện lực."


@pytest.fixture
async def speaker() -> AsyncIterator[EspeakSpeaker]:
    one = EspeakSpeaker()
    await one.start()
    yield one
    await one.stop()


def level(pcm: Pcm) -> float:
    return levels.speech_level(np.frombuffer(pcm.samples, "<i2").astype(np.float32) / np.float32(32768))


@pytest.mark.parametrize("voice", ["", "vi", "vi-vn-x-south", "vi-vn-x-central"])
async def test_a_vietnamese_sentence_lasts_as_long_as_it_should_and_is_loud_enough(
    speaker: EspeakSpeaker, voice: str
) -> None:
    pcm = await speaker.speak(SENTENCE, voice)
    syllables = len(SENTENCE.split())
    assert 0.12 * syllables < pcm.seconds < 0.6 * syllables
    assert -30 < level(pcm) < -6
    assert level(Pcm(levels_of_line(pcm), 8000)) == pytest.approx(levels.TARGET_DBOV, abs=0.5)


def levels_of_line(pcm: Pcm) -> bytes:
    return (levels.from_a_law(levels.line_sound(pcm)) * 32767).astype("<i2").tobytes()


async def test_the_tones_of_vietnamese_are_heard(speaker: EspeakSpeaker) -> None:
    said = {word: (await speaker.speak(word, "vi")).samples for word in ("ma", "má", "mà", "mả", "mã", "mạ")}
    assert len(set(said.values())) == 6


async def test_regions_sound_different(speaker: EspeakSpeaker) -> None:
    north, south = [(await speaker.speak("Rượu và giấy", voice)).samples for voice in ("vi", "vi-vn-x-south")]
    assert north != south


async def test_many_at_once_get_each_their_own(speaker: EspeakSpeaker) -> None:
    texts = ["một " * count for count in range(1, 31)]
    alone = [(await speaker.speak(text, "")).seconds for text in texts]
    together = await asyncio.gather(*(speaker.speak(text, "") for text in texts))
    assert [pcm.seconds for pcm in together] == pytest.approx(alone, rel=0.05)


async def test_a_child_that_is_killed_in_the_middle_costs_nobody_their_sentence(
    speaker: EspeakSpeaker,
) -> None:
    await speaker.speak("một", "")
    first = speaker.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    asking = [asyncio.create_task(speaker.speak(SENTENCE, "")) for _ in range(5)]
    await asyncio.sleep(0)
    os.kill(first, signal.SIGKILL)
    told = await asyncio.gather(*asking)
    assert all(pcm.seconds > 1 for pcm in told)
    assert speaker.pid not in (None, first)
    assert not psutil.pid_exists(first)


async def test_a_child_that_hangs_is_replaced_in_time() -> None:
    speaker = EspeakSpeaker(timeout_s=3.0)
    await speaker.speak("một", "")
    assert speaker.pid is not None
    os.kill(speaker.pid, signal.SIGSTOP)
    with pytest.raises(SpeechFailedError) as caught:
        await speaker.speak("hai", "")
    assert caught.value.retry
    assert (await speaker.speak("ba", "")).seconds > 0.1
    await speaker.stop()


async def test_one_who_gives_up_in_the_middle_leaves_no_answer_to_the_next(speaker: EspeakSpeaker) -> None:
    await speaker.speak("một", "")
    long = asyncio.create_task(speaker.speak(SENTENCE * 50, ""))
    await asyncio.sleep(0)
    long.cancel()
    with pytest.raises(asyncio.CancelledError):
        await long
    assert (await speaker.speak("một", "")).seconds < 2


@pytest.mark.parametrize("voice", ["xx-none", "../../etc", "vi\nxx"])
async def test_a_voice_that_there_is_not_is_refused(speaker: EspeakSpeaker, voice: str) -> None:
    with pytest.raises(SpeechFailedError) as caught:
        await speaker.speak("một", voice)
    assert not caught.value.retry
    assert (await speaker.speak("một", "vi")).seconds > 0.1


@pytest.mark.parametrize("text", ["", "\0\0", "<speak>", "[[h@'loU]]", "𝕏" * 500, "a" * 5000])
async def test_odd_texts_break_nothing(speaker: EspeakSpeaker, text: str) -> None:
    await speaker.speak(text, "")
    assert (await speaker.speak("một", "")).seconds > 0.1


def test_the_child_dies_with_its_owner() -> None:
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import asyncio\n"
            "from tongdai.adapters.espeak import EspeakSpeaker\n"
            "async def main():\n"
            "    one = EspeakSpeaker()\n"
            "    await one.speak('một', '')\n"
            "    print(one.pid, flush=True)\n"
            "    await asyncio.sleep(100)\n"
            "asyncio.run(main())\n",
        ],
        stdout=subprocess.PIPE,
    )
    with owner:
        assert owner.stdout is not None
        child = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
        assert child.wait(10) is None or not child.is_running()


def test_the_program_speaks_where_the_library_is_not() -> None:
    try:
        program = Program()
    except OSError:
        pytest.skip("the program espeak-ng is not here")
    status, rate, sound = program.speak(SENTENCE, "vi", 150)
    _, library_rate, same = Library().speak(SENTENCE, "vi", 150)
    assert status == 0
    assert len(sound) / rate == pytest.approx(len(same) / library_rate, rel=0.15)
    assert program.speak("một", "xx-none", 150)[0] != 0
