"""What can go wrong with trunks, hotlines and nodes."""

from __future__ import annotations

from tongdai.kit.errors import ConflictError, InvalidError, NotFoundError


class TrunkNotFoundError(NotFoundError):
    """There is no such trunk, or it is not yours."""


class HotlineNotFoundError(NotFoundError):
    """There is no such hotline, or it is not yours."""


class TrunkNameTakenError(ConflictError):
    """You have another trunk of this name."""


class HotlineNumberTakenError(ConflictError):
    """You have this hotline already."""


class TrunkInvalidError(InvalidError):
    """The trunk is not valid.

    `facts["errors"]` lists each field at fault and why.
    """


class HotlineInvalidError(InvalidError):
    """The hotline is not valid.

    `facts["errors"]` lists each field at fault and why.
    """


class NodeNotFoundError(NotFoundError):
    """There is no such node."""


class NodeNameTakenError(ConflictError):
    """Another node has this name."""


class NodeInUseError(ConflictError):
    """Calls are up on this node. Disable it, and remove it when they have ended."""


class NodeInvalidError(InvalidError):
    """The node is not valid.

    `facts["errors"]` lists each field at fault and why.
    """
