"""The command line: parse, call, print.

A command's module is imported when the command is asked for: a role's process starts in half the time.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import click

from tongdai.kit.errors import TongdaiError
from tongdai.settings import SettingsError

__all__ = ["main"]

COMMANDS = {
    "demo": "tongdai.cli.demo",
    "serve": "tongdai.cli.serve",
    "migrate": "tongdai.cli.serve",
    "upgrade-db": "tongdai.cli.upgrade",
    "sandbox-carrier": "tongdai.cli.serve",
    "sandbox-call": "tongdai.cli.sandbox_call",
    "zalo-emulator": "tongdai.cli.zalo_emulator",
    "admin": "tongdai.cli.admin",
    "asterisk": "tongdai.cli.asterisk",
    "speech": "tongdai.cli.speech",
}


class Commands(click.Group):
    """The commands by name, each loaded from its module at first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(COMMANDS[cmd_name]), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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


def main() -> None:
    """The entry point of the program. An error that the user can mend is one line, not a traceback."""
    try:
        cli(prog_name="tongdai")
    except (SettingsError, TongdaiError) as error:
        click.echo(f"tongdai: {error}", err=True)
        sys.exit(1)
