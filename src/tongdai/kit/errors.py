"""The base of every error that a caller may be told about.

A domain error is a name and facts. It holds no HTTP status and no vendor code: each API maps it to its own.
"""

from __future__ import annotations


class TongdaiError(Exception):
    """Something that the caller can be told. The class docstring is the default message."""

    retryable = False
    """True: the same request may succeed later without being changed."""

    def __init__(self, message: str | None = None, **facts: object) -> None:
        self.message = message or (type(self).__doc__ or type(self).__name__).strip().splitlines()[0]
        self.facts = facts
        super().__init__(self.message)


class NotFoundError(TongdaiError):
    """There is no such thing, or it is not yours."""


class ForbiddenError(TongdaiError):
    """Your role does not allow this."""


class ConflictError(TongdaiError):
    """The thing is in a state that does not allow this."""


class InvalidError(TongdaiError):
    """The request is not valid; `facts["errors"]` lists where, as (path, message) pairs."""
