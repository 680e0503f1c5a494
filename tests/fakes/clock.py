"""A clock that stands still until it is told otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Satisfies `tongdai.kit.clock.Clock`. Starts on a working day, mid-morning in Vietnam."""

    def __init__(self, start: datetime = datetime(2026, 11, 18, 3, 0, tzinfo=UTC)) -> None:
        self._now = self._aware(start)

    def now(self) -> datetime:
        return self._now

    def set(self, moment: datetime) -> None:
        self._now = self._aware(moment)

    def advance(self, by: timedelta) -> datetime:
        self._now += by
        return self._now

    @staticmethod
    def _aware(moment: datetime) -> datetime:
        if moment.tzinfo is None:
            raise ValueError("a clock shows aware times only")
        return moment.astimezone(UTC)
