"""The sandbox carrier's process: `python -m tongdai.adapters.sandbox.carrier --listen … --log …`.

It outlives its clients and is not their child: what it was asked is in its log, whoever dies.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import uvloop

from tongdai.adapters.sandbox.exchange import Exchange
from tongdai.adapters.sandbox.leg import Leg
from tongdai.adapters.sandbox.log import CallLog
from tongdai.adapters.sandbox.pace import pace_for
from tongdai.adapters.sandbox.protocol import (
    MAX_UNSENT,
    PROTOCOL_VERSION,
    Accept,
    Ack,
    Address,
    Adopt,
    Dial,
    Do,
    FromClient,
    Hear,
    Hello,
    Place,
    Refuse,
    Welcome,
    Wire,
    encode,
    parse_address,
)

logger = logging.getLogger(__name__)

SWEEP_S = 0.25

NO_WITNESS = 74
"""The exit code when the log cannot be written: EX_IOERR of sysexits.h."""


class Client(Wire):
    """One client's connection, on the carrier's side."""

    def __init__(
        self, exchange: Exchange, clients: set[Client], speed: float, *, max_unsent: int = MAX_UNSENT
    ) -> None:
        super().__init__(FromClient, max_unsent=max_unsent)
        self._exchange = exchange
        self._clients = clients
        self._speed = speed
        self.sent = 0
        self.acked = 0
        self.waiting: deque[tuple[int, float, Leg]] = deque()
        clients.add(self)

    def received(self, messages: list[Any]) -> None:
        exchange = self._exchange
        for message in messages:
            match message:
                case Do():
                    exchange.do(self, message)
                case Dial():
                    exchange.dial(self, message)
                case Ack():
                    exchange.ack(self, message.count)
                case Adopt():
                    exchange.adopt(self, message)
                case Place() | Accept() | Refuse() | Hear():
                    exchange.incoming(self, message)
                case Hello():
                    self._greet(message)

    def lost(self) -> None:
        self._clients.discard(self)
        self._exchange.gone(self)

    def _greet(self, hello: Hello) -> None:
        self.send(encode(Welcome(PROTOCOL_VERSION, self._exchange.booted_at, self._speed)))
        if hello.version != PROTOCOL_VERSION:
            self.close()


async def serve(listen: str, log_path: Path | str, speed: float = 1.0, seed: int = 0) -> None:
    """Serve until cancelled.

    `listen`: a unix socket's path or a loopback host:port (port 0: any; it is printed). `speed`: carrier
    seconds per real second; from `pace.FULL_SPEED` on the clock does not wait at all. Raises ValueError for
    what cannot be listened on, OSError when another carrier is there or the log cannot be opened. Ends the
    process with `NO_WITNESS` when the log cannot be written.
    """
    loop = asyncio.get_running_loop()
    address = parse_address(listen)
    pace = pace_for(speed, loop)
    log = CallLog(Path(log_path), _stop_without_witness)
    clients: set[Client] = set()
    try:
        listener = _bind(address)
        exchange = Exchange(log, pace, seed=seed, speed=speed)
        server = await loop.create_server(lambda: Client(exchange, clients, speed), sock=listener)
        print(f"sandbox carrier: {_bound(address, listener)}", flush=True)
        try:
            while True:
                await asyncio.sleep(SWEEP_S)
                pace.sweep(tuple(clients))
                exchange.sweep()
        finally:
            server.close()
            if address.path:
                address.path.unlink(missing_ok=True)
    finally:
        log.close()


def _stop_without_witness(error: OSError) -> NoReturn:
    """At once, because an exception would end one connection or one timer, and the carrier would go on."""
    try:
        print(f"tongdai-sandbox-carrier: the log cannot be written: {error}", file=sys.stderr, flush=True)
    finally:  # also when standard error is on the same full disk
        os._exit(NO_WITNESS)


def _bind(address: Address) -> socket.socket:
    """A listening socket. A unix socket's file that nobody answers on is a dead carrier's, and replaced."""
    if address.path is None:
        return socket.create_server((address.host, address.port), backlog=1024)
    with address.socket_path() as path:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
            except (ConnectionRefusedError, FileNotFoundError):
                address.path.unlink(missing_ok=True)
            else:
                raise OSError(f"a sandbox carrier is listening on {address} already")
        listener = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(before)
    listener.listen(1024)
    return listener


def _bound(address: Address, listener: socket.socket) -> str:
    return str(address) if address.path else f"{address.host}:{listener.getsockname()[1]}"


def run_carrier(listen: str, log_path: Path | str, speed: float = 1.0, seed: int = 0) -> None:
    """Serve until SIGTERM or SIGINT. See `serve`."""
    # Legs form no cycles, so collections find nothing; a rare one keeps the promise honest.
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)

    async def until_told() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(serve(listen, log_path, speed, seed))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        with suppress(asyncio.CancelledError):
            await task

    uvloop.run(until_told())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="tongdai-sandbox-carrier", description="A simulated carrier.")
    parser.add_argument("--listen", required=True, help="unix socket path, or loopback host:port")
    parser.add_argument("--log", required=True, type=Path, help="file to append the call log to")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="carrier seconds per second; from 1000: no wait"
    )
    parser.add_argument("--seed", type=int, default=0, help="whose evening it is")
    given = parser.parse_args(arguments)
    try:
        run_carrier(given.listen, given.log, given.speed, given.seed)
    except (OSError, ValueError) as error:
        parser.exit(1, f"tongdai-sandbox-carrier: {error}\n")


if __name__ == "__main__":
    main()
