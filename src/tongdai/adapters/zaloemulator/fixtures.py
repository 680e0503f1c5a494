"""What the emulator is told to be: apps, Official Accounts, templates and recipients.

A fixture file is one JSON object of lists of the objects below: `apps`, `oas`, `templates`, `recipients`.
Ids may be quoted. A field that a file leaves out keeps the value that it had.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeVar

import msgspec

from tongdai.kit.errors import InvalidError

Quality = Literal["HIGH", "MEDIUM", "LOW", "UNDEFINED"]
Status = Literal["ENABLE", "PENDING_REVIEW", "REJECT", "DISABLE", "DELETE"]

JOURNEY_DAYS: Final = {
    "token_logistics_7": 7,
    "token_logistics_30": 30,
    "token_coach_bus_7": 7,
    "token_coach_bus_30": 30,
}


class FixtureError(InvalidError):
    """The fixtures are not valid."""


class App(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    app_id: int
    name: str = "Ứng dụng"
    secret: str = "app-secret"  # noqa: S105 - of an app that exists nowhere
    webhook_secret: str = "oa-secret-key"  # noqa: S105 - the same
    """"OA Secret Key" of the console: signs the webhooks."""
    active: bool = True
    removed: bool = False
    api_registered: bool = True
    """The Official Account API was asked for in the console."""
    callback_urls: list[str] = []
    pkce: Literal["per_request", "fixed", "none"] = "per_request"
    code_challenge: str = ""
    """The one that the console holds, of pkce = fixed."""
    check_secret_key: bool = True
    """False: the secret is not looked at, and a code challenge is required."""
    require_proof: bool = False
    """Every call needs `appsecret_proof`. One that is there is verified either way."""
    webhook_url: str = ""
    webhook_enabled: bool = True
    webhook_events: list[str] | None = None
    """Those switched on in the console; None: all."""
    admins: list[str] = []
    """Numbers `84…`: they receive messages in development mode."""
    rate_limit: int = 4000
    """Requests a minute at the OA API."""
    business_rate_limit: int | None = None
    """The same at the message API, which has no published limit; None: none."""
    on_deny: Literal["page", "redirect"] = "page"
    """Where a refused consent leads: Zalo documents nothing."""


class Oa(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    oa_id: int
    name: str = "Official Account"
    description: str = ""
    alias: str = ""
    is_verified: bool = True
    oa_type: int = 2
    category: str = "Dịch vụ"
    followers: int = 0
    avatar: str = ""
    cover: str = ""
    package_name: str = "Gói Nâng cao"
    """"": the free plan, which may not send."""
    package_valid_through: str = ""
    package_auto_renew: str = ""
    linked_zca: str = "ZCA-1"
    """The billing account; "": none."""
    balance: int = 100_000_000
    """Of the billing account at its beginning, in đồng."""
    disabled: bool = False
    blocked: bool = False
    """For a violation."""
    daily_quota: int = 20_000
    monthly_promotion_quota: int = 1_000
    next_month_promotion_quota: int = 1_000
    development_quota: int = 500
    over_quota: bool = False
    """On the white list of sending mode 3."""
    quality: Quality = "HIGH"
    """Of the last 48 hours."""
    week_quality: Quality = "HIGH"
    tags: list[str] = msgspec.field(default_factory=lambda: ["TRANSACTION", "CUSTOMER_CARE", "PROMOTION"])
    admins: list[str] = []
    apps: list[int] | None = None
    """Which may be let in; None: all."""


class Param(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    require: bool = True
    type: str = "STRING"
    min_length: int = 0
    max_length: int = 30
    accept_null: bool = False


class Button(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: int = 1
    title: str = ""
    content: str = ""


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    template_id: int
    oa_id: int
    name: str = "Mẫu tin"
    status: Status = "ENABLE"
    low_quality: bool = False
    """Disabled for it."""
    quality: Quality = "HIGH"
    tag: str = "TRANSACTION"
    params: list[Param] = []
    buttons: list[Button] = []
    timeout_ms: int = 7_200_000
    preview_url: str = ""
    price: str = "200.0"
    """In đồng without VAT, by number; a journey's is paid at its first message."""
    price_uid: str = "150.0"
    reason: str = ""
    created_ms: int = 1_760_000_000_000
    journey_types: list[str] = []
    """For which a journey's messages may use it; []: an ordinary template."""
    daily_quota: int | None = None
    apps: list[int] | None = None
    """Which may use it; None: all."""
    sample: dict[str, Any] = {}


class Recipient(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    phone: str
    """`84…`"""
    refusal: int = 0
    """Zalo's code for whoever writes here, as -118; 0: takes messages."""
    delivered: bool = True
    """False: messages are taken and never arrive."""
    delay_ms: int | None = None
    """Until a message arrives; None: as the settings say."""


class Fixtures(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A fixture document, still unread: what it leaves out is told from what it says."""

    apps: list[dict[str, Any]] = []
    oas: list[dict[str, Any]] = []
    templates: list[dict[str, Any]] = []
    recipients: list[dict[str, Any]] = []


T = TypeVar("T")

REFUSAL_BY_ENDING: Final = {
    "404": -118,
    "410": -110,
    "414": -114,
    "419": -119,
    "439": -139,
    "440": -140,
    "441": -141,
}
"""For numbers that no fixture names."""


def recipient_by_ending(phone: str) -> Recipient:
    return Recipient(phone=phone, refusal=REFUSAL_BY_ENDING.get(phone[-3:], 0))


def read(kind: type[T], told: object) -> T:
    """`told` as a fixture. Raises FixtureError."""
    try:
        return msgspec.convert(told, kind, strict=False)
    except msgspec.ValidationError as error:
        raise FixtureError(f"{kind.__name__}: {error}") from None


def decode(text: bytes) -> Fixtures:
    """A fixture file. Raises FixtureError."""
    try:
        return msgspec.json.decode(text, type=Fixtures)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FixtureError(f"the fixtures: {error}") from None
