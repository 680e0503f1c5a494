"""Times as this API shows them: RFC 3339 in Vietnam's zone, `2026-08-01T09:30:00+07:00`."""

from __future__ import annotations

from datetime import datetime
from typing import overload

from tongdai.kit.clock import VIETNAM


@overload
def shown_time(moment: datetime) -> datetime: ...
@overload
def shown_time(moment: None) -> None: ...
def shown_time(moment: datetime | None) -> datetime | None:
    """The same moment with Vietnam's offset, which is how it is then written."""
    return None if moment is None else moment.astimezone(VIETNAM)


def still_to_come(moment: datetime | None, now: datetime) -> datetime | None:
    """A moment in the future as it is shown; None for one that is over."""
    return None if moment is None or moment <= now else shown_time(moment)
