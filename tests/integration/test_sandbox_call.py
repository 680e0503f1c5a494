"""The command that has somebody call a hotline over the sandbox carrier."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.fakes.carrier import CarrierProcess

from tongdai.cli import cli


def call(address: str, *words: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    monkeypatch.setenv("TONGDAI_SANDBOX_ADDRESS", address)
    done = CliRunner().invoke(cli, ["sandbox-call", "--trunk", "3", "--to", "02473001234", *words])
    return done.exit_code, done.output


def test_somebody_calls_as_the_command_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with CarrierProcess(tmp_path) as carrier:
        code, said = call(carrier.address, "--from", "0912345007", monkeypatch=monkeypatch)
        assert (code, said.startswith("It rings: in-")) == (0, True)
        [line] = [line for line in carrier.lines() if line.event == "INCOMING"]
    assert (line.trunk, line.number, line.caller) == (3, "0912345007", "02473001234")


def test_without_a_carrier_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tongdai.cli.sandbox_call.CONNECTS_WITHIN_S", 0.2)
    code, said = call(str(tmp_path / "nobody.sock"), monkeypatch=monkeypatch)
    assert code == 1
    assert "the sandbox carrier is not there" in said
