"""One leg on a node: what Asterisk says of it becomes the port's events, and commands become requests.

No I/O of its own: it asks its `Wire`, which keeps the order. The state that outlives this process is the
leg's journal; what is only here can be made anew from it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from tongdai.adapters.asterisk import journal as journals
from tongdai.adapters.asterisk.causes import REQUEST_TIMEOUT, TEMPORARILY_UNAVAILABLE, Hangup, end_cause
from tongdai.adapters.asterisk.dialplan import AMD_CONTEXT
from tongdai.adapters.asterisk.heard import Heard
from tongdai.adapters.asterisk.journal import Journal
from tongdai.adapters.asterisk.recording import Recorder
from tongdai.adapters.asterisk.transfers import Switch
from tongdai.adapters.asterisk.wire import Wire, channel_of
from tongdai.ports.speech import SpeechFailedError
from tongdai.ports.telephony import (
    Answered,
    AnsweredBy,
    CancelTimer,
    Command,
    Digit,
    EndCause,
    Ended,
    HangUp,
    PickUp,
    Play,
    PlaybackEnded,
    RecordCall,
    RecordingEnded,
    Ringing,
    StartRecording,
    StartTimer,
    StopPlay,
    StopRecording,
    TimerFired,
    Transfer,
    TransferEnded,
)

logger = logging.getLogger(__name__)

GRACE_S = 5.0
"""After the moment at which Asterisk ought to have said something, until it is asked."""
CLOSING_S = 2.0
"""How long the end of a call waits for the end of its recordings."""
FAILED_PLAY_S = 0.3
"""A prompt fails when its file is missing, and when the person hangs up; then the end follows at once."""
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
        self.recorder = Recorder(self, wire)
        self.switch = Switch(self, wire)
        self._wire = wire
        self._started = started
        self._last = journal.events[-1].at if journal.events else 0.0
        self._told_answer = journal.answered_told
        self._taken = journal.done
        self._queue: deque[tuple[int, Command]] = deque()
        self._speaking = False
        self._progressed_at: float | None = None
        self._leaving = False
        self._refused = False
        self._failed = False
        self._early_digits: list[str] = []
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._guard: asyncio.TimerHandle | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._closing: tuple[float, EndCause] | None = None
        self._written: list[str] = []

    @property
    def leg_id(self) -> int:
        return self.journal.leg_id

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
        self._tell(Ringing(self.leg_id, self.journal.next_seq, at))

    def progress(self, at: float) -> None:
        """The carrier plays something before the answer."""
        if self._progressed_at is None and self._wire.progress_rings(self.journal.trunk_id):
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
        self._wire.write_now(self)
        self._wire.send(
            "POST", f"channels/{self.channel}/continue?context={AMD_CONTEXT}&extension=s&priority=1"
        )

    def tell_answer(self, by: AnsweredBy) -> None:
        answered_at = self.journal.answered_at
        assert answered_at is not None
        self._told_answer = True
        at = self.at() if self.journal.detects else answered_at
        self._tell(Answered(self.leg_id, self.journal.next_seq, at, answered_at, by))
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
        self._tell(Digit(self.leg_id, self.journal.next_seq, self.at(), digit))
        self.recorder.on_digit()

    def _on_playback(self, heard: Heard) -> None:
        assert heard.playback is not None
        ordinal = int(heard.playback.id.rpartition("-")[2])
        play_id = next((id for id, each in self.journal.plays.items() if each == ordinal), None)
        self._wire.unwatch(heard.playback.id)
        if play_id is None or self._leaving or self.journal.ending:
            return
        if heard.playback.state == "done":
            self.play_over(play_id, completed=True)
        else:
            self._wire.later(FAILED_PLAY_S, self._judge_failed_play, play_id)

    def _judge_failed_play(self, play_id: int) -> None:
        if not self.ended and not self._leaving and play_id in self.journal.plays:
            logger.error("a prompt cannot be played on the node", extra={"leg": self.leg_id})
            self.fail()

    def play_over(self, play_id: int, *, completed: bool) -> None:
        self.journal.plays.pop(play_id, None)
        self._tell(PlaybackEnded(self.leg_id, self.journal.next_seq, self.at(), play_id, completed))

    def _on_hangup_request(self, heard: Heard) -> None:
        self._leaving = True
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
            self._wire.causes(self.journal.trunk_id),
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
        self._leaving = True
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
        self.erase_journal()
        self.forget()
        self._wire.ended(self)

    def forget(self) -> None:
        """Hear nothing more of it."""
        self._stop_timers()
        self.recorder.forget()
        self.switch.forget()
        self._wire.unwatch(self.channel)
        for ordinal in self.journal.plays.values():
            self._wire.unwatch(f"{self.name}-{ordinal}")

    def _stop_timers(self) -> None:
        for handle in (self._guard, self._limit, *self._timers.values()):
            if handle is not None:
                handle.cancel()
        self._timers.clear()

    def hang_up(self) -> None:
        """Ask Asterisk to end it. Harmless when that was asked."""
        if self.ended or self.journal.ending:
            return
        self.journal.ending = True
        # Before the end, since it is written into Asterisk's database then.
        self.write_journal()
        self._wire.send("DELETE", f"channels/{self.channel}")
        self._stop_timers()
        self.guard_for(0.0)

    def fail(self) -> None:
        """End a call on which nothing can be said any more."""
        self._failed = True
        self.hang_up()

    # -------------------------------------------------------------- commands

    def do(self, ordinal: int, command: Command) -> None:
        """Obey, once: an ordinal that was taken, and anything after the end, is ignored."""
        if self.ended or self._closing is not None or ordinal <= self._taken:
            return
        self._taken = ordinal
        if isinstance(command, HangUp):
            self.hang_up()
            return
        self._queue.append((ordinal, command))
        if not self._speaking:
            self._work()

    def _work(self) -> None:
        """Do what was asked for, in its order; a prompt that is being prepared holds up what follows."""
        while self._queue and not self.journal.ending and self._closing is None:
            ordinal, command = self._queue.popleft()
            if isinstance(command, Play):
                if self.journal.answered_at is None and not self.journal.inbound:
                    continue
                self._speaking = True
                self._wire.spawn(self._speak(ordinal, command))
                return
            _COMMANDS[type(command)](self, ordinal, command)
            self.journal.done = ordinal
            self._wire.write_now(self)

    async def _speak(self, ordinal: int, play: Play) -> None:
        try:
            sounds = await self._wire.sounds.sounds(play.items)
        except SpeechFailedError as error:
            logger.error("a prompt cannot be spoken: %s", error.reason, extra={"leg": self.leg_id})
            self.fail()
            return
        except Exception:
            # A full disk, say. A person who hears nothing is not to be kept on the line.
            logger.exception("a prompt cannot be spoken", extra={"leg": self.leg_id})
            self.fail()
            return
        finally:
            self._speaking = False
        if self.journal.ending or self._closing is not None:
            return
        name = f"{self.name}-{ordinal}"
        path = self._wire.sounds_path
        media = ",".join([f"sound:{path}/{sound.key}" for sound in sounds])
        self.journal.plays[play.id] = ordinal
        self.journal.done = ordinal
        self._wire.watch(name, self)
        self._wire.send("POST", f"channels/{self.channel}/play/{name}?media={media}")
        self._wire.write_now(self)
        self._work()

    def _stop_play(self, _: int, command: StopPlay) -> None:
        self._stop(command.id)

    def stop_plays(self) -> None:
        for play_id in list(self.journal.plays):
            self._stop(play_id)

    def _stop(self, play_id: int) -> None:
        ordinal = self.journal.plays.get(play_id)
        if ordinal is not None:
            self._wire.send("DELETE", f"playbacks/{self.name}-{ordinal}")
            self._wire.unwatch(f"{self.name}-{ordinal}")
            self.play_over(play_id, completed=False)

    def _start_timer(self, _: int, command: StartTimer) -> None:
        self.start_timer(command.id, round(self.at() + command.seconds, 3), command.seconds)

    def start_timer(self, timer_id: int, due: float, seconds: float) -> None:
        self.journal.timers[timer_id] = due
        running = self._timers.get(timer_id)
        if running is not None:
            running.cancel()
        self._timers[timer_id] = self._wire.later(max(0.0, seconds), self._fire, timer_id)

    def _fire(self, timer_id: int) -> None:
        self._timers.pop(timer_id, None)
        self.journal.timers.pop(timer_id, None)
        self._tell(TimerFired(self.leg_id, self.journal.next_seq, self.at(), timer_id))

    def _cancel_timer(self, _: int, command: CancelTimer) -> None:
        self.journal.timers.pop(command.id, None)
        running = self._timers.pop(command.id, None)
        if running is not None:
            running.cancel()

    def _start_recording(self, ordinal: int, command: StartRecording) -> None:
        if self.journal.answered_at is not None:
            self.recorder.start(ordinal, command.id, command.max_s, stop_on_digit=command.stop_on_digit)

    def _stop_recording(self, _: int, command: StopRecording) -> None:
        self.recorder.stop(command.id)

    def _record_call(self, ordinal: int, command: RecordCall) -> None:
        if self.journal.answered_at is not None:
            self.recorder.start_whole(ordinal, command.id)

    def _transfer(self, _: int, command: Transfer) -> None:
        if self.journal.answered_at is not None or self.journal.inbound:
            self.switch.start(command)

    def _pick_up(self, _: int, command: PickUp) -> None:
        self.pick_up()

    def pick_up(self) -> None:
        """Answer a call that came in."""
        if self.journal.inbound and self.journal.answered_at is None:
            self._wire.send("POST", f"channels/{self.channel}/answer")
            self.answer(self.at())

    # -------------------------------------------------------------- telling

    def recorded(self, recording_id: int, seconds: float, name: str | None, at: float | None = None) -> None:
        moment = self.at() if at is None else at
        self._tell(
            RecordingEnded(self.leg_id, self.journal.next_seq, moment, recording_id, round(seconds, 3), name)
        )

    def transferred(self, transfer_id: int, seconds: float, leg_id: int) -> None:
        self._tell(
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

    def _tell(
        self, event: Ringing | Answered | Digit | PlaybackEnded | TimerFired | RecordingEnded | TransferEnded
    ) -> None:
        self.journal.add(event)
        self._wire.tell(event)
        if isinstance(event, Ringing):
            self._wire.write_some_time(self)
        else:
            # Soon, and not now: what the script does about it is noted in the same breath.
            self._wire.write_soon(self)

    def note(self) -> None:
        """The journal has changed."""
        self._wire.write_now(self)

    def erase_journal(self) -> None:
        """Asterisk has noted the end, and with it the journal."""
        for number in range(max(1, len(self._written))):
            name = journals.variable(self.leg_id, number)
            self._wire.send_soon("POST", f"asterisk/variable?variable={name}")

    def write_journal(self) -> None:
        """To the node; only what has changed."""
        pieces = journals.pieces(self.journal.encode())[: journals.MOST_PIECES]
        for number, piece in enumerate(pieces):
            if number >= len(self._written) or self._written[number] != piece:
                name = journals.variable(self.leg_id, number)
                self._wire.send("POST", f"asterisk/variable?variable={name}&value={piece}")
        self._written = pieces


_HEARD: dict[str, Callable[[Leg, Heard], None]] = {
    "Dial": Leg._on_dial,
    "StasisStart": Leg._on_start,
    "ChannelDtmfReceived": Leg._on_digit,
    "PlaybackFinished": Leg._on_playback,
    "ChannelHangupRequest": Leg._on_hangup_request,
    "ChannelDestroyed": Leg._on_destroyed,
}

_COMMANDS: dict[type, Callable[..., None]] = {
    StopPlay: Leg._stop_play,
    StartTimer: Leg._start_timer,
    CancelTimer: Leg._cancel_timer,
    StartRecording: Leg._start_recording,
    StopRecording: Leg._stop_recording,
    RecordCall: Leg._record_call,
    Transfer: Leg._transfer,
    PickUp: Leg._pick_up,
}
