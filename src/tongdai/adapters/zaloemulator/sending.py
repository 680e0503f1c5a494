"""Messages by template: taken, delivered later, and asked for."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any, Final

from tongdai.adapters.zaloemulator import checks, journeys
from tongdai.adapters.zaloemulator.access import Caller, check_sender
from tongdai.adapters.zaloemulator.bodies import hash_of_phone, json_object, phone_of
from tongdai.adapters.zaloemulator.clock import vietnam_day
from tongdai.adapters.zaloemulator.core import Core
from tongdai.adapters.zaloemulator.exchange import Answer, Ask, RefusedError, success
from tongdai.adapters.zaloemulator.fixtures import Template
from tongdai.adapters.zaloemulator.journeys import Journey

MSG_ID: Final = re.compile(r"[0-9a-f]{1,64}")
LONGEST_TRACKING: Final = 48
INSERT: Final = "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)"
FIND: Final = """
    SELECT recipient, delivered_ms FROM messages WHERE msg_id = ? AND app_id = ? AND oa_id = ?
"""
ARRIVING: Final = """
    SELECT msg_id, app_id, oa_id, recipient, tracking_id, due_ms FROM messages
    WHERE delivered_ms IS NULL AND due_ms IS NOT NULL AND due_ms <= ? ORDER BY due_ms LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class _Message:
    """One that passed all checks."""

    address: str
    """The number, or its hash."""
    template: Template
    tracking_id: str
    development: bool
    mode: checks.Mode
    journey: Journey | None
    price: float


def send(core: Core, ask: Ask, caller: Caller) -> Answer:
    return _send(core, ask, caller, hashed=False)


def send_to_hash(core: Core, ask: Ask, caller: Caller) -> Answer:
    return _send(core, ask, caller, hashed=True)


def _send(core: Core, ask: Ask, caller: Caller, *, hashed: bool) -> Answer:
    message = _checked(core, ask, caller, hashed=hashed)
    msg_id, now = secrets.token_hex(10), core.clock.now_ms()
    recipient = core.world.recipient(message.address)
    wait_ms = core.settings.delivery_ms if recipient.delay_ms is None else recipient.delay_ms
    due = now + wait_ms if recipient.delivered else None
    price = _charge(core, caller, message)
    core.store.write(
        INSERT,
        (
            msg_id,
            caller.app.app_id,
            caller.oa.oa_id,
            message.template.template_id,
            message.address,
            message.tracking_id,
            message.journey.journey_id if message.journey else None,
            message.development,
            price,
            now,
            due,
        ),
    )
    checks.count(core, caller, message.template, message.address, development=message.development)
    if due is not None:
        core.outbox.on_due(due)
    ask.detail["msg_id"], ask.detail["tracking_id"] = msg_id, message.tracking_id
    return success(_taken(core, caller, message, msg_id, now))


def _checked(core: Core, ask: Ask, caller: Caller, *, hashed: bool) -> _Message:
    """Raises RefusedError."""
    body = json_object(ask)
    check_sender(core, caller)
    address = hash_of_phone(body.get("hash_phone")) if hashed else phone_of(body.get("phone"))
    development = body.get("mode") == "development"
    template = checks.check_template(core, caller, body.get("template_id"), development=development)
    journey = journeys.check_journey(core, caller, template, ask.headers, address)
    checks.check_data(template, body.get("template_data"))
    mode = checks.check_mode(body.get("sending_mode"), template)
    tracking_id = _tracking_id(body)
    if development:
        checks.check_development(core, caller, address)
    else:
        checks.check_quotas(core, caller, template, address, mode)
    refusal = core.world.recipient(address).refusal
    if refusal:
        raise RefusedError(refusal)
    price = 0.0 if development or (journey and journey.charged_ms) else float(template.price)
    if price > checks.money_left(core, caller):
        raise RefusedError(-137)
    return _Message(address, template, tracking_id, development, mode, journey, price)


def _tracking_id(body: dict[str, Any]) -> str:
    told = body.get("tracking_id")
    text = str(told) if isinstance(told, (str, int)) else ""
    if len(text) > LONGEST_TRACKING:
        raise RefusedError(-132, "tracking_id is over 48 characters")
    return text


def _charge(core: Core, caller: Caller, message: _Message) -> float:
    """What it costs. A journey is charged by its first message that is no test."""
    if message.journey is not None and not message.development:
        journeys.charge(core, message.journey)
    if message.price:
        core.store.use("spent", caller.oa.linked_zca, 0, message.price)
    return message.price


def _taken(core: Core, caller: Caller, message: _Message, msg_id: str, now: int) -> dict[str, Any]:
    if message.development:
        return {"msg_id": msg_id, "sent_time": str(now)}
    used = core.store.used("daily", caller.oa.oa_id, vietnam_day(now))
    daily = caller.oa.daily_quota
    return {
        "msg_id": msg_id,
        "sent_time": str(now),
        "sending_mode": message.mode,
        "quota": {"dailyQuota": str(daily), "remainingQuota": str(max(0, int(daily - used)))},
    }


def status(core: Core, ask: Ask, caller: Caller) -> Answer:
    msg_id = ask.query.get("message_id", "")
    if not MSG_ID.fullmatch(msg_id):
        raise RefusedError(-107)
    row = core.store.one(FIND, (msg_id, caller.app.app_id, caller.oa.oa_id))
    phone = ask.query.get("phone")
    if row is None or (phone is not None and phone_of(phone) != row[0]):
        return success({"status": -1, "message": "The message does not exist", "delivery_time": ""})
    if row[1] is None:
        text = "The message is pushed to the server but has not been delivered to the user"
        return success({"status": 0, "message": text, "delivery_time": ""})
    return success({"status": 1, "message": "The message has been delivered", "delivery_time": str(row[1])})


def deliver_due(core: Core, most: int) -> int:
    """Let arrive what is due, and post it. How many."""
    arriving = core.store.all(ARRIVING, (core.clock.now_ms(), most))
    for msg_id, app_id, oa_id, recipient, tracking_id, due_ms in arriving:
        core.store.write("UPDATE messages SET delivered_ms = ? WHERE msg_id = ?", (due_ms, msg_id))
        told = {
            "sender": {"id": str(oa_id)},
            "recipient": {"id": recipient},
            "message": {"delivery_time": str(due_ms), "msg_id": msg_id, "tracking_id": tracking_id},
        }
        core.outbox.post(app_id, "user_received_message", told, zns=True)
    return len(arriving)
