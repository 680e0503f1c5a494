"""When calls are allowed: calling windows and the holiday calendar."""

from tongdai.domain.compliance.errors import ScheduleInvalidError
from tongdai.domain.compliance.holiday_calendar import HolidayCheck, vietnam_holidays
from tongdai.domain.compliance.model import (
    ClosedForever,
    ClosedUntil,
    Decision,
    NeverReason,
    Open,
    Schedule,
    WaitReason,
    Window,
    check_schedule,
    parse_schedule,
    schedule_errors,
)

__all__ = [
    "ClosedForever",
    "ClosedUntil",
    "Decision",
    "HolidayCheck",
    "NeverReason",
    "Open",
    "Schedule",
    "ScheduleInvalidError",
    "WaitReason",
    "Window",
    "check_schedule",
    "parse_schedule",
    "schedule_errors",
    "vietnam_holidays",
]
