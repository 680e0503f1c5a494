"""Which network addresses are public, by IANA's registers of special-purpose addresses."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address

# What https://www.iana.org/assignments/iana-ipv4-special-registry calls not globally reachable, and
# 192.88.99.0/24, which relayed to 6to4; then multicast and class E, broadcast among it. Written out, because
# the answers of `ipaddress` differ between versions of Python.
_NOT_PUBLIC_4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip

# Only 2000::/3 is given out for the public Internet. That leaves out loopback, unique local, link-local,
# site-local and multicast addresses, and all that carry an IPv4 address to somewhere else: mapped
# (::ffff:0:0/96), compatible (::/96) and NAT64 (64:ff9b::/96, 64:ff9b:1::/48).
_GIVEN_OUT_6: Final = IPv6Network("2000::/3")
# Within it: IETF protocols, Teredo among them (2001::/23), documentation, and 6to4.
_NOT_PUBLIC_6: Final = tuple(
    IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


def is_public(address: Address) -> bool:
    """True for an address that is reached over the public Internet, and is nobody's inner network."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _GIVEN_OUT_6 and not any(address in network for network in _NOT_PUBLIC_6)


def address_in(host: str) -> Address | None:
    """The address that a host is the text of, None for a name.

    Every notation that the system's own look-up takes for an address counts: `127.1`, `2130706433`,
    `0x7f.0.0.1` and `0177.0.0.1` are all 127.0.0.1.
    """
    bare = host.removeprefix("[").removesuffix("]")
    try:
        return ip_address(bare)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(bare))
    except (OSError, ValueError):
        return None
