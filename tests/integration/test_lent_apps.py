"""An app that serves one test after the other serves each as if it had been made for it."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from tests import apps, factories
from tests.facades.aicallcenter import client as aicallcenter
from tests.facades.interits import client as interits
from tests.facades.sencloud import client as sencloud
from tests.facades.vbot import client as vbot
from tests.fakes.clock import FakeClock

from tongdai.adapters.files import FileStorage
from tongdai.app import create_app
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.hints import Hinter
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio

MAKERS = [
    create_app,
    *(vendor._alone for vendor in (aicallcenter, interits, sencloud, vbot)),
    *(vendor._whole for vendor in (interits, sencloud)),
]


class Watched(Services):
    """Services that remember what was read of them."""

    read: ClassVar[set[str]] = set()

    def __getattribute__(self, name: str) -> Any:
        Watched.read.add(name)
        return super().__getattribute__(name)


@pytest.fixture
def services(db: Database, keyring: Keyring, clock: FakeClock, tmp_path: Path) -> Services:
    return Services(db, keyring, clock, Hinter(db), FileStorage(tmp_path))


@pytest.mark.parametrize("make", MAKERS)
async def test_an_app_is_made_by_nothing_that_a_later_test_could_want_otherwise(
    make: apps.Make, services: Services
) -> None:
    names = {field.name for field in fields(Services)}
    Watched.read = set()
    make(Watched(**{name: getattr(services, name) for name in names}))
    assert Watched.read & names <= set(apps.MAKING)


async def test_an_app_serves_the_services_of_whoever_borrows_it(services: Services) -> None:
    owner = (await factories.cast(services.db)).owner
    first = apps.lend(create_app, services)
    assert await _projects(first, owner.api_key) == 200
    apps.take_back()
    gone = Database("postgresql://nobody@127.0.0.1:1/nothing")
    again = apps.lend(create_app, replace(services, db=gone))
    assert again is first
    assert await _projects(again, owner.api_key) == 503


async def test_two_apps_at_a_time_are_two(services: Services) -> None:
    assert apps.lend(create_app, services) is not apps.lend(create_app, services)


async def test_an_app_is_lent_to_those_alone_who_would_have_made_it_alike(services: Services) -> None:
    ours = apps.lend(create_app, services)
    apps.take_back()
    assert apps.lend(create_app, replace(services, max_body_bytes=1000)) is not ours
    assert apps.lend(create_app, replace(services, body_timeout_s=1.0)) is not ours


async def _projects(app: Any, key: str) -> int:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://tests") as client:
        answer = await client.get("/v1/projects", headers={"Authorization": f"Bearer {key}"})
    return answer.status_code
