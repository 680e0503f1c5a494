"""Recording on a call: beside it, on a channel that listens in, so that prompts and digits go on meanwhile.

And the node's store of recordings, which is asked over plain HTTP and needs no application.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

from tongdai.adapters.asterisk.heard import Heard
from tongdai.adapters.asterisk.journal import Recording
from tongdai.adapters.asterisk.link import authorization
from tongdai.adapters.asterisk.wire import Wire, leg_of
from tongdai.ports.sip import AsteriskNode
from tongdai.ports.telephony import EngineRefusedError, EngineUnreachableError

if TYPE_CHECKING:
    from tongdai.adapters.asterisk.leg import Leg

SILENCE_S = 5
"""So long a person may say nothing until their message counts as said."""
PIECE = 64 * 1024
"""Bytes of a recording that are handed on at once."""
_GONE = 404


def recording_name(leg_id: int, command_id: int) -> str:
    return f"td-{leg_id}-{command_id}"


class Recorder:
    """The recordings of one leg. Each has a channel of its own, which ends with it."""

    def __init__(self, leg: Leg, wire: Wire) -> None:
        self._leg = leg
        self._wire = wire
        self._begun: set[int] = set()
        self._ends: dict[int, float] = {}
        """When a recording was told to end, by its id; it is over when Asterisk says so."""
        self._limits: dict[int, asyncio.TimerHandle] = {}

    @property
    def active(self) -> bool:
        return bool(self._leg.journal.recordings)

    # -------------------------------------------------------------- asked

    def start(self, ordinal: int, id: int, max_s: float, *, stop_on_digit: bool) -> None:
        """What the person says. One at a time; one that was told to end may still be ending."""
        if any(not one.whole and one.id not in self._ends for one in self._leg.journal.recordings.values()):
            return
        self._listen(Recording(id, ordinal, self._leg.at(), max_s, stop_on_digit, whole=False))

    def start_whole(self, ordinal: int, id: int) -> None:
        """Both sides, to the end of the call."""
        if not any(one.whole for one in self._leg.journal.recordings.values()):
            self._listen(Recording(id, ordinal, self._leg.at(), 0.0, stop_on_digit=False, whole=True))

    def _listen(self, recording: Recording) -> None:
        leg = self._leg
        leg.journal.recordings[recording.id] = recording
        self._watch(recording)
        side = "both" if recording.whole else "in"
        listener = self._listener(recording)
        self._wire.send("POST", f"channels/{leg.channel}/snoop/{listener}?app={self._wire.app}&spy={side}")

    def stop(self, id: int) -> None:
        if id in self._leg.journal.recordings and id not in self._ends:
            self._ends[id] = self._leg.at()
            self._wire.send("POST", f"recordings/live/{self._name(id)}/stop")

    def on_digit(self) -> None:
        for one in list(self._leg.journal.recordings.values()):
            if one.stop_on_digit:
                self.stop(one.id)

    def call_over(self, at: float) -> None:
        """The call has ended; what was recorded until now is whole in a moment."""
        for one in list(self._leg.journal.recordings.values()):
            self._ends.setdefault(one.id, at)
            if one.id in self._begun:
                self._wire.send("POST", f"recordings/live/{self._name(one.id)}/stop")
            else:
                self._over(one, kept=False)

    def give_up(self) -> None:
        """Asterisk does not say that they are over. What there is lies on the node all the same."""
        for one in list(self._leg.journal.recordings.values()):
            self._over(one, kept=True)

    # -------------------------------------------------------------- heard

    def on_heard(self, heard: Heard) -> None:
        if heard.type == "StasisStart" and heard.channel is not None:
            self._record(heard.channel.id)
        elif heard.type in {"RecordingFinished", "RecordingFailed"} and heard.recording is not None:
            for one in list(self._leg.journal.recordings.values()):
                if self._name(one.id) == heard.recording.name:
                    self._over(one, kept=heard.type == "RecordingFinished")

    def _record(self, listener: str) -> None:
        for one in self._leg.journal.recordings.values():
            if self._listener(one) == listener and one.id not in self._begun:
                self._begin(one, listener)
                return

    def _begin(self, one: Recording, listener: str) -> None:
        query = f"name={self._name(one.id)}&format=wav&ifExists=overwrite&terminateOn=none"
        if not one.whole:
            # Whole seconds: the exact limit is ours, Asterisk's is for when we are gone.
            query += f"&maxDurationSeconds={math.ceil(one.max_s)}&maxSilenceSeconds={SILENCE_S}"
        self._wire.send("POST", f"channels/{listener}/record?{query}")
        self._begun.add(one.id)
        self._leg.journal.recordings[one.id] = replace(one, since=self._leg.at())
        self._leg.note()
        if not one.whole:
            self._limits[one.id] = self._wire.later(one.max_s, self.stop, one.id)

    def _over(self, one: Recording, *, kept: bool) -> None:
        ended = self._ends.pop(one.id, None)
        until = self._leg.at() if ended is None else ended
        self._unwatch(one)
        self._wire.send("DELETE", f"channels/{self._listener(one)}")
        del self._leg.journal.recordings[one.id]
        self._leg.recorded(one.id, max(0.0, until - one.since), self._name(one.id) if kept else None)
        self._leg.finish()

    # -------------------------------------------------------------- taken over

    def begin_again(self, one: Recording, *, listens: bool) -> None:
        """Another process asked for it and came no further. `listens`: its channel is there."""
        if listens:
            self._watch(one)
            self._begin(one, self._listener(one))
        else:
            self._listen(one)

    def resume(self, one: Recording, *, goes_on: bool) -> None:
        """Another process began it. If it is over, nobody heard when."""
        if not goes_on:
            now = self._leg.at()
            del self._leg.journal.recordings[one.id]
            seconds = now - one.since if one.whole else min(now - one.since, one.max_s)
            self._leg.recorded(one.id, seconds, self._name(one.id))
            return
        self._begun.add(one.id)
        self._watch(one)
        if not one.whole:
            rest = max(0.0, one.since + one.max_s - self._leg.at())
            self._limits[one.id] = self._wire.later(rest, self.stop, one.id)

    def forget(self) -> None:
        for one in self._leg.journal.recordings.values():
            self._unwatch(one)

    def _watch(self, one: Recording) -> None:
        self._wire.watch(self._listener(one), self)
        self._wire.watch(f"recording:{self._name(one.id)}", self)

    def _unwatch(self, one: Recording) -> None:
        self._wire.unwatch(self._listener(one))
        self._wire.unwatch(f"recording:{self._name(one.id)}")
        limit = self._limits.pop(one.id, None)
        if limit is not None:
            limit.cancel()

    def _name(self, id: int) -> str:
        return recording_name(self._leg.leg_id, id)

    def _listener(self, one: Recording) -> str:
        return f"{self._leg.name}-s{one.ordinal}"


class NodeRecordings:
    """`ports.telephony.RecordingStore` of one node. Needs no connection of an engine."""

    def __init__(self, node: AsteriskNode, *, answer_timeout_s: float = 30.0) -> None:
        self._node = node
        self._timeout = aiohttp.ClientTimeout(total=None, connect=5.0, sock_read=answer_timeout_s)

    async def fetch(self, name: str) -> AsyncIterator[bytes]:
        """A finished recording as a WAV file. Raises EngineRefusedError when there is none."""
        async with self._asked("GET", f"recordings/stored/{name}/file") as answer:
            if answer.status == _GONE:
                raise EngineRefusedError("there is no such recording")
            _must_be_ok(answer)
            async for piece in answer.content.iter_chunked(PIECE):
                yield piece

    async def forget(self, name: str) -> None:
        async with self._asked("DELETE", f"recordings/stored/{name}") as answer:
            if answer.status != _GONE:
                _must_be_ok(answer)

    async def names(self) -> list[str]:
        """All finished recordings of ours."""
        async with self._asked("GET", "recordings/stored") as answer:
            _must_be_ok(answer)
            stored = msgspec.json.decode(await answer.read(), type=list[dict[str, Any]])
        return [name for one in stored if is_ours(name := str(one.get("name", "")))]

    @asynccontextmanager
    async def _asked(self, method: str, uri: str) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Authorization": authorization(self._node)}
        url = f"{self._node.url.rstrip('/')}/ari/{uri}"
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=self._timeout) as session,
                session.request(method, url, allow_redirects=False) as answer,
            ):
                yield answer
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError):
            raise EngineUnreachableError("the node's recordings cannot be reached") from None


def is_ours(name: str) -> bool:
    leg, _, command = name.rpartition("-")
    return leg_of(leg) is not None and command.isdecimal()


def _must_be_ok(answer: aiohttp.ClientResponse) -> None:
    if answer.status >= 300:
        raise EngineUnreachableError(f"the node answers HTTP {answer.status}")
