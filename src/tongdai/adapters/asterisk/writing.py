"""Writing journals of legs to the node: what has changed, with requests that are made anyway if possible."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tongdai.adapters.asterisk.journal import MOST_PIECES, Journal, pieces, variable
from tongdai.adapters.asterisk.link import Link

if TYPE_CHECKING:
    from tongdai.adapters.asterisk.leg import Leg
    from tongdai.adapters.asterisk.wire import Wire

WITHIN_S = 0.2
"""A journal in which only the ringing is new is written so much later: many are answered before that. Whoever
takes over a call that rang and ended within it sees by its end that it rang."""


class Writer:
    """When the journals of one engine's legs are written."""

    def __init__(self) -> None:
        self._link: Link | None = None
        self._changed: dict[Leg, None] = {}
        self._rung: dict[Leg, None] = {}
        """In whose journals only the ringing is new."""
        self._timer: asyncio.TimerHandle | None = None

    def connected(self, link: Link) -> None:
        """From now on they go out with what is sent over this connection."""
        self._link = link
        link.before_write = self._write

    def disconnected(self) -> None:
        self._link = None
        self._changed.clear()
        self._rung.clear()

    def now(self, leg: Leg) -> None:
        """Its journal goes out with the requests that are being made."""
        self._changed[leg] = None
        if self._link is not None:
            self._link.schedule()

    def soon(self, leg: Leg) -> None:
        """Its journal goes out within a moment, with whatever is asked for meanwhile."""
        self._changed[leg] = None
        if self._link is not None:
            self._link.schedule_soon()

    def some_time(self, leg: Leg) -> None:
        """Its journal goes out with the next that is written of it, or within `WITHIN_S`."""
        self._rung[leg] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WITHIN_S, self._on_time)

    def forget(self, leg: Leg) -> None:
        """It has ended, or is another's: nothing of it is written any more."""
        self._changed.pop(leg, None)
        self._rung.pop(leg, None)

    def _on_time(self) -> None:
        self._timer = None
        self._changed |= self._rung
        self._rung = {}
        if self._link is not None and self._changed:
            self._link.schedule()

    def _write(self) -> None:
        legs, self._changed = self._changed, {}
        for leg in legs:
            self._rung.pop(leg, None)
            if not (leg.ended or leg.journal.ending):
                leg.copy.write()


class Copy:
    """One leg's journal as the node has it."""

    def __init__(self, journal: Journal, wire: Wire) -> None:
        self._journal = journal
        self._wire = wire
        self._written: list[str] = []

    def write(self) -> None:
        """Only the pieces that have changed."""
        there = self._written
        self._written = pieces(self._journal.encode())[:MOST_PIECES]
        for number, piece in enumerate(self._written):
            if number >= len(there) or there[number] != piece:
                name = variable(self._journal.leg_id, number)
                self._wire.send("POST", f"asterisk/variable?variable={name}&value={piece}")

    def erase(self) -> None:
        """Asterisk has noted the end, and with it the journal."""
        for number in range(max(1, len(self._written))):
            name = variable(self._journal.leg_id, number)
            self._wire.send_soon("POST", f"asterisk/variable?variable={name}")
