"""The port of what makes mp3 files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path


class Mp3FailedError(Exception):
    """No mp3 can be made of this file, now or later."""


MakeMp3 = Callable[[Path, Path], Awaitable[None]]
"""Given a wav, and where the mp3 is to be. Raises Mp3FailedError."""
