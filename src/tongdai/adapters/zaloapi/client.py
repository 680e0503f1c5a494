"""Zalo's port over HTTP with aiohttp (docs/decisions/0012-zalo-client.md)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from multidict import CIMultiDict, istr
from yarl import URL

from tongdai.adapters.zaloapi import codes, values, wire
from tongdai.adapters.zaloapi.limits import Windows
from tongdai.adapters.zaloapi.transport import Reply, Transport
from tongdai.kit.zalo_signs import appsecret_proof
from tongdai.ports.zalo import (
    Access,
    AppSecret,
    JourneyCheck,
    JourneyToken,
    Message,
    MessageStatus,
    Profile,
    Qualities,
    Quota,
    Sent,
    Template,
    TemplatePage,
    TokenPair,
    TokenType,
    ZaloAwayError,
    ZaloGarbledError,
    ZaloRefusedError,
    ZaloSilentError,
)

T = TypeVar("T")
Headers = CIMultiDict[str]
Read = Callable[[bytes], T]

TRIES: Final = 3
"""In all."""
FIRST_WAIT_S: Final = 0.1
"""On average; doubled for each further try."""

# The library would fold the case of plain strings at every step.
_ACCESS = istr("access_token")
_SECRET = istr("secret_key")
_JOURNEY = istr("journey_token")
_PROOF = istr("appsecret_proof")
_TYPE = istr("Content-Type")
_ALLOWED_LEFT = "X-RateLimit-Remain"

_REFUSED_HEADERS: Final = {
    _ACCESS: codes.ACCESS_INVALID,
    _SECRET: codes.SECRET_INVALID,
    _JOURNEY: codes.JOURNEY_INVALID,
}
"""What Zalo would say to a value that cannot stand in a header, and so is none of Zalo's."""


class ZaloClient:
    """Satisfies `ports.zalo.Zalo`.

    One request takes `timeout_s` seconds at most with all its tries, and `connect_timeout_s` of them for a
    connection, from the look-up of the name to the end of its encryption.
    """

    def __init__(
        self,
        *,
        oauth_url: str,
        openapi_url: str,
        business_url: str,
        timeout_s: float = 10.0,
        connect_timeout_s: float = 3.0,
    ) -> None:
        oauth, openapi, business = (
            partial(_address, base) for base in (oauth_url, openapi_url, business_url)
        )
        self._permission = str(oauth("/v4/oa/permission"))
        self._token = oauth("/v4/oa/access_token")
        self._profile = openapi("/v2.0/oa/getoa")
        self._quota = business("/message/quota")
        self._qualities = business("/quality")
        self._tags = business("/message/template-tag")
        self._templates = business("/template/all")
        self._template = business("/template/info/v2")
        self._sample_data = business("/template/sample-data")
        self._send = business("/message/template")
        self._status = business("/message/status")
        self._get_journey = business("/journey/get-token")
        self._check_journey = business("/journey/check-token")
        self._windows = Windows()
        self._transport = Transport(timeout_s=timeout_s, connect_timeout_s=connect_timeout_s)

    async def start(self) -> None:
        await self._transport.start()

    async def stop(self) -> None:
        await self._transport.stop()

    # ---------------------------------------------------------------- permission and tokens

    def permission_url(self, app_id: int, redirect_uri: str, state: str, challenge: str | None) -> str:
        query = {"app_id": str(app_id), "redirect_uri": redirect_uri}
        if challenge is not None:
            query["code_challenge"] = challenge
        return f"{self._permission}?{urlencode(query | {'state': state}, errors='replace')}"

    async def exchange_code(self, app: AppSecret, code: str, verifier: str | None) -> TokenPair:
        form = {"code": code, "app_id": str(app.app_id), "grant_type": "authorization_code"}
        return await self._ask_tokens(app, form if verifier is None else form | {"code_verifier": verifier})

    async def refresh(self, app: AppSecret, refresh_token: str) -> TokenPair:
        form = {"refresh_token": refresh_token, "app_id": str(app.app_id), "grant_type": "refresh_token"}
        return await self._ask_tokens(app, form)

    async def _ask_tokens(self, app: AppSecret, form: Mapping[str, str]) -> TokenPair:
        headers = Headers({_TYPE: "application/x-www-form-urlencoded", _SECRET: _fit(_SECRET, app.secret)})
        body = urlencode(form, errors="replace").encode()
        return await self._write(self._token, headers, body, wire.token_pair, fresh=True)

    # ---------------------------------------------------------------- Official Accounts

    async def profile(self, access: Access) -> Profile:
        """An app that has asked its 4,000 requests of this minute is refused with -32, without asking."""
        loop = asyncio.get_running_loop()
        if self._windows.is_out(access.app_id, loop.time()):
            raise wire.refused(codes.TOO_OFTEN)

        def read(reply: Reply) -> Profile:
            if _is_last(reply):
                self._windows.close(access.app_id, loop.time())
            return wire.profile(reply.body)

        try:
            return await self._read_reply(self._profile, access, read)
        except ZaloRefusedError as error:
            if error.code == codes.TOO_OFTEN:
                self._windows.close(access.app_id, loop.time())
            raise

    async def quota(self, access: Access) -> Quota:
        return await self._read(self._quota, access, wire.quota)

    async def qualities(self, access: Access) -> Qualities:
        return await self._read(self._qualities, access, wire.qualities)

    async def tags(self, access: Access) -> list[str]:
        return await self._read(self._tags, access, wire.tags)

    # ---------------------------------------------------------------- templates

    async def templates(
        self, access: Access, *, offset: int = 0, limit: int = 100, status: int | None = None
    ) -> TemplatePage:
        query = {"offset": str(offset), "limit": str(limit)}
        if status is not None:
            query["status"] = str(status)
        read = partial(wire.template_page, offset=offset)
        return await self._read(self._templates.with_query(query), access, read)

    async def template(self, access: Access, template_id: int) -> Template:
        url = self._template.with_query(template_id=str(template_id))
        return await self._read(url, access, wire.template)

    async def sample_data(self, access: Access, template_id: int) -> dict[str, Any]:
        url = self._sample_data.with_query(template_id=str(template_id))
        return await self._read(url, access, wire.sample_data)

    # ---------------------------------------------------------------- messages

    async def send(self, access: Access, message: Message, *, journey_token: str | None = None) -> Sent:
        headers = _posting(access)
        if journey_token is not None:
            headers[_JOURNEY] = _fit(_JOURNEY, journey_token)
        return await self._write(self._send, headers, wire.message_body(message), wire.sent)

    async def message_status(self, access: Access, msg_id: str, *, phone: str | None = None) -> MessageStatus:
        query = {"message_id": msg_id} if phone is None else {"message_id": msg_id, "phone": phone}
        return await self._read(self._status.with_query(query), access, wire.message_status)

    # ---------------------------------------------------------------- journeys

    async def create_journey(self, access: Access, phone: str, token_type: TokenType) -> JourneyToken:
        body = wire.journey_body(phone, token_type)
        return await self._write(self._get_journey, _posting(access), body, wire.journey_token)

    async def check_journey(self, access: Access, journey_token: str) -> JourneyCheck:
        headers = _opening(access)
        headers[_JOURNEY] = _fit(_JOURNEY, journey_token)
        return await self._read(self._check_journey, headers, wire.journey_check)

    # ---------------------------------------------------------------- asking

    async def _read(self, url: URL, access: Access | Headers, read: Read[T]) -> T:
        return await self._read_reply(url, access, lambda reply: read(reply.body))

    async def _read_reply(self, url: URL, access: Access | Headers, read: Callable[[Reply], T]) -> T:
        headers = _opening(access) if isinstance(access, Access) else access

        async def ask() -> T:
            return read(await self._transport.get(url, headers))

        return await self._again(ask, (ZaloAwayError, ZaloSilentError, ZaloGarbledError))

    async def _write(
        self, url: URL, headers: Headers, body: bytes, read: Read[T], *, fresh: bool = False
    ) -> T:
        """`fresh`: over a connection of its own."""

        async def ask() -> T:
            return read((await self._transport.post(url, headers, body, fresh=fresh)).body)

        return await self._again(ask, (ZaloAwayError,))

    async def _again(self, ask: Callable[[], Awaitable[T]], after: tuple[type[Exception], ...]) -> T:
        """Asks until there is an answer, as long as it fails in one of these ways and there is time."""
        deadline = self._transport.deadline()
        try:
            with deadline:
                for number in range(TRIES - 1):
                    try:
                        return await ask()
                    except after:
                        wait_s = FIRST_WAIT_S * 2**number * (0.5 + random.random())  # noqa: S311 - no secret
                        if not self._transport.has_time(deadline, wait_s):
                            raise
                    await asyncio.sleep(wait_s)
                return await ask()
        except TimeoutError as error:
            raise ZaloSilentError("Zalo did not answer in time") from error


def _address(base: str, path: str) -> URL:
    return URL(base.rstrip("/") + path)


def _opening(access: Access) -> Headers:
    """The headers with which an Official Account is asked about."""
    headers = Headers({_ACCESS: _fit(_ACCESS, access.token)})
    if access.proof_secret is not None:
        headers[_PROOF] = appsecret_proof(access.token, access.proof_secret)
    return headers


def _posting(access: Access) -> Headers:
    headers = _opening(access)
    headers[_TYPE] = "application/json"
    return headers


def _fit(name: istr, value: str) -> str:
    """Raises ZaloRefusedError for what cannot stand in a header."""
    if values.is_header(value):
        return value
    raise wire.refused(_REFUSED_HEADERS[name])


def _is_last(reply: Reply) -> bool:
    """Whether an app's minute has no request left."""
    left = reply.headers.get(_ALLOWED_LEFT)
    return left is not None and left.strip() == "0"
