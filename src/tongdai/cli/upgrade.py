"""`tongdai upgrade-db`."""

from __future__ import annotations

from pathlib import Path

import click

from tongdai import settings as settings_module
from tongdai.kit import logs
from tongdai.kit.supervisor import StopRequested, stop_signals
from tongdai.kit.upgrade import Upgraded, kept_folders, upgrade


@click.command("upgrade-db")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The data folder of a stopped demo or `serve`. [default: data_dir of the settings]",
)
@click.option(
    "--programs",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The programs of the PostgreSQL that wrote the database, when tongdai does not bring them.",
)
@click.pass_obj
def upgrade_db(config: Path | None, data: Path | None, programs: Path | None) -> None:
    """Bring the embedded database of an older tongdai to this one's version of PostgreSQL.

    The old database is kept. Stop tongdai first, and run this as the same user.
    """
    settings = settings_module.load(config)
    logs.configure(settings.log_level)
    folder = data or Path(settings.data_dir)
    with stop_signals() as stop:
        try:
            with stop.interrupting():
                done = upgrade(folder, programs=programs)
        except StopRequested:
            raise click.ClickException("stopped. Run it again to go on; no database was removed.") from None
    click.echo(_told(done) if done else _current(folder))


def _told(done: Upgraded) -> str:
    return (
        f"Upgraded in {done.seconds} s: {done.rows:,} rows of {done.tables} tables, compared.\n"
        f"The old database (PostgreSQL {done.major}, {done.kept_bytes >> 20:,} MB) is kept at {done.kept}; "
        "remove it when you are sure."
    )


def _current(folder: Path) -> str:
    kept = [f"\nOf an earlier upgrade, {old} is kept." for old in kept_folders(folder)]
    return "".join(["The database is current.", *kept])
