"""Calls that come in on a node: heard by one client at a time, who keeps the node's trunks meanwhile."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from tongdai.adapters.asterisk.dialplan import END_HANDLER, INCOMING_APP, PURGE_CONTEXT
from tongdai.adapters.asterisk.heard import INCOMING_EVENTS, Channel, Heard
from tongdai.adapters.asterisk.journal import Journal
from tongdai.adapters.asterisk.leg import Leg
from tongdai.adapters.asterisk.link import Link, connect, listed
from tongdai.ports.telephony import (
    EndCause,
    EngineRefusedError,
    EngineUnreachableError,
    IncomingCall,
    IncomingGone,
)

if TYPE_CHECKING:
    from tongdai.adapters.asterisk.engine import AsteriskEngine

logger = logging.getLogger(__name__)

RINGS_S = 20.0
"""A call that nobody accepts or refuses is refused after so long, and the carrier may try elsewhere."""
SLACK_S = 10.0
"""Beyond its limit, until Asterisk ends by itself a call that nobody ends."""
RECONNECT_S = 0.5
PURGE_EVERY_S = 24 * 3600.0
PURGED_DAYS = range(3, 11)
"""The ends of calls of so many days ago are forgotten; younger ones may still be asked for."""
_REASONS = {EndCause.BUSY: 17, EndCause.UNALLOCATED: 1, EndCause.CONGESTION: 34}
_NORMAL = 16


@dataclass(slots=True)
class _Ringing:
    trunk_id: int
    refusal: asyncio.TimerHandle


class Incoming:
    """The incoming side of one engine."""

    def __init__(self, engine: AsteriskEngine) -> None:
        self._engine = engine
        self._wanted = False
        self._task: asyncio.Task[None] | None = None
        self._link: Link | None = None
        self._ringing: dict[str, _Ringing] = {}
        self._purged_at: float | None = None

    # -------------------------------------------------------------- hearing

    async def hear(self, wanted: bool) -> None:
        self._wanted = wanted
        if wanted:
            self.connected()
        else:
            await self.stop()

    def connected(self) -> None:
        """The engine has its connection."""
        if self._wanted and self._task is None and self._engine.reachable:
            self._task = asyncio.get_running_loop().create_task(self._keep_hearing())

    def disconnected(self) -> None:
        """What rings is told again after the engine is back."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._hang_up_link()

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._hang_up_link()

    def _hang_up_link(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        for one in self._ringing.values():
            one.refusal.cancel()
        self._ringing.clear()

    async def _keep_hearing(self) -> None:
        engine, me = self._engine, asyncio.current_task()
        keeping = asyncio.ensure_future(self._keep_trunks())
        try:
            while self._wanted and self._task is me:
                early: list[Heard] = []
                hear = partial(self._on_heard, early)
                link = await connect(
                    engine.node, INCOMING_APP, hear, answer_timeout_s=engine.answer_timeout_s
                )
                if link is not None:
                    self._link = link
                    for heard in early:
                        hear(heard)
                    with suppress(EngineUnreachableError):
                        await self._hear_those_that_ring(link)
                        await asyncio.shield(link.closed)
                    link.abort()
                    self._link = None
                    self._all_gone()
                await asyncio.sleep(RECONNECT_S)
        finally:
            keeping.cancel()
            if self._task is me:
                self._task = None

    async def _keep_trunks(self) -> None:
        engine = self._engine
        self._purge()
        while True:
            # For as long as the engine's connection lives; the next one begins with a provisioner of its own.
            with suppress(EngineUnreachableError):
                await engine.trunks.keep(engine.node.id)
            await asyncio.sleep(RECONNECT_S)

    def _purge(self) -> None:
        """Forget the ends of calls that nobody will ask for any more."""
        now = time.monotonic()
        if self._purged_at is not None and now < self._purged_at + PURGE_EVERY_S:
            return
        self._purged_at = now
        today = datetime.now(UTC)
        for days in PURGED_DAYS:
            day = (today - timedelta(days=days)).strftime("%Y%m%d")
            endpoint = quote(f"Local/{day}@{PURGE_CONTEXT}")
            self._engine.send("POST", f"channels?endpoint={endpoint}&app={self._engine.app}&timeout=5")

    async def _hear_those_that_ring(self, link: Link) -> None:
        """Raises EngineUnreachableError."""
        await listed(link, INCOMING_EVENTS)
        reply = await link.ask("GET", f"applications/{INCOMING_APP}")
        for name in reply.json().get("channel_ids", ()) if reply.ok else ():
            there = await link.ask("GET", f"channels/{quote(name)}")
            accepted = await link.ask("GET", f"channels/{quote(name)}/variable?variable=TDLEG")
            if there.ok and not (accepted.ok and accepted.json().get("value")):
                channel = msgspec.convert(there.json(), Channel)
                data = channel.dialplan.app_data if channel.dialplan is not None else ""
                self._came(channel, data.split(",")[1:])

    def _on_heard(self, early: list[Heard], heard: Heard) -> None:
        if self._link is None:
            # It came in one breath with the handshake: nothing can be asked on the connection yet.
            early.append(heard)
        elif heard.type == "ApplicationReplaced":
            # Whoever asked last hears them.
            self._wanted = False
            self._link.abort()
        elif heard.channel is not None:
            if heard.type == "StasisStart":
                self._came(heard.channel, heard.args)
            elif heard.type in {"StasisEnd", "ChannelDestroyed"}:
                self._gone(heard.channel.id)

    def _came(self, channel: Channel, args: list[str]) -> None:
        if channel.id in self._ringing:
            return
        if not args or not args[0].isdecimal():
            logger.warning("a call came in over no trunk of ours", extra={"node": self._engine.node.id})
            self._send("DELETE", f"channels/{quote(channel.id)}?reason_code={_REASONS[EndCause.UNALLOCATED]}")
            return
        self._send("POST", f"channels/{quote(channel.id)}/ring")
        refusal = self._engine.later(RINGS_S, self._refuse_unheard, channel.id)
        self._ringing[channel.id] = _Ringing(int(args[0]), refusal)
        called = args[1] if len(args) > 1 else channel.dialplan.exten if channel.dialplan else ""
        caller = channel.caller.number if channel.caller is not None else ""
        self._engine.tell(IncomingCall(channel.id, int(args[0]), caller, called, datetime.now(UTC)))

    def _refuse_unheard(self, channel: str) -> None:
        self.refuse(channel, EndCause.CONGESTION)
        self._engine.tell(IncomingGone(channel))

    def _gone(self, channel: str) -> None:
        one = self._ringing.pop(channel, None)
        if one is not None:
            one.refusal.cancel()
            self._engine.tell(IncomingGone(channel))

    def _all_gone(self) -> None:
        for channel in list(self._ringing):
            self._gone(channel)

    # -------------------------------------------------------------- accepting and refusing

    async def accept(self, channel: str, leg_id: int, max_s: float) -> None:
        """Raises EngineRefusedError, EngineUnreachableError."""
        one = self._ringing.pop(channel, None)
        if one is None:
            raise EngineRefusedError("the call has gone")
        one.refusal.cancel()
        engine = self._engine
        journal = Journal(leg_id, round(time.time(), 3), one.trunk_id, 0.0, max_s, inbound=True)
        leg = Leg(engine, journal, channel, engine.now())
        engine.legs[leg_id] = leg
        leg.begin()
        leg.limit_to(max_s)
        name = quote(channel)
        try:
            source = quote(f"channel:{channel}")
            heard = await engine.ask("POST", f"applications/{engine.app}/subscription?eventSource={source}")
            push = f"variable={quote('CHANNEL(hangup_handler_push)')}&value={quote(END_HANDLER)}"
            engine.send("POST", f"channels/{name}/variable?{push}")
            limit = f"variable=TIMEOUT(absolute)&value={max_s + SLACK_S:.3f}"
            engine.send("POST", f"channels/{name}/variable?{limit}")
            leg.copy.write()
            marked = await engine.ask("POST", f"channels/{name}/variable?variable=TDLEG&value={leg_id}")
        except EngineUnreachableError:
            engine.drop(leg)
            raise
        if not heard.ok or not marked.ok:
            engine.drop(leg)
            raise EngineRefusedError("the call has gone")

    def refuse(self, channel: str, cause: EndCause) -> None:
        one = self._ringing.pop(channel, None)
        if one is not None:
            one.refusal.cancel()
            reason = _REASONS.get(cause, _NORMAL)
            self._send("DELETE", f"channels/{quote(channel)}?reason_code={reason}")

    def _send(self, method: str, uri: str) -> None:
        if self._link is not None:
            self._link.send(method, uri)
