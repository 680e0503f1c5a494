"""The calls that this process drives: their sessions, what these want done, and what is left of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tongdai.domain import scripts
from tongdai.domain.inbound.ender import Ender, PickedUp
from tongdai.domain.inbound.model import InboundFacts, InboundResult
from tongdai.domain.inbound.session import InboundSession
from tongdai.domain.live import Commands, LoadScript, NumberedCommand, ScriptCache, Transfers
from tongdai.kit.db import Database, DatabaseError
from tongdai.ports.telephony import Answered, Engine, LegEvent, Transfer, TransferEnded

log = logging.getLogger(__name__)

Wanted = tuple[NumberedCommand, ...]


@dataclass(slots=True, eq=False)
class Held:
    """A call that is driven here."""

    session: InboundSession
    engine: Engine
    keeper_id: int
    adopted: bool = False

    @property
    def facts(self) -> InboundFacts:
        return self.session.facts

    def lost(self) -> InboundResult:
        """What was heard of it; of a session that failed and cannot say, nothing."""
        try:
            return self.session.lost()
        except Exception:
            log.exception("of a call that came in nothing is known", extra={"leg": self.facts.leg_id})
            return InboundSession(self.facts, None).lost()


class Driving:
    """All calls of this process, by leg. Ends go to the `ender`."""

    def __init__(self, db: Database, load_script: LoadScript, ender: Ender) -> None:
        self._ender = ender
        self._scripts = ScriptCache(db, load_script)
        self._commands = Commands(Transfers(db), on_prepared=self._rings)
        self._held: dict[int, Held] = {}

    def get(self, leg_id: int) -> Held | None:
        return self._held.get(leg_id)

    def of_engine(self, name: str) -> Iterator[Held]:
        """As they are now, whatever is held or let go meanwhile."""
        return iter([held for held in self._held.values() if held.facts.engine == name])

    async def hold(
        self, engine: Engine, facts: InboundFacts, keeper_id: int, *, adopted: bool = False
    ) -> Held | None:
        """None: its script cannot be followed. Raises DatabaseError."""
        try:
            session = InboundSession(facts, await self._script(facts), scripts.RECORD_ANNOUNCEMENT)
        except DatabaseError:
            raise
        except Exception:
            log.exception("a call that came in has no session", extra={"leg": facts.leg_id})
            return None
        held = self._held[facts.leg_id] = Held(session, engine, keeper_id, adopted)
        return held

    async def _script(self, facts: InboundFacts) -> scripts.Script | None:
        if facts.script_id is None or facts.script_version is None:
            return None
        return await self._scripts.get(facts.account_id, facts.script_id, facts.script_version)

    def let_go(self, leg_id: int) -> None:
        """It ended elsewhere, is another's, or is unknown."""
        self._commands.drop(leg_id)
        self._held.pop(leg_id, None)

    async def begin(self, held: Held) -> None:
        """It was accepted, or adopted. Was it let go meanwhile, this is for whoever adopts it."""
        if self._held.get(held.facts.leg_id) is held:
            await self._advance(held, lambda: (held.session.begin(), None))

    async def on_event(self, event: LegEvent) -> bool:
        """False: it is not of a call that is driven here."""
        held = self._held.get(event.leg_id)
        if held is None:
            return False
        if isinstance(event, Answered):
            self._ender.put(PickedUp(event.leg_id))
        if isinstance(event, TransferEnded):
            self._commands.over(event.leg_id, event)
        await self._advance(held, lambda: held.session.on(event))
        return True

    async def _advance(self, held: Held, go_on: Callable[[], tuple[Wanted, InboundResult | None]]) -> None:
        leg_id = held.facts.leg_id
        try:
            commands, result = go_on()
        except Exception:
            log.exception("a script failed on a call", extra={"leg": leg_id})
            await self.hang_up(held.engine, leg_id)
            result = held.lost()
        else:
            await self._commands.tell(held.engine, leg_id, commands, held.session.talk_left_s())
        if result is not None:
            self.let_go(leg_id)
            self._ender.put(result)

    def _rings(self, leg_id: int, prepared: Transfer) -> None:
        """Whoever adopted the call does not know whom it rang before."""
        held = self._held.get(leg_id)
        if held is not None and (prepared.legs or not held.adopted):
            held.session.rings(prepared.id, prepared.legs)

    async def hang_up(self, engine: Engine, leg_id: int) -> None:
        """Whatever its script wants."""
        await self._commands.hang_up(engine, leg_id)

    async def stop(self) -> None:
        await self._commands.close()
