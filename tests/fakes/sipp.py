"""A far end that is not ours: sipp, which does for each dialled number what its last three digits say.

tests/fakes/sipp_scenarios.py lists the numbers. The log is written by what every message passes through.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.fakes.asterisk import CHECKOUT, TREE
from tests.fakes.sipp_scenarios import PASSWORD, USERNAME
from tests.fakes.sound import save_alaw, silence, tone

from tongdai.adapters.sandbox.log import Line, busiest_second, most_channels, read_log
from tongdai.ports.sip import SipTrunk


class SippPhone:
    """`with SippPhone() as far_end`: a trunk goes to `far_end.host` and `.port`; `lines()` reads its log.

    In the log a leg is a call as the far end counts them, from 1; `number` is what was dialled. Events are
    INVITE, RINGING, EARLY (sound before the answer), ANSWER, DIGIT, and at the end one of CANCEL, BYE and
    REJECT, whose cause is the SIP status (none: nothing was ever said). What is sent again counts once.

    `host` may be any address of 127.0.0.0/8, so that trunks are told apart by their addresses. `kinds` are
    the scenarios that are started at once; others are with the first call to such a number, 30 ms later.
    `ear` is a port that sound is to be sent to; by default nobody listens.
    """

    def __init__(
        self, *, host: str = "127.0.0.1", trunk: int = 1, kinds: tuple[str, ...] = (), ear: int = 0
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sipp-"))
        self.host = host
        self.port = 0
        self._trunk = trunk
        self._options = ["--ear", str(ear), "--kinds", *kinds]
        self._process: subprocess.Popen[str] | None = None
        self._last: list[Line] | None = None

    def sip_trunk(self, trunk_id: int, *, revision: int = 1, digest: bool = False) -> SipTrunk:
        """The far end as a trunk's settings; with `digest` those that 019 and the registrar ask for."""
        return SipTrunk(
            trunk_id=trunk_id,
            revision=revision,
            host=self.host,
            port=self.port,
            username=USERNAME if digest else "",
            password=PASSWORD if digest else "",
        )

    def start(self) -> None:
        """Returns once it listens."""
        sounds = self.folder / "sounds"
        sounds.mkdir(exist_ok=True)
        save_alaw(sounds / "hello.alaw", [silence(0.4), tone(300, 0.5), silence(4.0)])
        save_alaw(sounds / "ringback.alaw", [tone(425, 1.0), silence(4.0)])
        talks = [part for _ in range(12) for part in (tone(300, 0.5), silence(0.1))]
        save_alaw(
            sounds / "machine.alaw", [silence(0.2), *talks, silence(1.0), tone(1_000, 0.4), silence(3.0)]
        )
        command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "tests.fakes.sipp_relay"]
        command += ["--folder", str(self.folder), "--sipp", str(TREE / "bin" / "sipp"), "--host", self.host]
        command += ["--trunk", str(self._trunk), *self._options]
        self._process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        assert ready.startswith("far end: "), f"the far end did not start: {ready!r}"
        self.port = int(ready.removeprefix("far end: "))

    def freeze(self) -> None:
        """It is there, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def lines(self) -> list[Line]:
        """What it saw until now, or until it was stopped."""
        return read_log(self.folder / "far-end.log") if self._last is None else self._last

    def events_of(self, number: str) -> list[str]:
        """What the log says of the calls to a number, in order."""
        return [line.event for line in self.lines() if line.number == number]

    def most_channels(self) -> int:
        """The most calls that were up at one moment, from INVITE to the end."""
        return most_channels(self.lines()).get(self._trunk, 0)

    def most_in_any_second(self) -> int:
        """The most INVITEs in any second, wherever it begins."""
        return busiest_second(self.lines()).get(self._trunk, 0)

    def invited_more_than_once(self) -> dict[str, int]:
        """Numbers that were called more than once, with how often."""
        times = Counter(line.number for line in self.lines() if line.event == "INVITE")
        return {number: often for number, often in times.items() if often > 1}

    def complaints(self) -> str:
        """What sipp wrote of messages that it did not expect, for whoever looks into a failure."""
        return "".join(path.read_text(errors="replace") for path in self.folder.glob("*/*errors.log"))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(timeout=20)
            assert process.stdout is not None
            process.stdout.close()
        self._last = self.lines()
        shutil.rmtree(self.folder)
