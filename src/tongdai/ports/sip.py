"""What an engine that speaks SIP is told of nodes and trunks, and whom it asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tongdai.ports.telephony import EndCause

Codec = Literal["alaw", "ulaw", "g722"]
Dtmf = Literal["auto", "rfc4733", "info", "inband"]
Transport = Literal["udp", "tcp", "tls"]


class UnknownTrunkError(Exception):
    """There is no such trunk, or it has no SIP settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SipTrunk:
    """A carrier's peer as SIP wants it."""

    trunk_id: int
    revision: int
    """Grows with every change of the trunk."""
    host: str
    """Name or address of the carrier's server."""
    port: int = 5060
    transport: Transport = "udp"
    username: str = ""
    """For digest authentication; "": the carrier knows us by our address."""
    password: str = field(default="", repr=False)
    register: bool = False
    """True: calls come in over a registration, which is kept up on one node."""
    from_user: str = ""
    """"": the number that is shown."""
    from_domain: str = ""
    outbound_proxy: str = ""
    codecs: tuple[Codec, ...] = ("alaw", "ulaw")
    dtmf: Dtmf = "auto"
    match: tuple[str, ...] = ()
    """Addresses and networks that the carrier's calls come from; empty: `host`."""
    early_media: bool = True
    causes: Mapping[int, EndCause] = field(default_factory=dict)
    """What this carrier's SIP statuses mean, where they mean something else than usual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsteriskNode:
    """One Asterisk and how it is reached."""

    id: int
    name: str
    url: str
    """Of its HTTP server, without a path: http://127.0.0.1:8088."""
    username: str
    password: str = field(repr=False)
    sounds_path: str
    """Where the node finds our sounds folder, absolute."""
    enabled: bool = True
    """False: it gets no new calls."""
    limit_id: int = 0
    max_channels: int | None = None

    @property
    def engine(self) -> str:
        """What a leg on it names as its engine."""
        return f"asterisk/{self.id}"


class TrunkBook(Protocol):
    """The trunks as they are now; a change is known here within two seconds."""

    async def trunk(self, trunk_id: int) -> SipTrunk:
        """Raises UnknownTrunkError."""
        ...

    async def trunks_of(self, node_id: int) -> list[SipTrunk]:
        """Every enabled trunk that calls may come in on over this node."""
        ...

    async def registers_on(self, node_id: int) -> frozenset[int]:
        """Trunks whose registration this node keeps up."""
        ...
