"""One leg on a node: what Asterisk says of it becomes the port's events, and commands become requests.

No I/O of its own: it asks its `Wire`, which keeps the order. The state that outlives this process is the
leg's journal; what is only here can be made anew from it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from tongdai.adapters.asterisk.causes import REQUEST_TIMEOUT, TEMPORARILY_UNAVAILABLE, Hangup, end_cause
from tongdai.adapters.asterisk.commands import Commands
from tongdai.adapters.asterisk.dialplan import AMD_CONTEXT
from tongdai.adapters.asterisk.heard import Heard
from tongdai.adapters.asterisk.journal import Journal
from tongdai.adapters.asterisk.prompts import Prompts
from tongdai.adapters.asterisk.recording import Recorder
from tongdai.adapters.asterisk.timers import Timers
from tongdai.adapters.asterisk.transfers import Switch
from tongdai.adapters.asterisk.wire import Wire, channel_of
from tongdai.adapters.asterisk.writing import Copy
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    Digit,
    EndCause,
    Ended,
    PlaybackEnded,
    RecordingEnded,
    Ringing,
    TimerFired,
    TransferEnded,
)

logger = logging.getLogger(__name__)

GRACE_S = 5.0
"""After the moment at which Asterisk ought to have said something, until it is asked."""
CLOSING_S = 2.0
"""How long the end of a call waits for the end of its recordings."""
NO_REPLY_S = 30.0
"""A carrier that says nothing at all is given up after 32 seconds (RFC 3261, timer B)."""
RING_SLACK_S = 0.5

_BY = {"HUMAN": AnsweredBy.HUMAN, "MACHINE": AnsweredBy.MACHINE}


def detected(said: str) -> AnsweredBy:
    """Who answered, by what Asterisk's detection said."""
    return _BY.get(said, AnsweredBy.UNKNOWN)


class Leg:
    """A call that is up, or ended just now. Seconds count from the originate, or from the accepting."""

    def __init__(self, wire: Wire, journal: Journal, channel: str, started: float) -> None:
        """`started` is the start by the wire's clock."""
        self.journal = journal
        self.channel = channel
        self.name = channel_of(journal.leg_id)
        """What its prompts and recordings are named after; of a call of ours the channel too."""
        self.ended = False
        self.leaving = False
        """Its channel is about to go, or gone."""
        self.copy = Copy(journal, wire)
        self.commands = Commands(self, wire)
        self.prompts = Prompts(self, wire)
        self.timers = Timers(self, wire)
        self.recorder = Recorder(self, wire)
        self.switch = Switch(self, wire)
        self._wire = wire
        self._started = started
        self._last = journal.events[-1].at if journal.events else 0.0
        self._told_answer = journal.answered_told
        self._progressed_at: float | None = None
        self._refused = False
        self._failed = False
        self._early_digits: list[str] = []
        self._guard: asyncio.TimerHandle | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._closing: tuple[float, EndCause] | None = None

    @property
    def leg_id(self) -> int:
        return self.journal.leg_id

    @property
    def closing(self) -> bool:
        """Its channel is gone; its end is told, or waits for its recordings."""
        return self._closing is not None

    def at(self) -> float:
        """Seconds of the leg's clock, which never goes back."""
        self._last = max(self._last, round(self._wire.now() - self._started, 3))
        return self._last

    # -------------------------------------------------------------- begin

    def begin(self) -> None:
        """Its channel is being made."""
        self._wire.watch(self.channel, self)
        if not self.journal.inbound:
            self.guard_for(self.journal.ring_s)

    def guard_for(self, seconds: float) -> None:
        """Look what became of it, unless Asterisk says something within so many seconds and a grace."""
        if self._guard is not None:
            self._guard.cancel()
        self._guard = self._wire.later(seconds + GRACE_S, self._wire.lost, self)

    # -------------------------------------------------------------- what Asterisk says

    def on_heard(self, heard: Heard) -> None:
        handler = _HEARD.get(heard.type)
        if handler is not None and not self.ended:
            handler(self, heard)

    def _on_dial(self, heard: Heard) -> None:
        if heard.dialstatus == "RINGING" and not self.journal.rang and self.journal.answered_at is None:
            self.ring(self.at())
        elif heard.dialstatus == "PROGRESS":
            self.progress(self.at())

    def ring(self, at: float) -> None:
        self.tell(Ringing(self.leg_id, self.journal.next_seq, at))

    def progress(self, at: float) -> None:
        """The carrier plays something before the answer."""
        if self._progressed_at is None and self._wire.trunks.progress_rings(self.journal.trunk_id):
            self._progressed_at = at

    def _on_start(self, heard: Heard) -> None:
        if self._told_answer or self.journal.inbound:
            return
        if heard.args and heard.args[0] == "amd":
            if self.journal.answered_at is None:
                # Whoever had it listen for a machine died before that was noted.
                self.journal.answered_at = self.at()
                self.limit_to(self.journal.max_s)
            self.tell_answer(detected(heard.args[1] if heard.args[1:] else ""))
        elif self.journal.answered_at is None:
            self.answer(self.at())

    def answer(self, at: float) -> None:
        """The phone was answered; the script is told now, or when it is known by whom."""
        self._note_ringing()
        self.journal.answered_at = at
        # Asterisk's own limit runs from the originate: it is for calls that nobody looks after any more.
        if not self.journal.inbound:  # whose limit runs since it was accepted
            self.limit_to(self.journal.max_s)
        if self.journal.detects:
            self.detect()
        else:
            self.tell_answer(AnsweredBy.UNKNOWN)

    def detect(self) -> None:
        """Let Asterisk listen whether a person or a machine has answered."""
        self._wire.journals.now(self)
        self._wire.send(
            "POST", f"channels/{self.channel}/continue?context={AMD_CONTEXT}&extension=s&priority=1"
        )

    def pick_up(self) -> None:
        """Answer a call that came in."""
        if self.journal.inbound and self.journal.answered_at is None:
            self._wire.send("POST", f"channels/{self.channel}/answer")
            self.answer(self.at())

    def tell_answer(self, by: AnsweredBy) -> None:
        answered_at = self.journal.answered_at
        assert answered_at is not None
        self._told_answer = True
        at = self.at() if self.journal.detects else answered_at
        self.tell(Answered(self.leg_id, self.journal.next_seq, at, answered_at, by))
        digits, self._early_digits = self._early_digits, []
        for digit in digits:
            self._tell_digit(digit)

    def limit_to(self, seconds: float) -> None:
        """Hang up after so many seconds. Should this process die, whoever adopts the leg does; Asterisk has a
        limit of its own from the originate."""
        if self._guard is not None:
            self._guard.cancel()
            self._guard = None
        if self._limit is not None:
            self._limit.cancel()
        self._limit = self._wire.later(max(0.0, seconds), self.hang_up)

    def _note_ringing(self) -> None:
        """A carrier that only played something while the phone rang never said that it did."""
        if self._progressed_at is not None and not self.journal.rang:
            self.ring(self._progressed_at)

    def _on_digit(self, heard: Heard) -> None:
        if self._told_answer:
            self._tell_digit(heard.digit)
        elif self.journal.answered_at is not None:
            self._early_digits.append(heard.digit)

    def _tell_digit(self, digit: str) -> None:
        self.tell(Digit(self.leg_id, self.journal.next_seq, self.at(), digit))
        self.recorder.on_digit()

    def _on_hangup_request(self, heard: Heard) -> None:
        self.leaving = True
        self._refused = self._refused or not heard.soft

    def _on_destroyed(self, heard: Heard) -> None:
        self.end_noted(self.at(), heard.cause, heard.tech_cause)

    def _cause(self, cause: int, status: int, at: float) -> EndCause:
        gave_up = (
            not self._refused
            and status in {0, TEMPORARILY_UNAVAILABLE}
            and at >= self.journal.ring_s - RING_SLACK_S
        )
        alerted = self.journal.rang or self._progressed_at is not None
        unheard = status == REQUEST_TIMEOUT and not alerted and at >= NO_REPLY_S
        if gave_up:
            self._note_ringing()
        return end_cause(
            Hangup(cause, status, by_us=self.journal.ending, rang_out=gave_up or unheard, alerted=alerted),
            self._wire.trunks.causes(self.journal.trunk_id),
        )

    # -------------------------------------------------------------- the end

    def end_noted(self, at: float, cause: int, status: int) -> None:
        """Its channel has gone, and Asterisk noted why."""
        if self.journal.answered_at is not None:
            self.end(at, EndCause.FAILURE if self._failed else EndCause.NORMAL)
        elif self.journal.inbound:
            self.end(at, EndCause.CANCELLED)
        else:
            self.end(at, self._cause(cause, status, at))

    def insist(self) -> None:
        """It is still there, though it ought not to be, or nothing was heard of it."""
        if self.ended:
            return
        if self.journal.ending:
            self._wire.send("DELETE", f"channels/{self.channel}")
        self.guard_for(0.0)

    def end(self, at: float, cause: EndCause) -> None:
        """Its channel is gone. The end is told once its recordings are whole."""
        if self.ended or self._closing is not None:
            return
        self._closing = (at, cause)
        self.leaving = True
        self._stop_timers()
        self.switch.caller_gone()
        self.recorder.call_over(at)
        if self.recorder.active:
            self._guard = self._wire.later(CLOSING_S, self.recorder.give_up)
        else:
            self.finish()

    def finish(self) -> None:
        """Tell the end, if it is time for it."""
        if self._closing is None or self.ended or self.recorder.active:
            return
        at, cause = self._closing
        self._stop_timers()
        self.ended = True
        answered_at = self.journal.answered_at
        self._last = max(self._last, at)
        event = Ended(self.leg_id, self.journal.next_seq, self._last, cause, answered_at)
        self.journal.add(event)
        self._wire.tell(event)
        self.copy.erase()
        self.forget()
        self._wire.ended(self)

    def forget(self) -> None:
        """Hear nothing more of it."""
        self._stop_timers()
        self.recorder.forget()
        self.switch.forget()
        self._wire.unwatch(self.channel)
        self.prompts.forget()

    def _stop_timers(self) -> None:
        self.timers.stop()
        for handle in (self._guard, self._limit):
            if handle is not None:
                handle.cancel()

    def hang_up(self) -> None:
        """Ask Asterisk to end it. Harmless when that was asked."""
        if self.ended or self.journal.ending:
            return
        self.journal.ending = True
        # Before the end, since it is written into Asterisk's database then.
        self.copy.write()
        self._wire.send("DELETE", f"channels/{self.channel}")
        self._stop_timers()
        self.guard_for(0.0)

    def fail(self) -> None:
        """End a call on which nothing can be said any more."""
        self._failed = True
        self.hang_up()

    # -------------------------------------------------------------- telling

    def recorded(self, recording_id: int, seconds: float, name: str | None, at: float | None = None) -> None:
        moment = self.at() if at is None else at
        self.tell(
            RecordingEnded(self.leg_id, self.journal.next_seq, moment, recording_id, round(seconds, 3), name)
        )

    def transferred(self, transfer_id: int, seconds: float, leg_id: int) -> None:
        self.tell(
            TransferEnded(
                self.leg_id,
                self.journal.next_seq,
                self.at(),
                transfer_id,
                leg_id != 0,
                round(seconds, 3),
                leg_id or None,
            )
        )

    def tell(
        self, event: Ringing | Answered | Digit | PlaybackEnded | TimerFired | RecordingEnded | TransferEnded
    ) -> None:
        self.journal.add(event)
        self._wire.tell(event)
        if isinstance(event, Ringing):
            self._wire.journals.some_time(self)
        else:
            # Soon, and not now: what the script does about it is noted in the same breath.
            self._wire.journals.soon(self)

    def note(self) -> None:
        """The journal has changed."""
        self._wire.journals.now(self)


_HEARD: dict[str, Callable[[Leg, Heard], None]] = {
    "Dial": Leg._on_dial,
    "StasisStart": Leg._on_start,
    "ChannelDtmfReceived": Leg._on_digit,
    "ChannelHangupRequest": Leg._on_hangup_request,
    "ChannelDestroyed": Leg._on_destroyed,
}
