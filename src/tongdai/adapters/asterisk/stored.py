"""The recordings that one node keeps until they are fetched (`RecordingStore`), by plain HTTP requests.

Who fetches them is a worker, which hears no events and needs no Stasis application of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from types import TracebackType
from typing import Final

import aiohttp

from tongdai.ports.sip import AsteriskNode
from tongdai.ports.telephony import EngineRefusedError, EngineUnreachableError

OURS: Final = "td-"
"""What the names of our recordings begin with."""
FORMAT: Final = "wav"
_PIECE_BYTES: Final = 256 * 1024
_UNREACHABLE: Final = (aiohttp.ClientError, OSError, TimeoutError, ValueError)


class StoredRecordings:
    """Satisfies `ports.telephony.RecordingStore`. Use it as a context, or close it."""

    def __init__(self, node: AsteriskNode, *, answer_timeout_s: float = 5.0) -> None:
        """Connects when it is first asked. `answer_timeout_s`: for that, and between two pieces of an
        answer."""
        self._base = f"{node.url.rstrip('/')}/ari/recordings"
        self._headers = {"Authorization": aiohttp.encode_basic_auth(node.username, node.password)}
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=answer_timeout_s, sock_read=answer_timeout_s
        )
        self._opened: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> StoredRecordings:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """It may be asked again all the same."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.close()

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            self._opened = aiohttp.ClientSession(headers=self._headers, timeout=self._timeout)
        return self._opened

    async def fetch(self, name: str) -> AsyncIterator[bytes]:
        try:
            answer = await self._session.get(f"{self._base}/stored/{name}/file", allow_redirects=False)
            if answer.status == HTTPStatus.OK and await self._is_live(name):
                # Asterisk gives out what there is so far.
                answer.close()
                raise EngineUnreachableError("it is still being recorded")
        except _UNREACHABLE as error:
            raise EngineUnreachableError(type(error).__name__) from None
        if answer.status == HTTPStatus.OK:
            return _pieces(answer)
        answer.release()
        raise _refusal(answer.status)

    async def forget(self, name: str) -> None:
        try:
            async with self._session.delete(f"{self._base}/stored/{name}", allow_redirects=False) as answer:
                status = answer.status
        except _UNREACHABLE as error:
            raise EngineUnreachableError(type(error).__name__) from None
        if status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND):
            raise EngineUnreachableError(f"HTTP status {status}")

    async def names(self) -> list[str]:
        try:
            async with self._session.get(f"{self._base}/stored", allow_redirects=False) as answer:
                if answer.status != HTTPStatus.OK:
                    raise EngineUnreachableError(f"HTTP status {answer.status}")
                stored = await answer.json()
        except _UNREACHABLE as error:
            raise EngineUnreachableError(type(error).__name__) from None
        return [one["name"] for one in stored if one["name"].startswith(OURS) and one.get("format") == FORMAT]

    async def _is_live(self, name: str) -> bool:
        async with self._session.get(f"{self._base}/live/{name}", allow_redirects=False) as answer:
            return answer.status == HTTPStatus.OK


def _refusal(status: int) -> Exception:
    if status == HTTPStatus.NOT_FOUND:
        return EngineRefusedError("it has no such recording")
    return EngineUnreachableError(f"HTTP status {status}")


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """An answer that is cut off raises, by its declared length."""
    try:
        async with answer:
            async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                yield piece
    except _UNREACHABLE as error:
        raise EngineUnreachableError(type(error).__name__) from None
