"""Webhook endpoints of an account, and what was delivered to them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.params import JSONBody, QueryParameter
from msgspec import UNSET, UnsetType

from tongdai.api.auth import NEEDS_OWNER, CalledBy, Wired
from tongdai.api.bodies import MAX_ID
from tongdai.api.paging import Cursor, Limit, after, cut
from tongdai.api.params import DeliveryId, EndpointId
from tongdai.api.problems import answers
from tongdai.api.times import shown_time
from tongdai.api.webhook_shapes import (
    CreatedWebhookEndpoint,
    NewWebhookEndpoint,
    Replayed,
    ReplayRequest,
    WebhookDelivery,
    WebhookDeliveryDetail,
    WebhookDeliveryPage,
    WebhookEndpoint,
    WebhookEndpointChange,
    WebhookEndpointPage,
    WebhookOptions,
    WebhookSecret,
)
from tongdai.domain import webhooks
from tongdai.domain.webhooks import MOST_REPLAYED, DeliveryFilter, DeliveryState, ReplayFilter

TAGS = ["Webhooks"]

OfEndpoint = Annotated[
    int | None, QueryParameter(ge=1, le=MAX_ID, description="Only deliveries to this endpoint.")
]
OfCall = Annotated[int | None, QueryParameter(ge=1, le=MAX_ID, description="Only deliveries of this call.")]
InState = Annotated[
    DeliveryState | None, QueryParameter(name="state", description="Only deliveries in this state.")
]


# ---------------------------------------------------------------- endpoints


@post(
    "/webhook-endpoints",
    operation_id="createWebhookEndpoint",
    summary="Create a webhook endpoint",
    tags=TAGS,
    responses=answers(409, 413),
)
async def create_endpoint(
    services: Wired, caller: CalledBy, data: JSONBody[NewWebhookEndpoint]
) -> CreatedWebhookEndpoint:
    """A new endpoint, told of all that happens from now on. 409: an account has 50 at most."""
    async with services.db.transaction() as tx:
        issued = await webhooks.create_endpoint(
            tx,
            services.keyring,
            caller.account_id,
            url=data.url,
            format=data.format,
            events=data.events,
            description=data.description,
            options=_as_stored(data.options),
            auth_header=data.auth_header,
            max_in_flight=data.max_in_flight,
            enabled=data.enabled,
            allow_private=services.webhooks_allow_private,
        )
    return CreatedWebhookEndpoint.issued(issued)


@get(
    "/webhook-endpoints",
    operation_id="listWebhookEndpoints",
    summary="List webhook endpoints",
    tags=TAGS,
    responses=answers(),
)
async def list_endpoints(
    services: Wired, caller: CalledBy, limit: Limit = 100, cursor: Cursor = None
) -> WebhookEndpointPage:
    """The endpoints of the account, oldest first, each with how it fares."""
    async with services.db.transaction() as tx:
        rows = await webhooks.list_endpoints(tx, caller.account_id, after=after(cursor), limit=limit + 1)
    page, further = cut(rows, limit)
    return WebhookEndpointPage([WebhookEndpoint.of(row) for row in page], further)


@get(
    "/webhook-endpoints/{endpoint_id:str}",
    operation_id="getWebhookEndpoint",
    summary="Get a webhook endpoint",
    tags=TAGS,
    responses=answers(404),
)
async def get_endpoint(services: Wired, caller: CalledBy, endpoint_id: EndpointId) -> WebhookEndpoint:
    """One endpoint with how it fares."""
    async with services.db.transaction() as tx:
        return WebhookEndpoint.of(await webhooks.get_endpoint(tx, caller.account_id, endpoint_id))


@patch(
    "/webhook-endpoints/{endpoint_id:str}",
    operation_id="updateWebhookEndpoint",
    summary="Change a webhook endpoint",
    tags=TAGS,
    responses=answers(404, 413),
)
async def update_endpoint(
    services: Wired, caller: CalledBy, endpoint_id: EndpointId, data: JSONBody[WebhookEndpointChange]
) -> WebhookEndpoint:
    """A change of format holds for what was not tried yet; a body that was made is sent as it is.

    Of one that an Official Account manages, `url`, `format` and `events` stay as they are.
    """
    options = UNSET if isinstance(data.options, UnsetType) else _as_stored(data.options)
    async with services.db.transaction() as tx:
        row = await webhooks.update_endpoint(
            tx,
            services.keyring,
            caller.account_id,
            endpoint_id,
            url=data.url,
            format=data.format,
            events=data.events,
            description=data.description,
            options=options,
            auth_header=data.auth_header,
            max_in_flight=data.max_in_flight,
            enabled=data.enabled,
            allow_private=services.webhooks_allow_private,
        )
    return WebhookEndpoint.of(row)


@delete(
    "/webhook-endpoints/{endpoint_id:str}",
    operation_id="deleteWebhookEndpoint",
    summary="Delete a webhook endpoint",
    tags=TAGS,
    responses=answers(404, 409),
)
async def delete_endpoint(services: Wired, caller: CalledBy, endpoint_id: EndpointId) -> None:
    """Nothing more is sent to it. Its deliveries can be seen until they are 30 days old.

    409: it is managed by an Official Account.
    """
    async with services.db.transaction() as tx:
        await webhooks.delete_endpoint(tx, caller.account_id, endpoint_id, services.clock.now())


@post(
    "/webhook-endpoints/{endpoint_id:str}/pause",
    operation_id="pauseWebhookEndpoint",
    summary="Pause a webhook endpoint",
    tags=TAGS,
    status_code=200,
    responses=answers(404),
)
async def pause_endpoint(services: Wired, caller: CalledBy, endpoint_id: EndpointId) -> WebhookEndpoint:
    """Nothing is sent until it is resumed. What happens is kept for it, and parked after 24 hours."""
    async with services.db.transaction() as tx:
        row = await webhooks.pause_endpoint(tx, caller.account_id, endpoint_id, services.clock.now())
    return WebhookEndpoint.of(row)


@post(
    "/webhook-endpoints/{endpoint_id:str}/resume",
    operation_id="resumeWebhookEndpoint",
    summary="Resume a webhook endpoint",
    tags=TAGS,
    status_code=200,
    responses=answers(404),
)
async def resume_endpoint(services: Wired, caller: CalledBy, endpoint_id: EndpointId) -> WebhookEndpoint:
    """Send again at once, whether somebody paused it or it paused itself."""
    async with services.db.transaction() as tx:
        return WebhookEndpoint.of(await webhooks.resume_endpoint(tx, caller.account_id, endpoint_id))


@post(
    "/webhook-endpoints/{endpoint_id:str}/test",
    operation_id="testWebhookEndpoint",
    summary="Send a test event",
    tags=TAGS,
    responses=answers(404, 409),
)
async def send_test_event(services: Wired, caller: CalledBy, endpoint_id: EndpointId) -> WebhookDelivery:
    """An event of a call that never was, with the ids 0, the same way as any other. 409: it is disabled."""
    async with services.db.transaction() as tx:
        row = await webhooks.send_test_event(tx, caller.account_id, endpoint_id, services.clock.now())
    return WebhookDelivery.of(row)


# ---------------------------------------------------------------- secrets


@get(
    "/webhook-endpoints/{endpoint_id:str}/secret",
    operation_id="revealWebhookSecret",
    summary="Reveal a webhook secret",
    tags=TAGS,
    opt=NEEDS_OWNER,
    responses=answers(404),
)
async def reveal_secret(services: Wired, caller: CalledBy, endpoint_id: EndpointId) -> WebhookSecret:
    """What its requests are signed with. For owners."""
    async with services.db.transaction() as tx:
        row = await webhooks.get_endpoint(tx, caller.account_id, endpoint_id)
        secret = await webhooks.reveal_secret(tx, services.keyring, caller.account_id, endpoint_id)
    return WebhookSecret(secret, shown_time(row.old_secret_until))


@post(
    "/webhook-endpoints/{endpoint_id:str}/secret/rotate",
    operation_id="rotateWebhookSecret",
    summary="Rotate a webhook secret",
    tags=TAGS,
    status_code=200,
    opt=NEEDS_OWNER,
    responses=answers(404),
)
async def rotate_secret(services: Wired, caller: CalledBy, endpoint_id: EndpointId) -> WebhookSecret:
    """A new secret. For 24 hours requests carry the signature by the one before as well. For owners."""
    async with services.db.transaction() as tx:
        secret = await webhooks.rotate_secret(
            tx, services.keyring, caller.account_id, endpoint_id, services.clock.now()
        )
        row = await webhooks.get_endpoint(tx, caller.account_id, endpoint_id)
    return WebhookSecret(secret, shown_time(row.old_secret_until))


# ---------------------------------------------------------------- deliveries


@get(
    "/webhook-deliveries",
    operation_id="listWebhookDeliveries",
    summary="List deliveries",
    tags=TAGS,
    responses=answers(),
)
async def list_deliveries(
    services: Wired,
    caller: CalledBy,
    endpoint_id: OfEndpoint = None,
    call_id: OfCall = None,
    in_state: InState = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> WebhookDeliveryPage:
    """The deliveries of the last 30 days, newest first; those that match every filter that is given."""
    wanted = DeliveryFilter(endpoint_id=endpoint_id, state=in_state, call_id=call_id)
    async with services.db.transaction() as tx:
        rows = await webhooks.list_deliveries(
            tx, caller.account_id, wanted, before=after(cursor) or None, limit=limit + 1
        )
    page, further = cut(rows, limit)
    return WebhookDeliveryPage([WebhookDelivery.of(row) for row in page], further)


@get(
    "/webhook-deliveries/{delivery_id:str}",
    operation_id="getWebhookDelivery",
    summary="Get a delivery",
    tags=TAGS,
    responses=answers(404),
)
async def get_delivery(services: Wired, caller: CalledBy, delivery_id: DeliveryId) -> WebhookDeliveryDetail:
    """One delivery with its body, and every try with its answer."""
    async with services.db.transaction() as tx:
        row = await webhooks.get_delivery(tx, caller.account_id, delivery_id)
    return WebhookDeliveryDetail.with_history(row)


@post(
    "/webhook-deliveries/{delivery_id:str}/replay",
    operation_id="replayWebhookDelivery",
    summary="Replay a delivery",
    tags=TAGS,
    responses=answers(404, 409),
)
async def replay_delivery(services: Wired, caller: CalledBy, delivery_id: DeliveryId) -> WebhookDelivery:
    """Send it once more, as a new delivery with the same `webhook-id` and the same bytes.

    404: the endpoint is deleted, too. 409: the event is on its way to it already, or it is disabled.
    """
    async with services.db.transaction() as tx:
        row = await webhooks.replay_delivery(tx, caller.account_id, delivery_id, services.clock.now())
    return WebhookDelivery.of(row)


@post(
    "/webhook-endpoints/{endpoint_id:str}/replay",
    operation_id="replayWebhookDeliveries",
    summary="Replay many deliveries",
    tags=TAGS,
    status_code=200,
    responses=answers(404, 409, 413),
)
async def replay_deliveries(
    services: Wired, caller: CalledBy, endpoint_id: EndpointId, data: JSONBody[ReplayRequest]
) -> Replayed:
    """Send once more what is parked, or was delivered, oldest first. 409: the endpoint is disabled.

    What was replayed before, or is on its way, is left out. At most 5,000 at a time.
    """
    wanted = ReplayFilter(state=data.state, since=data.since, until=data.until)
    async with services.db.transaction() as tx:
        replayed = await webhooks.replay_deliveries(
            tx, caller.account_id, endpoint_id, wanted, now=services.clock.now()
        )
    return Replayed(replayed, more=replayed == MOST_REPLAYED)


def _as_stored(options: WebhookOptions | None) -> dict[str, Any]:
    """What is left out stays so."""
    stored: dict[str, Any] = {} if options is None else msgspec.to_builtins(options)
    return stored


HANDLERS = [
    create_endpoint,
    list_endpoints,
    get_endpoint,
    update_endpoint,
    delete_endpoint,
    pause_endpoint,
    resume_endpoint,
    send_test_event,
    reveal_secret,
    rotate_secret,
    list_deliveries,
    get_delivery,
    replay_delivery,
    replay_deliveries,
]
