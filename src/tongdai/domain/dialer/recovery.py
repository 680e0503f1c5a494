"""What became of legs that nobody drives: of dialers that died, of commits whose answer was lost, of engines
that went away (ARCHITECTURE section 5, steps 5 and 6).

A leg is judged only after its `dial_before` and the engine's time-out have passed, by asking the engine; what
the engine cannot say stays unknown, with its channel and its person, until its absolute limit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tongdai.domain import live
from tongdai.domain.dialer.driver import Driver
from tongdai.domain.dialer.store import recovering as store
from tongdai.domain.live import LegFacts
from tongdai.kit.db import Database, DatabaseError
from tongdai.ports.telephony import Engine, EngineUnreachableError, LegKnowledge, LegRef

log = logging.getLogger(__name__)


JUDGED_AT_ONCE = 500
ADOPTED_AT_ONCE = 1000


class Recovery:
    """Run `sweep` at start, every few seconds, and when an engine is back."""

    def __init__(
        self,
        db: Database,
        now: Callable[[], datetime],
        engines: Mapping[str, Engine],
        driver: Driver,
        *,
        on_wall: Callable[[datetime], datetime],
        is_ending: Callable[[int], bool],
        engine_timeout: timedelta,
    ) -> None:
        self._db = db
        self._now = now
        self._engines = engines
        self._driver = driver
        self._on_wall = on_wall
        self._is_ending = is_ending
        self._engine_timeout = engine_timeout
        self._unknown: dict[int, tuple[datetime, str]] = {}
        """Until when nobody asks about a leg again, unless its engine is there to be asked."""
        self._asked_at: dict[int, datetime] = {}
        """When an engine was last asked for the events of a leg that is driven."""

    async def sweep(self, dialer_id: int, is_still_ours: Callable[[], bool]) -> None:
        """Adopt what dead dialers left, then judge every open leg of ours that nobody drives.

        `is_still_ours`: False once this dialer has another id, or none. What was read then says nothing of
        the legs that it holds.
        """
        open_legs = await self._take_over(dialer_id)
        if not is_still_ours():
            return
        now = self._now()
        self._unknown = {leg: until for leg, until in self._unknown.items() if leg in open_legs}
        self._asked_at = {leg: asked for leg, asked in self._asked_at.items() if leg in open_legs}
        self._driver.forget(
            [leg for leg in self._driver.held() if leg not in open_legs and self._is_old(leg)]
        )
        self._driver.keep_heard(open_legs)
        strays = [leg_id for leg_id, before in open_legs.items() if self._is_stray(leg_id, before, now)]
        for start in range(0, len(strays), JUDGED_AT_ONCE):
            await self._judge(strays[start : start + JUDGED_AT_ONCE], now)
        await self._give_up_driven(now)

    async def _take_over(self, dialer_id: int) -> dict[int, datetime]:
        adopted = ADOPTED_AT_ONCE
        while adopted == ADOPTED_AT_ONCE:
            async with self._db.transaction() as tx:
                adopted = await store.adopt_dead(tx, dialer_id)
                open_legs = await store.my_open_legs(tx, dialer_id)
            if adopted:
                log.warning("legs of a dialer that is gone were adopted", extra={"legs": adopted})
        return open_legs

    def _is_stray(self, leg_id: int, dial_before: datetime, now: datetime) -> bool:
        """Nobody drives it, its time has passed, and it is not known to be unknown for longer."""
        return (
            not self._driver.holds(leg_id)
            and not self._is_ending(leg_id)
            and dial_before + self._engine_timeout <= now
            and not self._must_wait(leg_id, now)
        )

    def _must_wait(self, leg_id: int, now: datetime) -> bool:
        """An engine may have come back while it was written down that it is away, so it is looked at anew."""
        until, name = self._unknown.get(leg_id, (now, ""))
        engine = self._engines.get(name)
        return until > now and (engine is None or not engine.reachable)

    def _is_old(self, leg_id: int) -> bool:
        """Legs committed after the list was read are not in it."""
        return self._driver.facts(leg_id).dial_before + self._engine_timeout <= self._now()

    async def _judge(self, leg_ids: Sequence[int], now: datetime) -> None:
        async with self._db.transaction() as tx:
            legs = await store.leg_facts(tx, leg_ids)
        by_engine: dict[str, list[LegFacts]] = {}
        for facts in legs:
            by_engine.setdefault(facts.engine, []).append(facts)
        for name, of_engine in by_engine.items():
            try:
                await self._ask(name, of_engine, now)
            except DatabaseError:
                raise
            except Exception:
                # What one engine says makes no sense: legs of others are not to wait for that.
                log.exception("an engine could not be asked about legs", extra={"engine": name})
                await self._keep_unknown(of_engine, now)

    async def _ask(self, name: str, legs: Sequence[LegFacts], now: datetime) -> None:
        """Hold a session for each leg before asking, so that no replayed event is missed."""
        engine = self._engines.get(name)
        if engine is None or not engine.reachable:
            await self._keep_unknown(legs, now)
            return
        held: list[LegFacts] = []
        try:
            for facts in legs:
                if await self._hold(facts):
                    held.append(facts)  # noqa: PERF401 - what is held so far must be known when this fails
            known = await engine.adopt([self._ref(facts) for facts in held])
        except EngineUnreachableError:
            self._driver.forget(facts.leg_id for facts in held)
            await self._keep_unknown(held, now)
            return
        except BaseException:
            # Held but never asked about, they would not be strays and nobody would ask again.
            self._driver.forget(facts.leg_id for facts in held)
            raise
        await self._act_on(held, known, now)

    def _ref(self, facts: LegFacts) -> LegRef:
        """Its slot by this host's clock, since the database's is not known to engines."""
        return replace(facts.ref(), dial_at=self._on_wall(facts.dial_at))

    async def _act_on(
        self, legs: Sequence[LegFacts], known: Mapping[int, LegKnowledge], now: datetime
    ) -> None:
        for facts in legs:
            match known.get(facts.leg_id):
                case LegKnowledge.REPLAYED:
                    self._asked_at[facts.leg_id] = now
                case LegKnowledge.NEVER_SEEN:
                    self._driver.give_back(facts)
                case LegKnowledge.FORGOTTEN:
                    # Reconciled: it is not up any more, and nobody will ever say how it ended.
                    self._driver.lose(facts)
                case None:
                    self._driver.forget([facts.leg_id])
        await self._keep_unknown([facts for facts in legs if facts.leg_id not in known], now)

    async def _hold(self, facts: LegFacts) -> bool:
        """False: it cannot be driven (its script or its secret cannot be read), so it stays unknown."""
        try:
            await self._driver.adopt_session(facts)
        except DatabaseError:
            raise
        except Exception:
            log.exception("an adopted leg has no session", extra={"leg": facts.leg_id})
            await self._keep_unknown([facts], self._now(), whatever_comes=True)
            return False
        return True

    async def _keep_unknown(
        self, legs: Sequence[LegFacts], now: datetime, *, whatever_comes: bool = False
    ) -> None:
        """Unknown is not dead: it keeps what it holds until its absolute limit; only then it is lost.

        `whatever_comes`: it is no fault of the engine's, so an engine that can be asked changes nothing.
        """
        waiting = []
        for facts in legs:
            if facts.gives_up_at <= now:
                self._unknown.pop(facts.leg_id, None)
                self._driver.lose(facts)
            else:
                waiting.append(facts)
                self._unknown[facts.leg_id] = (facts.gives_up_at, "" if whatever_comes else facts.engine)
        if waiting:
            async with self._db.transaction() as tx:
                await live.mark_unknown(tx, [facts.leg_id for facts in waiting])

    def engine_is_back(self) -> None:
        """Ask again about what was unknown."""
        self._unknown.clear()

    async def _give_up_driven(self, now: datetime) -> None:
        """A leg whose end never came, though its engine answers. One that was asked about just now is left
        alone until its events have had time to arrive."""
        for leg_id in self._driver.held():
            asked_at = self._asked_at.get(leg_id)
            settled = asked_at is None or asked_at + self._engine_timeout <= now
            if settled and self._driver.facts(leg_id).gives_up_at <= now:
                await self._driver.give_up(leg_id)
