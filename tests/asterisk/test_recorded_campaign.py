"""A campaign is recorded as a telephone heard it, and a one-time code is not recorded at all.

With TONGDAI_TEST_WRITE_SOUNDS=1 what the telephone heard becomes the sample of the docs; otherwise it is only
compared with that in kind.
"""

from __future__ import annotations

import asyncio
import io
import math
import os
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.fakes.asterisk import CHECKOUT, AsteriskInstance
from tests.fakes.handset import Handset, Plan, Press
from tests.fakes.real_platform import RealPlatform, real_platform
from tests.fakes.sound import (
    QUIET,
    RATE,
    Samples,
    frames,
    gaps,
    load_alaw,
    load_wav,
    rms,
    save_wav,
    share_heard,
    silence,
    tone,
)

from tongdai.adapters.asterisk.stored import StoredRecordings

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk, pytest.mark.timeout(180)]

SAMPLE = CHECKOUT / "docs" / "sounds" / "campaign.wav"
MOST_BYTES = 200_000
NUMBER = "0912345678"
ANNOUNCEMENT = "Cuộc gọi được ghi âm."
SCRIPT: dict[str, Any] = {
    "start": "menu",
    "steps": {
        "menu": {
            "kind": "gather",
            "prompt": "Chào chị {ten}. Đơn hàng {tien|} đồng được giao sáng mai. Nhấn phím 1 để nhận hàng.",
            "on": {"1": "thanks"},
        },
        "thanks": {"kind": "say", "text": "Cảm ơn chị. Hẹn gặp lại."},
    },
}
CONTACT = {"number": NUMBER, "fields": {"ten": "Lan", "tien": "450.000"}}
PRESSED_AFTER_S = 8.5
"""When all has been said."""
OTP: dict[str, Any] = {
    "kind": "otp",
    "start": "read",
    "steps": {"read": {"kind": "read_code", "purpose": "Mã của quý khách là", "repeats": 1}},
}


@pytest.fixture
def handset() -> Iterator[Handset]:
    with Handset() as one:
        yield one


@pytest.fixture
async def real(database_url: str, tmp_path: Path, asterisk: AsteriskInstance) -> AsyncIterator[RealPlatform]:
    async with real_platform(database_url, tmp_path, asterisk) as one:
        await one.node(asterisk)
        yield one


def samples_of(data: bytes) -> Samples:
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


def trimmed(heard: Samples) -> Samples:
    """From 0.1 s before the first sound to 0.1 s after the last."""
    loud = np.flatnonzero(frames(heard) >= QUIET) * 160
    return heard[max(0, int(loud[0]) - 800) : int(loud[-1]) + 160 + 800]


def level_db(samples: Samples) -> float:
    """Of the frames in which there is speech, dB of full scale."""
    levels = frames(samples)
    return 20 * math.log10(float(np.sqrt(np.mean(levels[levels >= 10 * QUIET] ** 2))) / 32_768)


async def test_what_a_telephone_heard_of_a_campaign_is_what_was_recorded_and_a_code_is_recorded_nowhere(
    real: RealPlatform, handset: Handset, asterisk: AsteriskInstance
) -> None:
    hello = handset.folder / "hello.wav"
    save_wav(hello, [silence(0.4), tone(300, 0.5), silence(4.0)])
    await asyncio.to_thread(handset.does, Plan(presses=(Press(PRESSED_AFTER_S, "1"),)))
    await asyncio.to_thread(handset.does, Plan(speaks=str(hello)), ends="9")
    trunk = await real.trunk({"host": handset.host, "port": handset.port})
    line = await real.hotline(trunk["id"])
    recorded = {"detect_voicemail": False, "record": True, "record_announcement": ANNOUNCEMENT}
    campaign = await real.campaign(SCRIPT, line, config=recorded)
    [call] = await real.give(campaign, CONTACT)
    async with real.dialing(), real.working():
        done = await real.done(call)
        [kept] = await real.recordings(call)
        heard = await asyncio.to_thread(handset.heard, handset.seen("answered")[0].call)
        spoken = [load_alaw(path) for path in real.settings.sounds_path.rglob("*.alaw")]
        codes = await real.campaign(OTP, line, name="Mã", kind="otp", purpose="otp")
        [code] = await real.give(codes, {"number": "0912345679", "otp_code": "482913"})
        read = await real.done(code)
    [link] = kept["files"]
    recording = samples_of(await real.opened(link["url"]))

    assert (done["outcome"], done["key_press"][:3]) == ("answered", "1 (")
    assert len(spoken) >= 5
    # The call ends with the last sentence, whose last silence is not heard to its end.
    for sound in (np.concatenate([one, silence(0.5)]) for one in (heard, recording)):
        assert min(share_heard(sent, sound) for sent in spoken) > 0.5
        assert sum(share_heard(sent, sound) for sent in spoken) / len(spoken) > 0.75
    assert recording.size / RATE == pytest.approx(done["duration_s"], abs=1.0)
    assert kept["seconds"] == pytest.approx(recording.size / RATE, abs=0.3)

    assert read["outcome"] == "answered"
    assert [one["id"] for one in (await real.got("/recordings"))["items"]] == [kept["id"]]
    async with StoredRecordings(asterisk.node) as at_node:
        assert await at_node.names() == []
    if os.environ.get("TONGDAI_TEST_WRITE_SOUNDS") == "1":
        whole = np.concatenate([heard, silence(0.5)])
        assert min(share_heard(sent, whole) for sent in spoken) > 0.9, "too busy a machine for a sample"
        SAMPLE.parent.mkdir(exist_ok=True)
        save_wav(SAMPLE, [trimmed(heard)])
    is_like_the_sample(trimmed(heard))


def is_like_the_sample(heard: Samples) -> None:
    assert SAMPLE.stat().st_size < MOST_BYTES
    sample = load_wav(SAMPLE)
    for one in (sample, heard):
        assert int(np.abs(one.astype(np.int32)).max()) < 32_000
        # The longest silence is the wait for the key.
        assert max(length for _, length in gaps(one)) < 2.5
    assert sample.size / RATE == pytest.approx(heard.size / RATE, abs=1.5)
    assert level_db(sample) == pytest.approx(level_db(heard), abs=1.5)
    assert rms(sample) > 10 * QUIET


async def test_a_campaign_of_codes_cannot_be_told_to_record(real: RealPlatform, handset: Handset) -> None:
    trunk = await real.trunk({"host": handset.host, "port": handset.port})
    body = {
        "name": "Mã",
        "kind": "otp",
        "purpose": "otp",
        "script_id": await real.script(OTP, "Mã"),
        "hotline_ids": [await real.hotline(trunk["id"])],
        "config": {"record": True},
    }
    answer = await real.owner.post("/campaigns", body)
    assert answer.status_code == 400
    assert "record" in answer.text
