"""From the request for a one-time code over HTTP until its INVITE is on the wire, with everything idle."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode

import aiohttp
import msgspec
from tests.fakes.asterisk import PASSWORD, USER, AsteriskInstance

from benchmarks.client import Connection, post
from benchmarks.exchange import ENDPOINT, LOOPBACK, Listener, exchange, listener
from benchmarks.exchange_shop import Shop, dialers, shop
from benchmarks.figures import Figure, median_of, percentile
from benchmarks.limits import notify_round_trip
from benchmarks.stage import Bench, Stage, import_path
from tongdai.domain import campaigns, scripts
from tongdai.kit.db import Tx

SAMPLES = 200
WARM_UP = 20
APP = "otp"
_STATE = "SELECT state FROM calls WHERE id = %s"
_TABLE = "CREATE TABLE bench_commits (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, said text)"
_COMMIT = "INSERT INTO bench_commits (said) VALUES ('a row of some bytes')"


@dataclass(slots=True)
class Taken:
    """When each number was asked for, and the seconds of the limit's parts."""

    ours: dict[str, float] = field(default_factory=dict)
    bare: dict[str, float] = field(default_factory=dict)
    database: list[float] = field(default_factory=list)


async def measure(stage: Stage) -> list[Figure]:
    async with stage.database() as bench, exchange() as one, listener("invites") as wire:
        here = await shop(bench, [one], wire.port, prompt_s=1.0)
        await bench.run(_TABLE)
        async with dialers(here), bench.api(**here.settings()) as (port, _):
            taken = await _sample(here, one, wire, port)
        came = await wire.told()
    ours = [(came[number] - at) * 1000 for number, at in taken.ours.items()]
    bare = [(came[number] - at) * 1000 for number, at in taken.bare.items()]
    both = [invite + spent * 1000 for invite, spent in zip(bare, taken.database, strict=True)]
    return [
        Figure(
            name=f"one-time code asked for until its INVITE is on the wire, {name}",
            value=pick(ours),
            unit="ms",
            limit=pick(both),
            limit_is="a bare originate until its INVITE, two commits and one NOTIFY",
            sense="at most",
            target=target,
            note=f"{SAMPLES} requests one after another over HTTP, everything idle before each",
        )
        for name, pick, target in (
            ("median", median_of, 2.0),
            ("p99", lambda values: percentile(values, 0.99), 4.0),
        )
    ]


async def _sample(here: Shop, one: AsteriskInstance, wire: Listener, port: int) -> Taken:
    """By turns: a code through all of ours, and the bare parts."""
    campaign = await _campaign(here)
    login = aiohttp.encode_basic_auth(USER, PASSWORD)
    client = await Connection(port).open()
    async with (
        here.bench.connection() as listening,
        here.bench.connection() as sending,
        aiohttp.ClientSession(headers={"Authorization": login}) as session,
        session.ws_connect(f"{one.direct.url}/ari/events?{urlencode({'app': APP})}") as socket,
    ):
        await listening.execute("LISTEN tongdai_bench")
        quiet = asyncio.create_task(_ignore(socket))
        taken = await _take(
            here.bench, campaign, here, client, (listening, sending), _originate(socket, wire)
        )
        quiet.cancel()
    await client.close()
    return taken


async def _take(
    bench: Bench,
    campaign: int,
    here: Shop,
    client: Connection,
    connections: tuple[Tx, Tx],
    originate: Callable[[str], Awaitable[None]],
) -> Taken:
    listening, sending = connections
    moments, taken = random.Random(1), Taken()
    path = import_path(campaign, here.tenant)
    for sample in range(SAMPLES + WARM_UP):
        number, other = f"090{sample:07d}", f"091{sample:07d}"
        request = post(path, b'{"contacts":[{"phone_number":"%b","otp_code":"739154"}]}' % number.encode())
        await asyncio.sleep(moments.uniform(0.05, 0.12))
        asked = time.monotonic()
        answer = await client.send(request)
        await _over(sending, int(msgspec.json.decode(answer)["results"][0]["call_id"]))
        await asyncio.sleep(moments.uniform(0.05, 0.12))
        spent = await notify_round_trip(listening, sending)
        began = time.perf_counter()
        for _ in range(2):
            await sending.execute(_COMMIT)
        spent += time.perf_counter() - began
        bare = time.monotonic()
        await originate(other)
        if sample >= WARM_UP:
            taken.ours[number], taken.bare[other] = asked, bare
            taken.database.append(spent)
    return taken


async def _campaign(here: Shop) -> int:
    """Of one-time codes, running."""
    bench, tenant = here.bench, here.tenant
    async with bench.db.transaction() as tx:
        script = await scripts.create_script(
            tx, tenant.account_id, "code", scripts.demo_scripts()["voice_otp"]
        )
        made = await campaigns.create_campaign(
            tx,
            tenant.account_id,
            tenant.user_id,
            name="codes",
            kind="otp",
            purpose="otp",
            script_id=script.id,
            hotline_ids=tenant.hotline_ids,
            config=campaigns.CampaignConfig(),
            state="running",
        )
    return made.id


def _originate(socket: aiohttp.ClientWebSocketResponse, wire: Listener) -> Callable[[str], Awaitable[None]]:
    async def originate(number: str) -> None:
        query = {
            "endpoint": f"PJSIP/{ENDPOINT}/sip:{number}@{LOOPBACK}:{wire.port}",
            "app": APP,
            "channelId": f"o{number}",
            "timeout": "30",
            "callerId": "0247300001",
        }
        request = {
            "type": "RESTRequest",
            "request_id": number,
            "method": "POST",
            "uri": f"channels?{urlencode(query)}",
        }
        await socket.send_str(msgspec.json.encode(request).decode())

    return originate


async def _ignore(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


async def _over(connection: Tx, call_id: int) -> None:
    """Returns once the call has ended: the far end is engaged."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        row = await (await connection.execute(_STATE, [call_id])).fetchone()
        if row is not None and row[0] == "done":
            return
        await asyncio.sleep(0.01)
    raise RuntimeError("a code was not dialled within ten seconds")
