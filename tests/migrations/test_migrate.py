"""Migrations on a real database: whole, in turn, and never behind anyone's back."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest
from tests.fakes.postgres import create_clone, drop_clone

from tongdai.kit.embedded import connection_url
from tongdai.kit.migrate import (
    DatabaseNewerError,
    Migration,
    MigrationBlockedError,
    MigrationChangedError,
    MigrationError,
    migrate,
    parse,
    shipped,
)

# Tables whose rows belong to the platform or to everybody, not to a customer.
OF_NO_ACCOUNT = {
    "accounts",
    "asterisk_nodes",
    "big_tables",
    "dialers",
    "national_do_not_call",
    "national_lists",
    "number_prefixes",
    "plans",
    "schema_migrations",
    "tariff_rates",
    "tariffs",
    "vat_rates",
    "webhook_senders",
    "webhook_totals",
    "zalo_prices",
}

# By the sequence of their ids.
BIG_SEQUENCES = {
    "attempt_ids": "attempts",
    "call_ids": "calls",
    "inbound_call_ids": "inbound_calls",
    "ledger_ids": "ledger",
    "leg_ids": "legs",
    "recording_ids": "recordings",
}

FIRST = Migration(1, "0001_first.sql", "CREATE TABLE first (id integer); INSERT INTO first VALUES (1);")
SECOND = Migration(2, "0002_second.sql", "CREATE TABLE second (id integer); INSERT INTO first VALUES (2);")
BROKEN = Migration(2, "0002_broken.sql", "INSERT INTO first VALUES (2); SELECT 1 / 0;")


@pytest.fixture
def empty_url(postgres_folder: Path) -> Iterator[str]:
    """A database with nothing in it."""
    name = create_clone(postgres_folder, template="template0")
    yield connection_url(postgres_folder, name)
    drop_clone(postgres_folder, name)


def rows(url: str, query: str) -> list[object]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute(query)]


def test_an_empty_database_gets_everything_once_and_in_order(empty_url: str) -> None:
    names = [migration.name for migration in shipped()]
    assert migrate(empty_url) == names
    assert migrate(empty_url) == []
    assert rows(empty_url, "SELECT name FROM schema_migrations ORDER BY version") == names
    for table in ("calls", "procrastinate_jobs"):
        assert rows(empty_url, f"SELECT count(*) FROM {table}") == [0]


def test_only_what_is_missing_is_applied(empty_url: str) -> None:
    migrate(empty_url, [FIRST])
    assert migrate(empty_url, [FIRST, SECOND]) == ["0002_second.sql"]
    assert rows(empty_url, "SELECT id FROM first ORDER BY id") == [1, 2]


def test_four_processes_at_once_apply_each_migration_once(empty_url: str) -> None:
    code = "import sys; from tongdai.kit.migrate import migrate; print(*migrate(sys.argv[1]), sep='\\n')"
    racers = [
        subprocess.Popen([sys.executable, "-c", code, empty_url], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [racer.communicate(timeout=60)[0].split() for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 4
    assert sorted(itertools.chain(*said)) == [migration.name for migration in shipped()]


def test_a_migration_that_fails_leaves_nothing_and_those_before_it_stay(empty_url: str) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty_url, [FIRST, BROKEN])
    assert rows(empty_url, "SELECT id FROM first") == [1]
    assert migrate(empty_url, [FIRST, SECOND]) == ["0002_second.sql"]


def test_a_file_that_changed_after_it_was_applied_is_refused(empty_url: str) -> None:
    migrate(empty_url, [FIRST])
    changed = Migration(1, FIRST.name, FIRST.sql + " -- and a word more")
    with pytest.raises(MigrationChangedError, match=r"0001_first\.sql"):
        migrate(empty_url, [changed, SECOND])
    assert rows(empty_url, "SELECT to_regclass('second')") == [None]


def test_a_database_of_a_newer_version_is_refused(empty_url: str) -> None:
    migrate(empty_url, [FIRST, SECOND])
    with pytest.raises(DatabaseNewerError, match=r"0002_second\.sql"):
        migrate(empty_url, [FIRST])


def test_a_migration_does_not_queue_for_long_behind_a_busy_table(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tongdai.kit.migrate.DDL_LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr("tongdai.kit.migrate.PAUSE_S", 0.01)
    alters = Migration(2, "0002_alters.sql", "ALTER TABLE first ADD COLUMN note text")
    migrate(empty_url, [FIRST])
    with psycopg.connect(empty_url) as reader:
        reader.execute("SELECT * FROM first")
        with pytest.raises(MigrationBlockedError):
            migrate(empty_url, [FIRST, alters])
    assert migrate(empty_url, [FIRST, alters]) == ["0002_alters.sql"]


@pytest.mark.parametrize(
    "names",
    [["1_short.sql"], ["0001_a.sql", "0003_b.sql"], ["0001_a.sql", "0001_b.sql"], ["0002_a.sql"]],
)
def test_files_with_bad_names_or_numbers_are_refused(names: list[str]) -> None:
    with pytest.raises(MigrationError):
        parse((name, "SELECT 1") for name in names)


def test_every_table_with_rows_of_customers_names_the_account(database_url: str) -> None:
    ours = "relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
    tables = set(
        rows(
            database_url,
            f"SELECT relname FROM pg_class WHERE {ours} AND NOT relispartition"
            " AND relname NOT LIKE 'procrastinate_%'",
        )
    )
    named = set(
        rows(
            database_url,
            "SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
            f" WHERE attname = 'account_id' AND {ours}",
        )
    )
    assert "calls" in named
    assert tables - named == OF_NO_ACCOUNT


def test_a_templates_bare_field_names_become_optional_fields(empty_url: str) -> None:
    before = [migration for migration in shipped() if migration.version < 9]
    migrate(empty_url, before)
    with psycopg.connect(empty_url) as connection:
        connection.execute(
            """WITH l AS (INSERT INTO limits (account_id, kind) VALUES (1, 'account') RETURNING id)
               INSERT INTO accounts (id, name, limit_id) OVERRIDING SYSTEM VALUE SELECT 1, 'A', id FROM l"""
        )
        connection.execute(
            """INSERT INTO templates (account_id, name, config)
               VALUES (1, 'a', '{"kind": "voice", "fields": ["tên", "tien"]}'), (1, 'b', '{"fields": []}'),
                      (1, 'c', '{"kind": "otp"}')"""
        )
    migrate(empty_url)
    assert rows(empty_url, "SELECT config FROM templates ORDER BY id") == [
        {"kind": "voice", "fields": [{"name": "tên"}, {"name": "tien"}]},
        {"fields": []},
        {"kind": "otp"},
    ]


def test_accounts_of_the_version_before_each_get_a_code_of_their_own(empty_url: str) -> None:
    migrate(empty_url, [migration for migration in shipped() if migration.version < 7])
    with psycopg.connect(empty_url) as connection:
        connection.execute(
            """WITH l AS (INSERT INTO limits (account_id, kind)
                          SELECT n, 'account' FROM generate_series(1, 100) n RETURNING id, account_id)
               INSERT INTO accounts (id, name, limit_id) OVERRIDING SYSTEM VALUE
               SELECT account_id, 'A', id FROM l"""
        )
    migrate(empty_url)
    codes = {str(code) for code in rows(empty_url, "SELECT code FROM accounts")}
    assert len(codes) == 100
    assert {len(code) for code in codes} == {9}


def test_big_tables_of_the_version_before_keep_their_partitions_and_get_the_next(empty_url: str) -> None:
    migrate(empty_url, [migration for migration in shipped() if migration.version < 14])
    with psycopg.connect(empty_url) as connection:
        connection.execute("SELECT setval('leg_ids', 12345678), ensure_partitions()")
        # So far have the calls come since the hourly job was here last.
        connection.execute("SELECT setval('call_ids', 10000000)")
    before = partitions(empty_url)
    migrate(empty_url)
    after = partitions(empty_url)
    assert {name for name, _ in after - before} == {"calls_p2"}
    assert before < after
    with psycopg.connect(empty_url) as connection:
        for sequence in BIG_SEQUENCES:
            connection.execute("SELECT setval(%s, 40000000)", [sequence])
        connection.execute("SELECT ensure_partitions()")
    later = {name for name, _ in partitions(empty_url) - after}
    assert later == {f"{table}_p{part}" for table in BIG_SEQUENCES.values() for part in (4, 5)}


def partitions(url: str) -> set[tuple[object, object]]:
    """(name, oid) of each partition of a table of ours."""
    with psycopg.connect(url) as connection:
        return set(
            connection.execute("SELECT relname, oid FROM pg_class WHERE relispartition AND relkind = 'r'")
        )


def test_the_jobs_schema_is_that_of_the_installed_library() -> None:
    ours = next(migration.sql for migration in shipped() if migration.name == "0002_jobs.sql")
    theirs = (files("procrastinate") / "sql" / "schema.sql").read_text("utf-8")
    assert ours.endswith(theirs)
