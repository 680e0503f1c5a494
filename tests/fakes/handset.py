"""A telephone that is not ours: a process with the SIP stack pjsua2.

It rings, answers or refuses, hears into a wav file, presses keys by RFC 4733 and by SIP INFO, speaks a wav
file, hangs up, and calls by itself. The stack is GPL: only that process imports it. It takes four calls at
once and refuses a fifth as busy.
"""

from __future__ import annotations

import importlib.util
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import anyio
import msgspec
import pytest
from tests.fakes.asterisk import CHECKOUT
from tests.fakes.ports import free_port
from tests.fakes.sound import Samples, load_wav

WAIT_S = 20.0
How = Literal["rfc4733", "info"]


class Press(msgspec.Struct, frozen=True):
    """Keys, so many seconds after the answer, one after the other."""

    after_s: float
    digits: str
    how: How = "rfc4733"
    duration_ms: int = 160


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the telephone does with a call."""

    status: int = 200
    """What it says in the end: 200 answers, 486 is busy, 603 declines."""
    ring_s: float = 0.1
    early: bool = False
    """183 with sound instead of 180."""
    rings: bool = True
    """False: not a word before `status`."""
    speaks: str = ""
    """A wav file of 8,000 samples a second, from the answer on."""
    speaks_after_s: float = 0.0
    presses: tuple[Press, ...] = ()
    hangs_up_after_s: float | None = None
    """Seconds after the answer; None: never."""


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """What the telephone told. `at` is the machine's monotonic seconds.

    Events: incoming · ringing · sound (from here on it is heard) · answered · pressed · speaks · digit (a key
    of the other side) · ended (with the SIP status) · put_away (what was heard is in `file`) · wrong.
    """

    event: str
    call: int
    at: float
    number: str = ""
    caller: str = ""
    digit: str = ""
    digits: str = ""
    status: int = 0
    reason: str = ""
    file: str = ""
    text: str = ""


class Handset:
    """`with Handset() as phone:` calls to `sip:<anything>@{phone.host}:{phone.port}` ring it."""

    def __init__(self, *, host: str = "127.0.0.1") -> None:
        if importlib.util.find_spec("pjsua2") is None:
            pytest.skip("there is no pjsua2 for this Python and machine: no telephone to call")
        self.folder = Path(tempfile.mkdtemp(prefix="phone-"))
        self.host = host
        self.port = free_port(socket.SOCK_DGRAM)
        self.happened: list[Happening] = []
        self._rest = b""
        self._line, self._theirs = socket.socketpair()
        self._process: subprocess.Popen[bytes] | None = None
        self._placed = 1_000

    # ------------------------------------------------------------------ told

    def does(self, plan: Plan, *, ends: str = "") -> None:
        """What it does with calls to numbers that end so; "": with all others. At first it answers."""
        known = len(self.seen("planned"))
        self._tell(do="plan", ends=ends, plan=plan)
        self.wait("planned", times=known + 1)

    def call(self, to: str, *, caller: str, plan: Plan | None = None) -> int:
        """Calls a SIP address and returns the call's number. `plan` counts from the answer."""
        self._placed += 1
        self._tell(do="call", call=self._placed, to=to, caller=caller, plan=plan or Plan())
        return self._placed

    def answer(self, call: int, *, status: int = 200) -> None:
        self._tell(do="answer", call=call, status=status)

    def press(self, call: int, digits: str, *, how: How = "rfc4733", duration_ms: int = 160) -> None:
        self._tell(do="press", call=call, digits=digits, how=how, duration_ms=duration_ms)

    def speak(self, call: int, file: Path) -> None:
        self._tell(do="speak", call=call, file=str(file))

    def hang_up(self, call: int) -> None:
        self._tell(do="hang_up", call=call)

    # ------------------------------------------------------------------ seen

    def seen(self, event: str, *, call: int | None = None) -> list[Happening]:
        """What has happened so far."""
        self._listen(0.0)
        return [one for one in self.happened if one.event == event and call in (None, one.call)]

    def wait(self, event: str, *, call: int | None = None, times: int = 1) -> Happening:
        """Waits for the `times`-th such event. Not for use on an event loop: see `until`."""
        return self._wait(lambda: self.seen(event, call=call), times, event)

    async def until(self, event: str, *, call: int | None = None, times: int = 1) -> Happening:
        with anyio.fail_after(WAIT_S):
            while len(found := self.seen(event, call=call)) < times:  # noqa: ASYNC110 - another process tells
                await anyio.sleep(0.01)
        return found[times - 1]

    def heard(self, call: int) -> Samples:
        """All that was heard on a call that is over, from the event `sound` on."""
        return load_wav(Path(self.wait("put_away", call=call).file))

    def _wait(self, look: Callable[[], list[Happening]], times: int, event: str) -> Happening:
        deadline = time.monotonic() + WAIT_S
        while len(found := look()) < times:
            assert time.monotonic() < deadline, f"no {event} of the telephone: {self.happened}"
            self._listen(0.05)
        return found[times - 1]

    def _listen(self, wait_s: float) -> None:
        while select.select([self._line], [], [], wait_s)[0]:
            data = self._line.recv(65_536)
            assert data, (
                f"the telephone ended: {(self.folder / 'output').read_text(errors='replace')[-2_000:]}"
            )
            *lines, self._rest = (self._rest + data).split(b"\n")
            self.happened += [msgspec.json.decode(line, type=Happening) for line in lines]
            wait_s = 0.0

    def _tell(self, **order: object) -> None:
        self._line.sendall(msgspec.json.encode(order) + b"\n")

    # ------------------------------------------------------------------ its process

    def start(self) -> None:
        """Returns once it can be called: a quarter second."""
        rtp = free_port(socket.SOCK_DGRAM) // 2 * 2
        arguments = [str(self._theirs.fileno()), str(self.folder), self.host, str(self.port), str(rtp)]
        command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "tests.fakes.handset_process"]
        with (self.folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [*command, *arguments],
                cwd=CHECKOUT,
                pass_fds=(self._theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._theirs.close()
        self.wait("ready")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=20)
        shutil.rmtree(self.folder)
