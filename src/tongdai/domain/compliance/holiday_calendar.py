"""Vietnam's public holidays, lunar ones and days in lieu included, corrected by whoever runs the platform."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

import holidays

HolidayCheck = Callable[[date], bool]
"""True on a public holiday."""


def vietnam_holidays(extra: Iterable[date] = (), removed: Iterable[date] = ()) -> HolidayCheck:
    """A calendar of public holidays. A year is computed (1 ms) when first asked for, then kept.

    Tết days and swapped working days are announced yearly, often after the library's release: `extra` adds
    days, `removed` takes days away and wins.
    """
    added, taken = frozenset(extra), frozenset(removed)
    years: dict[int, frozenset[date]] = {}
    # The library imports the country on first use, for some hundred ms: here, and not in the dialer's loop.
    holidays.country_holidays("VN")

    def is_holiday(day: date) -> bool:
        of_year = years.get(day.year)
        if of_year is None:
            known = holidays.country_holidays("VN", years=day.year)
            of_year = years[day.year] = (frozenset(known) | added) - taken
        return day in of_year

    return is_holiday
