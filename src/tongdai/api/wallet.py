"""What an account has and what it paid: for itself to see, and for the platform to change."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from litestar import get, post, put
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta

from tongdai.api.auth import FOR_PLATFORM, CalledBy, Wired
from tongdai.api.money import AdjustmentAmount, TopUpAmount, shown_price
from tongdai.api.paging import Cursor, Limit, after, to_cursor
from tongdai.api.params import AccountId
from tongdai.api.plans import Subscription
from tongdai.api.problems import answers
from tongdai.api.times import shown_time
from tongdai.domain import billing
from tongdai.domain.accounts import Caller
from tongdai.domain.billing import Subscription as SubscriptionRow
from tongdai.domain.billing import Wallet as WalletRow
from tongdai.kit.db import Tx
from tongdai.kit.errors import InvalidError
from tongdai.ports.services import Services

TAGS = ["Wallet"]
PLATFORM_TAGS = ["Platform"]

BillingMode = Literal["off", "prepaid"]
LineKind = Literal["top_up", "adjustment", "postage", "service_charge", "zalo_journey", "zalo_message"]
Reason = Annotated[str, Meta(min_length=1, max_length=200)]


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has, in đồng, and the plan that it calls by."""

    billing: BillingMode
    """`off`: calls of this account cost nothing here. `prepaid`: each needs a plan, and a wallet that covers
    it.
    """
    balance: int
    reserved: int
    """What calls that are up may still cost. It is part of the balance, and nothing else is paid from it."""
    available: int
    """What the next call may cost: the balance without what is reserved."""
    plan: Subscription | None
    """The plan of now. Null: it has expired, or there never was one."""

    @classmethod
    def of(cls, row: WalletRow, plan: SubscriptionRow | None) -> Wallet:
        return cls(
            billing=row.billing,
            balance=int(row.balance),
            reserved=int(row.reserved),
            available=int(row.available),
            plan=None if plan is None else Subscription.of(plan),
        )


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a balance. It never changes itself."""

    id: int
    at: datetime
    kind: LineKind
    """`postage`: the carrier's fee of a call. `service_charge`: the platform's. `zalo_journey` and
    `zalo_message`: of Zalo. The others were made by hand."""
    amount: int
    """What the balance changed by, in đồng: charges are negative. It is `net` and `vat` together."""
    net: int
    vat: int
    vat_percent: float | None
    """By which the VAT was reckoned. Null where there is none."""
    balance_after: int
    campaign_id: int | None
    call_id: int | None
    attempt_id: int | None
    rate_id: int | None
    """The rate of the tariff that it was charged by."""
    billable_s: int | None
    """Seconds that were charged, in whole blocks."""
    zalo_journey_id: int | None
    zalo_message_id: int | None
    made_by: str | None
    """Who made it by hand."""
    reason: str | None
    """And why."""

    @classmethod
    def of(cls, row: billing.LedgerLine) -> LedgerLine:
        return cls(
            id=row.id,
            at=shown_time(row.at),
            kind=row.kind.value,
            amount=int(row.amount),
            net=int(row.net),
            vat=int(row.vat),
            vat_percent=shown_price(row.vat_percent),
            balance_after=int(row.balance_after),
            campaign_id=row.campaign_id,
            call_id=row.call_id,
            attempt_id=row.attempt_id,
            rate_id=row.rate_id,
            billable_s=row.billable_s,
            zalo_journey_id=row.zalo_journey_id,
            zalo_message_id=row.zalo_message_id,
            made_by=row.made_by,
            reason=row.reason,
        )


class LedgerPage(msgspec.Struct, frozen=True):
    """Lines of a ledger in the order that was asked for."""

    items: list[LedgerLine]
    next: str | None
    """Cursor of the next page; null on the last."""


class BillingChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether an account pays for its calls."""

    billing: BillingMode


class NewTopUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money that came in."""

    amount: TopUpAmount
    """Whole đồng."""
    reason: Reason
    """Where it came from; it stands in the ledger, with the key that sent this."""


class NewAdjustment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A correction by hand."""

    amount: AdjustmentAmount
    """Whole đồng, not 0: positive gives, negative takes."""
    reason: Reason
    """Why; it stands in the ledger, with the key that sent this."""


OfKind = Annotated[LineKind | None, QueryParameter(name="kind", description="Only lines of this kind.")]
Since = Annotated[
    datetime | None, QueryParameter(description="Only lines of this moment, with its offset, or later.")
]
Until = Annotated[datetime | None, QueryParameter(description="Only lines before this moment.")]
Order = Annotated[
    Literal["oldest", "newest"], QueryParameter(description="Which come first. Keep it while you page.")
]


@get("/wallet", operation_id="getWallet", summary="Get your wallet", tags=TAGS, responses=answers())
async def get_wallet(services: Wired, caller: CalledBy) -> Wallet:
    """What your account has, what of it is promised to calls that are up, and your plan."""
    async with services.db.transaction() as tx:
        return await _wallet(tx, services, caller.account_id)


@get("/ledger", operation_id="listLedger", summary="List your ledger", tags=TAGS, responses=answers())
async def list_ledger(
    services: Wired,
    caller: CalledBy,
    of_kind: OfKind = None,
    since: Since = None,
    until: Until = None,
    order: Order = "oldest",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> LedgerPage:
    """Every change of your balance. The lines add up to the balance, to the đồng.

    With `kind` each request looks at no more than 50,000 lines, so that a page may hold few items or none: go
    on with `next` until it is null.
    """
    wanted = _Wanted(of_kind, since, until, order, limit, cursor)
    return await _page(services, caller.account_id, wanted)


@put(
    "/accounts/{account_id:str}/billing",
    operation_id="setBilling",
    summary="Switch billing of an account",
    tags=PLATFORM_TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404, 413),
)
async def set_billing(services: Wired, account_id: AccountId, data: JSONBody[BillingChange]) -> Wallet:
    """Holds for the next call; calls that are up are charged as they were reserved."""
    async with services.db.transaction() as tx:
        await billing.set_billing(tx, account_id, data.billing)
        return await _wallet(tx, services, account_id)


@get(
    "/accounts/{account_id:str}/wallet",
    operation_id="getAccountWallet",
    summary="Get the wallet of an account",
    tags=PLATFORM_TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404),
)
async def get_account_wallet(services: Wired, account_id: AccountId) -> Wallet:
    """As the account itself sees it."""
    async with services.db.transaction() as tx:
        return await _wallet(tx, services, account_id)


@get(
    "/accounts/{account_id:str}/ledger",
    operation_id="listAccountLedger",
    summary="List the ledger of an account",
    tags=PLATFORM_TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404),
)
async def list_account_ledger(
    services: Wired,
    account_id: AccountId,
    of_kind: OfKind = None,
    since: Since = None,
    until: Until = None,
    order: Order = "oldest",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> LedgerPage:
    """As the account itself sees it."""
    wanted = _Wanted(of_kind, since, until, order, limit, cursor)
    return await _page(services, account_id, wanted)


@post(
    "/accounts/{account_id:str}/top-ups",
    operation_id="topUp",
    summary="Top up the wallet of an account",
    tags=PLATFORM_TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404, 409, 413),
)
async def top_up(
    services: Wired, caller: CalledBy, account_id: AccountId, data: JSONBody[NewTopUp]
) -> LedgerLine:
    """The new line of its ledger. Sent twice, it is credited twice. 409 when a wallet holds no more."""
    async with services.db.transaction() as tx:
        line = await billing.top_up(
            tx,
            account_id,
            Decimal(data.amount),
            by=_who(caller),
            reason=data.reason,
            now=services.clock.now(),
        )
    return LedgerLine.of(line)


@post(
    "/accounts/{account_id:str}/adjustments",
    operation_id="adjustWallet",
    summary="Correct the wallet of an account",
    tags=PLATFORM_TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404, 409, 413),
)
async def adjust(
    services: Wired, caller: CalledBy, account_id: AccountId, data: JSONBody[NewAdjustment]
) -> LedgerLine:
    """The new line of its ledger. 409 when less would be left than calls that are up may cost."""
    async with services.db.transaction() as tx:
        line = await billing.adjust(
            tx,
            account_id,
            Decimal(data.amount),
            by=_who(caller),
            reason=data.reason,
            now=services.clock.now(),
        )
    return LedgerLine.of(line)


class _Wanted(msgspec.Struct, frozen=True):
    """Which lines of a ledger, as they are asked for."""

    of_kind: LineKind | None
    since: datetime | None
    until: datetime | None
    order: Literal["oldest", "newest"]
    limit: int
    cursor: str | None


async def _page(services: Services, account_id: int, wanted: _Wanted) -> LedgerPage:
    for name, moment in (("since", wanted.since), ("until", wanted.until)):
        if moment is not None and moment.tzinfo is None:
            raise InvalidError(f"{name} needs an offset.", errors=[(name, "Add +07:00 or Z.")])
    async with services.db.transaction() as tx:
        await billing.wallet(tx, account_id)
        page = await billing.ledger(
            tx,
            account_id,
            after=after(wanted.cursor),
            limit=wanted.limit,
            kind=wanted.of_kind and billing.Kind(wanted.of_kind),
            since=wanted.since,
            until=wanted.until,
            newest_first=wanted.order == "newest",
        )
    further = None if page.further is None else to_cursor(page.further)
    return LedgerPage([LedgerLine.of(row) for row in page.lines], further)


async def _wallet(tx: Tx, services: Services, account_id: int) -> Wallet:
    row = await billing.wallet(tx, account_id)
    return Wallet.of(row, await billing.subscription_at(tx, account_id, services.clock.now()))


def _who(caller: Caller) -> str:
    return f"platform key {caller.key_id}"


HANDLERS = [
    get_wallet,
    list_ledger,
    set_billing,
    get_account_wallet,
    list_account_ledger,
    top_up,
    adjust,
]
