"""Who has asked too often: Zalo answers an app 4,000 requests to its OA API in a minute.

Zalo counts for all processes together and tells with each answer what is left, so nothing is counted here;
what is kept only saves asking in vain. Messages by template and journeys are not in this limit.
"""

from __future__ import annotations

from typing import Final

WINDOW_S: Final = 60.0
"""Where Zalo's minute begins is not told, so an app waits a whole one."""


class Windows:
    """Apps whose requests are used up. Times are seconds of any one clock that does not go back."""

    def __init__(self) -> None:
        self._over: dict[int, float] = {}
        """When each app may ask again."""

    def is_out(self, app_id: int, now: float) -> bool:
        until = self._over.get(app_id)
        if until is None:
            return False
        if now < until:
            return True
        del self._over[app_id]
        return False

    def close(self, app_id: int, now: float) -> None:
        """This app has no request left."""
        self._over = {one: until for one, until in self._over.items() if now < until}
        self._over[app_id] = now + WINDOW_S
