"""The database: a pool, and one transaction per request or job.

Only this package and the `store.py` of a domain module know the driver. Services take a `Tx`, which is a
connection inside a transaction; they never commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, LiteralString, TypeVar

from psycopg import AsyncConnection, InterfaceError, OperationalError
from psycopg import Error as DatabaseError
from psycopg.errors import IdleInTransactionSessionTimeout, TransactionTimeout
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from tongdai.kit.batching import Batches, UnknownOutcomeError

__all__ = ["TRANSIENT_ERRORS", "Database", "DatabaseError", "Later", "Sql", "Tx", "sent_at_once"]

TRANSIENT_ERRORS = (
    OperationalError,
    InterfaceError,
    TransactionTimeout,
    IdleInTransactionSessionTimeout,
)
"""What a database says when it is away, in a hurry or in conflict: the same statement may succeed later."""

Tx = AsyncConnection[TupleRow]
"""A connection inside a transaction."""

Sql = LiteralString
"""SQL is written, never built from values: the type checker refuses a computed string."""


def sent_at_once(tx: Tx) -> AbstractAsyncContextManager[object]:
    """What is executed within goes out together; the first result that is read has the rest waited for."""
    is_so = tx.pgconn.pipeline_status != PipelineStatus.OFF
    return nullcontext() if is_so else tx.pipeline()


Item = TypeVar("Item")
Result = TypeVar("Result")

Later = Callable[[], Awaitable[Result]]
"""What reads the answer to a statement that was sent, to be called once: until then others can be sent."""

KEEPALIVES: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "options": "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3",
}
"""Both ends of a connection that lives for long notice within half a minute that the other is gone."""


class Database:
    """A pool of connections to one PostgreSQL.

    `max_transaction_s` bounds every transaction on the server's side: the claiming floor and vacuum rely on
    no transaction living longer (ARCHITECTURE, section 5).
    """

    def __init__(
        self,
        url: str,
        *,
        min_size: int = 1,
        max_size: int = 10,
        max_transaction_s: float = 5.0,
        prepare_after: int = 5,
    ) -> None:
        """`prepare_after`: how often a statement comes until it is prepared on its connection."""
        self._url = url
        self._max_transaction_ms = int(max_transaction_s * 1000)
        self._pool: AsyncConnectionPool[AsyncConnection[TupleRow]] = AsyncConnectionPool(
            url,
            min_size=min_size,
            max_size=max_size,
            open=False,
            # No statement of ours runs for so long that compiling it would pay, whatever the planner fears.
            kwargs={
                "autocommit": True,
                "prepare_threshold": prepare_after,
                "options": f"-c transaction_timeout={self._max_transaction_ms} -c jit=off",
            },
            timeout=10.0,
        )

        self._check: asyncio.Task[None] | None = None
        self._batches: dict[object, Batches[Any, Any]] = {}

    @property
    def url(self) -> str:
        return self._url

    def lane(self) -> Database:
        """One more connection to the same, for somebody in a hurry: it is never another's, and what is asked
        over it has been prepared. To be opened and closed by itself."""
        return Database(
            self._url,
            max_size=1,
            max_transaction_s=self._max_transaction_ms / 1000,
            prepare_after=0,
        )

    async def open(self, timeout: float = 30.0) -> None:
        await self._pool.open(wait=True, timeout=timeout)

    async def close(self) -> None:
        if self._check is not None:
            await asyncio.gather(self._check, return_exceptions=True)
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """A connection with a transaction open: committed at the end, rolled back on any exception."""
        async with self._connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def brisk_transaction(self) -> AsyncIterator[Tx]:
        """The same with fewer waits, for a few statements in a hurry: BEGIN goes out with the first of them
        and COMMIT with the last, and nothing is waited for until a result is read.

        So a fault is raised where a result is read next, or at the end; a row count is known only then, too.
        No COPY and no transaction inside.
        """
        async with self._connection() as connection:
            try:
                async with connection.pipeline():
                    await connection.execute("BEGIN", prepare=False)
                    yield connection
                    await connection.execute("COMMIT", prepare=False)
            finally:
                if not connection.closed and connection.info.transaction_status != TransactionStatus.IDLE:
                    await connection.rollback()

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[Tx]:
        """A connection where each statement is a transaction of its own: for single statements."""
        async with self._connection() as connection:
            yield connection

    async def together(
        self, work: Callable[[Tx, Sequence[Item]], Awaitable[Sequence[Result]]], item: Item
    ) -> Result:
        """The result of `work` for this item, in one transaction with what other tasks ask for meanwhile.

        `work` is a function of a module, by which the others are found. It is given the items in the order in
        which they came and returns a result for each. Raises what it raises for this item, and what a failed
        commit raises, for all of them: whether they were written is not known then, and nothing is repeated.
        """
        return await self._together(work, item, self.transaction)

    async def read_together(
        self, work: Callable[[Tx, Sequence[Item]], Awaitable[Sequence[Result]]], item: Item
    ) -> Result:
        """The same for a single statement that only reads: without a transaction around it."""
        return await self._together(work, item, self.autocommit)

    async def _together(
        self,
        work: Callable[[Tx, Sequence[Item]], Awaitable[Sequence[Result]]],
        item: Item,
        connected: Callable[[], AbstractAsyncContextManager[Tx]],
    ) -> Result:
        batches = self._batches.get(work)
        if batches is None:

            async def on_a_connection(items: Sequence[Item]) -> Sequence[Result]:
                ending = False
                try:
                    async with connected() as tx:
                        results = await work(tx, items)
                        ending = True
                except Exception as error:
                    if ending:
                        raise UnknownOutcomeError from error
                    raise
                return results

            batches = self._batches[work] = Batches(on_a_connection)
        result: Result = await batches.do(item)
        return result

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Tx]:
        """A pooled connection. One that turns out to be dead says that the server was away, so the others are
        looked at too: a restart of the server costs one failure, and not one for each pooled connection."""
        async with self._pool.connection() as connection:
            try:
                yield connection
            except TRANSIENT_ERRORS:
                if connection.broken:
                    self._look_over()
                raise

    def _look_over(self) -> None:
        if self._check is None or self._check.done():
            self._check = asyncio.create_task(self._pool.check())

    async def dedicated(self, **options: Any) -> Tx:
        """A connection outside the pool, autocommit, for LISTEN and for locks held for a lifetime."""
        return await AsyncConnection.connect(self._url, autocommit=True, **KEEPALIVES, **options)
