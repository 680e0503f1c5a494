"""The pool, when the server goes and comes back."""

from __future__ import annotations

import pytest
from tests.fakes.dialling import eventually, rows

from tongdai.kit.db import TRANSIENT_ERRORS, Database

pytestmark = pytest.mark.anyio


async def test_a_restart_of_the_server_costs_one_failure_and_not_one_for_each_connection(
    db: Database,
) -> None:
    async with db.autocommit() as one, db.autocommit() as two, db.autocommit() as three:
        for connection in (one, two, three):
            await connection.execute("SELECT 1")
    async with db.autocommit() as other:
        dropped = await (
            await other.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()
                     AND backend_type = 'client backend'"""
            )
        ).fetchall()
        assert len(dropped) >= 2

    failures = 0

    async def well() -> bool:
        nonlocal failures
        try:
            return bool(await rows(db, "SELECT 1"))
        except TRANSIENT_ERRORS:
            failures += 1
            return False

    for _ in range(6):
        await eventually(well)
    assert failures <= 1


async def test_a_transaction_that_lives_too_long_is_ended_by_the_server(database_url: str) -> None:
    db = Database(database_url, max_transaction_s=0.2)
    await db.open()
    with pytest.raises(TRANSIENT_ERRORS):
        async with db.transaction() as tx:
            await tx.execute("SELECT pg_sleep(5)")
    await db.close()
