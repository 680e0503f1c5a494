"""What our own webhook format says of Official Accounts, journeys, messages and templates.

Ids are texts, because Zalo's are longer than the numbers of a browser; phone numbers are `0…`, times
Vietnam's, money is đồng with VAT and a JSON number.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from tongdai.api.times import shown_time
from tongdai.domain.contacts import shown
from tongdai.domain.webhooks import ZaloEvent


class ZaloData(msgspec.Struct, frozen=True, kw_only=True):
    """What every event of Zalo's says."""

    account_id: int
    connection_id: str
    """Of the Official Account here."""
    oa_id: str
    app_id: str


class OaData(ZaloData, frozen=True, kw_only=True):
    """An Official Account as it was when this happened."""

    name: str
    state: str
    """`connected`, `needs_consent` or `disconnected`."""
    reason: str | None
    """Why it is not connected."""
    reason_at: datetime | None
    access_expires_at: datetime | None
    """Of the access token, which is renewed by itself."""
    expires_at: datetime | None
    """Of the refresh token: after it an administrator must grant access again."""
    daily_quota: int | None
    remaining_quota: int | None
    current_quality: str
    last_week_quality: str


class JourneyData(ZaloData, frozen=True, kw_only=True):
    """A journey as it was when this happened. Its token is never sent."""

    id: str
    journey_id: str | None
    """Zalo's."""
    phone: str
    token_type: str
    state: str
    """`open`, `enabled`, `refused` or `expired`."""
    charged: bool
    charged_at: datetime | None
    price: Decimal
    created_at: datetime
    expires_at: datetime | None


class MessageData(ZaloData, frozen=True, kw_only=True):
    """A message as it was when this happened. What was filled into its template is never sent."""

    id: str
    msg_id: str | None
    """Zalo's."""
    tracking_id: str
    """Yours."""
    type: str
    """`template` or `journey`."""
    journey_id: str | None
    phone: str
    template_id: str
    development: bool
    state: str
    """`sending`, `accepted`, `unknown`, `refused`, `delivered` or `undelivered`."""
    seen: bool
    error_code: int
    """Zalo's; 0: none."""
    error_message: str
    fee: Decimal
    charged: bool
    rate: int | None
    """Stars that the recipient gave."""
    note: str
    feedback: list[str]
    submitted_at: datetime | None
    """When they did."""
    created_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None


class TemplateData(ZaloData, frozen=True, kw_only=True):
    """A template as it was when this happened."""

    template_id: str
    name: str
    status: str
    quality: str
    tag: str
    reason: str
    """Why it was rejected."""
    updated_at: datetime


_SHAPES: Final[Mapping[str, type[ZaloData]]] = {
    "oa": OaData,
    "journey": JourneyData,
    "message": MessageData,
    "template": TemplateData,
}
"""By the second word of an event's type."""


def zalo_data(event: ZaloEvent) -> ZaloData:
    """Raises msgspec.ValidationError for what another version wrote and this one cannot read."""
    values: dict[str, Any] = {
        **event.data,
        "account_id": event.account_id,
        "connection_id": event.connection_id,
        "oa_id": event.oa_id,
        "app_id": event.app_id,
    }
    texts = {
        name: str(value)
        for name, value in values.items()
        if isinstance(value, int) and name.endswith("id") and name != "account_id"
    }
    if "phone" in values:
        texts["phone"] = shown(values["phone"])
    data = msgspec.convert(values | texts, _SHAPES[event.type.split(".")[1]], strict=False)
    moments = (name for name in data.__struct_fields__ if isinstance(getattr(data, name), datetime))
    return msgspec.structs.replace(data, **{name: shown_time(getattr(data, name)) for name in moments})
