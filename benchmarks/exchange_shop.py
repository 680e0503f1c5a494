"""Tenants that call over real SIP: nodes, a trunk to a far end, campaigns that play a sound and hang up."""

from __future__ import annotations

import asyncio
import io
import struct
import time
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from tests.fakes.asterisk import PASSWORD, USER, AsteriskInstance

from benchmarks import data
from benchmarks.exchange import LOOPBACK
from benchmarks.paying import make_prepaid
from benchmarks.stage import SERVE, Bench, Tenant, _alive, running
from tongdai.adapters.files import FileStorage
from tongdai.domain import campaigns, prompts, routing, scripts

NODE_PACE = 0.9
"""At which part of a trunk's calls per second slots over a node are laid (`dialer.model.NODE_PACE`)."""
SOUNDS = "sounds"

_STATE = "UPDATE campaigns SET state = %(state)s WHERE id = %(campaign)s"
_WAKE = "SELECT pg_notify('tongdai_dial', %(campaign)s::text)"
_OUTCOMES = """
SELECT coalesce(sum(calls), 0)::int, coalesce(sum(calls) FILTER (WHERE outcome = 'answered'), 0)::int
FROM outcome_counts WHERE campaign_id = %(campaign)s
"""

_UNTOLD = "SELECT count(*) FROM webhook_deliveries WHERE state = 'pending'"


@dataclass(frozen=True, slots=True)
class Shop:
    """A prepaid tenant with a trunk over real nodes."""

    bench: Bench
    tenant: Tenant
    sounds: Path

    def settings(self) -> dict[str, object]:
        """Of the processes that serve it."""
        return {"sounds_dir": self.sounds, "sandbox_address": self.bench.stage.folder / "none.sock"}

    async def campaign(self, calls: int, *, first: int, record: bool = False) -> int:
        """A draft with so many calls."""
        campaign = await self.bench.campaign(self.tenant, state="draft")
        # Far ends say nothing, and who listens for machines would listen for five seconds.
        config = campaigns.CampaignConfig(detect_voicemail=False, record=record, record_announcement="")
        values = {"campaign": campaign, "config": msgspec.json.encode(config).decode()}
        await self.bench.run(
            "UPDATE campaigns SET config = %(config)s::jsonb WHERE id = %(campaign)s", values
        )
        await data.queue(self.bench, self.tenant, campaign, calls, first=first, prefixes=data.NETWORKS)
        return campaign

    async def start(self, campaign: int) -> None:
        await self.bench.run(_STATE, {"campaign": campaign, "state": "running"})
        await self.bench.run(_WAKE, {"campaign": campaign})

    async def stop(self, campaign: int) -> None:
        await self.bench.run(_STATE, {"campaign": campaign, "state": "stopped"})

    async def pace(self, cps: float) -> None:
        """So many calls a second from now on."""
        await self.bench.run(
            "UPDATE limits SET max_cps = %(cps)s, next_slot_at = now() FROM trunks"
            " WHERE trunks.limit_id = limits.id AND trunks.id = %(trunk)s",
            {"cps": cps / NODE_PACE, "trunk": self.tenant.trunk_id},
        )

    @staticmethod
    def now() -> float:
        return time.monotonic()

    async def ended(self, campaign: int) -> tuple[int, int]:
        """Calls that have ended, and those of them that were answered."""
        [[done, answered]] = await self.bench.run(_OUTCOMES, {"campaign": campaign})
        return done, answered

    async def all_ended(self, campaign: int, calls: int, within_s: float) -> int:
        """Waits until so many have ended. Returns how many were answered. Raises RuntimeError when late."""
        deadline = time.monotonic() + within_s
        async with self.bench.connection() as watching:
            while True:
                row = await (await watching.execute(_OUTCOMES, {"campaign": campaign})).fetchone()
                assert row is not None
                if row[0] >= calls:
                    return int(row[1])
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{row[0]} of {calls} calls have ended")
                await asyncio.sleep(0.1)

    async def all_told(self) -> None:
        """Waits until every webhook was delivered."""
        async with self.bench.connection() as watching:
            while True:
                row = await (await watching.execute(_UNTOLD)).fetchone()
                if row == (0,):
                    return
                await asyncio.sleep(0.05)


async def shop(
    bench: Bench,
    nodes: Sequence[AsteriskInstance],
    port: int,
    *,
    prompt_s: float,
    channels: int | None = None,
    cps: float | None = None,
    node_channels: int | None = None,
) -> Shop:
    """A tenant whose trunk goes to that port over these nodes, with slots for `cps` calls a second."""
    sounds = bench.stage.folder / SOUNDS
    sounds.mkdir(exist_ok=True)
    tenant = await bench.tenant(
        engine="asterisk",
        max_channels=channels,
        max_cps=None if cps is None else cps / NODE_PACE,
        sip=routing.SipSettings(host=LOOPBACK, port=port, codecs=("alaw",)),
    )
    await make_prepaid(bench, [tenant])
    async with bench.db.transaction() as tx:
        for number, node in enumerate(nodes, 1):
            await routing.add_node(
                tx,
                bench.keyring,
                name=f"node {number}",
                url=node.direct.url,
                username=USER,
                password=PASSWORD,
                sounds_path=str(sounds),
                max_channels=node_channels,
            )
        storage = FileStorage(bench.stage.folder / "files")
        audio = await prompts.add_audio(tx, storage, tenant.account_id, "tone", tone(prompt_s))
        script = await scripts.create_script(
            tx,
            tenant.account_id,
            "tone",
            {"start": "tone", "steps": {"tone": {"kind": "play", "audio_file_id": audio.id}}},
            resolve_audio=prompts.audio_resolver(tx, tenant.account_id),
        )
    return Shop(bench, replace(tenant, script_id=script.id), sounds)


def tone(seconds: float) -> bytes:
    """A WAV file of 400 Hz that lasts so long."""
    period = [0, 2472, 4702, 6472, 7608, 8000, 7608, 6472, 4702, 2472]
    samples = struct.pack("<20h", *period, *(-value for value in period))
    with io.BytesIO() as file:
        with wave.open(file, "wb") as sound:
            sound.setparams((1, 2, 8000, 0, "NONE", ""))
            sound.writeframes(samples * round(seconds * 400))
        return file.getvalue()


@asynccontextmanager
async def dialers(one: Shop, count: int = 1, **settings: object) -> AsyncIterator[list[int]]:
    """So many dialers on the shop's nodes, each a process of its own and registered: their process ids."""
    async with AsyncExitStack() as stack:
        pids = []
        for _ in range(count):
            before = await one.bench._newest("dialers")
            environment = one.bench.environment(**one.settings(), **settings)
            process = stack.enter_context(running([*SERVE, "dialer"], environment))
            while await one.bench._newest("dialers") == before:
                _alive(process)
                await asyncio.sleep(0.05)
            pids.append(process.pid)
        yield pids
