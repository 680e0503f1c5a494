"""An emulator of Zalo, and an app that an Official Account let in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.fakes.zalo import EmulatedZalo, zalo_emulator

from emulator.callers import Caller, connect


@pytest.fixture
async def zalo() -> AsyncIterator[EmulatedZalo]:
    async with zalo_emulator() as emulated:
        yield emulated


@pytest.fixture
async def http(zalo: EmulatedZalo) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=zalo.url, trust_env=False, timeout=10) as client:
        yield client


@pytest.fixture
async def caller(zalo: EmulatedZalo, http: httpx.AsyncClient) -> Caller:
    """Of the default app and Official Account."""
    return await connect(http)


@pytest.fixture
def connect_more(http: httpx.AsyncClient) -> Any:
    return lambda **told: connect(http, **told)
