"""A client of Interits' API, on the facade itself or on the whole app."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from litestar import Litestar
from tests import zalo_shop
from tests.apps import lend
from tests.factories import Person
from tests.fakes.clock import FakeClock
from tests.fakes.zalo import OA_ID

from tongdai.adapters.files import FileStorage
from tongdai.app import create_app
from tongdai.domain import accounts
from tongdai.domain.zalo import Oa, bridge_of
from tongdai.facades.interits.routes import routes
from tongdai.facades.interits.usecases import USE_CASES
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.hints import Hinter
from tongdai.ports.services import Services

PREFIX = "/api/vendor/v1"
PATHS = [f"{PREFIX}/zalo/{name}" for name in USE_CASES]
ENVELOPE = {"code", "data", "message", "referentId"}


class Api:
    """Somebody with a key, or without one. `whole`: the app with all its APIs."""

    def __init__(self, services: Services, key: str | None = None, *, whole: bool = False) -> None:
        app: Any = lend(_whole if whole else _alone, services)
        transport = httpx.ASGITransport(app=app)
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


def _whole(services: Services) -> Litestar:
    return create_app(services, metrics=False)


def _alone(services: Services) -> Litestar:
    return Litestar(routes(services), openapi_config=None, logging_config=None)


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
    return await zalo_shop.connected(bridge_of(services), person, oa_id)
