"""Use cases of webhooks: publishing what happened, and the endpoints and deliveries of an account."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from msgspec import UNSET, UnsetType

from tongdai.domain.webhooks.errors import (
    DeliveryNotFoundError,
    DeliveryPendingError,
    EndpointDisabledError,
    EndpointInvalidError,
    EndpointManagedError,
    EndpointNotFoundError,
    TooManyEndpointsError,
)
from tongdai.domain.webhooks.events import FORMATS, CallEvent, Event
from tongdai.domain.webhooks.model import (
    MAX_ENDPOINTS,
    Delivery,
    DeliveryDetail,
    DeliveryFilter,
    Endpoint,
    IssuedEndpoint,
    ReplayFilter,
    SendingFigures,
    endpoint_faults,
    origin,
    url_faults,
)
from tongdai.domain.webhooks.sample import sample_event
from tongdai.domain.webhooks.store import deliveries, endpoints, figures
from tongdai.domain.webhooks.store.endpoints import EndpointValues
from tongdai.domain.webhooks.store.figures import MOST_COUNTED as MOST_COUNTED
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Tx

SEAL: Final = "webhook"
"""The context in which secrets and auth headers are sealed."""
OLD_SECRET_LIFE: Final = timedelta(hours=24)
"""How long requests are signed with the secret before, too."""
MOST_REPLAYED: Final = 5000
"""Deliveries that one request repeats at most."""
_SECRET_BYTES: Final = 32
_LAST_ID: Final = 2**63 - 1

Value = TypeVar("Value")


# ---------------------------------------------------------------- publishing


async def publish(tx: Tx, events: Sequence[Event]) -> int:
    """Keeps what happened, and a delivery of it for each endpoint of the account that wants it: all or
    nothing with the caller's transaction. Returns how many deliveries that makes.

    Events of one call are given in the order of their `seq`, and by one transaction after the other: the row
    of the call is locked by whoever counts it up. Others have no order.
    """
    of_calls = [event for event in events if isinstance(event, CallEvent)]
    others = [event for event in events if not isinstance(event, CallEvent)]
    made = await deliveries.publish(tx, of_calls) if of_calls else 0
    return made + await deliveries.publish_apart(tx, others) if others else made


async def subscribed(tx: Tx, account_ids: Collection[int]) -> set[int]:
    """Those of the accounts that have an enabled endpoint that may be told of calls: for others no event of a
    call needs to be put together."""
    return await deliveries.subscribed(tx, sorted(account_ids)) if account_ids else set()


# ---------------------------------------------------------------- endpoints


async def create_endpoint(
    tx: Tx,
    keyring: Keyring,
    account_id: int,
    *,
    url: str,
    format: str = "tongdai",
    events: Collection[str] | None = None,
    description: str = "",
    options: Mapping[str, Any] | None = None,
    auth_header: str | None = None,
    max_in_flight: int = 8,
    enabled: bool = True,
    allow_private: bool = False,
) -> IssuedEndpoint:
    """A new endpoint, with a secret of its own.

    `events` None: all that the format has a body for. `auth_header` is a `Name: value` that every request
    carries. `max_in_flight` requests are under way to it at a time, at most. `allow_private` is the
    operator's setting of that name.

    Raises EndpointInvalidError, TooManyEndpointsError.
    """
    wanted = _Wanted(
        url=url,
        format=format,
        events=sorted(FORMATS.get(format, ())) if events is None else list(events),
        description=description,
        options=dict(options or {}),
        max_in_flight=max_in_flight,
        enabled=enabled,
    )
    wanted.check(auth_header, allow_private=allow_private)
    if await endpoints.count(tx, account_id) >= MAX_ENDPOINTS:
        raise TooManyEndpointsError(most=MAX_ENDPOINTS)
    secret = new_secret()
    values = wanted.values(_sealed(keyring, auth_header))
    endpoint = await endpoints.add(tx, account_id, values, keyring.seal(secret.encode(), context=SEAL))
    return IssuedEndpoint(endpoint, secret)


async def get_endpoint(tx: Tx, account_id: int, endpoint_id: int) -> Endpoint:
    """Raises EndpointNotFoundError, for a stranger's endpoint too."""
    return _found(await endpoints.get(tx, account_id, endpoint_id), endpoint_id)


async def list_endpoints(tx: Tx, account_id: int, *, after: int = 0, limit: int = 100) -> list[Endpoint]:
    """In id order, those after an id."""
    return await endpoints.list_(tx, account_id, after, limit)


async def update_endpoint(
    tx: Tx,
    keyring: Keyring,
    account_id: int,
    endpoint_id: int,
    *,
    url: str | UnsetType = UNSET,
    format: str | UnsetType = UNSET,
    events: Collection[str] | UnsetType = UNSET,
    description: str | UnsetType = UNSET,
    options: Mapping[str, Any] | UnsetType = UNSET,
    auth_header: str | UnsetType | None = UNSET,
    max_in_flight: int | UnsetType = UNSET,
    enabled: bool | UnsetType = UNSET,
    allow_private: bool = False,
) -> Endpoint:
    """Change what is given and keep the rest. A body that was made already is sent as it is. A new address
    resumes an endpoint that had paused itself; one at another host does not take the auth header along, which
    nobody may look up: it is to be given again, or None. With a new format and no `events` it keeps those of
    its events that the format has a body for.

    Raises EndpointNotFoundError, EndpointInvalidError: of what an Official Account manages, url, format and
    events are changed there alone.
    """
    old = _found(await endpoints.get(tx, account_id, endpoint_id, hold=True), endpoint_id)
    wanted = _Wanted(
        url=_given(url, old.url),
        format=_given(format, old.format),
        events=_events_in(_given(format, old.format), old) if isinstance(events, UnsetType) else list(events),
        description=_given(description, old.description),
        options=dict(_given(options, old.options)),
        max_in_flight=_given(max_in_flight, old.max_in_flight),
        enabled=_given(enabled, old.enabled),
    )
    header = None if isinstance(auth_header, UnsetType) else auth_header
    wanted.check(header, allow_private=allow_private)
    if old.oa_ref is not None:
        wanted.check_managed(old)
    if old.has_auth_header and isinstance(auth_header, UnsetType) and origin(wanted.url) != origin(old.url):
        raise EndpointInvalidError(
            errors=[("auth_header", "is for the host before: give it again for the new one, or null")]
        )
    changed = await endpoints.set_(
        tx,
        account_id,
        endpoint_id,
        wanted.values(_sealed(keyring, header)),
        keep_auth_header=isinstance(auth_header, UnsetType),
    )
    if changed.url == old.url or changed.pause_reason == "customer":
        return changed
    return await resume_endpoint(tx, account_id, endpoint_id)


async def delete_endpoint(tx: Tx, account_id: int, endpoint_id: int, now: datetime) -> None:
    """What waits for it is parked; its deliveries can be seen until they are forgotten.

    Raises EndpointNotFoundError; EndpointManagedError: it goes with its Official Account's `webhook_url`.
    """
    if (await get_endpoint(tx, account_id, endpoint_id)).oa_ref is not None:
        raise EndpointManagedError(endpoint_id=endpoint_id)
    if not await endpoints.delete(tx, account_id, endpoint_id, now):
        raise EndpointNotFoundError(endpoint_id=endpoint_id)


async def pause_endpoint(tx: Tx, account_id: int, endpoint_id: int, now: datetime) -> Endpoint:
    """Send nothing until it is resumed; what happens is kept for it, and parked after 24 hours.

    Raises EndpointNotFoundError.
    """
    return _found(await endpoints.set_health(tx, account_id, endpoint_id, now, "customer"), endpoint_id)


async def resume_endpoint(tx: Tx, account_id: int, endpoint_id: int) -> Endpoint:
    """Send again, whoever paused it. Raises EndpointNotFoundError."""
    return _found(await endpoints.set_health(tx, account_id, endpoint_id, None, None), endpoint_id)


async def reveal_secret(tx: Tx, keyring: Keyring, account_id: int, endpoint_id: int) -> str:
    """Raises EndpointNotFoundError."""
    sealed = await endpoints.get_secret(tx, account_id, endpoint_id)
    if sealed is None:
        raise EndpointNotFoundError(endpoint_id=endpoint_id)
    return keyring.open(sealed, context=SEAL).decode()


async def rotate_secret(tx: Tx, keyring: Keyring, account_id: int, endpoint_id: int, now: datetime) -> str:
    """A new secret; for 24 hours requests carry the signature by the one before as well.

    Raises EndpointNotFoundError.
    """
    secret = new_secret()
    sealed = keyring.seal(secret.encode(), context=SEAL)
    if not await endpoints.rotate(tx, account_id, endpoint_id, sealed, now + OLD_SECRET_LIFE):
        raise EndpointNotFoundError(endpoint_id=endpoint_id)
    return secret


async def send_test_event(tx: Tx, account_id: int, endpoint_id: int, now: datetime) -> Delivery:
    """Sends an event of a call that never was, with the call id 0, the same way as any other; one of Zalo
    where the endpoint is told of no calls.

    Raises EndpointNotFoundError, EndpointDisabledError.
    """
    endpoint = await _sendable(tx, account_id, endpoint_id)
    delivery_id = await deliveries.publish_test(tx, endpoint_id, sample_event(endpoint, now))
    return await _delivery(tx, account_id, delivery_id)


# ---------------------------------------------------------------- deliveries


async def list_deliveries(
    tx: Tx,
    account_id: int,
    where: DeliveryFilter = DeliveryFilter(),  # noqa: B008 - frozen
    *,
    before: int | None = None,
    limit: int = 100,
) -> list[Delivery]:
    """Newest first, those with an id below `before`."""
    return await deliveries.list_(tx, account_id, where, _LAST_ID if before is None else before, limit)


async def get_delivery(tx: Tx, account_id: int, delivery_id: int) -> DeliveryDetail:
    """With what it tells, the body, and every try. Raises DeliveryNotFoundError."""
    delivery = await _delivery(tx, account_id, delivery_id)
    content = await deliveries.get_content(tx, account_id, delivery_id)
    if content is None:
        raise DeliveryNotFoundError(delivery_id=delivery_id)
    event, body = content
    return DeliveryDetail(delivery, event, body, await deliveries.get_tries(tx, account_id, delivery_id))


async def replay_delivery(tx: Tx, account_id: int, delivery_id: int, now: datetime) -> Delivery:
    """Sends it once more, as a new delivery with the same id for the receiver and the same bytes.

    Raises DeliveryNotFoundError; EndpointNotFoundError, EndpointDisabledError: it cannot be sent any more;
    DeliveryPendingError: the event is on its way already.
    """
    delivery = await _delivery(tx, account_id, delivery_id)
    await _sendable(tx, account_id, delivery.endpoint_id)
    again = await deliveries.replay(tx, account_id, delivery_id, now)
    if again is None:
        raise DeliveryPendingError(delivery_id=delivery_id)
    return again


async def replay_deliveries(
    tx: Tx,
    account_id: int,
    endpoint_id: int,
    where: ReplayFilter = ReplayFilter(),  # noqa: B008 - frozen
    *,
    now: datetime,
) -> int:
    """Sends many once more, oldest first, and returns how many. Those that were repeated before, or are on
    their way, are left out, and it takes `MOST_REPLAYED` at a time: repeat it until it returns 0.

    Raises EndpointNotFoundError, EndpointDisabledError.
    """
    await _sendable(tx, account_id, endpoint_id)
    return await deliveries.replay_many(tx, account_id, endpoint_id, where, MOST_REPLAYED, now)


# ---------------------------------------------------------------- figures


async def sending_figures(tx: Tx, now: datetime) -> SendingFigures:
    """How the sending goes over all accounts: for whoever runs the platform."""
    open_, closed, first_due = await figures.waiting(tx, now)
    overdue = timedelta(0) if first_due is None else max(now - first_due, timedelta(0))
    return SendingFigures(
        tries=await figures.totals(tx),
        pending=await figures.count_pending(tx),
        open_endpoints=open_,
        closed_endpoints=closed,
        overdue_s=overdue.total_seconds(),
    )


# ---------------------------------------------------------------- parts


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An endpoint as somebody wants it."""

    url: str
    format: str
    events: list[str]
    description: str
    options: dict[str, Any]
    max_in_flight: int
    enabled: bool

    def check(self, auth_header: str | None, *, allow_private: bool) -> None:
        """Raises EndpointInvalidError."""
        faults = [
            *url_faults(self.url, allow_private=allow_private),
            *endpoint_faults(
                format=self.format,
                events=self.events,
                description=self.description,
                options=self.options,
                auth_header=auth_header,
                max_in_flight=self.max_in_flight,
            ),
        ]
        if faults:
            raise EndpointInvalidError(errors=faults)

    def check_managed(self, old: Endpoint) -> None:
        """Raises EndpointInvalidError where it changes what an Official Account manages."""
        changed = [name for name in ("url", "format", "events") if getattr(self, name) != getattr(old, name)]
        if changed:
            why = "is managed by an Official Account: set its webhook_url instead"
            raise EndpointInvalidError(errors=[(name, why) for name in changed])

    def values(self, auth_header: bytes | None) -> EndpointValues:
        return EndpointValues(
            url=self.url,
            format=self.format,
            events=self.events,
            description=self.description,
            options=self.options,
            auth_header=auth_header,
            enabled=self.enabled,
            max_in_flight=self.max_in_flight,
        )


async def _delivery(tx: Tx, account_id: int, delivery_id: int) -> Delivery:
    delivery = await deliveries.get(tx, account_id, delivery_id)
    if delivery is None:
        raise DeliveryNotFoundError(delivery_id=delivery_id)
    return delivery


async def _sendable(tx: Tx, account_id: int, endpoint_id: int) -> Endpoint:
    endpoint = await get_endpoint(tx, account_id, endpoint_id)
    if not endpoint.enabled:
        raise EndpointDisabledError(endpoint_id=endpoint_id)
    return endpoint


def _found(endpoint: Endpoint | None, endpoint_id: int) -> Endpoint:
    if endpoint is None:
        raise EndpointNotFoundError(endpoint_id=endpoint_id)
    return endpoint


def _events_in(format: str, old: Endpoint) -> list[str]:
    """What an endpoint is told of in another format; with nothing left, as before, which is refused."""
    return [event for event in old.events if event in FORMATS.get(format, ())] or old.events


def new_secret() -> str:
    """What requests to an endpoint are signed with."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def _sealed(keyring: Keyring, text: str | None) -> bytes | None:
    return None if text is None else keyring.seal(text.encode(), context=SEAL)


def _given(new: Value | UnsetType, old: Value) -> Value:
    return old if isinstance(new, UnsetType) else new
