"""What can go wrong with webhook endpoints and deliveries."""

from __future__ import annotations

from tongdai.kit.errors import ConflictError, InvalidError, NotFoundError


class EndpointNotFoundError(NotFoundError):
    """There is no such webhook endpoint, or it is not yours."""


class DeliveryNotFoundError(NotFoundError):
    """There is no such delivery, or it is not yours."""


class EndpointInvalidError(InvalidError):
    """The webhook endpoint is not valid.

    `facts["errors"]` lists each field at fault and why.
    """


class TooManyEndpointsError(ConflictError):
    """You have as many webhook endpoints as an account may have."""


class EndpointManagedError(ConflictError):
    """This webhook endpoint is an Official Account's `webhook_url`, and is removed with that."""


class DeliveryPendingError(ConflictError):
    """This event is on its way to this endpoint already."""


class EndpointDisabledError(ConflictError):
    """This webhook endpoint is disabled: nothing is sent to it."""
