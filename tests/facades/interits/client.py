"""A client of Interits' API, on the whole app."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from tests.factories import Person
from tests.fakes.clock import FakeClock
from tests.fakes.zalo import APP_ID, APP_SECRET, CALLBACK_URL, OA_ID, EmulatedZalo, grant

from tongdai.adapters.files import FileStorage
from tongdai.adapters.zaloapi import ZaloClient
from tongdai.app import create_app
from tongdai.domain import accounts, zalo
from tongdai.domain.zalo import Oa
from tongdai.facades._shared.zalo_bridge import bridge_of
from tongdai.facades.interits.usecases import USE_CASES
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.hints import Hinter
from tongdai.ports.services import Services

PREFIX = "/api/vendor/v1"
PATHS = [f"{PREFIX}/zalo/{name}" for name in USE_CASES]
ENVELOPE = {"code", "data", "message", "referentId"}


class Api:
    """Somebody with a key, or without one. `http` is the whole app, our own API included."""

    def __init__(self, services: Services, key: str | None = None) -> None:
        transport = httpx.ASGITransport(app=create_app(services, metrics=False))  # type: ignore[arg-type]
        self.http = httpx.AsyncClient(transport=transport, base_url="http://tongdai.test")
        self.key = key

    async def post(self, name: str, body: object = None, **headers: str) -> httpx.Response:
        """`name` is the last part of a path below `zalo/`; headers are written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key is not None:
            sent = {"API-KEY": self.key, **sent}
        return await self.http.post(f"{PREFIX}/zalo/{name}", json=body or {}, headers=sent)

    async def done(self, name: str, body: object = None, **headers: str) -> Any:
        """The `data` of a success."""
        return answer_of(await self.post(name, body, **headers))["data"]

    async def refused(self, status: int, name: str, body: object = None, **headers: str) -> dict[str, Any]:
        """A refusal with this status."""
        return answer_of(await self.post(name, body, **headers), status)


def answer_of(response: httpx.Response, status: int = 200) -> dict[str, Any]:
    """The envelope, whose `code` says the same as the status and whose `referentId` is always there."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    answer: dict[str, Any] = response.json()
    assert set(answer) == ENVELOPE
    assert answer["code"] == (0 if status == 200 else status)
    assert UUID(answer["referentId"]).version == 4
    assert isinstance(answer["message"], str)
    assert answer["message"]
    return answer


async def key_of(
    db: Database, keyring: Keyring, clock: FakeClock, person: Person, expires_at: datetime | None = None
) -> str:
    """A new key of Interits' API that acts as this person."""
    async with db.transaction() as tx:
        _, key = await accounts.issue_vendor_key(
            tx,
            keyring,
            person.account_id,
            person.user.id,
            "interits",
            "tests",
            now=clock.now(),
            expires_at=expires_at,
        )
    return key


def services_on(db: Database, keyring: Keyring, clock: FakeClock, folder: Path, **more: Any) -> Services:
    return Services(
        db=db, keyring=keyring, clock=clock, hinter=Hinter(db), storage=FileStorage(folder), **more
    )


async def connect(services: Services, person: Person, oa_id: int = OA_ID) -> Oa:
    """This person's shop connects an Official Account of the emulator's."""
    bridge = bridge_of(services)
    url = await zalo.authorize(
        bridge,
        person.account_id,
        person.user.id,
        app_id=APP_ID,
        secret=APP_SECRET,
        redirect_uri=CALLBACK_URL,
    )
    told = await grant(url, oa_id)
    return await zalo.connect(
        bridge,
        person.account_id,
        person.user.id,
        code=told["code"],
        oa_id=int(told["oa_id"]),
        state=int(told["state"]),
    )


def zalo_at(emulator: EmulatedZalo, timeout_s: float = 10.0) -> ZaloClient:
    """A client of the emulator, to be started and stopped."""
    return ZaloClient(
        oauth_url=emulator.url,
        openapi_url=emulator.url,
        business_url=emulator.url,
        timeout_s=timeout_s,
    )
