"""One event of each thing of Zalo's, as it is published and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from tests import zalo_rows
from tests.call_events import CALLED_AT

from tongdai.domain.webhooks import ZaloEvent, ZaloEventType
from tongdai.domain.webhooks.store.deliveries import decode_event, encode_event
from tongdai.domain.zalo import (
    JourneyState,
    MessageState,
    OaState,
    telling,
)

BEFORE: Final = CALLED_AT
AT: Final = CALLED_AT + timedelta(seconds=71)
OA_ID: Final = 4318657068771012646
APP_ID: Final = 3791405228651924317
RAW: Final = (
    '{"app_id": "3791405228651924317", "event_name": "user_received_message", "timestamp": "1798139109000",\n'
    ' "sender": {"id": "4318657068771012646"}, "recipient": {"id": "84912345007"},\n'
    ' "message": {"msg_id": "96d01286d3a72af973b6", "tracking_id": "đơn 17",'
    ' "delivery_time": "1798139109000"}}\n'
)

OA: Final = replace(
    zalo_rows.OA,
    id=31,
    account_id=7,
    app_ref=3,
    app_id=APP_ID,
    oa_id=OA_ID,
    owner_id=5,
    state=OaState.NEEDS_CONSENT,
    reason="Zalo does not take the refresh token",
    reason_at=AT,
    access_expires_at=BEFORE,
    expires_at=datetime(2027, 3, 19, 19, 5, 9, tzinfo=UTC),
    refreshed_at=BEFORE,
    name="Cửa hàng Hoa Sen",
    description="",
    avatar="",
    cover="",
    category="",
    package_name="",
    package_valid_through="",
    linked_zca="",
    last_week_quality="MEDIUM",
    daily_quota=20_000,
    remaining_quota=19_750,
    monthly_promotion_quota=None,
    remaining_monthly_promotion_quota=None,
    estimated_next_month_promotion_quota=None,
    webhook_url="",
    facts_at=None,
    created_at=BEFORE,
    updated_at=AT,
)
JOURNEY: Final = replace(
    zalo_rows.JOURNEY,
    id=12,
    account_id=7,
    oa_ref=31,
    oa_id=OA_ID,
    phone="84912345007",
    state=JourneyState.ENABLED,
    journey_id="7402856119284",
    token="a-token-of-zalos",
    charged=True,
    charged_at=AT,
    created_at=BEFORE,
    expires_at=BEFORE + timedelta(days=7),
    updated_at=AT,
)
MESSAGE: Final = replace(
    zalo_rows.MESSAGE,
    id=88,
    account_id=7,
    oa_ref=31,
    oa_id=OA_ID,
    user_id=5,
    type="template",
    journey_id=None,
    phone="84912345007",
    template_id=402215,
    data={"ten": "Nguyễn Văn An"},
    tracking_id="đơn 17",
    state=MessageState.DELIVERED,
    seen=True,
    msg_id="96d01286d3a72af973b6",
    price=Decimal("300.00"),
    fee=Decimal("330.00"),
    timeout_ms=None,
    rate=5,
    note="Giao nhanh",
    feedback=["Lịch sự"],
    submitted_at=AT,
    created_at=BEFORE,
    sent_at=BEFORE,
    delivered_at=BEFORE,
    updated_at=AT,
)
TEMPLATE: Final = replace(
    zalo_rows.TEMPLATE,
    id=4,
    oa_ref=31,
    oa_id=OA_ID,
    template_id=402215,
    name="Giao hàng",
    status="REJECT",
    quality="LOW",
    params=[],
    timeout_ms=None,
    preview_url="",
    price=None,
    reason="Sai tên",
    created_at=BEFORE,
    updated_at=AT,
)


def told(type: ZaloEventType, row: object = None, fields: Sequence[str] = (), **more: Any) -> ZaloEvent:
    """As it is read again after it was kept."""
    event = ZaloEvent(
        type=type,
        account_id=7,
        oa_id=OA_ID,
        app_id=APP_ID,
        connection_id=31,
        at=AT,
        data={field: getattr(row, field) for field in fields},
        **more,
    )
    kept = decode_event(type, encode_event(event))
    assert isinstance(kept, ZaloEvent)
    return kept


OF_OA: Final = told("zalo.oa.needs_consent", OA, telling.OA_FIELDS)
OF_JOURNEY: Final = told("zalo.journey.charged", JOURNEY, telling.JOURNEY_FIELDS)
OF_MESSAGE: Final = told("zalo.message.rated", MESSAGE, telling.MESSAGE_FIELDS)
OF_TEMPLATE: Final = told("zalo.template.changed", TEMPLATE, telling.TEMPLATE_FIELDS)
RECEIVED: Final = told("zalo.received", raw=RAW, signature="mac=" + "0" * 64)
