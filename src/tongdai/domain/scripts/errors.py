"""What can be wrong with a script."""

from __future__ import annotations

from tongdai.kit.errors import InvalidError, NotFoundError


class ScriptInvalidError(InvalidError):
    """The script is not valid.

    `facts["errors"]` lists the step and the field of each fault.
    """

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__(errors=errors)


class ScriptNameInvalidError(InvalidError):
    """The script's name is not valid.

    `facts["errors"]` says why.
    """


class ScriptNotFoundError(NotFoundError):
    """There is no such script, or no such version of it, or it is not yours."""
