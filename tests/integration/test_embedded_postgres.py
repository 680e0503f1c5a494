"""The supervisor of PostgreSQL, against the real server with full durability."""

from __future__ import annotations

import logging
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from tongdai.kit.embedded import (
    LONGEST_SOCKET_FOLDER,
    DataFolderInUseError,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    WrongMajorError,
    connection_url,
    socket_folder,
)

# An owner as a process of its own, so that it can be killed: says the server's pid, then waits for its end.
OWNER = """
import sys
from pathlib import Path
from tongdai.kit.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
server.wait_or_dead()
"""


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def gone(pid: int) -> bool:
    """Whether the process ended; its new parent may take its time to notice."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def owner_process(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """An owner and its server; both are gone afterwards."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        server = int(owner.stdout.readline())
        try:
            yield owner, server
        finally:
            owner.kill()
            assert wait_for(lambda: gone(server))


def values(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [value for (value,) in connection.execute("SELECT value FROM kept ORDER BY value")]


def keep(url: str, value: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value integer)")
        connection.execute("INSERT INTO kept VALUES (%s)", [value])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_data_survives_a_stop_and_a_start(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        keep(server.url, 1)
    with EmbeddedPostgres(folder) as server:
        keep(server.url, 2)
        assert values(server.url) == [1, 2]


def test_it_is_postgresql_18_with_full_durability_and_text_that_sorts_the_same_everywhere(
    folder: Path,
) -> None:
    with EmbeddedPostgres(folder) as server, psycopg.connect(server.url) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",)
        assert connection.info.server_version // 10_000 == 18
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)
        assert connection.execute(
            "SELECT datlocprovider, datlocale, pg_encoding_to_char(encoding) FROM pg_database"
            " WHERE datname = current_database()"
        ).fetchone() == ("b", "C.UTF-8", "UTF8")


def test_the_server_ends_when_its_owner_is_killed(folder: Path) -> None:
    with owner_process(folder) as (owner, server):
        family = [server, *(child.pid for child in psutil.Process(server).children())]
        assert len(family) > 1
        owner.kill()
        assert wait_for(lambda: all(map(gone, family)))


def test_the_next_owner_waits_for_the_server_of_a_killed_one_and_finds_its_rows(folder: Path) -> None:
    with owner_process(folder) as (owner, _):
        keep(connection_url(folder), 7)
        owner.kill()
        owner.wait()
        with EmbeddedPostgres(folder) as server:
            assert values(server.url) == [7]


def test_the_server_ends_with_an_owner_that_does_not_stop_it(folder: Path) -> None:
    leaves = OWNER.replace("server.wait_or_dead()", "")
    done = subprocess.run(
        [sys.executable, "-c", leaves, str(folder)], stdout=subprocess.PIPE, text=True, check=True
    )
    assert wait_for(lambda: gone(int(done.stdout)))


def test_a_server_started_from_a_thread_outlives_the_thread(folder: Path) -> None:
    from_a_thread = OWNER.replace(
        "server.start()", "import threading; t = threading.Thread(target=server.start); t.start(); t.join()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", from_a_thread, str(folder)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        keep(connection_url(folder), 1)
        assert not gone(pid)
        owner.kill()
    assert wait_for(lambda: gone(pid))


def test_a_second_supervisor_is_refused_and_disturbs_nothing(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        pid = server.pid
        with pytest.raises(DataFolderInUseError):
            EmbeddedPostgres(folder).start()
        assert server.pid == pid
        keep(server.url, 1)


def test_a_killed_server_is_noticed_and_recovers_with_everything_committed(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        keep(server.url, 1)
        assert not server.wait_or_dead(0)
        kill_server(server)
        assert server.pid is None
        server.start()
        assert values(server.url) == [1]


def test_a_pid_file_that_names_an_unrelated_process_does_not_stop_the_start(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        kill_server(server)
        left = folder / "postgres" / "postmaster.pid"
        lines = left.read_text().splitlines(keepends=True)
        with subprocess.Popen(["sleep", "60"], cwd="/") as unrelated:
            left.write_text("".join([f"{unrelated.pid}\n", *lines[1:]]))
            server.start()
            unrelated.kill()
        keep(server.url, 1)


def test_only_its_user_may_reach_it(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        assert server.pid is not None
        assert modes(folder, "", "run", "postgres") == [0o700] * 3
        assert modes(folder, "pgpass", "postgres.log", "supervisor.lock", "postgres.lock") == [0o600] * 4
        listener = psutil.Process(server.pid)
        assert listener.net_connections("inet") == []
        (socket,) = [str(c.laddr) for c in listener.net_connections("unix") if c.laddr]
        assert socket == str(folder / "run" / ".s.PGSQL.5432")


def test_a_wrong_password_is_refused(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        (folder / "pgpass").write_text("*:*:*:tongdai:guess\n")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(connection_url(folder))


def test_folders_above_keep_their_modes(tmp_path: Path) -> None:
    above = tmp_path / "closed"
    above.mkdir(mode=0o700)
    own = above / "data"
    own.mkdir(mode=0o750)
    with EmbeddedPostgres(own):
        assert modes(above, "", "data") == [0o700, 0o750]


def test_a_path_too_long_for_a_socket_gets_a_private_folder_that_goes_at_the_stop(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * LONGEST_SOCKET_FOLDER)
    with EmbeddedPostgres(deep) as server:
        elsewhere = socket_folder(deep)
        assert deep not in elsewhere.parents
        assert modes(elsewhere, "") == [0o700]
        keep(server.url, 1)
    assert not elsewhere.exists()


def test_a_creation_that_was_interrupted_is_not_taken_for_a_database(folder: Path) -> None:
    unfinished = folder / "postgres.new-abc" / "cluster"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(folder) as server:
        keep(server.url, 1)
    assert not unfinished.parent.exists()


def test_another_major_version_is_refused_with_the_way_out(folder: Path) -> None:
    cluster = folder / "postgres"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("17\n")
    with pytest.raises(WrongMajorError, match="tongdai upgrade-db"):
        EmbeddedPostgres(folder).start()
    assert [path.name for path in cluster.iterdir()] == ["PG_VERSION"]


def test_a_start_that_fails_says_why_and_frees_the_folder(folder: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="no_such_setting"):
        EmbeddedPostgres(folder, settings={"no_such_setting": "1"}).start()
    with EmbeddedPostgres(folder) as server:
        keep(server.url, 1)


def test_its_log_holds_no_customer_values(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            with pytest.raises(psycopg.errors.InvalidTextRepresentation):
                connection.execute("SELECT 'call 0912345678'::integer")
            with pytest.raises(psycopg.errors.DivisionByZero):
                connection.execute("SELECT 1 / 0 AS from_0912345678")
        assert "0912345678" not in (folder / "postgres.log").read_text()


def test_a_recovery_that_takes_long_is_told_in_the_servers_words(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedPostgres(folder) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT g AS value FROM generate_series(1, 300000) g")
        kill_server(server)
        monkeypatch.setattr("tongdai.kit.pg_server.PROGRESS_EVERY_S", 0)
        with caplog.at_level(logging.INFO, "tongdai.kit.pg_server"):
            server.start()
        assert len(values(server.url)) == 300_000
    assert any("redo starts" in message for message in caplog.messages)


def kill_server(server: EmbeddedPostgres) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert server.wait_or_dead(20)


def modes(folder: Path, *names: str) -> list[int]:
    return [stat.S_IMODE((folder / name).stat().st_mode) for name in names]
