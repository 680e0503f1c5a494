"""Periodic jobs: partitions in time, and an alarm when sums that must agree do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from tests import factories
from tests.fakes.clock import FakeClock

from tongdai.bootstrap import build
from tongdai.domain import calls, campaigns
from tongdai.kit import upkeep
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, Tx
from tongdai.kit.readiness import schema_fault
from tongdai.settings import Settings
from tongdai.worker import dialer_config, job_app

pytestmark = pytest.mark.anyio


async def test_partitions_are_made_before_ids_reach_them(db: Database) -> None:
    async with db.transaction() as tx:
        assert await upkeep.ensure_partitions(tx) == 0
        await tx.execute("SELECT setval('call_ids', 10000000)")
        assert await upkeep.ensure_partitions(tx) == 1
        assert await upkeep.ensure_partitions(tx) == 0


async def test_a_table_gets_its_partitions_by_a_row_of_its_own(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute("CREATE SEQUENCE letter_ids; SELECT setval('letter_ids', 20000000)")
        await tx.execute("CREATE TABLE letters (id bigint PRIMARY KEY) PARTITION BY RANGE (id)")
        await tx.execute(
            "INSERT INTO big_tables (name, sequence, fillfactor) VALUES ('letters', 'letter_ids', 90)"
        )
        assert await upkeep.ensure_partitions(tx) == 2
        assert await upkeep.ensure_partitions(tx) == 0
        for letter_id in (20_000_000, 29_999_999, 30_000_000):
            await tx.execute("INSERT INTO letters VALUES (%s)", (letter_id,))
        held = await (await tx.execute("SELECT tableoid::regclass::text FROM letters ORDER BY id")).fetchall()
        shape = await _shape(tx, "letters_p3")
    assert held == [("letters_p2",), ("letters_p2",), ("letters_p3",)]
    assert shape["options"] == ["fillfactor=90"]


async def test_every_table_that_is_split_by_id_is_among_the_big_ones(db: Database) -> None:
    async with db.autocommit() as connection:
        split = "SELECT relname FROM pg_class WHERE relkind = 'p' ORDER BY 1"
        named = "SELECT name FROM big_tables ORDER BY 1"
        found = await (await connection.execute(split)).fetchall()
        assert found == await (await connection.execute(named)).fetchall()
    assert ("calls",) in found


async def test_a_partition_is_made_while_an_import_and_a_claim_are_under_way(
    db: Database, keyring: Keyring, clock: FakeClock
) -> None:
    owner = (await factories.cast(db)).owner
    campaign = await factories.campaign(db, owner)
    contacts = [campaigns.NewContact(f"09123{n:05d}") for n in range(60)]
    with anyio.fail_after(4):
        async with db.transaction() as importing, db.transaction() as claiming:
            await importing.execute("LOCK TABLE calls, attempts, legs IN ROW EXCLUSIVE MODE")
            await claiming.execute("SELECT FROM calls FOR UPDATE SKIP LOCKED")
            async with db.transaction() as upkeeping:
                await upkeeping.execute("SELECT setval('call_ids', 10000000)")
                assert await upkeep.ensure_partitions(upkeeping) == 1
                # And others go on while it is being attached.
                report = await campaigns.import_contacts(
                    importing, keyring, clock, owner.account_id, campaign.id, contacts
                )
                assert len(report.accepted) == 60
                await claiming.execute("SELECT FROM calls FOR UPDATE SKIP LOCKED")


async def test_a_new_partition_is_like_the_first(db: Database) -> None:
    async with db.transaction() as tx:
        for name in ("call_ids", "attempt_ids", "leg_ids", "recording_ids"):
            await tx.execute("SELECT setval(%s, 10000000)", (name,))
        assert await upkeep.ensure_partitions(tx) == 4
        for table in ("calls", "attempts", "legs", "recordings"):
            shapes = [await _shape(tx, f"{table}_p{part}") for part in (0, 1, 2)]
            assert shapes[0] == shapes[1] == shapes[2]
            assert shapes[0]["options"] == ["fillfactor=80"]
            parent = await _shape(tx, table)
            for part in ("columns", "checks", "indexes"):
                assert shapes[0][part] == parent[part]
            assert parent["columns"]
            assert parent["indexes"]


async def test_upkeep_gives_up_soon_where_a_table_is_locked_and_is_tried_again(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute("SELECT setval('leg_ids', 10000000)")
    platform = build(Settings(database_url=db.url, secret_key=bytes(range(32)).hex()))
    app = job_app(platform)
    await platform.db.open()
    async with app.open_async():
        job_id = await app.tasks["ensure_partitions"].defer_async(timestamp=0)
        async with db.transaction() as blocking:
            await blocking.execute("LOCK TABLE legs IN SHARE UPDATE EXCLUSIVE MODE")
            with anyio.fail_after(4):
                await app.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False)
        (job,) = await app.job_manager.list_jobs_async(id=job_id)
    await platform.db.close()
    assert (job.status, job.attempts) == ("todo", 1)


async def _shape(tx: Tx, table: str) -> dict[str, Any]:
    """Everything of a table that its partitions must share, index definitions without the names."""
    facts = {
        "columns": "SELECT attname, atttypid, attnotnull, pg_get_expr(adbin, adrelid) FROM pg_attribute"
        " LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
        " WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        "checks": "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = %s::regclass AND contype = 'c' ORDER BY 1",
        "indexes": "SELECT regexp_replace(indexdef, ' INDEX .* USING', ' INDEX USING') FROM pg_indexes"
        " WHERE tablename = %s ORDER BY 1",
    }
    shape: dict[str, Any] = {
        name: await (await tx.execute(query, (table,))).fetchall() for name, query in facts.items()
    }
    row = await (
        await tx.execute("SELECT reloptions FROM pg_class WHERE oid = %s::regclass", (table,))
    ).fetchone()
    assert row is not None
    return shape | {"options": row[0]}


async def test_counters_that_were_counted_together_agree(db: Database) -> None:
    await _count_results(db)
    async with db.transaction() as tx:
        assert await upkeep.counter_drift(tx) == []


async def test_a_counter_that_was_lost_is_noticed(db: Database) -> None:
    campaign_id = await _count_results(db)
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE result_counts SET calls = calls - 1 WHERE scope = 'campaign' AND span_s = 86400"
        )
    async with db.transaction() as tx:
        found = await upkeep.counter_drift(tx)
    assert [(one.scope, one.scope_id) for one in found] == [("campaign", campaign_id)]
    assert found[0].most == 3


JOBS = (
    "check_counters",
    "ensure_partitions",
    "forget_recordings",
    "forget_contact_files",
    "forget_webhooks",
    "forget_zalo_events",
    "forget_zalo_keys",
    "purge_rings",
    "recount_limits",
)


async def test_every_job_is_registered_and_runs(db: Database) -> None:
    settings = Settings(database_url=db.url, secret_key=bytes(range(32)).hex())
    platform = build(settings)
    app = job_app(platform)
    await platform.db.open()
    async with app.open_async():
        for name in JOBS:
            await app.tasks[name].defer_async(timestamp=0)
        await app.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False)
        jobs = await app.job_manager.list_jobs_async()
    await platform.db.close()
    # A set: the worker adds those whose time has just come.
    assert {(job.task_name, job.status) for job in jobs} == {(name, "succeeded") for name in JOBS}


async def test_a_migrated_database_has_the_schema_of_this_code(db: Database) -> None:
    async with db.autocommit() as connection:
        assert await schema_fault(connection) is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("DELETE FROM schema_migrations WHERE version = 2", "missing: 0002"),
        ("UPDATE schema_migrations SET sha256 = 'x'", "another version"),
        ("DROP TABLE schema_migrations", "never migrated"),
    ],
)
async def test_another_schema_is_told(db: Database, change: str, fault: str) -> None:
    async with db.autocommit() as connection:
        await connection.execute(change)
        found = await schema_fault(connection)
    assert found is not None
    assert fault in found


def test_the_dialer_follows_its_settings() -> None:
    config = dialer_config(Settings(dialer_batch=7, dialer_horizon_s=0.5, dialer_max_calls=9))
    assert (config.rules.budget, config.rules.horizon, config.max_calls) == (7, timedelta(seconds=0.5), 9)


async def _count_results(db: Database) -> int:
    """Three results at different moments of today; returns the campaign's id."""
    owner = (await factories.cast(db)).owner
    campaign = await factories.campaign(db, owner)
    now = datetime.now(UTC)
    moves = [
        calls.ResultMove(owner.account_id, campaign.id, owner.user.id, None, now - timedelta(seconds=age))
        for age in (0, 1, 59)
    ]
    async with db.transaction() as tx:
        await calls.count_results(tx, moves)
    return campaign.id
