"""What `serve --role all` and `demo` share: the database and the child processes."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tongdai.domain import contacts
from tongdai.kit.db import Database
from tongdai.kit.embedded import EmbeddedPostgres, EmbeddedPostgresError
from tongdai.kit.migrate import migrate
from tongdai.kit.supervisor import ChildSpec, Stop, Supervisor
from tongdai.settings import Settings

logger = logging.getLogger(__name__)

CARRIER_RANK = 0
ROLE_RANK = 1
RETRY_AFTER_S = 2.0


class Server:
    """A PostgreSQL server of somebody else's: nothing to watch."""

    def __init__(self, url: str) -> None:
        self.url = url

    def watch(self) -> None:
        """Nothing: the roles reconnect by themselves."""


class EmbeddedServer:
    """Our own PostgreSQL, started again when it dies."""

    def __init__(self, postgres: EmbeddedPostgres, stop: Stop) -> None:
        self._postgres = postgres
        self._stop = stop
        self._not_before = 0.0
        self.url = postgres.url

    def watch(self) -> None:
        """Called at every turn of the supervisor. Blocks for the time of a recovery."""
        if not self._postgres.wait_or_dead(0) or time.monotonic() < self._not_before:
            return
        logger.error("the database server died and is started again")
        try:
            with self._stop.interrupting():
                self._postgres.start()
        except EmbeddedPostgresError as error:
            logger.error("the database server does not start: %s", error)
            self._not_before = time.monotonic() + RETRY_AFTER_S


Postgres = Server | EmbeddedServer


def bring_up_to_date(url: str) -> list[str]:
    """Migrate, and load the data that ships with the product. Returns the names of what was applied."""
    applied = migrate(url)
    asyncio.run(_load_data(url))
    return applied


async def _load_data(url: str) -> None:
    db = Database(url, max_size=1)
    await db.open()
    try:
        async with db.transaction() as tx:
            await contacts.load_default_prefixes(tx)
    finally:
        await db.close()


@contextmanager
def database_of(settings: Settings, stop: Stop) -> Iterator[Postgres]:
    """The server that the settings name as it is, or an embedded one, migrated.

    Raises EmbeddedPostgresError, MigrationError, StopRequested.
    """
    if settings.database_url:
        yield Server(settings.database_url)
        return
    postgres = EmbeddedPostgres(Path(settings.data_dir))
    try:
        with stop.interrupting():
            postgres.start()
            bring_up_to_date(postgres.url)
        yield EmbeddedServer(postgres, stop)
    finally:
        postgres.stop()


def keep_running(
    specs: Sequence[ChildSpec],
    database: Postgres,
    stop: Stop,
    *,
    ready: Callable[[], bool] | None = None,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Run the processes until a stop is requested, then end them. Calls `on_ready` once `ready` says so."""
    supervisor = Supervisor(stop, database.watch)
    try:
        for spec in specs:
            supervisor.add(spec)
        if ready is not None and on_ready is not None and supervisor.run(ready):
            on_ready()
        supervisor.run()
    finally:
        supervisor.end()


def role_specs(config: Path | None, extra: Mapping[str, str], *, logs: Path | None = None) -> list[ChildSpec]:
    """One web server, one dialer and one job worker. `extra` is added to our own environment."""
    return [
        _spec(config, ["serve", "--role", role], role, ROLE_RANK, extra, logs)
        for role in ("api", "dialer", "worker")
    ]


def carrier_spec(config: Path | None, extra: Mapping[str, str], *, logs: Path | None = None) -> ChildSpec:
    """The sandbox carrier, which outlives the roles so that their last words reach it."""
    return _spec(config, ["sandbox-carrier"], "carrier", CARRIER_RANK, extra, logs)


def emulator_spec(
    config: Path | None, extra: Mapping[str, str], *, port: int, data: Path, fixtures: Path, logs: Path
) -> ChildSpec:
    """The Zalo emulator, which outlives the roles like the carrier does."""
    words = ["zalo-emulator", "--port", str(port), "--data", str(data), "--fixtures", str(fixtures)]
    return _spec(config, words, "zalo-emulator", CARRIER_RANK, extra, logs)


def _spec(
    config: Path | None, words: list[str], name: str, rank: int, extra: Mapping[str, str], logs: Path | None
) -> ChildSpec:
    chosen = ["--config", str(config)] if config else []
    return ChildSpec(
        name=name,
        command=[sys.executable, "-m", "tongdai", *chosen, *words, "--parent", str(os.getpid())],
        environment={**os.environ, **extra},
        rank=rank,
        output=logs / f"{name}.log" if logs else None,
    )
