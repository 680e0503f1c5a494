"""Where all is measured: an embedded PostgreSQL with full durability, tenants in it, processes of ours."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlencode

import msgspec
import psycopg
from psycopg import sql

from benchmarks.client import Connection, get
from tongdai.domain import accounts, campaigns, contacts, routing, scripts
from tongdai.domain.accounts import Role
from tongdai.kit.clock import SystemClock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, Tx
from tongdai.kit.embedded import EmbeddedPostgres
from tongdai.kit.migrate import migrate

MASTER_KEY = bytes(range(32))
SECRET_KIND = "aicallcenter"
TEMPLATE = "bench_template"
SERVE = ("-m", "tongdai", "serve", "--role")
PROJECT = Path(__file__).parent.parent


class Stage:
    """A temporary folder with a database server, which both go at the end."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tongdai-bench-"))
        self.postgres = EmbeddedPostgres(self.folder / "pg")
        self._made = 0

    def __enter__(self) -> Self:
        try:
            self.postgres.start()
            self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
            migrate(self.postgres.url_of(TEMPLATE))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.postgres.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def postgres_pid(self) -> int:
        """Of the database server."""
        return int((self.folder / "pg" / "postgres" / "postmaster.pid").read_text().split()[0])

    def path(self, name: str) -> Path:
        """A path in the folder that nothing has yet."""
        self._made += 1
        return self.folder / f"{self._made}-{name}"

    def create_database(self, template: str = TEMPLATE) -> str:
        """The name of a new database with all that `template` has. Nobody may be connected to that."""
        self._made += 1
        name = f"bench_{self._made}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        self._execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop_database(self, name: str) -> None:
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    @asynccontextmanager
    async def database(self, template: str = TEMPLATE) -> AsyncIterator[Bench]:
        """A database that is gone afterwards, with a tenant in it unless the template has one."""
        name = self.create_database(template)
        db = Database(self.postgres.url_of(name), max_size=4)
        await db.open()
        try:
            yield Bench(self, name, db)
        finally:
            await db.close()
            self.drop_database(name)

    def checkpoint(self) -> None:
        """Begin a measurement with nothing left to be written of what came before."""
        self._execute(sql.SQL("CHECKPOINT"))

    def _execute(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute(statement)


@dataclass(frozen=True, slots=True)
class Tenant:
    """An account with one owner, one trunk, hotlines and one script."""

    account_id: int
    user_id: int
    token: str
    trunk_id: int
    hotline_ids: tuple[int, ...]
    script_id: int


@dataclass(frozen=True, slots=True)
class Bench:
    """One database of a stage."""

    stage: Stage
    name: str
    db: Database
    keyring: Keyring = field(default_factory=lambda: Keyring(MASTER_KEY))

    @property
    def url(self) -> str:
        return self.db.url

    # ------------------------------------------------------------------ what is in it

    async def tenant(
        self,
        name: str = "Cửa hàng Sao Mai",
        *,
        engine: str = "sandbox",
        max_channels: int | None = None,
        max_cps: float | None = None,
        sip: routing.SipSettings | None = None,
    ) -> Tenant:
        clock = SystemClock()
        password = await accounts.hash_password("correct horse battery staple")
        async with self.db.transaction() as tx:
            await contacts.load_default_prefixes(tx)
            account = await accounts.create_account(tx, name)
            email = f"owner{account.id}@example.vn"
            user = await accounts.create_user(
                tx, account.id, email=email, name=name, role=Role.OWNER, password=password
            )
            secret = await accounts.issue_client_secret(tx, self.keyring, account.id, user.id, SECRET_KIND)
            token = await accounts.issue_token(tx, self.keyring, clock, secret, SECRET_KIND)
            trunk = await routing.create_trunk(
                tx,
                account.id,
                name="trunk",
                engine=engine,
                max_channels=max_channels,
                max_cps=max_cps,
                sip=sip,
            )
            hotline = await routing.create_hotline(
                tx, account.id, number=f"0247300{account.id:04d}", trunk_id=trunk.id
            )
            script = await scripts.create_script(
                tx, account.id, "order", scripts.demo_scripts()["order_reminder"]
            )
        return Tenant(account.id, user.id, token, trunk.id, (hotline.id,), script.id)

    async def campaign(self, tenant: Tenant, *, state: str = "running") -> int:
        """Dials at every hour, tries each number once."""
        async with self.db.transaction() as tx:
            made = await campaigns.create_campaign(
                tx,
                tenant.account_id,
                tenant.user_id,
                name="campaign",
                kind="voice",
                purpose="customer_care",
                script_id=tenant.script_id,
                hotline_ids=tenant.hotline_ids,
                config=campaigns.CampaignConfig(),
                state=state,
            )
        return made.id

    async def run(self, statement: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """One statement of a benchmark's own, without a limit of time; its rows if it has any."""
        connection = await psycopg.AsyncConnection.connect(self.url, autocommit=True)
        async with connection:
            cursor = await connection.execute(statement, values)
            return await cursor.fetchall() if cursor.description else []

    async def analyze(self) -> None:
        await self.run("VACUUM ANALYZE")

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Tx]:
        """A connection for a plain loop: as the pool makes them, but outside of it."""
        connection = await self.db.dedicated()
        try:
            yield connection
        finally:
            await connection.close()

    # ------------------------------------------------------------------ processes

    def environment(self, **settings: object) -> dict[str, str]:
        """Settings of a process on this database."""
        given = {
            "secret_key": base64.b64encode(MASTER_KEY).decode(),
            "database_url": self.url,
            "data_dir": self.stage.folder,
            "log_level": "warning",
            **settings,
        }
        others = {key: value for key, value in os.environ.items() if not key.startswith("TONGDAI_")}
        return others | {f"TONGDAI_{key.upper()}": str(value) for key, value in given.items()}

    @asynccontextmanager
    async def api(self, **settings: object) -> AsyncIterator[tuple[int, int]]:
        """The web server as a process of its own, ready: (port, process id)."""
        port = free_port()
        with running([*SERVE, "api"], self.environment(port=port, **settings)) as process:
            await answers(port, "/readyz", process)
            yield port, process.pid

    @asynccontextmanager
    async def carrier(self, *, speed: float, seed: int = 0) -> AsyncIterator[Carrier]:
        """The sandbox carrier as a process of its own, with an empty log."""
        one = Carrier(self.stage.path("carrier.sock"), self.stage.path("carrier.log"))
        settings = self.environment(
            sandbox_address=one.socket, sandbox_log=one.log, sandbox_speed=speed, sandbox_seed=seed
        )
        with running(["-m", "tongdai", "sandbox-carrier"], settings) as process:
            await until(one.socket.exists, process)
            yield one

    @asynccontextmanager
    async def dialer(self, carrier: Carrier, **settings: object) -> AsyncIterator[int]:
        """A dialer as a process of its own, registered: its process id."""
        before = await self._newest("dialers")
        environment = self.environment(sandbox_address=carrier.socket, **settings)
        with running([*SERVE, "dialer"], environment) as process:
            while await self._newest("dialers") == before:
                _alive(process)
                await asyncio.sleep(0.05)
            yield process.pid

    @asynccontextmanager
    async def worker(self, **settings: object) -> AsyncIterator[int]:
        """A worker as a process of its own, sending webhooks, to loopback too: its process id."""
        before = await self._newest("webhook_senders")
        environment = self.environment(webhooks_allow_private="true", **settings)
        with running([*SERVE, "worker"], environment) as process:
            while await self._newest("webhook_senders") == before:
                _alive(process)
                await asyncio.sleep(0.05)
            yield process.pid

    async def _newest(self, table: Literal["dialers", "webhook_senders"]) -> int:
        """The id of the latest process that registered itself."""
        [[newest]] = await self.run(f"SELECT coalesce(max(id), 0) FROM {table}")
        return int(newest)


@dataclass(frozen=True, slots=True)
class Carrier:
    socket: Path
    log: Path


@dataclass(frozen=True, slots=True)
class Receiver:
    """A customer's server on loopback."""

    port: int

    def url(self, path: str) -> str:
        """`ok…` is answered at once, `hang…` never."""
        return f"http://127.0.0.1:{self.port}/{path}"

    async def counts(self) -> dict[str, int]:
        """`answered` so far, and `hanging` now."""
        connection = await Connection(self.port).open()
        counts: dict[str, int] = msgspec.json.decode(await connection.send(get("/counts")))
        await connection.close()
        return counts


# --------------------------------------------------------------------------- processes


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """A customer's server as a process of its own, ready."""
    port = free_port()
    with running(["-m", "benchmarks.receiver"], os.environ | {"BENCH_PORT": str(port)}) as process:
        await answers(port, "/counts", process)
        yield Receiver(port)


@contextmanager
def running(words: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process of ours, ended with the block, and when we end without ending it."""
    command = [sys.executable, *words, "--parent", str(os.getpid())]
    process = subprocess.Popen(command, env=dict(environment), cwd=PROJECT, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def printed(words: Sequence[str], environment: Mapping[str, str], seconds: float = 120.0) -> str:
    """What a Python process of ours prints until it ends. Raises RuntimeError when that takes too long."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        "--parent",
        str(os.getpid()),
        cwd=PROJECT,
        env=dict(environment),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        told, _ = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise RuntimeError("a process does not end") from None
    return told.decode()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def answers(port: int, path: str, process: subprocess.Popen[bytes]) -> None:
    """Returns when the server answers. Raises RuntimeError when it ended, or not within 30 s."""
    deadline = time.monotonic() + 30
    while True:
        _alive(process)
        try:
            connection = await Connection(port).open()
            await connection.send(get(path))
            await connection.close()
        except (OSError, RuntimeError, asyncio.IncompleteReadError):
            if time.monotonic() > deadline:
                raise RuntimeError("the server does not answer") from None
            await asyncio.sleep(0.05)
        else:
            return


async def until(condition: Any, process: subprocess.Popen[bytes], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        _alive(process)
        if time.monotonic() > deadline:
            raise RuntimeError("a process did not become ready")
        await asyncio.sleep(0.02)


def _alive(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        raise RuntimeError(f"a process ended with {process.returncode}")


def import_path(campaign_id: int, tenant: Tenant) -> str:
    return f"/api/campaigns/{campaign_id}/import?{urlencode({'access_token': tenant.token})}"
