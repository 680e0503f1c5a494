"""The supervisor restarts what dies, ends everything at a stop, and is not outlived by a child."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tongdai.kit import supervisor as module
from tongdai.kit.supervisor import ChildSpec, Stop, StopRequested, Supervisor, stop_signals

PATIENCE_S = 20.0

STAYS = "import signal; signal.pause()"
STUBBORN = (
    "import pathlib, signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "pathlib.Path(sys.argv[1]).touch(); signal.pause()"
)


@pytest.fixture
def stop() -> Iterator[Stop]:
    with stop_signals() as one:
        yield one


def spec(name: str, program: str, *arguments: str, **more: Any) -> ChildSpec:
    return ChildSpec(name, [sys.executable, "-c", program, *arguments], dict(os.environ), **more)


def soon(what: Callable[[], bool]) -> Callable[[], bool]:
    """For `run(until=…)`: true when `what` is, and an error when that takes too long."""
    deadline = time.monotonic() + PATIENCE_S

    def check() -> bool:
        assert time.monotonic() < deadline, "it did not come about in time"
        return what()

    return check


def test_a_child_that_dies_is_started_again(stop: Stop) -> None:
    one = Supervisor(stop)
    one.add(spec("stays", STAYS))
    first = one.pids()["stays"]
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert one.run(soon(lambda: one.pids()["stays"] not in (first, None)))
    one.end()


def test_a_child_that_keeps_dying_is_started_less_and_less_often(stop: Stop, tmp_path: Path) -> None:
    one = Supervisor(stop)
    log = tmp_path / "starts"
    one.add(spec("dies", "print('once', flush=True)", output=log))
    assert one.run(soon(lambda: log.exists() and log.read_text().count("once") >= 3))
    delays = list(module.RESTART_AFTER_S)
    assert delays == sorted(delays)
    one.end()


def test_sigterm_ends_the_run_and_all_children(stop: Stop) -> None:
    one = Supervisor(stop)
    one.add(spec("a", STAYS))
    one.add(spec("b", STAYS, rank=1))
    pids = [pid for pid in one.pids().values() if pid is not None]
    os.kill(os.getpid(), signal.SIGTERM)
    assert not one.run()
    one.end()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_child_that_ignores_sigterm_is_killed(
    stop: Stop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.2)
    ready = tmp_path / "ready"
    one = Supervisor(stop)
    one.add(spec("stubborn", STUBBORN, str(ready)))
    assert one.run(soon(ready.exists))
    pid = one.pids()["stubborn"]
    one.end()
    assert pid is not None
    assert not psutil.pid_exists(pid)


def test_what_is_watched_is_looked_at_at_every_turn(stop: Stop) -> None:
    looks: list[int] = []
    one = Supervisor(stop, lambda: looks.append(1))
    assert one.run(soon(lambda: len(looks) == 3))


def test_something_slow_is_interrupted_by_a_stop(stop: Stop) -> None:
    def slow() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(PATIENCE_S)

    with pytest.raises(StopRequested), stop.interrupting():
        slow()
    with pytest.raises(StopRequested), stop.interrupting():
        raise AssertionError("nothing slow is begun after a stop")


def test_a_child_does_not_outlive_its_parent(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    child = textwrap.dedent(
        f"""
        import os, pathlib, signal, sys
        from tongdai.kit.supervisor import die_with_parent
        die_with_parent(int(sys.argv[1]))
        draft = pathlib.Path({str(told)!r} + ".draft")
        draft.write_text(str(os.getpid()))
        draft.rename({str(told)!r})
        signal.pause()
        """
    )
    parent = textwrap.dedent(
        f"""
        import os, subprocess, sys
        subprocess.run([sys.executable, "-c", {child!r}, str(os.getpid())])
        """
    )
    with subprocess.Popen([sys.executable, "-c", parent]) as process:
        deadline = time.monotonic() + PATIENCE_S
        while not told.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        orphan = psutil.Process(int(told.read_text()))
        process.kill()
    orphan.wait(PATIENCE_S)


def test_a_child_whose_parent_is_gone_already_ends() -> None:
    program = "from tongdai.kit.supervisor import die_with_parent; die_with_parent(1)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 1
