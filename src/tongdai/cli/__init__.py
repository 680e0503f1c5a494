"""The command line: parse, call, print. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tongdai.cli.admin import admin
from tongdai.cli.demo import demo
from tongdai.cli.serve import migrate, sandbox_carrier, serve

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="tongdai")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file of settings; see config.default.toml. Also TONGDAI_CONFIG.",
)
@click.pass_context
def cli(context: click.Context, config: Path | None) -> None:
    """A self-hosted communications platform for Vietnam."""
    context.obj = config


cli.add_command(demo)
cli.add_command(serve)
cli.add_command(migrate)
cli.add_command(sandbox_carrier)
cli.add_command(admin)


def main() -> None:
    """The entry point of the program. An error that the user can mend is one line, not a traceback."""
    from tongdai.kit.errors import TongdaiError
    from tongdai.settings import SettingsError

    try:
        cli(prog_name="tongdai")
    except (SettingsError, TongdaiError) as error:
        click.echo(f"tongdai: {error}", err=True)
        sys.exit(1)
