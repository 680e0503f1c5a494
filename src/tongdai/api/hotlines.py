"""Hotlines: the numbers that those who are called see, and that they call back."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

import msgspec
from litestar import get, patch, post
from litestar.params import JSONBody
from msgspec import UNSET, Meta, UnsetType

from tongdai.api.auth import CalledBy, Wired
from tongdai.api.bodies import Channels, Cps, Id, Moment, Network, given
from tongdai.api.paging import Cursor, Limit, after, cut
from tongdai.api.params import HotlineId
from tongdai.api.problems import answers
from tongdai.api.times import shown_time, still_to_come
from tongdai.domain import inbound, routing
from tongdai.domain.accounts import Caller
from tongdai.domain.contacts import shown
from tongdai.kit.clock import VIETNAM
from tongdai.kit.db import Tx

TAGS = ["Hotlines"]

Number = Annotated[str, Meta(min_length=1, max_length=100)]
BrandName = Annotated[str, Meta(min_length=1, max_length=11, pattern=r"^[A-Za-z0-9._\- ]*$")]
DailyCap = Annotated[int, Meta(ge=0, le=routing.MAX_DAILY_CAP)]


class Hotline(msgspec.Struct, frozen=True, kw_only=True):
    """A number that people see when they are called."""

    id: int
    number: str
    """`0…`, or a service number as it is dialled."""
    trunk_id: int
    network: str | None
    """The network whose numbers it calls: viettel, vinaphone, mobifone, …. Null, or `fixed`: any."""
    brand_name: str | None
    """The name that is shown to its own network, as the carrier registered it."""
    brand_until: date | None
    """The last day of that registration."""
    brand_expires_soon: bool
    """True: that day is at most 60 days away, or over."""
    valid_from: datetime | None
    """Nothing is dialled with it before."""
    valid_until: datetime | None
    """Nothing is dialled with it from then on."""
    max_channels: int | None
    """Calls at a time. Null: no cap of its own."""
    max_cps: float | None
    """New calls per second, 0.01 to 10,000. Null: no cap of its own."""
    daily_cap: int | None
    """Dials in a day of Vietnam. Null: no cap."""
    cooling_until: datetime | None
    """Nothing is dialled with it before. Null: it does not cool down."""
    inbound_script_id: int | None
    """The script that answers calls to it. Null: nobody does."""
    inbound_script_version: int | None
    """The version that does: the script's newest when it was given. A later one is not taken by itself."""
    unanswered: routing.Unanswered
    """What a caller hears when no script answers. `busy`: that the line is busy. `ring`: it ringing, for a
    minute at most."""
    enabled: bool
    """False: nothing is dialled with it, and callers hear that it is busy."""
    created_at: datetime

    @classmethod
    def of(cls, row: routing.Hotline, now: datetime) -> Hotline:
        return cls(
            id=row.id,
            number=shown(row.number),
            trunk_id=row.trunk_id,
            network=row.network,
            brand_name=row.brand_name,
            brand_until=row.brand_until,
            brand_expires_soon=routing.brand_expires_soon(row.brand_until, now.astimezone(VIETNAM).date()),
            valid_from=shown_time(row.valid_from),
            valid_until=shown_time(row.valid_until),
            max_channels=row.max_channels,
            max_cps=row.max_cps,
            daily_cap=row.daily_cap,
            cooling_until=still_to_come(row.cooling_until, now),
            inbound_script_id=row.inbound_script_id,
            inbound_script_version=row.inbound_script_version,
            unanswered=row.unanswered,
            enabled=row.enabled,
            created_at=shown_time(row.created_at),
        )


class HotlinePage(msgspec.Struct, frozen=True):
    """Hotlines, oldest first."""

    items: list[Hotline]
    next: str | None
    """Cursor of the next page; null on the last."""


class NewHotline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A hotline to be created."""

    number: Number
    """A Vietnamese mobile, fixed or 1800/1900 number, however people write it. Unique in the account."""
    trunk_id: Id
    network: Network | None = None
    """The network whose numbers it calls: viettel, vinaphone, mobifone, …. Null, or `fixed`: any."""
    brand_name: BrandName | None = None
    """At most 11 Latin letters, digits, dots, hyphens, underscores and spaces, with a letter among them."""
    brand_until: date | None = None
    """The last day of the brand name's registration; comes with every brand name."""
    valid_from: Moment | None = None
    """Nothing is dialled with it before."""
    valid_until: Moment | None = None
    """Nothing is dialled with it from then on: when the contract for the number ends."""
    max_channels: Channels | None = None
    """Null: no cap of its own."""
    max_cps: Cps | None = None
    """Null: no cap of its own."""
    daily_cap: DailyCap | None = None
    """Dials in a day of Vietnam. Null: no cap."""
    inbound_script_id: Id | None = None
    """The script that answers calls to it, in its newest version. It is of kind `voice`, and speaks no fields
    but `caller`, `hotline` and `campaign_id`, unless it gives them defaults. Null: nobody answers."""
    unanswered: routing.Unanswered = "busy"
    """What a caller hears when no script answers. `busy`: that the line is busy. `ring`: it ringing, for a
    minute at most."""
    enabled: bool = True


class HotlineChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change in a hotline; what is left out stays."""

    number: Number | UnsetType = UNSET
    trunk_id: Id | UnsetType = UNSET
    network: Network | UnsetType | None = UNSET
    """Null: any."""
    brand_name: BrandName | UnsetType | None = UNSET
    brand_until: date | UnsetType | None = UNSET
    """Null when `brand_name` is, and only then."""
    valid_from: Moment | UnsetType | None = UNSET
    valid_until: Moment | UnsetType | None = UNSET
    max_channels: Channels | UnsetType | None = UNSET
    """Null: no cap of its own."""
    max_cps: Cps | UnsetType | None = UNSET
    """Null: no cap of its own."""
    daily_cap: DailyCap | UnsetType | None = UNSET
    """Null: no cap."""
    cooling_until: Moment | UnsetType | None = UNSET
    """Dial nothing with it before. Null: dial again now."""
    inbound_script_id: Id | UnsetType | None = UNSET
    """The script that answers calls to it; given again, its newest version does. Null: nobody answers."""
    unanswered: routing.Unanswered | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    """False: nothing is dialled with it, and callers hear that it is busy."""


@post(
    "/hotlines",
    operation_id="createHotline",
    summary="Create a hotline",
    tags=TAGS,
    responses=answers(404, 409, 413),
)
async def create_hotline(services: Wired, caller: CalledBy, data: JSONBody[NewHotline]) -> Hotline:
    """A new hotline. 404 when the trunk or the script is unknown, 409 when the account has this number
    already."""
    async with services.db.transaction() as tx:
        answered = await _answered(tx, caller, data.inbound_script_id)
        row = await routing.create_hotline(
            tx,
            caller.account_id,
            number=data.number,
            trunk_id=data.trunk_id,
            network=data.network,
            brand_name=data.brand_name,
            brand_until=data.brand_until,
            valid_from=data.valid_from,
            valid_until=data.valid_until,
            max_channels=data.max_channels,
            max_cps=data.max_cps,
            daily_cap=data.daily_cap,
            **answered,
            unanswered=data.unanswered,
            enabled=data.enabled,
        )
    return Hotline.of(row, services.clock.now())


@get("/hotlines", operation_id="listHotlines", summary="List hotlines", tags=TAGS, responses=answers())
async def list_hotlines(
    services: Wired, caller: CalledBy, limit: Limit = 100, cursor: Cursor = None
) -> HotlinePage:
    """The hotlines of the account, oldest first."""
    async with services.db.transaction() as tx:
        rows = await routing.list_hotlines(tx, caller.account_id, after=after(cursor), limit=limit + 1)
    page, further = cut(rows, limit)
    now = services.clock.now()
    return HotlinePage([Hotline.of(row, now) for row in page], further)


@get(
    "/hotlines/{hotline_id:str}",
    operation_id="getHotline",
    summary="Get a hotline",
    tags=TAGS,
    responses=answers(404),
)
async def get_hotline(services: Wired, caller: CalledBy, hotline_id: HotlineId) -> Hotline:
    """One hotline."""
    async with services.db.transaction() as tx:
        row = await routing.get_hotline(tx, caller.account_id, hotline_id)
    return Hotline.of(row, services.clock.now())


@patch(
    "/hotlines/{hotline_id:str}",
    operation_id="updateHotline",
    summary="Change a hotline",
    tags=TAGS,
    responses=answers(404, 409, 413),
)
async def update_hotline(
    services: Wired, caller: CalledBy, hotline_id: HotlineId, data: JSONBody[HotlineChange]
) -> Hotline:
    """A change holds from the next call on. 404 when the trunk or the script is unknown, 409 when the number
    is taken."""
    async with services.db.transaction() as tx:
        changes = given(data)
        if not isinstance(data.inbound_script_id, UnsetType):
            await routing.get_hotline(tx, caller.account_id, hotline_id)
            changes |= await _answered(tx, caller, data.inbound_script_id)
        row = await routing.update_hotline(tx, caller.account_id, hotline_id, **changes)
    return Hotline.of(row, services.clock.now())


async def _answered(tx: Tx, caller: Caller, script_id: int | None) -> dict[str, int | None]:
    """The script that is to answer, with its newest version. Raises ScriptNotFoundError,
    AnsweringScriptInvalidError."""
    version = None
    if script_id is not None:
        version = await inbound.answering_script(tx, caller.account_id, script_id)
    return {"inbound_script_id": script_id, "inbound_script_version": version}


HANDLERS = [create_hotline, list_hotlines, get_hotline, update_hotline]
