"""A client of SenCloud's API, on the facade itself or on the whole app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from litestar import Litestar
from litestar.exceptions import MethodNotAllowedException, NotFoundException
from tests.apps import lend
from tests.fakes.clock import FakeClock
from tests.fakes.zalo import APP_ID, APP_SECRET, CALLBACK_URL, OA_ID, EmulatedZalo, grant

from tongdai.adapters.files import FileStorage
from tongdai.app import create_app
from tongdai.facades.sencloud.errors import STATUS
from tongdai.facades.sencloud.routes import METHODS, refuse_method, refuse_path, routes
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.hints import Hinter
from tongdai.ports.services import Services

ALL = sorted(METHODS)
PATHS = [f"/v1/{side}.{method}" for side in ("shop", "partner") for method in ALL]
LINKED = "0901234567"
UNLINKED = "0901234404"


class Api:
    """Somebody with a key, or without one. `whole`: the app with all its APIs."""

    def __init__(self, services: Services, key: str | None = None, *, whole: bool = False) -> None:
        app: Any = lend(_whole if whole else _alone, services)
        transport = httpx.ASGITransport(app=app)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://tongdai.test")
        self.key = key

    def as_(self, key: str | None) -> Api:
        """Somebody else at the same door."""
        other = object.__new__(Api)
        other.http, other.key = self.http, key
        return other

    async def post(self, method: str, body: object = None, **headers: str) -> httpx.Response:
        """`method` of shop.Zalo unless it names its service; headers are written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key is not None:
            sent = {"Authorization": f"Bearer {self.key}", **sent}
        return await self.http.post(path_of(method), json={} if body is None else body, headers=sent)

    async def done(self, method: str, body: object = None, **headers: str) -> dict[str, Any]:
        """What a success answers."""
        return answer_of(await self.post(method, body, **headers))

    async def refused(self, code: str, method: str, body: object = None, **headers: str) -> dict[str, Any]:
        """A refusal with this code."""
        return refusal_of(await self.post(method, body, **headers), code)

    async def connect(self, emulator: EmulatedZalo, oa_id: int = OA_ID) -> dict[str, Any]:
        """The whole way of an Official Account to us, its administrator's consent by script."""
        granted = await grant(await self.authorize(), oa_id)
        return await self.done("ConnectOA", {name: granted[name] for name in ("code", "oa_id", "state")})

    async def authorize(self) -> str:
        body = {"app_id": str(APP_ID), "app_secret": APP_SECRET, "redirect_uri": CALLBACK_URL}
        return str((await self.done("AuthorizeOA", body))["url"])


def _whole(services: Services) -> Litestar:
    return create_app(services, metrics=False)


def _alone(services: Services) -> Litestar:
    handlers: Any = {MethodNotAllowedException: refuse_method, NotFoundException: refuse_path}
    return Litestar(routes(services), exception_handlers=handlers, openapi_config=None, logging_config=None)


def path_of(method: str) -> str:
    return f"/v1/{method}" if "." in method else f"/v1/shop.Zalo/{method}"


def answer_of(response: httpx.Response, status: int = 200) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    answer: dict[str, Any] = response.json()
    return answer


def refusal_of(response: httpx.Response, code: str) -> dict[str, Any]:
    answer = answer_of(response, STATUS[code])
    assert answer["code"] == code, answer
    assert answer["msg"]
    assert set(answer) <= {"code", "msg", "meta"}
    return answer


def services_on(db: Database, keyring: Keyring, clock: FakeClock, folder: Path, **more: Any) -> Services:
    return Services(
        db=db,
        keyring=keyring,
        clock=clock,
        hinter=Hinter(db),
        storage=FileStorage(folder),
        webhooks_allow_private=True,
        **more,
    )
