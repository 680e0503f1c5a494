"""The least that a client of Asterisk can be: one WebSocket, requests over it, a dictionary of calls.

It originates calls at a steady rate, plays one sound on each that is answered, hangs up when that has ended,
and counts. It reads no database, pushes no trunk, keeps no journal, knows no script, and hears of nothing
but the three kinds of events that it needs. Where to, how fast and for how long is in the environment; what
came of it is printed as JSON.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec

from tongdai.kit.running import run_until_stopped
from tongdai.kit.supervisor import die_with_parent

APP = "bare"
NEEDED = ("StasisStart", "PlaybackFinished", "ChannelDestroyed")
LAST_CALLS_S = 40.0
"""How long after the last originate calls may still end."""


class Channel(msgspec.Struct):
    id: str


class Playback(msgspec.Struct):
    target_uri: str


class Heard(msgspec.Struct):
    """What comes over the WebSocket: an event, or the answer to a request."""

    type: str
    channel: Channel | None = None
    playback: Playback | None = None
    request_id: str = ""
    status_code: int = 0


class Outcome(msgspec.Struct):
    """What is printed."""

    offered: int = 0
    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    """From the first originate to the end of the last call."""
    cpu_s: float = 0.0
    answer_ms: list[float] = []
    """From each originate until its call was in the application."""


@dataclass(slots=True)
class Client:
    socket: aiohttp.ClientWebSocketResponse
    endpoint: str
    sound: str
    out: Outcome = field(default_factory=Outcome)
    sent: dict[str, float] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    numbers: Any = field(default_factory=lambda: count(1))

    async def ask(self, method: str, uri: str, name: str) -> None:
        request = {"type": "RESTRequest", "request_id": name, "method": method, "uri": uri}
        await self.socket.send_str(msgspec.json.encode(request).decode())

    async def originate(self) -> None:
        name = f"b{next(self.numbers)}"
        query = {
            "endpoint": self.endpoint,
            "app": APP,
            "channelId": name,
            "timeout": "30",
            "callerId": "0247300001",
        }
        self.sent[name] = time.perf_counter()
        self.out.offered += 1
        await self.ask("POST", f"channels?{urlencode(query)}", name)

    async def hear(self) -> None:
        decoder = msgspec.json.Decoder(Heard)
        async for message in self.socket:
            await self.take(decoder.decode(message.data))

    async def take(self, heard: Heard) -> None:
        if heard.type == "StasisStart" and heard.channel is not None:
            name = heard.channel.id
            self.out.answer_ms.append((time.perf_counter() - self.sent[name]) * 1000)
            await self.ask("POST", f"channels/{name}/play?{urlencode({'media': self.sound})}", "")
        elif heard.type == "PlaybackFinished" and heard.playback is not None:
            await self.ask("DELETE", f"channels/{heard.playback.target_uri.removeprefix('channel:')}", "")
            self.out.done += 1
        elif heard.type == "ChannelDestroyed" and heard.channel is not None:
            self._ended(heard.channel.id)
        elif heard.type == "RESTResponse" and heard.request_id and heard.status_code >= 300:
            self._ended(heard.request_id)

    def _ended(self, name: str) -> None:
        if self.sent.pop(name, None) is not None and not self.sent:
            self.over.set()


async def main(_: asyncio.Event) -> None:
    environ = os.environ
    base, rate, seconds = environ["BENCH_ARI"], float(environ["BENCH_RATE"]), float(environ["BENCH_SECONDS"])
    login = aiohttp.encode_basic_auth(environ["BENCH_USER"], environ["BENCH_PASSWORD"])
    async with (
        aiohttp.ClientSession(headers={"Authorization": login}) as session,
        session.ws_connect(f"{base}/ari/events?{urlencode({'app': APP})}") as socket,
    ):
        allowed = {"allowed": [{"type": kind} for kind in NEEDED]}
        await session.put(f"{base}/ari/applications/{APP}/eventFilter", json=allowed)
        client = Client(socket, environ["BENCH_ENDPOINT"], environ["BENCH_SOUND"])
        hearing = asyncio.create_task(client.hear())
        await _call(client, rate, seconds)
        hearing.cancel()
    sys.stdout.write(msgspec.json.encode(client.out).decode() + "\n")


async def _call(client: Client, rate: float, seconds: float) -> None:
    """Originates are never held back by calls that take their time: the rate is what is asked for."""
    loop = asyncio.get_running_loop()
    cpu, began = time.process_time(), loop.time()
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        await client.originate()
    client.over.clear()
    if client.sent:
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_CALLS_S):
                await client.over.wait()
    client.out.seconds = loop.time() - began
    client.out.cpu_s = time.process_time() - cpu
    client.out.failed = client.out.offered - client.out.done


if __name__ == "__main__":
    die_with_parent(int(sys.argv[sys.argv.index("--parent") + 1]))
    run_until_stopped(main)
