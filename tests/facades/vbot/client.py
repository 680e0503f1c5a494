"""A client of VBot's API, on the facade itself, and what its tests need to exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from litestar import Litestar
from litestar.exceptions import MethodNotAllowedException
from tests import factories
from tests.apps import lend
from tests.factories import PASSWORD, Person
from tests.fakes.clock import FakeClock

from tongdai.adapters.files import FileStorage
from tongdai.domain import accounts, campaigns
from tongdai.domain.campaigns import DeclaredField, TemplateConfig
from tongdai.facades.vbot.routes import refuse_method, routes
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.hints import Hinter
from tongdai.ports.services import Services

MAX_BODY_BYTES = 32 * 1024 * 1024
NUMBER = "0912345001"


@dataclass(frozen=True, slots=True)
class Shop:
    """What a customer of VBot's has: the codes of their account and project, and a template."""

    person: Person
    vbot_id: str
    project_code: str
    project_id: int
    template_id: int


class Api:
    """A client of the facade, logged in or not."""

    def __init__(self, services: Services) -> None:
        app: Any = lend(_alone, services)
        transport = httpx.ASGITransport(app=app)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://tongdai.test")

    async def log_in(self, person: Person, password: str = PASSWORD) -> httpx.Response:
        form = {"grant_type": "password", "username": person.user.email, "password": password}
        return await self.http.post("/token", data=form)

    async def refresh(self, refresh_token: object) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return await self.http.post("/token", json=form)

    async def token(self, person: Person) -> str:
        answer = await self.log_in(person)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def create(self, key: str, body: object) -> dict[str, Any]:
        """A business answer: HTTP 200, whatever it says."""
        return answer_of(await self.http.post("/api/campaign/create", json=body, headers=bearer(key)))

    async def get(self, key: str, path: str, **query: object) -> dict[str, Any]:
        texts = {name: str(value) for name, value in query.items()}
        return answer_of(await self.http.get(path, params=texts, headers=bearer(key)))


def _alone(services: Services) -> Litestar:
    handlers: Any = {MethodNotAllowedException: refuse_method}
    return Litestar(routes(services), exception_handlers=handlers)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def answer_of(response: httpx.Response, status: int = 200) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    answer: dict[str, Any] = response.json()
    return answer


def refusal(error: int, msg: str) -> dict[str, Any]:
    return {"status": 0, "error": error, "msg": msg, "data": "-1", "message": msg}


def invalid(detail: str) -> dict[str, Any]:
    return refusal(201, f"Tham số không hợp lệ: {detail}")


ACCESS_WRONG = refusal(401, "Không có quyền truy cập")
TEMPLATE_WRONG = refusal(400, "Lỗi: không tìm thấy campaign mẫu")


def sample(shop: Shop, *phones: object, **changes: object) -> dict[str, Any]:
    """The vendor's JSON sample, for this shop."""
    return {
        "vbotId": shop.vbot_id,
        "groupCode": shop.project_code,
        "campaignId": shop.template_id,
        "name": "campaign_name_new",
        "phones": list(phones) if phones else [contact(phone=NUMBER, name="Nguyễn Văn x")],
        **changes,
    }


def contact(*pairs: Mapping[str, object], **fields: object) -> dict[str, Any]:
    """`{"fields": [{"key": …, "value": …}, …]}`"""
    return {"fields": [*({"key": name, "value": value} for name, value in fields.items()), *pairs]}


async def shop_of(
    db: Database,
    person: Person,
    *,
    fields: tuple[DeclaredField, ...] = (DeclaredField("name"),),
    project_code: str = "PR20230307144001",
    kind: campaigns.Kind = "voice",
) -> Shop:
    async with db.transaction() as tx:
        account = await accounts.get_account(tx, person.account_id)
        project = await accounts.create_project(
            tx, person.account_id, code=project_code, name="Chăm sóc khách hàng"
        )
        script = await factories.script(
            tx, person.account_id, "voice_otp" if kind == "otp" else "order_reminder"
        )
        config = TemplateConfig(
            kind=kind,
            purpose="otp" if kind == "otp" else "customer_care",
            script_id=script.id,
            hotline_ids=((await factories.hotline(tx, person.account_id)).id,),
            fields=fields,
        )
        template = await campaigns.create_template(tx, person.account_id, name="Mẫu", config=config)
    return Shop(person, account.code, project.code, project.id, template.id)


def services_on(db: Database, keyring: Keyring, clock: FakeClock, folder: Path, **more: Any) -> Services:
    return Services(
        db=db,
        keyring=keyring,
        clock=clock,
        hinter=Hinter(db),
        storage=FileStorage(folder),
        **{"max_body_bytes": MAX_BODY_BYTES, **more},
    )
