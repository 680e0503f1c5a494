"""Official Accounts, connected as people do it, at an emulator whose clock goes with ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

from tests import factories
from tests.fakes import zalo
from tests.fakes.clock import FakeClock
from tests.fakes.dialling import eventually
from tests.fakes.zalo import EmulatedZalo

from tongdai.adapters.zaloapi import ZaloClient
from tongdai.domain import webhooks
from tongdai.domain.zalo import Bridge, HeldOa, Oa, authorize, connect, facts, get_oa, held_oa, refreshing
from tongdai.kit.clock import Clock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

HOOK_URL = "https://shop.example.vn/hook"
TIMEOUT_S = 1.0
"""Of a request to Zalo."""


@dataclass(frozen=True, slots=True)
class Back:
    """What Zalo sends a browser back with."""

    code: str
    oa_id: int
    state: int


@dataclass(frozen=True, slots=True)
class World:
    db: Database
    bridge: Bridge
    clock: Clock
    emulator: EmulatedZalo
    cast: factories.Cast

    @property
    def owner(self) -> factories.Person:
        return self.cast.owner

    # ---------------------------------------------------------------- connecting

    async def page(self, person: factories.Person | None = None, **more: Any) -> str:
        """The address of Zalo's page."""
        person = person or self.owner
        given: dict[str, Any] = {"app_id": zalo.APP_ID, "secret": zalo.APP_SECRET}
        given |= {"redirect_uri": zalo.CALLBACK_URL} | more
        return await authorize(self.bridge, person.account_id, person.user.id, **given)

    async def back(
        self, person: factories.Person | None = None, oa_id: int = zalo.OA_ID, **more: Any
    ) -> Back:
        return await self.agree(await self.page(person, **more), oa_id)

    async def agree(self, page: str, oa_id: int = zalo.OA_ID) -> Back:
        came = await zalo.grant(page, oa_id)
        return Back(came["code"], int(came["oa_id"]), int(came["state"]))

    async def come_back(self, back: Back, person: factories.Person | None = None, **more: Any) -> Oa:
        person = person or self.owner
        given: dict[str, Any] = {"code": back.code, "oa_id": back.oa_id, "state": back.state} | more
        return await connect(self.bridge, person.account_id, person.user.id, **given)

    async def connected(self, person: factories.Person | None = None, oa_id: int = zalo.OA_ID) -> Oa:
        return await self.come_back(await self.back(person, oa_id), person)

    # ---------------------------------------------------------------- what became of it

    async def oa(self, oa_id: int = zalo.OA_ID, person: factories.Person | None = None) -> Oa:
        async with self.db.transaction() as tx:
            return await get_oa(tx, (person or self.owner).account_id, oa_id)

    async def held(self, oa_id: int = zalo.OA_ID, person: factories.Person | None = None) -> HeldOa:
        async with self.db.transaction() as tx:
            return await held_oa(tx, self.bridge.keyring, (person or self.owner).account_id, oa_id)

    async def works(self, oa_id: int = zalo.OA_ID) -> bool:
        """The access token that we hold is the one that Zalo takes."""
        held = await self.held(oa_id)
        assert held.access is not None
        return (await self.bridge.client.profile(held.access)).oa_id == oa_id

    async def value(self, sql: LiteralString, *values: Any) -> Any:
        async with self.db.transaction() as tx:
            row = await (await tx.execute(sql, values)).fetchone()
        return None if row is None else row[0]

    async def listen(self, person: factories.Person | None = None) -> None:
        """From now on what happens to Official Accounts is kept for a customer's server."""
        async with self.db.transaction() as tx:
            await webhooks.create_endpoint(
                tx, self.bridge.keyring, (person or self.owner).account_id, url=HOOK_URL, format="tongdai"
            )

    async def told(self, person: factories.Person | None = None) -> list[str]:
        """Types of events, in their order."""
        async with self.db.transaction() as tx:
            cursor = await tx.execute(
                "SELECT type FROM webhook_events WHERE account_id = %s ORDER BY id",
                ((person or self.owner).account_id,),
            )
            return [row[0] for row in await cursor.fetchall()]

    # ---------------------------------------------------------------- time

    async def advance(self, by: timedelta) -> datetime:
        """Zalo's clock and ours."""
        assert isinstance(self.clock, FakeClock)
        await self.emulator.advance(by.total_seconds())
        return self.clock.advance(by)

    async def refresh(self) -> int:
        return await refreshing.refresh_due(self.bridge)

    async def until_probed(self) -> int:
        """When it is certain that nothing is on its way any more, unknown outcomes are looked into."""
        await self.advance(timedelta(seconds=31))
        return await refreshing.probe_due(self.bridge)

    async def freshen(self) -> int:
        return await facts.freshen_due(self.bridge)

    async def asked_to_refresh(self) -> list[dict[str, Any]]:
        """Every refresh that came to Zalo."""
        asked = await self.emulator.requests(zalo.ACCESS_TOKEN)
        return [one for one in asked if one.get("grant_type", "refresh_token") == "refresh_token"]

    async def until_asked_to_refresh(self, times: int = 1) -> None:
        """So many refreshes came to Zalo, in all."""

        async def came() -> bool:
            return len(await self.asked_to_refresh()) >= times

        await eventually(came)


@asynccontextmanager
async def world(
    db: Database, keyring: Keyring, clock: Clock, *, more: Sequence[dict[str, Any]] = ()
) -> AsyncIterator[World]:
    """`more`: Official Accounts besides the emulator's own, as fixtures."""
    fixtures = zalo.default_fixtures()
    fixtures["oas"] += list(more)
    async with (
        zalo.zalo_emulator(fixtures) as emulator,
        zalo.client_at(emulator.url, timeout_s=TIMEOUT_S) as client,
    ):
        cast = await factories.cast(db, keyring)
        yield World(db, Bridge(db, keyring, clock, client), clock, emulator, cast)


def client_of(url: str) -> ZaloClient:
    return zalo.client_of(url, timeout_s=TIMEOUT_S)
