"""The sandbox carrier as a process: where it listens, how it starts and how it stops."""

from __future__ import annotations

import resource
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fakes.carrier import CarrierProcess
from tests.fakes.ear import hearing

from tongdai.adapters.sandbox.carrier import NO_WITNESS
from tongdai.adapters.sandbox.engine import SandboxEngine
from tongdai.ports.telephony import DialRequest, EndCause, EngineUnreachableError

pytestmark = pytest.mark.anyio


async def _cause_of_a_call(address: str, number: str, leg_id: int = 1) -> EndCause:
    async with hearing(SandboxEngine(address)) as ear:
        last_moment = datetime.now(UTC) + timedelta(seconds=20)
        await ear.engine.originate(DialRequest(leg_id, 1, number, "1900", 30.0, 300.0, False, last_moment))
        return (await ear.until_ended(leg_id)).cause


async def test_a_data_folder_may_be_deeper_than_a_socket_path_may_be_long(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    with CarrierProcess(folder) as carrier:
        assert await _cause_of_a_call(carrier.address, "0912345003") is EndCause.BUSY


async def test_it_listens_on_a_loopback_port(tmp_path: Path) -> None:
    with CarrierProcess(tmp_path, listen="127.0.0.1:0") as carrier:
        assert await _cause_of_a_call(carrier.address, "0912345004") is EndCause.REJECTED


async def test_a_timed_call_takes_as_long_as_its_seconds_say(tmp_path: Path) -> None:
    with CarrierProcess(tmp_path, speed=20.0) as carrier:
        begun = time.monotonic()
        await _cause_of_a_call(carrier.address, "0912345002")
        assert time.monotonic() - begun >= 30.0 / 20.0


def test_its_socket_and_its_log_are_its_users_own(tmp_path: Path) -> None:
    with CarrierProcess(tmp_path) as carrier:
        for path in (Path(carrier.address), carrier.log_path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_carrier_at_the_same_address_does_not_start(tmp_path: Path) -> None:
    with CarrierProcess(tmp_path) as carrier:
        command = [sys.executable, "-m", "tongdai.adapters.sandbox.carrier", "--listen", carrier.address]
        second = subprocess.run(
            [*command, "--log", str(tmp_path / "second.log")], capture_output=True, text=True
        )
        assert second.returncode == 1
        assert "is listening on" in second.stderr
        assert Path(carrier.address).is_socket()


def test_it_stops_cleanly_when_told_to(tmp_path: Path) -> None:
    with CarrierProcess(tmp_path) as carrier:
        assert carrier.stop() == 0
        assert not Path(carrier.address).exists()


async def test_it_stops_when_its_log_cannot_be_written_and_starts_again_when_it_can(tmp_path: Path) -> None:
    with CarrierProcess(tmp_path) as carrier:
        room = carrier.log_path.stat().st_size + 20  # for a part of a line
        resource.prlimit(carrier.pid, resource.RLIMIT_FSIZE, (room, room))
        with pytest.raises(EngineUnreachableError):
            await _cause_of_a_call(carrier.address, "0912345003")
        assert carrier.stop() == NO_WITNESS
        carrier.start()
        assert await _cause_of_a_call(carrier.address, "0912345003", leg_id=2) is EndCause.BUSY
        assert [line.event for line in carrier.lines()] == ["BOOT", "BOOT", "INVITE", "REJECT"]
