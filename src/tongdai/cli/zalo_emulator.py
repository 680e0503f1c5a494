"""`tongdai zalo-emulator`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from tongdai.kit import logs
from tongdai.kit.running import run_until_stopped
from tongdai.kit.supervisor import die_with_parent


@click.command("zalo-emulator")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), default=8790, show_default=True, help="0: a free one.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("zalo-emulator.sqlite"),
    show_default=True,
    help="The file that it remembers everything in.",
)
@click.option(
    "--fixtures",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Apps, Official Accounts, templates and recipients, merged into the file. Without it: an example.",
)
@click.option("--delay-ms", type=click.IntRange(0, 600_000), help="Wait so long before each answer.")
@click.option("--delivery-ms", type=click.IntRange(0), help="How long a message takes to arrive (1000).")
@click.option(
    "--retry-scale", type=click.FloatRange(0), help="Multiplies the waits between tries of a webhook."
)
@click.option("--parent", type=int, hidden=True, help="End when this process does.")
def zalo_emulator(
    host: str,
    port: int,
    data: Path,
    fixtures: Path | None,
    delay_ms: int | None,
    delivery_ms: int | None,
    retry_scale: float | None,
    parent: int | None,
) -> None:
    """Run a stand-in for Zalo: permission page, tokens, messages, journeys and webhooks."""
    if parent is not None:
        die_with_parent(parent)
    from tongdai.adapters.zaloemulator.fixtures import decode
    from tongdai.adapters.zaloemulator.server import Options, run

    logs.configure("info")
    told = {"delay_ms": delay_ms, "delivery_ms": delivery_ms, "retry_scale": retry_scale}
    options = Options(
        data=data,
        host=host,
        port=port,
        fixtures=decode(fixtures.read_bytes()) if fixtures else None,
        settings={name: value for name, value in told.items() if value is not None},
    )
    run_until_stopped(
        partial(run, options, on_ready=lambda url: click.echo(f"Zalo's emulator listens at {url}"))
    )
