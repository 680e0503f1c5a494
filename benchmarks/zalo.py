"""Zalo's emulator as a process of its own, and shops with Official Accounts that are connected to it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import msgspec

from benchmarks.stage import Bench, Stage, Tenant, answers, free_port, running
from tongdai.adapters.zaloapi import ZaloClient
from tongdai.domain import zalo
from tongdai.domain.zalo import Bridge
from tongdai.kit.clock import SystemClock
from tongdai.ports.zalo import Access

APP_ID = 3_791_405_228_651_924_317
SECRET = "khoa-bi-mat"
CALLBACK = "http://127.0.0.1:1/callback"
FIRST_OA = 4_318_657_068_771_000_000


@dataclass(frozen=True, slots=True)
class Emulator:
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self) -> dict[str, object]:
        """For a process that is to take it for Zalo."""
        names = ("zalo_oauth_url", "zalo_openapi_url", "zalo_business_url")
        return dict.fromkeys(names, self.url)

    def client(self) -> ZaloClient:
        return ZaloClient(oauth_url=self.url, openapi_url=self.url, business_url=self.url)

    async def answer_after(self, delay_ms: int) -> None:
        """From now on."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/emulator/settings", json={"delay_ms": delay_ms}) as answer,
        ):
            answer.raise_for_status()

    async def requests(self, path: str) -> list[dict[str, Any]]:
        """What it was asked at a path."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/emulator/requests", params={"path": path, "limit": "100000"}) as answer,
        ):
            asked: list[dict[str, Any]] = msgspec.json.decode(await answer.read())
            return asked


def _written(stage: Stage, port: int, oas: int) -> Path:
    told = {
        "apps": [{"app_id": APP_ID, "secret": SECRET, "callback_urls": [CALLBACK]}],
        "oas": [{"oa_id": FIRST_OA + at, "name": f"OA {at}"} for at in range(oas)],
    }
    fixtures = Path(stage.path(f"zalo_{port}.json"))
    fixtures.write_bytes(msgspec.json.encode(told))
    return fixtures


@asynccontextmanager
async def emulator(stage: Stage, oas: int = 1) -> AsyncIterator[Emulator]:
    """Ready, with so many Official Accounts, and with nothing that it remembers."""
    port = free_port()
    fixtures, data = _written(stage, port, oas), stage.path(f"zalo_{port}.sqlite")
    words = ["-m", "tongdai", "zalo-emulator", "--port", str(port), "--data", str(data)]
    with running([*words, "--fixtures", str(fixtures)], os.environ) as process:
        await answers(port, "/emulator/state", process)
        yield Emulator(port)


@asynccontextmanager
async def bridge(bench: Bench, to: Emulator) -> AsyncIterator[Bridge]:
    client = to.client()
    await client.start()
    try:
        yield Bridge(bench.db, bench.keyring, SystemClock(), client)
    finally:
        await client.stop()


async def connect(through: Bridge, tenant: Tenant, oa_ids: Sequence[int]) -> None:
    """Official Accounts of this tenant, each by way of Zalo's permission page."""
    async with aiohttp.ClientSession() as session:
        for oa_id in oa_ids:
            url = await zalo.authorize(
                through,
                tenant.account_id,
                tenant.user_id,
                app_id=APP_ID,
                secret=SECRET,
                redirect_uri=CALLBACK,
            )
            async with session.get(f"{url}&consent={oa_id}", allow_redirects=False) as answer:
                granted = parse_qs(urlsplit(answer.headers["Location"]).query)
            await zalo.connect(
                through,
                tenant.account_id,
                tenant.user_id,
                code=granted["code"][0],
                oa_id=oa_id,
                state=int(granted["state"][0]),
            )


async def access(through: Bridge, tenant: Tenant) -> Access:
    """What opens this tenant's first Official Account."""
    async with through.db.transaction() as tx:
        held = await zalo.held_oa(tx, through.keyring, tenant.account_id, FIRST_OA)
    assert held.access is not None
    return held.access
