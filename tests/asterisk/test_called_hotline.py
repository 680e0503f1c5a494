"""Hotlines made over our API are called on a real Asterisk: what scripts do, and what VBot's server hears."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.api.world import upload, wav
from tests.fakes.answering import GREETING, MENU, MESSAGE, transfer
from tests.fakes.asterisk import AsteriskInstance
from tests.fakes.dialling import eventually
from tests.fakes.handset import Handset, Plan, Press
from tests.fakes.real_platform import HOTLINE, LONGEST_S, RealPlatform, real_platform
from tests.fakes.receiver import Receiver, receiving
from tests.fakes.sound import save_wav, silence, tone, tone_lasts

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk, pytest.mark.timeout(180)]

CALLER = "0912345678"
ANSWERS, RINGS_OUT, ALSO_RINGS = "0987654001", "0987654002", "0987654102"
JINGLE_HZ, SPOKEN_HZ = 700, 900
LEAVES_A_MESSAGE: dict[str, Any] = {
    "ask": MESSAGE["steps"]["ask"],
    "record": {"kind": "record", "max_s": 2},
}


@pytest.fixture
def handset() -> Iterator[Handset]:
    """It calls by itself, and takes what a hotline transfers: numbers that end in 002 ring and ring."""
    with Handset() as one:
        one.does(Plan(ring_s=60), ends="002")
        one.does(Plan(ring_s=60), ends="102")
        one.does(Plan(hangs_up_after_s=1.0), ends="001")
        yield one


@pytest.fixture
async def real(database_url: str, tmp_path: Path, asterisk: AsteriskInstance) -> AsyncIterator[RealPlatform]:
    async with real_platform(database_url, tmp_path, asterisk) as one:
        await one.node(asterisk)
        yield one


class Line:
    """A trunk to and from the handset, whose hotlines answer by a script each."""

    def __init__(
        self, real: RealPlatform, handset: Handset, asterisk: AsteriskInstance, told: Receiver
    ) -> None:
        self.real = real
        self._handset = handset
        self._asterisk = asterisk
        self._told = told
        self._trunk_id = 0

    async def open(self) -> None:
        sip = {"host": self._handset.host, "port": self._handset.port, "match": [self._handset.host]}
        self._trunk_id = (await self.real.trunk(sip))["id"]
        body = {"url": self._told.url("/history"), "format": "vbot_call_history"}
        await self.real.owner.made("/webhook-endpoints", body)

    async def hotline(self, script: dict[str, Any], number: str) -> int:
        script_id = await self.real.script(script, f"trả lời {number}")
        return await self.real.hotline(self._trunk_id, number, inbound_script_id=script_id)

    def call(self, number: str, plan: Plan | None = None) -> int:
        """The handset's number of a call that it places."""
        address = f"sip:{number}@127.0.0.1:{self._asterisk.sip_port}"
        return self._handset.call(address, caller=CALLER, plan=plan or Plan())

    async def ended(self, hotline_id: int) -> dict[str, Any]:
        """The one call that came in there, with all that is known of it."""

        async def look() -> dict[str, Any] | None:
            query = {"hotline_id": hotline_id, "state": "ended"}
            found = (await self.real.got("/incoming-calls", **query))["items"]
            return found[0] if found else None

        call = await eventually(look, LONGEST_S)
        return await self.real.got(f"/incoming-calls/{call['id']}")

    async def told_of(self, *hotlines: str) -> dict[str, Any]:
        """The body that the customer's server was sent of the one call to each, and no other."""
        bodies = [one.json for one in await self._told.until_got("/history", len(hotlines))]
        by_hotline = {body["data"][0]["hotline_number"]: body for body in bodies}
        assert sorted(by_hotline) == sorted(hotlines)
        assert len(bodies) == len(hotlines)
        return by_hotline

    async def spoken_in(self, address: str) -> float:
        """Seconds of what the caller said that are behind an address which the customer's server was told."""

        async def look() -> bytes | None:
            answer = await self.real.owner.http.get(address)
            return answer.content if answer.status_code == 200 else None

        with wave.open(io.BytesIO(await eventually(look, LONGEST_S))) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
        return tone_lasts(samples, SPOKEN_HZ)


@pytest.fixture
async def line(real: RealPlatform, handset: Handset, asterisk: AsteriskInstance) -> AsyncIterator[Line]:
    async with receiving() as told:
        one = Line(real, handset, asterisk, told)
        await one.open()
        async with real.dialing(asterisk), real.working():
            yield one


def body_of(
    call: dict[str, Any], kind: str, disposition: str, *rung: tuple[str, str, int], files: Sequence[str] = ()
) -> dict[str, Any]:
    """The whole body of VBot's call history. `rung`: (number, disposition, seconds) of each phone."""
    date = datetime.fromisoformat(call["came_at"]).strftime("%m/%d/%Y %H:%M:%S")
    callees = rung or ((call["hotline"], disposition, call["duration_s"]),)
    fixed = {"vbot_id": "", "date_create": date, "postage": 0, "member_no": ""}
    told = {
        "hotline_number": call["hotline"],
        "date_create": date,
        "time_call": clock(call["duration_s"]),
        "type_call": kind,
        "caller": [
            fixed
            | {"phone": CALLER, "disposition": "", "time_call": clock(call["duration_s"]), "source": "Phone"}
        ],
        "callee": [
            fixed
            | {
                "phone": phone,
                "disposition": what,
                "time_call": clock(seconds),
                "source": "Phone" if rung else "Hotline",
            }
            for phone, what, seconds in callees
        ],
        "postage": "0",
        "source": "Phone",
        "disposition": disposition,
        "record_file": list(files),
    }
    return {"status": 1, "error": 0, "message": "success", "event_data": "HISTORY_CALL", "data": [told]}


def speaking(handset: Handset) -> Plan:
    """A caller who talks without an end."""
    file = handset.folder / "spoken.wav"
    save_wav(file, [silence(0.2), tone(SPOKEN_HZ, 20.0)])
    return Plan(speaks=str(file))


def clock(seconds: int) -> str:
    return f"00:00:{seconds:02d}"


def rung_of(call: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [(one["target"], one["disposition"], one["seconds"]) for one in call["transfers"]]


async def test_callers_of_every_kind_of_script_are_served_and_told_of_in_the_vendors_words(
    line: Line, handset: Handset
) -> None:
    """All at once: a menu, a file that is played, and a message."""
    jingle = (await upload(line.real.owner, wav(1.0, pitch=JINGLE_HZ)))["id"]
    plays: dict[str, Any] = {
        "start": "jingle",
        "steps": {"jingle": {"kind": "play", "audio_file_id": jingle, "next": "hello"}} | GREETING["steps"],
    }
    message = {"start": "ask", "steps": LEAVES_A_MESSAGE}
    numbers = ("02473000001", "02473000002", "02473000003")
    hotlines = [
        await line.hotline(script, number)
        for script, number in zip((MENU, plays, message), numbers, strict=True)
    ]
    line.call(numbers[0], Plan(presses=(Press(0.5, "2"),)))
    heard_jingle = line.call(numbers[1])
    line.call(numbers[2], speaking(handset))
    menu, played, left = [await line.ended(one) for one in hotlines]
    told = await line.told_of(*numbers)

    assert (menu["end_code"], menu["answers"], menu["key_press"][:3]) == ("booked", {"menu": "2"}, "2 (")
    heard = await asyncio.to_thread(handset.heard, heard_jingle)
    assert tone_lasts(heard, JINGLE_HZ) > 0.7
    assert heard.size / 8000 > 1.5
    for call, number in zip((menu, played), numbers, strict=False):
        assert told[number] == body_of(call, "CALLIN", "ANSWER")
    [file] = told[numbers[2]]["data"][0]["record_file"]
    assert await line.spoken_in(file) > 1.0
    assert told[numbers[2]] == body_of(left, "CALLIN", "ANSWER", files=[file])


async def test_a_transfer_and_a_group_that_nobody_answers_are_told_phone_by_phone(
    line: Line, handset: Handset
) -> None:
    numbers = ("02473000004", "02473000005")
    group = transfer(RINGS_OUT, ALSO_RINGS, ring_s=2, on_failed="ask", **LEAVES_A_MESSAGE)
    first = await line.hotline(transfer(ANSWERS, ring_s=10), numbers[0])
    line.call(numbers[0])
    transferred = await line.ended(first)
    second = await line.hotline(group, numbers[1])
    line.call(numbers[1], speaking(handset))
    unanswered = await line.ended(second)
    told = await line.told_of(*numbers)

    [(phone, what, seconds)] = rung_of(transferred)
    assert (phone, what) == (ANSWERS, "ANSWER")
    assert 0 <= seconds <= transferred["duration_s"]
    assert told[numbers[0]] == body_of(transferred, "CALLIN", "ANSWER", (phone, what, seconds))
    rung = ((RINGS_OUT, "NOANSWER", 0), (ALSO_RINGS, "NOANSWER", 0))
    assert [entry["event"] for entry in unanswered["timeline"]][:3] == ["transferred", "answered", "recorded"]
    [file] = told[numbers[1]]["data"][0]["record_file"]
    assert await line.spoken_in(file) > 1.0
    assert told[numbers[1]] == body_of(unanswered, "CALLIN", "ANSWER", *rung, files=[file])


async def test_a_call_back_is_tied_to_the_campaigns_call_that_rang(line: Line, handset: Handset) -> None:
    handset.does(Plan(status=486), ends=CALLER)
    hotline = await line.hotline(GREETING, HOTLINE)
    campaign = await line.real.campaign(GREETING, hotline, config={"detect_voicemail": False})
    [call] = await line.real.give(campaign, CALLER)
    assert (await line.real.done(call))["outcome"] == "busy"
    line.call(HOTLINE)
    came = await line.ended(hotline)
    [tied] = (await line.real.got(f"/calls/{call}"))["call_backs"]
    assert (came["campaign_call_id"], came["campaign_id"], tied["id"]) == (call, campaign, came["id"])
