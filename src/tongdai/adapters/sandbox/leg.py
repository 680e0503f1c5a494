"""One simulated call: its own clock, what is due on it, and what commands do to it. No I/O.

The leg's clock moves from one due thing to the next (`step`) or to the moment of a command (`advance`), so
every `at` is exact in carrier seconds however late the machine was. When `step` is called is up to the pace.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Protocol

from tongdai.adapters.sandbox.behaviour import Plan, Press, plan_call
from tongdai.adapters.sandbox.phones import Phones, PhoneStep
from tongdai.adapters.sandbox.protocol import Dial, Do, Told, What
from tongdai.ports.telephony import AnsweredBy, EndCause


class Due(IntEnum):
    """What can be due on a leg. The order settles ties: a digit at a prompt's very end precedes the end."""

    RING = 0
    ANSWER = 1
    REFUSE = 2
    RING_OUT = 3
    TELL = 4
    PRESS = 5
    PLAY_END = 6
    TIMER = 7
    RECORD_END = 8
    PHONE = 9
    TRANSFER_END = 10


_NEVER = (math.inf, Due.RING, 0, 0)


class Listener(Protocol):
    """The client that controls a leg and hears of it."""

    sent: int
    """How many events it was sent."""
    acked: int
    """How many of them it has dealt with."""
    waiting: deque[tuple[int, float, Leg]]
    """Legs that a free pace holds: until so many are acked, since when (monotonic), which leg."""

    def send(self, encoded: bytes) -> None: ...


class Recorder(Protocol):
    """Where a leg writes its log lines and tells its events."""

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
        """`phone`: of one that a transfer of the leg rings, and not of the leg itself."""
        ...

    def tell(self, leg: Leg, told: Told) -> None: ...


class Leg:
    """Everything about one call that is up. Seconds count from the hand-over."""

    __slots__ = (
        "_extra",
        "_order",
        "_pending",
        "_phones",
        "_plan",
        "_playing",
        "_plays",
        "_prompts",
        "_recorder",
        "_recording",
        "_recording_call",
        "_seed",
        "_told",
        "answered_at",
        "dial",
        "ended",
        "held",
        "history",
        "leaves_at",
        "limit_at",
        "now",
        "ordinal",
        "owner",
        "paced",
        "patience",
        "silence_at",
        "started",
    )

    def __init__(self, dial: Dial, seed: int, recorder: Recorder, *, least_patience: float) -> None:
        plan = plan_call(seed, dial.number, dial.leg)
        self.dial = dial
        self.now = 0.0
        self.ended = False
        self.answered_at: float | None = None
        self.limit_at = math.inf
        self.silence_at = math.inf
        self.leaves_at = math.inf
        self.patience = max(plan.patience, least_patience)
        self.ordinal = 0
        self.history: list[bytes] = []
        self.owner: Listener | None = None
        self.started = 0.0
        """Monotonic seconds of the hand-over. This, `paced` and `held` are the pace's."""
        self.paced = 0.0
        self.held = 0
        self._plan: Plan = plan
        self._seed = seed
        self._recorder = recorder
        self._told = 0
        self._order = 0
        self._pending: list[tuple[float, Due, int, int]] = []
        self._plays: deque[Do] = deque()
        self._playing: Do | None = None
        self._prompts = 0
        self._recording: tuple[int, float, bool] | None = None
        self._recording_call: tuple[int, float] | None = None
        self._phones: Phones | None = None
        self._extra: dict[int, Press | PhoneStep] = {}
        self._schedule_fate()

    # -------------------------------------------------------------- the clock

    def next_due(self) -> float:
        """When the next thing happens that does not wait for a command; infinity when all does."""
        return min(self._pending)[0] if self._pending else math.inf

    def next_idle(self) -> float:
        """When the call ends if nobody does anything more: silence, the person's own plans, the limit."""
        return min(self.silence_at, self.leaves_at, self.limit_at)

    def advance(self, now: float) -> None:
        if now > self.now:
            self.now = now

    def step(self) -> None:
        """Do the earliest due thing."""
        first = min(self._pending, default=_NEVER)
        idle_at = self.next_idle()
        if idle_at < first[0]:
            self.advance(round(idle_at, 3))
            self._hang_up("limit" if self.limit_at == idle_at else "callee")
            return
        self._pending.remove(first)
        self.advance(first[0])
        _STEPS[first[1]](self, first[2], first[3])

    # -------------------------------------------------------------- commands

    def do(self, command: Do) -> None:
        """Obey, once: an ordinal that was done, and anything after the end, is ignored."""
        if self.ended or command.ordinal <= self.ordinal:
            return
        self.ordinal = command.ordinal
        if command.verb == "hangup":
            self._hang_up("caller")
        elif self.answered_at is not None:
            _COMMANDS[command.verb](self, command)

    def _play(self, command: Do) -> None:
        self._plays.append(command)
        if self._playing is None:
            self._start_play()

    def _stop_play(self, command: Do) -> None:
        if self._playing is not None and self._playing.id == command.id:
            self._cancel(Due.PLAY_END, command.id)
            self._play_over(completed=False)
            return
        for queued in self._plays:
            if queued.id == command.id:
                self._plays.remove(queued)
                self._tell("played", id=command.id)
                return

    def _start_timer(self, command: Do) -> None:
        self._cancel(Due.TIMER, command.id)
        self._at(self.now + command.seconds, Due.TIMER, command.id)

    def _cancel_timer(self, command: Do) -> None:
        self._cancel(Due.TIMER, command.id)

    def _start_recording(self, command: Do) -> None:
        if self._recording is None:
            self._recording = (command.id, self.now, command.flag)
            self._at(self.now + min(command.seconds, self._plan.speaks_s), Due.RECORD_END, command.id)
            self.silence_at = math.inf

    def _stop_recording(self, command: Do) -> None:
        if self._recording is not None and self._recording[0] == command.id:
            self._record_over()

    def _record_call(self, command: Do) -> None:
        if self._recording_call is None:
            self._recording_call = (command.id, self.now)

    def _transfer(self, command: Do) -> None:
        """Ring phones, whose numbers decide as any called number does; the first to answer has the call."""
        self._recorder.log(self, "TRANSFER")
        if self._phones is not None:
            return
        self._phones = phones = Phones(
            command, self.dial.trunk, self._seed, partial(self._recorder.log, self)
        )
        self.silence_at = math.inf
        for after, event, leg_id in phones.ring():
            self._extra[self._at(self.now + after, Due.PHONE, leg_id)] = event
        if phones.nobody:
            self._transfer_over("network")

    # -------------------------------------------------------------- what falls due

    def _ring(self, _order: int, _id: int) -> None:
        self._recorder.log(self, "RINGING")
        self._tell("ringing")

    def _answer(self, _order: int, _id: int) -> None:
        self.answered_at = self.now
        self.limit_at = self.now + self.dial.max_s
        self.silence_at = self.now + self.patience
        self._recorder.log(self, "ANSWER")
        if self._plan.leaves_after is not None:
            self.leaves_at = self.now + self._plan.leaves_after
        if self.dial.detect:
            self._at(self.now + self._plan.detected_after, Due.TELL)
        else:
            self._tell("answered", seconds=self.now, text=AnsweredBy.UNKNOWN)

    def _detected(self, _order: int, _id: int) -> None:
        by = AnsweredBy.MACHINE if self._plan.machine else AnsweredBy.HUMAN
        self._tell("answered", seconds=self.answered_at, text=by)

    def _refuse(self, _order: int, _id: int) -> None:
        self._end("REJECT", self._plan.refusal, "network" if self._plan.rings_at is None else "callee")

    def _ring_out(self, _order: int, _id: int) -> None:
        self._end("CANCEL", EndCause.NO_ANSWER, "caller")

    def _press(self, order: int, _id: int) -> None:
        press = self._extra.pop(order)
        assert isinstance(press, Press)
        self._recorder.log(self, "DIGIT", digit=press.digit)
        self._tell("digit", text=press.digit)
        if self._recording is not None and self._recording[2]:
            self._record_over()

    def _play_end(self, _order: int, _id: int) -> None:
        self._play_over(completed=True)

    def _timer(self, _order: int, timer_id: int) -> None:
        self._tell("timer", id=timer_id)

    def _record_end(self, _order: int, _id: int) -> None:
        self._record_over()

    def _phone(self, order: int, leg_id: int) -> None:
        event, phones = self._extra.pop(order), self._phones
        if phones is None or not isinstance(event, PhoneStep):
            return
        talk_s = phones.step(leg_id, event, self.now)
        if talk_s is not None:
            self._at(self.now + talk_s, Due.TRANSFER_END)
        elif phones.nobody:
            self._transfer_over("network")

    def _transfer_end(self, _order: int, _id: int) -> None:
        self._transfer_over("callee")

    def _transfer_over(self, by: str) -> None:
        """Tells how the transfer ended; whoever still rings or talks is let go."""
        phones, self._phones = self._phones, None
        assert phones is not None
        connected, seconds = phones.over(by, self.now)
        self._cancel(Due.TRANSFER_END, 0)
        self.silence_at = self.now + self.patience
        self._tell("transferred", phones.id, seconds, connected is not None, str(connected or ""))

    # -------------------------------------------------------------- helpers

    def _schedule_fate(self) -> None:
        plan, ring_s = self._plan, self.dial.ring_s
        if plan.rings_at is not None and plan.rings_at < ring_s:
            self._at(plan.rings_at, Due.RING)
        if plan.answers_at is not None and plan.answers_at <= ring_s:
            self._at(plan.answers_at, Due.ANSWER)
        elif plan.refused_at is not None and plan.refused_at <= ring_s:
            self._at(plan.refused_at, Due.REFUSE)
        else:
            self._at(ring_s, Due.RING_OUT)

    def _at(self, at: float, due: Due, id: int = 0) -> int:
        self._order += 1
        self._pending.append((round(at, 3), due, self._order, id))
        return self._order

    def _cancel(self, due: Due, id: int) -> None:
        self._pending = [entry for entry in self._pending if entry[1] is not due or entry[3] != id]

    def _start_play(self) -> None:
        command = self._playing = self._plays.popleft()
        self._prompts += 1
        self.silence_at = math.inf
        if command.flag:
            self._recorder.log(self, "CODE")
        self._at(self.now + command.seconds, Due.PLAY_END, command.id)
        for press in self._plan.presses:
            if press.prompt == self._prompts:
                order = self._at(self.now + min(press.after, command.seconds), Due.PRESS)
                self._extra[order] = press

    def _play_over(self, *, completed: bool) -> None:
        assert self._playing is not None
        play_id, self._playing = self._playing.id, None
        self.silence_at = self.now + self.patience
        self._tell("played", id=play_id, flag=completed)
        if self._plays:
            self._start_play()

    def _record_over(self) -> None:
        assert self._recording is not None
        (recording_id, since, _), self._recording = self._recording, None
        self._cancel(Due.RECORD_END, recording_id)
        self.silence_at = self.now + self.patience
        self._tell("recorded", id=recording_id, seconds=round(self.now - since, 3))

    def _hang_up(self, by: str) -> None:
        if self.answered_at is None:
            self._end("CANCEL", EndCause.CANCELLED, by)
        else:
            self._end("BYE", EndCause.NORMAL, by)

    def _end(self, event: str, cause: EndCause, by: str) -> None:
        self.ended = True
        self._pending.clear()
        self._recorder.log(self, event, cause=cause, by=by)
        if self._recording_call is not None:
            recording_id, since = self._recording_call
            self._tell("recorded", id=recording_id, seconds=round(self.now - since, 3))
        if self._phones is not None:
            self._transfer_over(by)
        self._tell("ended", seconds=self.answered_at, text=cause)

    def _tell(
        self, what: What, id: int = 0, seconds: float | None = None, flag: bool = False, text: str = ""
    ) -> None:
        self._told += 1
        self._recorder.tell(self, Told(self.dial.leg, self._told, self.now, what, id, seconds, flag, text))


_STEPS: dict[Due, Callable[[Leg, int, int], None]] = {
    Due.RING: Leg._ring,
    Due.ANSWER: Leg._answer,
    Due.REFUSE: Leg._refuse,
    Due.RING_OUT: Leg._ring_out,
    Due.TELL: Leg._detected,
    Due.PRESS: Leg._press,
    Due.PLAY_END: Leg._play_end,
    Due.TIMER: Leg._timer,
    Due.RECORD_END: Leg._record_end,
    Due.PHONE: Leg._phone,
    Due.TRANSFER_END: Leg._transfer_end,
}

_COMMANDS: dict[str, Callable[[Leg, Do], None]] = {
    "play": Leg._play,
    "stop": Leg._stop_play,
    "timer": Leg._start_timer,
    "untimer": Leg._cancel_timer,
    "record": Leg._start_recording,
    "unrecord": Leg._stop_recording,
    "recordcall": Leg._record_call,
    "pickup": lambda leg, command: None,
    "transfer": Leg._transfer,
}
