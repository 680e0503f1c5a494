"""Shapes of Zalo's apps and of Official Accounts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tongdai.api.times import shown_time
from tongdai.api.zalo_ids import ZaloId
from tongdai.domain import zalo
from tongdai.domain.zalo import OaState, Pkce

Secret = Annotated[str, Meta(pattern=r"^[!-~]{1,200}$")]
Verifier = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}$")]
Code = Annotated[str, Meta(min_length=1, max_length=2000)]
State = Annotated[int, Meta(ge=1, le=2**53 - 1)]
RedirectUri = Annotated[str, Meta(min_length=1, max_length=2000)]


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
