"""Which addresses are public, in whatever form they are written."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import pytest

from tongdai.kit.addresses import address_in, is_public


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",  # carriers' own
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",  # where clouds keep credentials
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1",
        "100::1",
        "2001::7f00:1",  # Teredo
        "2001:db8::1",
        "2002:7f00:1::",  # 6to4 of 127.0.0.1
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_inner_and_reserved_addresses_are_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize(
    "text",
    ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "113.160.0.1", "172.15.0.1", "172.32.0.1",
     "192.0.1.1", "223.255.255.255", "2001:200::1", "2405:4800::1", "2606:4700::1111", "2a00::1"],
)  # fmt: skip
def test_others_are(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001",
     "0x7f.0x0.0x0.0x1", "127.0.0.01"],
)  # fmt: skip
def test_loopback_is_recognised_in_every_notation(host: str) -> None:
    assert address_in(host) == IPv4Address("127.0.0.1")


def test_an_address_in_brackets_is_one() -> None:
    assert address_in("[::1]") == ip_address("::1")


@pytest.mark.parametrize(
    "host", ["example.vn", "1.example.vn", "localhost", "", "dead.beef", "0x7g", "1.2.3.4.5"]
)
def test_a_name_is_no_address(host: str) -> None:
    assert address_in(host) is None
