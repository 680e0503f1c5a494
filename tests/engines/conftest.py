"""The engines that must keep the promises of the telephony port."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec
import pytest
from tests.fakes.asterisk import AsteriskInstance, asterisk_instance
from tests.fakes.carrier import FULL_SPEED, CarrierProcess
from tests.fakes.one_trunk import Tones, Trunks
from tests.fakes.sipp import SippPhone

from tongdai.adapters.asterisk.engine import AsteriskEngine
from tongdai.adapters.sandbox.engine import SandboxEngine
from tongdai.adapters.sandbox.log import Line
from tongdai.ports.telephony import Command, DialRequest, Engine, Transfer

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
    "says_hello": "0912345001",
    "talks": "0912345001",
}


REAL_NUMBERS = SANDBOX_NUMBERS | {"says_hello": "0912345023", "talks": "0912345022"}
LAST_EVENTS = {"BYE", "CANCEL", "REJECT"}
SETTLES_S = 15.0
"""The longest that is waited for what is on its way."""
TRUNK = 3
REAL_PACE = 4.0
"""How much faster than a person the prompts of a real Asterisk speak, so that tests do not last."""


class FarEnd(Protocol):
    """An engine with telephones behind it, and what they saw."""

    real: bool
    """Its seconds are the world's: nothing happens at an exact moment, and a test has no minutes to spare."""
    pace: float
    """How much faster than a person prompts are spoken."""

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
    real = False
    pace = 1.0

    def client(self) -> Engine:
        return SandboxEngine(self.address)

    def number(self, kind: str) -> str:
        return SANDBOX_NUMBERS[kind]


class _ShownByLeg(AsteriskEngine):
    """Its calls show the leg's number as the caller's, so that a far end can tell them apart."""

    async def originate(self, request: DialRequest) -> None:
        await super().originate(replace(request, caller=str(request.leg_id)))

    async def command(self, leg_id: int, ordinal: int, command: Command) -> None:
        if isinstance(command, Transfer):
            phones = tuple(replace(phone, caller=str(phone.leg_id)) for phone in command.legs)
            command = replace(command, legs=phones)
        await super().command(leg_id, ordinal, command)


class AsteriskFarEnd:
    """A real Asterisk, and sipp for telephones."""

    real = True
    pace = REAL_PACE

    def __init__(self, asterisk: AsteriskInstance, phone: SippPhone) -> None:
        self._asterisk = asterisk
        self._phone = phone
        self._before = len(phone.lines())
        self._up = True
        self.freeze = asterisk.freeze

    def kill(self) -> None:
        self._asterisk.kill()
        self._up = False

    def start(self) -> None:
        self._asterisk.start()
        self._up = True

    def clear(self) -> None:
        """Nothing of this test is left for the next."""
        if not self._up:
            self.start()
        self._asterisk.cli("channel request hangup all")
        self._asterisk.cli(f"database deltree {datetime.now(UTC):td%Y%m%d}")
        deadline = time.monotonic() + SETTLES_S
        while self._asterisk.channels():
            assert time.monotonic() < deadline, "channels are left"
            time.sleep(0.01)

    def client(self) -> Engine:
        trunks = Trunks(self._phone.sip_trunk(TRUNK))
        return _ShownByLeg(self._asterisk.node, trunks, Tones(self._asterisk.sounds, pace=self.pace))

    def number(self, kind: str) -> str:
        return REAL_NUMBERS[kind]

    def lines(self) -> list[Line]:
        """Since this test began, when the far end has heard of every end that Asterisk knows of."""
        deadline = time.monotonic() + SETTLES_S
        while True:
            up = sum(name.startswith("PJSIP/") for name in self._asterisk.channels()) if self._up else 0
            lines = self._phone.lines()[self._before :]
            open_calls = {line.leg for line in lines if line.event == "INVITE"}
            open_calls -= {line.leg for line in lines if line.event in LAST_EVENTS}
            if len(open_calls) <= up or not self._up:
                return [msgspec.structs.replace(line, leg=int(line.caller or 0)) for line in lines]
            assert time.monotonic() < deadline, "calls have ended on one side only"
            time.sleep(0.01)

    def events_of(self, leg_id: int) -> list[str]:
        return [line.event for line in self.lines() if line.leg == leg_id]


FarEnds = Callable[[float], FarEnd]
CarrierAndPhone = tuple[AsteriskInstance, SippPhone]


@pytest.fixture(scope="module")
def lab() -> Iterator[Callable[[], CarrierAndPhone]]:
    """The module's Asterisk and its telephones, started with the first test that asks."""
    with ExitStack() as stack:
        started: list[CarrierAndPhone] = []

        def start() -> CarrierAndPhone:
            if not started:
                asterisk = stack.enter_context(asterisk_instance())
                started.append((asterisk, stack.enter_context(SippPhone(trunk=TRUNK))))
            return started[0]

        yield start


@pytest.fixture(params=["sandbox", pytest.param("asterisk", marks=pytest.mark.asterisk)])
def far_end_at(
    request: pytest.FixtureRequest, tmp_path: Path, lab: Callable[[], CarrierAndPhone]
) -> Iterator[FarEnds]:
    """Starts an engine whose far end runs at a speed; a real one runs at its own."""
    with ExitStack() as stack:
        if request.param == "sandbox":
            yield lambda speed: stack.enter_context(SandboxFarEnd(tmp_path, speed=speed))
        else:
            far_end = AsteriskFarEnd(*lab())
            yield lambda speed: far_end
            far_end.clear()


@pytest.fixture
def far_end(far_end_at: FarEnds) -> FarEnd:
    """As fast as it goes."""
    return far_end_at(FULL_SPEED)


@pytest.fixture
def slow_far_end(far_end_at: FarEnds) -> FarEnd:
    """Slow enough to do something while it rings: an answer takes a quarter second and more."""
    return far_end_at(20.0)
