"""Use cases of Asterisk nodes: the platform's own exchanges, which trunks of every account may use.

A node's password is kept sealed and shown to nobody; what connects to the nodes is given it by `nodes`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, TypedDict, Unpack

from tongdai.domain.accounts import cap_faults
from tongdai.domain.routing.errors import NodeInUseError, NodeInvalidError, NodeNotFoundError
from tongdai.domain.routing.model import Node, NodeStatus, NodeValues, node_faults
from tongdai.domain.routing.store import nodes as store
from tongdai.domain.routing.store import trunks
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Tx
from tongdai.ports.sip import AsteriskNode

_SEAL: Final = "asterisk.node"


class NodeChanges(TypedDict, total=False):
    """What can change in a node; what is absent stays."""

    name: str
    url: str
    username: str
    sounds_path: str
    max_channels: int | None
    max_cps: float | None
    enabled: bool


async def add_node(
    tx: Tx,
    keyring: Keyring,
    *,
    name: str,
    url: str,
    username: str,
    password: str,
    sounds_path: str,
    max_channels: int | None = None,
    max_cps: float | None = None,
    enabled: bool = True,
) -> Node:
    """A node with its caps: calls at one time, and new calls per second (None: no cap).

    `url`: of its HTTP server, without a path. `sounds_path`: where the node finds our sounds folder. It need
    not answer yet: dialers connect to it by themselves, and keep trying.

    Raises NodeInvalidError, NodeNameTakenError.
    """
    values = NodeValues(
        name=name,
        url=url,
        username=username,
        sounds_path=sounds_path,
        max_channels=max_channels,
        max_cps=max_cps,
        enabled=enabled,
    )
    _require_sound(values, password)
    return await get_node(tx, await store.add(tx, values, _sealed(keyring, password)))


async def get_node(tx: Tx, node_id: int) -> Node:
    """Raises NodeNotFoundError."""
    node = await store.get(tx, node_id)
    if node is None:
        raise NodeNotFoundError(node_id=node_id)
    return node


async def list_nodes(tx: Tx, *, after: int = 0, limit: int = 100) -> list[Node]:
    """In id order, those after an id."""
    return await store.page(tx, after, limit)


async def node_status(tx: Tx, node_id: int) -> NodeStatus:
    """Raises NodeNotFoundError."""
    status = await store.status(tx, node_id)
    if status is None:
        raise NodeNotFoundError(node_id=node_id)
    return status


async def update_node(
    tx: Tx, keyring: Keyring, node_id: int, *, password: str | None = None, **changes: Unpack[NodeChanges]
) -> Node:
    """Change what is given and keep the rest, the password too when it is None. Calls that are up go on.

    Raises NodeNotFoundError, NodeInvalidError, NodeNameTakenError.
    """
    old = await store.get(tx, node_id, hold=True)
    if old is None:
        raise NodeNotFoundError(node_id=node_id)
    values: dict[str, Any] = {**changes}
    node = replace(old, **values)
    _require_sound(node, password)
    await store.set_(tx, node, None if password is None else _sealed(keyring, password))
    return node


async def remove_node(tx: Tx, node_id: int) -> None:
    """Forget a node that has no calls. Trunks that name it name it no more; one that named it alone has none.

    Raises NodeNotFoundError, NodeInUseError while calls are up on it.
    """
    node = await store.get(tx, node_id, hold=True)
    if node is None:
        raise NodeNotFoundError(node_id=node_id)
    live = await store.close(tx, node)
    if live:
        raise NodeInUseError(live=live)
    await trunks.forget_node(tx, node_id)
    await store.remove(tx, node_id)


async def nodes(tx: Tx, keyring: Keyring) -> list[AsteriskNode]:
    """All nodes with their passwords, disabled ones too, in id order. Raises SealBrokenError."""
    return [
        AsteriskNode(
            id=row.id,
            name=row.name,
            url=row.url,
            username=row.username,
            password=keyring.open(row.password, context=_SEAL).decode(),
            sounds_path=row.sounds_path,
            enabled=row.enabled,
            limit_id=row.limit_id,
            max_channels=row.max_channels,
        )
        for row in await store.all_sealed(tx)
    ]


def _sealed(keyring: Keyring, password: str) -> bytes:
    return keyring.seal(password.encode(), context=_SEAL)


def _require_sound(node: NodeValues, password: str | None) -> None:
    """Raises NodeInvalidError."""
    faults = [*node_faults(node, password), *cap_faults(node.max_channels, node.max_cps)]
    if faults:
        raise NodeInvalidError(errors=faults)
