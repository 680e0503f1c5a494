"""The sandbox carrier's clocks: whatever is commanded and whenever, something moves every call on."""

from __future__ import annotations

import asyncio
import heapq
import math
import socket
from collections import deque
from collections.abc import Callable
from itertools import count
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tongdai.adapters.sandbox.behaviour import TEST_NUMBERS, plan_call
from tongdai.adapters.sandbox.carrier import Client
from tongdai.adapters.sandbox.exchange import Exchange
from tongdai.adapters.sandbox.leg import Leg
from tongdai.adapters.sandbox.log import CallLog
from tongdai.adapters.sandbox.pace import (
    FULL_SPEED,
    GRACE_S,
    HOLD_S,
    FreePace,
    Pace,
    TimedPace,
    pace_for,
)
from tongdai.adapters.sandbox.protocol import Adopt, Dial, Do, FromCarrier, Told, Verb

MAX_S = 60.0
LAST_END_S = 30.0 + MAX_S
"""Carrier seconds after which every call has ended: the ring time and the absolute limit."""


class Alarm:
    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class StoppedTime:
    """Real time that passes when it is told to, and timers on it."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._alarms: list[tuple[float, int, Alarm, Callable[[], object]]] = []
        self._number = count()

    def monotonic(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Alarm:
        alarm = Alarm()
        heapq.heappush(self._alarms, (self.now + delay, next(self._number), alarm, callback))
        return alarm

    def next_alarm(self) -> float:
        while self._alarms and self._alarms[0][2].cancelled:
            heapq.heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else math.inf

    def pass_until(self, moment: float) -> None:
        while self.next_alarm() <= moment:
            at, _, _, callback = heapq.heappop(self._alarms)
            self.now = max(self.now, at)
            callback()
        self.now = max(self.now, moment)


class Listener:
    """A client that reads all it is sent, and deals with it when it likes."""

    def __init__(self) -> None:
        self.sent = 0
        self.acked = 0
        self.waiting: deque[tuple[int, float, Leg]] = deque()
        self.heard: dict[int, list[Told]] = {}

    def send(self, encoded: bytes) -> None:
        message = msgspec.msgpack.decode(encoded, type=FromCarrier)
        if isinstance(message, Told):
            events = self.heard.setdefault(message.leg, [])
            if message.seq > len(events):  # an adopted leg is told from its first event on
                events.append(message)


def _dial(number: str, leg_id: int, *, detect: bool = False) -> Dial:
    return Dial(1, leg_id, 1, number, "1900", 30.0, MAX_S, detect, 4e9)


def _scheduled(pace: Pace, leg: Leg) -> bool:
    """Whether something will move the leg, and not too late."""
    if isinstance(pace, TimedPace):
        due = leg.started + min(leg.next_due(), leg.next_idle()) / pace._speed
        return any(entry is leg and real == leg.paced == due for real, _, entry in pace._heap)
    assert isinstance(pace, FreePace)
    if any(entry is leg and number == leg.paced for _, number, entry in pace._parked):
        return leg.next_due() == math.inf
    return leg.owner is not None and any(entry is leg for _, _, entry in leg.owner.waiting)


VERBS: list[Verb] = ["play", "stop", "timer", "untimer", "record", "unrecord", "transfer", "hangup"]
COMMANDS = st.tuples(
    st.sampled_from(VERBS[:-1]) | st.sampled_from(VERBS),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.5, 1.0, 5.0]) | st.floats(0.0, 40.0),
    st.booleans(),
)
"""Verb, id, seconds and flag. Few of the seconds differ, so that much is due at one moment."""

NUMBERS = [f"0912345{ending}" for ending in (*TEST_NUMBERS, "345", "678")]
WHO_ANSWER = [f"0912345{ending}" for ending in ("001", "007", "008")]
SPEEDS = st.sampled_from([0.25, 1.0, 20.0, 999.0, FULL_SPEED]) | st.floats(0.01, 2 * FULL_SPEED)


class AnyEvening(RuleBasedStateMachine):
    """Calls, commands, clients that come and go, and time that passes, in any order and at any speed."""

    @initialize(speed=SPEEDS, seed=st.integers(0, 50))
    def open(self, speed: float, seed: int) -> None:
        self.time = StoppedTime()
        self.speed = speed
        self.pace = pace_for(speed, self.time, self.time.monotonic)
        self.log = CallLog(Path("/dev/null"))
        self.exchange = Exchange(self.log, self.pace, seed=seed)
        self.clients = [Listener(), Listener()]
        self.legs = 0
        self.ordinals = count(1)

    @rule(number=st.sampled_from(WHO_ANSWER), client=st.booleans())
    def dial_until_the_answer(self, number: str, client: bool) -> None:
        self.dial(number, client, detect=False)
        leg = self.exchange._live[self.legs]
        while leg.answered_at is None:
            self.time.pass_until(self.time.next_alarm())

    @rule(number=st.sampled_from(NUMBERS), client=st.booleans(), detect=st.booleans())
    def dial(self, number: str, client: bool, detect: bool) -> None:
        self.legs += 1
        self.exchange.dial(self.clients[client], _dial(number, self.legs, detect=detect))

    @rule(data=st.data(), commands=st.lists(COMMANDS, min_size=1, max_size=4))
    def command(self, data: st.DataObject, commands: list[tuple[Verb, int, float, bool]]) -> None:
        """Several at one moment, as scripts do."""
        leg = self._any_leg(data)
        if leg is None:
            return
        if leg.owner is None:
            self.exchange.adopt(self.clients[0], Adopt(1, [(leg.dial.leg, 4e9)]))
        if leg.owner is not None:
            for verb, id, seconds, flag in commands:
                target = "0912345001" if flag else "0912345003"
                ordinal = next(self.ordinals)
                phones = [(10**6 + ordinal, target, "1900", 20.0)] if id > 1 else []
                command = Do(leg.dial.leg, ordinal, verb, id, seconds, flag, target, phones)
                self.exchange.do(leg.owner, command)

    @rule(data=st.data(), client=st.booleans())
    def adopt(self, data: st.DataObject, client: bool) -> None:
        leg = self._any_leg(data)
        if leg is not None:
            self.exchange.adopt(self.clients[client], Adopt(1, [(leg.dial.leg, 4e9)]))

    @rule(client=st.booleans())
    def lose(self, client: bool) -> None:
        self.exchange.gone(self.clients[client])
        self.clients[client] = Listener()

    @rule(client=st.booleans(), share=st.floats(0.0, 1.0))
    def deal_with_events(self, client: bool, share: float) -> None:
        listener = self.clients[client]
        more = round((listener.sent - listener.acked) * share)
        self.exchange.ack(listener, listener.acked + more)

    @rule(seconds=st.floats(0.0, 10.0))
    def wait(self, seconds: float) -> None:
        """Carrier seconds, or real ones when the carrier's take no time."""
        self._pass(seconds if self.speed >= FULL_SPEED else seconds / self.speed)

    @rule(alarms=st.integers(1, 5))
    def wait_for_alarms(self, alarms: int) -> None:
        for _ in range(alarms):
            if self.time.next_alarm() < math.inf:
                self.time.pass_until(self.time.next_alarm())

    @invariant()
    def every_call_that_is_up_is_scheduled_at_its_earliest_step(self) -> None:
        assert all(_scheduled(self.pace, leg) for leg in self._up())

    @invariant()
    def the_timer_is_set_for_the_first_of_them(self) -> None:
        if self.speed < FULL_SPEED and self._up():
            due = min(leg.started + min(leg.next_due(), leg.next_idle()) / self.speed for leg in self._up())
            assert self.time.next_alarm() <= max(due, self.time.now) + 1e-6

    def teardown(self) -> None:
        """Nobody commands any more: the absolute limit ends them all, and none of them later."""
        if self.speed >= FULL_SPEED:
            for _ in range(20 * self.legs + 20):
                self._pass(max(HOLD_S, GRACE_S))
        else:
            self._pass((LAST_END_S + GRACE_S * self.speed) / self.speed + 1.0)
        self.log.close()
        assert not self._up()
        for events in (events for client in self.clients for events in client.heard.values()):
            last = events[-1]
            if last.what == "ended" and last.seconds is not None:
                assert last.at - last.seconds <= MAX_S + 0.001

    def _pass(self, real_seconds: float) -> None:
        self.time.pass_until(self.time.now + real_seconds)
        self.pace.sweep(self.clients)

    def _up(self) -> list[Leg]:
        return list(self.exchange._live.values())

    def _any_leg(self, data: st.DataObject) -> Leg | None:
        up = self._up()
        return data.draw(st.sampled_from(up)) if up else None


AnyEvening.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestNoCallIsEverForgotten = AnyEvening.TestCase


# ------------------------------------------------------------------ what is due at the same moment


def _timed(speed: float = 20.0) -> tuple[StoppedTime, Exchange, Listener]:
    time = StoppedTime()
    pace = pace_for(speed, time, time.monotonic)
    return time, Exchange(CallLog(Path("/dev/null")), pace, seed=1), Listener()


def _answer_second(number: str) -> float:
    answers_at = plan_call(1, number, 1).answers_at
    assert answers_at is not None
    return answers_at


@pytest.mark.parametrize("speed", [0.5, 1.0, 20.0, 999.0])
def test_a_key_at_the_very_end_of_a_prompt_does_not_stop_the_clock(speed: float) -> None:
    time, exchange, client = _timed(speed)
    exchange.dial(client, _dial("0912345007", 1))
    time.pass_until(time.now + _answer_second("0912345007") / speed + 1e-6)
    exchange.do(client, Do(1, 1, "play", 1, 0.5))
    time.pass_until(time.now + 0.6 / speed)
    assert [told.what for told in client.heard[1][-2:]] == ["digit", "played"]
    time.pass_until(time.now + (MAX_S + GRACE_S * speed) / speed)
    assert client.heard[1][-1].what == "ended"


def test_steps_of_one_moment_all_happen_in_it() -> None:
    time, exchange, client = _timed()
    exchange.dial(client, _dial("0912345001", 1))
    time.pass_until(time.now + _answer_second("0912345001") / 20.0 + 1e-6)
    for timer in (1, 2, 3):
        exchange.do(client, Do(1, timer, "timer", timer, 2.0))
    time.pass_until(time.now + 2.1 / 20.0)
    assert [told.id for told in client.heard[1] if told.what == "timer"] == [1, 2, 3]


def test_a_call_that_goes_wrong_stops_no_other() -> None:
    """A listener whose connection fails at the wrong moment, say."""

    class Failing(Listener):
        def send(self, encoded: bytes) -> None:
            super().send(encoded)
            if self.heard:
                raise RuntimeError("no")

    time, exchange, client = _timed()
    failing = Failing()
    exchange.dial(failing, _dial("0912345001", 1))
    exchange.dial(client, _dial("0912345001", 2))
    for _ in range(50):
        try:
            time.pass_until(time.now + 1.0)
        except RuntimeError:
            continue
    assert client.heard[2][-1].what == "ended"
    assert failing.heard[1][-1].what == "ended"


# ------------------------------------------------------------------ a client that does not read


@pytest.mark.anyio
async def test_a_client_that_does_not_read_is_dropped_and_its_calls_live_on(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    exchange = Exchange(CallLog(tmp_path / "log"), pace_for(20.0, loop), seed=1)
    clients: set[Client] = set()
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.setblocking(False)
        _, slow = await loop.connect_accepted_socket(
            lambda: Client(exchange, clients, 20.0, max_unsent=100_000), ours
        )
        exchange.dial(slow, _dial("0912345002", 1))
        async with asyncio.timeout(20.0):
            while clients:
                exchange.adopt(slow, Adopt(1, [(leg, 4e9) for leg in range(1, 1000)]))
                await asyncio.sleep(0)
    other = Listener()
    exchange.adopt(other, Adopt(1, [(1, 4e9)]))
    exchange.do(other, Do(1, 1, "hangup"))
    assert other.heard[1][-1].text == "cancelled"
