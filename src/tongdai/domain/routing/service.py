"""Use cases of trunks and hotlines. Every change of a cap reaches the next claim of every dialer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any, TypedDict, TypeVar, Unpack

from tongdai.domain.accounts import cap_faults
from tongdai.domain.contacts import DialFormat, normalise_given, routing_groups
from tongdai.domain.routing.errors import (
    HotlineInvalidError,
    HotlineNotFoundError,
    TrunkInvalidError,
    TrunkNotFoundError,
)
from tongdai.domain.routing.model import (
    DEFAULT_COOL_SECONDS,
    Hotline,
    HotlineValues,
    Trunk,
    TrunkValues,
    Unanswered,
    hotline_faults,
    network_faults,
    node_ids_faults,
    trunk_faults,
)
from tongdai.domain.routing.sip import SipSettings
from tongdai.domain.routing.store import hotlines, nodes, trunks
from tongdai.kit.db import Tx

Ordered = TypeVar("Ordered", str, int)


class TrunkChanges(TypedDict, total=False):
    """What can change in a trunk; what is absent stays. `cooling_until` None: dial on it again now.

    `sip` changes as a whole. The password stays without one, as long as there is a username and calls go to
    the same server.
    """

    name: str
    engine: str
    max_channels: int | None
    max_cps: float | None
    dial_format: DialFormat
    presented_format: DialFormat
    networks: Sequence[str] | None
    cool_after: int | None
    cool_seconds: int
    cooling_until: datetime | None
    sip: SipSettings | None
    sip_password: bytes | None
    node_ids: Sequence[int] | None
    enabled: bool


class HotlineChanges(TypedDict, total=False):
    """What can change in a hotline; what is absent stays. `cooling_until` None: dial with it again now."""

    number: str | int
    trunk_id: int
    network: str | None
    brand_name: str | None
    brand_until: date | None
    valid_from: datetime | None
    valid_until: datetime | None
    max_channels: int | None
    max_cps: float | None
    daily_cap: int | None
    cooling_until: datetime | None
    inbound_script_id: int | None
    inbound_script_version: int | None
    unanswered: Unanswered
    enabled: bool


async def create_trunk(
    tx: Tx,
    account_id: int,
    *,
    name: str,
    engine: str,
    max_channels: int | None,
    max_cps: float | None,
    dial_format: DialFormat = "national",
    presented_format: DialFormat = "national",
    networks: Sequence[str] | None = None,
    cool_after: int | None = None,
    cool_seconds: int = DEFAULT_COOL_SECONDS,
    sip: SipSettings | None = None,
    sip_password: bytes | None = None,
    node_ids: Sequence[int] | None = None,
    enabled: bool = True,
) -> Trunk:
    """A trunk with its caps: calls at one time, and new calls per second, 0.01 to 10,000 (None: no
    cap).

    Both are contract values of the carrier, so there is no default. `networks`: the routing groups that it
    carries (None: all). After `cool_after` failures of the carrier in a row (None: never) it rests for
    `cool_seconds`. `sip` comes with the engine asterisk, and with no other; `sip_password` is sealed
    (`seal_sip_password`). `node_ids`: the nodes that its carrier knows (None: all).

    Raises TrunkInvalidError, TrunkNameTakenError.
    """
    values = TrunkValues(
        name=name,
        engine=engine,
        max_channels=max_channels,
        max_cps=max_cps,
        dial_format=dial_format,
        presented_format=presented_format,
        networks=_in_order(networks),
        cool_after=cool_after,
        cool_seconds=cool_seconds,
        sip=sip,
        sip_password=sip_password,
        node_ids=_in_order(node_ids),
        enabled=enabled,
    )
    await _require_sound_trunk(tx, values, looks_at_networks=True, looks_at_nodes=True)
    trunk_id = await trunks.add_trunk(tx, account_id, values)
    return await get_trunk(tx, account_id, trunk_id)


async def get_trunk(tx: Tx, account_id: int, trunk_id: int) -> Trunk:
    """Raises TrunkNotFoundError, for a stranger's trunk too."""
    trunk = await trunks.trunk(tx, account_id, trunk_id)
    if trunk is None:
        raise TrunkNotFoundError(trunk_id=trunk_id)
    return trunk


async def list_trunks(tx: Tx, account_id: int, *, after: int = 0, limit: int = 100) -> list[Trunk]:
    """In id order, those after an id."""
    return await trunks.trunks(tx, account_id, after, limit)


async def update_trunk(tx: Tx, account_id: int, trunk_id: int, **changes: Unpack[TrunkChanges]) -> Trunk:
    """Change what is given and keep the rest; calls that are up go on.

    Raises TrunkNotFoundError, TrunkNameTakenError, TrunkInvalidError; that also when the password would go to
    another server than the one that it was given for.
    """
    old = await trunks.trunk(tx, account_id, trunk_id, hold=True)
    if old is None:
        raise TrunkNotFoundError(trunk_id=trunk_id)
    values: dict[str, Any] = {
        **changes,
        "networks": _in_order(changes.get("networks", old.networks)),
        "node_ids": _in_order(changes.get("node_ids", old.node_ids)),
    }
    trunk = replace(old, **values)
    if "sip_password" not in changes:
        if trunk.sip is None or not trunk.sip.username:
            trunk = replace(trunk, sip_password=None)
        elif old.sip is not None and old.sip_password is not None and trunk.sip.way != old.sip.way:
            # Whoever is asked for it there sees enough of it to guess it.
            message = "is for the carrier's server before: give it again for the new one"
            raise TrunkInvalidError(errors=[("sip.password", message)])
    await _require_sound_trunk(
        tx,
        trunk,
        looks_at_networks=trunk.networks != old.networks,
        looks_at_nodes=trunk.node_ids != old.node_ids,
    )
    await trunks.set_trunk(tx, trunk)
    return trunk


async def create_hotline(
    tx: Tx,
    account_id: int,
    *,
    number: str | int,
    trunk_id: int,
    network: str | None = None,
    brand_name: str | None = None,
    brand_until: date | None = None,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
    max_channels: int | None = None,
    max_cps: float | None = None,
    daily_cap: int | None = None,
    inbound_script_id: int | None = None,
    inbound_script_version: int | None = None,
    unanswered: Unanswered = "busy",
    enabled: bool = True,
) -> Hotline:
    """A hotline on one of the account's trunks: a mobile, fixed, or 1800/1900 number, stored canonical.

    A brand name comes with the last day of its registration. The script that answers calls to it was looked
    at before (`inbound.answering_script`), and is given with its version. Raises HotlineInvalidError,
    TrunkNotFoundError (for a stranger's trunk too), HotlineNumberTakenError.
    """
    read, faults = _read_number(number)
    values = HotlineValues(
        number=read,
        trunk_id=trunk_id,
        network=network,
        brand_name=brand_name,
        brand_until=brand_until,
        valid_from=valid_from,
        valid_until=valid_until,
        max_channels=max_channels,
        max_cps=max_cps,
        daily_cap=daily_cap,
        inbound_script_id=inbound_script_id,
        inbound_script_version=inbound_script_version,
        unanswered=unanswered,
        enabled=enabled,
    )
    faults += await _network_faults(tx, network)
    _require_sound_hotline(values, faults)
    await get_trunk(tx, account_id, trunk_id)
    hotline_id = await hotlines.add_hotline(tx, account_id, values)
    return await get_hotline(tx, account_id, hotline_id)


async def get_hotline(tx: Tx, account_id: int, hotline_id: int) -> Hotline:
    """Raises HotlineNotFoundError, for a stranger's hotline too."""
    hotline = await hotlines.hotline(tx, account_id, hotline_id)
    if hotline is None:
        raise HotlineNotFoundError(hotline_id=hotline_id)
    return hotline


async def list_hotlines(tx: Tx, account_id: int, *, after: int = 0, limit: int = 100) -> list[Hotline]:
    """In id order, those after an id."""
    return await hotlines.hotlines(tx, account_id, after, limit)


async def update_hotline(
    tx: Tx, account_id: int, hotline_id: int, **changes: Unpack[HotlineChanges]
) -> Hotline:
    """Change what is given and keep the rest; calls that are up go on.

    Raises HotlineNotFoundError, HotlineInvalidError, TrunkNotFoundError, HotlineNumberTakenError.
    """
    old = await hotlines.hotline(tx, account_id, hotline_id, hold=True)
    if old is None:
        raise HotlineNotFoundError(hotline_id=hotline_id)
    read, faults = _read_number(changes.get("number", old.number))
    values: dict[str, Any] = {**changes, "number": read}
    hotline = replace(old, **values)
    if hotline.network != old.network:
        faults += await _network_faults(tx, hotline.network)
    _require_sound_hotline(hotline, faults)
    await get_trunk(tx, account_id, hotline.trunk_id)
    await hotlines.set_hotline(tx, hotline)
    return hotline


async def _require_sound_trunk(
    tx: Tx, trunk: TrunkValues, *, looks_at_networks: bool, looks_at_nodes: bool
) -> None:
    """Raises TrunkInvalidError. What stays as it is may name networks and nodes that are no more."""
    known = await routing_groups(tx) if looks_at_networks and trunk.networks is not None else None
    faults = [*trunk_faults(trunk, known), *cap_faults(trunk.max_channels, trunk.max_cps)]
    if looks_at_nodes and trunk.node_ids is not None:
        missing = await nodes.missing(tx, trunk.node_ids)
        faults += node_ids_faults(trunk.node_ids, missing)
    if faults:
        raise TrunkInvalidError(errors=faults)


def _require_sound_hotline(hotline: HotlineValues, faults: Sequence[tuple[str, str]]) -> None:
    """Raises HotlineInvalidError; `faults`: what is known to be wrong already."""
    found = [*faults, *hotline_faults(hotline), *cap_faults(hotline.max_channels, hotline.max_cps)]
    if found:
        raise HotlineInvalidError(errors=found)


async def _network_faults(tx: Tx, network: str | None) -> list[tuple[str, str]]:
    return [] if network is None else list(network_faults(network, await routing_groups(tx)))


def _read_number(number: str | int) -> tuple[str, list[tuple[str, str]]]:
    """The canonical number and no fault, or the fault."""
    read = normalise_given(number)
    if read.number:
        return read.number, []
    return "", [("number", f"must be a Vietnamese mobile, fixed or 1800/1900 number ({read.reason})")]


def _in_order(some: Sequence[Ordered] | None) -> list[Ordered] | None:
    return None if some is None else sorted(set(some))
