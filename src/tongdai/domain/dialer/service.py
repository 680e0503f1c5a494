"""The dialer: one process that claims, sends and drives calls. Any number may run on one database.

State lives in PostgreSQL. What is held here (sessions, unwritten ends) can be rebuilt by any other dialer
from the legs and the engines, and is, when this process dies.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from tongdai.domain import calls, campaigns, compliance, contacts, scripts
from tongdai.domain.dialer.claim import Claim, ClaimRules, claim
from tongdai.domain.dialer.driver import DatabaseClock, Driver
from tongdai.domain.dialer.ender import Ender
from tongdai.domain.dialer.model import Plan
from tongdai.domain.dialer.planner import Plans, Waiting, plan
from tongdai.domain.dialer.recovery import Recovery
from tongdai.domain.dialer.store import claiming, recovering
from tongdai.domain.live import LegFacts, LegResult, Session
from tongdai.kit.clock import Clock
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database, DatabaseError, Tx
from tongdai.ports.telephony import Engine

log = logging.getLogger(__name__)

FIRST_READINGS = 5
"""Of the database's clock, before the first claim."""

PREFIXES_KEPT_S = 60.0
"""How long a change of the prefix table takes to be followed."""

LoadScript = Callable[[Tx, int, int, int], Awaitable[scripts.Script]]
"""(tx, account, script, version) -> script."""


@dataclass(frozen=True, slots=True)
class DialerConfig:
    rules: ClaimRules = field(default_factory=ClaimRules)
    max_calls: int = 1000
    """Calls that one process drives at once."""
    refresh_s: float = 1.0
    """How often all running campaigns are looked at; a notification has one looked at at once."""
    pause_s: float = 0.02
    """Between claims that only follow ended calls, so that they share one."""
    sweep_s: float = 5.0
    engine_timeout_s: float = 5.0
    """After a leg's last moment to be sent, how long its engine may take to know of it."""
    grace_s: float = 2.0
    """At a stop, how long to wait for ends to be written. Live calls are left to the next dialer."""
    upkeep_s: float = 30.0


class Dialer:
    """`run` until told to stop. Engines are named as trunks name them."""

    def __init__(
        self,
        db: Database,
        engines: Mapping[str, Engine],
        keyring: Keyring,
        clock: Clock,
        *,
        load_script: LoadScript,
        config: DialerConfig | None = None,
    ) -> None:
        self._db = db
        self._engines = engines
        self._keyring = keyring
        self._clock = clock
        self._load_script = load_script
        self._config = config or DialerConfig()
        self._database_clock = DatabaseClock()
        self._scripts: dict[tuple[int, int], scripts.Script] = {}
        self._is_holiday = compliance.vietnam_holidays()
        self._ender = Ender(db, clock, on_ended=self._on_ended)
        self._driver = Driver(
            engines,
            self._database_clock,
            make_session=self._make_session,
            on_result=self._on_result,
            on_gone=self._on_engine_gone,
            on_back=self._on_engine_back,
        )
        self._recovery = Recovery(
            db,
            clock,
            engines,
            self._driver,
            on_result=self._on_result,
            is_ending=self._ender.holds,
            engine_timeout=timedelta(seconds=self._config.engine_timeout_s),
        )
        self._dialer_id = 0
        self._registered = asyncio.Event()
        self._wake = asyncio.Event()
        self._sweep_now = asyncio.Event()
        self._hinted: set[int] = set()
        self._prefixes: contacts.PrefixTable | None = None
        self._prefixes_until = 0.0
        self._plans = Plans({}, frozenset(), None, {})
        self._full: set[int] = set()
        self._turn = 0

    @property
    def dialer_id(self) -> int:
        """0 until it has registered."""
        return self._dialer_id

    # ------------------------------------------------------------------ life

    async def run(self, stop: asyncio.Event) -> None:
        """Dial until `stop` is set. The database and the engines may come and go."""
        for engine in self._engines.values():
            await engine.start()
        loops: list[Coroutine[Any, Any, None]] = [
            self._ender.run(),
            self._driver.run_sending(),
            *(self._driver.run_events(name) for name in self._engines),
            self._persistent("presence", self._be_present),
            self._persistent("claiming", self._claiming),
            self._persistent("recovery", self._recovering),
            self._persistent("upkeep", self._upkeep),
        ]
        tasks = [asyncio.create_task(loop) for loop in loops]
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
            self._registered.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ender.drained(), self._config.grace_s)
        finally:
            await _cancel([stopping, *tasks])
            for engine in self._engines.values():
                await engine.stop()

    async def _persistent(self, name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Keep a loop going through any failure of the database; other errors are logged and survived too,
        because one bad row must not stop everybody's calls."""
        while True:
            try:
                await loop()
            except DatabaseError:
                log.warning("the database did not answer", extra={"loop": name}, exc_info=True)
            except Exception:
                log.exception("a loop of the dialer failed and goes on", extra={"loop": name})
            await asyncio.sleep(0.5)

    async def _be_present(self) -> None:
        """Hold the lock that says this dialer lives, and listen for hints, on a connection of its own."""
        connection = await self._db.dedicated()
        try:
            if self._dialer_id == 0:
                self._dialer_id = await recovering.register(connection, socket.gethostname(), os.getpid())
            while not await recovering.hold_lock(connection, self._dialer_id):  # noqa: ASYNC110
                # No event tells us: after a lost connection the server notices a moment later.
                await asyncio.sleep(0.2)
            await recovering.listen(connection)
            for _ in range(FIRST_READINGS):
                await self._read_clock(connection)
            self._registered.set()
            self._wake.set()
            async for hint in connection.notifies():
                self._hinted.update(int(part) for part in hint.payload.split(",") if part.isdecimal())
                self._wake.set()
        finally:
            self._registered.clear()
            await connection.close()

    async def _read_clock(self, tx: Tx) -> None:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        database_now = await claiming.database_now(tx)
        self._database_clock.read(asked, database_now, loop.time())

    # ------------------------------------------------------------------ claiming

    async def _claiming(self) -> None:
        loop = asyncio.get_running_loop()
        due: set[int] = set()
        refresh_at = 0.0
        while True:
            await self._registered.wait()
            hinted, self._hinted = self._hinted, set()
            if loop.time() >= refresh_at or not hinted <= self._plans.dialable.keys():
                due = await self._look_around()
                refresh_at = loop.time() + self._config.refresh_s
            due |= hinted & self._plans.dialable.keys()
            wait_s = await self._claim_due(due)
            await self._rest(wait_s, refresh_at - loop.time())

    async def _rest(self, wait_s: float | None, until_refresh: float) -> None:
        """Until there may be more to claim: time moved on, a channel came free, or a hint arrived."""
        longest = max(0.0, until_refresh if wait_s is None else min(wait_s, until_refresh))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), longest)
        if self._wake.is_set() and not self._hinted:
            await asyncio.sleep(self._config.pause_s)
        self._wake.clear()

    async def _look_around(self) -> set[int]:
        async with self._db.transaction() as tx:
            await self._read_clock(tx)
            if self._prefixes is None or asyncio.get_running_loop().time() >= self._prefixes_until:
                self._prefixes = await contacts.load_prefixes(tx)
                self._prefixes_until = asyncio.get_running_loop().time() + PREFIXES_KEPT_S
            now = self._clock.now()
            self._plans = await plan(
                tx,
                now,
                is_reachable=lambda name: name in self._engines and self._engines[name].reachable,
                is_holiday=self._is_holiday,
            )
            await calls.expire_otps(tx, now, 1000)
            if self._plans.waiting:
                await claiming.say_waiting(tx, {**self._plans.waiting, **self._still_full()}, now)
        for campaign in self._plans.due:
            await self._preload(self._plans.dialable[campaign])
        return set(self._plans.due)

    async def _claim_due(self, due: set[int]) -> float | None:
        """Claim until nothing is due or no room is left. Returns when to come back, None: when woken."""
        while due and self._driver.room(self._config.max_calls):
            plans = [self._plans.dialable[campaign] for campaign in sorted(due)]
            result = await self._claim_once(plans)
            due -= result.dry
            await self._say_full(plans, result)
            if result.paced and due:
                return self._config.rules.horizon.total_seconds() * 0.4
            if not result.legs:
                return None
        return None

    async def _claim_once(self, plans: list[Plan]) -> Claim:
        assert self._prefixes is not None
        self._turn += 1
        async with self._db.transaction() as tx:
            result = await claim(
                tx,
                plans,
                dialer_id=self._dialer_id,
                rules=self._rules(),
                prefixes=self._prefixes,
                code_trunks=self._plans.code_trunks(),
                turn=self._turn,
            )
        await self._driver.send(result.legs)
        return result

    def _rules(self) -> ClaimRules:
        rules = self._config.rules
        return replace(rules, budget=min(rules.budget, self._driver.room(self._config.max_calls)))

    async def _say_full(self, plans: list[Plan], result: Claim) -> None:
        """A campaign without a free channel says so until a claim finds room for it."""
        self._full -= {plan.campaign_id for plan in plans}
        self._full |= result.full
        if result.full:
            async with self._db.transaction() as tx:
                await claiming.say_waiting(tx, self._still_full(), self._clock.now())

    def _still_full(self) -> dict[int, Waiting]:
        return dict.fromkeys(self._full & self._plans.due, ("channels_full", None))

    # ------------------------------------------------------------------ upkeep

    async def _recovering(self) -> None:
        while True:
            await self._registered.wait()
            self._sweep_now.clear()
            await self._recovery.sweep(self._dialer_id)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._sweep_now.wait(), self._config.sweep_s)

    async def _upkeep(self) -> None:
        while True:
            await asyncio.sleep(self._config.upkeep_s)
            async with self._db.transaction() as tx:
                await recovering.lower_floors(tx)
                await campaigns.finish_dry_campaigns(tx)

    # ------------------------------------------------------------------ told by the parts

    async def _preload(self, one: Plan) -> None:
        """Have the script at hand before the first slot, which does not wait for it."""
        try:
            await self._script(one.account_id, one.script_id, one.script_version)
        except scripts.ScriptNotFoundError:
            log.exception("a campaign's script cannot be loaded", extra={"campaign": one.campaign_id})

    async def _script(self, account_id: int, script_id: int, version: int) -> scripts.Script:
        """Versions never change, so one that was loaded is kept."""
        script = self._scripts.get((script_id, version))
        if script is None:
            async with self._db.transaction() as tx:
                script = await self._load_script(tx, account_id, script_id, version)
            self._scripts[script_id, version] = script
        return script

    async def _make_session(self, facts: LegFacts) -> Session:
        script = await self._script(facts.account_id, facts.script_id, facts.script_version)
        code = None if facts.secret is None else self._keyring.open(facts.secret, context="otp").decode()
        return Session(facts, script, code)

    def _on_result(self, result: LegResult) -> None:
        self._ender.put(result)

    def _on_ended(self, _: set[int]) -> None:
        self._wake.set()

    def _on_engine_gone(self, name: str) -> None:
        """Nothing that was sent is driven any more; recovery asks about it when the engine is back."""
        sent = self._driver.sent_on(name)
        log.warning("an engine cannot be reached", extra={"engine": name, "legs": len(sent)})
        self._driver.forget(sent)
        self._sweep_now.set()

    def _on_engine_back(self, name: str) -> None:
        log.info("an engine answers", extra={"engine": name})
        self._recovery.engine_is_back()
        self._sweep_now.set()
        self._wake.set()


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
