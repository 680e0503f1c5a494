"""The telephony port on one Asterisk node, by its REST Interface (ARI) over one WebSocket.

Each engine has an application of its own on the node, under a new name at every start; another process that
takes over its calls connects under that name, and this one then counts as cut off. What a call needs to be
taken over lies on its channel (`journal`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from tongdai.adapters.asterisk import adopting
from tongdai.adapters.asterisk.dialplan import END_HANDLER
from tongdai.adapters.asterisk.heard import Heard
from tongdai.adapters.asterisk.incoming import Incoming
from tongdai.adapters.asterisk.journal import FIRST_VARIABLE, Journal
from tongdai.adapters.asterisk.leg import Leg
from tongdai.adapters.asterisk.link import Body, Link, Reply, connect, listed
from tongdai.adapters.asterisk.taken import Taken
from tongdai.adapters.asterisk.trunks import Trunks
from tongdai.adapters.asterisk.wire import Watcher, channel_of
from tongdai.adapters.asterisk.writing import Writer
from tongdai.kit.db import TRANSIENT_ERRORS
from tongdai.ports.sip import AsteriskNode, TrunkBook, UnknownTrunkError
from tongdai.ports.speech import Sounds
from tongdai.ports.telephony import (
    Capabilities,
    Command,
    DialRequest,
    EndCause,
    EngineBack,
    EngineEvent,
    EngineGone,
    EngineRefusedError,
    EngineTooLateError,
    EngineUnreachableError,
    LegEvent,
    LegKnowledge,
    LegRef,
)

logger = logging.getLogger(__name__)

CAPABILITIES = Capabilities(replays=True, detects_machines=True, records=True, transfers=True)
RECONNECT_S = (0.02, 1.0)
"""Seconds between attempts to connect: the first pause, and the longest."""
IN_FLIGHT = 64
"""Originates that Asterisk may have at once without having answered. It does them one after another; what
waits here can still be given back when its time passes."""
LAST_WORK_S = 1.0
"""How long what was asked for may still take when the engine is stopped."""
SLACK_S = 10.0
"""Beyond ringing and talk, until Asterisk ends by itself a call that nobody ends."""
_CONFLICT = 409


def new_app() -> str:
    """A name that no other client has or had."""
    return f"td-{secrets.token_hex(6)}x"


class AsteriskEngine:
    """`ports.telephony.IncomingEngine` on one node. `stored.StoredRecordings` fetches its recordings."""

    capabilities = CAPABILITIES

    def __init__(
        self, node: AsteriskNode, book: TrunkBook, sounds: Sounds, *, answer_timeout_s: float = 5.0
    ) -> None:
        self.node = node
        self.app = new_app()
        self.sounds = sounds
        self.sounds_path = quote(node.sounds_path.rstrip("/"))
        self.answer_timeout_s = answer_timeout_s
        self.legs: dict[int, Leg] = {}
        self.trunks = Trunks(self.ask, book)
        self.journals = Writer()
        self.taken = Taken(self, self.hear)
        self._link: Link | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._replaced = False
        self._watchers: dict[str, Watcher] = {}
        self._events: deque[EngineEvent] = deque()
        self._arrival: asyncio.Future[None] | None = None
        self._stopped = False
        self._work: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(IN_FLIGHT)
        self._incoming = Incoming(self)

    # -------------------------------------------------------------- the port

    @property
    def reachable(self) -> bool:
        return self._link is not None

    async def start(self) -> None:
        self._stopped = False
        self._keeper = asyncio.get_running_loop().create_task(self._keep_connected(), name=self.node.engine)

    async def stop(self) -> None:
        """Disconnect. Calls that are up stay up, and `events()` ends once its queue is empty."""
        self._stopped = True
        if self._work:
            await asyncio.wait(self._work, timeout=LAST_WORK_S)
        if self._link is not None:
            # What was asked for has been done when this is answered.
            with suppress(EngineUnreachableError, TimeoutError):
                async with asyncio.timeout(LAST_WORK_S):
                    await self._link.ask("GET", "asterisk/ping")
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        await self._incoming.stop()
        self._wake()

    async def events(self) -> AsyncIterator[EngineEvent]:
        queue = self._events
        while True:
            while queue:
                yield queue.popleft()
            if self._stopped:
                return
            self._arrival = asyncio.get_running_loop().create_future()
            await self._arrival

    async def originate(self, request: DialRequest) -> None:
        link = self._connected()
        _check_in_time(request)
        endpoint = await self._endpoint(request)
        async with self._places:
            _check_in_time(request)
            if link is not self._link or request.leg_id in self.legs:
                # Of a leg that is up nobody may believe that it did not ring.
                raise EngineUnreachableError("the connection is another, or the leg is up")
            leg = self._new_leg(request)
            try:
                reply = await link.ask("POST", *self._originate(leg, request, endpoint))
            except EngineUnreachableError:
                self.drop(leg)
                raise
        if not reply.ok:
            self.drop(leg)
            self._refused(reply, request.trunk_id)

    async def command(self, leg_id: int, ordinal: int, command: Command) -> None:
        """Never raises for a lost connection: whoever adopts the leg repeats its commands."""
        leg = self.legs.get(leg_id)
        if leg is not None:
            leg.commands.do(ordinal, command)

    async def adopt(self, legs: Sequence[LegRef]) -> dict[int, LegKnowledge]:
        self._connected()
        return await adopting.adopt(self, legs) if legs else {}

    async def hear_incoming(self, wanted: bool) -> None:
        await self._incoming.hear(wanted)

    async def accept(self, channel: str, leg_id: int, max_s: float) -> None:
        self._connected()
        await self._incoming.accept(channel, leg_id, max_s)

    async def refuse(self, channel: str, cause: EndCause) -> None:
        self._incoming.refuse(channel, cause)

    # -------------------------------------------------------------- originating

    def _connected(self) -> Link:
        if self._link is None:
            raise EngineUnreachableError("Asterisk is not connected")
        return self._link

    async def _endpoint(self, request: DialRequest) -> str:
        try:
            return await self.trunks.dialled(request.trunk_id, request.number)
        except UnknownTrunkError:
            raise EngineRefusedError("there is no such trunk, or it has no SIP settings") from None
        except TRANSIENT_ERRORS:
            raise EngineRefusedError("the trunk cannot be read") from None

    def _new_leg(self, request: DialRequest) -> Leg:
        journal = Journal(
            request.leg_id,
            round(time.time(), 3),
            request.trunk_id,
            request.ring_s,
            request.max_s,
            detects=request.detect_machine,
        )
        leg = Leg(self, journal, channel_of(request.leg_id), self.now())
        self.legs[request.leg_id] = leg
        leg.begin()
        return leg

    def _originate(self, leg: Leg, request: DialRequest, endpoint: str) -> tuple[str, Body]:
        uri = (
            f"channels?endpoint={quote(endpoint)}&app={self.app}&channelId={leg.channel}"
            f"&timeout={max(1, round(request.ring_s))}&callerId={quote(request.caller)}"
        )
        variables = {
            "TDLEG": str(request.leg_id),
            "TDAPP": self.app,
            FIRST_VARIABLE: leg.journal.encode(),
            "CHANNEL(hangup_handler_push)": END_HANDLER,
            "TIMEOUT(absolute)": f"{request.ring_s + request.max_s + SLACK_S:.3f}",
        }
        return uri, {"variables": variables}

    def _refused(self, reply: Reply, trunk_id: int) -> None:
        if reply.status == _CONFLICT:
            raise EngineUnreachableError("Asterisk has a channel of this leg: ask about it")
        self.trunks.forget(trunk_id)
        raise EngineRefusedError(f"Asterisk refused the call with HTTP status {reply.status}")

    def drop(self, leg: Leg) -> None:
        """It was not dialled, or is another's."""
        leg.forget()
        self.journals.forget(leg)
        if self.legs.get(leg.leg_id) is leg:
            del self.legs[leg.leg_id]

    # -------------------------------------------------------------- for the legs (Wire)

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def send(self, method: str, uri: str, body: Body | None = None) -> None:
        if self._link is not None:
            self._link.send(method, uri, body)

    def send_soon(self, method: str, uri: str) -> None:
        if self._link is not None:
            self._link.send_soon(method, uri)

    async def ask(self, method: str, uri: str, body: Body | None = None) -> Reply:
        return await self._connected().ask(method, uri, body)

    def later(self, seconds: float, do: Any, *args: Any) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, do, *args)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._worked)

    def _worked(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, EngineUnreachableError):
            logger.error("work on a call failed", exc_info=error, extra={"node": self.node.id})

    def watch(self, name: str, watcher: Watcher) -> None:
        self._watchers[name] = watcher

    def unwatch(self, name: str) -> None:
        self._watchers.pop(name, None)

    def unwatch_all_of(self, watcher: Watcher) -> None:
        for name in [name for name, one in self._watchers.items() if one is watcher]:
            del self._watchers[name]

    def watcher(self, name: str) -> Watcher | None:
        return self._watchers.get(name)

    def ended(self, leg: Leg) -> None:
        self.journals.forget(leg)
        if self.legs.get(leg.leg_id) is leg:
            del self.legs[leg.leg_id]

    def lost(self, leg: Leg) -> None:
        if self._link is not None and not leg.ended:
            self.spawn(adopting.look_after(self, leg))

    # -------------------------------------------------------------- telling and hearing

    def tell(self, event: LegEvent | EngineEvent) -> None:
        self._events.append(event)
        self._wake()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def hear(self, heard: Heard) -> None:
        """Hand an event to whom it concerns."""
        if heard.channel is not None:
            name = heard.channel.id
        elif heard.peer is not None:
            name = heard.peer.id
        elif heard.playback is not None:
            name = heard.playback.id
        elif heard.recording is not None:
            name = f"recording:{heard.recording.name}"
        else:
            return
        watcher = self._watchers.get(name)
        if watcher is not None:
            try:
                watcher.on_heard(heard)
            except Exception:
                # One call that cannot be followed must not cost the connection, and all others with it.
                logger.exception("an event cannot be followed", extra={"node": self.node.id, "of": name})

    def _on_heard(self, heard: Heard) -> None:
        if heard.type == "ApplicationReplaced":
            self._replaced = True
            if self._link is not None:
                self._link.abort()
        else:
            self.hear(heard)

    # -------------------------------------------------------------- the connection

    async def _keep_connected(self) -> None:
        pause, longest = RECONNECT_S
        while True:
            link = await self._connect()
            if link is not None:
                pause = RECONNECT_S[0]
                try:
                    self._begin(link)
                    await asyncio.shield(link.closed)
                finally:
                    self._end(link)
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    async def _connect(self) -> Link | None:
        """A connection whose application Asterisk lists, or None."""
        if self._replaced:
            self.app = new_app()
            self._replaced = False
        link = await connect(self.node, self.app, self._on_heard, answer_timeout_s=self.answer_timeout_s)
        if link is None:
            return None
        try:
            # Somebody may have taken the application meanwhile: it is listed, and theirs.
            if await listed(link) and not self._replaced:
                return link
        except EngineUnreachableError:
            return None
        except BaseException:
            link.abort()
            raise
        link.abort()
        return None

    def _begin(self, link: Link) -> None:
        self._link = link
        self.journals.connected(link)
        self.trunks.connected()
        self.tell(EngineBack())
        self._incoming.connected()

    def _end(self, link: Link) -> None:
        if self._stopped:
            link.close()
        else:
            link.abort()
        self._link = None
        self._incoming.disconnected()
        for leg in list(self.legs.values()):
            leg.forget()
        self.legs.clear()
        self.journals.disconnected()
        self._watchers.clear()
        for task in list(self._work):
            task.cancel()
        self.taken.disconnected()
        self.tell(EngineGone())


def _check_in_time(request: DialRequest) -> None:
    if datetime.now(UTC) > request.dial_before:
        raise EngineTooLateError("too late")
