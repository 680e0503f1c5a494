"""Ports for what tests start: each process has a block of them for itself, below those of the kernel."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

PORT_FIRST, PORT_LAST, PORT_BLOCK = 2_000, 10_000, 100


def free_port(*kinds: socket.SocketKind) -> int:
    """One that is free for each of `kinds` on loopback, and that no other process of tests is given.

    Whoever is told of it binds it some time later. A port that the kernel gave away by itself would be given
    to others meanwhile, for a connection for instance.
    """
    for port in _own_ports():
        with ExitStack() as held:
            for kind in kinds:
                probe = held.enter_context(socket.socket(socket.AF_INET, kind))
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    break
            else:
                return port
    raise AssertionError("no port is free")


_own: deque[int] = deque()
"""Ports of this process alone, the one that was given away last at the end."""
_locks: list[ExitStack] = []
"""What says so to other processes until this one ends."""


def _own_ports() -> Iterator[int]:
    """Each of them once, beginning with the one that was given away longest ago."""
    if not _own:
        _own.extend(_take_any_block())
    for _ in range(PORT_BLOCK):
        _own.rotate(-1)
        yield _own[-1]


def _take_any_block() -> range:
    for first in range(PORT_FIRST, PORT_LAST, PORT_BLOCK):
        lock = ExitStack()
        if take_block(first, lock):
            _locks.append(lock)
            return range(first, first + PORT_BLOCK)
        lock.close()
    raise AssertionError("too many processes of tests")


def take_block(first: int, held: ExitStack) -> bool:
    """Takes a block for as long as `held` lasts, if nobody has it."""
    path = Path(tempfile.gettempdir()) / f"tongdai-ports-{os.geteuid()}-{first}"
    lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    held.callback(os.close, lock)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
