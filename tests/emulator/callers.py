"""Somebody who calls Zalo, as plainly as it can be done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
from tests.fakes.zalo import (
    ACCESS_TOKEN,
    APP_ID,
    APP_SECRET,
    CALLBACK_URL,
    GET_TOKEN,
    OA_ID,
    SEND,
    TRANSACTION_TEMPLATE,
    grant,
)

PHONE = "84901234567"
ORDER = {"ten_khach_hang": "Lan", "ma_don": "DH-1", "so_tien": "250000", "ngay": "22/11/2026"}


def permission_url(http: httpx.AsyncClient, **told: Any) -> str:
    query = {"app_id": APP_ID, "redirect_uri": CALLBACK_URL, "state": "s", **told}
    return str(http.base_url.join("/v4/oa/permission").copy_merge_params(query))


async def ask_tokens(http: httpx.AsyncClient, *, secret: str = APP_SECRET, **form: Any) -> httpx.Response:
    return await http.post(ACCESS_TOKEN, data={"app_id": str(APP_ID), **form}, headers={"secret_key": secret})


async def exchange(http: httpx.AsyncClient, code: str, **form: Any) -> httpx.Response:
    return await ask_tokens(http, grant_type="authorization_code", code=code, **form)


async def refresh(http: httpx.AsyncClient, token: str, **form: Any) -> httpx.Response:
    return await ask_tokens(http, grant_type="refresh_token", refresh_token=token, **form)


@dataclass
class Caller:
    http: httpx.AsyncClient
    access_token: str
    refresh_token: str

    async def get(self, path: str, **headers: str) -> dict[str, Any]:
        answer = await self.http.get(path, headers={"access_token": self.access_token, **headers})
        return _document(answer)

    async def post(self, path: str, body: Any, **headers: str) -> dict[str, Any]:
        answer = await self.http.post(path, json=body, headers={"access_token": self.access_token, **headers})
        return _document(answer)

    async def send(self, *, journey: str | None = None, **told: Any) -> dict[str, Any]:
        """A message about an order; `told` replaces fields of the body."""
        body = {"phone": PHONE, "template_id": str(TRANSACTION_TEMPLATE), "template_data": ORDER, **told}
        return await self.post(SEND, body, **({"journey_token": journey} if journey else {}))

    async def sent(self, **told: Any) -> str:
        """The msg_id of a message that is taken."""
        answer = await self.send(**told)
        assert answer["error"] == 0, answer
        return str(answer["data"]["msg_id"])

    async def journey(self, phone: str = PHONE, **told: Any) -> dict[str, Any]:
        return await self.post(GET_TOKEN, {"phone": phone, **told})

    async def code_of(self, path: str) -> int:
        return int((await self.get(path))["error"])


def _document(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def connect(http: httpx.AsyncClient, oa_id: int = OA_ID) -> Caller:
    told = await grant(permission_url(http), oa_id)
    pair = (await exchange(http, told["code"])).json()
    return Caller(http, pair["access_token"], pair["refresh_token"])
