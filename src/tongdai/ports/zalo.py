"""The Zalo port: what an Official Account's app can ask of Zalo, and the ways in which Zalo says no.

Nothing of the wire shows here: no header, envelope or host. Numbers are `84…`, ids of apps and Official
Accounts are integers, times are aware, codes are Zalo's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Literal, Protocol

from tongdai.kit.errors import TongdaiError

TokenType = Literal["token_logistics_7", "token_logistics_30", "token_coach_bus_7", "token_coach_bus_30"]
"""What a journey is for, and for how many days it is valid."""

JOURNEY_LIFE: Final[Mapping[TokenType, timedelta]] = {
    "token_logistics_7": timedelta(days=7),
    "token_logistics_30": timedelta(days=30),
    "token_coach_bus_7": timedelta(days=7),
    "token_coach_bus_30": timedelta(days=30),
}
DEFAULT_TOKEN_TYPE: Final[TokenType] = "token_logistics_7"  # noqa: S105 - no secret

ACCESS_LIFE: Final = timedelta(seconds=90_000)
"""Of an access token, 25 hours: what is assumed where an answer does not say."""
REFRESH_LIFE: Final = timedelta(days=90)
"""Of a refresh token, from its issue: "3 months", never told in an answer."""


# ---------------------------------------------------------------- who asks


@dataclass(frozen=True, slots=True)
class AppSecret:
    """A Zalo app, as its owner registered it at Zalo."""

    app_id: int
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Access:
    """What opens one Official Account to one app."""

    token: str = field(repr=False)
    app_id: int
    proof_secret: str | None = field(default=None, repr=False)
    """The app's secret, where the app has `appsecret_proof` switched on; None: no proof is sent."""


# ---------------------------------------------------------------- what Zalo answers


@dataclass(frozen=True, slots=True)
class TokenPair:
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    """None: the answer had none, and the one before stays the only one there is."""
    expires_in: timedelta
    """Of the access token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What Zalo says of an Official Account (`getoa`)."""

    oa_id: int
    name: str
    description: str = ""
    is_verified: bool = False
    oa_type: int | None = None
    category: str = ""
    followers: int = 0
    avatar: str = ""
    cover: str = ""
    package_name: str = ""
    package_valid_through: str = ""
    """As Zalo writes it, dd/mm/yyyy."""
    linked_zca: str = ""
    """The billing account; "": none."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Messages that an Official Account may send. None: Zalo did not say."""

    daily: int | None
    remaining: int | None
    daily_promotion: int | None = None
    remaining_promotion: int | None = None
    monthly_promotion: int | None = None
    remaining_monthly_promotion: int | None = None
    estimated_next_month_promotion: int | None = None


Quality = Literal["HIGH", "MEDIUM", "LOW", "UNDEFINED"]


@dataclass(frozen=True, slots=True)
class Qualities:
    current: Quality
    """Of the last 48 hours."""
    last_week: Quality


@dataclass(frozen=True, slots=True)
class TemplateParam:
    name: str
    required: bool
    type: str
    min_length: int | None
    max_length: int | None
    accept_null: bool


@dataclass(frozen=True, slots=True)
class TemplateSummary:
    template_id: int
    name: str
    status: str
    """ENABLE, PENDING_REVIEW, REJECT, DISABLE, DELETE."""
    quality: str
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class TemplatePage:
    templates: list[TemplateSummary]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    template_id: int
    name: str
    status: str
    params: list[TemplateParam]
    timeout: timedelta | None
    """Delivered later, a message is not paid for."""
    preview_url: str
    quality: str
    tag: str
    """OTP, IN_TRANSACTION, … or TRANSACTION, CUSTOMER_CARE, PROMOTION."""
    price: str | None
    """đồng without VAT, as a decimal number; None: Zalo did not say."""
    reason: str = ""
    """Why it was rejected."""
    apply_quota: bool | None = None
    daily_quota: int | None = None
    remaining_quota: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message to be sent by a template."""

    phone: str
    template_id: int
    data: Mapping[str, Any] = field(repr=False)
    """A one-time code may be among it."""
    tracking_id: str
    """48 characters at most; comes back in Zalo's events."""
    development: bool = False
    """To administrators of the app or OA alone."""
    sending_mode: Literal["1", "3"] | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """Zalo took a message; it is not delivered yet."""

    msg_id: str
    sent_at: datetime | None
    quota: Quota | None
    sending_mode: str | None = None


@dataclass(frozen=True, slots=True)
class MessageStatus:
    state: Literal["unknown", "accepted", "delivered"]
    delivered_at: datetime | None
    text: str


@dataclass(frozen=True, slots=True)
class JourneyToken:
    journey_id: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class JourneyCheck:
    token_type: str
    created_at: datetime | None
    expires_at: datetime | None


# ---------------------------------------------------------------- how Zalo says no


class Refusal(StrEnum):
    """What a code of Zalo's asks of us (its error tables)."""

    ACCESS = "access"
    """The access token is over: refresh once, and ask once more."""
    ADMIN = "admin"
    """An administrator of the app or the OA must do something."""
    TRANSIENT = "transient"
    """Later, unchanged."""
    QUOTA = "quota"
    """Quota or money is used up."""
    RECIPIENT = "recipient"
    """Never to this recipient."""
    REQUEST = "request"
    """The request is wrong."""


class ZaloError(TongdaiError):
    """Zalo was asked, and the answer is not what was asked for."""

    doubtful = False
    """True: whether Zalo did it is not known. False: it did nothing."""


class ZaloRefusedError(ZaloError):
    """Zalo said no, and did nothing."""

    def __init__(self, code: int, said: str, refusal: Refusal) -> None:
        super().__init__(f"Zalo refused with {code}: {said}", code=code)
        self.code = code
        self.said = said
        """Zalo's own message."""
        self.refusal = refusal
        self.retryable = refusal in (Refusal.TRANSIENT, Refusal.ACCESS)


class ZaloAwayError(ZaloError):
    """Zalo cannot be reached. Nothing was sent."""

    retryable = True


class ZaloSilentError(ZaloError):
    """Zalo was asked, and did not answer whole in time. Whether it did it is not known."""

    retryable = True
    doubtful = True


class ZaloGarbledError(ZaloError):
    """Zalo answered something that makes no sense. Whether it did it is not known."""

    retryable = True
    doubtful = True

    def __init__(self, why: str, *, empty: bool = False) -> None:
        super().__init__(f"Zalo's answer makes no sense: {why}")
        self.empty = empty
        """True: HTTP 200 without a body, which is how Zalo answers a refresh token that was used before."""


# ---------------------------------------------------------------- the port


class Zalo(Protocol):
    """One client for all apps and Official Accounts, safe for many requests at once.

    Every method but `permission_url` raises ZaloRefusedError, ZaloAwayError, ZaloSilentError or
    ZaloGarbledError, and nothing else. What only reads is asked again a few times by itself; what does
    something is asked again only when nothing was sent.
    """

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def permission_url(self, app_id: int, redirect_uri: str, state: str, challenge: str | None) -> str:
        """The page at which an administrator of an OA lets the app in."""
        ...

    async def exchange_code(self, app: AppSecret, code: str, verifier: str | None) -> TokenPair: ...

    async def refresh(self, app: AppSecret, refresh_token: str) -> TokenPair:
        """Kills `refresh_token`, and the access token of before. Never asked again by itself once sent."""
        ...

    async def profile(self, access: Access) -> Profile: ...

    async def quota(self, access: Access) -> Quota: ...

    async def qualities(self, access: Access) -> Qualities: ...

    async def tags(self, access: Access) -> list[str]:
        """Content types that the OA may send."""
        ...

    async def templates(
        self, access: Access, *, offset: int = 0, limit: int = 100, status: int | None = None
    ) -> TemplatePage:
        """`limit`: 100 at most. `status`: 1 ENABLE, 2 PENDING_REVIEW, 3 REJECT, 4 DISABLE, 5 DELETE."""
        ...

    async def template(self, access: Access, template_id: int) -> Template: ...

    async def sample_data(self, access: Access, template_id: int) -> dict[str, Any]: ...

    async def send(self, access: Access, message: Message, *, journey_token: str | None = None) -> Sent: ...

    async def message_status(
        self, access: Access, msg_id: str, *, phone: str | None = None
    ) -> MessageStatus: ...

    async def create_journey(self, access: Access, phone: str, token_type: TokenType) -> JourneyToken: ...

    async def check_journey(self, access: Access, journey_token: str) -> JourneyCheck: ...
