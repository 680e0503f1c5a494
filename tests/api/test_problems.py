"""Whatever is sent, the answer has one documented shape and tells nothing of the inside."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest
from litestar import Litestar
from tests.api.conftest import Api

from tongdai.app import create_app
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio

FIELDS = {"type", "title", "status", "detail", "errors", "retryable"}


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert set(body) == FIELDS
    assert body["status"] == status
    return body


async def send_raw(
    api: Api, raw: bytes, path: str = "/projects", kind: str = "application/json"
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {api.key}", "Content-Type": kind}
    return await api.http.post(f"/v1{path}", content=raw, headers=headers)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b'{"code": "a", "name": 5}', "name"),
        (b'{"code": "a"}', "name"),
        (b'{"code": "a", "name": "b", "colour": "red"}', "colour"),
        (b'{"code": "' + b"a" * 65 + b'", "name": "b"}', "code"),
        (b'{"code": "a", "name": "b\\u0000c"}', "name"),
        (b'{"code": "a", "name": "\\ud800"}', ""),
        (b'{"code": "a", "name": "\xff"}', ""),
        (b'{"code": "a", ', ""),
        (b"", ""),
        (b"null", ""),
        (b"[" * 100_000, ""),
        (b'{"x": "\\u0000", "name":' * 50_000, ""),
    ],
)
async def test_a_bad_body_is_answered_with_the_place_that_is_wrong(owner: Api, raw: bytes, path: str) -> None:
    body = problem(await send_raw(owner, raw), 400)

    assert [error["path"] for error in body["errors"]] == [path]
    assert body["retryable"] is False


async def test_an_escaped_backslash_before_u0000_is_no_nul(owner: Api) -> None:
    answer = await send_raw(owner, b'{"code": "a", "name": "C:\\\\u0000"}')

    assert answer.json()["name"] == "C:\\u0000"


async def test_json_is_read_whatever_its_content_type_says(owner: Api) -> None:
    assert (await send_raw(owner, b'{"code": "a", "name": "b"}', kind="text/plain")).status_code == 201


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=1_0", "cursor=", "cursor=abc"])
async def test_a_bad_parameter_is_named(owner: Api, query: str) -> None:
    answer = await owner.http.get(f"/v1/projects?{query}", headers={"Authorization": f"Bearer {owner.key}"})

    assert [error["path"] for error in problem(answer, 400)["errors"]] == [query.split("=")[0]]


async def test_nul_in_a_query_is_refused(owner: Api) -> None:
    answer = await owner.http.get(
        "/v1/calls?number=0912%00345", headers={"Authorization": f"Bearer {owner.key}"}
    )

    problem(answer, 400)


@pytest.mark.parametrize(
    "key", ["0", "-1", "9223372036854775808", "9" * 5000, "x", "1.5", "%00", "１", "1_0"]
)
async def test_an_id_that_cannot_be_is_refused_in_the_same_shape(owner: Api, key: str) -> None:
    body = problem(await owner.get(f"/trunks/{key}"), 400)

    assert [error["path"] for error in body["errors"]] == ["trunk_id"]


async def test_the_largest_id_is_merely_unknown(owner: Api) -> None:
    problem(await owner.get(f"/trunks/{2**63 - 1}"), 404)


async def test_an_unknown_address_is_a_problem_document_too(owner: Api) -> None:
    problem(await owner.get("/nothing"), 404)


async def test_a_wrong_method_says_which_are_right(owner: Api) -> None:
    answer = await owner.send("DELETE", "/projects")

    problem(answer, 405)
    assert "GET" in answer.headers["allow"]


@pytest.fixture
def small_app(services: Services) -> Litestar:
    small = Services(
        db=services.db,
        keyring=services.keyring,
        clock=services.clock,
        hinter=services.hinter,
        storage=services.storage,
        max_body_bytes=1000,
    )
    return create_app(small)


async def test_a_body_above_the_limit_is_refused_as_too_large(small_app: Litestar, owner: Api) -> None:
    transport = httpx.ASGITransport(app=small_app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://tests") as client:
        api = Api(client, owner.person, owner.key)
        answer = await api.post("/projects", {"code": "a", "name": "b" * 2000})

    problem(answer, 413)


async def test_a_fault_of_ours_is_logged_and_not_shown(
    owner: Api, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    async with services.db.transaction() as tx:
        await tx.execute("ALTER TABLE projects RENAME TO projects_gone")

    with caplog.at_level(logging.ERROR, logger="tongdai.api.problems"):
        answer = await owner.get("/projects")

    body = problem(answer, 500)
    assert "projects" not in body["detail"]
    assert body["retryable"] is True
    assert caplog.records[0].exc_info is not None


async def test_no_answer_is_kept_by_a_cache(owner: Api) -> None:
    assert (await owner.get("/me")).headers["cache-control"] == "no-store"
