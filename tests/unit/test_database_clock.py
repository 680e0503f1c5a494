"""Slots are moments of the database's clock; what sends the calls has a clock of its own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tongdai.domain.dialer.driver import DatabaseClock

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("ahead_s", [-40.0, 0.0, 40.0])
async def test_a_slot_is_the_same_moment_on_a_host_whose_clock_is_wrong(ahead_s: float) -> None:
    clock, steady = DatabaseClock(), asyncio.get_running_loop().time()
    here = datetime.now(UTC)
    database = here + timedelta(seconds=ahead_s)
    clock.read(steady, database, steady)
    slot = database + timedelta(seconds=3)
    assert abs((clock.on_wall(slot) - here).total_seconds() - 3.0) < 0.2


async def test_a_slow_reading_makes_no_call_later_than_its_slot() -> None:
    """The database read its clock at the very end of a question that lasted for 80 ms."""
    clock, steady = DatabaseClock(), asyncio.get_running_loop().time()
    here = datetime.now(UTC)
    clock.read(steady - 0.08, here, steady)
    assert 0.0 <= (here - clock.on_wall(here)).total_seconds() < 0.1
