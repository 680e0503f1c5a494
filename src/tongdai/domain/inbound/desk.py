"""Who hears the calls that come in on a node, and takes them: a guest of the dialer's engines.

A node has one keeper at a time, among all dialers that can reach it: whoever holds the advisory lock
(7342, node), which the server frees however the keeper ends. The keeper writes a call down, with its leg and
its channels, before it accepts it; the legs of keepers before it are its own from then on, once it has asked
the node what became of them. State lives in PostgreSQL; what is held here can be rebuilt from both.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeGuard

from tongdai.domain.inbound.driving import Driving
from tongdai.domain.inbound.ender import Ender
from tongdai.domain.inbound.model import Arrival, InboundFacts, Rules, Taken, kept_text, node_of
from tongdai.domain.inbound.service import take
from tongdai.domain.inbound.session import InboundSession
from tongdai.domain.inbound.store import keeping as store
from tongdai.domain.live import LoadScript
from tongdai.kit.db import Database, DatabaseError, Tx
from tongdai.kit.running import cancel_all, keep_going
from tongdai.ports.telephony import (
    EndCause,
    Engine,
    EngineBack,
    EngineGone,
    EngineRefusedError,
    EngineUnreachableError,
    IncomingCall,
    IncomingEngine,
    IncomingGone,
    LegEvent,
    LegKnowledge,
)

log = logging.getLogger(__name__)

TAKEN_AT_ONCE = 4
"""Arrivals that are being written down at a time: each needs a connection."""
LONG_AGO = -1e9


@dataclass(frozen=True, slots=True)
class DeskConfig:
    rules: Rules = field(default_factory=Rules)
    look_s: float = 1.0
    """How often nodes without a keeper are looked for."""
    sweep_s: float = 5.0
    """How often a keeper looks for legs that nobody drives."""
    engine_timeout_s: float = 5.0
    """After a leg's last moment to be accepted, how long its engine may take to know of it."""
    grace_s: float = 2.0
    """At a stop, how long to wait for ends to be written."""


@dataclass(slots=True)
class _Station:
    """An engine that calls come in on."""

    name: str
    engine: IncomingEngine
    keeper_id: int = 0
    """0: somebody else is its keeper, or nobody."""
    swept_at: float = LONG_AGO
    removed: bool = False
    """True: it goes at the next look, and its lock with it."""


def hears(engine: Engine) -> TypeGuard[IncomingEngine]:
    """Whether calls can come in on an engine."""
    return hasattr(engine, "hear_incoming")


class Desk:
    """`domain.live.Guest`: takes calls that come in on the engines of the dialer that it lives in."""

    def __init__(self, db: Database, *, load_script: LoadScript, config: DeskConfig | None = None) -> None:
        self._db = db
        self._config = config or DeskConfig()
        self._ender = Ender(db)
        self._driving = Driving(db, load_script, self._ender)
        self._stations: dict[str, _Station] = {}
        self._arriving: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._marking: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(TAKEN_AT_ONCE)
        self._look = asyncio.Event()
        self._gave_up_at = LONG_AGO
        self._locked: set[int] = set()
        """Nodes whose locks are held. A lock that is taken twice is to be freed twice."""

    # ------------------------------------------------------------------ told by the dialer

    def engine_added(self, name: str, engine: Engine) -> None:
        if hears(engine):
            self._stations[name] = _Station(name, engine)
            self._look.set()

    def engine_removed(self, name: str) -> None:
        self._set_aside(name)
        station = self._stations.get(name)
        if station is not None:
            station.removed = True
            self._look.set()

    async def on_engine(
        self, name: str, event: EngineGone | EngineBack | IncomingCall | IncomingGone
    ) -> None:
        station = self._stations.get(name)
        if station is None:
            return
        match event:
            case IncomingCall():
                self._arrive(station, event)
            case IncomingGone():
                pass  # accepting it says so, and it is written down as missed
            case EngineGone():
                self._set_aside(name)
                self._look.set()
            case EngineBack():
                station.swept_at = LONG_AGO
                self._look.set()

    async def on_event(self, name: str, event: LegEvent) -> bool:
        return await self._driving.on_event(event)

    def _set_aside(self, name: str) -> None:
        """Its calls are unknown from now on: what is still up is adopted by whoever is its keeper next."""
        legs = [held.facts.leg_id for held in self._driving.of_engine(name)]
        for leg_id in legs:
            self._driving.let_go(leg_id)
        if legs:
            log.warning("calls that came in are unknown", extra={"engine": name, "legs": len(legs)})
            marking = asyncio.create_task(self._mark_unknown(legs))
            self._marking.add(marking)
            marking.add_done_callback(self._marking.discard)

    async def _mark_unknown(self, leg_ids: Sequence[int]) -> None:
        with suppress(DatabaseError):
            async with self._db.transaction() as tx:
                await store.mark_unknown(tx, leg_ids)

    # ------------------------------------------------------------------ arrivals

    def _arrive(self, station: _Station, call: IncomingCall) -> None:
        """Told again, a call that is being taken or driven already is passed over."""
        key = (station.name, call.channel)
        driven = any(held.facts.channel == call.channel for held in self._driving.of_engine(station.name))
        if key in self._arriving or driven or not station.keeper_id:
            return
        task = asyncio.create_task(self._take(station, call), name="an incoming call")
        self._arriving[key] = task
        task.add_done_callback(lambda _: self._arriving.pop(key, None))

    async def _take(self, station: _Station, call: IncomingCall) -> None:
        try:
            await self._take_in(station, call)
        except EngineUnreachableError:
            log.warning("whether a call was accepted is unknown", extra={"engine": station.name})
        except Exception:
            log.exception("a call that came in was not taken", extra={"engine": station.name})
            with suppress(EngineUnreachableError):
                await station.engine.refuse(call.channel, EndCause.CONGESTION)

    async def _take_in(self, station: _Station, call: IncomingCall) -> None:
        arrival = Arrival(station.name, call.channel, call.trunk_id, call.caller, call.called)
        async with self._room, self._db.transaction() as tx:
            taken = await take(tx, arrival, station.keeper_id, self._config.rules)
        if taken.facts is None:
            if not taken.known:
                told = {"engine": station.name, "trunk": call.trunk_id, "called": kept_text(call.called)}
                log.warning(
                    "a call came in for a number that is no hotline of its trunk's account", extra=told
                )
            await station.engine.refuse(call.channel, _refusal(taken))
            return
        facts = taken.facts
        held = await self._driving.hold(station.engine, facts, station.keeper_id)
        if held is None:
            self._ender.put(InboundSession(facts, None).lost())
            await station.engine.refuse(call.channel, EndCause.CONGESTION)
            return
        try:
            await station.engine.accept(call.channel, facts.leg_id, facts.max_s)
        except EngineRefusedError:
            self._driving.let_go(facts.leg_id)
            self._ender.put(held.session.given_up())
        except EngineUnreachableError:
            # The node is asked about the leg when it answers again.
            self._driving.let_go(facts.leg_id)
            raise
        else:
            await self._driving.begin(held)

    # ------------------------------------------------------------------ keeping

    async def run(self) -> None:
        """Keep what nobody else keeps, until cancelled."""
        ending = asyncio.create_task(keep_going("ends of incoming calls", self._ender.run))
        try:
            await keep_going("incoming calls", self._keep)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._config.grace_s):
                    await self._ender.drained()
            await cancel_all([ending, *self._arriving.values(), *self._marking])
            await self._driving.stop()

    async def _keep(self) -> None:
        connection = await self._db.dedicated()
        self._locked.clear()
        try:
            while True:
                self._look.clear()
                for station in list(self._stations.values()):
                    await self._look_at(connection, station)
                await store.still_there(connection)
                await self._give_up_overdue()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._config.look_s):
                        await self._look.wait()
        finally:
            for station in self._stations.values():
                await self._resign(station)
            await connection.close()

    async def _look_at(self, connection: Tx, station: _Station) -> None:
        if station.removed or not station.engine.reachable:
            await self._leave(connection, station)
        elif station.keeper_id or await self._become_keeper(connection, station):
            await self._sweep_now_and_then(station)

    async def _leave(self, connection: Tx, station: _Station) -> None:
        """Somebody else may reach the node."""
        if station.keeper_id:
            await self._resign(station)
            await self._unlock(connection, station)
        if station.removed and self._stations.get(station.name) is station:
            del self._stations[station.name]

    async def _become_keeper(self, connection: Tx, station: _Station) -> bool:
        node_id = node_of(station.name)
        if node_id not in self._locked and not await store.try_lock(connection, node_id):
            return False
        self._locked.add(node_id)
        station.keeper_id = await store.new_keeper(connection)
        station.swept_at = LONG_AGO
        try:
            await station.engine.hear_incoming(True)
        except EngineUnreachableError:
            await self._resign(station)
            await self._unlock(connection, station)
            return False
        log.info("calls that come in are heard", extra={"engine": station.name})
        return True

    async def _unlock(self, connection: Tx, station: _Station) -> None:
        node_id = node_of(station.name)
        await store.unlock(connection, node_id)
        self._locked.discard(node_id)

    async def _resign(self, station: _Station) -> None:
        """What is driven goes on until another keeper adopts it."""
        if station.keeper_id:
            station.keeper_id = 0
            with suppress(EngineUnreachableError):
                await station.engine.hear_incoming(False)

    # ------------------------------------------------------------------ what nobody drives

    async def _sweep_now_and_then(self, station: _Station) -> None:
        now = asyncio.get_running_loop().time()
        if now >= station.swept_at + self._config.sweep_s:
            if station.swept_at != LONG_AGO:
                await self._hear_again(station)
            station.swept_at = now
            await self._sweep(station)

    async def _hear_again(self, station: _Station) -> None:
        """A keeper before, who did not know yet that it is none any more, may have asked later than this one;
        an engine tells its calls to whoever asked last, and to nobody when that one is gone."""
        with suppress(EngineUnreachableError):
            await station.engine.hear_incoming(True)

    async def _sweep(self, station: _Station) -> None:
        """Take over what keepers before have left, and ask the node about open legs that nobody drives."""
        driven = [held.facts.leg_id for held in self._driving.of_engine(station.name)]
        async with self._db.transaction() as tx:
            left = await store.take_over(tx, station.name, station.keeper_id)
            open_legs = await store.open_legs(tx, station.name)
            self._follow(station, driven, left, open_legs)
            strays = await store.facts(tx, [leg for leg in open_legs if self._driving.get(leg) is None])
            now = await store.database_now(tx)
        timeout = timedelta(seconds=self._config.engine_timeout_s)
        due = [
            one for one in strays if one.dial_before + timeout <= now and not self._ender.holds(one.leg_id)
        ]
        due = [one for one in due if self._driving.get(one.leg_id) is None]
        if due:
            log.warning("calls that came in are adopted", extra={"engine": station.name, "legs": len(due)})
            await self._adopt(station, due)

    def _follow(
        self, station: _Station, driven: Sequence[int], left: Mapping[int, int], open_legs: set[int]
    ) -> None:
        """Let go of calls that ended elsewhere, and of those that another keeper has had since."""
        for leg_id in driven:
            held = self._driving.get(leg_id)
            if held is None:
                continue
            if leg_id not in open_legs or left.get(leg_id, held.keeper_id) != held.keeper_id:
                self._driving.let_go(leg_id)
            else:
                held.keeper_id = station.keeper_id

    async def _adopt(self, station: _Station, legs: Sequence[InboundFacts]) -> None:
        """Hold a session for each before asking, so that no replayed event is missed."""
        held: list[InboundFacts] = []
        try:
            for facts in legs:
                if await self._driving.hold(station.engine, facts, station.keeper_id, adopted=True):
                    held.append(facts)  # noqa: PERF401 - what is held so far must be known when this fails
            known = await station.engine.adopt([facts.ref() for facts in held])
        except EngineUnreachableError:
            for facts in held:
                self._driving.let_go(facts.leg_id)
            await self._mark_unknown([facts.leg_id for facts in held])
            return
        except BaseException:
            for facts in held:
                self._driving.let_go(facts.leg_id)
            raise
        for facts in held:
            await self._act_on(facts, known.get(facts.leg_id))

    async def _act_on(self, facts: InboundFacts, knowledge: LegKnowledge | None) -> None:
        """None: it could not be asked about, and will be again."""
        held = self._driving.get(facts.leg_id)
        if held is None:
            return
        if knowledge is LegKnowledge.REPLAYED:
            await self._driving.begin(held)
            return
        self._driving.let_go(facts.leg_id)
        if knowledge is None:
            await self._mark_unknown([facts.leg_id])
            return
        never = knowledge is LegKnowledge.NEVER_SEEN
        self._ender.put(held.session.given_up() if never else held.lost())

    async def _give_up_overdue(self) -> None:
        """Legs whose absolute limit has passed, whoever drives them. If one is up after all, it ends now."""
        now = asyncio.get_running_loop().time()
        if now < self._gave_up_at + self._config.sweep_s:
            return
        self._gave_up_at = now
        async with self._db.transaction() as tx:
            overdue = await store.overdue(tx)
        for facts in overdue:
            await self._give_up(facts)

    async def _give_up(self, facts: InboundFacts) -> None:
        held, station = self._driving.get(facts.leg_id), self._stations.get(facts.engine)
        if station is not None and station.engine.reachable:
            await self._driving.hang_up(station.engine, facts.leg_id)
        self._driving.let_go(facts.leg_id)
        self._ender.put(InboundSession(facts, None).lost() if held is None else held.lost())


def _refusal(taken: Taken) -> EndCause:
    return EndCause.BUSY if taken.known else EndCause.UNALLOCATED
