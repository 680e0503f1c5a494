"""What tests on the real database share."""

from __future__ import annotations

import pytest
from tests import factories
from tests.desk import Desk

from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database


@pytest.fixture
async def desk(db: Database, keyring: Keyring) -> Desk:
    return Desk(db, keyring, (await factories.cast(db, keyring)).owner)
