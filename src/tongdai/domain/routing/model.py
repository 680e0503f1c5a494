"""Trunks, hotlines, nodes, and which hotline may call a number. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, Literal, get_args
from urllib.parse import urlsplit

from tongdai.domain.contacts.model import DialFormat
from tongdai.domain.routing.sip import MAX_NODES, SIP_ENGINE, SipSettings, sip_faults

MAX_NAME: Final = 200
"""Characters in a trunk's name."""

MAX_URL: Final = 300
MAX_DAILY_CAP: Final = 1_000_000
MAX_COOL_AFTER: Final = 1000
MAX_COOL_SECONDS: Final = 86_400
DEFAULT_COOL_SECONDS: Final = 30

BRAND_WARNING: Final = timedelta(days=60)
"""How long before its last day the registration of a brand name is worth a warning (vietnam.md 2.4)."""

Unanswered = Literal["busy", "ring"]
"""A caller whom nobody answers: is told that the line is busy, or hears it ring until they give up."""

FIXED: Final = "fixed"
"""Routing group of fixed lines."""

_YEARS: Final = range(2000, 2200)
"""Of a moment that can be meant; and one that every zone and the database can write."""

_routing_group: Final = re.compile(r"[a-z0-9_-]{1,40}").fullmatch

_host: Final = re.compile(r"[0-9A-Za-z.:_-]{1,253}").fullmatch
_ari_user: Final = re.compile(r"[A-Za-z0-9._-]{1,100}").fullmatch
_ari_password: Final = re.compile(r"[\x21-\x7e]{1,200}").fullmatch
# A list of sounds is cut at commas, and an address at more than that.
_sounds_path: Final = re.compile(r"/[A-Za-z0-9/._+@-]{0,399}").fullmatch

_brand_name: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9._\- ]{1,11}").fullmatch
"""Decree 91/2020, as vietnam.md 2.4 gives it: at most 11 of these, not digits only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkValues:
    """What can be said about a trunk."""

    name: str
    engine: str
    max_channels: int | None
    """Calls at one time; None: no cap."""
    max_cps: float | None
    """New calls per second, 0.01 to 10,000; None: no cap."""
    dial_format: DialFormat = "national"
    presented_format: DialFormat = "national"
    networks: list[str] | None = None
    """Routing groups that it carries, in the order of their names; None: all, unknown ones too."""
    cool_after: int | None = None
    """Failures of the carrier in a row after which nothing is dialled on it for a while; None: never."""
    cool_seconds: int = DEFAULT_COOL_SECONDS
    """How long that while is, 1 to 86,400."""
    cooling_until: datetime | None = None
    """Nothing is dialled on it before; None or past: it does not cool down."""
    sip: SipSettings | None = None
    """How its carrier is reached; None: no SIP engine serves it."""
    sip_password: bytes | None = field(default=None, repr=False)
    """Sealed (`seal_sip_password`)."""
    node_ids: list[int] | None = None
    """The nodes that its carrier knows, in order; None: all."""
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk(TrunkValues):
    """A SIP peer of a carrier, and the engine that serves it."""

    id: int
    account_id: int
    limit_id: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HotlineValues:
    """What can be said about a hotline."""

    number: str
    """Canonical: `84…`, or a service number as it is dialled."""
    trunk_id: int
    network: str | None = None
    """The routing group whose numbers it calls; None: the pool, which calls any, as fixed lines do."""
    brand_name: str | None = None
    """The name that the carrier shows, as it is registered."""
    brand_until: date | None = None
    """The last day of that registration, in Vietnam; given with every brand name."""
    valid_from: datetime | None = None
    """Nothing is dialled with it before; None: from ever."""
    valid_until: datetime | None = None
    """Nor from then on; None: for ever."""
    max_channels: int | None = None
    max_cps: float | None = None
    daily_cap: int | None = None
    """Dials in a day of Vietnam; None: no cap."""
    cooling_until: datetime | None = None
    """Nothing is dialled with it before; None or past: it does not cool down."""
    inbound_script_id: int | None = None
    """What answers calls to it, in the version below; None: nobody does."""
    inbound_script_version: int | None = None
    unanswered: Unanswered = "busy"
    """What a caller hears when nobody does."""
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Hotline(HotlineValues):
    """A number that people see when we call. It belongs to the carrier behind its trunk."""

    id: int
    account_id: int
    limit_id: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeValues:
    """What can be said about an Asterisk node, but for its password."""

    name: str
    url: str
    """Of its HTTP server, without a path: http://127.0.0.1:8088."""
    username: str
    """A user of its REST interface."""
    sounds_path: str
    """Where the node finds our sounds folder, absolute."""
    max_channels: int | None = None
    """Calls at one time; None: no cap."""
    max_cps: float | None = None
    """New calls per second, 0.01 to 10,000; None: no cap."""
    enabled: bool = True
    """False: it gets no new calls; those that are up go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(NodeValues):
    """An Asterisk of the platform's: trunks of every account may use it."""

    id: int
    limit_id: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """How a node is, as the database knows it."""

    live: int
    """Channels in use."""
    kept: bool
    """A dialer reaches it, and hears the calls that come in there."""


def may_call(hotline_network: str | None, trunk_networks: Collection[str] | None, network: str) -> bool:
    """Whether a hotline on a trunk may call numbers of a routing group.

    The trunk carries it (None: it carries all), and the hotline is of that group or of the pool: for any
    network, or a fixed line. Another network's hotline never calls.
    """
    carried = trunk_networks is None or network in trunk_networks
    return carried and (hotline_network in (network, None, FIXED))


def network_distance(hotline: str | None, network: str) -> int:
    """How far a hotline that may call a number is from its routing group; the nearest free one calls it.

    0: the same network, since calls inside it are cheapest and show the brand name; 1: the pool.
    """
    return 0 if hotline == network else 1


def brand_expires_soon(brand_until: date | None, today: date) -> bool:
    """True from `BRAND_WARNING` before the last day of a brand name's registration on, and when it is over.

    `today`: in Vietnam.
    """
    return brand_until is not None and brand_until - today <= BRAND_WARNING


# --------------------------------------------------------------------------- what is refused


def trunk_faults(trunk: TrunkValues, known: Collection[str] | None) -> Iterator[tuple[str, str]]:
    """(field, message) of each fault but those of its caps.

    `known`: the routing groups that a number can be of; None: its networks were looked at before.
    """
    if not is_storable_name(trunk.name):
        yield "name", f"must be 1 to {MAX_NAME} printable characters"
    if not _routing_group(trunk.engine):
        yield "engine", "must be the name of an engine, such as sandbox"
    for name in ("dial_format", "presented_format"):
        if getattr(trunk, name) not in ("national", "e164", "plus"):
            yield name, "must be national (0…), e164 (84…) or plus (+84…)"
    if trunk.networks is not None and known is not None:
        yield from _networks_faults(trunk.networks, known)
    if trunk.cool_after is not None and not 1 <= trunk.cool_after <= MAX_COOL_AFTER:
        yield "cool_after", f"must be from 1 to {MAX_COOL_AFTER} failures in a row, or null for never"
    if not 1 <= trunk.cool_seconds <= MAX_COOL_SECONDS:
        yield "cool_seconds", f"must be from 1 to {MAX_COOL_SECONDS} seconds"
    yield from _moment_faults("cooling_until", trunk.cooling_until)
    yield from _engine_faults(trunk)


def _engine_faults(trunk: TrunkValues) -> Iterator[tuple[str, str]]:
    if trunk.sip is not None and trunk.engine != SIP_ENGINE:
        yield "sip", f"must be null: only trunks of the engine {SIP_ENGINE} have it"
    elif trunk.sip is not None:
        yield from sip_faults(trunk.sip, has_password=trunk.sip_password is not None)
    elif trunk.engine == SIP_ENGINE:
        yield "sip", f"must be given: a trunk of the engine {SIP_ENGINE} needs it"
    if trunk.node_ids is not None and trunk.engine != SIP_ENGINE:
        yield "node_ids", f"must be null: only trunks of the engine {SIP_ENGINE} have nodes"


def _networks_faults(networks: Collection[str], known: Collection[str]) -> Iterator[tuple[str, str]]:
    unknown = sorted(set(networks) - set(known))
    if unknown or not networks:
        yield "networks", f"must be routing groups: {', '.join(sorted(known))}; or null for all"


def hotline_faults(hotline: HotlineValues) -> Iterator[tuple[str, str]]:
    """(field, message) of each fault but those of its number, its network and its caps."""
    yield from _brand_faults(hotline.brand_name, hotline.brand_until)
    yield from _moment_faults("valid_from", hotline.valid_from)
    yield from _moment_faults("valid_until", hotline.valid_until)
    yield from _moment_faults("cooling_until", hotline.cooling_until)
    starts, ends = hotline.valid_from, hotline.valid_until
    if starts is not None and ends is not None and _is_moment(starts) and _is_moment(ends) and ends <= starts:
        yield "valid_until", "must come after valid_from"
    if hotline.unanswered not in get_args(Unanswered):
        yield "unanswered", f"must be one of {', '.join(get_args(Unanswered))}"
    if hotline.daily_cap is not None and not 0 <= hotline.daily_cap <= MAX_DAILY_CAP:
        yield "daily_cap", f"must be from 0 to {MAX_DAILY_CAP} dials a day, or null for no cap"


def node_ids_faults(node_ids: Collection[int], missing: Collection[int]) -> Iterator[tuple[str, str]]:
    """`missing`: those of them that are no node's."""
    if not 1 <= len(node_ids) <= MAX_NODES:
        yield "node_ids", f"must be 1 to {MAX_NODES} nodes, or null for all"
    if missing:
        yield "node_ids", f"there is no such node: {', '.join(map(str, missing))}"


def node_faults(node: NodeValues, password: str | None) -> Iterator[tuple[str, str]]:
    """(field, message) of each fault but those of its caps. `password` None: it stays as it is."""
    if not is_storable_name(node.name):
        yield "name", f"must be 1 to {MAX_NAME} printable characters"
    if not _is_server(node.url):
        yield "url", "must be http:// or https:// with a host, and no path: http://127.0.0.1:8088"
    if not _ari_user(node.username):
        yield "username", "must be 1 to 100 Latin letters, digits, dots, hyphens and underscores"
    if password is not None and not _ari_password(password):
        yield "password", "must be 1 to 200 Latin letters, digits and signs, and no spaces"
    if not _sounds_path(node.sounds_path) or ".." in node.sounds_path:
        yield "sounds_path", "must be an absolute path of Latin letters, digits and /._-+@ on the node"


def _is_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    bare = f"{parts.scheme}://{parts.netloc}"
    return (
        parts.scheme in ("http", "https")
        and url == bare
        and len(url) <= MAX_URL
        and "@" not in url
        and bool(_host(parts.hostname or ""))
        and (port is None or port > 0)
    )


def network_faults(network: str | None, known: Collection[str]) -> Iterator[tuple[str, str]]:
    """`known`: the routing groups that a number can be of. A hotline for another would call nobody."""
    if network is not None and network not in known:
        yield "network", f"must be a routing group: {', '.join(sorted(known))}; or null for any"


def _brand_faults(name: str | None, until: date | None) -> Iterator[tuple[str, str]]:
    if name is not None and not _brand_name(name):
        yield (
            "brand_name",
            "must be 1 to 11 Latin letters, digits, dots, hyphens, underscores and spaces, with a letter",
        )
    if name is not None and until is None:
        yield "brand_until", "must be given with a brand name: every registration ends"
    if name is None and until is not None:
        yield "brand_until", "must be null without a brand name"


def _moment_faults(field: str, moment: datetime | None) -> Iterator[tuple[str, str]]:
    if moment is not None and not _is_moment(moment):
        yield field, f"must be a time with its offset, in the years {_YEARS[0]} to {_YEARS[-1]}"


def _is_moment(moment: datetime) -> bool:
    return moment.tzinfo is not None and moment.year in _YEARS


def is_storable_name(name: str) -> bool:
    """True for what fits on one line; keeps out NUL and lone surrogates, which PostgreSQL cannot store."""
    return 0 < len(name) <= MAX_NAME and name.isprintable() and not name.isspace()
