"""`tongdai sandbox-call`: somebody calls a hotline over the sandbox carrier."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import click

from tongdai import settings as settings_module

CONNECTS_WITHIN_S = 10.0


@click.command("sandbox-call")
@click.option("--trunk", "trunk_id", type=int, required=True, help="Id of the trunk that brings the call.")
@click.option("--from", "caller", default="0912345001", show_default=True, help="Who calls; empty: withheld.")
@click.option("--to", "called", required=True, help="The hotline, as a carrier may write it.")
@click.option("--presses", default="", help="Keys, one in each prompt.")
@click.option(
    "--waits", "waits_s", default=30.0, show_default=True, help="Seconds until the caller gives up."
)
@click.option("--stays", "stays_s", type=float, help="Seconds after the answer until the caller hangs up.")
@click.pass_obj
def sandbox_call(
    config: Path | None,
    trunk_id: int,
    caller: str,
    called: str,
    presses: str,
    waits_s: float,
    stays_s: float | None,
) -> None:
    """Have somebody call a hotline over the sandbox carrier.

    The last three digits of the caller's number say how they behave, as those of a called number do.
    """
    settings = settings_module.load(config)
    channel = asyncio.run(
        _place(settings.sandbox_socket, trunk_id, caller, called, waits_s, stays_s, presses)
    )
    click.echo(f"It rings: {channel}")


async def _place(
    address: str,
    trunk_id: int,
    caller: str,
    called: str,
    waits_s: float,
    stays_s: float | None,
    presses: str,
) -> str:
    from tongdai.adapters.sandbox.engine import SandboxEngine
    from tongdai.ports.telephony import EngineUnreachableError

    engine = SandboxEngine(address)
    await engine.start()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECTS_WITHIN_S):
                async for _ in engine.events():
                    break
        return await engine.place(trunk_id, caller, called, waits_s=waits_s, stays_s=stays_s, presses=presses)
    except EngineUnreachableError as error:
        raise click.ClickException(f"the sandbox carrier is not there: {error}") from error
    finally:
        await engine.stop()
