"""What can go wrong with Official Accounts, journeys and messages, apart from what Zalo says itself.

Zalo's own refusals and failures are the `ZaloError`s of the port.
"""

from __future__ import annotations

from tongdai.kit.errors import ConflictError, InvalidError, NotFoundError, TongdaiError


class OaNotFoundError(NotFoundError):
    """There is no such Official Account, or it is not yours."""


class OaNotNamedError(InvalidError):
    """Which Official Account is meant is not clear: name one that is connected."""


class OaTakenError(ConflictError):
    """The Official Account is connected by another shop."""


class AppNotFoundError(NotFoundError):
    """There is no such Zalo app, or it is not yours."""


class AppInvalidError(InvalidError):
    """The Zalo app is not valid."""


class LimitReachedError(ConflictError):
    """The account has as many of these as an account may have."""


class PermissionUnknownError(InvalidError):
    """The state is unknown, used, expired, or belongs to another app: call AuthorizeOA again."""


class PermissionRefusedError(InvalidError):
    """Zalo does not take this code, or it is of another Official Account: call AuthorizeOA again."""


class ConsentLapsedError(ConflictError):
    """Zalo does not let us in any more: the Official Account's administrator must grant access again."""


class JourneyNotFoundError(NotFoundError):
    """There is no such journey, or it is not yours."""


class JourneyInvalidError(InvalidError):
    """What was asked of a journey is not valid."""


class KeyReusedError(ConflictError):
    """This Idempotency-Key was used for another request."""


class KeyBusyError(TongdaiError):
    """A request with this Idempotency-Key is still under way."""

    retryable = True


class MessageNotFoundError(NotFoundError):
    """There is no such message, or it is not yours."""


class MessageInvalidError(InvalidError):
    """The message is not valid."""


class TemplateNotFoundError(NotFoundError):
    """There is no such template, or this Official Account may not use it."""
