"""Time, injected. Everything aware; shown in Vietnam's zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")


class Clock(Protocol):
    def now(self) -> datetime:
        """The present moment, aware, UTC."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def vietnam_text(moment: datetime) -> str:
    """`YYYY-MM-DD HH:MM:SS` in Vietnam, the form that Vietnamese APIs use."""
    return moment.astimezone(VIETNAM).strftime("%Y-%m-%d %H:%M:%S")
