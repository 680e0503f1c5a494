"""`tongdai demo`: the whole platform on this machine, with two tenants and a simulated carrier."""

from __future__ import annotations

import asyncio
import http.client
import os
import secrets
import socket
from pathlib import Path

import click

from tongdai import settings as settings_module
from tongdai.cli.demo_seed import KEPT, Credentials, Tenant, seeded
from tongdai.cli.processes import Postgres, carrier_spec, database_of, keep_running, role_specs
from tongdai.kit import logs
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.private_files import open_private, try_lock, write_private
from tongdai.kit.supervisor import Stop, StopRequested, stop_signals
from tongdai.settings import Settings

HOST = "127.0.0.1"
DEFAULT_FOLDER = Path(".data/demo")

# The demo brings its own; what the environment says of a real platform must not reach it.
OWN = ("TONGDAI_CONFIG", "TONGDAI_SECRET_KEY", "TONGDAI_DATABASE_URL", "TONGDAI_DATABASE_URL_FILE")

ANOTHER_PORT = "choose another with --port N (0: any free one), with make: make demo PORT=N"

GUIDE = """
tongdai is ready.

  address     {base_url}
  API schema  {base_url}/schema
  credentials {credentials}
  logs        {logs}

Try AICallCenter's API. The last three digits of a number choose what the sandbox carrier does:
001 listens, 002 rings out, 003 busy, 004 declines, 005 no such number, 006 voicemail, 007 presses 1 …

  TOKEN=$(curl -s '{base_url}/api/users/generate-access-token?secret_key={secret}' \\
    | python3 -c 'import json, sys; print(json.load(sys.stdin)["results"]["access_token"])')

  curl -s {base_url}/api/campaigns/{campaign}/import -H 'Content-Type: application/json' -d '{{
    "access_token": "'$TOKEN'", "contacts": [
      {{"phone_number": "0912345001"}}, {{"phone_number": "0912345003"}}, {{"phone_number": "0912345004"}},
      {{"phone_number": "0912345007"}}, {{"phone_number": "0912345008"}}]}}'

  curl -s "{base_url}/api/campaigns/{campaign}/export?access_token=$TOKEN"
  curl -s "{base_url}/api/users/call-log?access_token=$TOKEN"

A one-time code is called at once, and read twice:

  curl -s {base_url}/api/campaigns/{otp_campaign}/import -H 'Content-Type: application/json' -d '{{
    "access_token": "'$TOKEN'", "contacts": [{{"phone_number": "0912345001", "otp_code": "004217"}}]}}'

  curl -s "{base_url}/api/campaigns/{otp_campaign}/export?access_token=$TOKEN"

{vbot}And our own API:

  curl -s {base_url}/v1/campaigns/{campaign} -H 'Authorization: Bearer {api_key}'

Ctrl-C stops everything.
"""

VBOT_GUIDE = """\
VBot's API: log in, create a campaign from the template, then read the calls and what they cost:

  VBOT=$(curl -s {base_url}/token \\
    -d grant_type=password -d 'username={vbot.username}' -d 'password={vbot.password}' \\
    | python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])')

  curl -s {base_url}/api/campaign/create -H "Authorization: Bearer $VBOT" \\
    -H 'Content-Type: application/json' -d '{{
    "vbotId": "{vbot.vbot_id}", "groupCode": "{vbot.project_code}",
    "campaignId": {vbot.template_campaign_id}, "name": "Nhắc đơn hàng", "phones": [
      {{"fields": [{{"key": "phone", "value": "0912345007"}}, {{"key": "name", "value": "Nguyễn Văn An"}}]}},
      {{"fields": [{{"key": "phone", "value": "0912345003"}}, {{"key": "numberCall", "value": 2}}]}},
      {{"fields": [{{"key": "phone", "value": "12345"}}]}}]}}'

  curl -s "{base_url}/api/crm/historycall/getAll?page=1&size=20" -H "Authorization: Bearer $VBOT"
  curl -s {base_url}/api/account/balance -H 'X-API-Key: {api_key}'

Every call is posted to your own server, which may listen on this machine, once it is told where:

  curl -s {base_url}/v1/webhook-endpoints -H 'Authorization: Bearer {api_key}' \\
    -H 'Content-Type: application/json' -d '{{"url": "http://127.0.0.1:9000/", "format": "vbot_auto_call"}}'

"""


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
        TONGDAI_WEBHOOKS_ALLOW_PRIVATE="true",  # to a receiver on the same machine
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
    folder = Path(settings.data_dir) / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    url = {"TONGDAI_DATABASE_URL": database.url}
    specs = [carrier_spec(None, url, logs=folder), *role_specs(None, url, logs=folder)]
    base_url = f"http://{HOST}:{settings.port}"

    def tell() -> None:
        write_private(credentials, opened.as_file(base_url).decode() + "\n")
        click.echo(_guide(opened.demo, base_url, credentials, folder))

    keep_running(specs, database, stop, ready=lambda: _answers(settings.port), on_ready=tell)


def _guide(tenant: Tenant, base_url: str, credentials: Path, logs_folder: Path) -> str:
    vbot, api_key = tenant.vbot, tenant.native.api_key
    return GUIDE.format(
        base_url=base_url,
        credentials=credentials,
        logs=logs_folder,
        secret=tenant.aicallcenter.secret_key,
        campaign=tenant.aicallcenter.campaign_id,
        otp_campaign=tenant.aicallcenter.otp_campaign_id,
        api_key=api_key,
        vbot="" if vbot is None else VBOT_GUIDE.format(base_url=base_url, api_key=api_key, vbot=vbot),
    )


async def _seed(settings: Settings, url: str) -> Credentials:
    db = Database(url, max_size=2)
    await db.open()
    try:
        return await seeded(db, Keyring(settings.master_key()), Path(settings.data_dir) / KEPT)
    finally:
        await db.close()


def _answers(port: int) -> bool:
    """Whether the platform on this port says that it is ready."""
    connection = http.client.HTTPConnection(HOST, port, timeout=1.0)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
