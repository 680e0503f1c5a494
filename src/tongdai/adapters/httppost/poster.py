"""The posting port on aiohttp: one session, no redirects, no cookies, no proxy, answers cut short."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version

import aiohttp
from multidict import CIMultiDict, istr
from yarl import URL

from tongdai.adapters.httppost.guard import (
    AddressRefusedError,
    GuardedResolver,
    Lookup,
    SystemLookup,
    guarded_socket,
)
from tongdai.kit.deadlines import Deadlines
from tongdai.ports.posting import ANSWER_KEPT, Answer, PostFailedError, PostFailure

MOST_READ = 64 * 1024
"""Of a longer answer the rest is not waited for, and its connection is closed."""
KEEP_ALIVE_S = 4.0
"""Shorter than the five seconds after which common servers close an idle connection: one that is used just
when it is being closed costs a try."""

# What this machine has run out of: no fault of whoever was to be reached.
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


class HttpPoster:
    """Satisfies `ports.posting.Poster`.

    A request takes `timeout_s` seconds at most, from the look-up of the name to the end of the answer, and
    `connect_timeout_s` of them for a connection with its encryption.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        timeout_s: float = 15.0,
        connect_timeout_s: float = 5.0,
        lookup: Lookup | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._deadlines = Deadlines(timeout_s)
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s)
        self._lookup = lookup
        self._system_lookup: SystemLookup | None = None
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        if self._lookup is None:
            self._system_lookup = SystemLookup()
        lookup = self._lookup or self._system_lookup
        assert lookup is not None
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # whoever posts counts what is under way
                resolver=GuardedResolver(lookup, allow_private=self._allow_private),
                socket_factory=None if self._allow_private else guarded_socket,
                keepalive_timeout=KEEP_ALIVE_S,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            auto_decompress=False,
            trust_env=False,
            headers={"User-Agent": f"tongdai/{version('tongdai')}", "Accept-Encoding": "identity"},
        )

    async def stop(self) -> None:
        self._deadlines.stop()
        if self._session is not None:
            await self._session.close()
        if self._system_lookup is not None:
            self._system_lookup.close()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        try:
            with self._deadlines.next():
                return await self._post(url, headers, body)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise PostFailedError(_reason(error)) from error

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        assert self._session is not None
        named = CIMultiDict([(_header(name), value) for name, value in headers.items()])
        async with self._session.post(
            _parsed(url), data=body, headers=named, allow_redirects=False
        ) as response:
            kept = await _beginning(response)
            status = response.status
            return Answer(status, None if status < 300 else response.headers.get("Retry-After"), kept)


@lru_cache(10_000)
def _parsed(url: str) -> URL:
    return URL(url)


@lru_cache(1_000)
def _header(name: str) -> istr:
    """So that the library does not fold its case at every step, which takes a tenth of a request."""
    return istr(name)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Reads the answer, up to a point. Raises aiohttp.ClientError when it breaks off before."""
    content = response.content
    if content.is_eof():  # as a rule: it came together with the head
        return content.read_nowait()[:ANSWER_KEPT]
    kept = bytearray()
    seen = 0
    async for chunk in content.iter_any():
        kept += chunk[: ANSWER_KEPT - len(kept)]
        seen += len(chunk)
        if seen > MOST_READ:
            response.close()
            break
    return bytes(kept)


def _reason(error: Exception) -> PostFailure:
    under = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(under, OSError) and under.errno in _OURS:
        return PostFailure.OURS
    if isinstance(error, TimeoutError):
        return PostFailure.TIMEOUT
    if isinstance(under, AddressRefusedError):
        return PostFailure.ADDRESS
    if isinstance(error, aiohttp.ClientSSLError):
        return PostFailure.TLS
    if isinstance(error, aiohttp.ClientConnectorDNSError | ValueError):  # no name, or none that can be one
        return PostFailure.NAME
    if isinstance(error, aiohttp.ClientConnectorError):
        return PostFailure.CONNECTION
    return PostFailure.BROKEN
