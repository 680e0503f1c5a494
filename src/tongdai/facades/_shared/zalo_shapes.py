"""Official Accounts, journeys, messages and templates as both vendors show them: one backend, two coats.

64-bit ids are strings, times RFC 3339 in UTC with milliseconds, or null; statuses are `Z` (new), `P` (in
force) and `N` (not). Words of enums are in lower case, with `capitals` in capitals; Zalo's own, such as
qualities, always are.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from tongdai.domain import zalo
from tongdai.domain.contacts import shown
from tongdai.domain.zalo import Journey, JourneyState, MessageState, Oa, OaState, ZnsMessage, ZnsTemplate

NEW: Final = "Z"
IN_FORCE: Final = "P"
ENDED: Final = "N"

JOURNEY_STATUS: Final[Mapping[JourneyState, str]] = {
    JourneyState.OPEN: NEW,
    JourneyState.ENABLED: IN_FORCE,
    JourneyState.REFUSED: ENDED,
    JourneyState.EXPIRED: ENDED,
}
MESSAGE_STATUS: Final[Mapping[MessageState, str]] = {
    MessageState.SENDING: NEW,
    MessageState.UNKNOWN: NEW,
    MessageState.ACCEPTED: IN_FORCE,
    MessageState.DELIVERED: IN_FORCE,
    MessageState.REFUSED: ENDED,
    MessageState.UNDELIVERED: ENDED,
}
_SENDING_MODES: Final = {None: "default", "1": "default", "3": "tag3"}


def oa(row: Oa, *, capitals: bool = False) -> dict[str, Any]:
    """An Official Account with the fields of ConnectOA. `onwer_id` is what it is called on the wire."""
    return {
        "app_id": str(row.app_id),
        "avatar": row.avatar,
        "connection_id": str(row.id),
        "connection_method": word("direct", capitals),
        "cover": row.cover,
        "created_at": time_text(row.created_at),
        "current_quality": row.current_quality,
        "daily_quota": row.daily_quota,
        "description": row.description,
        "expires_at": time_text(row.expires_at),
        "is_verified": row.is_verified,
        "last_week_quality": row.last_week_quality,
        "name": row.name,
        "oa_id": str(row.oa_id),
        "onwer_id": str(row.owner_id),
        "remaining_quota": row.remaining_quota,
        "shop_id": str(row.account_id),
        "status": IN_FORCE if row.state is OaState.CONNECTED else ENDED,
        "updated_at": time_text(row.updated_at),
    }


def oa_extras(row: Oa) -> dict[str, Any]:
    """What GetShopOA shows beside it."""
    return {
        "daily_quota_promotion": row.daily_quota_promotion,
        "estimated_next_month_promotion_quota": row.estimated_next_month_promotion_quota,
        "monthly_promotion_quota": row.monthly_promotion_quota,
        "remaining_monthly_promotion_quota": row.remaining_monthly_promotion_quota,
        "webhook_url": row.webhook_url,
    }


def journey(row: Journey) -> dict[str, Any]:
    return {
        "charged": row.charged,
        "created_at": time_text(row.created_at),
        "error_code": row.error_code,
        "error_message": row.error_message,
        "expired_at": time_text(row.expires_at),
        "id": str(row.id),
        "is_charged": row.charged,
        "journey_id": row.journey_id or "",
        "journey_token": row.token or "",
        "phone": shown(row.phone),
        "status": JOURNEY_STATUS[row.state],
        "updated_at": time_text(row.updated_at),
    }


def message(row: ZnsMessage, *, capitals: bool = False) -> dict[str, Any]:
    """A message with everything that any of the pages has. Money is whole đồng, `timeout` milliseconds."""
    return {
        "campaign_id": "0",
        "charged": row.charged,
        "created_at": time_text(row.created_at),
        "delivery_status": word(delivery_status(row), capitals),
        "delivery_time": time_text(row.delivered_at),
        "enable_sms_on_zns_failure": False,
        "error_code": row.error_code,
        "error_message": row.error_message,
        "fee_main": whole(row.fee),
        "fee_token": 0,
        "feedback": row.feedback,
        "id": str(row.id),
        "is_charged": row.charged,
        "is_development": row.development,
        "journey_id": row.journey_id or "",
        "msg_id": row.msg_id or "",
        "msg_type": word(row.type, capitals),
        "note": row.note,
        "oa_id": str(row.oa_id),
        "phone": shown(row.phone),
        "price": whole(row.price),
        "rate": row.rate or 0,
        "request_time": time_text(row.created_at),
        "response_data": "",
        "sending_mode": word(_SENDING_MODES.get(row.sending_mode, "unknown"), capitals),
        "sent_time": time_text(row.sent_at),
        "shop_id": str(row.account_id),
        "sms": None,
        "status": MESSAGE_STATUS[row.state],
        "submit_time": time_text(row.submitted_at),
        "template_data": row.data,
        "template_id": row.template_id,
        "timeout": row.timeout_ms or 0,
        "tracking_id": row.tracking_id,
        "type": word(row.type, capitals),
        "updated_at": time_text(row.updated_at),
        "user_id": str(row.user_id),
        "zl_user_id": "",
    }


def template(row: ZnsTemplate, *, capitals: bool = False) -> dict[str, Any]:
    """A template. Of types only that of one-time codes can be told; a quota that there is none of is null."""
    timeout = timedelta(milliseconds=row.timeout_ms) if row.timeout_ms is not None else None
    one_time = zalo.is_one_time_code(row.tag, row.params, timeout)
    return {
        "apply_template_quota": row.apply_quota or False,
        "created_at": time_text(row.created_at),
        "oa_id": str(row.oa_id),
        "preview_url": row.preview_url,
        "price": whole(row.price),
        "reason": row.reason,
        "template_daily_quota": row.daily_quota,
        "template_id": row.template_id,
        "template_name": row.name,
        "template_params": [
            {
                "accept_null": param.accept_null,
                "max_length": param.max_length,
                "min_length": param.min_length,
                "name": param.name,
                "require": param.required,
                "type": param.type,
            }
            for param in row.params
        ],
        "template_quality": row.quality,
        "template_remaining_quota": row.remaining_quota,
        "template_status": row.status,
        "template_tag": row.tag,
        "timeout": row.timeout_ms or 0,
        "type": word("otp" if one_time else "unknown", capitals),
        "updated_at": time_text(row.updated_at),
    }


def delivery_status(row: ZnsMessage) -> str:
    """unknown, received or seen."""
    if row.seen:
        return "seen"
    return "received" if row.state is MessageState.DELIVERED else "unknown"


def word(text: str, capitals: bool) -> str:
    return text.upper() if capitals else text


def whole(amount: Decimal | None) -> int:
    """đồng; 0 where the amount is not known."""
    return int(amount.to_integral_value(ROUND_HALF_UP)) if amount is not None else 0


def time_text(moment: datetime | None) -> str | None:
    """`2026-01-31T08:30:00.000Z`"""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
