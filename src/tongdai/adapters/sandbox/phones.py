"""The phones that a transfer rings on the simulated carrier. No I/O, and no clock of their own."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from tongdai.adapters.sandbox.behaviour import Plan, plan_call
from tongdai.adapters.sandbox.protocol import Dial, Do


class PhoneStep(StrEnum):
    """What happens to one, as the log calls it."""

    RINGING = "RINGING"
    ANSWER = "ANSWER"
    REJECT = "REJECT"
    CANCEL = "CANCEL"


class Phones:
    """Those of one transfer. Each is a leg of its own, and its number decides what becomes of it."""

    def __init__(self, command: Do, trunk: int, seed: int) -> None:
        self.id = command.id
        self.ringing: dict[int, Dial] = {}
        """By leg, those that neither answered nor were given up."""
        self.connected: Dial | None = None
        self.connected_at = 0.0
        self._plans: dict[int, Plan] = {}
        for leg, number, caller, max_s in command.phones:
            self.ringing[leg] = Dial(0, leg, trunk, number, caller, command.seconds, max_s, False, 0.0)
            self._plans[leg] = plan_call(seed, number, leg)

    def steps(self, dial: Dial) -> Iterator[tuple[float, PhoneStep]]:
        """What happens to a phone and after how many seconds, in order, as long as nobody else answers."""
        plan = self._plans[dial.leg]
        if plan.rings_at is not None and plan.rings_at < dial.ring_s:
            yield plan.rings_at, PhoneStep.RINGING
        if plan.answers_at is not None and plan.answers_at <= dial.ring_s:
            yield plan.answers_at, PhoneStep.ANSWER
        elif plan.refused_at is not None and plan.refused_at <= dial.ring_s:
            yield plan.refused_at, PhoneStep.REJECT
        else:
            yield dial.ring_s, PhoneStep.CANCEL

    def answer(self, leg: int, at: float) -> None:
        self.connected = self.ringing.pop(leg)
        self.connected_at = at

    def talk_s(self, dial: Dial) -> float:
        """Seconds until the phone hangs up, or the limit does."""
        return min(self._plans[dial.leg].talks_s, dial.max_s)
