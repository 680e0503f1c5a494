"""A client of AICallCenter's API, on the facade itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from litestar import Litestar
from litestar.exceptions import MethodNotAllowedException
from tests.apps import lend
from tests.factories import Person
from tests.fakes.clock import FakeClock

from tongdai.adapters.files import FileStorage
from tongdai.facades.aicallcenter.routes import refuse_method, routes
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.hints import Hinter
from tongdai.ports.services import Services

TOKEN_WRONG = {
    "status": 0,
    "code": "401",
    "message": "access token không chính xác. bạn không có quyền truy cập",
}
SECRET_WRONG = {"status": 0, "code": "401", "message": "secret_key không chính xác"}
CONTACTS_WRONG = {"status": 0, "code": "400", "message": "contacts không đúng định dạng"}
CAMPAIGN_WRONG = {"status": 0, "code": "01", "message": "campaign_id không hợp lệ"}
CAMPAIGN_STOPPED = {"status": 0, "code": "03", "message": "The campaign stopped. Can not import data"}

MAX_BODY_BYTES = 4 * 1024 * 1024


class Api:
    """A client of the facade."""

    def __init__(self, services: Services) -> None:
        app: Any = lend(_alone, services)
        transport = httpx.ASGITransport(app=app)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://tongdai.test")

    async def token(self, person: Person) -> str:
        answer = await self.get("/api/users/generate-access-token", secret_key=person.secret)
        return str(answer["results"]["access_token"])

    async def get(self, path: str, **query: object) -> dict[str, Any]:
        return answer_of(
            await self.http.get(path, params={name: str(value) for name, value in query.items()})
        )

    async def post(self, path: str, body: object) -> dict[str, Any]:
        return answer_of(await self.http.post(path, json=body))

    async def import_contacts(self, campaign_id: object, token: object, contacts: object) -> dict[str, Any]:
        body = {"access_token": token, "contacts": contacts}
        return await self.post(f"/api/campaigns/{campaign_id}/import", body)

    async def export(self, campaign_id: object, token: object, **query: object) -> dict[str, Any]:
        return await self.get(f"/api/campaigns/{campaign_id}/export", access_token=token, **query)

    async def call_log(self, token: object, **query: object) -> dict[str, Any]:
        return await self.get("/api/users/call-log", access_token=token, **query)


def _alone(services: Services) -> Litestar:
    handlers: Any = {MethodNotAllowedException: refuse_method}
    return Litestar(routes(services), exception_handlers=handlers)


def answer_of(response: httpx.Response) -> dict[str, Any]:
    """A business answer: HTTP 200 and JSON, whatever it says."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    answer: dict[str, Any] = response.json()
    return answer


def services_on(db: Database, keyring: Keyring, clock: FakeClock, folder: Path, **more: Any) -> Services:
    return Services(
        db=db,
        keyring=keyring,
        clock=clock,
        hinter=Hinter(db),
        storage=FileStorage(folder),
        **{"max_body_bytes": MAX_BODY_BYTES, **more},
    )
