"""Use cases of trunks and hotlines. Every change of a cap reaches the next claim of every dialer."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from msgspec import UNSET, UnsetType

from tongdai.domain.accounts import cap_faults
from tongdai.domain.contacts import DialFormat, normalise_given, routing_groups
from tongdai.domain.routing import store
from tongdai.domain.routing.errors import (
    HotlineInvalidError,
    HotlineNotFoundError,
    TrunkInvalidError,
    TrunkNotFoundError,
)
from tongdai.domain.routing.model import Hotline, Trunk, network_faults, trunk_faults
from tongdai.kit.db import Tx

Value = TypeVar("Value")


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
    enabled: bool = True,
) -> Trunk:
    """A trunk with its caps: calls at one time, and new calls per second, 0.01 to 10,000 (None: no
    cap).

    Both are contract values of the carrier, so there is no default. Raises TrunkInvalidError,
    TrunkNameTakenError.
    """
    faults = [*trunk_faults(name, engine, dial_format, presented_format), *cap_faults(max_channels, max_cps)]
    if faults:
        raise TrunkInvalidError(errors=faults)
    limit_id = await store.add_limit(tx, account_id, "trunk", max_channels, max_cps)
    trunk_id = await store.add_trunk(
        tx,
        account_id,
        name=name,
        engine=engine,
        dial_format=dial_format,
        presented_format=presented_format,
        enabled=enabled,
        limit_id=limit_id,
    )
    return await get_trunk(tx, account_id, trunk_id)


async def get_trunk(tx: Tx, account_id: int, trunk_id: int) -> Trunk:
    """Raises TrunkNotFoundError, for a stranger's trunk too."""
    trunk = await store.trunk(tx, account_id, trunk_id)
    if trunk is None:
        raise TrunkNotFoundError(trunk_id=trunk_id)
    return trunk


async def list_trunks(tx: Tx, account_id: int, *, after: int = 0, limit: int = 100) -> list[Trunk]:
    """In id order, those after an id."""
    return await store.trunks(tx, account_id, after, limit)


async def update_trunk(
    tx: Tx,
    account_id: int,
    trunk_id: int,
    *,
    name: str | UnsetType = UNSET,
    engine: str | UnsetType = UNSET,
    max_channels: int | UnsetType | None = UNSET,
    max_cps: float | UnsetType | None = UNSET,
    dial_format: DialFormat | UnsetType = UNSET,
    presented_format: DialFormat | UnsetType = UNSET,
    enabled: bool | UnsetType = UNSET,
) -> Trunk:
    """Change what is given and keep the rest; calls that are up go on.

    Raises TrunkNotFoundError, TrunkInvalidError, TrunkNameTakenError.
    """
    trunk = await store.trunk(tx, account_id, trunk_id, hold=True)
    if trunk is None:
        raise TrunkNotFoundError(trunk_id=trunk_id)
    trunk = replace(
        trunk,
        name=_given(name, trunk.name),
        engine=_given(engine, trunk.engine),
        max_channels=_given(max_channels, trunk.max_channels),
        max_cps=_given(max_cps, trunk.max_cps),
        dial_format=_given(dial_format, trunk.dial_format),
        presented_format=_given(presented_format, trunk.presented_format),
        enabled=_given(enabled, trunk.enabled),
    )
    faults = [
        *trunk_faults(trunk.name, trunk.engine, trunk.dial_format, trunk.presented_format),
        *cap_faults(trunk.max_channels, trunk.max_cps),
    ]
    if faults:
        raise TrunkInvalidError(errors=faults)
    await store.set_trunk(tx, trunk)
    await store.set_limit(tx, account_id, trunk.limit_id, trunk.max_channels, trunk.max_cps)
    return trunk


async def create_hotline(
    tx: Tx,
    account_id: int,
    *,
    number: str | int,
    trunk_id: int,
    network: str | None = None,
    max_channels: int | None = None,
    max_cps: float | None = None,
    enabled: bool = True,
) -> Hotline:
    """A hotline on one of the account's trunks: a mobile, fixed, or 1800/1900 number, stored canonical.

    Raises HotlineInvalidError, TrunkNotFoundError (for a stranger's trunk too), HotlineNumberTakenError.
    """
    read, faults = _read_number(number)
    faults += [*await _network_faults(tx, network), *cap_faults(max_channels, max_cps)]
    if faults:
        raise HotlineInvalidError(errors=faults)
    await get_trunk(tx, account_id, trunk_id)
    limit_id = await store.add_limit(tx, account_id, "hotline", max_channels, max_cps)
    hotline_id = await store.add_hotline(
        tx, account_id, trunk_id=trunk_id, number=read, network=network, enabled=enabled, limit_id=limit_id
    )
    return await get_hotline(tx, account_id, hotline_id)


async def get_hotline(tx: Tx, account_id: int, hotline_id: int) -> Hotline:
    """Raises HotlineNotFoundError, for a stranger's hotline too."""
    hotline = await store.hotline(tx, account_id, hotline_id)
    if hotline is None:
        raise HotlineNotFoundError(hotline_id=hotline_id)
    return hotline


async def list_hotlines(tx: Tx, account_id: int, *, after: int = 0, limit: int = 100) -> list[Hotline]:
    """In id order, those after an id."""
    return await store.hotlines(tx, account_id, after, limit)


async def update_hotline(
    tx: Tx,
    account_id: int,
    hotline_id: int,
    *,
    number: str | int | UnsetType = UNSET,
    trunk_id: int | UnsetType = UNSET,
    network: str | UnsetType | None = UNSET,
    max_channels: int | UnsetType | None = UNSET,
    max_cps: float | UnsetType | None = UNSET,
    enabled: bool | UnsetType = UNSET,
) -> Hotline:
    """Change what is given and keep the rest; calls that are up go on.

    Raises HotlineNotFoundError, HotlineInvalidError, TrunkNotFoundError, HotlineNumberTakenError.
    """
    hotline = await store.hotline(tx, account_id, hotline_id, hold=True)
    if hotline is None:
        raise HotlineNotFoundError(hotline_id=hotline_id)
    read, faults = _read_number(hotline.number if isinstance(number, UnsetType) else number)
    hotline = replace(
        hotline,
        number=read,
        trunk_id=_given(trunk_id, hotline.trunk_id),
        network=_given(network, hotline.network),
        max_channels=_given(max_channels, hotline.max_channels),
        max_cps=_given(max_cps, hotline.max_cps),
        enabled=_given(enabled, hotline.enabled),
    )
    if not isinstance(network, UnsetType):
        faults += await _network_faults(tx, network)
    faults += cap_faults(hotline.max_channels, hotline.max_cps)
    if faults:
        raise HotlineInvalidError(errors=faults)
    await get_trunk(tx, account_id, hotline.trunk_id)
    await store.set_hotline(tx, hotline)
    await store.set_limit(tx, account_id, hotline.limit_id, hotline.max_channels, hotline.max_cps)
    return hotline


async def _network_faults(tx: Tx, network: str | None) -> list[tuple[str, str]]:
    return [] if network is None else list(network_faults(network, await routing_groups(tx)))


def _read_number(number: str | int) -> tuple[str, list[tuple[str, str]]]:
    """The canonical number and no fault, or the fault."""
    read = normalise_given(number)
    if read.number:
        return read.number, []
    return "", [("number", f"must be a Vietnamese mobile, fixed or 1800/1900 number ({read.reason})")]


def _given(new: Value | UnsetType, old: Value) -> Value:
    return old if isinstance(new, UnsetType) else new
