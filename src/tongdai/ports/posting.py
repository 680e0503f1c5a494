"""The posting port: one request to a customer's server, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Protocol

import msgspec

ANSWER_KEPT: Final = 1024
"""Bytes of an answer that are kept."""


class PostFailure(StrEnum):
    """Why there is no answer."""

    TIMEOUT = "timeout"
    """It did not connect, or did not answer whole, in time."""
    NAME = "name"
    """Its name cannot be looked up."""
    ADDRESS = "address"
    """Its address is loopback, private or reserved, and such addresses are not allowed."""
    CONNECTION = "connection"
    """It refuses connections, or cannot be reached."""
    TLS = "tls"
    """Its certificate is not valid, or there is no agreement about encryption."""
    BROKEN = "broken"
    """It closed the connection before its answer was whole, or what came is no HTTP."""
    OURS = "ours"
    """This machine has no more sockets or memory: nothing was sent, and it is nobody else's fault."""


class PostFailedError(Exception):
    """There is no whole answer. Whether the request arrived is mostly not known."""

    def __init__(self, reason: PostFailure) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A whole answer; a long one counts as whole once enough of it came."""

    status: int
    retry_after: str | None
    """The header as it came; not looked for where the status is 2xx."""
    body: bytes
    """The first KiB."""


class Poster(Protocol):
    """Posts. Follows no redirect, keeps no cookie, uses no proxy. Safe for many requests at once."""

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Drops what is under way."""
        ...

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Raises PostFailedError."""
        ...
