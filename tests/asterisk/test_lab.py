"""What the tests of real calls stand on: an Asterisk that boots, dies, freezes and is cut off."""

from __future__ import annotations

import json
import socket
import urllib.request
from base64 import b64encode

import pytest
from tests.fakes.asterisk import AsteriskInstance

from tongdai.ports.sip import AsteriskNode

pytestmark = pytest.mark.asterisk


def _ask(node: AsteriskNode, path: str, wait_s: float = 10.0) -> object:
    known = b64encode(f"{node.username}:{node.password}".encode()).decode()
    request = urllib.request.Request(f"{node.url}/ari/{path}", headers={"Authorization": f"Basic {known}"})
    with urllib.request.urlopen(request, timeout=wait_s) as answer:
        return json.load(answer)


def test_an_asterisk_boots_and_answers_to_its_node(asterisk: AsteriskInstance) -> None:
    info = _ask(asterisk.node, "asterisk/info?only=system")

    assert isinstance(info, dict)
    assert info["system"]["version"].startswith("22.")
    assert "0 active calls" in asterisk.cli("core show channels")
    assert asterisk.channels() == []


def test_it_complains_of_nothing(asterisk: AsteriskInstance) -> None:
    complaints = [line for line in asterisk.log.splitlines() if "WARNING" in line or "ERROR" in line]

    assert complaints == []


def test_a_killed_asterisk_comes_back_on_the_same_ports(asterisk: AsteriskInstance) -> None:
    asterisk.cli("database put lab witness 1")
    asterisk.kill()
    with pytest.raises(OSError, match=r"refused|reset|closed"):
        _ask(asterisk.direct, "asterisk/ping")

    asterisk.start()

    assert _ask(asterisk.node, "asterisk/ping")


def test_a_frozen_asterisk_accepts_and_does_not_answer(asterisk: AsteriskInstance) -> None:
    asterisk.freeze()
    try:
        with pytest.raises(TimeoutError):
            _ask(asterisk.node, "asterisk/ping", wait_s=0.3)
    finally:
        asterisk.thaw()

    assert _ask(asterisk.node, "asterisk/ping")


def test_a_cut_passes_nothing_and_what_was_not_given_up_arrives_when_healed(
    asterisk: AsteriskInstance,
) -> None:
    asterisk.cut()
    with socket.create_connection(("127.0.0.1", _port_of(asterisk.node)), timeout=0.3) as line:
        line.sendall(b"GET /ari/asterisk/ping HTTP/1.0\r\n\r\n")
        with pytest.raises(TimeoutError):
            line.recv(1)
        assert _ask(asterisk.direct, "asterisk/ping")

        asterisk.heal()
        line.settimeout(10.0)

        assert line.recv(12) == b"HTTP/1.1 401"


def test_a_connection_that_was_up_is_cut_too(asterisk: AsteriskInstance) -> None:
    with socket.create_connection(("127.0.0.1", _port_of(asterisk.node)), timeout=10.0) as line:
        line.sendall(b"GET /ari/asterisk/ping HTTP/1.1\r\nHost: x\r\n\r\n")
        assert line.recv(12) == b"HTTP/1.1 401"

        asterisk.cut()
        line.settimeout(0.3)
        line.sendall(b"GET /ari/asterisk/ping HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(TimeoutError):
            _read_on(line)
        asterisk.heal()
        line.settimeout(10.0)

        assert line.recv(12) == b"HTTP/1.1 401"


def test_a_refusing_cut_resets_and_refuses(asterisk: AsteriskInstance) -> None:
    with socket.create_connection(("127.0.0.1", _port_of(asterisk.node)), timeout=10.0) as line:
        asterisk.cut(refuse=True)
        with pytest.raises(ConnectionResetError):
            line.recv(1)
    with pytest.raises(OSError, match="refused"):
        _ask(asterisk.node, "asterisk/ping")

    asterisk.heal()

    assert _ask(asterisk.node, "asterisk/ping")


def _read_on(line: socket.socket) -> None:
    while line.recv(4096):
        pass


def _port_of(node: AsteriskNode) -> int:
    return int(node.url.rpartition(":")[2])
