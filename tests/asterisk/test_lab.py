"""What tests of real calls stand on: an Asterisk that boots, dies, freezes and is cut off, and far ends."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import quote

import numpy as np
import pytest
from tests.fakes.asterisk import AsteriskInstance
from tests.fakes.handset import Handset, Plan, Press
from tests.fakes.sipp import SippPhone
from tests.fakes.sipp_scenarios import PASSWORD, REGISTRAR, USERNAME, kind_of
from tests.fakes.sound import (
    find,
    frames,
    from_alaw,
    gaps,
    rms,
    save_alaw,
    save_wav,
    share_heard,
    silence,
    similarity_by_part,
    speech,
    to_alaw,
    tone,
    tone_lasts,
)

from tongdai.ports.sip import AsteriskNode

pytestmark = [pytest.mark.anyio, pytest.mark.asterisk]


def _ask(
    node: AsteriskNode, path: str, *, method: str = "GET", body: object = None, wait_s: float = 10.0
) -> object:
    request = urllib.request.Request(f"{node.url}/ari/{path}", method=method)
    known = b64encode(f"{node.username}:{node.password}".encode()).decode()
    request.add_header("Authorization", f"Basic {known}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=wait_s) as answer:
        return json.loads(answer.read() or b"null")


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


# ------------------------------------------------------------------ sipp

OUTCOMES = {
    "002": ["INVITE", "RINGING", "CANCEL"],
    "003": ["INVITE", "REJECT"],
    "004": ["INVITE", "RINGING", "REJECT"],
    "005": ["INVITE", "REJECT"],
    "009": ["INVITE", "RINGING", "ANSWER", "BYE"],
    "010": ["INVITE", "REJECT"],
    "012": ["INVITE", "REJECT"],
    "015": ["INVITE", "EARLY", "REJECT"],
    "022": ["INVITE", "RINGING", "ANSWER", "BYE"],
    "488": ["INVITE", "REJECT"],
}
"""Calls that end by themselves; 002 by the ring time."""
ANSWERED = {
    "001": ["INVITE", "RINGING", "ANSWER"],
    "006": ["INVITE", "RINGING", "ANSWER"],
    "007": ["INVITE", "RINGING", "ANSWER", "DIGIT"],
    "008": ["INVITE", "RINGING", "ANSWER", "DIGIT"],
    "014": ["INVITE", "EARLY", "ANSWER"],
    "016": ["INVITE", "RINGING", "ANSWER"],
    "017": ["INVITE", "RINGING", "ANSWER"],
    "018": ["INVITE", "RINGING", "ANSWER"],
    "019": ["INVITE", "RINGING", "ANSWER"],
    "021": ["INVITE", "RINGING", "ANSWER"],
    "023": ["INVITE", "RINGING", "ANSWER"],
    "024": ["INVITE", "RINGING", "ANSWER"],
}


@pytest.fixture(scope="module")
def trunk(asterisk: AsteriskInstance) -> str:
    """An endpoint of the node that any number can be called through."""
    _push(asterisk.direct, "auth", "lab", auth_type="userpass", username=USERNAME, password=PASSWORD)
    _push(
        asterisk.direct,
        "endpoint",
        "lab",
        transport="td-udp",
        disallow="all",
        allow="alaw,ulaw",
        outbound_auth="lab",
        dtmf_mode="auto_info",
        media_address="127.0.0.1",
        bind_rtp_to_media_address="yes",
        from_user="0281234567",
    )
    return "lab"


def test_every_number_of_the_far_end_does_what_it_says(asterisk: AsteriskInstance, trunk: str) -> None:
    with SippPhone(kinds=tuple({kind_of(digits) for digits in OUTCOMES | ANSWERED})) as far_end:
        for digits in OUTCOMES | ANSWERED:
            _call(asterisk, trunk, far_end.host, far_end.port, f"0912345{digits}", ring_s=3)
        for digits, events in (OUTCOMES | ANSWERED).items():
            _until(lambda d=digits, e=events: far_end.events_of(f"0912345{d}") == e)  # type: ignore[misc]
        _until(lambda: len(asterisk.channels()) == len(ANSWERED))
        for digits in ANSWERED:
            _ask(asterisk.direct, f"channels/0912345{digits}", method="DELETE")
        for digits, events in ANSWERED.items():
            _until(lambda d=digits, e=events: far_end.events_of(f"0912345{d}") == [*e, "BYE"])  # type: ignore[misc]

        assert far_end.most_channels() <= len(OUTCOMES | ANSWERED)
        assert far_end.invited_more_than_once() == {}
        reasons = {line.number[-3:]: line.cause for line in far_end.lines() if line.event == "REJECT"}
        assert reasons == {
            "003": "486", "004": "603", "005": "404", "010": "503", "012": "480", "015": "404", "488": "488"
        }  # fmt: skip


def test_a_number_that_is_called_twice_is_in_the_far_ends_log_twice(
    asterisk: AsteriskInstance, trunk: str
) -> None:
    with SippPhone() as far_end:
        for times in (1, 2):
            _call(asterisk, trunk, far_end.host, far_end.port, "0912345003", ring_s=3)
            _until(lambda t=times: far_end.events_of("0912345003") == ["INVITE", "REJECT"] * t)  # type: ignore[misc]

        assert far_end.invited_more_than_once() == {"0912345003": 2}
        assert far_end.most_channels() == 1


def test_two_calls_at_once_are_two_channels_and_two_in_a_second(
    asterisk: AsteriskInstance, trunk: str
) -> None:
    with SippPhone(host="127.0.0.2", kinds=("001",)) as far_end:
        for number in ("0912345001", "0913345001"):
            _call(asterisk, trunk, far_end.host, far_end.port, number, ring_s=3)
        _until(lambda: [line.event for line in far_end.lines()].count("ANSWER") == 2)

        assert far_end.most_channels() == 2
        assert far_end.most_in_any_second() == 2


@pytest.mark.usefixtures("trunk")
def test_an_asterisk_registers_with_the_far_end(asterisk: AsteriskInstance) -> None:
    with SippPhone(kinds=(REGISTRAR,)) as far_end:
        _push(
            asterisk.direct,
            "registration",
            "lab",
            transport="td-udp",
            outbound_auth="lab",
            server_uri=f"sip:{far_end.host}:{far_end.port}",
            client_uri=f"sip:{USERNAME}@{far_end.host}:{far_end.port}",
            max_random_initial_delay="0",
        )
        try:
            _until(lambda: "Registered" in asterisk.cli("pjsip show registrations"))
        finally:
            path = "asterisk/config/dynamic/res_pjsip/registration/lab"
            _ask(asterisk.direct, path, method="DELETE")


# ------------------------------------------------------------------ a telephone


def test_a_telephone_hears_what_an_asterisk_plays_as_loud_as_it_was(
    asterisk: AsteriskInstance, trunk: str
) -> None:
    said = speech(2.0)
    save_alaw(asterisk.sounds / "said.alaw", [silence(0.3), said, tone(1_000, 1.0)])
    with Handset() as phone:
        target = f"PJSIP/{trunk}/sip:0912345678@{phone.host}:{phone.port}"
        order = (
            f"Channel: {target}\nCallerID: 0281234567\nApplication: Playback\nData: {asterisk.sounds}/said\n"
        )
        (asterisk.folder / "spool" / "tmp" / "one").write_text(order)
        (asterisk.folder / "spool" / "tmp" / "one").rename(asterisk.folder / "spool" / "outgoing" / "one")
        call = phone.wait("incoming").call

        heard = phone.heard(call)

        assert phone.seen("ended", call=call)[0].status == 200
    # On a busy machine a packet of 20 ms comes late now and then, or not at all.
    assert share_heard(said, heard) > 0.75
    assert tone_lasts(heard, 1_000) == pytest.approx(1.0, abs=0.3)
    assert np.percentile(frames(heard), 90) == pytest.approx(rms(tone(1_000, 1.0)), rel=0.05)
    assert sum(length for _, length in gaps(heard)) < 0.3


def test_a_telephone_answers_presses_speaks_and_hangs_up_by_plan() -> None:
    with Handset() as caller, Handset(host="127.0.0.2") as phone:
        said = speech(1.0)
        save_wav(phone.folder / "said.wav", [said])
        presses = (Press(1.2, "12*#"), Press(2.2, "7", how="info"))
        phone.does(Plan(speaks=str(phone.folder / "said.wav"), presses=presses, hangs_up_after_s=2.6))
        phone.does(Plan(status=486, rings=False), ends="003")

        call = caller.call(f"sip:0912345001@{phone.host}:{phone.port}", caller="0281234567")
        refused = caller.call(f"sip:0912345003@{phone.host}:{phone.port}", caller="0281234567")

        assert caller.wait("ended", call=refused).status == 486
        assert caller.wait("ended", call=call).status == 200
        assert "".join(one.digit for one in caller.seen("digit", call=call)) == "12*#7"
        assert share_heard(said, caller.heard(call)) > 0.75
        incoming = phone.wait("incoming")
        assert (incoming.number, incoming.caller) == ("0912345001", "0281234567")
        assert phone.seen("wrong") == caller.seen("wrong") == []


async def test_a_telephone_obeys_while_it_is_called() -> None:
    with Handset() as caller, Handset(host="127.0.0.2") as phone:
        phone.does(Plan(ring_s=60.0))
        call = caller.call(f"sip:0912345001@{phone.host}:{phone.port}", caller="0281234567")
        theirs = (await phone.until("incoming")).call

        phone.answer(theirs)
        await caller.until("answered", call=call)
        caller.press(call, "5", duration_ms=400)
        assert (await phone.until("digit")).digit == "5"
        caller.hang_up(call)

        assert (await phone.until("ended")).status == 200


# ------------------------------------------------------------------ sounds


def test_a_sound_is_found_where_it_is_and_not_where_it_is_not() -> None:
    said, other = speech(1.0), speech(1.0, seed=2)
    heard = np.concatenate([silence(0.25), said // 2, silence(0.5), tone(440, 0.5)])

    match = find(said, heard)

    assert (match.lag_s, match.similarity, match.gain) == pytest.approx((0.25, 1.0, 0.5), abs=0.01)
    assert find(other, heard).similarity < 0.2
    assert gaps(heard) == [pytest.approx((1.24, 0.5), abs=0.04)]
    assert tone_lasts(heard, 440) == pytest.approx(0.5, abs=0.1)


def test_a_lost_packet_shows() -> None:
    said = speech(1.0)
    heard = np.concatenate([said[:4_000], silence(0.02), said[4_160:]])

    assert find(said, heard).similarity > 0.9
    assert min(similarity_by_part(said, heard)) < 0.99
    assert len(gaps(heard)) == 1


def test_what_a_busy_machine_shifts_is_found_all_the_same_and_what_it_loses_is_not() -> None:
    said = np.concatenate([speech(1.0), tone(700, 1.0), speech(1.0, seed=2)])
    late = np.concatenate([silence(0.4), said[:7_000], silence(0.03), said[7_000:18_000], said[18_200:]])

    assert find(said, late).similarity < 0.9
    assert share_heard(said, late) == pytest.approx(13 / 15)
    assert share_heard(said, np.concatenate([silence(0.4), said[:8_000], silence(2.0)])) == pytest.approx(
        1 / 3
    )
    assert share_heard(said, speech(4.0, seed=3)) == 0.0


def test_a_law_loses_little() -> None:
    said = speech(1.0)

    back = from_alaw(to_alaw(said))

    assert rms(back - said) < rms(said) / 40
    assert to_alaw(back) == to_alaw(said)
    assert to_alaw(silence(0.01)) == b"\xd5" * 80


def _push(node: AsteriskNode, kind: str, name: str, **fields: str) -> None:
    listed = [{"attribute": attribute, "value": value} for attribute, value in fields.items()]
    path = f"asterisk/config/dynamic/res_pjsip/{kind}/{name}"
    _ask(node, path, method="PUT", body={"fields": listed})


def _call(asterisk: AsteriskInstance, trunk: str, host: str, port: int, number: str, *, ring_s: int) -> None:
    """Calls a number; its channel has the number as id. Who answers is held in silence for a minute."""
    target = quote(f"PJSIP/{trunk}/sip:{number}@{host}:{port}", safe="")
    where = "context=td-still&extension=s&priority=1&callerId=0281234567"
    path = f"channels?endpoint={target}&channelId={number}&timeout={ring_s}&{where}"
    _ask(asterisk.direct, path, method="POST")


def _until(holds: Callable[[], bool], within_s: float = 15.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def _read_on(line: socket.socket) -> None:
    while line.recv(4096):
        pass


def _port_of(node: AsteriskNode) -> int:
    return int(node.url.rpartition(":")[2])
