"""The door of a far end: a UDP port that passes every SIP message on to the sipp that plays its number.

It changes no message and answers none. What passes is logged before it goes on, one JSON object a line, in
the form of the sandbox carrier's log: the witness of what a trunk was asked for, who knows nothing of ours.
Run as a process: python -m tests.fakes.sipp_relay --folder … ; it prints its port.
"""

from __future__ import annotations

import argparse
import heapq
import os
import re
import selectors
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from tests.fakes.sipp_scenarios import (
    PRESSED,
    PRESSED_AFTER_S,
    REGISTRAR,
    behaviours,
    kind_of,
    scenario,
)

from tongdai.adapters.sandbox.log import CallLog

Address = tuple[str, int]
TIMER_B_S = 32.0
"""RFC 3261, 17.1.1.2: after so long without any answer the caller gives up by itself."""
READY_S = 10.0
_CALL_ID = re.compile(rb"^(?:call-id|i)\s*:\s*([^\r\n]+)", re.IGNORECASE | re.MULTILINE)
_CSEQ = re.compile(rb"^cseq\s*:\s*(\d+)\s+([A-Z]+)", re.IGNORECASE | re.MULTILINE)
_TO_TAG = re.compile(rb"^(?:to|t)\s*:[^\r\n]*;\s*tag=", re.IGNORECASE | re.MULTILINE)
_FROM = re.compile(rb"^(?:from|f)\s*:[^\r\n]*?sips?:([^@>;\r\n]*)", re.IGNORECASE | re.MULTILINE)
_USER = re.compile(rb"^[A-Z]+ sips?:([^@;> ]*)")
_MEDIA = re.compile(rb"^c=IN IP4 (\S+)[\s\S]*?^m=audio (\d+)", re.MULTILINE)
_EVENTS = {**{str(digit): digit for digit in range(10)}, "*": 10, "#": 11}


class Player:
    """The sipp that plays a kind of number. What comes before it listens waits for it, once."""

    def __init__(
        self, kind: str, place: Path, process: subprocess.Popen[bytes], send: Callable[[bytes], object]
    ):
        self.kind = kind
        self._place = place
        self._process = process
        self._send = send
        self._waits: list[bytes] | None = []
        self._deadline = time.monotonic() + READY_S

    def take(self, data: bytes) -> None:
        if self._waits is None:
            self._send(data)
        elif data not in self._waits:
            self._waits.append(data)

    def is_ready(self, ports: str, port: int) -> bool:
        if f":{port:04X} 00000000:0000" not in ports:
            if self._process.poll() is not None or time.monotonic() > self._deadline:
                said = (self._place / "screen").read_text(errors="replace")
                raise RuntimeError(f"sipp {self.kind}: {said[-1_000:]}")
            return False
        waited, self._waits = self._waits or [], None
        for data in waited:
            self._send(data)
        return True


@dataclass
class Call:
    leg: int
    number: str
    caller: str
    near: Address
    """Who called."""
    player: Player
    sound_at: Address | None
    said: set[str] = field(default_factory=set)
    """Events that are in the log."""


class Door:
    def __init__(self, folder: Path, host: str, sipp: Path, trunk: int, ear: int) -> None:
        self._folder = folder
        self._host = host
        self._sipp = sipp
        self._trunk = trunk
        self._log = CallLog(folder / "far-end.log")
        self._front, self._back = _udp(host), _udp(host)
        self._ear = _udp(host)
        self.port: int = self._front.getsockname()[1]
        self._ear_port: int = ear or self._ear.getsockname()[1]
        self._players: dict[str, Player] = {}
        self._starting: dict[str, int] = {}
        self._calls: dict[bytes, Call] = {}
        self._numbers = count(1)
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()
        self._timestamp = count(1)

    def prepare(self, kinds: list[str]) -> None:
        """Returns once their sipps listen."""
        for kind in kinds:
            self._player(kind)
        while self._starting:
            time.sleep(0.002)
            self._look_for_the_ready()

    def serve(self) -> None:
        self._log.write("BOOT")
        ready = selectors.DefaultSelector()
        ready.register(self._front, selectors.EVENT_READ, self._from_caller)
        ready.register(self._back, selectors.EVENT_READ, self._from_player)
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            if self._starting:
                wait = 0.005
            for key, _ in ready.select(wait):
                self._drain(key.fileobj, key.data)
            self._look_for_the_ready()
            while self._due and self._due[0][0] <= time.monotonic():
                heapq.heappop(self._due)[2]()

    def _drain(self, door: object, take: Callable[[bytes, Address], None]) -> None:
        assert isinstance(door, socket.socket)
        for _ in range(64):
            try:
                data, address = door.recvfrom(65_535)
            except BlockingIOError:
                return
            take(data, address)

    # ------------------------------------------------------------------ messages

    def _from_caller(self, data: bytes, address: Address) -> None:
        found = _CALL_ID.search(data)
        if found is None:
            return
        call = self._calls.get(found[1])
        if call is None:
            call = self._begin(found[1], data, address)
            if call is None:
                return
        elif data.startswith(b"CANCEL "):
            self._once(call, "CANCEL", by="caller", ends=True)
        elif data.startswith(b"BYE "):
            self._once(call, "BYE", by="caller", ends=True)
        call.near = address
        call.player.take(data)

    def _begin(self, call_id: bytes, data: bytes, address: Address) -> Call | None:
        user = _USER.match(data)
        if data.startswith(b"REGISTER "):
            self._calls[call_id] = Call(0, "", "", address, self._player(REGISTRAR), None)
            return self._calls[call_id]
        if not data.startswith(b"INVITE ") or user is None or _TO_TAG.search(data):
            return None
        number, caller, media = user[1].decode(), _FROM.search(data), _MEDIA.search(data)
        call = Call(
            next(self._numbers),
            number,
            caller[1].decode() if caller else "",
            address,
            self._player(kind_of(number)),
            (media[1].decode(), int(media[2])) if media else None,
        )
        self._once(call, "INVITE")
        self._after(TIMER_B_S, lambda: self._give_up(call))
        self._calls[call_id] = call
        return call

    def _give_up(self, call: Call) -> None:
        if call.said == {"INVITE"}:
            self._once(call, "REJECT", ends=True)

    def _from_player(self, data: bytes, address: Address) -> None:
        found, cseq = _CALL_ID.search(data), _CSEQ.search(data)
        call = self._calls.get(found[1]) if found else None
        if call is None or cseq is None:
            return
        if data.startswith(b"BYE "):
            self._once(call, "BYE", by="callee", ends=True)
        elif data.startswith(b"SIP/2.0 ") and cseq[2] == b"INVITE" and call.leg:
            self._answered(call, int(data[8:11]))
        self._front.sendto(data, call.near)

    def _answered(self, call: Call, status: int) -> None:
        if status == 180:
            self._once(call, "RINGING")
        elif status == 183:
            self._once(call, "EARLY")
        elif status == 200:
            if self._once(call, "ANSWER") and call.number[-3:] in PRESSED:
                self._after(PRESSED_AFTER_S, lambda: self._press(call, PRESSED[call.number[-3:]]))
        elif status >= 300 and status not in (401, 407):
            self._once(call, "REJECT", cause=str(status), by="callee", ends=True)

    def _once(self, call: Call, event: str, *, cause: str = "", by: str = "", ends: bool = False) -> bool:
        if event in call.said or (ends and call.said & {"CANCEL", "BYE", "REJECT"}):
            return False
        call.said.add(event)
        self._log.write(
            event, leg=call.leg, trunk=self._trunk, number=call.number, caller=call.caller, cause=cause, by=by
        )
        return True

    # ------------------------------------------------------------------ keys

    def _press(self, call: Call, digit: str) -> None:
        """RFC 4733: a packet every 20 ms while the key is down, 160 ms, and the last three times."""
        if call.sound_at is None or call.said & {"CANCEL", "BYE", "REJECT"}:
            return
        self._log.write("DIGIT", leg=call.leg, trunk=self._trunk, number=call.number, digit=digit)
        stamp, source = next(self._timestamp) * 16_000, 0x7D000000 + call.leg
        for step in range(1, 11):
            ends = 0x80 if step >= 8 else 0
            event = struct.pack("!BBH", _EVENTS[digit], ends | 10, 160 * min(step, 8))
            marker = 0x80 if step == 1 else 0
            packet = struct.pack("!BBHII", 0x80, marker | 101, step, stamp, source) + event
            self._after(0.02 * min(step, 8), partial(self._ear.sendto, packet, call.sound_at))

    def _after(self, seconds: float, do: Callable[[], object]) -> None:
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), do))

    # ------------------------------------------------------------------ sipp

    def _player(self, kind: str) -> Player:
        """The sipp for a kind of number, which is started with the first call to one."""
        if kind not in self._players:
            self._players[kind] = self._start(kind)
        return self._players[kind]

    def _start(self, kind: str) -> Player:
        with _udp(self._host) as probe:
            port: int = probe.getsockname()[1]
        place = self._folder / kind
        place.mkdir()
        (place / "scenario.xml").write_text(scenario(kind).replace("[sounds]", str(self._folder / "sounds")))
        options = f"-i {self._host} -mi {self._host} -ci {self._host} -p {port} -nostdin -trace_err"
        options += f" -key relay {self.port} -key ear {self._ear_port} -default_behaviors {behaviours(kind)}"
        options += f" -min_rtp_port {40_000 + port % 19_000} -max_rtp_port 60900"
        command = ["setpriv", "--pdeathsig", "KILL", str(self._sipp), "-sf", "scenario.xml", *options.split()]
        with (place / "screen").open("wb") as screen:
            process = subprocess.Popen(
                command, cwd=place, stdin=subprocess.DEVNULL, stdout=screen, stderr=subprocess.STDOUT
            )
        self._starting[kind] = port
        address = (self._host, port)
        return Player(kind, place, process, lambda data: self._back.sendto(data, address))

    def _look_for_the_ready(self) -> None:
        if self._starting:
            ports = Path("/proc/net/udp").read_text()
            for kind, port in list(self._starting.items()):
                if self._players[kind].is_ready(ports, port):
                    del self._starting[kind]


def _udp(host: str) -> socket.socket:
    door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 2**20)
    door.bind((host, 0))
    door.setblocking(False)
    return door


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--sipp", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--trunk", type=int, default=0)
    parser.add_argument("--ear", type=int, default=0, help="where sound is to go; 0: nobody reads it")
    parser.add_argument("--kinds", nargs="*", default=[], help="scenarios that are started at once")
    told = parser.parse_args()
    door = Door(told.folder, told.host, told.sipp, told.trunk, told.ear)
    door.prepare(told.kinds)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(f"far end: {door.port}", flush=True)
    door.serve()


if __name__ == "__main__":
    main()
