"""Asterisk nodes: the exchanges that real calls go over. For the platform's administrators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import delete, get, patch, post
from litestar.params import JSONBody
from msgspec import UNSET, Meta, UnsetType

from tongdai.api.auth import FOR_PLATFORM, Wired
from tongdai.api.bodies import Channels, Cps, Name, given
from tongdai.api.paging import Cursor, Limit, after, cut
from tongdai.api.params import NodeId
from tongdai.api.problems import answers
from tongdai.api.times import shown_time
from tongdai.domain import routing

TAGS = ["Platform"]

Url = Annotated[str, Meta(min_length=8, max_length=300, pattern="^https?://")]
Username = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
Password = Annotated[str, Meta(pattern=r"^[!-~]{1,200}$")]
SoundsPath = Annotated[str, Meta(max_length=400, pattern="^/")]


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """An Asterisk that trunks of every account may use. Its password is shown to nobody."""

    id: int
    name: str
    url: str
    """Of its HTTP server, without a path: `http://127.0.0.1:8088`."""
    username: str
    """Of its REST interface (ARI)."""
    sounds_path: str
    """Where it finds the folder `sounds_dir` of the dialers."""
    max_channels: int | None
    """Calls at a time. Null: no cap."""
    max_cps: float | None
    """New calls per second. Null: no cap of its own."""
    enabled: bool
    """False: it gets no new calls; those that are up go on."""
    created_at: datetime

    @classmethod
    def of(cls, row: routing.Node) -> Node:
        return cls(
            id=row.id,
            name=row.name,
            url=row.url,
            username=row.username,
            sounds_path=row.sounds_path,
            max_channels=row.max_channels,
            max_cps=row.max_cps,
            enabled=row.enabled,
            created_at=shown_time(row.created_at),
        )


class NodePage(msgspec.Struct, frozen=True):
    """Nodes, oldest first."""

    items: list[Node]
    next: str | None
    """Cursor of the next page; null on the last."""


class NodeStatus(msgspec.Struct, frozen=True):
    """How a node is, as the database knows it."""

    live: int
    """Channels in use: calls that are up, or about to be, and those of transfers."""
    kept: bool
    """A dialer reaches it, brings it its trunks, and hears the calls that come in there."""


class NewNode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A node to be added. It need not answer yet."""

    name: Name
    """Unique on the platform."""
    url: Url
    """Of its HTTP server, without a path: `http://127.0.0.1:8088`."""
    username: Username
    """Of its REST interface (ARI)."""
    password: Password
    """Kept sealed, and shown to nobody."""
    sounds_path: SoundsPath
    """Where it finds the folder `sounds_dir` of the dialers: the same path on the same machine."""
    max_channels: Channels | None
    """What the machine carries: calls at a time. Null: no cap."""
    max_cps: Cps | None = None
    """New calls per second, 0.01 to 10,000. Null: no cap of its own."""
    enabled: bool = True


class NodeChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change in a node; what is left out stays."""

    name: Name | UnsetType = UNSET
    url: Url | UnsetType = UNSET
    username: Username | UnsetType = UNSET
    password: Password | UnsetType = UNSET
    sounds_path: SoundsPath | UnsetType = UNSET
    max_channels: Channels | UnsetType | None = UNSET
    """Null: no cap."""
    max_cps: Cps | UnsetType | None = UNSET
    """Null: no cap of its own."""
    enabled: bool | UnsetType = UNSET
    """False: no new calls; those that are up go on. Registrations move to another node."""


@post(
    "/nodes",
    operation_id="addNode",
    summary="Add an Asterisk node",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(409, 413),
)
async def add_node(services: Wired, data: JSONBody[NewNode]) -> Node:
    """Dialers connect to it within seconds, and keep trying. 409 when another has this name."""
    async with services.db.transaction() as tx:
        row = await routing.add_node(
            tx,
            services.keyring,
            name=data.name,
            url=data.url,
            username=data.username,
            password=data.password,
            sounds_path=data.sounds_path,
            max_channels=data.max_channels,
            max_cps=data.max_cps,
            enabled=data.enabled,
        )
    return Node.of(row)


@get(
    "/nodes",
    operation_id="listNodes",
    summary="List Asterisk nodes",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(),
)
async def list_nodes(services: Wired, limit: Limit = 100, cursor: Cursor = None) -> NodePage:
    """All nodes, oldest first."""
    async with services.db.transaction() as tx:
        rows = await routing.list_nodes(tx, after=after(cursor), limit=limit + 1)
    shown, further = cut(rows, limit)
    return NodePage([Node.of(row) for row in shown], further)


@get(
    "/nodes/{node_id:str}",
    operation_id="getNode",
    summary="Get an Asterisk node",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404),
)
async def get_node(services: Wired, node_id: NodeId) -> Node:
    """One node."""
    async with services.db.transaction() as tx:
        return Node.of(await routing.get_node(tx, node_id))


@get(
    "/nodes/{node_id:str}/status",
    operation_id="getNodeStatus",
    summary="See how an Asterisk node is",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404),
)
async def get_node_status(services: Wired, node_id: NodeId) -> NodeStatus:
    """How many channels it has in use, and whether it is reached."""
    async with services.db.transaction() as tx:
        status = await routing.node_status(tx, node_id)
    return NodeStatus(status.live, status.kept)


@patch(
    "/nodes/{node_id:str}",
    operation_id="updateNode",
    summary="Change an Asterisk node",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404, 409, 413),
)
async def update_node(services: Wired, node_id: NodeId, data: JSONBody[NodeChange]) -> Node:
    """A change holds within seconds; calls that are up go on. 409 when another has this name."""
    async with services.db.transaction() as tx:
        return Node.of(await routing.update_node(tx, services.keyring, node_id, **given(data)))


@delete(
    "/nodes/{node_id:str}",
    operation_id="removeNode",
    summary="Remove an Asterisk node",
    tags=TAGS,
    opt=FOR_PLATFORM,
    responses=answers(404, 409),
)
async def remove_node(services: Wired, node_id: NodeId) -> None:
    """Trunks name it no more. 409 while it has channels in use: disable it and remove it when it has none."""
    async with services.db.transaction() as tx:
        await routing.remove_node(tx, node_id)


HANDLERS = [add_node, list_nodes, get_node, get_node_status, update_node, remove_node]
