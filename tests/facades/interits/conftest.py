"""Interits' API over HTTP, on the real database and Zalo's emulator, and people who use it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests import factories
from tests.facades.interits.client import Api, connect, key_of, services_on
from tests.factories import Cast
from tests.fakes.clock import FakeClock
from tests.fakes.zalo import SECOND_OA_ID, EmulatedZalo, client_at, zalo_emulator

from tongdai.domain.zalo import Oa
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.services import Services
from tongdai.ports.zalo import Zalo


@pytest.fixture
async def cast(db: Database, keyring: Keyring) -> Cast:
    return await factories.cast(db, keyring)


@pytest.fixture
async def emulator() -> AsyncIterator[EmulatedZalo]:
    async with zalo_emulator() as emulated:
        yield emulated


@pytest.fixture
async def client(emulator: EmulatedZalo) -> AsyncIterator[Zalo]:
    async with client_at(emulator.url) as client:
        yield client


@pytest.fixture
def bare(db: Database, keyring: Keyring, clock: FakeClock, tmp_path: Path) -> Services:
    """Without a client of Zalo's."""
    return services_on(db, keyring, clock, tmp_path)


@pytest.fixture
def services(db: Database, keyring: Keyring, clock: FakeClock, tmp_path: Path, client: Zalo) -> Services:
    return services_on(db, keyring, clock, tmp_path, zalo=client)


@pytest.fixture
async def door(bare: Services, cast: Cast, clock: FakeClock) -> AsyncIterator[Api]:
    """The owner's at the whole app, in a process that cannot ask Zalo."""
    api = Api(bare, await key_of(bare.db, bare.keyring, clock, cast.owner), whole=True)
    yield api
    await api.http.aclose()


@pytest.fixture
async def api(services: Services, cast: Cast, clock: FakeClock) -> AsyncIterator[Api]:
    """The owner's."""
    api = Api(services, await key_of(services.db, services.keyring, clock, cast.owner))
    yield api
    await api.http.aclose()


@pytest.fixture
async def oa(services: Services, cast: Cast) -> Oa:
    """The owner's Official Account, the only one."""
    return await connect(services, cast.owner)


@pytest.fixture
async def stranger(services: Services, cast: Cast, clock: FakeClock) -> AsyncIterator[Api]:
    """Of another account, with an Official Account of its own."""
    await connect(services, cast.stranger, SECOND_OA_ID)
    api = Api(services, await key_of(services.db, services.keyring, clock, cast.stranger))
    yield api
    await api.http.aclose()
