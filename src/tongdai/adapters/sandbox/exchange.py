"""The carrier itself: live legs, ended ones that it remembers, and who controls which. No sockets."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

import msgspec

from tongdai.adapters.sandbox.incoming import IncomingLeg, Lobby
from tongdai.adapters.sandbox.leg import Leg, Listener
from tongdai.adapters.sandbox.log import CallLog
from tongdai.adapters.sandbox.pace import FULL_SPEED, Pace
from tongdai.adapters.sandbox.protocol import (
    TOO_LATE,
    Accept,
    Adopt,
    Adopted,
    Came,
    Dial,
    Do,
    Hear,
    Place,
    Placed,
    Refuse,
    Taken,
    Told,
    Went,
    encode,
)
from tongdai.ports.telephony import LegKnowledge

REMEMBER_S = 900.0
"""Real seconds that an ended leg's events can be replayed."""

REMEMBER_LEGS = 200_000


class Ended(msgspec.Struct, frozen=True, gc=False):
    """A leg that ended: enough to replay it."""

    received: float
    """Epoch seconds of its hand-over."""
    ended: float
    """Monotonic seconds."""
    events: bytes
    sizes: tuple[int, ...]

    def replay(self) -> Iterator[bytes]:
        start = 0
        for size in self.sizes:
            yield self.events[start : start + size]
            start += size


class Memory:
    """Ended legs, for a while. Knows up to which hand-over it may have forgotten something."""

    def __init__(self, *, seconds: float = REMEMBER_S, legs: int = REMEMBER_LEGS) -> None:
        self._seconds = seconds
        self._limit = legs
        self._ended: dict[int, Ended] = {}
        self._order: deque[tuple[int, Ended]] = deque()
        self.forgotten_until = 0.0
        """Epoch seconds: a leg handed over later than this and not found was never here."""

    def find(self, leg_id: int) -> Ended | None:
        return self._ended.get(leg_id)

    def remember(self, leg: Leg, received: float) -> None:
        record = Ended(received, time.monotonic(), b"".join(leg.history), tuple(map(len, leg.history)))
        self._ended[leg.dial.leg] = record
        self._order.append((leg.dial.leg, record))
        self._forget(record.ended)

    def _forget(self, now: float) -> None:
        order = self._order
        while order and (len(order) > self._limit or order[0][1].ended + self._seconds < now):
            leg_id, record = order.popleft()
            if self._ended.get(leg_id) is record:
                del self._ended[leg_id]
            self.forgotten_until = max(self.forgotten_until, record.received)


class Exchange:
    """Serves any number of listeners. Every method returns at once; answers go to the listener."""

    def __init__(
        self, log: CallLog, pace: Pace, *, seed: int, speed: float = 1.0, memory: Memory | None = None
    ) -> None:
        self._log = log
        self._pace = pace
        self._seed = seed
        self._memory = memory or Memory()
        self._live: dict[int, Leg] = {}
        self._received: dict[int, float] = {}
        self._disowned: dict[int, float] = {}
        self.booted_at = time.time()
        # A caller is as patient as anybody where the clock does not wait.
        self._lobby = Lobby(self.booted_at, speed if speed < FULL_SPEED else 1.0)
        self._hearer: Listener | None = None
        log.write("BOOT")

    # -------------------------------------------------------------- asked by clients

    def dial(self, listener: Listener, dial: Dial) -> None:
        now = time.time()
        refusal = self._refusal(dial, now)
        event = "REFUSE" if refusal else "INVITE"
        self._log.write(event, dial.leg, dial.trunk, dial.number, dial.caller, refusal)
        listener.send(encode(Taken(dial.request, refusal)))
        if refusal:
            return
        leg = Leg(dial, self._seed, self, least_patience=self._pace.least_patience)
        leg.owner = listener
        self._live[dial.leg] = leg
        self._received[dial.leg] = now
        self._pace.begin(leg)

    def do(self, listener: Listener, command: Do) -> None:
        leg = self._live.get(command.leg)
        if leg is not None and leg.owner is listener:
            self._pace.catch_up(leg)
            leg.do(command)
            self._pace.moved(leg)

    def adopt(self, listener: Listener, adopt: Adopt) -> None:
        now = time.time()
        known = [(leg_id, self._knowledge(leg_id, dial_at, now).value) for leg_id, dial_at in adopt.legs]
        listener.send(encode(Adopted(adopt.request, known)))
        for leg_id, knowledge in known:
            if knowledge == LegKnowledge.REPLAYED:
                self._hand_over(listener, leg_id)

    def ack(self, listener: Listener, count: int) -> None:
        listener.acked = count
        self._pace.acked(listener)

    def gone(self, listener: Listener) -> None:
        """A client is no more. Its calls go on, with nobody to command them."""
        if self._hearer is listener:
            self._hearer = None
        listener.waiting.clear()
        orphans = [leg for leg in self._live.values() if leg.owner is listener]
        for leg in orphans:
            leg.owner = None
        for leg in orphans:
            self._pace.moved(leg)

    # -------------------------------------------------------------- calls that come in

    def incoming(self, listener: Listener, message: Place | Hear | Accept | Refuse) -> None:
        match message:
            case Place():
                self._place(listener, message)
            case Hear():
                self._hear(listener, message)
            case Accept():
                self._accept(listener, message)
            case Refuse():
                self._refuse(message)

    def _hear(self, listener: Listener, hear: Hear) -> None:
        listener.send(encode(Taken(hear.request)))
        if not hear.wanted:
            self._hearer = None if self._hearer is listener else self._hearer
            return
        self._hearer = listener
        for channel, place in self._lobby:
            self._announce(Came(channel, place.trunk, place.caller, place.called))

    def _place(self, listener: Listener, place: Place) -> None:
        channel = self._lobby.enter(place)
        self._log.write("INCOMING", 0, place.trunk, place.caller, place.called)
        listener.send(encode(Placed(place.request, channel)))
        self._announce(Came(channel, place.trunk, place.caller, place.called))

    def _accept(self, listener: Listener, accept: Accept) -> None:
        known = accept.leg in self._live or accept.leg in self._disowned
        accepted = None if known else self._lobby.accepted(accept)
        if accepted is None:
            listener.send(encode(Taken(accept.request, "the call has gone")))
            return
        dial, place = accepted
        self._log.write("ACCEPT", dial.leg, dial.trunk, dial.number, dial.caller)
        leg = IncomingLeg(dial, place, self._seed, self, least_patience=self._pace.least_patience)
        leg.owner = listener
        self._live[dial.leg] = leg
        self._received[dial.leg] = time.time()
        listener.send(encode(Taken(accept.request)))
        self._pace.begin(leg)

    def _refuse(self, refuse: Refuse) -> None:
        place = self._lobby.leave(refuse.channel)
        if place is not None:
            self._log.write("REJECT", 0, place.trunk, place.caller, place.called, refuse.cause, "callee")

    def sweep(self) -> None:
        """Called about every quarter of a second: callers give up."""
        for channel in self._lobby.impatient():
            place = self._lobby.leave(channel)
            assert place is not None
            self._log.write("CANCEL", 0, place.trunk, place.caller, place.called, "cancelled", "caller")
            self._announce(Went(channel))

    def _announce(self, message: Came | Went) -> None:
        if self._hearer is not None:
            self._hearer.sent += 1
            self._hearer.send(encode(message))

    # -------------------------------------------------------------- told by legs

    def log(
        self,
        leg: Leg,
        event: str,
        *,
        cause: str = "",
        by: str = "",
        digit: str = "",
        phone: Dial | None = None,
    ) -> None:
        dial = phone or leg.dial
        self._log.write(event, dial.leg, dial.trunk, dial.number, dial.caller, cause, by, digit)

    def tell(self, leg: Leg, told: Told) -> None:
        encoded = encode(told)
        leg.history.append(encoded)
        owner = leg.owner
        if owner is not None:
            owner.sent += 1
            owner.send(encoded)
        if told.what == "ended":
            del self._live[told.leg]
            self._memory.remember(leg, self._received.pop(told.leg))
        elif told.what != "ringing":
            self._pace.told(leg)

    # -------------------------------------------------------------- helpers

    def _refusal(self, dial: Dial, now: float) -> str:
        if now > dial.before:
            return TOO_LATE
        if dial.leg in self._live:
            return "a leg with this id is up"
        if dial.leg in self._disowned:
            return "the leg was asked for and declared never seen"
        return ""

    def _knowledge(self, leg_id: int, dial_at: float, now: float) -> LegKnowledge:
        if leg_id in self._live or self._memory.find(leg_id) is not None:
            return LegKnowledge.REPLAYED
        if dial_at <= max(self.booted_at, self._memory.forgotten_until):
            return LegKnowledge.FORGOTTEN
        self._disown(leg_id, now)
        return LegKnowledge.NEVER_SEEN

    def _disown(self, leg_id: int, now: float) -> None:
        """From now on the leg is not dialled. Kept for as long as legs are: by then it is too late for it."""
        self._disowned.pop(leg_id, None)
        self._disowned[leg_id] = now
        if len(self._disowned) > REMEMBER_LEGS:
            self._disowned = {leg: since for leg, since in self._disowned.items() if since + REMEMBER_S > now}

    def _hand_over(self, listener: Listener, leg_id: int) -> None:
        leg = self._live.get(leg_id)
        record = self._memory.find(leg_id)
        events = leg.history if leg is not None else list(record.replay()) if record is not None else []
        listener.sent += len(events)
        for encoded in events:
            listener.send(encoded)
        if leg is not None:
            leg.owner = listener
            leg.held = 0
            self._pace.told(leg)
