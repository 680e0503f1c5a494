"""Room for the phones that a transfer rings: channels and dial slots under the caps of its line. Pure.

A claim lays its calls one by one; a transfer may ring several phones at one moment. A slot for some of them
keeps as many places of the caps' calls per second free before it, and after it, so that no second, wherever
it begins, holds one call too many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tongdai.domain.live.pacing import LEAD, PACE, UNPACED_LATENESS

LATENESS: Final = timedelta(milliseconds=100)
"""How late phones may be rung under a cap on calls per second. The next call waits for so much longer, so it
is short; a slot that is missed all the same is taken anew with twice the time, and so on."""

PATIENCE: Final = timedelta(seconds=3)
"""How long a person on the line waits for a slot; a transfer that would have to wait longer rings nobody."""


@dataclass(frozen=True, slots=True)
class Cap:
    """A locked row of `limits`."""

    id: int
    max_channels: int | None
    max_cps: float | None
    live: int
    next_slot_at: datetime
    cooling_until: datetime | None

    def free(self, now: datetime) -> int | None:
        """Channels; None: any number. None at all while it cools down."""
        if self.cooling_until is not None and self.cooling_until > now:
            return 0
        return None if self.max_channels is None else max(0, self.max_channels - self.live)

    def spacing(self) -> timedelta:
        """Between two slots. Nothing where calls per second are not capped."""
        return timedelta(0) if self.max_cps is None else timedelta(seconds=1 / (self.max_cps * PACE))

    def at_once(self) -> int | None:
        """How many calls may begin at one moment."""
        return None if self.max_cps is None else max(1, int(self.max_cps * PACE))


@dataclass(frozen=True, slots=True)
class Room:
    """So many phones may ring, from `dial_at` until `dial_before`."""

    phones: int
    dial_at: datetime
    dial_before: datetime
    next_slots: tuple[tuple[int, datetime], ...]
    """(cap, when its next call may begin), of those with a cap on calls per second."""


def find_room(caps: Sequence[Cap], wanted: int, now: datetime) -> Room | None:
    """Room for as many of the wanted phones as there is; None: for none. Their channels are not free yet."""
    free = [most for cap in caps for most in (cap.free(now), cap.at_once()) if most is not None]
    for phones in range(min([wanted, *free]), 0, -1):
        room = find_slot(caps, phones, now)
        if room.dial_at - now <= PATIENCE:
            return room
    return None


def find_slot(caps: Sequence[Cap], phones: int, now: datetime, *, missed: int = 0) -> Room:
    """The next moment at which so many calls may begin together, however far off.

    `missed`: how many slots were missed before.
    """
    paced = [cap for cap in caps if cap.max_cps is not None]
    dial_at = max([now, *(cap.next_slot_at + (phones - 1) * cap.spacing() for cap in paced)])
    lateness = LATENESS * 2**missed if paced else UNPACED_LATENESS
    dial_before = max(dial_at, now + LEAD) + lateness
    following = tuple((cap.id, dial_before + phones * cap.spacing()) for cap in paced)
    return Room(phones, dial_at, dial_before, following)
