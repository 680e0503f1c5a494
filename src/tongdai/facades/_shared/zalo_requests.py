"""What requests about Zalo ask for, in both vendors' APIs: their bodies are the same.

Every function raises `InvalidError` for what is of a wrong type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from tongdai.domain import contacts
from tongdai.domain.zalo import (
    JourneyFilter,
    JourneyState,
    MessageFilter,
    MessageState,
    OaFilter,
    TemplateFilter,
    ZnsRequest,
)
from tongdai.facades._shared.fields import MAX_INT32, Fields
from tongdai.ports.zalo import DEFAULT_TOKEN_TYPE, JOURNEY_LIFE, TokenType

LONGEST_TRACKING_ID: Final = 48
"""Zalo's limit."""
LONGEST_PHONE: Final = 100

_TOKEN_TYPES: Final[Mapping[str, TokenType]] = {kind: kind for kind in JOURNEY_LIFE}
_JOURNEY_STATES: Final[Mapping[str, frozenset[JourneyState]]] = {
    "z": frozenset({JourneyState.OPEN}),
    "p": frozenset({JourneyState.ENABLED}),
    "n": frozenset({JourneyState.REFUSED, JourneyState.EXPIRED}),
}
_MESSAGE_STATES: Final[Mapping[str, frozenset[MessageState]]] = {
    "z": frozenset({MessageState.SENDING, MessageState.UNKNOWN}),
    "p": frozenset({MessageState.ACCEPTED, MessageState.DELIVERED}),
    "n": frozenset({MessageState.REFUSED, MessageState.UNDELIVERED}),
}
_DELIVERIES: Final[Mapping[str, Literal["unknown", "received", "seen"]]] = {
    "unknown": "unknown",
    "received": "received",
    "seen": "seen",
}
_MESSAGE_TYPES: Final = {"template": "template", "journey": "journey", "uid": "uid"}
_TEMPLATE_TYPES: Final = {"text": "text", "otp": "otp", "table": "table", "rating": "rating"}
_TIME_TYPES: Final[Mapping[str, Literal["created_at", "sent_time", "delivery_time"]]] = {
    "created_at": "created_at",
    "sent_time": "sent_time",
    "delivery_time": "delivery_time",
}
_MODES: Final = {"development": True}
_SENDING_MODES: Final = {"default": False, "tag3": True}
_CHARGED: Final = ("is_charged", "charged")


def read_oa_id(request: Fields) -> int | None:
    """None: the account's only connected one is meant."""
    return request.integer("oa_id")


def read_phone(request: Fields) -> str:
    """As given; it must be there."""
    phone = request.text("phone", longest=LONGEST_PHONE).strip()
    if not phone:
        request.refuse("phone", "is required")
    return phone


def read_token_type(request: Fields) -> TokenType:
    return request.choice("token_type", _TOKEN_TYPES) or DEFAULT_TOKEN_TYPE


def read_zns(request: Fields, *, journey: bool) -> ZnsRequest:
    """A message; with `journey` it must be of one."""
    template_id = request.integer("template_id", most=MAX_INT32)
    if template_id is None:
        request.refuse("template_id", "is required")
    journey_id = request.text("journey_id", longest=100).strip() or None
    if journey and journey_id is None:
        request.refuse("journey_id", "is required")
    return ZnsRequest(
        phone=read_phone(request),
        template_id=template_id,
        data=request.data("template_data"),
        tracking_id=request.text("tracking_id", longest=LONGEST_TRACKING_ID),
        development=request.choice("mode", _MODES) or False,
        over_quota=request.choice("sending_mode", _SENDING_MODES) or False,
        journey_id=journey_id if journey else None,
    )


def read_oa_filter(request: Fields) -> OaFilter:
    fields = request.inner("filter")
    return OaFilter(
        app_id=fields.integer("app_id"),
        oa_id=fields.integer("oa_id"),
        name=fields.text("name", longest=255).strip() or None,
        since=fields.moment("date_from"),
        until=fields.moment("date_to", ends=True),
    )


def read_journey_filter(request: Fields) -> JourneyFilter:
    fields = request.inner("filter")
    return JourneyFilter(
        oa_id=fields.integer("oa_id"),
        journey_id=fields.text("journey_id", longest=100).strip() or None,
        phone=_number(fields),
        charged=fields.agreed(_CHARGED),
        states=fields.choice("status", _JOURNEY_STATES),
        since=fields.moment("date_from"),
        until=fields.moment("date_to", ends=True),
    )


def read_message_filter(request: Fields) -> MessageFilter:
    fields = request.inner("filter")
    states = fields.choice("status", _MESSAGE_STATES)
    if fields.integer("campaign_id") is not None:
        # No message is of a campaign.
        states = frozenset()
    return MessageFilter(
        oa_id=fields.integer("oa_id"),
        msg_id=fields.text("msg_id", longest=100).strip() or None,
        journey_id=fields.text("journey_id", longest=100).strip() or None,
        phone=_number(fields),
        template_id=fields.integer("template_id"),
        tracking_id=fields.text("tracking_id", longest=LONGEST_TRACKING_ID) or None,
        type=fields.choice("msg_type", _MESSAGE_TYPES) or fields.choice("type", _MESSAGE_TYPES),
        states=states,
        delivery=fields.choice("delivery_status", _DELIVERIES),
        charged=fields.agreed(_CHARGED),
        development=fields.flag("is_development"),
        user_id=fields.integer("user_id"),
        since=fields.moment("date_from"),
        until=fields.moment("date_to", ends=True),
        time_type=fields.choice("time_type", _TIME_TYPES) or "created_at",
    )


def read_template_filter(request: Fields) -> TemplateFilter:
    """Also where the fields stand beside `filter`, as some pages have them."""
    fields = request.inner("filter")
    return TemplateFilter(
        oa_id=fields.integer("oa_id") or request.integer("oa_id"),
        template_id=fields.integer("template_id") or request.integer("template_id"),
        name=fields.text("template_name", longest=255).strip() or None,
        type=fields.choice("type", _TEMPLATE_TYPES) or request.choice("type", _TEMPLATE_TYPES),
        since=fields.moment("date_from"),
        until=fields.moment("date_to", ends=True),
    )


def _number(fields: Fields) -> str | None:
    """A phone number as it is kept; a text that is none finds nothing."""
    text = fields.text("phone", longest=LONGEST_PHONE).strip()
    return contacts.normalise(text).number or text or None
