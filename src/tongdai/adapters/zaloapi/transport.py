"""Requests to Zalo and their whole answers: what cannot be had becomes one of the port's errors."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tongdai.adapters.zaloapi import codes, wire
from tongdai.kit.deadlines import Deadline, Deadlines
from tongdai.ports.zalo import ZaloAwayError, ZaloGarbledError, ZaloSilentError

MOST_READ: Final = 1024 * 1024
"""A longer answer is none of Zalo's."""
KEEP_ALIVE_S: Final = 4.0
"""Shorter than the five seconds after which common servers close an idle connection: a request that meets
such a closing leaves its outcome unknown."""
NAMES_KEPT_S: Final = 60
_CONNECTING_SHARE: Final = 0.8
_TOO_MANY_REQUESTS: Final = 429

_NO_ADDRESS = (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)
_NO_CONNECTION = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""No name, no connection, no encryption: all before the first byte of a request."""


@dataclass(frozen=True, slots=True)
class Reply:
    headers: CIMultiDictProxy[str]
    body: bytes


class Transport:
    """Two sessions: one that keeps connections, one whose connections serve a single request."""

    def __init__(self, *, timeout_s: float, connect_timeout_s: float) -> None:
        self._deadlines = Deadlines(timeout_s)
        # Less than the whole, so that its end never falls into connecting: what ends with it was sent.
        self._connect_s = min(connect_timeout_s, timeout_s * _CONNECTING_SHARE)
        self._margin_s = timeout_s * (1 - _CONNECTING_SHARE) / 2
        self._kept: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._kept = self._session(KEEP_ALIVE_S)
        self._fresh = self._session(None)

    def _session(self, keep_alive_s: float | None) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # whoever asks counts what is under way
                force_close=keep_alive_s is None,
                keepalive_timeout=keep_alive_s,
                ttl_dns_cache=NAMES_KEPT_S,
                timeout_ceil_threshold=3600,  # as told, not rounded up to whole seconds
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_s),
            auto_decompress=False,
            trust_env=False,
            headers={"User-Agent": f"tongdai/{version('tongdai')}", "Accept-Encoding": "identity"},
        )

    async def stop(self) -> None:
        self._deadlines.stop()
        for session in (self._kept, self._fresh):
            if session is not None:
                await session.close()

    def deadline(self) -> Deadline:
        """Ends the block that it is put around, with a TimeoutError, when the time is up."""
        return self._deadlines.next()

    def has_time(self, deadline: Deadline, wait_s: float) -> bool:
        """Whether a further try would at least get its connection within the time."""
        left = deadline.at - asyncio.get_running_loop().time()
        return left > wait_s + self._connect_s + self._margin_s

    async def get(self, url: URL, headers: CIMultiDict[str]) -> Reply:
        """Raises ZaloAwayError, ZaloSilentError, ZaloGarbledError, ZaloRefusedError (HTTP status 429)."""
        session = _open(self._kept)
        return await _reply(session.get(url, headers=headers, allow_redirects=False, middlewares=(_once,)))

    async def post(self, url: URL, headers: CIMultiDict[str], body: bytes, *, fresh: bool) -> Reply:
        """Likewise. `fresh`: over a connection of its own."""
        session = _open(self._fresh if fresh else self._kept)
        return await _reply(session.post(url, data=body, headers=headers, allow_redirects=False))


def _open(session: aiohttp.ClientSession | None) -> aiohttp.ClientSession:
    if session is None or session.closed:
        raise ZaloAwayError("the client is not running")
    return session


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """The library would ask once more by itself when a connection breaks; tries are counted elsewhere."""
    try:
        return await handler(request)
    except _NO_CONNECTION:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise ZaloSilentError("the connection to Zalo broke") from error


async def _reply(asked: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> Reply:
    try:
        async with asked as response:
            body = await _whole(response)
            _judge(response, body)
            return Reply(response.headers, body)
    # The causes that are left out quote the whole address, which may hold a phone number.
    except _NO_ADDRESS:
        raise ZaloAwayError("Zalo's address is none") from None
    except _NO_CONNECTION as error:
        raise ZaloAwayError("Zalo cannot be reached") from error
    except aiohttp.ClientResponseError:
        raise ZaloGarbledError("no HTTP") from None
    except (aiohttp.ClientError, OSError) as error:
        if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
            raise  # ours: the time is up
        raise ZaloSilentError("the connection to Zalo broke") from error


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """Raises aiohttp.ClientError when it breaks off, and ZaloGarbledError when it does not end."""
    content = response.content
    if content.is_eof():  # as a rule: it came together with the head
        return content.read_nowait()
    read = bytearray()
    async for chunk in content.iter_any():
        read += chunk
        if len(read) > MOST_READ:
            response.close()
            raise ZaloGarbledError("it is too long")
    return bytes(read)


def _judge(response: aiohttp.ClientResponse, body: bytes) -> None:
    """Zalo says yes and no with HTTP status 200; anything in between says other things."""
    status = response.status
    if status == _TOO_MANY_REQUESTS:
        raise wire.refused(codes.TOO_OFTEN)
    if status >= 300:
        if 400 <= status < 500:
            wire.accepted(body)  # that is, refused in Zalo's own words
        raise ZaloGarbledError(f"HTTP status {status}")
    if body:
        return
    if "Content-Length" not in response.headers and "Transfer-Encoding" not in response.headers:
        raise ZaloSilentError("the connection to Zalo broke")  # its end was not marked
    raise ZaloGarbledError(f"HTTP status {status} and no body", empty=status == 200)
