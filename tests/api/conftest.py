"""The real app over the real database, in process, and one client for each of the cast."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar
from tests.apps import lend
from tests.factories import Cast, Person, cast, joined, person
from tests.fakes.clock import FakeClock

from tongdai.adapters.files import FileStorage
from tongdai.app import create_app
from tongdai.domain import accounts
from tongdai.domain.accounts import Role
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.hints import Hinter
from tongdai.ports.services import Services, ZaloOptions
from tongdai.ports.zalo import Zalo

PUBLIC_URL = "https://tongdai.example.vn"


@dataclass(frozen=True)
class Api:
    """A client that sends one key, and speaks JSON."""

    http: httpx.AsyncClient
    person: Person | None
    key: str | None

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.http.get(f"/v1{path}", params=query, headers=self._headers())

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        return await self.send("POST", path, body)

    async def send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return await self.http.request(method, f"/v1{path}", json=body, headers=self._headers())

    async def made(self, path: str, body: Any) -> dict[str, Any]:
        """What a POST created."""
        answer = await self.post(path, body)
        assert answer.status_code in (200, 201), answer.text
        made: dict[str, Any] = answer.json()
        return made

    def _headers(self) -> dict[str, str]:
        return {} if self.key is None else {"Authorization": f"Bearer {self.key}"}


@pytest.fixture
def zalo() -> Zalo | None:
    """The way to Zalo; none, unless a module has its own."""
    return None


@pytest.fixture
async def services(
    database_url: str, tmp_path: Path, keyring: Keyring, clock: FakeClock, zalo: Zalo | None
) -> AsyncIterator[Services]:
    db = Database(database_url)
    await db.open()
    hinter = Hinter(db)
    await hinter.start()
    yield Services(
        db=db,
        keyring=keyring,
        clock=clock,
        hinter=hinter,
        storage=FileStorage(tmp_path / "files"),
        engines=frozenset({"sandbox", "asterisk"}),
        zalo=zalo,
        zalo_options=ZaloOptions(public_url=PUBLIC_URL),
    )
    await hinter.stop()
    await db.close()


@pytest.fixture
def app(services: Services) -> Litestar:
    return lend(create_app, services)


@pytest.fixture
async def http(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://tests") as client:
        yield client


@pytest.fixture
async def people(services: Services) -> Cast:
    return await cast(services.db)


@pytest.fixture
def owner(http: httpx.AsyncClient, people: Cast) -> Api:
    return Api(http, people.owner, people.owner.api_key)


@pytest.fixture
def colleague(http: httpx.AsyncClient, people: Cast) -> Api:
    """An operator of the owner's account."""
    return Api(http, people.colleague, people.colleague.api_key)


@pytest.fixture
def stranger(http: httpx.AsyncClient, people: Cast) -> Api:
    """The owner of another account."""
    return Api(http, people.stranger, people.stranger.api_key)


@pytest.fixture
async def viewer(http: httpx.AsyncClient, services: Services, people: Cast) -> Api:
    """A viewer of the owner's account."""
    async with joined(services.db) as tx:
        account = await accounts.get_account(tx, people.owner.account_id)
        who = await person(tx, account, Role.VIEWER)
    return Api(http, who, who.api_key)


@pytest.fixture
def nobody(http: httpx.AsyncClient) -> Api:
    return Api(http, None, None)


@pytest.fixture
async def platform(http: httpx.AsyncClient, services: Services) -> Api:
    async with joined(services.db) as tx:
        issued = await accounts.issue_platform_key(tx, "tests")
    return Api(http, None, issued.key)
