"""Carrying out the commands of one leg: each once, in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from tongdai.adapters.asterisk.wire import Wire
from tongdai.ports.telephony import (
    CancelTimer,
    Command,
    HangUp,
    PickUp,
    Play,
    RecordCall,
    StartRecording,
    StartTimer,
    StopPlay,
    StopRecording,
    Transfer,
)

if TYPE_CHECKING:
    from tongdai.adapters.asterisk.leg import Leg


class Commands:
    """Which were handed to Asterisk is in the leg's journal."""

    def __init__(self, leg: Leg, wire: Wire) -> None:
        self._leg = leg
        self._wire = wire
        self._taken = leg.journal.done
        self._queue: deque[tuple[int, Command]] = deque()
        self._speaking = False

    def do(self, ordinal: int, command: Command) -> None:
        """Obey, once: an ordinal that was taken, and anything after the end, is ignored."""
        if self._leg.closing or ordinal <= self._taken:
            return
        self._taken = ordinal
        if isinstance(command, HangUp):
            self._leg.hang_up()
            return
        self._queue.append((ordinal, command))
        if not self._speaking:
            self._work()

    def _work(self) -> None:
        """Do what was asked for, in its order; a prompt that is being prepared holds up what follows."""
        leg = self._leg
        while self._queue and not leg.journal.ending and not leg.closing:
            ordinal, command = self._queue.popleft()
            if isinstance(command, Play):
                if leg.journal.answered_at is None and not leg.journal.inbound:
                    continue
                self._speaking = True
                self._wire.spawn(self._speak(ordinal, command))
                return
            _DO[type(command)](leg, ordinal, command)
            self._done(ordinal)

    async def _speak(self, ordinal: int, play: Play) -> None:
        leg = self._leg
        try:
            media = await leg.prompts.media(play)
        finally:
            self._speaking = False
        if media is None or leg.journal.ending or leg.closing:
            return
        leg.prompts.start(ordinal, play.id, media)
        self._done(ordinal)
        self._work()

    def _done(self, ordinal: int) -> None:
        self._leg.journal.done = ordinal
        self._leg.note()


def _start_recording(leg: Leg, ordinal: int, command: StartRecording) -> None:
    if leg.journal.answered_at is not None:
        leg.recorder.start(ordinal, command.id, command.max_s, stop_on_digit=command.stop_on_digit)


def _record_call(leg: Leg, ordinal: int, command: RecordCall) -> None:
    if leg.journal.answered_at is not None:
        leg.recorder.start_whole(ordinal, command.id)


def _transfer(leg: Leg, _: int, command: Transfer) -> None:
    if leg.journal.answered_at is not None or leg.journal.inbound:
        leg.switch.start(command)


_DO: dict[type, Callable[..., None]] = {
    StopPlay: lambda leg, _, command: leg.prompts.stop(command.id),
    StartTimer: lambda leg, _, command: leg.timers.start(command.id, command.seconds),
    CancelTimer: lambda leg, _, command: leg.timers.cancel(command.id),
    StartRecording: _start_recording,
    StopRecording: lambda leg, _, command: leg.recorder.stop(command.id),
    RecordCall: _record_call,
    Transfer: _transfer,
    PickUp: lambda leg, _, __: leg.pick_up(),
}
"""All but `Play` and `HangUp`."""
