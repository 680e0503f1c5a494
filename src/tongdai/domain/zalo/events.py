"""Events that Zalo sends: each is taken in once, has its effect here, and is passed on to the customer."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from tongdai.domain import webhooks
from tongdai.domain.webhooks import ZALO_RECEIVED, ZaloEvent
from tongdai.domain.zalo import journeys, messages, oas, quotas, seals, telling, templates
from tongdai.domain.zalo.event_reading import (
    SERVER,
    SIGNATURE,
    Fields,
    decoded,
    is_timely,
    named_oas,
    signed_at,
)
from tongdai.domain.zalo.store import events as store
from tongdai.domain.zalo.store.events import Hook
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import TRANSIENT_ERRORS, Database, Tx

log = logging.getLogger(__name__)

KEPT_FOR: Final = timedelta(days=30)
"""For how long a repetition is known."""
_PROBE: Final = b"{}"
_ZNS: Final = "ZNS"
_LONGEST_HOOK: Final = 100
_MOST_NAMED: Final = 50
"""Messages that one event is heard about."""
_FORGOTTEN_AT_ONCE: Final = 2000


class Reception(StrEnum):
    """What came of a request of Zalo's, or of whoever sent it."""

    TAKEN = "taken"
    REPEATED = "repeated"
    PROBE = "probe"
    """Zalo tries an address that is being saved: `{}` without a signature."""
    UNKNOWN = "unknown"
    """No app's events go to this address."""
    FORGED = "forged"
    """Nobody who knows the app's key has signed it, or the key is not known here."""
    LATE = "late"
    """Signed at a time that Zalo does not send of any more, or not yet."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event that Zalo signed, of an Official Account that is held."""

    account_id: int
    oa_id: int
    fields: Fields
    headers: Mapping[str, str]
    at: datetime
    """Its own time."""
    now: datetime


Effect = Callable[[Tx, Told], Awaitable[None]]


async def take_event(
    db: Database, keyring: Keyring, now: datetime, hook: str, body: bytes, headers: Mapping[str, str]
) -> Reception:
    """Takes an event in, with all that it changes, or nothing of it. `headers` by names in lower case."""
    if not (hook.isascii() and hook.isprintable() and len(hook) <= _LONGEST_HOOK):
        return Reception.UNKNOWN
    async with db.transaction() as tx:
        app = await store.hook(tx, hook)
        if app is None:
            return Reception.UNKNOWN
        if body.strip() == _PROBE and SIGNATURE not in headers:
            return Reception.PROBE
        if app.webhook_secret is None:
            return Reception.FORGED
        key = seals.open_app(keyring, app.account_id, app.webhook_secret)
        fields = Fields(decoded(body) or {})
        at = signed_at(body, fields, headers, app.app_id, key)
        if at is None:
            return Reception.FORGED
        if not is_timely(at, now):
            return Reception.LATE
        return await _take(tx, app, body, fields, headers, at, now)


async def forget_events(db: Database, now: datetime) -> int:
    """What came more than `KEPT_FOR` ago. Many short transactions; returns how many rows went."""
    gone, some = 0, _FORGOTTEN_AT_ONCE
    while some == _FORGOTTEN_AT_ONCE:
        async with db.transaction() as tx:
            some = await store.forget(tx, now - KEPT_FOR, _FORGOTTEN_AT_ONCE)
        gone += some
    return gone


# ---------------------------------------------------------------- taking one


async def _take(
    tx: Tx, app: Hook, body: bytes, fields: Fields, headers: Mapping[str, str], at: datetime, now: datetime
) -> Reception:
    named = named_oas(fields)
    name = fields.id("event_name") or ""
    held = await store.held(tx, app, named)
    taken = {one for one, of in held.items() if not of.let_go or name in OF_WHAT_WAS_SENT}
    oa_id = next((one for one in named if one in taken), None)
    if oa_id is None or fields.number("app_id", "appId") not in (None, app.app_id):
        # Of no effect, so a repetition is not to be known: whoever has a key could fill the table with these.
        log.info("an event of Zalo's is about no Official Account here", extra={"app": app.app_id})
        return Reception.TAKEN
    digest = hashlib.sha256(body).digest()
    if not await store.add(tx, app, digest, name=name, oa_id=oa_id, told_at=at, now=now):
        return Reception.REPEATED
    told = Told(app.account_id, oa_id, fields, headers, at, now)
    await _have_effect(tx, name, told)
    if not held[oa_id].let_go:
        await _pass_on(tx, app, held[oa_id].oa_ref, body, told)
    return Reception.TAKEN


async def _have_effect(tx: Tx, name: str, told: Told) -> None:
    """One that fails by a fault of ours is undone alone: Zalo would send the event a few times more, and then
    none of any kind."""
    effect = EFFECTS.get(name)
    if effect is None:
        return
    try:
        async with tx.transaction():
            await effect(tx, told)
    except TRANSIENT_ERRORS:
        raise
    except Exception:
        log.exception("an event of Zalo's had no effect", extra={"event": name, "oa": told.oa_id})


async def _pass_on(tx: Tx, app: Hook, oa_ref: int, body: bytes, told: Told) -> None:
    event = ZaloEvent(
        type=ZALO_RECEIVED,
        account_id=app.account_id,
        oa_id=told.oa_id,
        app_id=app.app_id,
        connection_id=oa_ref,
        at=told.at,
        data={name: told.headers[name.lower()] for name in _PASSED_ON if _is_sound(told.headers, name)},
        raw=body.decode(),
        signature=told.headers[SIGNATURE].strip(),
    )
    await webhooks.publish(tx, [event])


_PASSED_ON: Final = ("X-ZEvent-Timestamp", "X-ZEvent-Server")
"""Of Zalo's headers, beside the signature: what it takes to check that, and to tell a message by template."""


def _is_sound(headers: Mapping[str, str], name: str) -> bool:
    value = headers.get(name.lower(), "")
    return 0 < len(value) <= _LONGEST_HOOK and value.isascii() and value.isprintable()


# ---------------------------------------------------------------- effects


async def _message_arrived(tx: Tx, told: Told) -> None:
    """A message by template; without Zalo's header it is the receipt of a chat."""
    msg_id = told.fields.id("message.msg_id")
    if msg_id is not None and told.headers.get(SERVER, "").strip().upper() == _ZNS:
        await messages.message_arrived(
            tx,
            told.account_id,
            told.oa_id,
            msg_id=msg_id,
            tracking_id=told.fields.id("message.tracking_id"),
            delivered_at=told.fields.moment("message.delivery_time") or told.at,
            now=told.now,
        )


async def _messages_seen(tx: Tx, told: Told) -> None:
    named = told.fields.texts("message.msg_ids", _MOST_NAMED)
    one = told.fields.id("message.msg_id")
    # In one order, whichever the event has them in: two events that share some would wait for each other.
    for msg_id in sorted({*named, one} if one else set(named)):
        await messages.message_seen(tx, told.account_id, told.oa_id, msg_id=msg_id, now=told.now)


async def _message_rated(tx: Tx, told: Told) -> None:
    msg_id = told.fields.id("message.msg_id")
    if msg_id is not None:
        await messages.message_rated(
            tx,
            told.account_id,
            msg_id=msg_id,
            rate=told.fields.number("message.rate"),
            note=told.fields.text("message.note") or "",
            feedback=told.fields.texts("message.feedbacks", _MOST_NAMED),
            submitted_at=told.fields.moment("message.submit_time") or told.at,
            now=told.now,
        )


async def _quota_changed(tx: Tx, told: Told) -> None:
    daily = told.fields.number("quota.new_value")
    if daily is not None and await quotas.quota_changed(tx, told.account_id, told.oa_id, daily, told.now):
        oa = await oas.get_oa(tx, told.account_id, told.oa_id)
        await telling.tell_oa(tx, "zalo.oa.quota_changed", oa, told.now)


async def _template_changed(tx: Tx, told: Told) -> None:
    template_id = told.fields.number("template_id", "templateId")
    if template_id is not None:
        await templates.template_changed(
            tx,
            told.account_id,
            told.oa_id,
            template_id,
            status=told.fields.id("status.new_status"),
            quality=told.fields.id("quality", "quality.new_value", "quality.new_quality"),
            reason=told.fields.text("reason"),
            now=told.now,
        )


_JOURNEY_ID: Final = ("journeyId", "journey_id", "data.journeyId", "data.journey_id")


async def _journey_charged(tx: Tx, told: Told) -> None:
    zalo_id = told.fields.id(*_JOURNEY_ID)
    if zalo_id is not None:
        await journeys.enable_journey(tx, told.account_id, zalo_id=zalo_id, now=told.now)


async def _journey_expired(tx: Tx, told: Told) -> None:
    zalo_id = told.fields.id(*_JOURNEY_ID)
    if zalo_id is not None:
        await journeys.expire_journey(tx, told.account_id, zalo_id=zalo_id, now=told.now)


EFFECTS: Final[Mapping[str, Effect]] = {
    "user_received_message": _message_arrived,
    "user_seen_message": _messages_seen,
    "user_feedback": _message_rated,
    "change_oa_daily_quota": _quota_changed,
    "change_template_quality": _template_changed,
    "change_template_status": _template_changed,
    "event_journey_acknowledged": _journey_charged,
    "event_journey_time_out": _journey_expired,
}
"""What an event changes here, by its name. The others are passed on alone."""

OF_WHAT_WAS_SENT: Final = frozenset(
    {"user_received_message", "event_journey_acknowledged", "event_journey_time_out"}
)
"""What is charged by them is charged, too, when its Official Account was disconnected meanwhile."""
