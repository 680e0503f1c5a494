"""Messages followed to their end: by Zalo's events, which come to `messages`, and by asking where none came.

Any number of processes may follow. A pass takes what is due for a minute, so each message is looked after by
one of them; whatever one writes looks at the message's state again, so a second one could change nothing.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from tongdai.domain.zalo import journeys, outcomes, tokens
from tongdai.domain.zalo.bridge import Bridge
from tongdai.domain.zalo.errors import ConsentLapsedError, OaNotFoundError
from tongdai.domain.zalo.model import MessageState
from tongdai.domain.zalo.store import messages as store
from tongdai.domain.zalo.store.messages import Kept
from tongdai.domain.zalo.tokens import HeldOa
from tongdai.kit.crypto import SealBrokenError
from tongdai.kit.db import TRANSIENT_ERRORS
from tongdai.kit.running import repeat
from tongdai.ports.zalo import (
    Access,
    MessageStatus,
    Refusal,
    ZaloError,
    ZaloGarbledError,
    ZaloRefusedError,
)

logger = logging.getLogger(__name__)

LEASE: Final = timedelta(minutes=1)
ASK_AGAIN: Final = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
"""After the first answer, which was asked for at the time-out; after the last of them nothing is expected."""
ZALO_AWAY: Final = timedelta(minutes=10)
"""Until Zalo is asked again that gave no answer."""
GIVE_UP: Final = timedelta(days=3)
"""After which nothing is expected even of a Zalo that never answered."""
_MOST_EXPIRED: Final = 500
"""Journeys that are ended at once."""


@dataclass(frozen=True, slots=True)
class FollowerConfig:
    batch: int = 200
    """Messages per pass."""
    asked_at_once: int = 8
    """Questions to Zalo under way at a time, per process."""
    poll_s: float = 5.0


@dataclass(frozen=True, slots=True)
class _Pass:
    """What the messages of one pass share."""

    asking: asyncio.Semaphore
    writing: asyncio.Semaphore
    """Of those of whom Zalo is not asked, so that they wait for nobody's answer."""
    mute: set[int] = field(default_factory=set)
    """Official Accounts, by our id, over which Zalo cannot be asked now: one that lets every question run
    into its time-out must not keep those of all others waiting."""


class Follower:
    """Looks after whatever messages and journeys are due, of every account."""

    def __init__(self, bridge: Bridge, config: FollowerConfig | None = None) -> None:
        self._bridge = bridge
        self._config = config or FollowerConfig()

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until told to stop. What is under way then is taken up again a minute later."""
        pause_s = self._config.poll_s
        async with asyncio.TaskGroup() as group:
            group.create_task(repeat("following", self._follow_some, stop, pause_s))
            group.create_task(repeat("expiring", self._expire_some, stop, pause_s))

    async def _follow_some(self) -> bool:
        return await self.follow_due() == self._config.batch

    async def _expire_some(self) -> bool:
        """Journeys wait for no answer of Zalo's to a message."""
        bridge, most = self._bridge, _MOST_EXPIRED
        return await journeys.expire_due_journeys(bridge.db, bridge.clock.now(), most) >= most

    async def follow_due(self) -> int:
        """One pass. Returns how many messages were due, `FollowerConfig.batch` at most."""
        bridge, config = self._bridge, self._config
        async with bridge.db.transaction() as tx:
            due = await store.claim(tx, bridge.clock.now(), LEASE, config.batch)
        one_pass = _Pass(asyncio.Semaphore(config.asked_at_once), asyncio.Semaphore(config.asked_at_once))
        await asyncio.gather(*(self._guarded(kept, one_pass) for kept in due))
        return len(due)

    async def _guarded(self, kept: Kept, one_pass: _Pass) -> None:
        """Whatever goes wrong with one message is its own, and it is taken up again."""
        facts = {"message_id": kept.id, "account_id": kept.message.account_id}
        try:
            await self._follow(kept, one_pass)
        except TRANSIENT_ERRORS:
            logger.warning("a message was not followed", extra=facts, exc_info=True)
        except Exception:
            logger.exception("a message could not be followed", extra=facts)

    async def _follow(self, kept: Kept, one_pass: _Pass) -> None:
        if kept.message.state is MessageState.ACCEPTED:
            async with one_pass.asking:
                await self._ask(kept, one_pass.mute)
            return
        bridge = self._bridge
        async with one_pass.writing, bridge.db.transaction() as tx:
            if kept.message.state is MessageState.SENDING:
                await outcomes.doubted(tx, kept, bridge.clock.now())
            else:
                await outcomes.undelivered(tx, kept, bridge.clock.now())

    async def _ask(self, kept: Kept, mute: set[int]) -> None:
        status = None if kept.message.oa_ref in mute else await self._status(kept, mute)
        bridge, now = self._bridge, self._bridge.clock.now()
        async with bridge.db.transaction() as tx:
            if status is not None and status.state == "delivered":
                # Without a time of Zalo's, when we heard of it is too late for it to be paid.
                await outcomes.arrived(tx, kept, None, status.delivered_at or now, now)
            elif status is None and now - kept.message.created_at < GIVE_UP:
                await store.postpone(tx, kept, now + ZALO_AWAY, asked=False)
            elif status is not None and kept.follows < len(ASK_AGAIN):
                await store.postpone(tx, kept, now + ASK_AGAIN[kept.follows], asked=True)
            else:
                await outcomes.undelivered(tx, kept, now)

    async def _status(self, kept: Kept, mute: set[int]) -> MessageStatus | None:
        """What Zalo says of it; None: Zalo cannot be asked. Notes where that is so of all messages of an
        Official Account."""
        message, client = kept.message, self._bridge.client
        msg_id = message.msg_id
        assert msg_id is not None, "Zalo took it"

        async def ask(access: Access) -> MessageStatus:
            return await client.message_status(access, msg_id, phone=message.phone)

        try:
            held = await self._held(kept)
            return await tokens.ask(self._bridge, held, ask)
        except ZaloRefusedError as refused:
            if refused.refusal is not Refusal.REQUEST:
                return None
            return MessageStatus("unknown", None, refused.said)
        except ZaloGarbledError:
            return None
        except (ZaloError, ConsentLapsedError, OaNotFoundError, SealBrokenError):
            mute.add(message.oa_ref)
            return None

    async def _held(self, kept: Kept) -> HeldOa:
        bridge, message = self._bridge, kept.message
        async with bridge.db.transaction() as tx:
            return await tokens.held_oa(tx, bridge.keyring, message.account_id, message.oa_id)
