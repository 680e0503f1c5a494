"""Which SIP settings a trunk may have, and where a fault is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongdai.domain.routing.sip import CAUSES, SipSettings, password_faults, sip_faults, sip_trunk
from tongdai.ports.telephony import EndCause

PLAIN: dict[str, Any] = {"host": "sip.carrier.vn"}
LOGGED_IN: dict[str, Any] = PLAIN | {"username": "02473001234"}


def paths(settings: dict[str, Any], *, has_password: bool | None = None) -> list[str]:
    sip = msgspec.convert(settings, SipSettings)
    known = bool(sip.username) if has_password is None else has_password
    return [path for path, _ in sip_faults(sip, has_password=known)]


@pytest.mark.parametrize(
    "settings",
    [
        PLAIN,
        {"host": "203.0.113.7", "port": 5080, "transport": "tcp"},
        {"host": "2001:db8::5", "transport": "tls"},
        {"host": "a_b.example.vn."},
        LOGGED_IN
        | {"register": True, "from_domain": "ims.vnpt.vn", "outbound_proxy": "sip:10.1.2.3:5060;lr"},
        PLAIN | {"username": "+842473001234@ims.vn", "register": True, "from_user": "+842473001234"},
        PLAIN | {"outbound_proxy": "sip:[2001:db8::1]:5061;transport=tls;lr"},
        PLAIN | {"codecs": ["g722", "alaw"], "dtmf": "info", "early_media": False},
        PLAIN
        | {"match": ["203.0.113.7", "203.0.113.0/24", "10.7.0.0/16", "2001:db8::/32", "sbc.carrier.vn"]},
        PLAIN | {"causes": {480: "no_answer", 503: "busy", 300: "failure", 699: "congestion"}},
    ],
)
def test_what_carriers_ask_for_is_taken(settings: dict[str, Any]) -> None:
    assert paths(settings) == []


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"host": host}, "sip.host")
        for host in (
            "",
            "sip:carrier.vn",
            "carrier.vn:5060",
            "a b",
            "-a.vn",
            "a..vn",
            "1.2.3",
            "999.1.1.1",
            "[::1]",
            "fe80::1%eth0",
            "a" * 64,
            "carrier.vn\r\nContact: x",
            "a;b",
            "nhà-mạng.vn",
        )
    ]
    + [
        (PLAIN | {"port": 0}, "sip.port"),
        (PLAIN | {"port": 65_536}, "sip.port"),
        (PLAIN | {"register": True}, "sip.username"),
        (PLAIN | {"username": "two words"}, "sip.username"),
        (PLAIN | {"username": 'a"b'}, "sip.username"),
        (PLAIN | {"username": "a@b", "register": True}, "sip.from_user"),
        (PLAIN | {"from_user": "a@b"}, "sip.from_user"),
        (PLAIN | {"from_user": "a>b"}, "sip.from_user"),
        (PLAIN | {"from_domain": "a b"}, "sip.from_domain"),
        (PLAIN | {"outbound_proxy": "10.1.2.3"}, "sip.outbound_proxy"),
        (PLAIN | {"outbound_proxy": "sip:10.1.2.3:99999"}, "sip.outbound_proxy"),
        (PLAIN | {"outbound_proxy": "sip:a b"}, "sip.outbound_proxy"),
        (PLAIN | {"outbound_proxy": "sip:a\nb"}, "sip.outbound_proxy"),
        (PLAIN | {"codecs": []}, "sip.codecs"),
        (PLAIN | {"codecs": ["alaw", "alaw"]}, "sip.codecs"),
        (PLAIN | {"match": ["203.0.113.7", "a b"]}, "sip.match[1]"),
        (PLAIN | {"match": ["0.0.0.0/0"]}, "sip.match[0]"),
        (PLAIN | {"match": ["::/0"]}, "sip.match[0]"),
        (PLAIN | {"match": ["1.2.3.4"] * 51}, "sip.match"),
        (PLAIN | {"causes": {200: "busy"}}, "sip.causes.200"),
        (PLAIN | {"causes": {480: "normal"}}, "sip.causes.480"),
        (PLAIN | {"causes": dict.fromkeys(range(400, 501), "busy")}, "sip.causes"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(settings: dict[str, Any], path: str) -> None:
    assert paths(settings) == [path]


def test_a_username_comes_with_a_password_and_the_other_way_round() -> None:
    assert paths(LOGGED_IN, has_password=False) == ["sip.password"]
    assert paths(PLAIN, has_password=True) == ["sip.username"]


@pytest.mark.parametrize("password", ["", "mật khẩu", "a\nb", "a" * 201])
def test_a_password_that_cannot_be_sent_is_refused(password: str) -> None:
    assert [path for path, _ in password_faults(password)] == ["sip.password"]
    assert list(password_faults('any "thing"; that \\ is printable')) == []


def test_what_is_not_given_is_as_vietnamese_carriers_have_it() -> None:
    trunk = sip_trunk(7, 3, SipSettings(host="sip.carrier.vn"), "")

    assert (trunk.port, trunk.transport, trunk.codecs, trunk.dtmf) == (5060, "udp", ("alaw", "ulaw"), "auto")
    assert (trunk.trunk_id, trunk.revision, trunk.register, trunk.causes) == (7, 3, False, {})


@given(st.dictionaries(st.integers(300, 699), st.sampled_from(CAUSES), max_size=20))
def test_settings_are_what_they_were_after_the_database(causes: dict[int, EndCause]) -> None:
    sip = SipSettings(host="a", codecs=("g722",), match=("1.2.3.4",), causes=causes)

    assert msgspec.json.decode(msgspec.json.encode(sip), type=SipSettings) == sip


@given(st.text(max_size=80))
def test_whatever_is_taken_is_one_word_of_a_sip_message(text: str) -> None:
    for name in ("host", "username", "from_user", "from_domain", "outbound_proxy"):
        settings = LOGGED_IN | {name: text}
        if paths(settings) == []:
            # A username is quoted wherever it is sent; what stands in an address has no brackets either.
            harmful = set(' "\\') if name == "username" else set(' "<>\\')
            assert text == "" or (text.isascii() and text.isprintable() and not set(text) & harmful), name
