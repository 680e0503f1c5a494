"""Shapes of Zalo's apps, Official Accounts, journeys, messages and templates."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tongdai.api.bodies import Id
from tongdai.api.money import shown_price
from tongdai.api.times import shown_time
from tongdai.api.zalo_bridge import ZaloId
from tongdai.domain import zalo
from tongdai.domain.contacts import shown
from tongdai.domain.zalo import JourneyState, MessageState, OaState, Pkce
from tongdai.ports.zalo import DEFAULT_TOKEN_TYPE, TemplateParam, TokenType

Secret = Annotated[str, Meta(pattern=r"^[!-~]{1,200}$")]
Verifier = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}$")]
Code = Annotated[str, Meta(min_length=1, max_length=2000)]
State = Annotated[int, Meta(ge=1, le=2**53 - 1)]
RedirectUri = Annotated[str, Meta(min_length=1, max_length=2000)]
Number = Annotated[str, Meta(min_length=1, max_length=100)]
TrackingId = Annotated[str, Meta(max_length=48)]
Reference = Annotated[str, Meta(min_length=1, max_length=100)]


# ---------------------------------------------------------------- apps


class ZaloApp(msgspec.Struct, frozen=True, kw_only=True):
    """A Zalo app of yours. Its secrets are not shown."""

    app_id: str
    """Zalo's."""
    has_webhook_secret: bool
    """False: Zalo's events of this app are refused, because nobody could tell who sent them."""
    webhook_url: str
    """What to save as webhook URL in the app's console at Zalo. Without a host: the operator of the platform
    has not said where it is reached from outside."""
    use_proof: bool
    """True: requests carry `appsecret_proof`, as the app's console can demand."""
    pkce: Pkce
    """`per_request`: a new pair for each link. `fixed`: the one whose challenge the app's console holds.
    `none`: no challenge."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: zalo.App, public_url: str) -> ZaloApp:
        return cls(
            app_id=str(row.app_id),
            has_webhook_secret=row.has_webhook_secret,
            webhook_url=f"{public_url}/zalo/webhook/{row.hook}",
            use_proof=row.use_proof,
            pkce=row.pkce,
            created_at=shown_time(row.created_at),
            updated_at=shown_time(row.updated_at),
        )


class ZaloAppList(msgspec.Struct, frozen=True):
    """All of the account's apps, oldest first."""

    items: list[ZaloApp]


class ZaloAppChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An app as it is to be; what is left out stays as it is."""

    secret: Secret | UnsetType = UNSET
    """The app's "Secret key". Needed the first time."""
    webhook_secret: Secret | UnsetType | None = UNSET
    """The "OA Secret Key" of the app's webhook page, which signs Zalo's events: not the app's own secret.
    Null: none."""
    use_proof: bool | UnsetType = UNSET
    pkce: Pkce | UnsetType = UNSET
    verifier: Verifier | UnsetType | None = UNSET
    """With `pkce` = `fixed`, and only then: the 43 characters behind the challenge in the app's console."""


# ---------------------------------------------------------------- connecting


class NewZaloAuthorization(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is to be asked for access."""

    app_id: ZaloId
    secret: Secret
    """The app's "Secret key"; kept, sealed."""
    redirect_uri: RedirectUri
    """The "Official Account Callback Url" as the app's console at Zalo has it, to the letter."""


class ZaloAuthorization(msgspec.Struct, frozen=True):
    """A page of Zalo's."""

    url: str
    """Where an administrator of the Official Account lets the app in. It works once, within half an hour."""


class NewZaloConnection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What Zalo sent a browser back with."""

    code: Code
    state: State
    oa_id: ZaloId | None = None
    """Left out: whichever Official Account Zalo says it is."""


class ZaloQuota(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages an Official Account may send. Null: Zalo does not say."""

    daily: int | None
    remaining: int | None
    """Of today, in Vietnam, less what is under way."""
    daily_promotion: int | None
    remaining_promotion: int | None
    monthly_promotion: int | None
    remaining_monthly_promotion: int | None
    estimated_next_month_promotion: int | None


class ZaloConnection(msgspec.Struct, frozen=True, kw_only=True):
    """An Official Account that let you in, with what Zalo says of it."""

    id: int
    oa_id: str
    """Zalo's."""
    app_id: str
    """Zalo's: the app that it was connected with."""
    user_id: int
    """Who connected it."""
    state: OaState
    """`needs_consent`: Zalo does not let us in any more, and an administrator of the Official Account must
    grant access again; nothing is sent until then. `disconnected`: one of you ended it."""
    reason: str | None
    """Why it is not connected."""
    reason_at: datetime | None
    expires_at: datetime | None
    """When access ends unless its tokens are renewed, which the platform does by itself every day."""
    refreshed_at: datetime | None
    """When its tokens were last renewed."""
    refresh_error: str | None
    """Why the last renewal failed, while it is tried again."""
    name: str
    description: str
    avatar: str
    cover: str
    category: str
    is_verified: bool
    """Zalo sends messages for verified Official Accounts alone."""
    followers: int
    package_name: str
    package_valid_through: str
    """As Zalo writes it, dd/mm/yyyy."""
    current_quality: str
    """Of the last 48 hours: HIGH, MEDIUM, LOW, or UNDEFINED where nothing was sent."""
    last_week_quality: str
    quota: ZaloQuota
    webhook_url: str
    """Where Zalo's events about it are passed on to, as vendors' UpdateShopOA set it. Empty: nowhere."""
    facts_at: datetime | None
    """When Zalo was last asked for all of this."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: zalo.Oa) -> ZaloConnection:
        return cls(
            id=row.id,
            oa_id=str(row.oa_id),
            app_id=str(row.app_id),
            user_id=row.owner_id,
            state=row.state,
            reason=row.reason,
            reason_at=shown_time(row.reason_at),
            expires_at=shown_time(row.expires_at),
            refreshed_at=shown_time(row.refreshed_at),
            refresh_error=row.refresh_error,
            name=row.name,
            description=row.description,
            avatar=row.avatar,
            cover=row.cover,
            category=row.category,
            is_verified=row.is_verified,
            followers=row.followers,
            package_name=row.package_name,
            package_valid_through=row.package_valid_through,
            current_quality=row.current_quality,
            last_week_quality=row.last_week_quality,
            quota=_quota(row),
            webhook_url=row.webhook_url,
            facts_at=shown_time(row.facts_at),
            created_at=shown_time(row.created_at),
            updated_at=shown_time(row.updated_at),
        )


def _quota(row: zalo.Oa) -> ZaloQuota:
    return ZaloQuota(
        daily=row.daily_quota,
        remaining=row.remaining_quota,
        daily_promotion=row.daily_quota_promotion,
        remaining_promotion=row.remaining_quota_promotion,
        monthly_promotion=row.monthly_promotion_quota,
        remaining_monthly_promotion=row.remaining_monthly_promotion_quota,
        estimated_next_month_promotion=row.estimated_next_month_promotion_quota,
    )


class ZaloConnectionPage(msgspec.Struct, frozen=True):
    """Connections, oldest first."""

    items: list[ZaloConnection]
    next: str | None
    """Cursor of the next page; null on the last."""


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
