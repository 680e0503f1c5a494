"""VBot's API over HTTP, on the real database, and people who use it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests import factories
from tests.facades.vbot.client import Api, Shop, services_on, shop_of
from tests.factories import Cast
from tests.fakes.clock import FakeClock

from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.ports.services import Services


@pytest.fixture
async def cast(db: Database, keyring: Keyring) -> Cast:
    return await factories.cast(db, keyring)


@pytest.fixture
def services(db: Database, keyring: Keyring, clock: FakeClock, tmp_path: Path) -> Services:
    return services_on(db, keyring, clock, tmp_path)


@pytest.fixture
async def api(services: Services) -> AsyncIterator[Api]:
    api = Api(services)
    yield api
    await api.http.aclose()


@pytest.fixture
async def shop(db: Database, cast: Cast) -> Shop:
    return await shop_of(db, cast.owner)
