"""Mp3 files made by LAME, in a process of its own.

A minute takes some 70 ms of processor time, which no event loop is to wait for, and whatever a broken file
makes the encoder do ends with the child. LAME is LGPL and an extra: `tongdai[mp3]`.
"""

from __future__ import annotations

import asyncio
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tongdai.ports.mp3 import Mp3FailedError

PATIENCE_S: Final = 120.0
"""Two hours of sound take ten seconds."""


def installed() -> bool:
    """Whether mp3 files can be made here."""
    return find_spec("lameenc") is not None


async def make_mp3(source: Path, target: Path) -> None:
    """An mp3 (mono 24 kbit/s) of a wav. Raises Mp3FailedError."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tongdai.adapters.lame.encode",
        str(source),
        str(target),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            _, said = await child.communicate()
    except BaseException as error:
        child.kill()
        await child.wait()
        if isinstance(error, TimeoutError):
            raise Mp3FailedError("it took too long") from None
        raise
    if child.returncode != 0:
        raise Mp3FailedError(said.decode(errors="replace").strip()[-300:])
