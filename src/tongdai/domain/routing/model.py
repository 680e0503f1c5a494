"""Trunks, hotlines, and which hotline calls a number. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tongdai.domain.contacts.model import DialFormat

MAX_NAME: Final = 200
"""Characters in a trunk's name."""

_routing_group: Final = re.compile(r"[a-z0-9_-]{1,40}").fullmatch

FIXED: Final = "fixed"
"""Routing group of fixed lines."""


@dataclass(frozen=True, slots=True)
class Trunk:
    """A SIP peer of a carrier, and the engine that serves it."""

    id: int
    account_id: int
    name: str
    engine: str
    dial_format: DialFormat
    presented_format: DialFormat
    enabled: bool
    max_channels: int | None
    """Calls at one time; None: no cap."""
    max_cps: float | None
    """New calls per second, 0.01 to 10,000; None: no cap."""
    limit_id: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Hotline:
    """A number that people see when we call. It belongs to the carrier behind its trunk."""

    id: int
    account_id: int
    trunk_id: int
    number: str
    """Canonical: `84…`, or a service number as it is dialled."""
    network: str | None
    """The routing group that it calls cheapest; None: any."""
    enabled: bool
    max_channels: int | None
    max_cps: float | None
    limit_id: int
    created_at: datetime


def network_distance(hotline: str | None, network: str) -> int:
    """How far a hotline's routing group is from a number's; the nearest free hotline calls it.

    0: the same network, since calls inside it are cheapest and show the brand name; 1: a fixed line, or a
    hotline for any network; 2: another network's.
    """
    if hotline == network:
        return 0
    return 1 if hotline is None or hotline == FIXED else 2


def trunk_faults(
    name: str, engine: str, dial_format: str, presented_format: str
) -> Iterator[tuple[str, str]]:
    """(field, message) of each fault."""
    if not is_storable_name(name):
        yield "name", f"must be 1 to {MAX_NAME} printable characters"
    if not _routing_group(engine):
        yield "engine", "must be the name of an engine, such as sandbox"
    for field, value in (("dial_format", dial_format), ("presented_format", presented_format)):
        if value not in ("national", "e164", "plus"):
            yield field, "must be national (0…), e164 (84…) or plus (+84…)"


def network_faults(network: str | None, known: Collection[str]) -> Iterator[tuple[str, str]]:
    """`known`: the routing groups that a number can be of. A hotline for another is nobody's nearest."""
    if network is not None and network not in known:
        yield "network", f"must be a routing group: {', '.join(sorted(known))}; or null for any"


def is_storable_name(name: str) -> bool:
    """True for what fits on one line; keeps out NUL and lone surrogates, which PostgreSQL cannot store."""
    return 0 < len(name) <= MAX_NAME and name.isprintable() and not name.isspace()
