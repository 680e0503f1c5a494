"""The prompts of one leg: spoken by our sounds, played by the node."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING

from tongdai.adapters.asterisk.heard import Heard
from tongdai.adapters.asterisk.wire import Wire
from tongdai.ports.speech import SpeechFailedError
from tongdai.ports.telephony import Play, PlaybackEnded

if TYPE_CHECKING:
    from tongdai.adapters.asterisk.leg import Leg

logger = logging.getLogger(__name__)

FAILED_PLAY_S = 0.3
"""A prompt fails when its file is missing, and when the person hangs up; then the end follows at once."""


class Prompts:
    """Which play is in the leg's journal. Each has a playback of its own, named after its command."""

    def __init__(self, leg: Leg, wire: Wire) -> None:
        self._leg = leg
        self._wire = wire

    async def media(self, play: Play) -> str | None:
        """What the node is asked to play. None: it cannot be spoken, and the call ends."""
        try:
            sounds = await self._wire.sounds.sounds(play.items)
        except SpeechFailedError as error:
            logger.error("a prompt cannot be spoken: %s", error.reason, extra={"leg": self._leg.leg_id})
        except Exception:
            # A full disk, say. A person who hears nothing is not to be kept on the line.
            logger.exception("a prompt cannot be spoken", extra={"leg": self._leg.leg_id})
        else:
            path = self._wire.sounds_path
            return ",".join([f"sound:{path}/{sound.key}" for sound in sounds])
        self._leg.fail()
        return None

    def start(self, ordinal: int, play_id: int, media: str) -> None:
        self._leg.journal.plays[play_id] = ordinal
        name = self._name(ordinal)
        self._wire.watch(name, self)
        self._wire.send("POST", f"channels/{self._leg.channel}/play/{name}?media={media}")

    def stop(self, play_id: int) -> None:
        ordinal = self._leg.journal.plays.get(play_id)
        if ordinal is not None:
            self._wire.send("DELETE", f"playbacks/{self._name(ordinal)}")
            self._wire.unwatch(self._name(ordinal))
            self._over(play_id, completed=False)

    def stop_all(self) -> None:
        for play_id in list(self._leg.journal.plays):
            self.stop(play_id)

    def resume(self, going_on: Collection[int]) -> None:
        """After somebody else began them: those that do not go on have ended meanwhile."""
        for play_id, ordinal in list(self._leg.journal.plays.items()):
            if play_id in going_on:
                self._wire.watch(self._name(ordinal), self)
            else:
                self._over(play_id, completed=True)

    def forget(self) -> None:
        """Hear nothing more of them."""
        for ordinal in self._leg.journal.plays.values():
            self._wire.unwatch(self._name(ordinal))

    def on_heard(self, heard: Heard) -> None:
        if heard.type != "PlaybackFinished":
            return
        assert heard.playback is not None
        leg = self._leg
        ordinal = int(heard.playback.id.rpartition("-")[2])
        play_id = next((id for id, each in leg.journal.plays.items() if each == ordinal), None)
        self._wire.unwatch(heard.playback.id)
        if play_id is None or leg.leaving or leg.journal.ending:
            return
        if heard.playback.state == "done":
            self._over(play_id, completed=True)
        else:
            self._wire.later(FAILED_PLAY_S, self._judge_failed, play_id)

    def _judge_failed(self, play_id: int) -> None:
        leg = self._leg
        if not leg.ended and not leg.leaving and play_id in leg.journal.plays:
            logger.error("a prompt cannot be played on the node", extra={"leg": leg.leg_id})
            leg.fail()

    def _over(self, play_id: int, *, completed: bool) -> None:
        leg = self._leg
        leg.journal.plays.pop(play_id, None)
        leg.tell(PlaybackEnded(leg.leg_id, leg.journal.next_seq, leg.at(), play_id, completed))

    def _name(self, ordinal: int) -> str:
        return f"{self._leg.name}-{ordinal}"
