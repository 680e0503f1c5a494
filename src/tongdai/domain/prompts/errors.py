"""What can be wrong with an audio file."""

from __future__ import annotations

from tongdai.kit.errors import ConflictError, InvalidError, NotFoundError


class AudioFileNotFoundError(NotFoundError):
    """There is no such audio file, or it is not yours."""


class AudioFileInUseError(ConflictError):
    """A script plays this audio file. Write a version of the script without it, or keep the file."""


class AudioFileInvalidError(InvalidError):
    """The audio file cannot be used.

    `facts["errors"]` says what to change.
    """

    def __init__(self, message: str, *, field: str = "file") -> None:
        super().__init__(errors=[(field, message)])


class AudioFormatError(AudioFileInvalidError):
    """This is not a WAV file that a telephone can play."""


class AudioTooLargeError(AudioFileInvalidError):
    """The audio file is too large."""


class AudioTooLongError(AudioFileInvalidError):
    """The audio file lasts too long."""
