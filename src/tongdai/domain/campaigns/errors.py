"""What the campaigns module may answer instead of a result."""

from __future__ import annotations

from tongdai.kit.errors import ConflictError, InvalidError, NotFoundError


class CampaignNotFoundError(NotFoundError):
    """There is no such campaign, or it is not yours."""


class TemplateNotFoundError(NotFoundError):
    """There is no such template, or it is not yours."""


class PartNotFoundError(NotFoundError):
    """A script, hotline, user or project that the campaign names is not there, or is not yours."""


class CampaignStoppedError(ConflictError):
    """The campaign takes no contacts in its present state.

    `facts["state"]` says which that is.
    """


class BadTransitionError(ConflictError):
    """The campaign cannot do that from its present state.

    `facts` has `action` and `state`.
    """


class CampaignInvalidError(InvalidError):
    """The campaign or template is not valid.

    `facts["errors"]` lists where, as (path, message) pairs.
    """
