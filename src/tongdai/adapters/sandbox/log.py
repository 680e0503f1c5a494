"""The carrier's log: what it was asked and what it did, one JSON object a line, appended before acting.

It is the witness in tests and benchmarks of crashes, caps and double ringing, and outlives every process.
Each line is one `write` on a descriptor opened for appending, so a carrier killed at any moment leaves whole
lines, and several carriers may share a file. Only a disk that fills up cuts a line off; it is not read.
"""

from __future__ import annotations

import errno
import os
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

import msgspec

ENDS = frozenset({"CANCEL", "BYE", "REJECT"})


class Line(msgspec.Struct, omit_defaults=True, gc=False):
    """One line. `ts` is epoch seconds, `mono` the machine's monotonic seconds.

    Events: BOOT · INVITE · RINGING · ANSWER · DIGIT · CODE (a prompt with a secret code begins) · TRANSFER ·
    CANCEL (given up before the answer) · BYE (ended after it) · REJECT (refused by the far end) · REFUSE
    (a request that we did not dial) · INCOMING (somebody calls us: no leg yet) · ACCEPT (it is a leg from now
    on). CANCEL, BYE and REJECT end a leg. Of a call that came in `number` is who calls, `caller` who is
    called.
    """

    ts: float
    mono: float
    event: str
    leg: int = 0
    trunk: int = 0
    number: str = ""
    caller: str = ""
    cause: str = ""
    by: str = ""
    """Who ended it: caller, callee, limit, network."""
    digit: str = ""


def _give_up(error: OSError) -> NoReturn:
    raise error


class CallLog:
    """Appends lines to a file.

    When the disk refuses a line or a part of it, `refused` is called with the error and must not return; by
    default it raises the OSError. The carrier's ends the process: it must not do what nobody can witness.
    """

    def __init__(self, path: Path, refused: Callable[[OSError], NoReturn] = _give_up) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._refused = refused
        self._end_cut_line()
        self._encode = msgspec.json.Encoder().encode_into
        self._buffer = bytearray(512)

    def write(
        self,
        event: str,
        leg: int = 0,
        trunk: int = 0,
        number: str = "",
        caller: str = "",
        cause: str = "",
        by: str = "",
        digit: str = "",
    ) -> None:
        line = Line(time.time(), time.monotonic(), event, leg, trunk, number, caller, cause, by, digit)
        self._encode(line, self._buffer)
        self._buffer += b"\n"
        self._append(self._buffer)

    def close(self) -> None:
        os.close(self._fd)

    def _append(self, data: bytes | bytearray) -> None:
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            self._refused(error)
        if written < len(data):
            self._refused(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def _end_cut_line(self) -> None:
        """So that what a full disk cut off does not spoil the next line."""
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            self._append(b"\n")


# ------------------------------------------------------------------ reading

_decode = msgspec.json.Decoder(Line).decode


def read_log(path: Path) -> list[Line]:
    """All whole lines, in the order of writing. A file that does not exist yet has none."""
    if not path.exists():
        return []
    return [_decode(line) for line in path.read_bytes().splitlines() if line.endswith(b"}")]


def times_invited(lines: Iterable[Line]) -> Counter[int]:
    """How often each leg was dialled."""
    return Counter(line.leg for line in lines if line.event == "INVITE")


def invited_more_than_once(lines: Iterable[Line]) -> dict[int, int]:
    """Legs that were dialled more than once, with how often. Empty is what everybody wants."""
    return {leg: times for leg, times in times_invited(lines).items() if times > 1}


def busiest_second(lines: Iterable[Line]) -> dict[int, int]:
    """Per trunk, the most INVITEs in any second, wherever it begins.

    Two that are a second apart or more are not in the same one.
    """
    times: dict[int, list[float]] = defaultdict(list)
    for line in lines:
        if line.event == "INVITE":
            times[line.trunk].append(line.mono)
    return {trunk: _most_within_a_second(sorted(moments)) for trunk, moments in times.items()}


def _most_within_a_second(moments: list[float]) -> int:
    return max(index + 1 - bisect_right(moments, moment - 1.0) for index, moment in enumerate(moments))


def most_channels(lines: Iterable[Line]) -> dict[int, int]:
    """Per trunk, the most legs that were up at one moment, from INVITE or ACCEPT to the end. A BOOT drops
    them all."""
    up: dict[int, int] = {}
    now: Counter[int] = Counter()
    most: dict[int, int] = {}
    for line in lines:
        if line.event == "BOOT":
            up.clear()
            now.clear()
        elif line.event in ("INVITE", "ACCEPT"):
            up[line.leg] = line.trunk
            now[line.trunk] += 1
            most[line.trunk] = max(most.get(line.trunk, 0), now[line.trunk])
        elif line.event in ENDS and line.leg in up:
            now[up.pop(line.leg)] -= 1
    return most


def mean_channels(lines: Iterable[Line], since: float, until: float) -> dict[int, float]:
    """Per trunk, the channels in use on average between two moments of `mono`."""
    begun: dict[int, Line] = {}
    used: dict[int, float] = defaultdict(float)
    for line in lines:
        if line.event == "INVITE":
            begun[line.leg] = line
        elif line.event in ENDS and line.leg in begun:
            invite = begun.pop(line.leg)
            used[invite.trunk] += max(0.0, min(line.mono, until) - max(invite.mono, since))
    for invite in begun.values():
        used[invite.trunk] += max(0.0, until - max(invite.mono, since))
    return {trunk: seconds / (until - since) for trunk, seconds in used.items()}
