"""How a trunk's carrier is reached by SIP, as it is shown and as it is given."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tongdai.domain import routing
from tongdai.kit.crypto import Keyring
from tongdai.ports.telephony import EndCause

Port = Annotated[int, Meta(ge=1, le=65_535)]
Transport = Literal["udp", "tcp", "tls"]
Codec = Literal["alaw", "ulaw", "g722"]
Codecs = Annotated[list[Codec], Meta(min_length=1, max_length=3)]
Dtmf = Literal["auto", "rfc4733", "info", "inband"]
Host = Annotated[str, Meta(min_length=1, max_length=253)]
Domain = Annotated[str, Meta(max_length=253)]
Username = Annotated[str, Meta(max_length=100)]
Password = Annotated[str, Meta(min_length=1, max_length=200)]
FromUser = Annotated[str, Meta(max_length=64)]
Proxy = Annotated[str, Meta(max_length=400)]
Source = Annotated[str, Meta(min_length=1, max_length=253)]
Sources = Annotated[list[Source], Meta(max_length=50)]
Status = Annotated[str, Meta(pattern=r"^[3-6][0-9][0-9]$")]
Cause = Literal["no_answer", "busy", "rejected", "unreachable", "unallocated", "congestion", "failure"]
Causes = Annotated[dict[Status, Cause], Meta(max_length=100)]


class Sip(msgspec.Struct, frozen=True, kw_only=True):
    """How a trunk's carrier is reached by SIP."""

    host: str
    """Name or address of the carrier's server."""
    port: int
    transport: Transport
    username: str
    """For digest authentication. Empty: the carrier knows us by our address."""
    has_password: bool
    """The password itself is shown to nobody."""
    register: bool
    """Calls come in over a registration, which one node keeps up."""
    from_user: str
    """Who calls, in From. Empty: the hotline."""
    from_domain: str
    outbound_proxy: str
    codecs: list[Codec]
    """The first is liked best."""
    dtmf: Dtmf
    """How key presses come."""
    match: list[str]
    """Addresses, networks and names that the carrier's calls come from. Empty: the host's."""
    early_media: bool
    causes: dict[str, Cause]
    """What this carrier's SIP statuses mean, where they mean something else than usual."""

    @classmethod
    def of(cls, row: routing.Trunk) -> Sip | None:
        if row.sip is None:
            return None
        given = msgspec.structs.asdict(row.sip)
        listed = {"codecs": list(row.sip.codecs), "match": list(row.sip.match)}
        causes: Any = {str(status): cause.value for status, cause in sorted(row.sip.causes.items())}
        return cls(**given | listed | {"causes": causes}, has_password=row.sip_password is not None)


class GivenSip(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a trunk's carrier is reached by SIP: what its contract says. It changes as a whole."""

    host: Host
    """Name or address of the carrier's server."""
    port: Port = 5060
    transport: Transport = "udp"
    username: Username = ""
    """For digest authentication. Empty: the carrier knows us by our address."""
    password: Password | UnsetType = UNSET
    """Left out: it stays as it is, for as long as there is a username. With another `host` or
    `outbound_proxy` it has to be given again. It is shown to nobody."""
    register: bool = False
    """True: calls come in over a registration. It needs a username."""
    from_user: FromUser = ""
    """Who calls, in From. Empty: the hotline, which else stands in P-Asserted-Identity."""
    from_domain: Domain = ""
    """Empty: the node's address."""
    outbound_proxy: Proxy = ""
    """A SIP address such as `sip:sbc.carrier.vn:5060;lr`. Empty: calls go to the host itself."""
    codecs: Codecs = msgspec.field(default_factory=lambda: ["alaw", "ulaw"])
    """The first is liked best."""
    dtmf: Dtmf = "auto"
    """How key presses come: by RFC 4733, by SIP INFO, in the sound, or whichever of the first two it is."""
    match: Sources = []
    """Addresses, networks and names that the carrier's calls come from. Empty: the host's. A network has 16
    bits at least (IPv6: 32)."""
    early_media: bool = True
    causes: Causes = {}
    """What this carrier's SIP statuses (300 to 699) mean, where they mean something else than usual."""


def changes_of(sip: GivenSip | UnsetType | None, keyring: Keyring, account_id: int) -> routing.TrunkChanges:
    """What a trunk is told of it, the password sealed. Raises TrunkInvalidError."""
    if isinstance(sip, UnsetType):
        return {}
    if sip is None:
        return {"sip": None}
    changes: routing.TrunkChanges = {"sip": _settings(sip)}
    if not isinstance(sip.password, UnsetType):
        if faults := list(routing.password_faults(sip.password)):
            raise routing.TrunkInvalidError(errors=faults)
        changes["sip_password"] = routing.seal_sip_password(keyring, account_id, sip.password)
    return changes


def _settings(sip: GivenSip) -> routing.SipSettings:
    return routing.SipSettings(
        host=sip.host,
        port=sip.port,
        transport=sip.transport,
        username=sip.username,
        register=sip.register,
        from_user=sip.from_user,
        from_domain=sip.from_domain,
        outbound_proxy=sip.outbound_proxy,
        codecs=tuple(sip.codecs),
        dtmf=sip.dtmf,
        match=tuple(sip.match),
        early_media=sip.early_media,
        causes={int(status): EndCause(cause) for status, cause in sip.causes.items()},
    )
