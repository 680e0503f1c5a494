"""What can be wrong with a recording, or with the rule that it is kept by."""

from __future__ import annotations

from tongdai.kit.errors import ConflictError, NotFoundError


class RecordingNotFoundError(NotFoundError):
    """There is no such recording, or it is not yours."""


class NoMp3HereError(ConflictError):
    """This installation makes no mp3 files: its operator has to install what makes them."""
