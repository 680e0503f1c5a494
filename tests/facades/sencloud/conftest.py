"""SenCloud's API over HTTP, on the real database and an emulated Zalo, and people who use it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests import factories
from tests.facades.sencloud.client import Api, services_on
from tests.factories import Cast
from tests.fakes.clock import FakeClock
from tests.fakes.zalo import EmulatedZalo, client_at, zalo_emulator

from tongdai.domain import accounts
from tongdai.domain.accounts import Role
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.services import Services


@pytest.fixture
async def cast(db: Database, keyring: Keyring) -> Cast:
    return await factories.cast(db, keyring)


@pytest.fixture
async def emulator() -> AsyncIterator[EmulatedZalo]:
    async with zalo_emulator() as running:
        yield running


@pytest.fixture
async def services(
    db: Database, keyring: Keyring, clock: FakeClock, tmp_path: Path, emulator: EmulatedZalo
) -> AsyncIterator[Services]:
    async with client_at(emulator.url) as client:
        yield services_on(db, keyring, clock, tmp_path, zalo=client)


@pytest.fixture
async def api(services: Services, cast: Cast) -> AsyncIterator[Api]:
    """The owner's."""
    api = Api(services, cast.owner.api_key)
    yield api
    await api.http.aclose()


@pytest.fixture
def stranger(api: Api, cast: Cast) -> Api:
    return api.as_(cast.stranger.api_key)


@pytest.fixture
async def viewer(api: Api, db: Database, keyring: Keyring, cast: Cast) -> Api:
    """Of the owner's account."""
    async with db.transaction() as tx:
        account = await accounts.get_account(tx, cast.owner.account_id)
        person = await factories.person(tx, account, Role.VIEWER, keyring=keyring)
    return api.as_(person.api_key)


@pytest.fixture
async def oa(api: Api, emulator: EmulatedZalo) -> dict[str, Any]:
    """The owner's, connected."""
    return await api.connect(emulator)
