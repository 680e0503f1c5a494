"""Sends committed legs at their slot and drives their calls: events to sessions, commands to engines."""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import time
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo

from tongdai.domain.calls import Outcome
from tongdai.domain.dialer.model import TRANSIT
from tongdai.domain.live import (
    Commands,
    Guest,
    LegFacts,
    LegResult,
    Session,
    Transfers,
)
from tongdai.kit.db import DatabaseError
from tongdai.ports.telephony import (
    DialRequest,
    Engine,
    EngineBack,
    EngineGone,
    EngineRefusedError,
    EngineTooLateError,
    EngineUnreachableError,
    IncomingCall,
    IncomingGone,
    LegEvent,
    TransferEnded,
)

log = logging.getLogger(__name__)


TOO_LATE_IN_A_ROW = 100
TOO_LATE_REST_S = 5.0
"""An engine to which so many calls in a row came too late is left alone for so long: its clock is wrong, and
claiming the same calls again and again would keep the database busy for nothing."""


class DatabaseClock:
    """The database's time, from this process's steady clock and readings of the database's.

    A reading lies somewhere between its question and its answer, so of several the quickest is nearest to
    the truth. Old readings are forgotten, because clocks drift.
    """

    KEEP_S = 30.0

    def __init__(self) -> None:
        self._readings: list[tuple[float, float, float]] = []
        self._ahead_s = math.nan  # until the first reading nobody knows
        self._unsure_s = 0.0

    def read(self, asked: float, database_now: datetime, answered: float) -> None:
        """`asked` and `answered` are the event loop's time around the question."""
        fresh = [reading for reading in self._readings if answered - reading[0] < self.KEEP_S]
        ahead = database_now.timestamp() - (asked + answered) / 2
        self._readings = [*fresh, (answered, answered - asked, ahead)]
        _, took, self._ahead_s = min(self._readings, key=lambda reading: reading[1])
        self._unsure_s = took / 2

    def steady_of(self, moment: datetime) -> float:
        """When the event loop's clock shows that moment."""
        return moment.timestamp() - self._ahead_s

    def on_wall(self, moment: datetime) -> datetime:
        """What this host's own clock shows at that moment of the database's, or a little before, as far as
        that can be known. Engines know no other clock, and the two may be seconds apart."""
        left = self.steady_of(moment) - self._unsure_s - asyncio.get_running_loop().time()
        return datetime.fromtimestamp(time.time() + left, UTC)

    def now(self, zone: tzinfo) -> datetime:
        return datetime.fromtimestamp(asyncio.get_running_loop().time() + self._ahead_s, zone)


class Driver:
    """All legs that this process sends and drives. Results go to `on_result`."""

    def __init__(
        self,
        engines: Mapping[str, Engine],
        clock: DatabaseClock,
        *,
        transfers: Transfers,
        make_session: Callable[[LegFacts], Awaitable[Session]],
        on_result: Callable[[LegResult], None],
        on_gone: Callable[[str], None],
        on_back: Callable[[str], None],
        guests: Sequence[Guest] = (),
    ) -> None:
        self._engines = engines
        self._clock = clock
        self._commands = Commands(transfers)
        self._make_session = make_session
        self._on_result = on_result
        self._on_gone = on_gone
        self._on_back = on_back
        self._guests = guests
        self._sessions: dict[int, Session] = {}
        self._heard: dict[int, Session] = {}
        """Of legs whose engine went away, until it is known what became of them."""
        self._heap: list[tuple[float, int, LegFacts]] = []
        self._sends = False
        self._alarm: asyncio.TimerHandle | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._too_late: dict[str, int] = {}
        self._rests_until: dict[str, float] = {}

    # ------------------------------------------------------------------ what is held

    def holds(self, leg_id: int) -> bool:
        return leg_id in self._sessions

    def room(self, most: int) -> int:
        """How many more calls may be held."""
        return max(0, most - len(self._sessions))

    def held(self) -> list[int]:
        return list(self._sessions)

    def facts(self, leg_id: int) -> LegFacts:
        return self._sessions[leg_id].facts

    def rests(self, engine: str) -> bool:
        """True: it has taken none of many calls lately, and is given none for some seconds."""
        return asyncio.get_running_loop().time() < self._rests_until.get(engine, 0.0)

    def sent_on(self, engine: str) -> list[int]:
        """Legs that were handed to an engine, or may have been."""
        unsent = {leg_id for _, leg_id, _ in self._heap}
        return [
            leg_id
            for leg_id, session in self._sessions.items()
            if session.facts.engine == engine and leg_id not in unsent
        ]

    def forget(self, leg_ids: Iterable[int]) -> None:
        """Drop sessions whose legs ended elsewhere or belong to another dialer now."""
        for leg_id in leg_ids:
            self._sessions.pop(leg_id, None)

    def set_aside(self, leg_ids: Iterable[int]) -> None:
        """Drive these legs no more, but remember what was heard of them in case nothing more ever is."""
        for leg_id in leg_ids:
            session = self._sessions.pop(leg_id, None)
            if session is not None and session.heard:
                self._heard[leg_id] = session

    def keep_heard(self, open_legs: Container[int]) -> None:
        """Forget what was heard of legs that are not ours or have ended."""
        self._heard = {leg: session for leg, session in self._heard.items() if leg in open_legs}

    # ------------------------------------------------------------------ sending

    async def send(self, legs: Iterable[LegFacts]) -> None:
        """Take over committed legs; each goes to its engine at its slot, or back if that is missed."""
        for facts in legs:
            try:
                self._sessions[facts.leg_id] = await self._make_session(facts)
            except DatabaseError:
                self._on_result(LegResult(facts, None))
                continue
            except Exception:
                # A script that cannot be followed is our fault, and must not stop other calls.
                log.exception("a leg has no session", extra={"leg": facts.leg_id})
                self._on_result(LegResult(facts, Outcome.FAILED))
                continue
            heapq.heappush(self._heap, (self._clock.steady_of(facts.dial_at), facts.leg_id, facts))
        if self._sends:
            self._send_due()

    async def adopt_session(self, facts: LegFacts) -> None:
        """Hold a leg that somebody else sent; its events are replayed into the new session."""
        self._sessions[facts.leg_id] = await self._make_session(facts)

    async def run_sending(self) -> None:
        """For as long as this process dials; then it transfers nobody any more either."""
        self._sends = True
        try:
            self._send_due()
            await asyncio.Event().wait()
        finally:
            self._sends = False
            if self._alarm is not None:
                self._alarm.cancel()
            await self._commands.close()

    def _send_due(self) -> None:
        """What has reached its slot goes out; the next one has the clock wake it."""
        now = asyncio.get_running_loop().time()
        while self._heap and self._heap[0][0] <= now:
            facts = heapq.heappop(self._heap)[2]
            if self.holds(facts.leg_id):
                self._try_sending(facts)
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None
        if self._heap:
            self._alarm = asyncio.get_running_loop().call_at(self._heap[0][0], self._send_due)

    def _try_sending(self, facts: LegFacts) -> None:
        """One that cannot be handed over must not hold up the others."""
        try:
            self._start_sending(facts)
        except Exception:
            log.exception("a leg cannot be handed over", extra={"leg": facts.leg_id})
            self.forget([facts.leg_id])

    def _start_sending(self, facts: LegFacts) -> None:
        late = self._clock.now(UTC) > facts.dial_before
        engine = self._engines.get(facts.engine)
        if late or engine is None or not engine.reachable:
            self.give_back(facts)
            return
        task = asyncio.create_task(self._originate(facts))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _originate(self, facts: LegFacts) -> None:
        request = DialRequest(
            leg_id=facts.leg_id,
            trunk_id=facts.trunk_id,
            number=facts.dialled_number,
            caller=facts.presented_caller,
            ring_s=facts.config.ring_seconds,
            max_s=facts.config.max_call_seconds if facts.talk_s is None else facts.talk_s,
            detect_machine=facts.config.detect_voicemail or facts.secret is not None,
            dial_before=self._clock.on_wall(facts.dial_before + TRANSIT),
        )
        try:
            await self._engines[facts.engine].originate(request)
        except EngineTooLateError:
            self._note_too_late(facts.engine)
            self.give_back(facts)
        except EngineRefusedError:
            self._finish(facts.leg_id, LegResult(facts, Outcome.FAILED))
        except EngineUnreachableError:
            # Nobody drives it now: recovery asks about it once its time has passed.
            log.warning("whether a leg was sent is unknown", extra={"leg": facts.leg_id})
            self.forget([facts.leg_id])
        except Exception:
            log.exception("handing over a leg failed", extra={"leg": facts.leg_id})
            self.forget([facts.leg_id])
        else:
            self._too_late.pop(facts.engine, None)

    def _note_too_late(self, engine: str) -> None:
        self._too_late[engine] = self._too_late.get(engine, 0) + 1
        if self._too_late[engine] >= TOO_LATE_IN_A_ROW:
            log.error("every call comes too late to an engine: is its clock right?", extra={"engine": engine})
            self._rests_until[engine] = asyncio.get_running_loop().time() + TOO_LATE_REST_S
            self._too_late[engine] = 0

    def give_back(self, facts: LegFacts) -> None:
        """It was certainly not sent: the call is as if it had not been claimed."""
        self._finish(facts.leg_id, LegResult(facts, None))

    async def give_up(self, leg_id: int) -> None:
        """Its absolute limit has passed and nobody said how it ended. If it is up after all, it ends now."""
        facts = self.facts(leg_id)
        engine = self._engines.get(facts.engine)
        if engine is not None:
            await self._commands.hang_up(engine, leg_id)
        self.lose(facts)

    def lose(self, facts: LegFacts) -> None:
        """How it ended will never be known. What was heard of it is kept."""
        session = self._sessions.pop(facts.leg_id, None)
        heard = self._heard.pop(facts.leg_id, None) or session
        self._on_result(heard.lost() if heard else LegResult(facts, Outcome.LOST, rang=True))

    def _finish(self, leg_id: int, result: LegResult) -> None:
        if self._sessions.pop(leg_id, None) is not None:
            self._heard.pop(leg_id, None)
            self._on_result(result)

    # ------------------------------------------------------------------ events

    async def run_events(self, name: str) -> None:
        engine = self._engines[name]
        async for event in engine.events():
            match event:
                case EngineGone():
                    self._on_gone(name)
                    await self._tell_guests(name, event)
                case EngineBack():
                    self._on_back(name)
                    await self._tell_guests(name, event)
                case IncomingCall() | IncomingGone():
                    await self._tell_guests(name, event)
                case _:
                    await self._on_event(name, event)

    async def _tell_guests(
        self, name: str, event: EngineGone | EngineBack | IncomingCall | IncomingGone
    ) -> None:
        for guest in self._guests:
            await guest.on_engine(name, event)

    async def _on_event(self, name: str, event: LegEvent) -> None:
        session = self._sessions.get(event.leg_id)
        if session is None:
            for guest in self._guests:
                if await guest.on_event(name, event):
                    return
            return
        engine = self._engines[name]
        try:
            commands, result = session.on(event)
        except Exception:
            log.exception("a script failed on a call", extra={"leg": event.leg_id})
            await self._commands.hang_up(engine, event.leg_id)
            commands = ()
            result = LegResult(session.facts, Outcome.FAILED, rang=True, final=session.answered)
        if isinstance(event, TransferEnded):
            self._commands.over(event.leg_id, event)
        if commands:
            await self._commands.tell(engine, event.leg_id, commands, session.talk_left_s())
        if result is not None:
            self._commands.drop(event.leg_id)
            self._finish(event.leg_id, result)
