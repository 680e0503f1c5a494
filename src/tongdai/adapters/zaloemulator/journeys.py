"""Journeys: a token that lets the messages of one parcel or trip ride on one fee."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tongdai.adapters.zaloemulator.access import Caller, check_sender
from tongdai.adapters.zaloemulator.bodies import json_object, phone_of
from tongdai.adapters.zaloemulator.checks import money_left
from tongdai.adapters.zaloemulator.clock import DAY_MS
from tongdai.adapters.zaloemulator.core import Core
from tongdai.adapters.zaloemulator.exchange import Answer, Ask, RefusedError, flat, success
from tongdai.adapters.zaloemulator.fixtures import JOURNEY_DAYS, Template
from tongdai.adapters.zaloemulator.tokens import digest
from tongdai.adapters.zaloemulator.world import hash_of

DEFAULT_TYPE: Final = "token_logistics_7"
TOKEN_BYTES: Final = 186
"""About 250 characters of URL-safe base64."""
FIND: Final = """
    SELECT journey_id, app_id, oa_id, phone, token_type, created_ms, expires_ms, charged_ms FROM journeys
    WHERE digest = ?
"""
INSERT: Final = "INSERT INTO journeys VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, 0)"
ENDED: Final = """
    SELECT journey_id, app_id, oa_id, expires_ms FROM journeys WHERE told_over = 0 AND expires_ms <= ?
    ORDER BY expires_ms LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Journey:
    journey_id: int
    app_id: int
    oa_id: int
    phone: str
    token_type: str
    created_ms: int
    expires_ms: int
    charged_ms: int | None


def get_token(core: Core, ask: Ask, caller: Caller) -> Answer:
    """Each request makes a journey, whatever journeys the number has."""
    body = json_object(ask)
    check_sender(core, caller)
    phone = phone_of(body.get("phone"))
    token_type = body.get("token_type") or DEFAULT_TYPE
    days = JOURNEY_DAYS.get(token_type) if isinstance(token_type, str) else None
    if days is None:
        raise RefusedError(-132, "Invalid token_type")
    recipient = core.world.recipient(phone)
    if recipient.refusal == -118:
        raise RefusedError(-118)
    if money_left(core, caller) <= 0:
        raise RefusedError(-137)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    journey_id = secrets.randbits(62) | 1 << 62
    now = core.clock.now_ms()
    expires = now + days * DAY_MS
    core.store.write(
        INSERT,
        (journey_id, digest(token), caller.app.app_id, caller.oa.oa_id, phone, token_type, now, expires),
    )
    core.outbox.on_due(expires)
    ask.detail["journey_id"] = str(journey_id)
    return flat(token=token, journey_id=str(journey_id))


def check_token(core: Core, ask: Ask, caller: Caller) -> Answer:
    journey = _valid(core, caller, ask.headers.get("journey_token", ""))
    return success(
        {
            "appId": str(journey.app_id),
            "oaId": str(journey.oa_id),
            "tokenType": journey.token_type,
            "createdAt": str(journey.created_ms),
            "expiredAt": str(journey.expires_ms),
        }
    )


def check_journey(
    core: Core, caller: Caller, template: Template, headers: Mapping[str, str], address: str
) -> Journey | None:
    """The journey of a message; None: it has none. Raises RefusedError: -148, -149, -150, -1491."""
    token = headers.get("journey_token")
    if token is None:
        if template.journey_types:
            raise RefusedError(-148)
        return None
    journey = _valid(core, caller, token)
    if address not in (journey.phone, hash_of(journey.phone)):
        raise RefusedError(-149)
    if journey.token_type not in template.journey_types:
        raise RefusedError(-1491)
    return journey


def charge(core: Core, journey: Journey) -> bool:
    """Whether it is charged now: once, by its first message."""
    now = core.clock.now_ms()
    charged = core.store.write(
        "UPDATE journeys SET charged_ms = ? WHERE journey_id = ? AND charged_ms IS NULL",
        (now, journey.journey_id),
    )
    if charged:
        core.outbox.post(
            journey.app_id, "event_journey_acknowledged", _event(journey.oa_id, journey.journey_id)
        )
    return charged == 1


def end_due(core: Core, most: int) -> int:
    """Announce those that expired. How many."""
    ended = core.store.all(ENDED, (core.clock.now_ms(), most))
    for journey_id, _, _, _ in ended:
        core.store.write("UPDATE journeys SET told_over = 1 WHERE journey_id = ?", (journey_id,))
    for journey_id, app_id, oa_id, _ in ended:
        core.outbox.post(app_id, "event_journey_time_out", _event(oa_id, journey_id))
    return len(ended)


def _event(oa_id: int, journey_id: int) -> dict[str, str]:
    return {"oaId": str(oa_id), "journeyId": str(journey_id)}


def _valid(core: Core, caller: Caller, token: str) -> Journey:
    row = core.store.one(FIND, (digest(token),)) if token else None
    if row is None:
        raise RefusedError(-148)
    journey = Journey(*row)
    if (journey.app_id, journey.oa_id) != (caller.app.app_id, caller.oa.oa_id):
        raise RefusedError(-149)
    if core.clock.now_ms() >= journey.expires_ms:
        raise RefusedError(-150)
    return journey
