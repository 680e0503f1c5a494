"""Promises 1, 5, 6, 7 and 8 on real calls: who is called again, what machines hear, keys, what is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.asterisk import AsteriskInstance
from tests.fakes.handset import Handset, Plan, Press
from tests.fakes.real_platform import RealPlatform, real_platform
from tests.fakes.receiver import receiving
from tests.fakes.sipp import SippPhone
from tests.fakes.sound import frames, load_alaw, save_wav, share_heard, silence, tone

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk, pytest.mark.timeout(180)]

BRIEF: dict[str, Any] = {"start": "bye", "steps": {"bye": {"kind": "hang_up"}}}
AGAIN = {"times": 1, "after_seconds": 0}
RETRIED = {
    "ring_seconds": 5,
    "detect_voicemail": False,
    "retries": dict.fromkeys(("no_answer", "busy", "unreachable", "congestion", "failed"), AGAIN),
}
OTP: dict[str, Any] = {
    "kind": "otp",
    "start": "read",
    "steps": {"read": {"kind": "read_code", "purpose": "Mã của quý khách là", "repeats": 1}},
}
KEY_MS = 40
PRESSED = "7391546280*2468135790"
ENTRY: dict[str, Any] = {
    "start": "long",
    "steps": {
        "long": {
            "kind": "gather",
            "prompt": "Xin nhập mã khách hàng của quý khách, rồi bấm phím thăng.",
            "max_digits": 32,
            "timeout_s": 6,
            "tries": 1,
            "next": "short",
        },
        "short": {"kind": "gather", "prompt": "Bấm 1.", "on": {"1": "bye"}, "timeout_s": 3, "tries": 1},
        "bye": {"kind": "hang_up", "end_code": "entered"},
    },
}


@pytest.fixture
async def real(database_url: str, tmp_path: Path, asterisk: AsteriskInstance) -> AsyncIterator[RealPlatform]:
    async with real_platform(database_url, tmp_path, asterisk) as one:
        await one.node(asterisk)
        yield one


@pytest.fixture(scope="module")
def phones() -> Iterator[tuple[SippPhone, SippPhone]]:
    """The far ends of two trunks, at addresses of their own."""
    with SippPhone() as first, SippPhone(host="127.0.0.2") as second:
        yield first, second


@pytest.fixture
def handset() -> Iterator[Handset]:
    with Handset() as one:
        yield one


async def test_only_a_trunk_that_failed_is_followed_by_another_and_nobody_who_rang_is_rung_there(
    real: RealPlatform, phones: tuple[SippPhone, SippPhone]
) -> None:
    """Over two real trunks: who declined, was engaged or heard it ring is not called by failover."""
    lines = []
    for place, phone in enumerate(phones, 1):
        trunk = await real.trunk({"host": phone.host, "port": phone.port}, name=f"nhà mạng {place}")
        lines.append(await real.hotline(trunk["id"], f"0247300123{place}"))
    campaign = await real.campaign(
        BRIEF, lines[0], hotline_ids=lines, config={"ring_seconds": 5, "detect_voicemail": False}
    )
    kinds = ("001", "002", "003", "004", "005", "010", "012")
    numbers = {kind: f"0913000{kind}" for kind in kinds}
    calls = dict(zip(kinds, await real.give(campaign, *numbers.values()), strict=True))
    async with real.dialing():
        outcomes = {kind: (await real.done(call))["outcome"] for kind, call in calls.items()}
    invited = {
        kind: sorted(phone.events_of(number).count("INVITE") for phone in phones)
        for kind, number in numbers.items()
    }
    assert outcomes == {
        "001": "answered",
        "002": "no_answer",
        "003": "busy",
        "004": "rejected",
        "005": "invalid_number",
        "010": "congestion",
        "012": "unreachable",
    }
    once = [0, 1]
    assert invited == {kind: [1, 1] if kind == "010" else once for kind in kinds}


async def test_retries_follow_the_form_and_never_ring_who_declined_and_every_call_is_told_once_and_in_order(
    real: RealPlatform, phones: tuple[SippPhone, SippPhone]
) -> None:
    phone = phones[0]
    trunk = await real.trunk({"host": phone.host, "port": phone.port})
    campaign = await real.campaign(BRIEF, await real.hotline(trunk["id"]), config=RETRIED)
    tries = {"001": 1, "003": 2, "004": 1, "005": 1, "009": 1, "010": 2, "012": 2}
    numbers = {kind: f"0914000{kind}" for kind in tries}
    async with receiving() as server, real.dialing(), real.working():
        await real.owner.made("/webhook-endpoints", {"url": server.url("/own"), "format": "tongdai"})
        calls = dict(zip(tries, await real.give(campaign, *numbers.values()), strict=True))
        done = {kind: await real.done(call) for kind, call in calls.items()}
        bodies = [one.json for one in await server.until_got("/own", sum(tries.values()))]
    assert {kind: phone.events_of(number).count("INVITE") for kind, number in numbers.items()} == tries
    assert len(bodies) == sum(tries.values())
    for kind, call in calls.items():
        told = [body for body in bodies if body["data"]["call_id"] == call]
        assert [body["sequence"] for body in told] == list(range(1, tries[kind] + 1))
        assert [body["data"]["final"] for body in told] == [False] * (tries[kind] - 1) + [True]
        assert {body["data"]["outcome"] for body in told} == {done[kind]["outcome"]}


async def test_a_machine_is_no_human_and_never_hears_a_code(
    real: RealPlatform, phones: tuple[SippPhone, SippPhone], handset: Handset
) -> None:
    """The same code is read to a person who says hello, so that its absence is one."""
    machine, person = handset.folder / "machine.wav", handset.folder / "person.wav"
    talks = [part for _ in range(12) for part in (tone(300, 0.5), silence(0.1))]
    save_wav(machine, [silence(0.2), *talks, silence(1.0), tone(1_000, 0.4), silence(8.0)])
    save_wav(person, [silence(0.4), tone(300, 0.5), silence(4.0)])
    await asyncio.to_thread(handset.does, Plan(speaks=str(machine)), ends="6")
    await asyncio.to_thread(handset.does, Plan(speaks=str(person)), ends="3")
    to_handset = await real.trunk({"host": handset.host, "port": handset.port})
    to_sipp = await real.trunk({"host": phones[0].host, "port": phones[0].port}, name="sipp")
    heard_by = await real.hotline(to_handset["id"])
    codes = await real.campaign(OTP, heard_by, kind="otp", purpose="otp")
    other = await real.hotline(to_sipp["id"], "02473001235")
    at_sipp = await real.campaign(OTP, other, name="Mã", kind="otp", purpose="otp")
    async with real.dialing():
        given = [{"number": f"091500000{ends}", "otp_code": "482913"} for ends in "63"]
        calls = await real.give(codes, *given)
        calls += await real.give(at_sipp, {"number": "0915000006", "otp_code": "482913"})
        done = [await real.done(call) for call in calls]
        of_number = {one.number: one.call for one in handset.seen("incoming")}
        heard = [await asyncio.to_thread(handset.heard, of_number[one["number"]]) for one in given]
        spoken = [load_alaw(path) for path in real.settings.sounds_path.rglob("*.alaw")]
    assert [call["outcome"] for call in done] == ["voicemail", "answered", "voicemail"]
    to_machine, to_person = heard
    assert frames(to_machine).max() < 60.0
    assert sum(share_heard(sent, to_person) > 0.5 for sent in spoken) >= 7
    counted = await real.got(f"/campaigns/{codes}/progress")
    assert {"voicemail": 1, "answered": 1}.items() <= counted["outcomes"].items()


@pytest.mark.parametrize(
    ("how", "apart_s"), [("rfc4733", 0.0), ("info", 0.3)], ids=["rfc4733, a burst", "info, one by one"]
)
async def test_no_key_is_lost_however_fast_and_whenever_it_is_pressed(
    real: RealPlatform, handset: Handset, how: Any, apart_s: float
) -> None:
    """At once after the answer, in the midst of the prompt, and after it, where the last one is a menu's. By
    RFC 4733 they come as fast as the telephone can, without waiting for each other.
    """
    parts: tuple[tuple[float, str], ...] = ((0.0, PRESSED[:2]), (0.7, PRESSED[2:]), (7.5, "#1"))
    if apart_s:
        parts = tuple((0.1 + place * apart_s, key) for place, key in enumerate(PRESSED + "#1"))
    presses = tuple(Press(after, keys, how=how, duration_ms=KEY_MS) for after, keys in parts)
    await asyncio.to_thread(handset.does, Plan(presses=presses))
    trunk = await real.trunk({"host": handset.host, "port": handset.port})
    campaign = await real.campaign(ENTRY, await real.hotline(trunk["id"]), config={"detect_voicemail": False})
    [call] = await real.give(campaign, "0916000001")
    async with real.dialing():
        done = await real.done(call)
    keys = [press.split(" ")[0] for press in done["key_press"].split(", ")]
    assert "".join(keys) == PRESSED + "#1"
    heard = [entry["detail"] for entry in done["history"][0]["timeline"] if entry["event"] == "digit"]
    assert heard == keys
