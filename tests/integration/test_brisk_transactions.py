"""Transactions that wait for nothing but results: they commit, fail and end as the others do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from psycopg.errors import CheckViolation, UniqueViolation
from tests.fakes.dialling import eventually, rows

from tongdai.kit.db import TRANSIENT_ERRORS, Database, sent_at_once

pytestmark = pytest.mark.anyio

ADD = "INSERT INTO things (id) VALUES (%s)"


@pytest.fixture
async def lane(db: Database) -> AsyncIterator[Database]:
    """With a table to write to."""
    async with db.autocommit() as tx:
        await tx.execute("CREATE TABLE things (id int PRIMARY KEY CHECK (id < 100))")
    one = db.lane()
    await one.open()
    yield one
    await one.close()


async def _add(lane: Database, *ids: int, reads: bool = False, raises: Exception | None = None) -> None:
    """In one transaction, of which nothing is read unless `reads`."""
    async with lane.brisk_transaction() as tx:
        for id_ in ids:
            await tx.execute(ADD, (id_,))
        if reads:
            await (await tx.execute("SELECT 1")).fetchone()
            raise AssertionError("what failed was passed over")
        if raises is not None:
            raise raises


async def _things(db: Database) -> list[int]:
    return [id_ for (id_,) in await rows(db, "SELECT id FROM things ORDER BY id")]


async def test_what_was_never_read_is_committed_too(db: Database, lane: Database) -> None:
    await _add(lane, 1, 2)
    assert await _things(db) == [1, 2]


async def test_nothing_is_seen_by_others_before_the_end(db: Database, lane: Database) -> None:
    async with lane.brisk_transaction() as tx:
        await tx.execute(ADD, (1,))
        found = await (await tx.execute("SELECT id FROM things")).fetchall()
        assert found == [(1,)]
        assert await _things(db) == []
    assert await _things(db) == [1]


async def test_a_fault_of_the_last_statement_is_raised_at_the_end_and_nothing_is_kept(
    db: Database, lane: Database
) -> None:
    with pytest.raises(CheckViolation):
        await _add(lane, 1, 100)
    assert await _things(db) == []


async def test_a_fault_is_raised_where_a_later_result_is_read(db: Database, lane: Database) -> None:
    with pytest.raises(UniqueViolation):
        await _add(lane, 1, 1, reads=True)
    assert await _things(db) == []


async def test_what_is_raised_inside_takes_everything_back_and_the_connection_goes_on(
    db: Database, lane: Database
) -> None:
    for _ in range(3):
        with pytest.raises(LookupError):
            await _add(lane, 1, raises=LookupError())
    await _add(lane, 2)
    assert await _things(db) == [2]


async def test_who_is_cancelled_in_the_midst_keeps_nothing_and_blocks_nobody(
    db: Database, lane: Database
) -> None:
    began = asyncio.Event()

    async def slow() -> None:
        async with lane.brisk_transaction() as tx:
            await tx.execute(ADD, (1,))
            began.set()
            await (await tx.execute("SELECT pg_sleep(4)")).fetchone()

    task = asyncio.create_task(slow())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with lane.brisk_transaction() as tx:
        await tx.execute(ADD, (1,))
    assert await _things(db) == [1]


async def test_a_lane_comes_back_after_the_server_has_dropped_it(db: Database, lane: Database) -> None:
    async with lane.brisk_transaction() as tx:
        [(mine,)] = await (await tx.execute("SELECT pg_backend_pid()")).fetchall()
    await rows(db, "SELECT pg_terminate_backend(%s)", mine)

    async def goes_on() -> bool:
        try:
            async with lane.brisk_transaction() as tx:
                return bool(await (await tx.execute("SELECT 1")).fetchone())
        except TRANSIENT_ERRORS:
            return False

    await eventually(goes_on)


async def test_what_is_sent_at_once_is_no_wait_more_inside(db: Database, lane: Database) -> None:
    async with lane.brisk_transaction() as tx, sent_at_once(tx):
        await tx.execute(ADD, (1,))
        assert await (await tx.execute("SELECT id FROM things")).fetchall() == [(1,)]
    async with db.transaction() as tx, sent_at_once(tx):
        await tx.execute(ADD, (2,))
    assert await _things(db) == [1, 2]


async def test_a_statement_of_a_lane_is_prepared_at_its_first_use(lane: Database) -> None:
    async with lane.brisk_transaction() as tx:
        await tx.execute(ADD, (1,))
        found = await tx.execute(
            "SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE statement LIKE 'INSERT%'"
        )
        assert await found.fetchall() == [(1,)]
