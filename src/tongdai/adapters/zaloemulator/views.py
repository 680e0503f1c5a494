"""What the control surface shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from tongdai.adapters.zaloemulator.bodies import decode
from tongdai.adapters.zaloemulator.clock import vietnam_day
from tongdai.adapters.zaloemulator.core import Core

LONGEST_LIST: Final = 10_000

REQUESTS: Final = """
    SELECT id, at_ms, method, path, app_id, oa_id, error, fault, detail FROM requests
    WHERE id > ?1 AND (?2 IS NULL OR path = ?2) ORDER BY id LIMIT ?3
"""
JOURNEYS: Final = """
    SELECT journey_id, app_id, oa_id, phone, token_type, created_ms, expires_ms, charged_ms, told_over
    FROM journeys ORDER BY created_ms DESC LIMIT ?
"""
MESSAGES: Final = """
    SELECT msg_id, app_id, oa_id, template_id, recipient, tracking_id, journey_id, development, price,
           sent_ms, delivered_ms FROM messages ORDER BY sent_ms DESC LIMIT ?
"""
WEBHOOKS: Final = """
    SELECT id, app_id, event, zns, body, body_ms, due_ms, tries, state, status FROM webhooks
    ORDER BY id DESC LIMIT ?
"""
LISTS: Final = {"journeys": JOURNEYS, "messages": MESSAGES, "webhooks": WEBHOOKS}
COUNTED: Final = {
    "journeys": "SELECT count(*) FROM journeys",
    "journeys_charged": "SELECT count(*) FROM journeys WHERE charged_ms IS NOT NULL",
    "messages": "SELECT count(*) FROM messages",
    "messages_delivered": "SELECT count(*) FROM messages WHERE delivered_ms IS NOT NULL",
    "requests": "SELECT count(*) FROM requests",
    "refresh_tokens_fresh": "SELECT count(*) FROM refresh_tokens WHERE state = 'fresh'",
    "refresh_tokens_consumed": "SELECT count(*) FROM refresh_tokens WHERE state = 'consumed'",
    "access_tokens_live": "SELECT count(*) FROM access_tokens WHERE state = 'live'",
    "webhooks_due": "SELECT count(*) FROM webhooks WHERE state IN ('due', 'sending')",
}
IDS: Final = frozenset({"app_id", "oa_id", "journey_id", "template_id"})


def state(core: Core) -> dict[str, Any]:
    """The whole of it; ids are strings, secrets are shown."""
    world, day = core.world, vietnam_day(core.clock.now_ms())
    return {
        "now_ms": core.clock.now_ms(),
        "settings": msgspec.to_builtins(core.settings),
        "apps": [_with_ids(msgspec.to_builtins(one)) for one in world.apps.by_key.values()],
        "oas": [
            {
                **_with_ids(msgspec.to_builtins(one)),
                "apps_let_in": [str(app_id) for app_id in core.tokens.apps_of(one.oa_id)],
                "used_today": int(core.store.used("daily", one.oa_id, day)),
                "spent": core.store.used("spent", one.linked_zca, 0),
            }
            for one in world.oas.by_key.values()
        ],
        "templates": [_with_ids(msgspec.to_builtins(one)) for one in world.templates.by_key.values()],
        "recipients": [msgspec.to_builtins(one) for one in world.recipients.by_key.values()],
        "counts": {name: _count(core, sql) for name, sql in COUNTED.items()},
        "faults": [msgspec.to_builtins(one) for one in core.faults.waiting],
    }


def requests(core: Core, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """The log from the oldest on. `path`, `after` (an id) and `limit` narrow it."""
    rows = core.store.all(REQUESTS, (_number(query, "after", 0), query.get("path"), _limit(query)))
    names = ("id", "at_ms", "method", "path", "app_id", "oa_id", "error", "fault")
    return [{**_with_ids(dict(zip(names, row, strict=False))), **decode(row[8] or "{}")} for row in rows]


def listed(
    core: Core, what: Literal["journeys", "messages", "webhooks"], query: Mapping[str, str]
) -> list[Any]:
    """The newest first."""
    sql = LISTS[what]
    names = [name.strip() for name in sql.split("FROM")[0].replace("SELECT", "").split(",")]
    rows = [dict(zip(names, row, strict=True)) for row in core.store.all(sql, (_limit(query),))]
    return [_with_ids({name: _text(value) for name, value in row.items()}) for row in rows]


def _text(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _with_ids(row: dict[str, Any]) -> dict[str, Any]:
    """Ids as strings: they are longer than 53 bits."""
    return {name: str(value) if name in IDS and value is not None else value for name, value in row.items()}


def _count(core: Core, sql: str) -> int:
    row = core.store.one(sql)
    return int(row[0]) if row else 0


def _limit(query: Mapping[str, str]) -> int:
    return max(1, min(LONGEST_LIST, _number(query, "limit", LONGEST_LIST)))


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    told = query.get(name, "")
    return int(told) if told.isascii() and told.isdigit() and len(told) <= 18 else default
