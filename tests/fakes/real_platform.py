"""tongdai as it runs: the API, a dialer and a worker, wired from settings, with an Asterisk for its calls.

Everything that a test needs is made over the API, as a customer and the platform's administrator do it.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests import factories
from tests.api.conftest import Api
from tests.api.world import campaign_body
from tests.fakes.asterisk import AsteriskInstance
from tests.fakes.dialling import eventually

from tongdai import worker
from tongdai.app import create_app
from tongdai.bootstrap import Platform, build
from tongdai.domain import accounts
from tongdai.settings import Settings

URL = "http://tests"
HOTLINE = "02473001234"
LONGEST_S = 60.0
"""In which all calls of a test have ended, on a machine that is busy with others."""


@dataclass(frozen=True)
class RealPlatform:
    """`owner` and `admin` speak to the API."""

    platform: Platform
    settings: Settings
    owner: Api
    admin: Api

    @property
    def account_id(self) -> int:
        assert self.owner.person is not None
        return self.owner.person.account_id

    # ------------------------------------------------------------------ made over the API

    async def node(self, asterisk: AsteriskInstance) -> int:
        given = asterisk.node
        body = {
            "name": given.name,
            "url": given.url,
            "username": given.username,
            "password": given.password,
            "sounds_path": str(self.settings.sounds_path),
            "max_channels": 100,
        }
        made = await self.admin.made("/nodes", body)
        return int(made["id"])

    async def trunk(self, sip: Mapping[str, Any], name: str = "nhà mạng", **more: Any) -> dict[str, Any]:
        body = {"name": name, "engine": "asterisk", "max_channels": 60, "max_cps": 50, "sip": dict(sip)}
        return await self.owner.made("/trunks", body | more)

    async def hotline(self, trunk_id: int, number: str = HOTLINE, **more: Any) -> int:
        made = await self.owner.made("/hotlines", {"number": number, "trunk_id": trunk_id} | more)
        return int(made["id"])

    async def script(self, script: Mapping[str, Any], name: str) -> int:
        return int((await self.owner.made("/scripts", {"name": name, "script": dict(script)}))["id"])

    async def campaign(
        self, script: Mapping[str, Any], hotline_id: int, *, name: str = "Nhắc đơn", **more: Any
    ) -> int:
        """Running."""
        script_id = await self.script(script, name)
        made = await self.owner.made("/campaigns", campaign_body(script_id, hotline_id, name=name, **more))
        await self.owner.made(f"/campaigns/{made['id']}/start", None)
        return int(made["id"])

    async def pays(self, amount: int, rate: Mapping[str, Any]) -> None:
        """From now on the account is prepaid, with so much in its wallet."""
        tariff = await self.admin.made("/tariffs", {"name": "Gói", "rates": [dict(rate)]})
        plan = await self.admin.made("/plans", {"name": "Gói", "tariff_id": tariff["id"]})
        account = f"/accounts/{self.account_id}"
        answer = await self.admin.send("PUT", f"{account}/billing", {"billing": "prepaid"})
        assert answer.is_success, answer.text
        await self.admin.made(f"{account}/top-ups", {"amount": amount, "reason": "tests"})
        await self.admin.made(f"{account}/subscriptions", {"plan_id": plan["id"]})

    async def give(self, campaign_id: int, *contacts: str | Mapping[str, Any]) -> list[int]:
        """The calls of these numbers or contacts."""
        given = [{"number": one} if isinstance(one, str) else dict(one) for one in contacts]
        report = await self.owner.made(f"/campaigns/{campaign_id}/contacts", {"contacts": given})
        assert len(report["accepted"]) == len(contacts), report
        return [one["call_id"] for one in report["accepted"]]

    # ------------------------------------------------------------------ seen over the API

    async def got(self, path: str, **query: Any) -> dict[str, Any]:
        answer = await self.owner.get(path, **query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def done(self, call_id: int) -> dict[str, Any]:
        """The call with its attempts, once it is."""

        async def look() -> dict[str, Any] | None:
            call = await self.got(f"/calls/{call_id}")
            return call if call["state"] == "done" else None

        found: dict[str, Any] = await eventually(look, LONGEST_S)
        return found

    async def recordings(self, call_id: int, number: int = 1) -> list[dict[str, Any]]:
        """Of a call, once so many can be heard."""

        async def look() -> list[dict[str, Any]] | None:
            items: list[dict[str, Any]] = (await self.got(f"/calls/{call_id}/recordings"))["items"]
            return items if len([one for one in items if one["state"] == "stored"]) >= number else None

        found: list[dict[str, Any]] = await eventually(look, LONGEST_S)
        return found

    async def opened(self, url: str) -> bytes:
        """What is behind a link, for somebody without a key."""
        answer = await self.owner.http.get(url)
        assert answer.status_code == 200, answer.text
        return answer.content

    # ------------------------------------------------------------------ what runs beside the API

    @asynccontextmanager
    async def dialing(self, asterisk: AsteriskInstance | None = None) -> AsyncIterator[None]:
        """With a dialer; returns once it hears the calls that come in at this node."""
        async with _running(lambda stop: worker.run_dialer(build(self.settings), stop)):
            if asterisk is not None:
                await eventually(lambda: _has_desk(asterisk), LONGEST_S)
            yield

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """With a worker, which sends webhooks and fetches recordings."""
        async with _running(lambda stop: worker.run_jobs(build(self.settings), stop)):
            yield


async def _has_desk(asterisk: AsteriskInstance) -> bool:
    told = await asyncio.to_thread(asterisk.cli, "ari show apps")
    return "td-in" in told and "td" in await asyncio.to_thread(asterisk.cli, "pjsip show identifies")


@asynccontextmanager
async def _running(run: Callable[[asyncio.Event], Awaitable[None]]) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.ensure_future(run(stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(30):
            await running


@asynccontextmanager
async def real_platform(
    database_url: str, folder: Path, asterisk: AsteriskInstance
) -> AsyncIterator[RealPlatform]:
    """With its API. Its sounds are in a folder of its own, where the node finds them."""
    settings = Settings(
        secret_key=base64.b64encode(factories.MASTER_KEY).decode(),
        database_url=database_url,
        database_pool_size=6,
        data_dir=str(folder),
        sounds_dir=str(asterisk.sounds / folder.name),
        dialer_end_margin_s=1.0,
        webhooks_allow_private=True,
        public_url=URL,
    )
    platform = build(settings)
    await platform.db.open()
    await platform.services.hinter.start()
    transport = httpx.ASGITransport(app=create_app(platform.services))  # type: ignore[arg-type]
    try:
        async with httpx.AsyncClient(transport=transport, base_url=URL) as http:
            owner = (await factories.cast(platform.db, platform.keyring)).owner
            async with platform.db.transaction() as tx:
                issued = await accounts.issue_platform_key(tx, "tests")
            yield RealPlatform(
                platform, settings, Api(http, owner, owner.api_key), Api(http, None, issued.key)
            )
    finally:
        await platform.services.hinter.stop()
        await platform.db.close()
