"""Looks names up and opens sockets, and refuses addresses that are not public.

The address is judged where the socket is made, so what was looked up before, and a name that means something
else the second time, make no difference. It is judged at the look-up too, for the sake of the answer: a name
that has private addresses alone is told so.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from aiohttp import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult

from tongdai.kit.addresses import is_public

Lookup = Callable[[str, int], Awaitable[list[str]]]
"""(host, port) -> addresses. Raises OSError."""

LOOKUPS_AT_ONCE = 64
"""The system's look-up keeps a thread busy for as long as a name server does not answer; with the few of the
event loop, some dead names would hold up everybody's."""


class AddressRefusedError(OSError):
    """The address is loopback, private or otherwise reserved."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "this address is not public")


class SystemLookup:
    """What the operating system says."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="lookup")

    async def __call__(self, host: str, port: int) -> list[str]:
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, host, port)
        return list(dict.fromkeys(found))

    def close(self) -> None:
        """Does not wait for name servers."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _ask(host: str, port: int) -> list[str]:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        return [str(address[0]) for *_, address in infos]


class GuardedResolver(AbstractResolver):
    """For aiohttp: gives the public addresses of a name."""

    def __init__(self, lookup: Lookup, *, allow_private: bool) -> None:
        self._lookup = lookup
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises AddressRefusedError where there is no other, and OSError."""
        found = await self._lookup(host, port)
        allowed = [one for one in found if self._allow_private or is_public(ip_address(one))]
        if not allowed:
            raise AddressRefusedError if found else OSError(errno.ENOENT, "the name has no address")
        return [
            ResolveResult(
                hostname=host,
                host=one,
                port=port,
                family=socket.AF_INET6 if ":" in one else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for one in allowed
        ]

    async def close(self) -> None:
        """The look-up is closed by whoever made it."""


def guarded_socket(info: AddrInfoType) -> socket.socket:
    """A socket for this address. Raises AddressRefusedError when it is not public."""
    family, kind, protocol, _, address = info
    if not is_public(ip_address(address[0])):
        raise AddressRefusedError
    return socket.socket(family, kind, protocol)
