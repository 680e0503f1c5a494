"""Connecting the person on a call to somebody else: phones that ring at the same time, and a bridge.

The first to answer has the call; the others stop ringing. Whatever ends it, everything is released.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Set
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from tongdai.adapters.asterisk.dialplan import END_HANDLER
from tongdai.adapters.asterisk.heard import Heard
from tongdai.adapters.asterisk.journal import FIRST_VARIABLE, Connection, Journal
from tongdai.adapters.asterisk.wire import Wire, channel_of, leg_of
from tongdai.ports.sip import UnknownTrunkError
from tongdai.ports.telephony import EngineRefusedError, EngineUnreachableError, Transfer, TransferLeg

if TYPE_CHECKING:
    from tongdai.adapters.asterisk.leg import Leg

logger = logging.getLogger(__name__)

RINGBACK = "tone:ring"
"""What the person hears while the phones ring: the node's own tone (indications.conf)."""
SLACK_S = 10.0


class Switch:
    """The transfers of one leg, one at a time."""

    def __init__(self, leg: Leg, wire: Wire) -> None:
        self._leg = leg
        self._wire = wire
        self._over_at: asyncio.TimerHandle | None = None

    # -------------------------------------------------------------- asked

    def start(self, command: Transfer) -> None:
        leg = self._leg
        if leg.journal.transfer is not None or not command.legs:
            leg.transferred(command.id, 0.0, 0)
            return
        limits = {phone.leg_id: phone.max_s for phone in command.legs}
        leg.journal.transfer = Connection(command.id, round(leg.at() + command.ring_s, 3), limits)
        if leg.journal.answered_at is None:
            self._wire.send("POST", f"channels/{leg.channel}/ring")
        else:
            self._wire.send("POST", f"channels/{leg.channel}/play/{self._ringback()}?media={RINGBACK}")
        for phone in command.legs:
            self._wire.watch(channel_of(phone.leg_id), self)
            self._wire.spawn(self._ring(phone, command.ring_s))
        self._over_at = self._wire.later(command.ring_s + SLACK_S, self._hang_up_all)

    async def _ring(self, phone: TransferLeg, ring_s: float) -> None:
        """Raises nothing: a phone that cannot be rung is one that does not answer."""
        try:
            endpoint = await self._wire.trunks.dialled(phone.trunk_id, phone.target)
            if not self._waits_for(phone.leg_id):
                return
            uri = (
                f"channels?endpoint={quote(endpoint)}&app={self._wire.app}"
                f"&channelId={channel_of(phone.leg_id)}&timeout={max(1, round(ring_s))}"
                f"&callerId={quote(phone.caller)}"
            )
            reply = await self._wire.ask("POST", uri, {"variables": self._variables(phone, ring_s)})
        except (UnknownTrunkError, EngineRefusedError):
            self._phone_gone(phone.leg_id)
        except EngineUnreachableError:
            logger.warning("whether a phone was rung is unknown", extra={"leg": phone.leg_id})
        except Exception:
            # Its trunk cannot be read, say. Who waits for it is not to wait for ever.
            logger.exception("a phone cannot be rung", extra={"leg": phone.leg_id})
            self._phone_gone(phone.leg_id)
        else:
            if not reply.ok:
                self._phone_gone(phone.leg_id)
            elif not self._waits_for(phone.leg_id):
                self._wire.send("DELETE", f"channels/{channel_of(phone.leg_id)}")

    def _variables(self, phone: TransferLeg, ring_s: float) -> Mapping[str, str]:
        journal = Journal(phone.leg_id, round(time.time(), 3), phone.trunk_id, ring_s, phone.max_s)
        return {
            "TDLEG": str(phone.leg_id),
            FIRST_VARIABLE: journal.encode(),
            "CHANNEL(hangup_handler_push)": END_HANDLER,
            "TIMEOUT(absolute)": f"{ring_s + phone.max_s + SLACK_S:.3f}",
        }

    def _waits_for(self, leg_id: int) -> bool:
        transfer = self._leg.journal.transfer
        return transfer is not None and leg_id in transfer.limits and transfer.connected in {0, leg_id}

    # -------------------------------------------------------------- heard

    def on_heard(self, heard: Heard) -> None:
        if heard.channel is None:
            return
        leg_id = leg_of(heard.channel.id)
        if leg_id is None:
            return
        if heard.type == "StasisStart":
            self._answered(leg_id)
        elif heard.type == "ChannelDestroyed":
            self._phone_gone(leg_id)

    def _answered(self, leg_id: int) -> None:
        transfer = self._leg.journal.transfer
        if transfer is not None and transfer.connected == leg_id:
            return
        if transfer is None or transfer.connected or leg_id not in transfer.limits:
            self._wire.send("DELETE", f"channels/{channel_of(leg_id)}")
            return
        for other in transfer.limits:
            if other != leg_id:
                self._release(other)
        self._stop_ringback()
        self._leg.pick_up()
        max_s = transfer.limits[leg_id]
        self._leg.journal.transfer = replace(
            transfer, connected=leg_id, since=self._leg.at(), limits={leg_id: max_s}
        )
        self._join(leg_id, max_s)
        self._leg.note()

    def _join(self, leg_id: int, max_s: float) -> None:
        phone, bridge = channel_of(leg_id), self._bridge()
        # Asterisk would wait for the end of a prompt, and do nothing else for us meanwhile.
        self._leg.prompts.stop_all()
        self._wire.send("POST", f"channels/{phone}/variable?variable=TIMEOUT(absolute)&value={max_s:.3f}")
        # With digits: what the person presses is still told.
        self._wire.send("POST", f"bridges/{bridge}?type=mixing,dtmf_events")
        # Neither phone is told by SIP to whom it is connected: carriers need not like that.
        both = f"channel={self._leg.channel},{phone}&inhibitConnectedLineUpdates=true"
        self._wire.send("POST", f"bridges/{bridge}/addChannel?{both}")
        self._limit_to(max_s)

    def _limit_to(self, seconds: float) -> None:
        if self._over_at is not None:
            self._over_at.cancel()
        self._over_at = self._wire.later(max(0.0, seconds), self._hang_up_all)

    def _hang_up_all(self) -> None:
        """The talk, or the ringing, has lasted long enough. That it is over is heard."""
        transfer = self._leg.journal.transfer
        if transfer is not None:
            for leg_id in transfer.limits:
                self._wire.send("DELETE", f"channels/{channel_of(leg_id)}")

    def _phone_gone(self, leg_id: int) -> None:
        transfer = self._leg.journal.transfer
        self._wire.unwatch(channel_of(leg_id))
        if transfer is None or leg_id not in transfer.limits:
            return
        if transfer.connected == leg_id:
            self._over()
            return
        left = {each: most for each, most in transfer.limits.items() if each != leg_id}
        self._leg.journal.transfer = replace(transfer, limits=left)
        if not left:
            self._over()

    # -------------------------------------------------------------- the end

    def caller_gone(self) -> None:
        """The person hung up: nobody talks or rings any more."""
        if self._leg.journal.transfer is not None:
            for leg_id in list(self._leg.journal.transfer.limits):
                self._release(leg_id)
            self._over()

    def _over(self) -> None:
        transfer, self._leg.journal.transfer = self._leg.journal.transfer, None
        assert transfer is not None
        if self._over_at is not None:
            self._over_at.cancel()
        seconds = 0.0
        if transfer.connected:
            self._wire.send("DELETE", f"bridges/{self._bridge()}")
            seconds = max(0.001, self._leg.at() - transfer.since)
        else:
            self._stop_ringback()
        self._leg.transferred(transfer.id, seconds, transfer.connected)

    def _release(self, leg_id: int) -> None:
        self._wire.unwatch(channel_of(leg_id))
        self._wire.send("DELETE", f"channels/{channel_of(leg_id)}")

    def _stop_ringback(self) -> None:
        if self._leg.journal.answered_at is not None:
            self._wire.send("DELETE", f"playbacks/{self._ringback()}")

    # -------------------------------------------------------------- taken over

    def resume(self, transfer: Connection, there: Set[int], answered: Set[int]) -> None:
        """Another process began it. `there`: its phones that still ring or talk; `answered`: which talk, or
        were answered while nobody listened."""
        for leg_id in transfer.limits:
            if leg_id in there:
                self._wire.watch(channel_of(leg_id), self)
        for leg_id in transfer.limits.keys() - there:
            self._phone_gone(leg_id)
        now = self._leg.at()
        if transfer.connected:
            until = transfer.since + transfer.limits[transfer.connected]
        else:
            until = transfer.until + SLACK_S
        if self._leg.journal.transfer is not None:
            self._limit_to(until - now)
            for leg_id in sorted(answered):
                self._answered(leg_id)

    def resume_end(self, transfer: Connection) -> None:
        """The person hung up while nobody listened. Its phones may ring or talk on: Asterisk lets them."""
        for leg_id in transfer.limits:
            self._release(leg_id)
        self.resume(transfer, frozenset(), frozenset())

    def forget(self) -> None:
        if self._over_at is not None:
            self._over_at.cancel()
        transfer = self._leg.journal.transfer
        for leg_id in transfer.limits if transfer is not None else ():
            self._wire.unwatch(channel_of(leg_id))

    def _bridge(self) -> str:
        return f"{self._leg.name}-b"

    def _ringback(self) -> str:
        return f"{self._leg.name}-ring"
