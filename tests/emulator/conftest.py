"""An emulator of Zalo, and an app that an Official Account let in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.emulator.callers import Caller, connect
from tests.fakes.zalo import EmulatedZalo, plain_http, zalo_emulator


@pytest.fixture
async def zalo() -> AsyncIterator[EmulatedZalo]:
    async with zalo_emulator() as emulated:
        yield emulated


@pytest.fixture
async def http(zalo: EmulatedZalo) -> AsyncIterator[httpx.AsyncClient]:
    async with plain_http(zalo.url) as client:
        yield client


@pytest.fixture
async def caller(zalo: EmulatedZalo, http: httpx.AsyncClient) -> Caller:
    """Of the default app and Official Account."""
    return await connect(http)
