"""Zalo's emulator for tests: in this process on a free port, or a program that runs somewhere."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tongdai.adapters.zaloapi import ZaloClient
from tongdai.adapters.zaloemulator import examples
from tongdai.adapters.zaloemulator.exchange import encode
from tongdai.adapters.zaloemulator.fixtures import decode
from tongdai.adapters.zaloemulator.server import Options, running

APP_ID = examples.APP_ID
APP_SECRET = examples.APP_SECRET
WEBHOOK_SECRET = examples.WEBHOOK_SECRET
OA_ID = examples.OA_ID
SECOND_OA_ID = examples.SECOND_OA_ID
UNVERIFIED_OA_ID = examples.UNVERIFIED_OA_ID
CALLBACK_URL = examples.CALLBACK_URL
JOURNEY_TEMPLATE = examples.JOURNEY_TEMPLATE
OTP_TEMPLATE = examples.OTP_TEMPLATE
TRANSACTION_TEMPLATE = examples.TRANSACTION_TEMPLATE
CARE_TEMPLATE = examples.CARE_TEMPLATE
PROMOTION_TEMPLATE = examples.PROMOTION_TEMPLATE
PENDING_TEMPLATE = examples.PENDING_TEMPLATE
REJECTED_TEMPLATE = examples.REJECTED_TEMPLATE

ACCESS_TOKEN = "/v4/oa/access_token"
GETOA = "/v2.0/oa/getoa"
SEND = "/message/template"
GET_TOKEN = "/journey/get-token"


def default_fixtures() -> dict[str, Any]:
    """One app, two Official Accounts that may be connected, an unverified one, and templates of each sort.

    Yours to change: {"apps": [...], "oas": [...], "templates": [...], "recipients": [...]}.
    """
    return copy.deepcopy(examples.fixtures())


def plain_http(base_url: str = "") -> httpx.AsyncClient:
    """For http:// alone: reading the certificates of the world takes longer than most tests."""
    return httpx.AsyncClient(base_url=base_url, timeout=30.0, trust_env=False, verify=False)


class EmulatedZalo:
    """An emulator by its address: `url` stands for all of Zalo's hosts; the rest is its control surface."""

    def __init__(self, url: str, fixtures: dict[str, Any] | None = None) -> None:
        self.url = url
        self.fixtures = fixtures or {}
        self._http = plain_http(url)

    async def close(self) -> None:
        await self._http.aclose()

    async def control(self, what: str, told: dict[str, Any] | None = None, **query: Any) -> Any:
        """POST `told` to /emulator/`what`, or GET it where there is none. Raises httpx.HTTPStatusError."""
        if told is None:
            answer = await self._http.get(f"/emulator/{what}", params=query)
        else:
            answer = await self._http.post(f"/emulator/{what}", json=told)
        answer.raise_for_status()
        return answer.json()

    async def advance(self, seconds: float) -> None:
        """Move the clock, and let happen whatever is due then; webhooks are on their way."""
        await self.control("advance", {"seconds": seconds})

    async def settle(self) -> None:
        """Return when nothing is due and every webhook on its way was answered, or failed."""
        await self.control("settle", {})

    async def force(
        self,
        path: str | None,
        fault: str | dict[str, Any],
        times: int = 1,
        app_id: int | None = None,
        *,
        after: bool = False,
        **more: Any,
    ) -> None:
        """Let go wrong what comes to `path` (None: any). `after`: only once it is done.

        Faults: error (code, message, quoted), empty, html_504, hang, reset, half_body, wrong_types,
        missing_refresh_token, status (status, body), body (body, content_type), slow (delay_ms).
        """
        told = {"kind": fault} if isinstance(fault, str) else dict(fault)
        await self.control(
            "faults", {**told, "path": path, "times": times, "app_id": app_id, "after": after, **more}
        )

    async def clear_faults(self) -> None:
        (await self._http.delete("/emulator/faults")).raise_for_status()

    async def requests(self, path: str | None = None) -> list[dict[str, Any]]:
        """What it was asked, oldest first: path, at_ms, app_id, oa_id, error, fault; for tokens refresh_token
        (a digest), was (fresh, consumed, revoked, expired, unknown) and minted (a digest)."""
        query: dict[str, Any] = {"path": path} if path else {}
        asked: list[dict[str, Any]] = []
        while more := await self.control("requests", None, after=asked[-1]["id"] if asked else 0, **query):
            asked += more
        return asked

    async def state(self) -> dict[str, Any]:
        shown: dict[str, Any] = await self.control("state")
        return shown

    async def settings(self, **changes: Any) -> None:
        """delay_ms, delivery_ms, consumed_is_empty, night_rule, retry_scale, webhook_timeout_s, …"""
        await self.control("settings", changes)

    async def change_app(self, app_id: int = APP_ID, **changes: Any) -> dict[str, Any]:
        """A new webhook_url is probed first (probe=False: not), other callback_urls end every consent
        (keep_grants=True: not)."""
        shown: dict[str, Any] = await self.control("apps", {"app_id": app_id, **changes})
        return shown

    async def change_oa(self, oa_id: int = OA_ID, **changes: Any) -> None:
        """Posts the events that follow, as change_oa_daily_quota."""
        await self.control("oas", {"oa_id": oa_id, **changes})

    async def change_template(self, template_id: int, **changes: Any) -> None:
        """Posts the events that follow, as change_template_status and change_template_quality."""
        await self.control("templates", {"template_id": template_id, **changes})

    async def recipient(self, phone: str, **changes: Any) -> None:
        """refusal (a code of Zalo's), delivered, delay_ms."""
        await self.control("recipients", {"phone": phone, **changes})

    async def quota_left(self, remaining: int, oa_id: int = OA_ID) -> None:
        """As if the rest of today's had been sent."""
        await self.control("quota", {"oa_id": oa_id, "remaining": remaining})

    async def revoke(self, app_id: int = APP_ID, oa_id: int | None = None) -> None:
        """The administrator withdraws the consent: tokens die."""
        await self.control("revoke", {"app_id": app_id, "oa_id": oa_id})

    async def rate(self, msg_id: str, rate: int, note: str = "", feedbacks: list[str] | None = None) -> None:
        """A customer rates a message: posts user_feedback."""
        await self.control(
            "ratings", {"msg_id": msg_id, "rate": rate, "note": note, "feedbacks": feedbacks or []}
        )

    async def post_event(self, event: str, app_id: int = APP_ID, **told: Any) -> int | None:
        """Any event: fields, zns; body, secret and timestamp for what Zalo would never send."""
        shown = await self.control("events", {"app_id": app_id, "event": event, **told})
        webhook: int | None = shown["webhook"]
        return webhook

    async def webhooks(self) -> list[dict[str, Any]]:
        """Newest first: id, event, body, state (due, sending, taken, dropped), tries, status."""
        shown: list[dict[str, Any]] = await self.control("webhooks")
        return shown

    async def replay(self, webhook_id: int) -> None:
        """The same bytes and signature once more."""
        await self.control("replay", {"id": webhook_id})


async def grant(url: str, oa_id: int = OA_ID) -> dict[str, str]:
    """Pass the permission page at `url` by script. The query of the redirect: code, oa_id, state, …"""
    async with plain_http() as http:
        answer = await http.get(url + f"&consent={oa_id}", follow_redirects=False)
    assert answer.status_code == 302, answer.text
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


@asynccontextmanager
async def zalo_emulator(
    fixtures: dict[str, Any] | None = None, *, data: Path | str = ":memory:", **settings: Any
) -> AsyncIterator[EmulatedZalo]:
    """An emulator in this process until the end of the block; with `data` the next one goes on from there."""
    told = default_fixtures() if fixtures is None else fixtures
    options = Options(data=data, fixtures=decode(encode(told)), settings=settings)
    async with running(options) as emulator:
        emulated = EmulatedZalo(emulator.url, told)
        try:
            yield emulated
        finally:
            await emulated.close()


def client_of(url: str, *, timeout_s: float = 5.0) -> ZaloClient:
    """The real client, which takes the emulator at `url` for Zalo; to be started and stopped."""
    return ZaloClient(oauth_url=url, openapi_url=url, business_url=url, timeout_s=timeout_s)


@asynccontextmanager
async def client_at(url: str, *, timeout_s: float = 5.0) -> AsyncIterator[ZaloClient]:
    """The same, started, until the end of the block."""
    client = client_of(url, timeout_s=timeout_s)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()
