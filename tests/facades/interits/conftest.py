"""Interits' API over HTTP, on the real database, and people who use it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests import factories
from tests.facades.interits.client import Api, key_of, services_on
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
    """Without a client of Zalo's."""
    return services_on(db, keyring, clock, tmp_path)


@pytest.fixture
async def api(services: Services, cast: Cast, clock: FakeClock) -> AsyncIterator[Api]:
    """The owner's."""
    api = Api(services, await key_of(services.db, services.keyring, clock, cast.owner))
    yield api
    await api.http.aclose()
