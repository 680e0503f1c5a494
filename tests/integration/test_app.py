"""The app around the APIs: health, metrics, and what it never tells."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from litestar import Litestar
from tests.fakes.clock import FakeClock
from tests.fakes.raw_server import raw_server, whole

from tongdai.adapters.files import FileStorage
from tongdai.adapters.zaloapi import ZaloClient
from tongdai.app import create_app
from tongdai.kit.crypto import Keyring
from tongdai.kit.db import Database
from tongdai.kit.hints import Hinter
from tongdai.ports.services import Services
from tongdai.ports.zalo import Access, ZaloAwayError

pytestmark = pytest.mark.anyio


def client_of(app: Litestar) -> httpx.AsyncClient:
    # The two libraries spell the types of ASGI differently.
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://tongdai")


@pytest.fixture
def services(database_url: str, keyring: Keyring, clock: FakeClock, tmp_path: Path) -> Services:
    db = Database(database_url)
    return Services(
        db=db,
        keyring=keyring,
        clock=clock,
        hinter=Hinter(db),
        storage=FileStorage(tmp_path),
        max_body_bytes=1000,
    )


@pytest.fixture
async def app(services: Services) -> AsyncIterator[Litestar]:
    made = create_app(services)
    async with made.lifespan():
        yield made


@pytest.fixture
async def http(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


async def test_a_database_that_is_away_makes_it_unready_not_unhealthy(
    http: httpx.AsyncClient, services: Services
) -> None:
    assert (await http.get("/readyz")).status_code == 200
    await services.db.close()
    assert (await http.get("/readyz")).status_code == 503
    assert (await http.get("/healthz")).status_code == 200


async def test_zalo_s_client_runs_as_long_as_the_app_does(services: Services) -> None:
    async with raw_server(lambda _: whole(b'{"error": 0, "data": {"dailyQuota": 500}}')) as server:
        url = server.url
        zalo = ZaloClient(oauth_url=url, openapi_url=url, business_url=url)
        made = create_app(replace(services, zalo=zalo))
        async with made.lifespan():
            assert (await zalo.quota(Access("token", 1))).daily == 500
        with pytest.raises(ZaloAwayError):
            await zalo.quota(Access("token", 1))


async def test_an_unexpected_error_is_logged_and_tells_nothing_of_the_inside(
    http: httpx.AsyncClient, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    await services.db.close()
    with caplog.at_level(logging.DEBUG):
        answer = await http.get(
            "/v1/me?secret=in-the-query", headers={"Authorization": "Bearer td_in-the-header"}
        )
    assert answer.status_code >= 500
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert "pool" not in answer.text
    ours = [record for record in caplog.records if not record.name.startswith("http")]  # the client's own
    assert any(record.exc_info for record in ours)
    told = "\n".join(logging.Formatter().format(record) for record in ours)
    assert "in-the-query" not in told
    assert "in-the-header" not in told


async def test_requests_are_counted_by_route_and_never_by_what_is_in_them(http: httpx.AsyncClient) -> None:
    await http.get("/v1/calls/0912345678", params={"q": "0987654321"})
    await http.request("BREW", "/healthz")
    metrics = (await http.get("/metrics")).text
    assert 'route="/v1/calls/{' in metrics
    assert 'method="OTHER"' in metrics
    assert "0912345678" not in metrics
    assert "0987654321" not in metrics


async def test_metrics_tell_how_webhooks_and_recordings_fare_and_go_on_without_a_database(
    http: httpx.AsyncClient, services: Services
) -> None:
    metrics = (await http.get("/metrics")).text
    assert 'tongdai_webhook_tries_total{result="delivered"} 0.0' in metrics
    assert "tongdai_webhook_pending 0.0" in metrics
    assert 'tongdai_webhook_endpoints_waiting{state="open"} 0.0' in metrics
    assert "tongdai_recordings_waiting 0.0" in metrics
    await services.db.close()
    without = await http.get("/metrics")
    assert without.status_code == 200
    assert "tongdai_http_requests_total" in without.text
    assert "tongdai_webhook" not in without.text
    assert "tongdai_recordings" not in without.text


async def test_metrics_that_cannot_be_read_are_logged_and_the_others_shown(
    http: httpx.AsyncClient, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    async with services.db.autocommit() as connection:
        await connection.execute("DROP TABLE recordings CASCADE")
    metrics = (await http.get("/metrics")).text
    assert "tongdai_webhook_pending 0.0" in metrics
    assert "tongdai_recordings" not in metrics
    told = [record for record in caplog.records if record.message == "metrics cannot be read"]
    assert [vars(record)["about"] for record in told] == ["recordings"]


async def test_metrics_may_be_off(services: Services) -> None:
    app = create_app(services, metrics=False)
    async with app.lifespan(), client_of(app) as http:
        assert (await http.get("/metrics")).status_code == 404


async def test_a_body_over_the_limit_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/campaigns/1/import", content=b" " * 1001)
    assert answer.status_code < 500
    assert answer.json()["status"] == 0


async def test_the_bare_address_says_what_this_is_and_where_to_go_on(http: httpx.AsyncClient) -> None:
    told = (await http.get("/")).json()
    assert told.keys() == {"name", "version", "schema", "health"}
    assert told["name"] == "tongdai"
    for link in ("schema", "health"):
        assert (await http.get(told[link])).status_code == 200


async def test_the_schema_page_names_every_operation_and_loads_nothing(http: httpx.AsyncClient) -> None:
    document = (await http.get("/schema/openapi.json")).json()
    page = (await http.get("/schema")).text
    assert document["paths"]
    for path in document["paths"]:
        assert f"<code>{path}</code>" in page
    assert "document follows" not in page
    assert "<code>Authorization: Bearer td_…</code>" in page
    of_limit = page.partition("<td><code>limit</code></td>")[2].partition("</tr>")[0]
    assert of_limit.count("How many items to give at most.") == 1
    for loading in ("<script", "<img", "<link", "<iframe", "src=", "@import", "url(", 'href="http'):
        assert loading not in page, loading
