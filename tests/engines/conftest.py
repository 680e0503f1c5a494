"""The engines that must keep the promises of the telephony port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest
from tests.fakes.carrier import FULL_SPEED, CarrierProcess

from tongdai.adapters.sandbox.engine import SandboxEngine
from tongdai.adapters.sandbox.log import Line
from tongdai.ports.telephony import Engine

SANDBOX_NUMBERS = {
    "listens": "0912345001",
    "rings_out": "0912345002",
    "busy": "0912345003",
    "declines": "0912345004",
    "unallocated": "0912345005",
    "machine": "0912345006",
    "presses_1": "0912345007",
    "presses_2": "0912345008",
    "hangs_up": "0912345009",
    "congestion": "0912345010",
    "rings_long": "0912345011",
    "unreachable": "0912345012",
}


class FarEnd(Protocol):
    """An engine with telephones behind it, and what they saw."""

    def client(self) -> Engine:
        """A client of its own for each call."""
        ...

    def number(self, kind: str) -> str: ...

    def lines(self) -> list[Line]: ...

    def events_of(self, leg_id: int) -> list[str]: ...

    def kill(self) -> None: ...

    def start(self) -> None: ...

    def freeze(self) -> None: ...


class SandboxFarEnd(CarrierProcess):
    def client(self) -> Engine:
        return SandboxEngine(self.address)

    def number(self, kind: str) -> str:
        return SANDBOX_NUMBERS[kind]


FarEnds = Callable[[float], FarEnd]


@pytest.fixture(params=["sandbox"])
def far_end_at(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FarEnds]:
    """Starts an engine whose far end runs at a speed."""
    with ExitStack() as stack:
        yield lambda speed: stack.enter_context(SandboxFarEnd(tmp_path, speed=speed))


@pytest.fixture
def far_end(far_end_at: FarEnds) -> FarEnd:
    """As fast as it goes."""
    return far_end_at(FULL_SPEED)


@pytest.fixture
def slow_far_end(far_end_at: FarEnds) -> FarEnd:
    """Slow enough to do something while it rings: an answer takes a quarter second and more."""
    return far_end_at(20.0)
