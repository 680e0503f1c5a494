"""Plans, and which account has which from when until when: for the platform's administrators alone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get, patch, post
from litestar.params import JSONBody, PathParameter
from msgspec import UNSET, UnsetType

from tongdai.api.auth import FOR_PLATFORM, Wired
from tongdai.api.bodies import MAX_ID, Id, Moment, Name
from tongdai.api.paging import Cursor, Limit, after, cut
from tongdai.api.params import AccountId
from tongdai.api.problems import answers
from tongdai.api.times import shown_time
from tongdai.domain import billing

TAGS = ["Platform"]

PlanId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of a plan.")]
SubscriptionId = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="Id of a subscription.")]


class Plan(msgspec.Struct, frozen=True):
    """What accounts subscribe to."""

    id: int
    name: str
    tariff_id: int
    """By which its calls are charged."""
    created_at: datetime

    @classmethod
    def of(cls, row: billing.Plan) -> Plan:
        return cls(row.id, row.name, row.tariff_id, shown_time(row.created_at))


class PlanPage(msgspec.Struct, frozen=True):
    """Plans, oldest first."""

    items: list[Plan]
    next: str | None
    """Cursor of the next page; null on the last."""


class NewPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plan to be created."""

    name: Name
    """Unique on the platform."""
    tariff_id: Id


class PlanChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change in a plan; what is left out stays."""

    name: Name | UnsetType = UNSET
    tariff_id: Id | UnsetType = UNSET
    """Holds for the next call of every account that has the plan."""


class Subscription(msgspec.Struct, frozen=True):
    """The plan of an account between two moments. Of two at a time, the one that began last counts."""

    id: int
    plan_id: int
    plan_name: str
    valid_from: datetime
    valid_until: datetime | None
    """The first moment without it. Null: open."""

    @classmethod
    def of(cls, row: billing.Subscription) -> Subscription:
        return cls(
            row.id, row.plan_id, row.plan_name, shown_time(row.valid_from), shown_time(row.valid_until)
        )


class SubscriptionPage(msgspec.Struct, frozen=True):
    """Subscriptions of an account, oldest first."""

    items: list[Subscription]
    next: str | None
    """Cursor of the next page; null on the last."""


class NewSubscription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plan to be given to an account."""

    plan_id: Id
    valid_from: Moment | None = None
    """Null: from now on."""
    valid_until: Moment | None = None
    """The first moment without it. Null: open."""


class SubscriptionChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a subscription ends."""

    valid_until: Moment | None
    """The first moment without it. Null: open."""


@post(
    "/plans",
    operation_id="createPlan",
    summary="Create a plan",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404, 409, 413),
)
async def create_plan(services: Wired, data: JSONBody[NewPlan]) -> Plan:
    """A new plan. 409 when another has this name."""
    async with services.db.transaction() as tx:
        return Plan.of(await billing.create_plan(tx, data.name, data.tariff_id))


@get(
    "/plans",
    operation_id="listPlans",
    summary="List plans",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(),
)
async def list_plans(services: Wired, limit: Limit = 100, cursor: Cursor = None) -> PlanPage:
    """All plans, oldest first."""
    async with services.db.transaction() as tx:
        rows = await billing.list_plans(tx, after=after(cursor), limit=limit + 1)
    shown, further = cut(rows, limit)
    return PlanPage([Plan.of(row) for row in shown], further)


@get(
    "/plans/{plan_id:str}",
    operation_id="getPlan",
    summary="Get a plan",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404),
)
async def get_plan(services: Wired, plan_id: PlanId) -> Plan:
    """One plan."""
    async with services.db.transaction() as tx:
        return Plan.of(await billing.get_plan(tx, plan_id))


@patch(
    "/plans/{plan_id:str}",
    operation_id="updatePlan",
    summary="Change a plan",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404, 409, 413),
)
async def update_plan(services: Wired, plan_id: PlanId, data: JSONBody[PlanChange]) -> Plan:
    """Holds for the next call of everybody who has it. 409 when another has this name."""
    async with services.db.transaction() as tx:
        row = await billing.update_plan(tx, plan_id, name=data.name or None, tariff_id=data.tariff_id or None)
    return Plan.of(row)


@post(
    "/accounts/{account_id:str}/subscriptions",
    operation_id="subscribe",
    summary="Give an account a plan",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404, 413),
)
async def subscribe(services: Wired, account_id: AccountId, data: JSONBody[NewSubscription]) -> Subscription:
    """Those that it has stay as they are; of two at a time, the one that began last counts."""
    async with services.db.transaction() as tx:
        row = await billing.subscribe(
            tx,
            account_id,
            data.plan_id,
            valid_from=data.valid_from or services.clock.now(),
            valid_until=data.valid_until,
        )
    return Subscription.of(row)


@get(
    "/accounts/{account_id:str}/subscriptions",
    operation_id="listSubscriptions",
    summary="List the subscriptions of an account",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404),
)
async def list_subscriptions(
    services: Wired, account_id: AccountId, limit: Limit = 100, cursor: Cursor = None
) -> SubscriptionPage:
    """Of every time, oldest first."""
    async with services.db.transaction() as tx:
        rows = await billing.list_subscriptions(tx, account_id, after=after(cursor), limit=limit + 1)
    shown, further = cut(rows, limit)
    return SubscriptionPage([Subscription.of(row) for row in shown], further)


@patch(
    "/accounts/{account_id:str}/subscriptions/{subscription_id:str}",
    operation_id="changeSubscription",
    summary="Let a subscription end earlier or later",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404, 413),
)
async def change_subscription(
    services: Wired,
    account_id: AccountId,
    subscription_id: SubscriptionId,
    data: JSONBody[SubscriptionChange],
) -> Subscription:
    """Holds for the next call. One that ends at the moment when it began never counts."""
    async with services.db.transaction() as tx:
        row = await billing.end_subscription(tx, account_id, subscription_id, data.valid_until)
    return Subscription.of(row)


HANDLERS = [
    create_plan,
    list_plans,
    get_plan,
    update_plan,
    subscribe,
    list_subscriptions,
    change_subscription,
]
