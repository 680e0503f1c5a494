"""Whatever comes, Zalo's answer has Zalo's shape: HTTP 200, and a code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import urlencode

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fakes.zalo import JOURNEY_TEMPLATE, OTP_TEMPLATE

from tongdai.adapters.zaloemulator import examples, oauth
from tongdai.adapters.zaloemulator.bodies import decode
from tongdai.adapters.zaloemulator.core import Core
from tongdai.adapters.zaloemulator.exchange import Answer, Ask, encode
from tongdai.adapters.zaloemulator.fixtures import decode as decode_fixtures
from tongdai.adapters.zaloemulator.server import handle

SECRET = {"secret_key": examples.APP_SECRET}

words = st.text(max_size=60) | st.sampled_from(["84901234567", "1", "3", "development", "token_logistics_7"])
numbers = st.integers() | st.floats() | st.sampled_from([OTP_TEMPLATE, JOURNEY_TEMPLATE])
values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(
    [
        "phone",
        "hash_phone",
        "template_id",
        "template_data",
        "tracking_id",
        "mode",
        "sending_mode",
        "token_type",
    ]
)
bodies = st.binary(max_size=80) | st.dictionaries(fields, values).map(encode)
paths = st.sampled_from(["/message/template", "/message/template/hashphone", "/journey/get-token"])
read_paths = st.sampled_from(
    [
        "/message/status",
        "/template/all",
        "/template/info",
        "/template/info/v2",
        "/rating/get",
        "/v2.0/oa/getoa",
    ]
)
names = st.sampled_from(
    ["message_id", "phone", "offset", "limit", "status", "template_id", "from_time", "to_time"]
)


def with_core(do: Callable[[Core, str], Answer]) -> Answer:
    """What is answered by a new emulator that one Official Account let an app in at."""

    async def run() -> Answer:
        core = Core(":memory:")
        core.world.load(decode_fixtures(encode(examples.fixtures())))
        code = core.tokens.grant(examples.APP_ID, examples.OA_ID, "", "")
        form = {"grant_type": "authorization_code", "code": code, "app_id": examples.APP_ID}
        pair = decode(oauth.access_token(core, ask("POST", "/", urlencode(form).encode(), SECRET)).body)
        try:
            return do(core, pair["access_token"])
        finally:
            core.store.close()

    return asyncio.run(run())


def ask(
    method: str, path: str, body: bytes, headers: dict[str, str], query: dict[str, str] | None = None
) -> Ask:
    return Ask(method, path, query or {}, headers, body)


def check(answer: Answer) -> None:
    assert answer.status == 200
    if answer.body:
        assert isinstance(decode(answer.body).get("error", 0), int)


few = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@few
@given(path=paths, body=bodies)
def test_any_body_is_taken_or_refused(path: str, body: bytes) -> None:
    check(with_core(lambda core, token: handle(core, ask("POST", path, body, {"access_token": token}))))


@few
@given(path=read_paths, query=st.dictionaries(names, words))
def test_any_query_is_taken_or_refused(path: str, query: dict[str, str]) -> None:
    check(with_core(lambda core, token: handle(core, ask("GET", path, b"", {"access_token": token}, query))))


@few
@given(
    form=st.dictionaries(
        st.sampled_from(["app_id", "grant_type", "code", "refresh_token", "code_verifier"]),
        words | st.sampled_from([str(examples.APP_ID), "refresh_token", "authorization_code"]),
    )
)
def test_any_form_is_taken_or_refused(form: dict[str, str]) -> None:
    body = urlencode(form).encode(errors="replace")
    check(with_core(lambda core, token: handle(core, ask("POST", "/v4/oa/access_token", body, SECRET))))
