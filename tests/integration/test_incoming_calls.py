"""Calls that come in over the sandbox carrier, through each kind of script, to their end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests import factories
from tests.fakes.answering import GREETING, MENU, MESSAGE, Shop, answering, shop, transfer
from tests.fakes.carrier import FULL_SPEED, CarrierProcess

from tongdai.adapters.sandbox.engine import SandboxEngine
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database

pytestmark = pytest.mark.anyio

PATIENT = "0912345001"
PRESSES_1 = "0912345007"
ANSWERS = "0987654001"
RINGS_OUT = "0987654002"


@pytest.fixture
def carrier(tmp_path: Path) -> Iterator[CarrierProcess]:
    with CarrierProcess(tmp_path, speed=FULL_SPEED) as running:
        yield running


@asynccontextmanager
async def caller(carrier: CarrierProcess) -> AsyncIterator[SandboxEngine]:
    """Somebody with a telephone."""
    engine = SandboxEngine(carrier.address)
    await engine.start()
    try:
        async for _ in engine.events():
            break
        yield engine
    finally:
        await engine.stop()


async def account(db: Database) -> int:
    return (await factories.cast(db)).owner.account_id


async def test_a_caller_hears_the_script_and_is_a_callin(
    db: Database, keyring: Keyring, carrier: CarrierProcess
) -> None:
    one = await shop(db, await account(db), GREETING)
    async with answering(db, keyring, {"sandbox": SandboxEngine(carrier.address)}), caller(carrier) as phone:
        await phone.place(one.trunk.id, PATIENT, one.number)
        (call,) = await one.ended()
    assert (call.kind, call.disposition, call.end_code) == ("CALLIN", "ANSWER", "completed")
    assert (call.caller, call.caller_given, call.hotline) == ("84912345001", PATIENT, one.hotline.number)
    assert call.duration_s == call.billable_s == 2
    assert call.answered_at is not None
    assert [entry[1] for entry in call.timeline or []] == ["answered", "ended"]
    assert await one.live() == []
    assert carrier.events_of(call.leg_id or 0) == ["ACCEPT", "ANSWER", "BYE"]
