"""`tongdai demo`: the whole platform on this machine, with two tenants, a simulated carrier and a simulated
Zalo."""

from __future__ import annotations

import asyncio
import http.client
import os
import secrets
import socket
from pathlib import Path
from urllib.parse import urlsplit

import click

from tongdai import settings as settings_module
from tongdai.adapters.zaloapi import ZaloClient
from tongdai.cli.demo_guide import guide
from tongdai.cli.demo_seed import KEPT, Credentials, seeded
from tongdai.cli.demo_zalo import connect_oa, write_fixtures
from tongdai.cli.processes import (
    Postgres,
    carrier_spec,
    database_of,
    emulator_spec,
    keep_running,
    role_specs,
)
from tongdai.domain import accounts
from tongdai.domain.zalo import Bridge
from tongdai.kit import logs
from tongdai.kit.clock import SystemClock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.private_files import open_private, try_lock, write_private
from tongdai.kit.supervisor import ChildSpec, Stop, StopRequested, stop_signals
from tongdai.settings import Settings

HOST = "127.0.0.1"
DEFAULT_FOLDER = Path(".data/demo")

# The demo brings its own; what the environment says of a real platform must not reach it.
OWN = ("TONGDAI_CONFIG", "TONGDAI_SECRET_KEY", "TONGDAI_DATABASE_URL", "TONGDAI_DATABASE_URL_FILE")

ZALO_HOSTS = ("TONGDAI_ZALO_OAUTH_URL", "TONGDAI_ZALO_OPENAPI_URL", "TONGDAI_ZALO_BUSINESS_URL")

ANOTHER_PORT = "choose another with --port N (0: any free one), with make: make demo PORT=N"


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free one."
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_FOLDER,
    show_default=True,
    help="Where everything is kept. A second start over the same folder goes on where the first ended.",
)
@click.option(
    "--credentials",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what opens the demo to this file (JSON, 0600) once the server answers. "
    "[default: credentials.json in the data folder]",
)
def demo(port: int, data: Path, credentials: Path | None) -> None:
    """Run the whole platform with a demo tenant: no database, trunk or account needed.

    TONGDAI_SANDBOX_SPEED=20 makes the simulated calls twenty times as fast.
    """
    for name in OWN:
        os.environ.pop(name, None)
    file = (credentials or data / "credentials.json").absolute()
    settings = _prepare(data.absolute(), _free_port(port))
    # What goes well is told by the guide.
    logs.configure("warning" if settings.log_level == "info" else settings.log_level)
    click.echo("Starting; the first start over a folder takes a few seconds longer.")
    with stop_signals() as stop, open_private(data / "demo.lock") as lock:
        if not try_lock(lock):
            raise click.ClickException(f"a demo runs over {data} already")
        # Whoever waits for the file must not read that of an earlier run, which may have been killed.
        file.unlink(missing_ok=True)
        try:
            with database_of(settings, stop) as database:
                _run(settings, database, file, stop)
        except StopRequested:
            pass
    click.echo("Stopped.")


def _prepare(data: Path, port: int) -> Settings:
    """The settings of the demo, put into the environment for the child processes too."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = data / "secret.key"
    if not key.exists():
        write_private(key, secrets.token_urlsafe(32) + "\n")
    os.environ.update(
        TONGDAI_DATA_DIR=str(data),
        TONGDAI_SECRET_KEY_FILE=str(key),
        TONGDAI_HOST=HOST,
        TONGDAI_PORT=str(port),
        TONGDAI_PUBLIC_URL=f"http://{HOST}:{port}",
        TONGDAI_WEBHOOKS_ALLOW_PRIVATE="true",  # to a receiver on the same machine
        # The emulator is all of Zalo's hosts, at an address that may be another at each start.
        **dict.fromkeys(ZALO_HOSTS, f"http://{HOST}:{_free_port(0)}"),
    )
    return settings_module.load()


def _free_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            reason = f"port {port} is not free: {error.strerror}"
            raise click.ClickException(f"{reason}; {ANOTHER_PORT}") from error
        return int(probe.getsockname()[1])


def _run(settings: Settings, database: Postgres, credentials: Path, stop: Stop) -> None:
    opened = asyncio.run(_seed(settings, database.url))
    data = Path(settings.data_dir)
    folder = data / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    url = {"TONGDAI_DATABASE_URL": database.url}
    specs = [
        carrier_spec(None, url, logs=folder),
        _emulator(settings, opened, url, folder),
        *role_specs(None, url, logs=folder),
    ]
    addresses = settings.public_url, settings.zalo_oauth_url

    def tell() -> None:
        asyncio.run(_connect(settings, database.url, opened))
        write_private(credentials, opened.as_file(*addresses).decode() + "\n")
        click.echo(guide(opened.demo, *addresses, credentials, folder, settings.sandbox_socket))

    keep_running(specs, database, stop, ready=lambda: _all_answer(settings), on_ready=tell)


def _emulator(settings: Settings, opened: Credentials, extra: dict[str, str], logs_folder: Path) -> ChildSpec:
    """Told of the tenants' apps, Official Accounts and templates anew at each start."""
    data = Path(settings.data_dir)
    fixtures = data / "zalo-fixtures.json"
    parts = [(zalo.sencloud, zalo.zalo) for _, zalo in opened.at_zalo()]
    write_fixtures(fixtures, parts, settings.public_url)
    port = urlsplit(settings.zalo_oauth_url).port
    assert port is not None
    return emulator_spec(
        None, extra, port=port, data=data / "zalo-emulator.sqlite", fixtures=fixtures, logs=logs_folder
    )


async def _connect(settings: Settings, url: str, opened: Credentials) -> None:
    """Connects each tenant's Official Account, unless it is."""
    db = Database(url, max_size=2)
    at = settings.zalo_oauth_url
    client = ZaloClient(oauth_url=at, openapi_url=at, business_url=at)
    bridge = Bridge(db, Keyring(settings.master_key()), SystemClock(), client)
    await db.open()
    await client.start()
    try:
        for tenant, parts in opened.at_zalo():
            async with db.transaction() as tx:
                owner = await accounts.authenticate_key(tx, tenant.native.api_key)
            if owner is not None:
                await connect_oa(bridge, owner, parts, settings.public_url)
    finally:
        await client.stop()
        await db.close()


async def _seed(settings: Settings, url: str) -> Credentials:
    db = Database(url, max_size=2)
    await db.open()
    try:
        return await seeded(db, Keyring(settings.master_key()), Path(settings.data_dir) / KEPT)
    finally:
        await db.close()


def _all_answer(settings: Settings) -> bool:
    """Whether the platform says that it is ready, and its stand-in for Zalo answers."""
    emulator = urlsplit(settings.zalo_oauth_url).port
    return (
        _answers(settings.port, "/readyz") and emulator is not None and _answers(emulator, "/emulator/state")
    )


def _answers(port: int, path: str) -> bool:
    """Whether what listens on this port is well."""
    connection = http.client.HTTPConnection(HOST, port, timeout=1.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
