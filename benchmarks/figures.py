"""A figure beside its limit, and how both are shown. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured number. `limit` is the same work's bare cost or rate, measured in the same run.

    `sense` says which side of `target` is good. The target is for the ratio where there is a limit, and for
    the value itself where there is none. Without a target a figure is only told.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    limit_is: str = ""
    sense: Literal["at least", "at most"] = "at least"
    target: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Value by limit; None without one."""
        return self.value / self.limit if self.limit else None

    @property
    def held(self) -> bool | None:
        """Whether the target is met; None when there is none."""
        if self.target is None:
            return None
        judged = self.value if self.ratio is None else self.ratio
        return judged >= self.target if self.sense == "at least" else judged <= self.target


def median_of(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest value that `part` (0 to 1) of all values do not exceed. Raises ValueError for none."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


# --------------------------------------------------------------------------- showing

_COLUMNS: tuple[tuple[str, Callable[[Figure], str]], ...] = (
    ("figure", lambda one: one.name),
    ("value", lambda one: f"{shown(one.value)} {one.unit}"),
    ("limit's value", lambda one: "" if one.limit is None else f"{shown(one.limit)} {one.unit}"),
    ("ratio", lambda one: "" if one.ratio is None else f"{one.ratio:.3f}"),
    ("target", lambda one: "" if one.target is None else f"{one.sense} {shown(one.target)}"),
    ("held", lambda one: {None: "", True: "yes", False: "NO"}[one.held]),
)


def shown(value: float) -> str:
    """A number with about three digits that matter."""
    if value == round(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 10 else f"{value:.2f}"


def table(figures: Sequence[Figure]) -> str:
    """All figures, one line each, columns aligned."""
    cells = [[title for title, _ in _COLUMNS]]
    cells += [[cell(one) for _, cell in _COLUMNS] for one in figures]
    widths = [max(len(row[at]) for row in cells) for at in range(len(_COLUMNS))]
    lines = ["  ".join(_padded(row, widths)).rstrip() for row in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def notes(figures: Sequence[Figure]) -> list[str]:
    """What the limits are, and what else is to be said; each once, under the first figure it belongs to."""
    told: dict[str, str] = {}
    for one in figures:
        text = "; ".join(filter(None, (one.limit_is and f"limit: {one.limit_is}", one.note)))
        if text:
            told.setdefault(text, one.name)
    return [f"{name}: {text}" for text, name in told.items()]


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The name at the left of its column, everything else at the right."""
    first = row[0].ljust(widths[0])
    return [first, *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]


def as_json(one: Figure) -> dict[str, Any]:
    """A figure for results.json, with what follows from it."""
    return {**msgspec.to_builtins(one), "ratio": one.ratio, "held": one.held}
