"""What stands in the head and the body of a call."""

from __future__ import annotations

from typing import Any, cast

import pytest
from litestar.types import Receive, Scope

from tongdai.facades.sencloud.errors import BadRouteError, MalformedError
from tongdai.facades.sencloud.requests import MOST_BYTES, read_fields, read_idempotency_key, read_key
from tongdai.kit.errors import InvalidError
from tongdai.ports.services import Services

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}


class Patience:
    """All of the services that reading a body looks at."""

    body_timeout_s = 5.0


def scope_with(headers: dict[str, str]) -> Scope:
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return cast(Scope, {"type": "http", "headers": pairs})


async def read(body: bytes, headers: dict[str, str] = JSON) -> dict[str, Any]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    fields = await read_fields(cast(Services, Patience()), scope_with(headers), cast(Receive, receive))
    return {name: fields.raw(name) for name in ("oa_id", "phone")}


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON ;charset=UTF-8"]
)
async def test_a_body_is_json_in_however_many_words_it_says_so(content_type: str) -> None:
    body = b'{"oa_id": "7", "phone": "0901234567"}'
    assert await read(body, {"content-type": content_type}) == {"oa_id": "7", "phone": "0901234567"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/protobuf"},
        {"content-type": "application/jsonp"},
        {"content-type": ""},
    ],
)
async def test_another_content_type_is_a_bad_route_and_is_named(headers: dict[str, str]) -> None:
    with pytest.raises(BadRouteError, match="unexpected Content-Type") as caught:
        await read(b"{}", headers)
    assert headers.get("content-type", "") in caught.value.message


async def test_no_body_is_an_empty_object() -> None:
    assert await read(b"") == await read(b"  ") == await read(b"{}") == {"oa_id": None, "phone": None}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"7",
        b"\xff\xfe",
        b'{"phone": "\\ud800"}',
        b'{"phone": "\x00"}',
        b'{"oa_id": ' + b"9" * 5000 + b"}",
        b'{"a": ' * 100_000,
        b"[" * 100_000,
        b"oa_id=7",
        b"{" + b" " * MOST_BYTES + b"}",
    ],
    ids=lambda body: str(body[:12]),
)
async def test_what_is_no_json_object_or_too_long_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        await read(body)


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Bearer td_1", "td_1"),
        ("bearer td_1", "td_1"),
        ("BEARER   td_1 ", "td_1"),
        ("Bearer", ""),
        ("Bearer ", ""),
        ("Basic dGQ6", ""),
        ("td_1", ""),
        ("", ""),
        ("Bearer \xff\xfe", "\xff\xfe"),
    ],
)
def test_a_key_is_a_bearers(header: str, key: str) -> None:
    assert read_key(scope_with({"authorization": header})) == key


def test_without_a_header_there_is_no_key() -> None:
    assert read_key(scope_with({})) == ""
    assert read_idempotency_key(scope_with({})) is None


def test_a_request_may_name_itself() -> None:
    assert read_idempotency_key(scope_with({"idempotency-key": " don-1 "})) == "don-1"
    assert read_idempotency_key(scope_with({"idempotency-key": "  "})) is None
    assert read_idempotency_key(scope_with({"idempotency-key": "k" * 255})) == "k" * 255


@pytest.mark.parametrize("name", ["k" * 256, "đơn".encode().decode("latin-1"), "a\x00b", "a\x7fb", "\xff"])
def test_what_is_no_name_of_a_request_is_refused(name: str) -> None:
    with pytest.raises(InvalidError, match="Idempotency-Key must have"):
        read_idempotency_key(scope_with({"idempotency-key": name}))
