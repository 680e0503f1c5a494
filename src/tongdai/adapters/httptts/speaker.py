"""The speaking port over HTTP: a request per text, with limits of time, size and number."""

from __future__ import annotations

import asyncio
import json
from importlib.metadata import version
from typing import Final

import aiohttp
from yarl import URL

from tongdai.adapters.httptts.audio import decoded
from tongdai.adapters.httptts.provider import Provider, found, is_voice
from tongdai.ports.speech import Pcm, SpeechFailedError

MOST_READ: Final = 20_000_000
"""Bytes of an answer: ten minutes and more of any voice."""
CONNECT_S: Final = 5.0
TRIES: Final = 3
"""Of one request that met a broken connection, 429 or a server's error."""
FIRST_WAIT_S: Final = 0.5
_NOT_YET: Final = frozenset({202, 204, 403, 404})
"""What a file store says of a file that is still being made; some keep secret what there is not."""


class _RetryError(Exception):
    """Asking again may help, after so many seconds."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait_s = wait_s


class HttpSpeaker:
    """Satisfies `ports.speech.Speaker`.

    `timeout_s`: for one answer with all its tries; neither waiting for a turn nor a link's file count.
    """

    def __init__(
        self,
        provider: Provider,
        key: str,
        *,
        timeout_s: float = 15.0,
        at_once: int = 4,
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        self._provider = provider
        self._key = key
        self._timeout_s = timeout_s
        self._first_wait_s = first_wait_s
        self._turns = asyncio.Semaphore(at_once)
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"<HttpSpeaker of {URL(self._provider.url).host}>"

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
            trust_env=False,
            headers={"User-Agent": f"tongdai/{version('tongdai')}"},
        )

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    def edition(self, voice: str) -> str:
        """The same voice at another speed, or of another provider, is another sound."""
        shape = self._provider
        return json.dumps([shape.url, voice or shape.voice, shape.headers, shape.fields], sort_keys=True)

    async def speak(self, text: str, voice: str) -> Pcm:
        if voice and not is_voice(voice):
            raise SpeechFailedError("this is no name of a voice", retry=False)
        if len(text) > self._provider.max_chars:
            raise SpeechFailedError("the text is too long for the provider", retry=False)
        headers, body = self._provider.request(text, voice, self._key)
        async with self._turns:
            data, kind = await self._in_time(headers, body)
            if self._provider.answer.audio == "link":
                data, kind = await self._file(self._link(data))
        return await asyncio.to_thread(decoded, data, kind, self._provider.answer.rate)

    # ------------------------------------------------------------------ asking

    async def _in_time(self, headers: dict[str, str], body: bytes) -> tuple[bytes, str]:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._with_tries(headers, body)
        except TimeoutError:
            raise SpeechFailedError("the provider takes too long", retry=True) from None

    async def _with_tries(self, headers: dict[str, str], body: bytes) -> tuple[bytes, str]:
        wait_s = self._first_wait_s
        for left in range(TRIES - 1, -1, -1):
            try:
                return await self._post(headers, body)
            except _RetryError as error:
                if not left:
                    raise SpeechFailedError(error.reason, retry=True) from None
                await asyncio.sleep(wait_s if error.wait_s is None else error.wait_s)
                wait_s *= 2
        raise AssertionError("the last try returns or raises")

    async def _post(self, headers: dict[str, str], body: bytes) -> tuple[bytes, str]:
        asked = self._open().post(URL(self._provider.url), data=body, headers=headers, allow_redirects=False)
        # What the library raises may quote headers and addresses: none of it is passed on.
        try:
            async with asked as response:
                if response.status == 429 or response.status >= 500:
                    raise _RetryError(f"the provider answers {response.status}", _retry_after(response))
                if response.status in (401, 403):
                    raise SpeechFailedError("the provider refuses the key", retry=False)
                if response.status != 200:
                    raise SpeechFailedError(f"the provider answers {response.status}", retry=False)
                return await _whole(response), response.headers.get("Content-Type", "")
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
                raise
            raise _RetryError(f"the provider cannot be reached ({type(error).__name__})") from None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            raise SpeechFailedError("the client is not running", retry=False)
        return self._session

    # ------------------------------------------------------------------ links

    def _link(self, data: bytes) -> URL:
        shape = self._provider.answer
        try:
            answer = json.loads(data)
        except ValueError:
            raise SpeechFailedError("the provider's answer makes no sense", retry=True) from None
        if shape.code and found(answer, shape.code) != shape.ok:
            said = str(found(answer, shape.code))[:20]
            raise SpeechFailedError(f"the provider refuses with {said!r}", retry=False)
        link = found(answer, shape.link)
        try:
            url = URL(link)
        except (TypeError, ValueError):
            url = URL()
        if url.scheme not in ("http", "https") or not url.host:
            raise SpeechFailedError("the provider gave no link", retry=True)
        return url

    async def _file(self, link: URL) -> tuple[bytes, str]:
        """Look for the file until it is there. It is asked for without our key."""
        shape = self._provider.answer
        try:
            async with asyncio.timeout(shape.wait_s):
                while True:
                    if (got := await self._fetched(link)) is not None:
                        return got
                    await asyncio.sleep(shape.poll_s)
        except TimeoutError:
            raise SpeechFailedError("the provider's file does not appear", retry=True) from None

    async def _fetched(self, link: URL) -> tuple[bytes, str] | None:
        try:
            async with self._open().get(link, max_redirects=3) as response:
                if response.status in _NOT_YET or response.status == 429 or response.status >= 500:
                    return None
                if response.status != 200:
                    raise SpeechFailedError(f"the provider's file: {response.status}", retry=True)
                data = await _whole(response)
                return (data, response.headers.get("Content-Type", "")) if data else None
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
                raise
            return None


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """Raises aiohttp.ClientError when it breaks off, SpeechFailedError when it does not end."""
    read = bytearray()
    async for chunk in response.content.iter_any():
        read += chunk
        if len(read) > MOST_READ:
            response.close()
            raise SpeechFailedError("the provider gave too much", retry=False)
    return bytes(read)


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """In seconds, where it is told so (RFC 9110, 10.2.3); a date is not looked at."""
    told = response.headers.get("Retry-After", "")
    return float(told) if told.isascii() and told.isdigit() and len(told) < 6 else None
