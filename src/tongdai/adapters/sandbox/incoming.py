"""Calls that come in on the simulated carrier: those that ring, and the legs that they become. No sockets.

The caller is somebody whose number says how they behave, as a called number does; what they press, and how
long they wait and stay, may be said when the call is placed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from tongdai.adapters.sandbox.behaviour import Plan, Press
from tongdai.adapters.sandbox.leg import Leg, Recorder
from tongdai.adapters.sandbox.protocol import Accept, Dial, Do, Place
from tongdai.ports.telephony import AnsweredBy, EndCause

PRESSES_AFTER_S = 1.0
"""Into a prompt, a key is pressed that was asked for at placing."""


class IncomingLeg(Leg):
    """A call that came in, from its acceptance on. Its `dial` names the caller as `number`."""

    __slots__ = ()

    def __init__(self, dial: Dial, place: Place, seed: int, recorder: Recorder, *, least_patience: float):
        super().__init__(dial, seed, recorder, least_patience=least_patience)
        self._plan = _plan(self._plan, place)

    def do(self, command: Do) -> None:
        if not self.ended and self.answered_at is None and command.verb in ("pickup", "transfer"):
            if command.ordinal > self.ordinal:
                self.ordinal = command.ordinal
                self._before_the_answer(command)
        else:
            super().do(command)

    def _before_the_answer(self, command: Do) -> None:
        if command.verb == "pickup":
            self._answer(0, 0)
        else:
            self._transfer(command)

    def _schedule_fate(self) -> None:
        """It rings until somebody does something, or the caller has waited for long enough."""
        self.leaves_at = self.dial.ring_s
        self.limit_at = self.dial.max_s

    def _answer(self, _order: int, _id: int) -> None:
        self.answered_at = self.now
        leaves_after = self._plan.leaves_after
        self.leaves_at = math.inf if leaves_after is None else self.now + leaves_after
        self.silence_at = self.now + self.patience if self._phones is None else math.inf
        self._recorder.log(self, "ANSWER")
        self._tell("answered", seconds=self.now, text=AnsweredBy.UNKNOWN)

    def step(self) -> None:
        """The first phone of a transfer that answers has the caller picked up."""
        super().step()
        phones = self._phones
        if phones is not None and phones.connected is not None and self.answered_at is None:
            self._answer(0, 0)

    def _hang_up(self, by: str) -> None:
        """Who dialled is the caller here, and we are called."""
        who = {"caller": "callee", "callee": "caller"}.get(by, by)
        if self.answered_at is None:
            self._end("CANCEL", EndCause.NO_ANSWER if by == "limit" else EndCause.CANCELLED, who)
        else:
            self._end("BYE", EndCause.NORMAL, who)


def _plan(plan: Plan, place: Place) -> Plan:
    presses = tuple(Press(prompt, PRESSES_AFTER_S, digit) for prompt, digit in enumerate(place.presses, 1))
    leaves_after = plan.leaves_after if place.stays_s is None else place.stays_s
    return replace(plan, presses=presses or plan.presses, leaves_after=leaves_after)


@dataclass(frozen=True, slots=True)
class Ringing:
    """A call that nobody has accepted or refused yet. Moments are monotonic real seconds."""

    place: Place
    came_at: float
    gives_up_at: float


class Lobby:
    """Where calls ring that nobody has accepted yet."""

    def __init__(self, booted_at: float, speed: float) -> None:
        self._speed = speed
        self._name = f"in-{int(booted_at * 1000):x}"
        self._placed = 0
        self._ringing: dict[str, Ringing] = {}

    def __iter__(self) -> Iterator[tuple[str, Place]]:
        """Those that ring, oldest first."""
        return iter([(channel, one.place) for channel, one in self._ringing.items()])

    def enter(self, place: Place) -> str:
        """Its channel."""
        self._placed += 1
        channel = f"{self._name}-{self._placed}"
        now = time.monotonic()
        self._ringing[channel] = Ringing(place, now, now + place.waits_s / self._speed)
        return channel

    def leave(self, channel: str) -> Place | None:
        """None: it does not ring any more."""
        one = self._ringing.pop(channel, None)
        return None if one is None else one.place

    def accepted(self, accept: Accept) -> tuple[Dial, Place] | None:
        """The leg that it becomes, with what is left of the caller's patience; None: it has gone."""
        one = self._ringing.pop(accept.channel, None)
        if one is None:
            return None
        place = one.place
        waited = (time.monotonic() - one.came_at) * self._speed
        patience = max(0.01, place.waits_s - waited)
        return (
            Dial(0, accept.leg, place.trunk, place.caller, place.called, patience, accept.max_s, False, 0.0),
            place,
        )

    def impatient(self) -> list[str]:
        """Those whose callers have waited for long enough."""
        now = time.monotonic()
        return [channel for channel, one in self._ringing.items() if one.gives_up_at <= now]
