"""A real Asterisk on the stage, with far ends of `sipp`, and what its processes use of the processor."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psutil
from tests.fakes.asterisk import PASSWORD, TREE, USER, AsteriskInstance, asterisk_instance

from benchmarks.bare_ari import LAST_CALLS_S, Outcome
from benchmarks.stage import PROJECT, free_port, printed

ENDPOINT = "bench"
LOOPBACK = "127.0.0.1"

_TO = """
      SIP/2.0 {answer}
      [last_Via:]
      [last_From:]
      [last_To:];tag=[pid]T[call_number]
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:{host}:[local_port];transport=[transport]>
"""
_SDP = """      Content-Type: application/sdp
      Content-Length: [len]

      v=0
      o=- 1 1 IN IP4 {host}
      s=-
      c=IN IP4 {host}
      t=0 0
      m=audio {media} RTP/AVP 8 101
      a=rtpmap:8 PCMA/8000
      a=rtpmap:101 telephone-event/8000
      a=ptime:20
"""
_ANSWERS = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="answers at once and waits">
<recv request="INVITE" crlf="true"/>
<send><![CDATA[
{ringing}      Content-Length: 0

]]></send>
<send retrans="500"><![CDATA[
{ok}
]]></send>
<recv request="ACK" crlf="true"/>
<recv request="BYE" crlf="true"/>
<send><![CDATA[

      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      [last_CSeq:]
      Content-Length: 0

]]></send>
</scenario>
"""


def answers_at_once(media_port: int) -> str:
    """A scenario of sipp that rings, answers, takes sound at that port, and waits for the end."""
    ringing = _TO.format(answer="180 Ringing", host=LOOPBACK)
    ok = _TO.format(answer="200 OK", host=LOOPBACK) + _SDP.format(host=LOOPBACK, media=media_port)
    return _ANSWERS.format(ringing=ringing, ok=ok)


@dataclass(frozen=True, slots=True)
class FarEnd:
    """Telephones that all answer at once."""

    port: int
    media_port: int


@contextmanager
def phones(folder: Path, *, media_port: int | None = None) -> Iterator[FarEnd]:
    """`sipp` as a process of its own, until the block ends."""
    far = FarEnd(free_port(), media_port or free_port())
    scenario = folder / f"answers-{far.port}.xml"
    scenario.write_text(answers_at_once(far.media_port))
    command = [TREE / "bin" / "sipp", "-sf", scenario, "-i", LOOPBACK, "-p", str(far.port), "-nostdin"]
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *map(str, command)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield far
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True, slots=True)
class Listener:
    """`benchmarks.phones` as a process of its own."""

    port: int
    process: asyncio.subprocess.Process

    async def told(self) -> Any:
        """What it has seen; it ends with that."""
        told, _ = await self.process.communicate(b"")
        return msgspec.json.decode(told)


@asynccontextmanager
async def listener(what: str) -> AsyncIterator[Listener]:
    """Ready to take datagrams."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.phones", what, "--parent", str(os.getpid())),
        cwd=PROJECT,
        env=os.environ | {"BENCH_PORT": str(port)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield Listener(port, process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def exchange() -> AsyncIterator[AsteriskInstance]:
    """An Asterisk with the endpoint `bench`, whose calls go wherever their address says."""
    with asterisk_instance() as one:
        fields = {
            "transport": "",
            "context": "default",
            "disallow": "all",
            "allow": "alaw,ulaw",
            "from_user": "0247300001",
            "direct_media": "no",
            "rtp_symmetric": "no",
            "timers": "no",
        }
        fields.pop("transport")
        body = {"fields": [{"attribute": name, "value": value} for name, value in fields.items()]}
        path = f"/ari/asterisk/config/dynamic/res_pjsip/endpoint/{ENDPOINT}"
        login = aiohttp.encode_basic_auth(USER, PASSWORD)
        async with (
            aiohttp.ClientSession(headers={"Authorization": login}) as session,
            session.put(one.direct.url + path, json=body) as answer,
        ):
            answer.raise_for_status()
        yield one


async def bare_client(
    one: AsteriskInstance, far: FarEnd, sound: Path, *, rate: float, seconds: float
) -> Outcome:
    """The bare client at that rate for so long."""
    settings = {
        "BENCH_ARI": one.direct.url,
        "BENCH_USER": USER,
        "BENCH_PASSWORD": PASSWORD,
        "BENCH_ENDPOINT": f"PJSIP/{ENDPOINT}/sip:84912345001@{LOOPBACK}:{far.port}",
        "BENCH_SOUND": f"sound:{sound.with_suffix('')}",
        "BENCH_RATE": str(rate),
        "BENCH_SECONDS": str(seconds),
    }
    told = await printed(["-m", "benchmarks.bare_ari"], os.environ | settings, seconds + 90)
    return msgspec.json.decode(told, type=Outcome)


async def spool(one: AsteriskInstance, far: FarEnd, sound: Path, *, rate: float, seconds: float) -> Outcome:
    """Asterisk's own call files at that rate: each plays the sound and hangs up.

    Blind: nobody is told what becomes of a call. What Asterisk's log says of them is counted afterwards.
    """
    spooled, waiting = one.folder / "spool" / "outgoing", one.folder / "spool" / "tmp"
    out = Outcome(offered=round(rate * seconds))
    if not _spool_log(one).exists():
        # A node's own log has no notices, and the spool says nothing else.
        one.cli(f"logger add channel {_spool_log(one).name} notice")
    done, failed = _told_by_spool(one)
    cpu, began = time.process_time(), time.perf_counter()
    for number in range(out.offered):
        text = (
            f"Channel: PJSIP/{ENDPOINT}/sip:84912345001@{LOOPBACK}:{far.port}\nCallerID: <0247300001>\n"
            f"MaxRetries: 0\nWaitTime: 30\nApplication: Playback\nData: {sound.with_suffix('')}\n"
        )
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        file = waiting / f"{number}.call"
        file.write_text(text)
        file.rename(spooled / file.name)
    out.cpu_s = time.process_time() - cpu
    while time.perf_counter() - began < seconds + LAST_CALLS_S:
        out.done, out.failed = (
            now - before for now, before in zip(_told_by_spool(one), (done, failed), strict=True)
        )
        if out.done + out.failed >= out.offered:
            break
        await asyncio.sleep(0.1)
    out.seconds = time.perf_counter() - began
    out.failed = out.offered - out.done
    return out


def _told_by_spool(one: AsteriskInstance) -> tuple[int, int]:
    """Calls that were answered and have ended, and calls that failed, since it started."""
    log = _spool_log(one).read_text(errors="replace")
    return log.count("Call completed to "), log.count("Call failed to go through")


def _spool_log(one: AsteriskInstance) -> Path:
    return one.folder / "log" / "spool"


# --------------------------------------------------------------------------- the processor


def spent(pids: Sequence[int]) -> float:
    """Seconds of processor that these processes have used, with all that they started."""
    return sum(_spent(psutil.Process(pid)) for pid in pids)


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    own = times.user + times.system + times.children_user + times.children_system
    for child in process.children():
        try:
            own += _spent(child)
        except psutil.NoSuchProcess:
            continue  # what it used is its parent's from now on
    return float(own)


def a_law_tone(path: Path, seconds: float) -> Path:
    """A file of a tone that lasts so long, as A-law: one period of 400 Hz, again and again."""
    period = bytes(
        0x55 ^ value for value in (0x80, 0xA1, 0xAB, 0xAE, 0xAF) * 2 + (0x00, 0x21, 0x2B, 0x2E, 0x2F) * 2
    )
    path.write_bytes(period * round(seconds * 8000 / len(period)))
    return path


def settings_of(one: AsteriskInstance) -> Mapping[str, str]:
    """What a process of ours is told, so that this Asterisk finds its sounds."""
    return {"sounds_dir": str(one.sounds)}
