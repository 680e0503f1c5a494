"""What can go wrong with a number that somebody asks us to remember."""

from __future__ import annotations

from tongdai.kit.errors import InvalidError


class NumberInvalidError(InvalidError):
    """This is not a number that can be called."""
