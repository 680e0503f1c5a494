"""The emulator on the network: all of Zalo's hosts on one address, and the control surface beside them."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import web

from tongdai.adapters.zaloemulator import business, control, examples, oauth, openapi, permission
from tongdai.adapters.zaloemulator.core import Core, Handler
from tongdai.adapters.zaloemulator.exchange import Answer, Ask, encode
from tongdai.adapters.zaloemulator.faults import Fault, spoil
from tongdai.adapters.zaloemulator.fixtures import FixtureError, Fixtures
from tongdai.adapters.zaloemulator.fixtures import decode as decode_fixtures
from tongdai.adapters.zaloemulator.sender import Sender
from tongdai.kit.errors import TongdaiError

logger = logging.getLogger(__name__)

MOST_BYTES: Final = 1024 * 1024
LONGEST_PATH: Final = 200
LONGEST_HANG_S: Final = 600.0
GONE_EVERY_S: Final = 0.05
SHUTDOWN_S: Final = 0.5

ROUTES: Final[Mapping[tuple[str, str], Handler]] = {
    ("GET", permission.PERMISSION_PATH): permission.show,
    ("POST", permission.PERMISSION_PATH): permission.decide,
    ("GET", permission.ERROR_PATH): permission.error_page,
    ("POST", "/v4/oa/access_token"): oauth.access_token,
    ("GET", "/v2.0/oa/getoa"): openapi.getoa,
    **business.ROUTES,
}


class AddressError(TongdaiError):
    """The emulator cannot listen at this address."""


@dataclass(frozen=True, slots=True)
class Options:
    """Where an emulator listens, and what it starts from."""

    data: Path | str = ":memory:"
    host: str = "127.0.0.1"
    port: int = 0
    """0: a free one."""
    fixtures: Fixtures | None = None
    """Merged into what there is. None, and nothing there: an example."""
    settings: dict[str, object] = field(default_factory=dict)


class Emulator:
    """One that runs. `url` is Zalo's address, for all of its hosts."""

    def __init__(self, options: Options) -> None:
        """Within a running loop. Raises StoreError, FixtureError."""
        self._options = options
        self.core = Core(options.data)
        try:
            _load(self.core, options)
        except FixtureError:
            self.core.store.abandon()
            raise
        self.sender = Sender(self.core)
        self._stopping = asyncio.Event()
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=SHUTDOWN_S)
        self.url = ""

    async def start(self) -> None:
        """Raises AddressError."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._options.host, self._options.port, backlog=1024)
        try:
            await site.start()
        except OSError as error:
            raise AddressError(f"{self._options.host}:{self._options.port}: {error.strerror}") from None
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        await self.sender.start()

    async def stop(self) -> None:
        self._stopping.set()
        await self.sender.stop()
        await self._runner.cleanup()
        self.core.store.close()

    # ------------------------------------------------------------ one request

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if (request.content_length or 0) > MOST_BYTES:
            return web.Response(status=413)
        body = await request.read()
        ask = Ask(request.method, request.path[:LONGEST_PATH], request.query, request.headers, body)
        if ask.path.startswith("/emulator/"):
            return _response(await control.answer(self.core, self.sender, ask))
        fault = self.core.faults.take(ask.path, lambda: self._app_of(ask))
        answer = handle(self.core, ask) if fault is None or fault.does_it else None
        self._log(ask, answer, fault)
        if self.core.settings.delay_ms:
            await self._pause(self.core.settings.delay_ms / 1000)
        if fault is None:
            assert answer is not None
            return _response(answer)
        return await self._go_wrong(request, fault, answer)

    def _app_of(self, ask: Ask) -> int | None:
        if token := ask.headers.get("access_token"):
            return self.core.tokens.holder(token).app_id
        told = oauth.form_of(ask) if ask.method == "POST" else ask.query
        return oauth.number_of(told.get("app_id")) or None

    def _log(self, ask: Ask, answer: Answer | None, fault: Fault | None) -> None:
        """What tokens became is in the file before anybody hears of it."""
        self.core.store.log(
            (
                self.core.clock.now_ms(),
                ask.method,
                ask.path,
                ask.app_id,
                ask.oa_id,
                answer.error if answer else None,
                fault.kind if fault else None,
                encode(ask.detail).decode() if ask.detail else None,
            )
        )
        if ask.path.startswith("/v4/oa/"):
            self.core.store.commit()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _go_wrong(
        self, request: web.BaseRequest, fault: Fault, true: Answer | None
    ) -> web.StreamResponse:
        # As when Zalo's own machine dies: what was done stays done, whatever becomes of the answer.
        self.core.store.commit()
        match fault.kind:
            case "hang":
                await self._hang(request)
            case "reset":
                _reset(request)
            case "half_body":
                assert true is not None
                return await _half(request, true)
            case "slow":
                await self._pause(fault.delay_ms / 1000)
        return _response(spoil(fault, true))

    async def _hang(self, request: web.BaseRequest) -> None:
        """Until the other side gives up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_HANG_S):
                while not self._stopping.is_set() and not _is_gone(request):
                    await self._pause(GONE_EVERY_S)
        _reset(request)


def _load(core: Core, options: Options) -> None:
    fixtures = options.fixtures
    if fixtures is None and core.world.empty:
        fixtures = decode_fixtures(encode(examples.fixtures()))
    if fixtures is not None:
        core.world.load(fixtures)
    if options.settings:
        core.kept.change(options.settings)
    core.store.commit()


def handle(core: Core, ask: Ask) -> Answer:
    """One of Zalo's answers. Nothing waits in it, so that each request is one step of the emulator."""
    handler = ROUTES.get((ask.method, ask.path))
    if handler is not None:
        return handler(core, ask)
    if ask.path in business.PATHS:
        return business.wrong_method(core, ask)
    return openapi.unknown_path(core, ask)


def _response(answer: Answer) -> web.Response:
    headers: dict[str, str] = {"Content-Type": answer.content_type, **answer.headers}
    return web.Response(body=answer.body, status=answer.status, headers=headers)


def _is_gone(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


def _reset(request: web.BaseRequest) -> None:
    """RST instead of FIN, as from a machine that knows nothing of the connection."""
    if request.transport is None:
        return
    sock = request.transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()


async def _half(request: web.BaseRequest, true: Answer) -> web.StreamResponse:
    """The length of the whole, and half of it."""
    response = web.StreamResponse(headers={"Content-Type": true.content_type})
    response.content_length = len(true.body)
    await response.prepare(request)
    await response.write(true.body[: len(true.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


# ---------------------------------------------------------------- running


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[Emulator]:
    """An emulator until the end of the block. Raises StoreError, FixtureError, AddressError."""
    emulator = Emulator(options)
    try:
        await emulator.start()
        yield emulator
    finally:
        await emulator.stop()


async def run(
    options: Options, stop: asyncio.Event, on_ready: Callable[[str], None] = lambda url: None
) -> None:
    """Until `stop` is set. `on_ready` is told the address."""
    async with running(options) as emulator:
        on_ready(emulator.url)
        await stop.wait()
