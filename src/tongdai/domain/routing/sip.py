"""How a trunk is reached by SIP, as its carrier says it, and what of that cannot be. Pure.

The password is none of the settings: it is kept apart, sealed, and shown to nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, get_args

import msgspec

from tongdai.kit.crypto import Keyring
from tongdai.ports.sip import Codec, Dtmf, SipTrunk, Transport
from tongdai.ports.telephony import EndCause

SIP_ENGINE: Final = "asterisk"
"""The engine whose trunks have SIP settings; no other has."""

MAX_MATCH: Final = 50
MAX_CAUSES: Final = 100
MAX_NODES: Final = 100
MAX_PASSWORD: Final = 200
MIN_PREFIX_4: Final = 16
MIN_PREFIX_6: Final = 32
"""Of a network that calls may come from: what is wider is no carrier's."""

CAUSES: Final = (
    EndCause.NO_ANSWER,
    EndCause.BUSY,
    EndCause.REJECTED,
    EndCause.UNREACHABLE,
    EndCause.UNALLOCATED,
    EndCause.CONGESTION,
    EndCause.FAILURE,
)
"""What a SIP status can mean."""

_label: Final = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_host_name: Final = re.compile(rf"(?=.{{1,253}}$){_label}(?:\.{_label})*\.?").fullmatch
# RFC 3261, 25.1: what may stand unescaped before the @ of a SIP address.
_user: Final = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/]{1,64}").fullmatch
# Digest names may be addresses themselves, as IMS has it. Quotes and backslashes would need escaping.
_username: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}").fullmatch
_password: Final = re.compile(rf"[\x20-\x7e]{{1,{MAX_PASSWORD}}}").fullmatch
_proxy: Final = re.compile(
    r"sips?:(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::(?P<port>[0-9]{1,5}))?"
    r"(?:;[A-Za-z0-9_-]{1,20}(?:=[A-Za-z0-9._-]{1,40})?){0,5}"
).fullmatch


class SipSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A carrier's peer; the fields of `ports.sip.SipTrunk`."""

    host: str
    """Name or address of the carrier's server."""
    port: int = 5060
    transport: Transport = "udp"
    username: str = ""
    """For digest authentication; "": the carrier knows us by our address."""
    register: bool = False
    """True: calls come in over a registration, which is kept up on one node."""
    from_user: str = ""
    """"": the number that is shown."""
    from_domain: str = ""
    outbound_proxy: str = ""
    """A SIP address; "": calls go to the host itself."""
    codecs: tuple[Codec, ...] = ("alaw", "ulaw")
    """The first is liked best."""
    dtmf: Dtmf = "auto"
    match: tuple[str, ...] = ()
    """Addresses, networks and names that the carrier's calls come from; none: the host's."""
    early_media: bool = True
    causes: dict[int, EndCause] = {}
    """What this carrier's SIP statuses mean, where they mean something else than usual."""

    @property
    def way(self) -> tuple[str, str]:
        """Who is asked for calls, and asks for the password."""
        return self.host.lower().rstrip("."), self.outbound_proxy


def sip_trunk(trunk_id: int, revision: int, sip: SipSettings, password: str) -> SipTrunk:
    """As an engine is told of it."""
    return SipTrunk(trunk_id=trunk_id, revision=revision, password=password, **msgspec.structs.asdict(sip))


def seal_sip_password(keyring: Keyring, account_id: int, password: str) -> bytes:
    return keyring.seal(password.encode(), context=_seal(account_id))


def open_sip_password(keyring: Keyring, account_id: int, sealed: bytes) -> str:
    """Raises SealBrokenError."""
    return keyring.open(sealed, context=_seal(account_id)).decode()


def _seal(account_id: int) -> str:
    return f"trunk.sip/{account_id}"


# --------------------------------------------------------------------------- what is refused


def password_faults(password: str) -> Iterator[tuple[str, str]]:
    if not _password(password):
        yield "sip.password", f"must be 1 to {MAX_PASSWORD} Latin letters, digits, signs and spaces"


def sip_faults(sip: SipSettings, *, has_password: bool) -> Iterator[tuple[str, str]]:
    """(field, message) of each fault but those of the password itself."""
    if not is_host(sip.host):
        yield "sip.host", "must be a name or an address of the carrier's server, without port"
    if not 1 <= sip.port <= 65_535:
        yield "sip.port", "must be from 1 to 65535"
    yield from _choice_faults(sip)
    yield from _identity_faults(sip, has_password=has_password)
    if sip.outbound_proxy and not _is_proxy(sip.outbound_proxy):
        yield "sip.outbound_proxy", "must be a SIP address such as sip:sbc.carrier.vn:5060;lr, or empty"
    yield from _match_faults(sip.match)
    yield from _cause_faults(sip.causes)


def is_host(text: str) -> bool:
    """A host name, or an address of either kind without brackets."""
    try:
        ip_address(text)
    except ValueError:
        # All digits and dots is an address gone wrong.
        return bool(_host_name(text)) and not re.fullmatch(r"[0-9.]+", text)
    return "%" not in text


def _choice_faults(sip: SipSettings) -> Iterator[tuple[str, str]]:
    if sip.transport not in get_args(Transport):
        yield "sip.transport", f"must be one of: {', '.join(get_args(Transport))}"
    if sip.dtmf not in get_args(Dtmf):
        yield "sip.dtmf", f"must be one of: {', '.join(get_args(Dtmf))}"
    unknown = set(sip.codecs) - set(get_args(Codec))
    if unknown or not sip.codecs or len(set(sip.codecs)) != len(sip.codecs):
        yield "sip.codecs", f"must be some of these, each once: {', '.join(get_args(Codec))}"


def _identity_faults(sip: SipSettings, *, has_password: bool) -> Iterator[tuple[str, str]]:
    if sip.username and not _username(sip.username):
        yield "sip.username", "must be 1 to 100 Latin letters, digits and signs, without quotes and spaces"
    if sip.username and not has_password:
        yield "sip.password", "must be given with a username"
    if has_password and not sip.username:
        yield "sip.username", "must be given with a password"
    if sip.register and not sip.username:
        yield "sip.username", "must be given to register"
    if sip.from_user and not _user(sip.from_user):
        yield "sip.from_user", "must be 1 to 64 characters of a SIP address's user part, or empty"
    if sip.register and sip.username and not sip.from_user and not _user(sip.username):
        yield "sip.from_user", "must be given to register, since the username cannot be part of an address"
    if sip.from_domain and not is_host(sip.from_domain):
        yield "sip.from_domain", "must be a name or an address, or empty"


def _is_proxy(text: str) -> bool:
    found = _proxy(text)
    if found is None or not 1 <= int(found["port"] or 5060) <= 65_535:
        return False
    return is_host(found["host"].removeprefix("[").removesuffix("]"))


def _match_faults(match: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if len(match) > MAX_MATCH:
        yield "sip.match", f"must be at most {MAX_MATCH}"
        return
    for at, one in enumerate(match):
        network = _network(one)
        if network is None and not is_host(one):
            yield f"sip.match[{at}]", "must be an address, a network such as 203.0.113.0/24, or a name"
        elif network is not None and _is_wide(network):
            widest = f"/{MIN_PREFIX_4} of IPv4 or /{MIN_PREFIX_6} of IPv6"
            yield f"sip.match[{at}]", f"must be no wider than {widest}"


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _is_wide(network: IPv4Network | IPv6Network) -> bool:
    return network.prefixlen < (MIN_PREFIX_4 if network.version == 4 else MIN_PREFIX_6)


def _cause_faults(causes: dict[int, EndCause]) -> Iterator[tuple[str, str]]:
    if len(causes) > MAX_CAUSES:
        yield "sip.causes", f"must be at most {MAX_CAUSES}"
    for status, cause in causes.items():
        if not 300 <= status <= 699:
            yield f"sip.causes.{status}", "must be a SIP status from 300 to 699"
        elif cause not in CAUSES:
            yield f"sip.causes.{status}", f"must be one of: {', '.join(CAUSES)}"
