"""What can go wrong with calls that come in."""

from __future__ import annotations

from tongdai.kit.errors import InvalidError, NotFoundError


class IncomingCallNotFoundError(NotFoundError):
    """There is no such incoming call, or it is not yours."""


class AnsweringScriptInvalidError(InvalidError):
    """This script cannot answer calls.

    `facts["errors"]` says why.
    """
