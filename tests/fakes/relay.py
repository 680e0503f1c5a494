"""A loopback TCP relay before a server, with which a test cuts the network between the two and heals it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, cast

WAIT_S = 10.0


class _End(asyncio.Protocol):
    """One end of a connection that passes through; `other` is its other end, once there is one."""

    def __init__(self, relay: Relay, other: _End | None = None) -> None:
        self._relay = relay
        self.other = other
        self.transport: asyncio.Transport | None = None
        self.is_reaching = False
        self._choked = False
        self._early = b""
        """What came before there was another end: early releases of Python 3.11 read though told not to."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self._relay.is_refusing:
            _reset(self.transport)
            return
        self._relay.ends.add(self)
        if self.other is None:
            self.transport.pause_reading()
            if not self._relay.is_cut:
                self._relay.reach_out(self)
        else:
            self.other.other = self
            self.transport.write(self.other.early())
            self.flow()
            self.other.flow()

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)
        else:
            self._early += data

    def early(self) -> bytes:
        early, self._early = self._early, b""
        return early

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.choke(True)

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.choke(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay.ends.discard(self)
        if self.other is not None and self.other.transport is not None:
            if exc is None and not self._relay.is_refusing:
                self.other.transport.close()
            else:
                _reset(self.other.transport)

    def choke(self, choked: bool) -> None:
        self._choked = choked
        self.flow()

    def flow(self) -> None:
        """Read, or leave what comes in the kernel, so that it is lost when its sender gives up."""
        if self.transport is None or self.transport.is_closing():
            return
        if self._choked or self._relay.is_cut or self.other is None:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()


class Relay:
    """`with Relay(port) as relay`: what connects to `relay.port` reaches `port` of this machine."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = 0
        self.is_cut = False
        self.is_refusing = False
        self.ends: set[_End] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listener: socket.socket | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)

    def cut(self, *, refuse: bool = False) -> None:
        """Nothing passes any more and nothing is closed, as when a cable is pulled; what is sent meanwhile
        arrives when it is healed, unless its sender has given up. New connections seem to be accepted.

        With `refuse` every connection is reset and new ones are refused, as when nobody listens.
        """
        self._call(self._cut(refuse))

    def heal(self) -> None:
        self._call(self._heal())

    def reach_out(self, near: _End) -> None:
        if near.is_reaching:
            return
        near.is_reaching = True
        self._keep(self._reach_out(near))

    async def _reach_out(self, near: _End) -> None:
        try:
            await self._loop.create_connection(lambda: _End(self, near), "127.0.0.1", self._target)
        except OSError:
            if near.transport is not None:
                _reset(near.transport)

    async def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._loop.add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            connection, _ = listener.accept()
            connection.setblocking(False)
            self._keep(self._loop.connect_accepted_socket(lambda: _End(self), connection))

    def _keep(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cut(self, refuse: bool) -> None:
        self.is_cut = True
        if refuse:
            await self._shut()
        for end in list(self.ends):
            end.flow()

    async def _heal(self) -> None:
        self.is_cut = self.is_refusing = False
        if self._listener is None:
            await self._listen()
        for end in list(self.ends):
            if end.other is None:
                self.reach_out(end)
            else:
                end.flow()

    async def _shut(self) -> None:
        self.is_refusing = True
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        if self._tasks:
            await asyncio.wait(self._tasks)
        for end in list(self.ends):
            if end.transport is not None:
                _reset(end.transport)
        for _ in range(2):  # connection_lost comes with the next turn of the loop
            await asyncio.sleep(0)

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()


def _reset(transport: asyncio.Transport) -> None:
    """Ends it with a reset, as a machine does that knows of no such connection."""
    peer = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    transport.abort()
