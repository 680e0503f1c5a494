"""What is no answer of the document: our own failures, and methods that it does not have."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from tests.apps import lend
from tests.facades.aicallcenter.client import Api
from tests.factories import Cast

from tongdai.app import create_app
from tongdai.kit.db import Database
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio

AWAY = {"status": 0, "code": "500", "message": "Hệ thống tạm thời gián đoạn. Vui lòng gửi lại sau ít giây"}
BROKEN = {"status": 0, "code": "500", "message": "Hệ thống gặp lỗi. Yêu cầu chưa được xử lý"}
METHOD_WRONG = {"status": 0, "code": "405", "message": "phương thức HTTP không được hỗ trợ"}

ENDPOINTS = [
    ("POST", "/api/campaigns/1/import"),
    ("GET", "/api/campaigns/1/export"),
    ("GET", "/api/users/generate-access-token"),
    ("GET", "/api/users/call-log"),
]
ALLOWED = {"GET": {"GET", "HEAD", "OPTIONS"}, "POST": {"POST", "OPTIONS"}}
SECRETS = {"access_token": "token-in-the-query", "secret_key": "secret-in-the-query"}


@pytest.fixture
async def whole(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole application, in which the facade is one of several."""
    app = lend(create_app, services)
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://tongdai.test") as client:
        yield client


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_while_the_database_is_away_it_may_be_sent_again(
    whole: httpx.AsyncClient,
    db: Database,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
) -> None:
    await db.close()
    answer = await whole.request(method, path, params=SECRETS, json={"contacts": []})
    assert (answer.status_code, answer.json()) == (503, AWAY)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert int(answer.headers["retry-after"]) > 0
    _assert_logged(caplog, logging.WARNING, *SECRETS.values())


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_a_fault_of_ours_tells_nothing_of_the_inside(
    whole: httpx.AsyncClient,
    api: Api,
    cast: Cast,
    db: Database,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
) -> None:
    query = {"access_token": await api.token(cast.owner), "secret_key": cast.owner.secret}
    async with db.autocommit() as connection:
        await connection.execute("ALTER TABLE client_secrets RENAME TO gone")
    answer = await whole.request(method, path, params=query)
    assert (answer.status_code, answer.json()) == (500, BROKEN)
    _assert_logged(caplog, logging.ERROR, *query.values())


async def test_a_request_that_waits_too_long_in_the_database_may_be_sent_again(
    db: Database, services: Services, cast: Cast
) -> None:
    patient = Api(services)
    token = await patient.token(cast.owner)
    hurried = Database(db.url, max_transaction_s=0.2)
    await hurried.open()
    async with db.transaction() as tx:
        await tx.execute("LOCK TABLE client_secrets")
        answer = await Api(replace(services, db=hurried)).http.get(
            f"/api/users/call-log?access_token={token}"
        )
    await hurried.close()
    assert (answer.status_code, answer.json()) == (503, AWAY)
    assert (await patient.call_log(token))["status"] == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
@pytest.mark.parametrize(("right", "path"), ENDPOINTS)
async def test_a_method_that_the_document_lacks_is_told_in_its_envelope(
    whole: httpx.AsyncClient, right: str, path: str, method: str
) -> None:
    answer = await whole.request(method, path)
    if method == right or (method == "HEAD" and right == "GET"):
        assert answer.status_code == 200
        return
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == ALLOWED[right]
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    if method == "HEAD":
        assert answer.content == b""
    else:
        assert answer.json() == METHOD_WRONG


async def test_a_wrong_method_elsewhere_is_told_in_our_own_words(whole: httpx.AsyncClient) -> None:
    for path in ("/v1/me", "/healthz"):
        answer = await whole.delete(path)
        assert (answer.status_code, answer.json()["type"]) == (405, "urn:tongdai:problem:method-not-allowed")


@pytest.mark.parametrize(("right", "path"), ENDPOINTS)
async def test_options_name_the_methods(whole: httpx.AsyncClient, right: str, path: str) -> None:
    answer = await whole.options(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert set(answer.headers["allow"].split(", ")) == ALLOWED[right]


async def test_head_is_get_without_the_body(api: Api, cast: Cast) -> None:
    query = {"access_token": await api.token(cast.owner)}
    got = await api.http.get("/api/users/call-log", params=query)
    head = await api.http.head("/api/users/call-log", params=query)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "cache-control"):
        assert head.headers[name] == got.headers[name]


def _assert_logged(caplog: pytest.LogCaptureFixture, level: int, *secrets: str) -> None:
    """Once, with what it was, and with nothing of the query."""
    (record,) = [
        one for one in caplog.records if one.levelno == level and one.name.startswith("tongdai.facades")
    ]
    told = logging.Formatter().format(record)
    assert record.exc_info
    for secret in secrets:
        assert secret not in told
