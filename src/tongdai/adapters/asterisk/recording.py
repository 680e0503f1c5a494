"""Recording on a call: beside it, on a channel that listens in, so that prompts and digits go on meanwhile.

What it leaves on the node is fetched by `stored.StoredRecordings`.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from tongdai.adapters.asterisk.heard import Heard
from tongdai.adapters.asterisk.journal import Recording
from tongdai.adapters.asterisk.wire import Wire

if TYPE_CHECKING:
    from tongdai.adapters.asterisk.leg import Leg

SHORTEST_S = 0.1
"""What is over sooner kept no sound: Asterisk says that it has finished, and has often not begun its file."""
SILENCE_S = 5
"""So long a person may say nothing until their message counts as said."""


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
        seconds = max(0.0, until - one.since)
        if kept and seconds < SHORTEST_S:
            kept = False
            self._wire.send("DELETE", f"recordings/stored/{self._name(one.id)}")
        self._unwatch(one)
        self._wire.send("DELETE", f"channels/{self._listener(one)}")
        del self._leg.journal.recordings[one.id]
        self._leg.recorded(one.id, seconds, self._name(one.id) if kept else None)
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
