"""The phones that a transfer rings on the simulated carrier. No I/O, and no clock of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum

from tongdai.adapters.sandbox.behaviour import Plan, plan_call
from tongdai.adapters.sandbox.protocol import Dial, Do


class PhoneStep(StrEnum):
    """What happens to one, as the log calls it."""

    RINGING = "RINGING"
    ANSWER = "ANSWER"
    REJECT = "REJECT"
    CANCEL = "CANCEL"


_WHO_ENDS = {PhoneStep.REJECT: "network", PhoneStep.CANCEL: "caller"}


class Phones:
    """Those of one transfer. Each is a leg of its own, and its number decides what becomes of it.

    `log` is a leg's `Recorder.log`.
    """

    def __init__(self, command: Do, trunk: int, seed: int, log: Callable[..., None]) -> None:
        self.id = command.id
        self._log = log
        self._ringing: dict[int, Dial] = {}
        self.connected: Dial | None = None
        """The one that has the call."""
        self._connected_at = 0.0
        self._plans: dict[int, Plan] = {}
        for leg, number, caller, max_s in command.phones:
            self._ringing[leg] = Dial(0, leg, trunk, number, caller, command.seconds, max_s, False, 0.0)
            self._plans[leg] = plan_call(seed, number, leg)

    @property
    def nobody(self) -> bool:
        """True: none rings, and none has answered."""
        return not self._ringing and self.connected is None

    def ring(self) -> Iterator[tuple[float, PhoneStep, int]]:
        """Dials all. What happens, after how many seconds and to which leg, as long as no other answers."""
        for dial in self._ringing.values():
            self._log("INVITE", phone=dial)
            plan = self._plans[dial.leg]
            if plan.rings_at is not None and plan.rings_at < dial.ring_s:
                yield plan.rings_at, PhoneStep.RINGING, dial.leg
            if plan.answers_at is not None and plan.answers_at <= dial.ring_s:
                yield plan.answers_at, PhoneStep.ANSWER, dial.leg
            elif plan.refused_at is not None and plan.refused_at <= dial.ring_s:
                yield plan.refused_at, PhoneStep.REJECT, dial.leg
            else:
                yield dial.ring_s, PhoneStep.CANCEL, dial.leg

    def step(self, leg: int, event: PhoneStep, now: float) -> float | None:
        """It happens, unless the phone is rung no more. Seconds of the talk that begins with it, if any."""
        dial = self._ringing.get(leg)
        if dial is None:
            return None
        self._log(event.value, phone=dial, by=_WHO_ENDS.get(event, ""))
        if event is PhoneStep.RINGING:
            return None
        del self._ringing[leg]
        if event is not PhoneStep.ANSWER:
            return None
        self.connected, self._connected_at = dial, now
        self._let_go("caller")
        return min(self._plans[leg].talks_s, dial.max_s)

    def over(self, by: str, now: float) -> tuple[int | None, float]:
        """Ends what is left. Which leg had the call, and for how many seconds."""
        self._let_go(by)
        if self.connected is None:
            return None, 0.0
        self._log("BYE", phone=self.connected, by=by)
        return self.connected.leg, round(now - self._connected_at, 3)

    def _let_go(self, by: str) -> None:
        for dial in self._ringing.values():
            self._log("CANCEL", phone=dial, by=by)
        self._ringing.clear()
