"""Waking dialers through NOTIFY. It is a hint only: a lost one costs a dialer's polling interval, no call.

NOTIFY takes a lock on the whole database at commit, so that one per imported contact cuts commits to a third.
Hence the rules here: never inside the importing transaction, many wakes in one NOTIFY, one NOTIFY in flight.
"""

from __future__ import annotations

import asyncio
import logging

from tongdai.kit.db import Database

logger = logging.getLogger(__name__)

CHANNEL = "tongdai_dial"
"""Payload: campaign ids joined by commas; "*" when there are too many to name."""

# A payload of NOTIFY is shorter than 8,000 bytes; a bigint has at most 19 digits.
MAX_NAMED = 300
EVERYONE = "*"

# Tells listeners which campaigns have work. No table, no index.
NOTIFY_DIALERS = "SELECT pg_notify(%s, %s)"


def payload_of(campaign_ids: set[int]) -> str:
    """The text of one notification for these campaigns."""
    if len(campaign_ids) > MAX_NAMED:
        return EVERYONE
    return ",".join(str(one) for one in sorted(campaign_ids))


def campaigns_of(payload: str) -> frozenset[int] | None:
    """What a notification names; None: every campaign, also for a payload that nobody understands."""
    try:
        return frozenset(int(one) for one in payload.split(","))
    except ValueError:
        return None


class Hinter:
    """Collects wakes and sends them from a task of its own, so that no request waits for one.

    When nothing is in flight a wake is sent at once. Those that arrive meanwhile go out together afterwards.
    A notification that cannot be sent is logged and dropped.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: set[int] = set()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin sending. Wakes from before are sent now."""
        if self._task is None:
            self._task = asyncio.create_task(self._send_forever(), name="hinter")

    async def stop(self, timeout: float = 1.0) -> None:
        """Send what waits, for at most `timeout` seconds, and end."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        try:
            async with asyncio.timeout(timeout):
                await self._send_waiting()
        except TimeoutError:
            logger.warning("hints were dropped at the end")

    async def wake(self, campaign_id: int) -> None:
        """There is something to dial in this campaign. Never raises, and does not wait for the database: a
        hint is on its way when this returns, so before the request is answered, or goes with the next one.
        """
        self._waiting.add(campaign_id)
        self._woken.set()
        await asyncio.sleep(0)

    async def _send_forever(self) -> None:
        while True:
            await self._woken.wait()
            await self._send_waiting()

    async def _send_waiting(self) -> None:
        self._woken.clear()
        if not self._waiting:
            return
        payload = payload_of(self._waiting)
        self._waiting.clear()
        try:
            async with self._db.autocommit() as connection:
                await connection.execute(NOTIFY_DIALERS, (CHANNEL, payload))
        except Exception:
            # The edge of a loop: whatever is wrong with the database, the dialers poll as well.
            logger.warning("a hint to the dialers was dropped", exc_info=True)
