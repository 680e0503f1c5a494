"""The server of a test run leaves nothing behind and nobody else's folder is taken for its own."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from tests.fakes.postgres import PostgresForTests, remove_abandoned

# What a process of a server that is still ending does: it holds the lock, and writes.
LINGERING = """
import fcntl, sys
lock = open(sys.argv[1] + "/postgres.lock", "ab")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
for n in range(1000):
    open(f"{sys.argv[1]}/written-{n}", "w").close()
"""


def test_the_folder_is_removed_when_the_last_process_of_the_server_is_gone() -> None:
    server = PostgresForTests()
    with subprocess.Popen(
        [sys.executable, "-c", LINGERING, str(server.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as lingering:
        assert lingering.stdout is not None
        assert lingering.stdin is not None
        assert lingering.stdout.readline() == "held\n"
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        stopping.join(0.2)
        assert stopping.is_alive()
        assert server.folder.exists()
        lingering.stdin.close()
        stopping.join(20)
        assert lingering.wait() == 0
    assert not stopping.is_alive()
    assert not server.folder.exists()


def test_a_folder_is_not_abandoned_while_its_run_goes_on() -> None:
    server = PostgresForTests()
    for name in ("supervisor.lock", "postgres.lock"):
        (server.folder / name).touch()
    remove_abandoned()
    assert server.folder.exists()
    server.stop()


def test_the_folder_of_a_run_that_was_killed_is_removed_by_the_next() -> None:
    killed = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os; from tests.fakes.postgres import PostgresForTests; server = PostgresForTests();"
            "[(server.folder / name).touch() for name in ('supervisor.lock', 'postgres.lock')];"
            "print(server.folder, flush=True); os._exit(9)",
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    left = killed.stdout.strip()
    assert killed.returncode == 9
    assert Path(left).is_dir()
    remove_abandoned()
    assert not Path(left).exists()
