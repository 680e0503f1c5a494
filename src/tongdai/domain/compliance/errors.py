"""What can be wrong with a schedule."""

from __future__ import annotations

from tongdai.kit.errors import InvalidError


class ScheduleInvalidError(InvalidError):
    """The schedule is not valid.

    `facts["errors"]` lists each field at fault and why.
    """

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__(errors=errors)
