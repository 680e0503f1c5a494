"""What a test event tells: a call that never was, or something of Zalo's that never was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, get_args

import msgspec

from tongdai.domain.webhooks.events import (
    ATTEMPT_ENDED,
    CALL_REFUSED,
    INCOMING_ENDED,
    OF_CALLS,
    ZALO_RECEIVED,
    CallEvent,
    Event,
    IncomingEvent,
    ZaloEvent,
    ZaloEventType,
)
from tongdai.domain.webhooks.model import Endpoint


def sample_event(endpoint: Endpoint, now: datetime) -> Event:
    """An answered call, or a refused one where the endpoint is told only of those; one that came in where it
    is told of no others; something of Zalo's where it is told of no calls."""
    if not OF_CALLS.isdisjoint(endpoint.events):
        return _of_call(endpoint, now)
    return _incoming(endpoint, now) if INCOMING_ENDED in endpoint.events else _of_zalo(endpoint, now)


def _of_call(endpoint: Endpoint, now: datetime) -> CallEvent:
    answered = ATTEMPT_ENDED in endpoint.events
    return CallEvent(
        type=ATTEMPT_ENDED if answered else CALL_REFUSED,
        account_id=endpoint.account_id,
        campaign_id=0,
        campaign_name="Webhook test",
        project_code=None,
        template_id=None,
        purpose="customer_care",
        call_id=0,
        user_id=0,
        seq=1,
        attempt_id=0 if answered else None,
        attempt=1 if answered else 0,
        final=True,
        outcome="answered" if answered else "blocked",
        note=None if answered else "dnc_account",
        number="84912345007",
        number_given="0912345007",
        fields={"name": "Nguyễn Văn An"},
        hotline="842473000000" if answered else None,
        network="vinaphone",
        called_at=now - timedelta(seconds=30 if answered else 0),
        ended_at=now,
        ring_s=6.0 if answered else None,
        duration_s=24 if answered else 0,
        key_presses="1 (12)" if answered else "",
        end_code=None,
        record_files=[],
        billable_s=24 if answered else 0,
        postage=Decimal(0),
        service_charge=Decimal(0),
        next_attempt_at=None,
        person_ref=None,
    )


def _incoming(endpoint: Endpoint, now: datetime) -> IncomingEvent:
    return IncomingEvent(
        type=INCOMING_ENDED,
        account_id=endpoint.account_id,
        incoming_call_id=0,
        kind="CALLIN",
        disposition="ANSWER",
        hotline="842473000000",
        caller="84912345007",
        caller_given="0912345007",
        called_given="02473000000",
        came_at=now - timedelta(seconds=25),
        answered_at=now - timedelta(seconds=24),
        ended_at=now,
        ring_s=1.0,
        duration_s=24,
        billable_s=24,
        key_presses="1 (12)",
        answers={"menu": "1"},
        end_code="completed",
        transfers=[],
        record_files=[],
        campaign_call_id=None,
        campaign_id=None,
        campaign_name=None,
    )


# ---------------------------------------------------------------- of Zalo

TEST_NAME: Final = "tongdai_test"
"""`event_name` of a test event in Zalo's format: none that Zalo has."""


def _of_zalo(endpoint: Endpoint, now: datetime) -> ZaloEvent:
    """The first of those that the endpoint is told of."""
    type_ = next(one for one in get_args(ZaloEventType) if one in endpoint.events)
    received = type_ == ZALO_RECEIVED
    return ZaloEvent(
        type=type_,
        account_id=endpoint.account_id,
        oa_id=0,
        app_id=0,
        connection_id=endpoint.oa_ref or 0,
        at=now,
        data={} if received else _DATA[type_.split(".")[1]](type_, now),
        raw=_as_zalo_has_it(now) if received else None,
    )


def _as_zalo_has_it(now: datetime) -> str:
    told = {
        "app_id": "0",
        "oa_id": "0",
        "event_name": TEST_NAME,
        "timestamp": str(int(now.timestamp() * 1000)),
    }
    return msgspec.json.encode(told).decode()


def _oa(type_: str, now: datetime) -> dict[str, Any]:
    lapsed = type_ == "zalo.oa.needs_consent"
    return {
        "name": "Webhook test",
        "state": "needs_consent" if lapsed else "connected",
        "reason": "Webhook test" if lapsed else None,
        "reason_at": now if lapsed else None,
        "access_expires_at": now + timedelta(hours=25),
        "expires_at": now + timedelta(days=90),
        "daily_quota": 500,
        "remaining_quota": 500,
        "current_quality": "HIGH",
        "last_week_quality": "HIGH",
    }


def _journey(type_: str, now: datetime) -> dict[str, Any]:
    charged = type_ == "zalo.journey.charged"
    return {
        "id": 0,
        "journey_id": "0",
        "phone": "84912345007",
        "token_type": "token_logistics_7",
        "state": "enabled" if charged else "expired",
        "charged": charged,
        "charged_at": now if charged else None,
        "price": 0,
        "created_at": now,
        "expires_at": now + timedelta(days=7) if charged else now,
    }


def _message(type_: str, now: datetime) -> dict[str, Any]:
    arrived, rated = type_ != "zalo.message.undelivered", type_ == "zalo.message.rated"
    return {
        "id": 0,
        "msg_id": "0",
        "tracking_id": "",
        "type": "template",
        "journey_id": None,
        "phone": "84912345007",
        "template_id": 0,
        "development": True,
        "state": "delivered" if arrived else "undelivered",
        "seen": rated,
        "error_code": 0,
        "error_message": "",
        "fee": 0,
        "charged": False,
        "rate": 5 if rated else None,
        "note": "Webhook test" if rated else "",
        "feedback": [],
        "submitted_at": now if rated else None,
        "created_at": now,
        "sent_at": now,
        "delivered_at": now if arrived else None,
    }


def _template(type_: str, now: datetime) -> dict[str, Any]:
    return {
        "template_id": 0,
        "name": "Webhook test",
        "status": "ENABLE",
        "quality": "HIGH",
        "tag": "TRANSACTION",
        "reason": "",
        "updated_at": now,
    }


_DATA: Final[Mapping[str, Callable[[str, datetime], dict[str, Any]]]] = {
    "oa": _oa,
    "journey": _journey,
    "message": _message,
    "template": _template,
}
"""By the second word of an event's type."""
