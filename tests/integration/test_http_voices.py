"""Voices behind HTTP: each provider is asked as its documentation says, and every failure is told in time."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import lameenc  # type: ignore[import-not-found]  # it has no types
import msgspec
import pytest
from tests.fakes.raw_server import Heard, RawServer, Script, raw_server, whole
from tests.fakes.speakers import tone

from tongdai.adapters.httptts import HttpSpeaker, Provider, ProviderError, load_provider
from tongdai.adapters.httptts import speaker as module
from tongdai.kit.wav import wav_of
from tongdai.ports.speech import Pcm, SpeechFailedError

pytestmark = pytest.mark.anyio

KEY = "k3y-v3ry-s3cret"
TEXT = "Xin chào quý khách"
SOUND = tone(1.0)
WAV = wav_of(SOUND.samples, SOUND.rate)
PLAIN: dict[str, Any] = {"voice": "a", "fields": {"text": "{text}", "voice": "{voice}"}}


@asynccontextmanager
async def speaking(
    script: Script, shape: dict[str, Any] | str = PLAIN, *, timeout_s: float = 5.0, at_once: int = 4
) -> AsyncIterator[tuple[HttpSpeaker, RawServer]]:
    """A provider on loopback. `shape`: of its file, or the name of one that is shipped."""
    async with raw_server(script) as server:
        if isinstance(shape, str):
            provider = load_provider(shape, server.url + "/tts")
        else:
            provider = msgspec.convert({"url": server.url + "/tts", **shape}, Provider)
            assert provider.fault() is None
        speaker = HttpSpeaker(provider, KEY, timeout_s=timeout_s, at_once=at_once, first_wait_s=0.01)
        await speaker.start()
        try:
            yield speaker, server
        finally:
            await speaker.stop()


def one_after_another(*replies: Any) -> Script:
    """The last one from then on."""
    left = list(replies)
    return lambda heard: left.pop(0) if len(left) > 1 else left[0]


def linked(path: str, answer: Callable[[str], dict[str, Any]], *files: Any) -> Script:
    """A JSON answer with a link, behind which each look finds the next of `files`."""
    found = one_after_another(*files)

    def script(heard: Heard) -> Any:
        if heard.method == "GET":
            assert heard.path == path
            assert KEY not in str(heard.headers)
            return found(heard)
        host = next(value for name, value in heard.headers.items() if name.lower() == "host")
        return whole(json.dumps(answer(f"http://{host}{path}")).encode(), Content_Type="application/json")

    return script


async def refused(speaker: HttpSpeaker, text: str = TEXT, voice: str = "") -> SpeechFailedError:
    with pytest.raises(SpeechFailedError) as caught:
        await speaker.speak(text, voice)
    assert KEY not in repr(caught.value) + str(caught.value.__cause__) + repr(speaker)
    return caught.value


# ---------------------------------------------------------------- the shapes of three providers


async def test_fpt_ai_is_asked_as_documented_and_its_file_is_waited_for() -> None:
    script = linked(
        "/male.0.wav",
        lambda link: {"async": link, "error": 0, "message": "soon", "request_id": "x"},
        whole(b"", 404),
        whole(b"", 403),
        whole(WAV, Content_Type="audio/wav"),
    )
    async with speaking(script, fast("fpt")) as (speaker, server):
        assert (await speaker.speak(TEXT, "lannhi")).samples == SOUND.samples
    asked = server.heard[0]
    assert (asked.method, asked.body.decode()) == ("POST", TEXT)
    headers = {name.lower(): value for name, value in asked.headers.items()}
    assert headers["api_key"] == headers["api-key"] == KEY
    assert (headers["voice"], headers["speed"], headers["format"]) == ("lannhi", "0", "wav")
    assert len(server.heard) == 4


async def test_fpt_ai_is_given_no_text_shorter_than_it_takes() -> None:
    script = linked("/x.wav", lambda link: {"async": link, "error": 0}, whole(WAV))
    async with speaking(script, fast("fpt")) as (speaker, server):
        await speaker.speak("ba", "")
        assert server.heard[0].body == b"ba."


async def test_viettel_ai_is_asked_as_documented_and_answers_with_the_sound() -> None:
    async with speaking(lambda _: whole(WAV, Content_Type="audio/wav"), "viettel") as (speaker, server):
        assert await speaker.speak(TEXT, "hcm-minhquan") == SOUND
    (asked,) = server.heard
    headers = {name.lower(): value for name, value in asked.headers.items()}
    assert headers["content-type"] == "application/json"
    assert headers["token"] == KEY
    assert asked.json == {
        "text": TEXT,
        "voice": "hcm-minhquan",
        "token": KEY,
        "speed": 1.0,
        "tts_return_option": 2,
        "without_filter": False,
    }


async def test_zalo_ai_is_asked_as_documented_and_its_file_is_fetched() -> None:
    script = linked(
        "/audio.wav",
        lambda link: {"error_code": 0, "error_message": "Successful.", "data": {"url": link}},
        whole(WAV),
    )
    async with speaking(script, fast("zalo")) as (speaker, server):
        assert await speaker.speak(TEXT, "4") == SOUND
    asked = server.heard[0]
    headers = {name.lower(): value for name, value in asked.headers.items()}
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert headers["apikey"] == KEY
    assert asked.form == {"input": TEXT, "speaker_id": "4", "speed": "1.0", "encode_type": "0"}


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("fpt", {"error": 1, "message": "no"}),
        ("zalo", {"error_code": 155, "error_message": "no"}),
    ],
)
async def test_a_providers_no_is_told_with_its_code(name: str, answer: dict[str, Any]) -> None:
    async with speaking(lambda _: whole(json.dumps(answer).encode()), name) as (speaker, server):
        error = await refused(speaker)
    assert not error.retry
    assert str(next(iter(answer.values()))) in error.reason
    assert len(server.heard) == 1


@pytest.mark.parametrize("name", ["fpt", "viettel", "zalo"])
def test_every_provider_that_is_shipped_is_a_whole_one(name: str) -> None:
    provider = load_provider(name)
    assert provider.url.startswith("https://")
    headers, body = provider.request(TEXT, "", KEY)
    assert KEY in str(headers) + body.decode()


# ---------------------------------------------------------------- sound


@pytest.mark.parametrize(
    ("data", "kind", "expected"),
    [
        (WAV, "audio/wav", SOUND),
        (WAV, "application/octet-stream", SOUND),
        (SOUND.samples, "audio/pcm", SOUND),
        (SOUND.samples, "", SOUND),
    ],
)
async def test_sound_comes_as_a_file_or_as_samples(data: bytes, kind: str, expected: Pcm) -> None:
    async with speaking(lambda _: whole(data, Content_Type=kind)) as (speaker, _):
        assert await speaker.speak(TEXT, "") == expected


@pytest.mark.parametrize("channels", [1, 2])
async def test_mp3_is_read(channels: int) -> None:
    encoder = lameenc.Encoder()
    encoder.set_in_sample_rate(16000)
    encoder.set_channels(channels)
    encoder.set_bit_rate(64)
    encoder.silence()
    samples = b"".join(SOUND.samples[place : place + 2] * channels for place in range(0, 32000, 2))
    mp3 = bytes(encoder.encode(samples) + encoder.flush())
    async with speaking(lambda _: whole(mp3, Content_Type="audio/mpeg")) as (speaker, _):
        pcm = await speaker.speak(TEXT, "")
    assert pcm.rate == 16000
    assert pcm.seconds == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize(
    "reply",
    [
        whole(b"", Content_Type="audio/wav"),
        whole(b'{"error": "quota"}', Content_Type="audio/wav"),
        whole(b"<html>busy</html>", Content_Type="text/html"),
        whole(b"no quota left", Content_Type="text/plain"),
        whole(b"RIFF\0\0\0\0WAVEfmt ", Content_Type="audio/wav"),
        whole(b"\xff\xf3" + b"\0" * 500, Content_Type="audio/mpeg"),
    ],
    ids=["nothing", "json", "html", "words", "half a file", "no frames"],
)
async def test_what_is_no_sound_is_not_taken_for_sound(reply: bytes) -> None:
    async with speaking(lambda _: reply) as (speaker, _):
        assert (await refused(speaker)).retry


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_server_that_is_busy_is_asked_again(status: int) -> None:
    script = one_after_another(whole(b"", status), "reset", whole(WAV))
    async with speaking(script) as (speaker, server):
        assert await speaker.speak(TEXT, "") == SOUND
    assert len(server.heard) == 3


async def test_a_server_that_stays_broken_is_given_up() -> None:
    async with speaking(lambda _: whole(b"", 500)) as (speaker, server):
        error = await refused(speaker)
    assert error.retry
    assert "500" in error.reason
    assert len(server.heard) == module.TRIES


async def test_a_server_that_says_when_to_come_back_is_left_until_then() -> None:
    script = one_after_another(whole(b"", 429, Retry_After="1"), whole(WAV))
    async with speaking(script) as (speaker, _):
        began = asyncio.get_running_loop().time()
        await speaker.speak(TEXT, "")
        assert asyncio.get_running_loop().time() - began >= 1.0


async def test_a_wait_that_is_longer_than_the_limit_is_not_waited_for() -> None:
    async with speaking(lambda _: whole(b"", 429, Retry_After="3600"), timeout_s=0.3) as (speaker, _):
        assert (await refused(speaker)).retry


@pytest.mark.parametrize(("status", "reason"), [(401, "key"), (403, "key"), (400, "400"), (302, "302")])
async def test_a_refusal_is_not_repeated(status: int, reason: str) -> None:
    async with speaking(lambda _: whole(b"", status, Location="http://127.0.0.1:9/")) as (speaker, server):
        error = await refused(speaker)
    assert not error.retry
    assert reason in error.reason
    assert len(server.heard) == 1


@pytest.mark.parametrize("fault", ["hang", "close", "reset"])
async def test_a_server_that_does_not_answer_is_given_up_in_time(fault: Any) -> None:
    async with speaking(lambda _: fault, timeout_s=0.5) as (speaker, _):
        async with asyncio.timeout(5):
            assert (await refused(speaker)).retry


async def test_half_an_answer_is_none() -> None:
    half = whole(WAV)[: len(WAV) // 2]
    async with speaking(one_after_another(half, whole(WAV))) as (speaker, server):
        assert await speaker.speak(TEXT, "") == SOUND
    assert len(server.heard) == 2


async def test_nobody_there_is_told() -> None:
    async with speaking(lambda _: whole(WAV)) as (_, server):
        address = server.url
    provider = Provider(url=address, voice="a", fields={"text": "{text}"})
    speaker = HttpSpeaker(provider, KEY, first_wait_s=0.01)
    await speaker.start()
    assert (await refused(speaker)).retry
    await speaker.stop()


async def test_an_answer_that_does_not_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_READ", 10_000)
    async with speaking(lambda _: whole(WAV)) as (speaker, _):
        assert not (await refused(speaker)).retry


async def test_a_file_that_never_appears_is_given_up() -> None:
    script = linked("/x.wav", lambda link: {"async": link, "error": 0}, whole(b"", 404))
    shape = fast("fpt")
    shape["answer"]["wait_s"] = 0.3
    async with speaking(script, shape) as (speaker, server):
        assert (await refused(speaker)).retry
        assert len(server.heard) > 3


async def test_a_file_whose_server_breaks_is_looked_for_again() -> None:
    files = ("reset", whole(b"", 500), whole(WAV)[:500], whole(b""), whole(WAV))
    script = linked("/x.wav", lambda link: {"async": link, "error": 0}, *files)
    async with speaking(script, fast("fpt")) as (speaker, _):
        assert await speaker.speak(TEXT, "") == SOUND


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"[]", b'{"error": 0}', b'{"error": 0, "async": 7}', b'{"error": 0, "async": "file:///x"}'],
)
async def test_an_answer_without_a_link_is_told(body: bytes) -> None:
    async with speaking(lambda _: whole(body), fast("fpt")) as (speaker, _):
        await refused(speaker)


# ---------------------------------------------------------------- manners


async def test_no_more_requests_are_under_way_than_were_allowed() -> None:
    async with speaking(lambda _: "hang", timeout_s=0.3, at_once=2) as (speaker, server):
        asking = [asyncio.create_task(refused(speaker)) for _ in range(6)]
        async with asyncio.timeout(10):
            while len(server.heard) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0)
            assert len(server.heard) == 2
            await asyncio.gather(*asking)


async def test_key_and_text_reach_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for reply in (whole(b"", 500), whole(b"", 401), whole(b"{}"), "reset"):
        async with speaking(lambda _, reply=reply: reply, "viettel", timeout_s=1.0) as (speaker, _):  # type: ignore[misc]
            await refused(speaker)
    assert KEY not in caplog.text
    assert TEXT not in caplog.text


async def test_a_text_that_holds_a_place_for_the_key_does_not_get_it() -> None:
    async with speaking(lambda _: whole(WAV), "viettel") as (speaker, server):
        await speaker.speak("mã {key} và {voice}", "")
        assert server.heard[0].json["text"] == "mã {key} và {voice}"


@pytest.mark.parametrize("voice", ["a\r\nX: y", "a b", "../x", "a" * 101])
async def test_a_voice_that_could_be_more_than_a_name_is_refused(voice: str) -> None:
    async with speaking(lambda _: whole(WAV)) as (speaker, server):
        assert not (await refused(speaker, voice=voice)).retry
        assert server.heard == []


async def test_a_text_that_is_too_long_is_not_sent() -> None:
    async with speaking(lambda _: whole(WAV), {**PLAIN, "max_chars": 20}) as (speaker, server):
        assert not (await refused(speaker, "a" * 21)).retry
        assert server.heard == []


async def test_another_speed_is_another_edition_and_the_key_is_in_none() -> None:
    slow = {**PLAIN, "fields": {"text": "{text}", "speed": 0.8, "token": "{key}"}}
    async with speaking(lambda _: whole(WAV)) as (one, _), speaking(lambda _: whole(WAV), slow) as (two, _):
        assert one.edition("a") == one.edition("")
        assert one.edition("a") != one.edition("b") != two.edition("b")
        assert KEY not in two.edition("a")


# ---------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("url = 1", "url"),
        ('url = "ftp://x"\nvoice = "a"\n[fields]\nt = "{text}"', "url"),
        ('url = "http://x"\nvoice = "a b"\n[fields]\nt = "{text}"', "voice"),
        ('url = "http://x"\nvoice = "a"', "fields"),
        ('url = "http://x"\nvoice = "a"\nbody = "text"\n[headers]\nt = "{text}"', "headers.t"),
        ('url = "http://x"\nvoice = "a"\nbody = "text"\n[answer]\naudio = "link"', "answer.link"),
        ('url = "http://x"\nvoice = "a"\nspeeed = 1', "speeed"),
        ("url = ", "own.toml"),
    ],
)
def test_a_file_that_describes_no_provider_is_refused_with_its_place(
    tmp_path: Path, text: str, place: str
) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(ProviderError, match=place):
        load_provider(str(path))


def test_a_provider_that_nobody_ships_is_told_with_those_that_are() -> None:
    with pytest.raises(ProviderError, match="fpt, viettel, zalo"):
        load_provider("nobody")


async def test_the_answers_of_ones_own_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('url = "http://x"\nvoice = "a"\n[fields]\ntext = "{text}"\n[answer]\nrate = 24000\n')
    shape = msgspec.to_builtins(load_provider(str(path)))
    del shape["url"]
    async with speaking(lambda _: whole(SOUND.samples), shape) as (speaker, _):
        assert (await speaker.speak(TEXT, "")).rate == 24000


def fast(name: str) -> dict[str, Any]:
    """A shipped provider that is looked at more often."""
    shape: dict[str, Any] = msgspec.to_builtins(load_provider(name))
    del shape["url"]
    shape["answer"] |= {"poll_s": 0.01, "wait_s": 5.0}
    return shape
