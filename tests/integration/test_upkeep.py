"""Periodic jobs: partitions in time, and an alarm when sums that must agree do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests import factories

from tongdai.bootstrap import build
from tongdai.domain import calls
from tongdai.kit import upkeep
from tongdai.kit.db import Database
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


async def test_every_job_is_registered_and_runs(db: Database) -> None:
    settings = Settings(database_url=db.url, secret_key=bytes(range(32)).hex())
    platform = build(settings)
    app = job_app(platform)
    await platform.db.open()
    async with app.open_async():
        for name in ("ensure_partitions", "check_counters"):
            await app.tasks[name].defer_async(timestamp=0)
        await app.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False)
        jobs = await app.job_manager.list_jobs_async()
    await platform.db.close()
    assert sorted((job.task_name, job.status) for job in jobs) == [
        ("check_counters", "succeeded"),
        ("ensure_partitions", "succeeded"),
    ]


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
