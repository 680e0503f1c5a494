"""Shapes of webhook endpoints and of deliveries to them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tongdai.api.bodies import Moment
from tongdai.api.times import shown_time
from tongdai.domain import webhooks
from tongdai.domain.webhooks import (
    OF_CALLS,
    OF_INCOMING,
    OF_ZALO,
    DeliveryState,
    EventType,
    Format,
    PauseReason,
)

Url = Annotated[str, Meta(min_length=1, max_length=2000)]
Description = Annotated[str, Meta(max_length=255)]
AuthHeader = Annotated[str, Meta(min_length=1, max_length=4000)]
InFlight = Annotated[int, Meta(ge=1, le=100)]
Events = Annotated[
    tuple[EventType, ...], Meta(min_length=1, max_length=len(OF_CALLS | OF_INCOMING | OF_ZALO))
]


class WebhookOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a format leaves open. Formats that have no such option pass over it."""

    date_format: Literal["MM/dd/yyyy", "dd/MM/yyyy"] | UnsetType = UNSET
    """Of the dates in VBot's bodies, before the time of day. Left out: MM/dd/yyyy."""


class WebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An address of yours that is told what became of your calls, and of what you do at Zalo."""

    id: int
    url: str
    format: Format
    """Whose body it is posted."""
    events: list[EventType]
    description: str
    options: WebhookOptions
    has_auth_header: bool
    """True: every request carries a header of yours. It is not shown."""
    enabled: bool
    """False: nothing is sent to it, and nothing that happens is kept for it."""
    max_in_flight: int
    """Requests that are under way to it at a time, at most."""
    old_secret_until: datetime | None
    """After a rotation: until then requests are signed with the secret before, too."""
    failures: int
    """Failed tries in a row."""
    failing_since: datetime | None
    paused_at: datetime | None
    """Since when nothing is sent; what happens is kept for it meanwhile."""
    paused_until: datetime | None
    """When one delivery is tried again. Null while paused: not before somebody resumes it."""
    pause_reason: PauseReason | None
    """`customer`: one of you did. `failures`: several in a row. `retry_after`: it asked for it. `gone`: it
    answered 410."""
    last_error: str | None
    last_error_at: datetime | None
    last_delivered_at: datetime | None
    created_at: datetime
    managed: bool
    """True: it is an Official Account's `webhook_url`. It is told of that one's events alone, its `url`,
    `format` and `events` are changed there alone, and it goes when that is emptied."""
    connection_id: int | None
    """Of that Official Account."""

    @classmethod
    def of(cls, row: webhooks.Endpoint) -> WebhookEndpoint:
        return cls(**_endpoint_values(row))


class WebhookEndpointPage(msgspec.Struct, frozen=True):
    """Webhook endpoints, oldest first."""

    items: list[WebhookEndpoint]
    next: str | None
    """Cursor of the next page; null on the last."""


class NewWebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook endpoint to be created."""

    url: Url
    """`https://…` or `http://…`, ASCII. No user name, password or fragment; no loopback, private or otherwise
    reserved address, unless the operator of the platform allows it."""
    format: Format = "tongdai"
    events: Events | None = None
    """Left out: all that the format has a body for now."""
    description: Description = ""
    options: WebhookOptions | None = None
    auth_header: AuthHeader | None = None
    """`Name: value`, a header that every request is to carry."""
    max_in_flight: InFlight = 8
    enabled: bool = True


class WebhookEndpointChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change in a webhook endpoint; what is left out stays."""

    url: Url | UnsetType = UNSET
    """A new one resumes an endpoint that paused itself."""
    format: Format | UnsetType = UNSET
    """Without `events` it keeps those of its events that this format has a body for."""
    events: Events | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    options: WebhookOptions | UnsetType = UNSET
    auth_header: AuthHeader | UnsetType | None = UNSET
    """Null: none."""
    max_in_flight: InFlight | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class CreatedWebhookEndpoint(WebhookEndpoint, frozen=True, kw_only=True):
    """A new webhook endpoint, with its secret."""

    secret: str
    """`whsec_…`: what its requests are signed with. Only owners can see it again."""

    @classmethod
    def issued(cls, row: webhooks.IssuedEndpoint) -> CreatedWebhookEndpoint:
        return cls(**_endpoint_values(row.endpoint), secret=row.secret)


class WebhookSecret(msgspec.Struct, frozen=True):
    """What the requests to an endpoint are signed with."""

    secret: str
    """`whsec_…`"""
    old_secret_until: datetime | None
    """After a rotation: until then requests are signed with the secret before, too."""


class WebhookDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to one endpoint."""

    id: int
    endpoint_id: int
    webhook_id: str
    """The header `webhook-id` of its requests: the same for every try and every replay of an event."""
    type: EventType
    call_id: int | None
    """Null: of no campaign's call. A test event, one of a call that came in, or one of Zalo's."""
    sequence: int
    """1, 2, … within the call; 0 of calls that came in and of Zalo's events, which have no order."""
    state: DeliveryState
    """`parked`: it failed for 24 hours, and is tried no more unless it is replayed."""
    replay_of: int | None
    """The delivery that this one repeats."""
    replayed_at: datetime | None
    """When it was last repeated itself."""
    created_at: datetime
    due_at: datetime | None
    """When it is tried next, at the earliest. Null: it is not pending."""
    tries: int
    done_at: datetime | None
    status: int | None
    """HTTP status of the last answer, if there was one."""
    error: str | None
    """Why the last try failed."""

    @classmethod
    def of(cls, row: webhooks.Delivery) -> WebhookDelivery:
        return cls(**_delivery_values(row))


class WebhookDeliveryPage(msgspec.Struct, frozen=True):
    """Deliveries, newest first."""

    items: list[WebhookDelivery]
    next: str | None
    """Cursor of the next page, of older ones; null on the last."""


class WebhookTry(msgspec.Struct, frozen=True):
    """What came of sending a delivery once."""

    at: datetime
    status: int | None
    """HTTP status of the answer. Null: there was none."""
    error: str | None
    """Null: it was delivered."""
    ms: int
    """How long it took."""
    answer: str | None
    """The first 1,024 bytes of the answer's body."""

    @classmethod
    def of(cls, row: webhooks.Try) -> WebhookTry:
        answer = None if row.answer is None else row.answer.decode("utf-8", "replace")
        return cls(shown_time(row.at), row.status, row.error, row.ms, answer)


class WebhookDeliveryDetail(WebhookDelivery, frozen=True, kw_only=True):
    """A delivery with what was sent and what was answered."""

    body: str | None
    """Exactly what is posted, and signed. Null: it is made at the first try."""
    history: list[WebhookTry]
    """Every try, first to last."""

    @classmethod
    def with_history(cls, row: webhooks.DeliveryDetail) -> WebhookDeliveryDetail:
        return cls(
            **_delivery_values(row.delivery),
            body=None if row.body is None else row.body.decode(),
            history=[WebhookTry.of(one) for one in row.tries],
        )


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries of an endpoint to send once more."""

    state: Literal["parked", "delivered"] = "parked"
    since: Moment | None = None
    """Of events from this moment on, with its offset: `2026-08-01T09:30:00+07:00`."""
    until: Moment | None = None
    """Of events before this moment."""


class Replayed(msgspec.Struct, frozen=True):
    """What is sent once more."""

    replayed: int
    more: bool
    """True: as many as one request may; send it again for the rest."""


_NAMES_OF_OURS = {"sequence": "seq", "connection_id": "oa_ref"}


def _values(row: object, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a row under our names, times as they are shown."""
    values = {name: getattr(row, _NAMES_OF_OURS.get(name, name)) for name in names}
    return {
        name: shown_time(value) if isinstance(value, datetime) else value for name, value in values.items()
    }


def _endpoint_values(row: webhooks.Endpoint) -> dict[str, Any]:
    names = tuple(name for name in WebhookEndpoint.__struct_fields__ if name != "managed")
    options = msgspec.convert(row.options, WebhookOptions)
    return _values(row, names) | {"options": options, "managed": row.oa_ref is not None}


def _delivery_values(row: webhooks.Delivery) -> dict[str, Any]:
    values = _values(row, WebhookDelivery.__struct_fields__)
    pending = row.state == "pending"
    return values | {"call_id": row.call_id or None, "due_at": values["due_at"] if pending else None}
