"""What is said on calls becomes files: once per piece, by one voice per prompt, and never silent."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from tests.fakes.clock import FakeClock
from tests.fakes.speakers import PlayedSpeaker, failing, sounding, tone

from tongdai.adapters.files import FileStorage
from tongdai.domain.prompts import levels
from tongdai.domain.prompts.cache import GRACE_S, NOTED_EVERY_S
from tongdai.domain.prompts.pieces import CLAUSE_PAUSE_S, SENTENCE_PAUSE_S
from tongdai.domain.prompts.sounds import TRIES, SoundBook
from tongdai.kit.wav import wav_of
from tongdai.ports.speech import Pcm, Sound, SpeechFailedError
from tongdai.ports.telephony import AudioClip, PromptItem, Speech, SpokenCode

pytestmark = pytest.mark.anyio

GREETING = Speech("Chào Lan, chị khỏe không?", ("Chào ", "Lan", ", chị khỏe không?"))
CODE = "739154"


@asynccontextmanager
async def opened(
    folder: Path,
    clock: FakeClock,
    *,
    fallback: str = "",
    max_bytes: int = 10**9,
    **speakers: PlayedSpeaker,
) -> AsyncIterator[SoundBook]:
    book = SoundBook(
        speakers,
        FileStorage(folder / "files"),
        folder / "sounds",
        voice="one:a",
        fallback=fallback,
        max_bytes=max_bytes,
        clock=clock,
        between_tries_s=0,
    )
    await book.start()
    try:
        yield book
    finally:
        await book.stop()


def heard(folder: Path, sound: Sound) -> bytes:
    return (folder / "sounds" / f"{sound.key}.alaw").read_bytes()


def names(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*")]


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def refused(book: SoundBook, *items: PromptItem) -> SpeechFailedError:
    with pytest.raises(SpeechFailedError) as caught:
        await book.sounds(items)
    return caught.value


async def test_a_prompt_is_files_in_order_with_their_lengths(tmp_path: Path, clock: FakeClock) -> None:
    one = PlayedSpeaker()
    async with opened(tmp_path, clock, one=one) as book:
        sounds = await book.sounds([GREETING])
    assert sorted(one.asked) == [("a", "Chào"), ("a", "Lan,"), ("a", "chị khỏe không?")]
    assert [sound.seconds for sound in sounds] == pytest.approx(
        [0.2, 0.2 + CLAUSE_PAUSE_S, 0.6 + SENTENCE_PAUSE_S], abs=0.1
    )
    for sound in sounds:
        assert len(heard(tmp_path, sound)) == round(sound.seconds * 8000)
        assert len(heard(tmp_path, sound)) % 160 == 0  # whole frames of 20 ms
    assert heard(tmp_path, sounds[1]).endswith(levels.silence(CLAUSE_PAUSE_S))


async def test_each_distinct_piece_is_asked_for_once_whoever_and_how_many_ask(
    tmp_path: Path, clock: FakeClock
) -> None:
    one = PlayedSpeaker()
    one.hold()
    async with opened(tmp_path, clock, one=one) as book:
        names = ["Lan", "Minh", "Lan", "Hoa", "Minh"] * 10
        prompts = [Speech(f"Chào {name}", ("Chào ", name)) for name in names]
        asking = [asyncio.create_task(book.sounds([prompt])) for prompt in prompts]
        await one.until_asked(4)
        one.release()
        told = await asyncio.gather(*asking)
        assert sorted(text for _, text in one.asked) == ["Chào", "Hoa", "Lan", "Minh"]
        assert len({sounds[0].key for sounds in told}) == 1
        assert len({sounds[1].key for sounds in told}) == 3
    async with opened(tmp_path, clock, one=one) as again:
        assert await again.sounds([prompts[0]]) == told[0]
    assert len(one.asked) == 4


async def test_who_gives_up_waiting_takes_nobody_elses_sound_away(tmp_path: Path, clock: FakeClock) -> None:
    one = PlayedSpeaker()
    one.hold()
    async with opened(tmp_path, clock, one=one) as book:
        first = asyncio.create_task(book.sounds([Speech("Xin chào")]))
        second = asyncio.create_task(book.sounds([Speech("Xin chào")]))
        await one.until_asked(1)
        first.cancel()
        one.release()
        assert len(await second) == 1
    assert len(one.asked) == 1


async def test_numbers_are_read_as_words_before_they_are_spoken(tmp_path: Path, clock: FakeClock) -> None:
    one = PlayedSpeaker()
    async with opened(tmp_path, clock, one=one) as book:
        await book.sounds([Speech("Số tiền 10.410.000 đồng", ("Số tiền ", "10.410.000", " đồng"))])
    assert {text for _, text in one.asked} == {"Số tiền", "mười triệu bốn trăm mười nghìn", "đồng"}


async def test_voices_do_not_share_sounds_nor_do_editions_of_one(tmp_path: Path, clock: FakeClock) -> None:
    one, two = PlayedSpeaker(), PlayedSpeaker()
    async with opened(tmp_path, clock, one=one, two=two) as book:
        keys = {
            (await book.sounds([Speech("Xin chào", voice=voice)]))[0].key
            for voice in ("", "one:a", "one:b", "two:a")
        }
    assert len(keys) == 3
    one.edition_now = "another file"
    async with opened(tmp_path, clock, one=one, two=two) as book:
        assert (await book.sounds([Speech("Xin chào")]))[0].key not in keys


async def test_a_code_is_its_digits_and_leaves_no_trace(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    one = PlayedSpeaker()
    async with opened(tmp_path, clock, one=one) as book:
        sounds = await book.sounds([SpokenCode(CODE)])
        assert await book.sounds([SpokenCode(CODE)]) == sounds
        assert len(sounds) == len(CODE)
        assert len({sound.key for sound in sounds}) == len(set(CODE))
        assert all(sound.seconds > 0.3 for sound in sounds)
        assert CODE not in repr(vars(book)) + str(sounds)
    assert {text for _, text in one.asked} == {"bảy", "ba", "chín", "một", "năm", "bốn"}
    assert CODE not in "".join(names(tmp_path))
    assert CODE not in caplog.text


async def test_after_preparing_no_code_waits_for_a_voice(tmp_path: Path, clock: FakeClock) -> None:
    one = PlayedSpeaker()
    async with opened(tmp_path, clock, one=one) as book:
        await book.prepare([SpokenCode("0")])
        one.hold()
        for code in ("000000", "123456", "7890", "98765432"):
            assert book.known([SpokenCode(code)]) is not None


async def test_what_is_no_code_is_not_spelt(tmp_path: Path, clock: FakeClock) -> None:
    async with opened(tmp_path, clock, one=PlayedSpeaker()) as book:
        for wrong in ("", "12a4", "١٢٣"):
            assert not (await refused(book, SpokenCode(wrong))).retry


async def test_an_audio_file_is_levelled_once(tmp_path: Path, clock: FakeClock) -> None:
    quiet = tone(2.0, 44100, level=0.01)
    async with opened(tmp_path, clock, one=PlayedSpeaker()) as book:
        storage = FileStorage(tmp_path / "files")
        await storage.put("audio/1/x.wav", wav_of(quiet.samples, quiet.rate))
        clip = AudioClip("audio/1/x.wav", 2.0)
        (sound,) = await book.sounds([clip])
        await storage.delete("audio/1/x.wav")
        assert await book.sounds([clip, clip]) == [sound, sound]
        level = levels.speech_level(levels.from_a_law(heard(tmp_path, sound)))
        assert level == pytest.approx(levels.TARGET_DBOV, abs=0.5)
        assert not (await refused(book, AudioClip("audio/1/gone.wav", 1.0))).retry


async def test_a_text_in_which_nothing_has_a_sound_is_a_moment_of_silence(
    tmp_path: Path, clock: FakeClock
) -> None:
    one = PlayedSpeaker()
    async with opened(tmp_path, clock, one=one) as book:
        (sound,) = await book.sounds([Speech("👋 ...")])
        assert heard(tmp_path, sound) == levels.silence(0.1)
        assert book.known([Speech("👋 ...")]) == [sound]
        assert await book.sounds([]) == []
    assert one.asked == []


# ---------------------------------------------------------------- failing


@pytest.mark.parametrize(
    "answer",
    [
        failing(),
        lambda _: Pcm(b"", 16000),
        lambda _: Pcm(bytes(64000), 16000),
        lambda _: tone(0.05),
    ],
    ids=["fails", "nothing", "silence", "cut off"],
)
async def test_a_voice_that_fails_or_gives_no_sound_is_tried_again_and_then_told(
    tmp_path: Path, clock: FakeClock, answer: object
) -> None:
    one = PlayedSpeaker(answer)  # type: ignore[arg-type]
    async with opened(tmp_path, clock, one=one) as book:
        error = await refused(book, Speech("xin chào quý khách hàng"))
        assert error.retry
        assert "chào" not in str(error)
    assert len(one.asked) == TRIES
    assert not list((tmp_path / "sounds").rglob("*.alaw"))


async def test_a_voice_that_is_away_for_a_moment_is_asked_again(tmp_path: Path, clock: FakeClock) -> None:
    answers = [failing(), sounding]
    one = PlayedSpeaker(lambda text: answers.pop(0)(text))
    async with opened(tmp_path, clock, one=one) as book:
        assert len(await book.sounds([Speech("Xin chào")])) == 1


async def test_a_refusal_is_not_repeated(tmp_path: Path, clock: FakeClock) -> None:
    one = PlayedSpeaker(failing("no such voice", retry=False))
    async with opened(tmp_path, clock, one=one) as book:
        assert not (await refused(book, Speech("Xin chào"))).retry
    assert len(one.asked) == 1


async def test_a_whole_prompt_is_spoken_by_the_fallback_when_a_piece_fails(
    tmp_path: Path, clock: FakeClock
) -> None:
    one = PlayedSpeaker(lambda text: failing()(text) if text.startswith("Lan") else sounding(text))
    two = PlayedSpeaker()
    async with opened(tmp_path, clock, one=one, two=two, fallback="two:b") as book:
        sounds = await book.sounds([GREETING, SpokenCode("12")])
        assert len(sounds) == 5
        assert book.counts.fell_back == 1
    spoken_by_two = {text for _, text in two.asked}
    assert spoken_by_two == {"Chào", "Lan,", "chị khỏe không?", "một", "hai"}


async def test_nobody_waits_for_a_voice_that_is_away_and_it_is_used_again_when_it_is_back(
    tmp_path: Path, clock: FakeClock
) -> None:
    one, two = PlayedSpeaker(failing()), PlayedSpeaker()
    async with opened(tmp_path, clock, one=one, two=two, fallback="two:b") as book:
        await book.sounds([Speech("Một")])
        asked = len(one.asked)
        one.hold()
        one.answer = sounding
        await book.sounds([Speech("Hai")])
        assert len(one.asked) == asked  # it rests
        clock.advance(timedelta(seconds=10))
        async with asyncio.timeout(5):
            await book.sounds([Speech("Ba")])  # asked meanwhile, and not waited for
        await one.until_asked(asked + 1)
        one.release()
        await eventually(lambda: book.counts.spoken == 4)
        fell_back = book.counts.fell_back
        await book.sounds([Speech("Bốn")])
        assert book.counts.fell_back == fell_back


async def test_when_the_fallback_fails_too_it_is_told(tmp_path: Path, clock: FakeClock) -> None:
    one, two = PlayedSpeaker(failing("first")), PlayedSpeaker(failing("second"))
    async with opened(tmp_path, clock, one=one, two=two, fallback="two:b") as book:
        assert (await refused(book, Speech("Xin chào"))).reason == "second"


async def test_a_voice_of_nobody_is_told_and_the_fallback_speaks(tmp_path: Path, clock: FakeClock) -> None:
    async with opened(tmp_path, clock, one=PlayedSpeaker()) as book:
        assert not (await refused(book, Speech("Xin chào", voice="none:x"))).retry
    async with opened(tmp_path, clock, one=PlayedSpeaker(), fallback="one:b") as book:
        assert len(await book.sounds([Speech("Xin chào", voice="none:x")])) == 1


async def test_a_full_disk_is_told_and_leaves_no_half_file(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "sounds").touch()
    async with opened(tmp_path, clock, one=PlayedSpeaker()) as book:
        assert (await refused(book, Speech("Xin chào"))).retry


async def test_a_prompt_that_is_known_costs_less_than_30_microseconds(
    tmp_path: Path, clock: FakeClock
) -> None:
    async with opened(tmp_path, clock, one=PlayedSpeaker()) as book:
        prompts = [Speech(f"Chào a{n}", ("Chào ", f"a{n}", ", nghe máy nhé")) for n in range(100)]
        for prompt in prompts:
            await book.sounds([prompt])
        best = 1.0
        for _ in range(100):
            began = time.perf_counter()
            for prompt in prompts:
                await book.sounds([prompt])
            best = min(best, (time.perf_counter() - began) / len(prompts))
    assert best < 30e-6


# ---------------------------------------------------------------- the disk


async def test_what_is_known_is_looked_for_again_before_an_hour_is_over(
    tmp_path: Path, clock: FakeClock
) -> None:
    one = PlayedSpeaker()
    async with opened(tmp_path, clock, one=one) as book:
        (sound,) = await book.sounds([Speech("Xin chào")])
        clock.advance(timedelta(seconds=NOTED_EVERY_S))
        assert book.known([Speech("Xin chào")]) is None
        assert await book.sounds([Speech("Xin chào")]) == [sound]
        assert len(one.asked) == 1
        (tmp_path / "sounds" / f"{sound.key}.alaw").unlink()
        clock.advance(timedelta(seconds=NOTED_EVERY_S))
        assert await book.sounds([Speech("Xin chào")]) == [sound]
        assert len(one.asked) == 2
        assert heard(tmp_path, sound)


async def test_the_cap_on_the_disk_holds_while_a_campaign_speaks(tmp_path: Path, clock: FakeClock) -> None:
    async with opened(tmp_path, clock, one=PlayedSpeaker(), max_bytes=50_000) as book:
        for number in range(120):
            await book.sounds([Speech(f"Câu thứ {number}")])
            clock.advance(timedelta(seconds=GRACE_S / 4))
        sizes = [path.stat().st_size for path in (tmp_path / "sounds").rglob("*.alaw")]
    newest_hour = 5 * max(sizes)
    assert sum(sizes) <= 50_000 + newest_hour


def _speak(folder: str, barrier: object, told: object) -> None:
    """One process that speaks what another does at the same moment."""

    async def main() -> list[Sound]:
        async with opened(Path(folder), FakeClock(), one=PlayedSpeaker()) as book:
            barrier.wait()  # type: ignore[attr-defined]
            return [(await book.sounds([Speech(f"Câu số {place}")]))[0] for place in range(100)]

    told.put([(sound.key, sound.seconds) for sound in asyncio.run(main())])  # type: ignore[attr-defined]


async def test_two_processes_that_speak_the_same_at_once_agree(tmp_path: Path) -> None:
    spawning = multiprocessing.get_context("spawn")
    barrier, told = spawning.Barrier(2), spawning.Queue()
    both = [spawning.Process(target=_speak, args=(str(tmp_path), barrier, told)) for _ in range(2)]
    for one in both:
        one.start()
    first, second = told.get(timeout=60), told.get(timeout=60)
    for one in both:
        one.join(30)
        one.close()
    told.close()
    told.join_thread()
    assert first == second
    files = {str(path.relative_to(tmp_path / "sounds")) for path in (tmp_path / "sounds").rglob("*.*law")}
    assert files == {f"{key}.alaw" for key, _ in first}
    for key, seconds in first:
        assert (tmp_path / "sounds" / f"{key}.alaw").stat().st_size == round(seconds * 8000)
