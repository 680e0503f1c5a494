"""Shapes of journeys, messages and templates."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tongdai.api.bodies import Id
from tongdai.api.money import shown_price
from tongdai.api.times import shown_time
from tongdai.api.zalo_ids import ZaloId
from tongdai.domain import zalo
from tongdai.domain.contacts import shown
from tongdai.domain.zalo import JourneyState, MessageState
from tongdai.ports.zalo import DEFAULT_TOKEN_TYPE, TemplateParam, TokenType

Number = Annotated[str, Meta(min_length=1, max_length=100)]
TrackingId = Annotated[str, Meta(max_length=48)]
Reference = Annotated[str, Meta(min_length=1, max_length=100)]


# ---------------------------------------------------------------- journeys


class NewZaloJourney(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A journey to be opened for one parcel or one coach trip."""

    phone: Number
    """However people write it; it must be linked to a Zalo account."""
    oa_id: ZaloId | None = None
    """Left out: the only connected one."""
    token_type: TokenType = DEFAULT_TOKEN_TYPE
    """What it is for, and for how many days it is valid."""


class ZaloJourney(msgspec.Struct, frozen=True, kw_only=True):
    """A chain of messages to one person about one thing, paid once."""

    id: int
    oa_id: str
    journey_id: str | None
    """Zalo's id; null: Zalo refused it."""
    token: str | None
    """Zalo's journey token."""
    phone: str
    """`0…`"""
    token_type: str
    state: JourneyState
    """`open`: no message yet. `enabled`: its first message went out, and it was charged. `refused`,
    `expired`: nothing can be sent with it."""
    error_code: int
    """Zalo's; 0: none."""
    error_message: str
    charged: bool
    charged_at: datetime | None
    price: int
    """With VAT: what it costs, once. Held until then where the account is prepaid."""
    created_at: datetime
    expires_at: datetime | None
    updated_at: datetime

    @classmethod
    def of(cls, row: zalo.Journey) -> ZaloJourney:
        return cls(
            id=row.id,
            oa_id=str(row.oa_id),
            journey_id=row.journey_id,
            token=row.token,
            phone=shown(row.phone),
            token_type=row.token_type,
            state=row.state,
            error_code=row.error_code,
            error_message=row.error_message,
            charged=row.charged,
            charged_at=shown_time(row.charged_at),
            price=int(row.price),
            created_at=shown_time(row.created_at),
            expires_at=shown_time(row.expires_at),
            updated_at=shown_time(row.updated_at),
        )


class ZaloJourneyPage(msgspec.Struct, frozen=True):
    """Journeys, newest first."""

    items: list[ZaloJourney]
    next: str | None
    """Cursor of the next page; null on the last."""


# ---------------------------------------------------------------- messages


class NewZaloMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message to be sent by a template."""

    phone: Number
    """However people write it."""
    template_id: Id
    data: dict[str, Any]
    """A value for each of the template's parameters."""
    oa_id: ZaloId | None = None
    """Left out: the only connected one."""
    journey_id: Reference | None = None
    """Zalo's id of a journey, or ours: the message goes with it, on its price."""
    tracking_id: TrackingId = ""
    """Yours; comes back with the message."""
    development: bool = False
    """True: only to administrators of the app or the Official Account, and free."""
    over_quota: bool = False
    """True: Zalo's sending mode 3, for Official Accounts that Zalo allows it."""


class ZaloMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message by a template, and what became of it."""

    id: int
    oa_id: str
    user_id: int
    """Who sent it."""
    type: Literal["template", "journey"]
    journey_id: str | None
    """Zalo's id of its journey."""
    msg_id: str | None
    """Zalo's id; null: Zalo did not take it, or has not said so yet."""
    phone: str
    """`0…`"""
    template_id: int
    data: dict[str, Any]
    """Empty for a one-time code, which is not kept."""
    tracking_id: str
    development: bool
    state: MessageState
    """`unknown`: whether Zalo took it is being found out; it is not sent again. `accepted`: Zalo took it.
    `undelivered`: it did not arrive in time."""
    seen: bool
    error_code: int
    """Zalo's; 0: none."""
    error_message: str
    price: float | None
    """Zalo's price of the template, without VAT. Null: Zalo does not say."""
    fee: int
    """With VAT: what it cost, or holds, of the wallet."""
    charged: bool
    rate: int | None
    """Stars that the recipient gave."""
    note: str
    feedback: list[str]
    created_at: datetime
    sent_at: datetime | None
    """When Zalo took it."""
    delivered_at: datetime | None
    updated_at: datetime

    @classmethod
    def of(cls, row: zalo.ZnsMessage) -> ZaloMessage:
        return cls(
            id=row.id,
            oa_id=str(row.oa_id),
            user_id=row.user_id,
            type=row.type,
            journey_id=row.journey_id,
            msg_id=row.msg_id,
            phone=shown(row.phone),
            template_id=row.template_id,
            data=dict(row.data),
            tracking_id=row.tracking_id,
            development=row.development,
            state=row.state,
            seen=row.seen,
            error_code=row.error_code,
            error_message=row.error_message,
            price=shown_price(row.price),
            fee=int(row.fee),
            charged=row.charged,
            rate=row.rate,
            note=row.note,
            feedback=list(row.feedback),
            created_at=shown_time(row.created_at),
            sent_at=shown_time(row.sent_at),
            delivered_at=shown_time(row.delivered_at),
            updated_at=shown_time(row.updated_at),
        )


class ZaloMessagePage(msgspec.Struct, frozen=True):
    """Messages, newest first."""

    items: list[ZaloMessage]
    next: str | None
    """Cursor of the next page; null on the last."""


# ---------------------------------------------------------------- templates


class ZaloTemplateParam(msgspec.Struct, frozen=True, kw_only=True):
    """What a template wants to be given."""

    name: str
    required: bool
    type: str
    min_length: int | None
    max_length: int | None
    accept_null: bool


class ZaloTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """A template as Zalo has it."""

    template_id: int
    """Zalo's."""
    oa_id: str
    name: str
    status: str
    """ENABLE, PENDING_REVIEW, REJECT, DISABLE, DELETE."""
    quality: str
    """HIGH, MEDIUM, LOW, UNDEFINED."""
    tag: str
    """What it may be used for: TRANSACTION, CUSTOMER_CARE, PROMOTION, or one of Zalo's words before them."""
    params: list[ZaloTemplateParam]
    timeout_ms: int | None
    """A message that is delivered later is not paid."""
    preview_url: str
    price: float | None
    """Without VAT. Null: Zalo does not say."""
    reason: str
    """Why Zalo rejected it."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: zalo.ZnsTemplate) -> ZaloTemplate:
        return cls(
            template_id=row.template_id,
            oa_id=str(row.oa_id),
            name=row.name,
            status=row.status,
            quality=row.quality,
            tag=row.tag,
            params=[_param(one) for one in row.params],
            timeout_ms=row.timeout_ms,
            preview_url=row.preview_url,
            price=shown_price(row.price),
            reason=row.reason,
            created_at=shown_time(row.created_at),
            updated_at=shown_time(row.updated_at),
        )


def _param(row: TemplateParam) -> ZaloTemplateParam:
    return ZaloTemplateParam(
        name=row.name,
        required=row.required,
        type=row.type,
        min_length=row.min_length,
        max_length=row.max_length,
        accept_null=row.accept_null,
    )


class ZaloTemplatePage(msgspec.Struct, frozen=True):
    """Templates, oldest first."""

    items: list[ZaloTemplate]
    next: str | None
    """Cursor of the next page; null on the last."""
