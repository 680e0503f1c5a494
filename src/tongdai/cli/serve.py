"""`tongdai serve`, `tongdai migrate` and `tongdai sandbox-carrier`."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tongdai import settings as settings_module
from tongdai.kit import logs
from tongdai.kit.running import run_until_stopped, spare_what_stays
from tongdai.kit.supervisor import StopRequested, die_with_parent, stop_signals
from tongdai.settings import Settings, SettingsError

if TYPE_CHECKING:
    from tongdai.bootstrap import Platform

ROLES = ("all", "api", "dialer", "worker")

parent_option = click.option("--parent", type=int, hidden=True, help="End when this process does.")


@click.command()
@click.option("--role", type=click.Choice(ROLES), default="all", show_default=True, help="What to run.")
@parent_option
@click.pass_obj
def serve(config: Path | None, role: str, parent: int | None) -> None:
    """Run the platform, or one role of it.

    `all` runs the other roles and a sandbox carrier as child processes, and an embedded PostgreSQL when no
    database_url is set.
    """
    if parent is not None:
        die_with_parent(parent)
    settings = settings_module.load(config)
    logs.configure(settings.log_level)
    if role == "all":
        _serve_all(settings, config)
    else:
        _serve_role(settings, role)


def _serve_role(settings: Settings, role: str) -> None:
    # Each role imports its own half alone: the web process has no dialer, the dialer no web framework.
    from tongdai import bootstrap

    platform = bootstrap.build(settings)
    if role == "api":
        run_until_stopped(partial(_serve_api, platform))
        return
    from tongdai import worker

    run_until_stopped(partial(worker.run_dialer if role == "dialer" else worker.run_jobs, platform))


async def _serve_api(platform: Platform, stop: asyncio.Event) -> None:
    from tongdai.app import create_app, server

    settings = platform.settings
    app = create_app(platform.services, metrics=settings.metrics)
    spare_what_stays()
    await server.serve(app, settings.host, settings.port, stop)


def _serve_all(settings: Settings, config: Path | None) -> None:
    from tongdai.cli.processes import carrier_spec, database_of, keep_running, role_specs

    settings.master_key()
    with stop_signals() as stop:
        try:
            with database_of(settings, stop) as database:
                extra = {"TONGDAI_DATABASE_URL": database.url}
                # With an address of its own the carrier is somebody else's to run.
                carrier = [] if settings.sandbox_address else [carrier_spec(config, extra)]
                keep_running([*carrier, *role_specs(config, extra)], database, stop)
        except StopRequested:
            return


@click.command()
@click.pass_obj
def migrate(config: Path | None) -> None:
    """Bring the database to the schema of this version. Safe from several machines at once."""
    from tongdai.cli.processes import bring_up_to_date

    settings = settings_module.load(config)
    logs.configure(settings.log_level)
    if not settings.database_url:
        raise SettingsError("database_url is not set; an embedded database is migrated when it starts")
    applied = bring_up_to_date(settings.database_url)
    click.echo("\n".join(applied) if applied else "The schema is current.")


@click.command("sandbox-carrier")
@parent_option
@click.pass_obj
def sandbox_carrier(config: Path | None, parent: int | None) -> None:
    """Run the simulated carrier that trunks of the engine "sandbox" call through."""
    if parent is not None:
        die_with_parent(parent)
    from tongdai.adapters.sandbox.carrier import run_carrier

    settings = settings_module.load(config)
    logs.configure(settings.log_level)
    settings.sandbox_log_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    run_carrier(
        settings.sandbox_socket, settings.sandbox_log_path, settings.sandbox_speed, settings.sandbox_seed
    )
