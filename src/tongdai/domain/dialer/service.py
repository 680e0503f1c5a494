"""The dialer: one process that claims, sends and drives calls. Any number may run on one database.

State lives in PostgreSQL. What is held here (sessions, unwritten ends) can be rebuilt by any other dialer
from the legs and the engines, and is, when this process dies.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from tongdai.domain import calls, campaigns, compliance
from tongdai.domain.dialer.claim import ClaimRules
from tongdai.domain.dialer.claiming import Claiming
from tongdai.domain.dialer.driver import DatabaseClock, Driver
from tongdai.domain.dialer.ender import Ender
from tongdai.domain.dialer.fleet import Fleet, MakeEngine
from tongdai.domain.dialer.presence import Presence
from tongdai.domain.dialer.recovery import Recovery
from tongdai.domain.dialer.store import recovering
from tongdai.domain.live import Guest, LegFacts, LoadScript, ScriptCache, Session, Transfers, end_orphans
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.running import cancel_all, keep_going
from tongdai.ports.telephony import Engine

if TYPE_CHECKING:
    from tongdai.domain.dialer.speech import Script, Speech
    from tongdai.domain.prompts.sounds import SoundBook

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DialerConfig:
    rules: ClaimRules = field(default_factory=ClaimRules)
    max_calls: int = 1000
    """Calls that one process drives at once."""
    look_ahead: int = 500
    """Calls of each campaign whose contacts' own words are spoken before they are due."""
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
    expiry_s: float = 1.0
    """How often one-time codes that were not dialled in time are told so."""


class Dialer:
    """`run` until told to stop.

    `engines`: those without nodes, by the name that trunks call them. `make_engine` makes one for each
    Asterisk node; None: none is used. `sounds` is what speaks there. `policies` None: the shipped ones.
    """

    def __init__(
        self,
        db: Database,
        engines: Mapping[str, Engine],
        keyring: Keyring,
        *,
        load_script: LoadScript,
        policies: compliance.PolicyBook | None = None,
        config: DialerConfig | None = None,
        make_engine: MakeEngine | None = None,
        guests: Sequence[Guest] = (),
        sounds: SoundBook | None = None,
    ) -> None:
        self._db = db
        self._guests = guests
        self._keyring = keyring
        self._config = config or DialerConfig()
        self._clock = DatabaseClock()
        self._scripts = ScriptCache(db, load_script)
        self._sweep_now = asyncio.Event()
        self._ender = Ender(
            db, self._now, on_ended=self._on_ended, is_awaited=lambda: self._claiming.is_starved
        )
        self._speech = (
            None if sounds is None else _speech(db, sounds, self._scripts.get, self._config.look_ahead)
        )
        self._fleet = Fleet(
            db,
            keyring,
            engines,
            make_engine,
            hear=self._hear,
            on_gone=self._on_engine_gone,
            guests=guests,
        )
        self._engines = self._fleet.engines
        self._driver = Driver(
            self._engines,
            self._clock,
            transfers=Transfers(db),
            make_session=self._make_session,
            on_result=self._ender.put,
            on_gone=self._on_engine_gone,
            on_back=self._on_engine_back,
            guests=guests,
        )
        self._presence = Presence(db, self._clock, self._on_hint)
        self._claiming = Claiming(
            db,
            self._driver,
            self._presence,
            rules=self._config.rules,
            max_calls=self._config.max_calls,
            refresh_s=self._config.refresh_s,
            pause_s=self._config.pause_s,
            is_reachable=self._may_take_calls,
            preload=self._scripts.get,
            policies=policies or compliance.load_policies(),
            stations=self._fleet.stations,
            why_mute=lambda plan: None if self._speech is None else self._speech.why_not(plan),
        )
        self._recovery = Recovery(
            db,
            self._now,
            self._engines,
            self._driver,
            on_wall=self._clock.on_wall,
            is_ending=self._ender.holds,
            engine_timeout=timedelta(seconds=self._config.engine_timeout_s),
        )

    @property
    def dialer_id(self) -> int:
        """0 until it has registered."""
        return self._presence.dialer_id

    # ------------------------------------------------------------------ life

    async def run(self, stop: asyncio.Event) -> None:
        """Dial until `stop` is set. The database and the engines may come and go."""
        await self._fleet.start()
        loops: list[Coroutine[Any, Any, None]] = [
            self._ender.run(),
            self._driver.run_sending(),
            self._fleet.run(),
            *(keep_going("guest", guest.run) for guest in self._guests),
            *(() if self._speech is None else (keep_going("speech", self._speech.run),)),
            keep_going("presence", self._presence.hold),
            keep_going("claiming", self._claiming.run),
            keep_going("recovery", self._recovering),
            keep_going("expiry", self._expiring),
            keep_going("upkeep", self._upkeep),
        ]
        tasks = [asyncio.create_task(loop) for loop in loops]
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
            self._presence.leave()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._config.grace_s):
                    await self._ender.drained()
        finally:
            await cancel_all([stopping, *tasks])
            await self._fleet.stop()

    async def _recovering(self) -> None:
        while True:
            dialer_id = await self._presence.wait()
            self._sweep_now.clear()
            await self._recovery.sweep(dialer_id, partial(self._presence.is_under, dialer_id))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._config.sweep_s):
                    await self._sweep_now.wait()

    async def _expiring(self) -> None:
        while True:
            await self._presence.wait()
            async with self._db.transaction() as tx:
                await calls.expire_otps(tx, self._now(), 1000)
            await asyncio.sleep(self._config.expiry_s)

    async def _upkeep(self) -> None:
        while True:
            await asyncio.sleep(self._config.upkeep_s)
            async with self._db.transaction() as tx:
                await recovering.lower_floors(tx)
            async with self._db.transaction() as tx:
                await end_orphans(tx)
            async with self._db.transaction() as tx:
                await campaigns.finish_dry_campaigns(tx)

    # ------------------------------------------------------------------ told by the parts

    async def _hear(self, engine: str) -> None:
        await self._driver.run_events(engine)

    def _now(self) -> datetime:
        """The database's clock, which all stored times are of."""
        return self._clock.now(UTC)

    async def _make_session(self, facts: LegFacts) -> Session:
        script = await self._scripts.get(facts.account_id, facts.script_id, facts.script_version)
        code = None if facts.secret is None else self._keyring.open(facts.secret, context="otp").decode()
        if self._speech is not None and self._fleet.speaks(facts.engine):
            self._speech.warm(facts, script)
        return Session(facts, script, code)

    def _may_take_calls(self, engine: str) -> bool:
        known = self._engines.get(engine)
        return known is not None and known.reachable and not self._driver.rests(engine)

    def _on_hint(self, campaign_ids: frozenset[int] | None) -> None:
        self._claiming.hint(campaign_ids)

    def _on_ended(self) -> None:
        self._claiming.wake()

    def _on_engine_gone(self, name: str) -> None:
        """Nothing that was sent is driven any more; recovery asks about it when the engine is back."""
        sent = self._driver.sent_on(name)
        log.warning("an engine cannot be reached", extra={"engine": name, "legs": len(sent)})
        self._driver.set_aside(sent)
        self._sweep_now.set()

    def _on_engine_back(self, name: str) -> None:
        log.info("an engine answers", extra={"engine": name})
        self._recovery.engine_is_back()
        self._sweep_now.set()
        self._claiming.hint(None)


def _speech(db: Database, sounds: SoundBook, script: Script, look_ahead: int) -> Speech:
    # Sound is worked on with a library that only processes in need of sound load.
    from tongdai.domain.dialer.speech import Speech

    return Speech(db, sounds, script, look_ahead=look_ahead)
