"""What a person hears on a real call is what was spoken: pieces, audio files and codes, at one level."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from tests.fakes.asterisk import AsteriskInstance
from tests.fakes.handset import Handset
from tests.fakes.one_trunk import Trunks
from tests.fakes.sound import ALAW, Samples, gaps, rms, share_heard, silence
from tests.fakes.speakers import PlayedSpeaker, failing, tone

from tongdai.adapters.asterisk.engine import AsteriskEngine
from tongdai.adapters.espeak import EspeakSpeaker
from tongdai.adapters.files import FileStorage
from tongdai.domain.prompts import levels
from tongdai.domain.prompts.pieces import DIGIT_PAUSE_S
from tongdai.domain.prompts.sounds import SoundBook
from tongdai.kit.wav import wav_of
from tongdai.ports.sip import SipTrunk
from tongdai.ports.speech import Sound, Speaker
from tongdai.ports.telephony import (
    Answered,
    AudioClip,
    DialRequest,
    EndCause,
    Ended,
    EngineEvent,
    HangUp,
    Play,
    PlaybackEnded,
    PromptItem,
    Speech,
    SpokenCode,
)

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk]

PROMPT: Sequence[PromptItem] = (
    Speech(
        "Chào chị Lan, số tiền 10.410.000 đồng đến hạn.",
        ("Chào ", "chị Lan", ", số tiền ", "10.410.000", " đồng đến hạn."),
    ),
    AudioClip("audio/1/jingle.wav", 1.0),
    Speech("Mã của chị là"),
    SpokenCode("739154"),
)
LEGS = count(7_100_001)


@asynccontextmanager
async def booked(asterisk: AsteriskInstance, folder: Path, speaker: Speaker) -> AsyncIterator[SoundBook]:
    storage = FileStorage(folder)
    jingle = tone(1.0, 44100, hz=700, level=0.02)
    await storage.put("audio/1/jingle.wav", wav_of(jingle.samples, jingle.rate))
    book = SoundBook(
        {"espeak": speaker}, storage, asterisk.sounds, voice="espeak:vi", max_bytes=10**9, between_tries_s=0
    )
    await book.start()
    yield book
    await book.stop()


async def called(
    asterisk: AsteriskInstance, phone: Handset, book: SoundBook, items: Sequence[PromptItem]
) -> list[EngineEvent]:
    """One call that plays the items and hangs up; what was told of it."""
    leg_id = next(LEGS)
    trunk = SipTrunk(trunk_id=leg_id, revision=0, host=phone.host, port=phone.port)
    engine = AsteriskEngine(asterisk.node, Trunks(trunk), book)
    await engine.start()
    told: list[EngineEvent] = []
    try:
        async with asyncio.timeout(60):
            while not engine.reachable:  # noqa: ASYNC110 - it connects in the background
                await asyncio.sleep(0.02)
            await engine.originate(
                DialRequest(
                    leg_id=leg_id,
                    trunk_id=leg_id,
                    number="0912345678",
                    caller="0241234567",
                    ring_s=20,
                    max_s=60,
                    detect_machine=False,
                    dial_before=datetime.now(UTC) + timedelta(seconds=10),
                )
            )
            async for event in engine.events():
                told.append(event)
                if isinstance(event, Answered):
                    await engine.command(leg_id, 1, Play(1, tuple(items)))
                elif isinstance(event, PlaybackEnded):
                    await engine.command(leg_id, 2, HangUp())
                elif isinstance(event, Ended):
                    break
    finally:
        await engine.stop()
    return told


def line(asterisk: AsteriskInstance, sounds: Sequence[Sound]) -> Samples:
    """What a telephone would hear of these files, one after the other."""
    parts = [(asterisk.sounds / f"{sound.key}.alaw").read_bytes() for sound in sounds]
    return ALAW[np.frombuffer(b"".join(parts), np.uint8)]


async def test_a_person_hears_every_piece_in_order_without_a_gap(
    asterisk: AsteriskInstance, tmp_path: Path
) -> None:
    async with booked(asterisk, tmp_path, EspeakSpeaker()) as book:
        with Handset() as phone:
            told = await called(asterisk, phone, book, PROMPT)
            sent = line(asterisk, await book.sounds(PROMPT))
            heard = await asyncio.to_thread(phone.heard, phone.wait("incoming").call)
    assert [event.completed for event in told if isinstance(event, PlaybackEnded)] == [True]
    # The call is hung up at once: the silence after the last digit is not heard to its end.
    sent = sent[: -round(DIGIT_PAUSE_S * 8000)]
    assert share_heard(sent, heard) > 0.9
    spoken = heard.astype(np.float32) / np.float32(32768)
    assert levels.speech_level(spoken) == pytest.approx(levels.TARGET_DBOV, abs=1.5)
    longest_pause = max((length for _, length in gaps(heard)), default=0.0)
    assert longest_pause < 1.0


async def test_when_nobody_can_speak_the_call_ends_and_nobody_listens_to_nothing(
    asterisk: AsteriskInstance, tmp_path: Path
) -> None:
    async with booked(asterisk, tmp_path, PlayedSpeaker(failing())) as book:
        with Handset() as phone:
            told = await called(asterisk, phone, book, [Speech("Không ai nói được câu này")])
            heard = await asyncio.to_thread(phone.heard, phone.wait("incoming").call)
    assert [event.cause for event in told if isinstance(event, Ended)] == [EndCause.FAILURE]
    assert not any(isinstance(event, PlaybackEnded) and event.completed for event in told)
    assert heard.size / 8000 < 5
    assert rms(heard) <= rms(silence(1.0)) + 20
