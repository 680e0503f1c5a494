"""What the calls module may answer instead of a result."""

from __future__ import annotations

from tongdai.kit.errors import InvalidError, NotFoundError


class CallNotFoundError(NotFoundError):
    """There is no such call, or it is not yours."""


class FilterTooWideError(InvalidError):
    """Calls can be searched by state or outcome within a campaign, or among those to a number."""


class CancelTargetError(InvalidError):
    """Say which calls to cancel: by id, by number, or by campaign."""


class HistoryTooDeepError(InvalidError):
    """The page lies too deep in the history; ask for narrower times.

    `facts["deepest"]` says how many rows from the newest on can be reached.
    """
