"""What happens by itself: messages arrive, journeys end, webhooks are sent and sent again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp

from tongdai.adapters.zaloemulator import journeys, sending
from tongdai.adapters.zaloemulator.core import Core
from tongdai.adapters.zaloemulator.fixtures import App
from tongdai.adapters.zaloemulator.outbox import DUE, signature

logger = logging.getLogger(__name__)

LADDER_S: Final = (30, 300, 900, 1800, 3600)
"""Until the next try (Zalo's page on webhooks). After the last one the webhook is switched off."""
AT_ONCE: Final = 32
MOST_AT_ONCE: Final = 500
IDLE_S: Final = 30.0
NEXT: Final = """
    SELECT min(due) FROM (
        SELECT min(due_ms) AS due FROM messages WHERE delivered_ms IS NULL AND due_ms IS NOT NULL
        UNION ALL SELECT min(expires_ms) FROM journeys WHERE told_over = 0
        UNION ALL SELECT min(due_ms) FROM webhooks WHERE state = 'due')
"""
NEVER: Final = 1 << 62


class Sender:
    """The loop of an emulator. `start` and `stop` once."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._woken = asyncio.Event()
        self._next_ms = 0
        self._busy: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None
        core.outbox.on_due = self._due_at

    async def start(self) -> None:
        connector = aiohttp.TCPConnector(limit=AT_ONCE)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        self._loop = asyncio.create_task(self._run())

    async def stop(self) -> None:
        tasks = [*self._busy, *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def catch_up(self) -> None:
        """Do what is due now that the clock was moved. Webhooks are on their way then, and not waited for."""
        while self._do_due():
            pass
        self._next_ms = 0
        self._woken.set()

    def _due_at(self, due_ms: int) -> None:
        if due_ms < self._next_ms:
            self._next_ms = due_ms
            self._woken.set()

    async def settle(self) -> None:
        """Return when nothing is due and no webhook is on its way."""
        while self._do_due() or self._busy:
            if self._busy:
                await asyncio.wait(set(self._busy))

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            more = self._do_due()
            row = self._core.store.one(NEXT)
            self._next_ms = row[0] if row and row[0] is not None else NEVER
            wait_s = min(IDLE_S, self._core.clock.real_seconds_until(self._next_ms))
            if len(self._busy) >= AT_ONCE:
                await asyncio.wait(set(self._busy), return_when=asyncio.FIRST_COMPLETED)
            elif not more:
                await _wait(self._woken.wait, wait_s)
            else:
                await asyncio.sleep(0)

    def _do_due(self) -> bool:
        """Whether there was anything."""
        done = sending.deliver_due(self._core, MOST_AT_ONCE) + journeys.end_due(self._core, MOST_AT_ONCE)
        free = AT_ONCE - len(self._busy)
        due = self._core.store.all(DUE, (self._core.clock.now_ms(), free)) if free > 0 else []
        for row in due:
            self._core.store.write("UPDATE webhooks SET state = 'sending' WHERE id = ?", (row[0],))
            task = asyncio.create_task(self._send(row))
            self._busy.add(task)
            task.add_done_callback(self._busy.discard)
        return bool(done or due)

    async def _send(self, row: tuple[Any, ...]) -> None:
        webhook_id, app_id, _, zns, body, body_ms, tries, key = row
        app = self._core.world.apps.get(app_id)
        if app is None or not app.webhook_url or not app.webhook_enabled:
            self._note(webhook_id, "dropped", tries, 0)
            return
        headers = self._headers(app, body, body_ms, zns=bool(zns), tries=tries, key=key)
        status = await self.post(app.webhook_url, body, headers)
        if status == 200:
            self._note(webhook_id, "taken", tries + 1, status)
        else:
            self._again(app, webhook_id, tries, status)

    def _headers(
        self, app: App, body: bytes, body_ms: int, *, zns: bool, tries: int, key: str
    ) -> dict[str, str]:
        """The signature is over the bytes of the body and the `timestamp` in it."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "ZaloWebhook",
            "X-ZEvent-Signature": signature(app.app_id, body, str(body_ms), key or app.webhook_secret),
            "X-ZEvent-Timestamp": str(body_ms + self._core.settings.header_timestamp_ahead_ms),
        }
        if zns:
            headers["X-ZEvent-Server"] = "ZNS"
        if tries:
            headers["num_retry"] = str(tries)
        return headers

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """The HTTP status; 0: no answer."""
        assert self._session is not None
        timeout = aiohttp.ClientTimeout(total=self._core.settings.webhook_timeout_s)
        try:
            async with self._session.post(
                url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return 0

    def _again(self, app: App, webhook_id: int, tries: int, status: int) -> None:
        if tries >= len(LADDER_S):
            logger.warning("a webhook is switched off after its last retry", extra={"app_id": app.app_id})
            self._core.world.apps.merge({"app_id": app.app_id, "webhook_enabled": False})
            self._core.store.write(
                "UPDATE webhooks SET state = 'dropped' WHERE app_id = ? AND state = 'due'", (app.app_id,)
            )
            self._note(webhook_id, "dropped", tries + 1, status)
            return
        wait_ms = int(LADDER_S[tries] * 1000 * self._core.settings.retry_scale)
        due = self._core.clock.now_ms() + wait_ms
        self._core.store.write("UPDATE webhooks SET due_ms = ? WHERE id = ?", (due, webhook_id))
        self._note(webhook_id, "due", tries + 1, status)
        self._due_at(due)

    def _note(self, webhook_id: int, state: str, tries: int, status: int) -> None:
        self._core.store.write(
            "UPDATE webhooks SET state = ?, tries = ?, status = ? WHERE id = ?",
            (state, tries, status, webhook_id),
        )
        self._woken.set()


async def _wait(until: Callable[[], Awaitable[Any]], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await until()
    except TimeoutError:
        return
