"""The calls that this process drives: their sessions, what these want done, and what is left of them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tongdai.domain import scripts
from tongdai.domain.inbound.ender import Ender
from tongdai.domain.inbound.model import InboundFacts
from tongdai.domain.inbound.session import InboundSession
from tongdai.domain.live import NumberedCommand
from tongdai.domain.live.transfers import Transfers
from tongdai.kit.db import Database, DatabaseError, Tx
from tongdai.kit.running import cancel_all
from tongdai.ports.telephony import (
    Answered,
    Engine,
    EngineUnreachableError,
    HangUp,
    LegEvent,
    Transfer,
    TransferEnded,
)

log = logging.getLogger(__name__)

LoadScript = Callable[[Tx, int, int, int], Awaitable[scripts.Script]]
"""(tx, account, script, version) -> script."""

LAST_ORDINAL = 1_000_000
"""Above every command of a script."""
SCRIPTS_KEPT = 1000


@dataclass(slots=True, eq=False)
class Held:
    """A call that is driven here."""

    session: InboundSession
    engine: Engine
    keeper_id: int
    adopted: bool = False
    waiting: deque[tuple[NumberedCommand, float]] = field(default_factory=deque)
    """A transfer that is being prepared and what follows it, each with the second that it is of."""
    busy: bool = False

    @property
    def facts(self) -> InboundFacts:
        return self.session.facts


class Driving:
    """All calls of this process, by leg. Ends go to the `ender`."""

    def __init__(self, db: Database, load_script: LoadScript, ender: Ender) -> None:
        self._db = db
        self._load_script = load_script
        self._ender = ender
        self._transfers = Transfers(db)
        self._held: dict[int, Held] = {}
        self._scripts: dict[tuple[int, int], scripts.Script] = {}
        self._tasks: set[asyncio.Task[None]] = set()

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

    def let_go(self, leg_id: int) -> None:
        """It ended elsewhere, is another's, or is unknown."""
        self._held.pop(leg_id, None)

    async def begin(self, held: Held) -> None:
        """It was accepted, or adopted."""
        await self._carry_out(held, held.session.begin(), 0.0)

    async def on_event(self, event: LegEvent) -> bool:
        """False: it is not of a call that is driven here."""
        held = self._held.get(event.leg_id)
        if held is None:
            return False
        try:
            commands, result = held.session.on(event)
        except Exception:
            log.exception("a script failed on a call", extra={"leg": event.leg_id})
            commands, result = (NumberedCommand(LAST_ORDINAL, HangUp()),), held.session.lost()
        if isinstance(event, Answered):
            self._ender.picked_up(event.leg_id)
        if isinstance(event, TransferEnded):
            self.spawn(self._transfers.over(event.leg_id, event))
        await self._carry_out(held, commands, event.at)
        if result is not None:
            self.let_go(event.leg_id)
            self._ender.put(result)
        return True

    async def _carry_out(self, held: Held, commands: Sequence[NumberedCommand], at: float) -> None:
        """In their order. A transfer waits for its channels, so it and what follows are carried out apart."""
        for numbered in commands:
            if held.busy or isinstance(numbered.command, Transfer):
                held.waiting.append((numbered, at))
                if not held.busy:
                    held.busy = True
                    self.spawn(self._carry_out_apart(held))
                continue
            try:
                await held.engine.command(held.facts.leg_id, numbered.ordinal, numbered.command)
            except EngineUnreachableError:
                return  # it is unknown until the engine is back; its events are replayed then

    async def _carry_out_apart(self, held: Held) -> None:
        leg_id = held.facts.leg_id
        try:
            while held.waiting:
                numbered, at = held.waiting.popleft()
                command = numbered.command
                if isinstance(command, Transfer):
                    command = await self._prepared(held, command, held.facts.max_s - at)
                if self._held.get(leg_id) is not held:
                    return
                await held.engine.command(leg_id, numbered.ordinal, command)
        except EngineUnreachableError:
            held.waiting.clear()
        finally:
            held.busy = False

    async def _prepared(self, held: Held, transfer: Transfer, max_s: float) -> Transfer:
        """With the phones that ring. Whoever adopted the call does not know whom it rang before."""
        prepared = await self._transfers.prepare(held.facts.leg_id, transfer, max_s)
        if prepared.legs or not held.adopted:
            held.session.rings(prepared.id, prepared.legs)
        return prepared

    async def _script(self, facts: InboundFacts) -> scripts.Script | None:
        """Versions never change, so one that was loaded is kept."""
        if facts.script_id is None or facts.script_version is None:
            return None
        key = facts.script_id, facts.script_version
        script = self._scripts.get(key)
        if script is None:
            async with self._db.transaction() as tx:
                script = await self._load_script(tx, facts.account_id, *key)
            if len(self._scripts) >= SCRIPTS_KEPT:
                self._scripts.clear()
            self._scripts[key] = script
        return script

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """In the background, for as long as this process drives calls."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        await cancel_all(list(self._tasks))
