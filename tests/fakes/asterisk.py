"""A real Asterisk for one test module: its own folder, ports and control socket, on loopback only."""

from __future__ import annotations

import base64
import math
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from tests.fakes.ports import free_port, take_block
from tests.fakes.relay import Relay

from tongdai.adapters.asterisk.dialplan import Instance, Listening, folders, instance_files
from tongdai.ports.sip import AsteriskNode

CHECKOUT = Path(__file__).resolve().parents[2]
FETCH = CHECKOUT / "scripts" / "asterisk" / "fetch.sh"
TREE = CHECKOUT / ".asterisk" / "tree"
USER = "tongdai"
PASSWORD = "for-tests-only"
BOOT_S = 60.0
FETCH_S = 300.0
MOST_SOCKET_PATH = 107
"""Bytes that a unix socket's address has room for, with the zero at its end."""
RTP_FIRST, RTP_LAST, RTP_BLOCK = 10_000, 32_000, 1_000
"""Below the ports that the kernel gives away by itself. A call takes two of a block's ports."""
CALLS = 800


class NoAsteriskError(Exception):
    """None can be fetched here. The message is one line."""


def fetch() -> Path:
    """The folder with Asterisk and sipp; they are fetched the first time. Raises NoAsteriskError."""
    try:
        done = subprocess.run([FETCH], capture_output=True, text=True, timeout=FETCH_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoAsteriskError(f"Asterisk cannot be fetched: {error}") from None
    if done.returncode:
        raise NoAsteriskError(done.stderr.strip().splitlines()[-1])
    return TREE


class AsteriskProcess:
    """One Asterisk below `folder`. It ends with the thread that started it, whatever ends that.

    `node` is how tongdai reaches it, through a relay that `cut` and `heal` act on; `direct` goes past that.
    """

    def __init__(self, folder: Path, rtp: tuple[int, int], relay_port: int, http: int, node_id: int) -> None:
        self.folder = folder
        self.sounds = folder / "sounds"
        """Where a client puts what is to be played, unless it gives the node another folder."""
        self.http_port = http
        self.sip_port = free_port(socket.SOCK_DGRAM, socket.SOCK_STREAM)
        self.node = AsteriskNode(
            id=node_id,
            name=f"node {node_id}",
            url=f"http://127.0.0.1:{relay_port}",
            username=USER,
            password=PASSWORD,
            sounds_path=str(self.sounds),
        )
        self.direct = replace(self.node, url=f"http://127.0.0.1:{http}")
        self._rtp = rtp
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """Its notices, warnings and errors."""
        path = self.folder / "log" / "messages"
        return path.read_text(errors="replace") if path.exists() else ""

    def configure(self) -> None:
        control = self.folder / "run" / "asterisk.ctl"
        assert len(os.fsencode(control)) < MOST_SOCKET_PATH, f"too long for a socket: {control}"
        (modules,) = TREE.glob("root/usr/lib/*-linux-gnu*/asterisk/modules")
        listening = Listening(
            username=USER, password=PASSWORD, sip_port=self.sip_port, http_port=self.http_port
        )
        instance = Instance(
            folder=self.folder,
            modules=modules,
            data=TREE / "root" / "usr" / "share" / "asterisk",
            listening=listening,
            rtp_ports=self._rtp,
        )
        for place in folders(instance):
            place.mkdir(parents=True, exist_ok=True)
        for name, text in instance_files(instance).items():
            (self.folder / "etc" / name).write_text(text)

    def start(self) -> None:
        """Returns once it is fully booted: a quarter second on a quiet machine."""
        assert self._process is None, "it runs"
        run = 'ulimit -n "$(ulimit -H -n)"; exec "$@"'
        command = ["setpriv", "--pdeathsig", "KILL", "sh", "-c", run, "sh", *self._asterisk(), "-f", "-n"]
        with (self.folder / "log" / "stdout").open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder
            )
        deadline = time.monotonic() + BOOT_S
        while not self._is_booted():
            assert self._process.poll() is None, f"Asterisk ended: {self._said()}"
            assert time.monotonic() < deadline, f"Asterisk does not boot: {self._said()}"
            time.sleep(0.01)

    def kill(self) -> None:
        """As `kill -9` does, with every call that was up. `start` brings it back on the same ports."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(timeout=20)

    def freeze(self) -> None:
        """It is there, and does nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def cli(self, command: str) -> str:
        """What Asterisk's console prints for a command."""
        done = subprocess.run(
            [*self._asterisk(), "-rx", command], capture_output=True, text=True, timeout=20, check=True
        )
        return done.stdout

    def channels(self) -> list[str]:
        """The names of the channels that are up."""
        return [
            line.split("!")[0] for line in self.cli("core show channels concise").splitlines() if "!" in line
        ]

    def _asterisk(self) -> list[str]:
        return [str(TREE / "bin" / "asterisk"), "-C", str(self.folder / "etc" / "asterisk.conf")]

    def _is_booted(self) -> bool:
        """ARI answers with 503 until everything is up."""
        request = urllib.request.Request(f"{self.direct.url}/ari/asterisk/ping")
        known = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request.add_header("Authorization", f"Basic {known}")
        try:
            with urllib.request.urlopen(request, timeout=BOOT_S):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except OSError:
            return False

    def _said(self) -> str:
        return ((self.folder / "log" / "stdout").read_text(errors="replace") + self.log)[:2_000]


class AsteriskInstance(AsteriskProcess):
    """An Asterisk and the network between it and tongdai."""

    def __init__(self, folder: Path, rtp: tuple[int, int], relay: Relay, http: int, node_id: int) -> None:
        super().__init__(folder, rtp, relay.port, http, node_id)
        self._relay = relay

    def cut(self, *, refuse: bool = False) -> None:
        """Between tongdai and the node nothing passes any more, and nothing is closed; with `refuse`
        connections are reset and refused. Calls, which go another way, are not touched."""
        self._relay.cut(refuse=refuse)

    def heal(self) -> None:
        self._relay.heal()


@contextmanager
def asterisk_instance(
    folder: Path | None = None, *, node_id: int = 1, calls: int = CALLS
) -> Iterator[AsteriskInstance]:
    """Starts one, in a temporary folder unless `folder`, a short path, is given.

    It has ports for some more than `calls` at once. Raises NoAsteriskError.
    """
    fetch()
    place = folder or Path(tempfile.mkdtemp(prefix="ast-"))
    http = free_port(socket.SOCK_STREAM)
    try:
        with _rtp_ports(calls) as rtp, Relay(http) as relay:
            instance = AsteriskInstance(place, rtp, relay, http, node_id)
            instance.configure()
            try:
                instance.start()
                yield instance
            finally:
                instance.kill()
    finally:
        if folder is None:
            shutil.rmtree(place)


@contextmanager
def _rtp_ports(calls: int) -> Iterator[tuple[int, int]]:
    """The first and last of so many ports that no other instance on this machine has.

    When too few are left it shares some: Asterisk takes the next one when the kernel says that it is taken.
    """
    blocks = math.ceil(2 * calls * 1.2 / RTP_BLOCK)
    last = RTP_LAST - blocks * RTP_BLOCK
    for first in (*range(RTP_FIRST, last + 1, RTP_BLOCK), None):
        with ExitStack() as held:
            if first is None or all(take_block(first + number * RTP_BLOCK, held) for number in range(blocks)):
                begin = last if first is None else first
                yield begin, begin + blocks * RTP_BLOCK - 1
                return
