"""Zalo's events, written down until the app's webhook has taken them (Zalo's page on webhooks)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from tongdai.adapters.zaloemulator.clock import Clock
from tongdai.adapters.zaloemulator.exchange import encode
from tongdai.adapters.zaloemulator.fixtures import App
from tongdai.adapters.zaloemulator.store import Store
from tongdai.adapters.zaloemulator.world import World

KEPT: Final = 20_000
"""Of those that were taken or given up."""
ADD: Final = """
    INSERT INTO webhooks (app_id, event, zns, body, body_ms, due_ms, key) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
DUE: Final = """
    SELECT id, app_id, event, zns, body, body_ms, tries, key FROM webhooks
    WHERE state = 'due' AND due_ms <= ? ORDER BY due_ms, id LIMIT ?
"""


def signature(app_id: int, body: bytes, timestamp: str, secret: str) -> str:
    """SHA-256 of a plain concatenation, as `MacUtils` of Zalo's Java SDK makes it."""
    text = str(app_id).encode() + body + timestamp.encode() + secret.encode()
    return "mac=" + hashlib.sha256(text).hexdigest()


class Outbox:
    def __init__(self, store: Store, clock: Clock, world: World) -> None:
        self._store = store
        self._clock = clock
        self._world = world
        self.on_due: Callable[[int], None] = lambda due_ms: None
        """Told when something is due, in epoch milliseconds."""
        self._added = 0
        store.write("UPDATE webhooks SET state = 'due' WHERE state = 'sending'")

    def post(self, app_id: int, event: str, fields: dict[str, Any], *, zns: bool = False) -> int | None:
        """The webhook's id; None: the app takes no such event."""
        app = self._world.apps.get(app_id)
        if app is None or not takes(app, event):
            return None
        stamp = self._clock.machine_ms()
        body = encode({"event_name": event, "app_id": str(app_id), **fields, "timestamp": str(stamp)})
        return self.add(app_id, event, body, stamp, zns=zns)

    def add(self, app_id: int, event: str, body: bytes, body_ms: int, *, zns: bool, key: str = "") -> int:
        """`key`: signed with this secret instead of the app's."""
        now = self._clock.now_ms()
        self._store.write(ADD, (app_id, event, zns, body, body_ms, now, key))
        row = self._store.one("SELECT last_insert_rowid()")
        assert row is not None
        self._added += 1
        if self._added % KEPT == 0:
            self._store.write("DELETE FROM webhooks WHERE id <= ? AND state <> 'due'", (row[0] - KEPT,))
        self.on_due(now)
        return int(row[0])


def takes(app: App, event: str) -> bool:
    """Whether the app has a webhook for it."""
    if not app.webhook_url or not app.webhook_enabled:
        return False
    return app.webhook_events is None or event in app.webhook_events
