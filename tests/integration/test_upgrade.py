"""`tongdai upgrade-db`, from PostgreSQL 16 to 18 with the real programs of both."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tongdai.domain import accounts
from tongdai.domain.accounts import Role
from tongdai.kit.embedded import (
    DataFolderInUseError,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    WrongMajorError,
    connection_url,
    make_socket_folder,
    socket_folder,
)
from tongdai.kit.kept_process import ENVIRONMENT, launched
from tongdai.kit.migrate import migrate
from tongdai.kit.pg_copy import CopyFailedError, differences
from tongdai.kit.pg_server import PgServer, wait_for_previous_server
from tongdai.kit.upgrade import (
    JOURNAL_BYTES,
    DatabaseTooNewError,
    NoRoomError,
    NotTheSameError,
    ProgramsMissingError,
    check_room,
    major_in,
    programs_of,
    refuse_differences,
    upgrade,
)

OLD = "16"
# "thử nghiệm", as it stands in a URL.
BESIDE = "th%E1%BB%AD%20nghi%E1%BB%87m"
Rows = dict[str, list[str]]

FILL = """
CREATE TABLE kept (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body jsonb, said text, at timestamptz);
INSERT INTO kept (body, said, at)
  SELECT jsonb_build_object('n', g, 'tên', 'Sao Mai ' || g), E'tab\\t line\\n \\\\ "Đặng" ' || g,
         '2026-11-22 00:00:00+07'::timestamptz + g * interval '1 second'
  FROM generate_series(1, 20000) g;
CREATE SEQUENCE numbers START 1000;
SELECT nextval('numbers'), nextval('numbers');
CREATE SEQUENCE untouched START 7;
CREATE ROLE reporter LOGIN PASSWORD 'reads only';
GRANT SELECT ON kept TO reporter;
CREATE VIEW said AS SELECT said FROM kept;
"""

# Runs an upgrade that kills itself, as `kill -9` does, before what its argument names: `run pg_restore` is
# the start of that program, `name postgres` the renaming of something to that.
KILLED_AT = """
import os, signal, sys
from pathlib import Path
from tongdai.kit.upgrade import upgrade

def hook(event, arguments):
    if event == "subprocess.Popen":
        points = ["run " + Path(word).name for word in map(os.fspath, arguments[1])]
    elif event == "os.rename":
        points = ["name " + Path(os.fspath(arguments[1])).name.split("-")[0]]
    else:
        return
    if sys.argv[2] in points:
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
upgrade(Path(sys.argv[1]))
"""


def rows(url: str) -> Rows:
    """Every row of every table of ours, as text."""
    tables = (
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY 2"
    )
    found: Rows = {}
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        for schema, table in connection.execute(tables).fetchall():
            texts = connection.execute(
                sql.SQL("SELECT t::text FROM {} t ORDER BY 1").format(sql.Identifier(schema, table))
            )
            found[table] = [text for (text,) in texts]
    return found


async def fill_tenants(url: str) -> None:
    # Not through `Database`: it asks for settings that PostgreSQL 16 does not have.
    async with await psycopg.AsyncConnection.connect(url) as tx:
        tenant = await accounts.create_account(tx, "Cửa hàng Sao Mai")
        user = await accounts.create_user(
            tx, tenant.id, email="an@saomai.vn", name="An", role=Role.OWNER, password="mật khẩu của An"
        )
        await accounts.issue_api_key(tx, tenant.id, user.id, "our shop")


def make_old_cluster(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "pgpass").touch(mode=0o600)
    (folder / "pgpass").write_text("*:*:*:tongdai:the old password\n")
    (folder / "words").write_text("the old password")
    subprocess.run(
        launched([
            str(programs_of(OLD) / "initdb"), f"--pgdata={folder / 'postgres'}", "--username=tongdai",
            f"--pwfile={folder / 'words'}", "--auth=scram-sha-256", "--encoding=UTF8",
            "--locale=C", "--no-sync",
        ]),
        env=ENVIRONMENT, check=True, capture_output=True,
    )  # fmt: skip
    (folder / "words").unlink()


@contextmanager
def old_server(folder: Path) -> Iterator[None]:
    make_socket_folder(folder)
    server = PgServer(programs_of(OLD), folder / "postgres", folder / "postgres.log")
    where = {"unix_socket_directories": f'"{socket_folder(folder)}"', "listen_addresses": "", "fsync": "off"}
    with wait_for_previous_server(folder / "postgres.lock") as lock:
        server.start(where, lock)
    try:
        yield
    finally:
        server.stop()


def in_the_old(folder: Path, statements: str) -> None:
    with old_server(folder), psycopg.connect(connection_url(folder)) as connection:
        connection.execute(statements)


@pytest.fixture(scope="module")
def old_and_rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    """A data folder that PostgreSQL 16 wrote, with our schema, tenants and more; and every row of it."""
    folder = tmp_path_factory.mktemp("written") / "data"
    make_old_cluster(folder)
    with old_server(folder):
        with psycopg.connect(connection_url(folder, "postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE tongdai")
            connection.execute('CREATE DATABASE "thử nghiệm"')
        with psycopg.connect(connection_url(folder, BESIDE)) as connection:
            connection.execute("CREATE TABLE beside AS SELECT 1 AS one")
        migrate(connection_url(folder))
        asyncio.run(fill_tenants(connection_url(folder)))
        with psycopg.connect(connection_url(folder)) as connection:
            connection.execute(FILL)
        return folder, rows(connection_url(folder))


@pytest.fixture
def folder(old_and_rows: tuple[Path, Rows], tmp_path: Path) -> Path:
    """A copy that this test has for itself."""
    shutil.copytree(old_and_rows[0], tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def every_row(old_and_rows: tuple[Path, Rows]) -> Rows:
    return old_and_rows[1]


def clusters(folder: Path) -> dict[str, str]:
    """The major version of every cluster by its name, without the date."""
    return {
        path.parent.name.split("-")[0]: path.read_text().strip()
        for path in folder.glob("postgres*/PG_VERSION")
    }


def upgrade_db(folder: Path) -> str:
    """What the command prints."""
    return subprocess.run(
        [sys.executable, "-m", "tongdai", "upgrade-db", "--data", str(folder)],
        stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip


def killed_at(folder: Path, point: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT, str(folder), point], capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def test_every_row_sequence_and_password_is_there_after_the_upgrade_and_the_old_folder_is_kept(
    folder: Path, every_row: Rows
) -> None:
    assert len(every_row["kept"]) == 20_000
    assert every_row["users"]
    with pytest.raises(WrongMajorError, match="upgrade-db"):
        EmbeddedPostgres(folder).start()
    told = upgrade_db(folder)
    (kept,) = folder.glob("postgres.16-*")
    assert f"kept at {kept}" in told
    assert clusters(folder) == {"postgres": "18", "postgres.16": "16"}
    with EmbeddedPostgres(folder) as server:
        assert rows(server.url) == every_row
        assert migrate(server.url) == []
        with psycopg.connect(server.url) as connection:
            assert connection.info.server_version // 10_000 == 18
            assert connection.execute("SELECT nextval('numbers'), nextval('untouched')").fetchone() == (
                1002,
                7,
            )
            assert connection.execute("INSERT INTO kept (said) VALUES ('after') RETURNING id").fetchone() == (
                20_001,
            )
            for setting in ("fsync", "data_checksums", "full_page_writes"):
                assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)
            assert connection.execute(
                "SELECT count(*) FROM pg_stats WHERE tablename = 'kept'"
            ).fetchone() != (0,)
        with psycopg.connect(server.url_of(BESIDE)) as connection:
            assert connection.execute("SELECT one FROM beside").fetchall() == [(1,)]
        host = str(socket_folder(folder))
        with psycopg.connect(
            host=host, dbname="tongdai", user="reporter", password="reads only"
        ) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (20_001,)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(host=host, dbname="tongdai", user="tongdai", password="a guess")
    told = upgrade_db(folder)
    assert "current" in told
    assert str(kept) in told


def test_killed_anywhere_it_leaves_the_old_one_or_an_exchange_that_whatever_comes_next_ends(
    folder: Path, every_row: Rows, tmp_path: Path
) -> None:
    for point in ("run pg_restore", "name postgres.16"):
        killed_at(folder, point)
        assert clusters(folder)["postgres"] == "16"
        assert "postgres.16" not in clusters(folder)
    killed_at(folder, "name postgres")
    assert clusters(folder) == {"postgres.upgraded": "18", "postgres.16": "16"}
    the_same = Path(shutil.copytree(folder, tmp_path / "the same"))
    assert upgrade(the_same) is None
    with EmbeddedPostgres(folder) as server:
        assert rows(server.url) == every_row
    for ended in (folder, the_same):
        assert clusters(ended) == {"postgres": "18", "postgres.16": "16"}
        assert list(ended.glob("postgres.upgrading-*")) == []


def test_a_restore_that_fails_leaves_the_old_one_and_no_value_in_the_message(folder: Path) -> None:
    # A row that its own table's check would refuse today.
    in_the_old(
        folder,
        "CREATE FUNCTION fine(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';"
        "CREATE TABLE checked (number text CHECK (fine(number))); INSERT INTO checked VALUES ('0912345678');"
        "CREATE OR REPLACE FUNCTION fine(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT false';",
    )
    with pytest.raises(CopyFailedError, match=r"pg_restore of tongdai.*upgrade\.log") as caught:
        upgrade(folder)
    assert "0912345678" not in str(caught.value)
    assert clusters(folder) == {"postgres": "16"}
    assert "0912345678" in (folder / "upgrade.log").read_text()
    assert (folder / "upgrade.log").stat().st_mode & 0o777 == 0o600


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path), pytest.raises(DataFolderInUseError):
        upgrade(tmp_path)


@pytest.mark.parametrize(
    ("major", "error", "words"),
    [
        ("12", ProgramsMissingError, r"PostgreSQL 12.*--programs /usr/lib/postgresql/12/bin.*pg_dump"),
        ("99", DatabaseTooNewError, "99"),
    ],
)
def test_a_major_that_cannot_be_upgraded_is_named_with_the_way_out(
    tmp_path: Path, major: str, error: type[EmbeddedPostgresError], words: str
) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text(f"{major}\n")
    with pytest.raises(error, match=words):
        upgrade(tmp_path)
    assert clusters(tmp_path) == {"postgres": major}


def test_programs_that_are_named_must_be_of_the_right_major(tmp_path: Path) -> None:
    shipped = programs_of(OLD)
    assert programs_of(OLD, shipped) == shipped
    with pytest.raises(ProgramsMissingError, match="PostgreSQL 17"):
        programs_of("17", shipped)
    with pytest.raises(ProgramsMissingError):
        programs_of(OLD, tmp_path)


def test_a_folder_without_a_database_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="not a PostgreSQL cluster"):
        upgrade(tmp_path)


def test_a_disk_without_room_is_refused_before_anything_is_written() -> None:
    check_room(5, JOURNAL_BYTES + 5)
    with pytest.raises(NoRoomError, match="1024 MB"):
        check_room(5, JOURNAL_BYTES + 4)


def test_a_difference_is_named_without_its_values() -> None:
    before = {("tongdai", "rows", "public.calls"): 8412, ("", "role", "reporter"): ["SCRAM-SHA-256$x"]}
    refuse_differences(dict(before), dict(before))
    assert differences(before, {}) == ["role reporter", "rows tongdai/public.calls"]
    with pytest.raises(NotTheSameError) as caught:
        refuse_differences(dict(before), {**before, ("tongdai", "rows", "public.calls"): 8411})
    assert "rows tongdai/public.calls" in str(caught.value)
    assert "84" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "major"),
    [("postgres (PostgreSQL) 16.14", "16"), ("postgres (PostgreSQL) 19beta1 (Debian)", "19"), ("", None)],
)
def test_a_programs_major_is_read_from_its_answer(said: str, major: str | None) -> None:
    assert major_in(said) == major
