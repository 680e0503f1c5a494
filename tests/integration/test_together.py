"""What requests ask of the database at the same time is done together, and each is answered for itself."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
from psycopg import AsyncConnection, OperationalError

from tongdai.kit.db import Database, Tx

pytestmark = pytest.mark.anyio

BATCHES = "SELECT count(DISTINCT xmin::text), count(*) FROM kept"


async def keep(tx: Tx, numbers: Sequence[int]) -> list[int]:
    """Fails for 13."""
    await tx.execute("INSERT INTO kept SELECT unnest(%s::int[])", (list(numbers),))
    if 13 in numbers:
        raise ValueError(13)
    return [10 * number for number in numbers]


async def kept(db: Database, numbers: Sequence[int]) -> tuple[dict[int, int], list[int]]:
    """What came of each number, and which failed."""
    results: dict[int, int] = {}
    failed: list[int] = []

    async def one(number: int) -> None:
        try:
            results[number] = await db.together(keep, number)
        except ValueError:
            failed.append(number)

    async with anyio.create_task_group() as group:
        for number in numbers:
            group.start_soon(one, number)
    return results, failed


@pytest.fixture
async def table(db: Database) -> Database:
    async with db.transaction() as tx:
        await tx.execute("CREATE TABLE kept (number integer)")
    return db


async def test_many_at_once_share_a_few_transactions(table: Database) -> None:
    results, failed = await kept(table, range(100, 200))
    assert results == {number: 10 * number for number in range(100, 200)}
    assert failed == []
    async with table.transaction() as tx:
        row = await (await tx.execute(BATCHES)).fetchone()
    assert row is not None
    transactions, rows = row
    assert rows == 100
    assert transactions < 10


async def test_one_that_fails_takes_no_other_with_it(table: Database) -> None:
    results, failed = await kept(table, range(10, 20))
    assert failed == [13]
    assert sorted(results) == [number for number in range(10, 20) if number != 13]
    async with table.transaction() as tx:
        row = await (await tx.execute("SELECT array_agg(number ORDER BY number) FROM kept")).fetchone()
    assert row is not None
    assert row[0] == sorted(results)


async def keep_and_lose_the_server(tx: Tx, numbers: Sequence[int]) -> list[int]:
    """Written and committed, but the connection dies before anybody hears of it."""
    await tx.execute("INSERT INTO kept SELECT unnest(%s::int[])", (list(numbers),))
    await tx.execute("COMMIT")
    await tx.execute("BEGIN")
    async with await AsyncConnection.connect(tx.info.dsn, autocommit=True) as other:
        await other.execute("SELECT pg_terminate_backend(%s, 5000)", (tx.info.backend_pid,))
    return list(numbers)


async def test_what_may_have_been_committed_is_not_written_again(table: Database) -> None:
    failed = []

    async def one(number: int) -> None:
        try:
            await table.together(keep_and_lose_the_server, number)
        except OperationalError:
            failed.append(number)

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(one, number)
    assert sorted(failed) == list(range(20))
    async with table.transaction() as tx:
        rows = await (await tx.execute("SELECT number FROM kept ORDER BY number")).fetchall()
    assert [number for (number,) in rows] == list(range(20))
