"""Trunks: SIP peers of carriers, and how much they may carry."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import get, patch, post
from litestar.params import JSONBody
from msgspec import UNSET, Meta, UnsetType

from tongdai.api.auth import CalledBy, Wired
from tongdai.api.bodies import Channels, Cps, Id, Moment, Name, Network, given
from tongdai.api.paging import Cursor, Limit, after, cut
from tongdai.api.params import TrunkId
from tongdai.api.problems import answers
from tongdai.api.sip_shapes import GivenSip, Sip, changes_of
from tongdai.api.times import shown_time, still_to_come
from tongdai.domain import routing
from tongdai.ports.services import Services

TAGS = ["Trunks"]

NumberFormat = Literal["national", "e164", "plus"]
Engine = Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,40}$")]
Networks = Annotated[list[Network], Meta(min_length=1, max_length=100)]
CoolAfter = Annotated[int, Meta(ge=1, le=routing.MAX_COOL_AFTER)]
NodeIds = Annotated[list[Id], Meta(min_length=1, max_length=100)]
CoolSeconds = Annotated[int, Meta(ge=1, le=routing.MAX_COOL_SECONDS)]


class Trunk(msgspec.Struct, frozen=True, kw_only=True):
    """A SIP peer of a carrier, and the engine that serves it."""

    id: int
    name: str
    engine: str
    """`sandbox`: a simulated carrier, which calls nobody. `asterisk`: real calls, by SIP."""
    max_channels: int | None
    """Calls at a time. Null: no cap."""
    max_cps: float | None
    """New calls per second, 0.01 to 10,000. Null: no cap."""
    dial_format: NumberFormat
    """How the number to be called is sent: `national` 0…, `e164` 84…, `plus` +84…."""
    presented_format: NumberFormat
    """How the hotline is sent, in the same words."""
    networks: list[str] | None
    """Networks that it carries: viettel, vinaphone, mobifone, …, fixed. Null: all, unknown ones too."""
    cool_after: int | None
    """Failures of the carrier in a row after which nothing is dialled over it for a while. Null: never."""
    cool_seconds: int
    """How long that while is."""
    cooling_until: datetime | None
    """Nothing is dialled over it before. Null: it does not cool down."""
    sip: Sip | None
    """How its carrier is reached. Null: its engine is not `asterisk`."""
    node_ids: list[int] | None
    """The Asterisk nodes that its carrier knows. Null: all."""
    enabled: bool
    created_at: datetime

    @classmethod
    def of(cls, row: routing.Trunk, now: datetime) -> Trunk:
        return cls(
            id=row.id,
            name=row.name,
            engine=row.engine,
            max_channels=row.max_channels,
            max_cps=row.max_cps,
            dial_format=row.dial_format,
            presented_format=row.presented_format,
            networks=row.networks,
            cool_after=row.cool_after,
            cool_seconds=row.cool_seconds,
            cooling_until=still_to_come(row.cooling_until, now),
            sip=Sip.of(row),
            node_ids=row.node_ids,
            enabled=row.enabled,
            created_at=shown_time(row.created_at),
        )


class TrunkPage(msgspec.Struct, frozen=True):
    """Trunks, oldest first."""

    items: list[Trunk]
    next: str | None
    """Cursor of the next page; null on the last."""


class NewTrunk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trunk to be created."""

    name: Name
    """Unique in the account."""
    engine: Engine
    """One that this installation has: `sandbox`, `asterisk`; the refusal of another names them."""
    max_channels: Channels | None
    """What the carrier's contract says: calls at a time. Null: no cap."""
    max_cps: Cps | None
    """What the carrier's contract says: new calls per second, 0.01 to 10,000. Null: no cap."""
    dial_format: NumberFormat = "national"
    """`national` 0…, `e164` 84…, `plus` +84…."""
    presented_format: NumberFormat = "national"
    networks: Networks | None = None
    """Networks that it carries: viettel, vinaphone, mobifone, …, fixed. Null: all, unknown ones too."""
    cool_after: CoolAfter | None = None
    """Failures of the carrier in a row after which nothing is dialled over it for a while. Null: never."""
    cool_seconds: CoolSeconds = routing.DEFAULT_COOL_SECONDS
    """How long that while is."""
    sip: GivenSip | None = None
    """How its carrier is reached: needed with the engine `asterisk`, and refused with any other."""
    node_ids: NodeIds | None = None
    """The Asterisk nodes that its carrier knows, where it does not know all of them. Null: all."""
    enabled: bool = True


class TrunkChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change in a trunk; what is left out stays."""

    name: Name | UnsetType = UNSET
    engine: Engine | UnsetType = UNSET
    max_channels: Channels | UnsetType | None = UNSET
    """Null: no cap."""
    max_cps: Cps | UnsetType | None = UNSET
    """Null: no cap."""
    dial_format: NumberFormat | UnsetType = UNSET
    presented_format: NumberFormat | UnsetType = UNSET
    networks: Networks | UnsetType | None = UNSET
    """Null: all."""
    cool_after: CoolAfter | UnsetType | None = UNSET
    """Null: it never cools down by itself."""
    cool_seconds: CoolSeconds | UnsetType = UNSET
    cooling_until: Moment | UnsetType | None = UNSET
    """Dial nothing over it before. Null: dial again now, and count failures anew."""
    sip: GivenSip | UnsetType | None = UNSET
    """As a whole, but for the password, which stays when it is left out. Null: with another engine."""
    node_ids: NodeIds | UnsetType | None = UNSET
    """Null: all."""
    enabled: bool | UnsetType = UNSET
    """False: nothing is dialled over it."""


@post(
    "/trunks",
    operation_id="createTrunk",
    summary="Create a trunk",
    tags=TAGS,
    responses=answers(409, 413),
)
async def create_trunk(services: Wired, caller: CalledBy, data: JSONBody[NewTrunk]) -> Trunk:
    """A new trunk. 409 when another has this name."""
    _require_served(services, data.engine)
    sip = changes_of(data.sip, services.keyring, caller.account_id)
    async with services.db.transaction() as tx:
        row = await routing.create_trunk(
            tx,
            caller.account_id,
            name=data.name,
            engine=data.engine,
            max_channels=data.max_channels,
            max_cps=data.max_cps,
            dial_format=data.dial_format,
            presented_format=data.presented_format,
            networks=data.networks,
            cool_after=data.cool_after,
            cool_seconds=data.cool_seconds,
            sip=sip.get("sip"),
            sip_password=sip.get("sip_password"),
            node_ids=data.node_ids,
            enabled=data.enabled,
        )
    return Trunk.of(row, services.clock.now())


@get("/trunks", operation_id="listTrunks", summary="List trunks", tags=TAGS, responses=answers())
async def list_trunks(
    services: Wired, caller: CalledBy, limit: Limit = 100, cursor: Cursor = None
) -> TrunkPage:
    """The trunks of the account, oldest first."""
    async with services.db.transaction() as tx:
        rows = await routing.list_trunks(tx, caller.account_id, after=after(cursor), limit=limit + 1)
    shown, further = cut(rows, limit)
    now = services.clock.now()
    return TrunkPage([Trunk.of(row, now) for row in shown], further)


@get(
    "/trunks/{trunk_id:str}",
    operation_id="getTrunk",
    summary="Get a trunk",
    tags=TAGS,
    responses=answers(404),
)
async def get_trunk(services: Wired, caller: CalledBy, trunk_id: TrunkId) -> Trunk:
    """One trunk."""
    async with services.db.transaction() as tx:
        row = await routing.get_trunk(tx, caller.account_id, trunk_id)
    return Trunk.of(row, services.clock.now())


@patch(
    "/trunks/{trunk_id:str}",
    operation_id="updateTrunk",
    summary="Change a trunk",
    tags=TAGS,
    responses=answers(404, 409, 413),
)
async def update_trunk(
    services: Wired, caller: CalledBy, trunk_id: TrunkId, data: JSONBody[TrunkChange]
) -> Trunk:
    """A change holds from the next call on; calls that are up go on. 409 when another has this name."""
    _require_served(services, data.engine)
    sip: dict[str, Any] = {**changes_of(data.sip, services.keyring, caller.account_id)}
    async with services.db.transaction() as tx:
        row = await routing.update_trunk(tx, caller.account_id, trunk_id, **given(data) | sip)
    return Trunk.of(row, services.clock.now())


def _require_served(services: Services, engine: str | UnsetType) -> None:
    if isinstance(engine, str) and engine not in services.engines:
        message = f"There is no such engine here. There is: {', '.join(sorted(services.engines))}."
        raise routing.TrunkInvalidError(errors=[("engine", message)])


HANDLERS = [create_trunk, list_trunks, get_trunk, update_trunk]
